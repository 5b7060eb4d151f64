from __future__ import annotations

import pytest

from flask_foreign_token.errors import Rejected
from flask_foreign_token.registry.variables import expand

ENVIRON = {"NAME": "value", "EMPTY": "", "_x1": "low"}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("${NAME}", "value"),
        ("a${NAME}b${_x1}", "avalueblow"),
        ("${NAME:-other}", "value"),
        ("${UNSET:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("${EMPTY}", ""),
        ("${UNSET:-}", ""),
        ("${UNSET:-https://x/:-y}", "https://x/:-y"),
        ("$NAME $$ $ {NAME} $}", "$NAME $$ $ {NAME} $}"),
        ("$${NAME}", "$value"),
    ],
)
def test_a_variable_becomes_its_value(text: str, expanded: str) -> None:
    assert expand({"a": text}, ENVIRON) == {"a": expanded}


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A-B}", "${NAME", "${NAME:other}", "${ NAME }", "${NAMÉ}"])
def test_what_begins_like_a_variable_and_is_none_is_refused(text: str) -> None:
    with pytest.raises(Rejected, match=r"a\.0: \$\{ must begin"):
        expand({"a": [text]}, ENVIRON)


def test_only_string_values_are_looked_at() -> None:
    body = {"${NAME}": 1, "b": [True, None, 1.5, {"${NAME}": {}}]}

    assert expand(body, ENVIRON) == body


def test_the_value_of_a_variable_is_never_repeated_in_a_refusal() -> None:
    with pytest.raises(Rejected) as caught:
        expand({"a": "${NAME}${UNSET}"}, ENVIRON)

    assert "value" not in str(caught.value)
