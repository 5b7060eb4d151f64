from __future__ import annotations

from base64 import b64decode
from urllib.parse import unquote_plus

import pytest

from flask_foreign_token.introspection.client_authentication import ClientAuthentication


def test_a_header_is_sent_as_written() -> None:
    authentication = ClientAuthentication.as_written("Bearer of-good-tidings")

    assert (dict(authentication.headers), dict(authentication.form)) == (
        {"Authorization": "Bearer of-good-tidings"},
        {},
    )


def test_basic_is_the_one_of_the_standard() -> None:
    authentication = ClientAuthentication.basic("s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw")

    assert authentication == ClientAuthentication.as_written(
        "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3"  # all three from RFC 6749 section 2.3.1
    )


@pytest.mark.parametrize(
    ("client_id", "client_secret"),
    [
        ("app", "with:colon"),
        ("urn:app", "secret"),
        ("app", "per%cent+plus space"),
        ("app", "pässwört€😀"),
        ("app", "&=?/#\"'\\~"),
        ("", ""),
    ],
)
def test_basic_brings_any_character_over(client_id: str, client_secret: str) -> None:
    authorization = ClientAuthentication.basic(client_id, client_secret).headers["Authorization"]

    # As RFC 6749 section 2.3.1 has it: a colon of the id is not the one between the two.
    halves = b64decode(authorization.removeprefix("Basic ")).decode("ascii").split(":")
    assert [unquote_plus(half) for half in halves] == [client_id, client_secret]


def test_post_stands_in_the_form_alone() -> None:
    authentication = ClientAuthentication.post("app", "secret")

    assert (dict(authentication.headers), dict(authentication.form)) == (
        {},
        {"client_id": "app", "client_secret": "secret"},
    )


@pytest.mark.parametrize(
    "authentication",
    [
        ClientAuthentication.as_written("Bearer secret"),
        ClientAuthentication.basic("app", "secret"),
        ClientAuthentication.post("app", "secret"),
    ],
)
def test_its_text_shows_nothing(authentication: ClientAuthentication) -> None:
    assert repr(authentication) == "ClientAuthentication()"


def test_nobody_can_change_what_is_sent() -> None:
    authentication = ClientAuthentication.post("app", "secret")

    with pytest.raises(TypeError):
        authentication.form["client_secret"] = "another"  # type: ignore[index]
