from __future__ import annotations

from dataclasses import dataclass

import pytest

from flask_foreign_token.introspection.claims import END_OF_TIME
from flask_foreign_token.introspection.token import Credential, Memo, Token, Versioned

from .signing import ISSUER, NOW


@dataclass
class Unquestioned:
    withdrawn: bool = False


def token(**claims: object) -> Token:
    return Token(ISSUER, "anna", NOW, NOW + 30, claims, Versioned("keycloak", "1"), Unquestioned())


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({}, set()),
        ({"scope": ""}, set()),
        ({"scope": "openid  patient.read"}, {"openid", "patient.read"}),
        ({"scope": ["openid", "patient.read", 7]}, {"openid", "patient.read"}),
        ({"scope": ("openid", "patient.read", 7)}, {"openid", "patient.read"}),
        ({"scp": "patient.read"}, {"patient.read"}),
        ({"scp": ["patient.read"]}, {"patient.read"}),
        ({"scope": "openid", "scp": "patient.read"}, {"openid"}),
        ({"scope": None}, set()),
        ({"scope": {"patient.read": True}}, set()),
    ],
)
def test_scopes_are_read_in_each_form_that_providers_use(claims: dict[str, object], scopes: set[str]) -> None:
    assert token(**claims).scopes == scopes


@pytest.mark.parametrize(
    ("claims", "client_id"),
    [
        ({}, None),
        ({"azp": "app"}, "app"),
        ({"client_id": "app"}, "app"),
        ({"azp": "app", "client_id": "other"}, "app"),
        ({"azp": "", "client_id": "app"}, "app"),
        ({"azp": ["app"]}, None),
    ],
)
def test_the_client_is_who_the_token_was_issued_to(claims: dict[str, object], client_id: str | None) -> None:
    assert token(**claims).client_id == client_id


@pytest.mark.parametrize(
    ("claims", "confirmation"),
    [({}, None), ({"cnf": {"jkt": "x"}}, {"jkt": "x"}), ({"cnf": {}}, {}), ({"cnf": "x"}, None), ({"cnf": None}, None)],
)
def test_the_confirmation_is_what_its_holder_must_show(claims: dict[str, object], confirmation: object) -> None:
    assert token(**claims).confirmation == confirmation


@pytest.mark.parametrize("name", ["acr", "sid"])
@pytest.mark.parametrize(
    ("value", "text"), [("1", "1"), ("", None), (1, None), (None, None), (["1"], None), (True, None)]
)
def test_what_is_no_text_does_not_pass_for_one(name: str, value: object, text: str | None) -> None:
    assert getattr(token(**{name: value}), name) == text
    assert getattr(token(), name) is None


@pytest.mark.parametrize(
    ("claims", "auth_time"),
    [
        ({}, None),
        ({"auth_time": 7}, 7.0),
        ({"auth_time": 7.5}, 7.5),
        ({"auth_time": "7"}, None),
        ({"auth_time": True}, None),
        ({"auth_time": 0}, 0.0),
        ({"auth_time": -1}, None),
        ({"auth_time": END_OF_TIME - 1}, END_OF_TIME - 1),
        ({"auth_time": END_OF_TIME}, None),
        ({"auth_time": 10**400}, None),
        ({"auth_time": -(10**400)}, None),
        ({"auth_time": None}, None),
    ],
)
def test_the_time_of_the_login_is_a_number_or_none(claims: dict[str, object], auth_time: float | None) -> None:
    assert token(**claims).auth_time == auth_time


def test_a_token_is_a_jwt_unless_told_otherwise() -> None:
    assert token().kind == "jwt"


def test_neither_a_token_nor_a_credential_shows_what_it_holds() -> None:
    assert "anna" not in repr(token(sub="anna"))
    assert "secret" not in repr(Credential("bearer", "secret"))


def test_what_was_found_out_of_a_token_is_kept_for_one_owner_at_a_time() -> None:
    memo, first, second = Memo(), object(), object()
    of_first = memo.of(first)
    of_first["scopes"] = 3

    assert memo.of(first) is of_first
    assert memo.of(second) == {}
    assert memo.of(first) == {}
    assert of_first == {"scopes": 3}
