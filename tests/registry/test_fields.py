from __future__ import annotations

import pytest
from marshmallow import ValidationError, fields

from flask_foreign_token.registry.fields import Line, Secret, SecretReference, Text, flatten, reference_in

NOT_UTF_8 = b"a\xff".decode(errors="surrogateescape")


@pytest.mark.parametrize("field", [Line(), Secret(), Text()], ids=lambda field: type(field).__name__)
def test_a_text_from_a_variable_that_is_not_utf_8_is_refused(field: fields.Field[str]) -> None:
    with pytest.raises(ValidationError, match="must be UTF-8"):
        field.deserialize(NOT_UTF_8)

    assert field.deserialize("a\U0001f600") == "a\U0001f600"


@pytest.mark.parametrize(
    ("written", "reference"),
    [
        ({"env": "LOGIN_SECRET"}, SecretReference("env", "LOGIN_SECRET")),
        ({"env": "_x9"}, SecretReference("env", "_x9")),
        ({"file": "/run/secrets/login"}, SecretReference("file", "/run/secrets/login")),
        ({"file": "/run/secrets/../login \u00fc"}, SecretReference("file", "/run/secrets/../login \u00fc")),
    ],
    ids=str,
)
def test_a_secret_may_be_a_reference(written: dict[str, object], reference: SecretReference) -> None:
    assert Secret().deserialize(written) == reference
    assert reference_in(written) == reference


def test_a_secret_may_be_any_other_text_still() -> None:
    assert Secret().deserialize('{"env": "LOGIN_SECRET"}') == '{"env": "LOGIN_SECRET"}'
    assert reference_in("hush") is None


NEITHER = "must be a text, or either"
NAME = "must be the name of a variable"


@pytest.mark.parametrize(
    ("written", "path", "reason"),
    [
        ({}, "", NEITHER),
        ({"env": "HUSH", "file": "/hush"}, "", NEITHER),
        ({"env": "HUSH", "hush": 1}, "", NEITHER),
        ({"hush": None}, "", NEITHER),
        ({"ENV": "HUSH"}, "", NEITHER),
        ({5: "HUSH"}, "", NEITHER),
        (["hush"], "", NEITHER),
        (5, "", NEITHER),
        (True, "", NEITHER),
        ({"env": None}, "env", "must not be null"),
        ({"env": 5}, "env", "must be a text"),
        ({"env": {"env": "HUSH"}}, "env", "must be a text"),
        ({"env": ["HUSH"]}, "env", "must be a text"),
        ({"env": ""}, "env", "must not be blank"),
        ({"env": "HUSH=1"}, "env", NAME),
        ({"env": "9HUSH"}, "env", NAME),
        ({"env": "HUSH "}, "env", NAME),
        ({"env": "H\u00dcSH"}, "env", NAME),
        ({"env": "********"}, "env", NAME),
        ({"env": "H" * 256}, "env", "must not be longer than 255 characters"),
        ({"env": "HUSH\n"}, "env", "must not hold control characters"),
        ({"file": "hush"}, "file", "must be an absolute path"),
        ({"file": "~/hush"}, "file", "must be an absolute path"),
        ({"file": "********"}, "file", "must be an absolute path"),
        ({"file": "/hush\0.pem"}, "file", "must not hold control characters"),
        ({"file": "/hush\n"}, "file", "must not hold control characters"),
        ({"file": "/" + "h" * 2048}, "file", "must not be longer than 2048 characters"),
        ({"file": f"/{NOT_UTF_8}"}, "file", "must be UTF-8"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_whatever_else_is_refused_with_its_path_and_without_what_is_written(
    written: object, path: str, reason: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Secret().deserialize(written)

    [(found, message)] = flatten(caught.value.messages)
    assert found == path
    assert message.startswith(reason)
    assert "hush" not in f"{found} {message}".lower()
    assert reference_in(written) is None


def test_a_reference_says_of_itself_where_it_leads_and_is_fit_for_a_log() -> None:
    assert str(SecretReference("env", "HUSH")) == "the environment variable HUSH"
    assert str(SecretReference("file", "/a\u202eb")) == "the file /a\\u202eb"
