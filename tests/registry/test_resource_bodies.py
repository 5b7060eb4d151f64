from __future__ import annotations

from typing import Any

import pytest

from flask_foreign_token.errors import Rejected
from flask_foreign_token.registry.resources import (
    canonical,
    identify,
    stored_form,
    version_of,
)


@pytest.mark.parametrize("id_", ["a", "A-Z.0_9", "x" * 64])
def test_an_id_of_the_right_syntax_is_found(id_: str) -> None:
    assert identify({"resourceType": "AccessPolicy", "id": id_}) == ("AccessPolicy", id_)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ([], "must be an object with resourceType and id"),
        ({"id": "x"}, "resourceType: is required, one of IdentityProvider, TokenIntrospector, AccessPolicy"),
        ({"resourceType": "AccesPolicy", "id": "x"}, "; did you mean AccessPolicy?"),
        ({"resourceType": ["AccessPolicy"], "id": "x"}, "resourceType: must be one of "),
        ({"resourceType": "User", "id": "x"}, "resourceType: must be one of "),
        ({"resourceType": "AccessPolicy"}, "id: is required"),
        *(
            ({"resourceType": "AccessPolicy", "id": id_}, "id: must be 1 to 64 of the characters")
            for id_ in ("", "x" * 65, "a/b", "a b", "a\n", "ä", "\x00", 5, ["a"])
        ),
    ],
)
def test_what_cannot_be_identified_is_refused(body: object, reason: str) -> None:
    with pytest.raises(Rejected) as caught:
        identify(body)

    assert reason in str(caught.value)


def test_the_stored_form_has_no_meta_and_long_references() -> None:
    short = {"resourceType": "User", "id": "a/b"}

    assert stored_form({"meta": {}, "link": [short, {"reference": "Client/c"}, 5], "id": "x"}) == {
        "link": [{"reference": "User/a/b"}, {"reference": "Client/c"}, 5],
        "id": "x",
    }
    assert stored_form({"identity_provider": {"resourceType": "IdentityProvider", "id": "k"}}) == {
        "identity_provider": {"reference": "IdentityProvider/k"}
    }


def test_the_stored_form_leaves_what_is_wrong_to_the_check() -> None:
    wrong = {"link": "x", "identity_provider": {"resourceType": "IdentityProvider"}}

    assert stored_form(wrong) == wrong


def test_equal_bodies_have_one_text_and_one_version() -> None:
    one, other = {"a": 1, "b": ["ü", {}]}, {"b": ["ü", {}], "a": 1}

    assert canonical(one) == canonical(other) == '{"a":1,"b":["\\u00fc",{}]}'
    assert version_of(one) == version_of(other) != version_of({"a": True, "b": ["ü", {}]})


def test_what_json_cannot_say_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)

    for value in (object(), float("nan"), endless, {1, 2}):
        with pytest.raises(Rejected, match="cannot be written as JSON"):
            canonical({"a": value})
