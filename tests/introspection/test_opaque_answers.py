"""What is made of what providers say about tokens that they call active."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from flask_foreign_token.errors import InvalidToken
from flask_foreign_token.http import Http
from flask_foreign_token.introspection.opaque import OpaqueIntrospector
from flask_foreign_token.introspection.token import Credential, Token

from .concurrency import Clock
from .introspecting import Introspecting, active, introspecting, introspector
from .signing import AUDIENCE, ISSUER, NOW

Answer = dict[str, Any]

ANY_AUDIENCE: Answer = {"audiences": frozenset()}
OUR_CLIENTS: Answer = {**ANY_AUDIENCE, "stated_audiences": frozenset([AUDIENCE]), "client_ids": frozenset(["app"])}


@pytest.fixture(scope="module")
def provider() -> Iterator[Introspecting]:
    with introspecting() as provider:
        yield provider


def ask(opaque: OpaqueIntrospector, token: str = "token") -> Token:
    return opaque.introspect(Credential("bearer", token))


@pytest.mark.parametrize(
    ("rules", "answer"),
    [
        ({}, active()),
        ({}, active(token_type=None)),
        ({}, active(token_type="bearer")),
        ({}, active(token_type="BEARER")),
        ({"token_type": "Bearer"}, active()),
        ({"token_type": "Bearer"}, active(token_type="bearer")),
        ({}, active(iss=None)),
        ({}, active(exp=None, iat=None)),
        ({}, active(exp=NOW + 0.5)),
        ({}, active(exp=NOW - 29.5, nbf=NOW + 30, iat=NOW + 30)),
        ({}, active(aud=["account", AUDIENCE])),
        ({}, active(typ="Bearer")),
        ({}, active(typ="at+jwt")),
        ({}, active(token_use="access_token")),
        ({}, active(token_use="access")),
        ({}, active(nonce="n", username="anna", jti="1", scope="openid offline_access")),
        ({"named_issuer": None}, active(iss="https://elsewhere.example")),
        ({"named_issuer": None, "foreign_issuers": frozenset(["https://a.example"])}, active(iss="https://b.example")),
        ({"named_issuer": None, "foreign_issuers": frozenset(["https://a.example"])}, active(iss=None)),
        (ANY_AUDIENCE, active(aud=None)),
        (ANY_AUDIENCE, active(aud="anybody")),
        (OUR_CLIENTS, active(aud=None)),
        (OUR_CLIENTS, active(aud=[])),
        (OUR_CLIENTS, active()),
        (OUR_CLIENTS, active(azp="app", client_id="other")),
        ({"subject_claim": "username"}, active(username="anna", sub=7)),
    ],
)
def test_a_token_that_the_rules_allow_is_taken(
    provider: Introspecting, http: Http, clock: Clock, rules: Answer, answer: Answer
) -> None:
    provider.answers["token"] = answer

    assert ask(introspector(provider, http, clock, **rules)).subject == "anna"


def wrong(name: str, *values: object, reason: str) -> list[tuple[Answer, Answer, str]]:
    return [({}, {**active(), name: value}, reason) for value in values]


NOT_TEXTS = (None, 1, True, [], ["a"], {}, {"a": 1})
NOT_TIMES = (None, "1900000000", True, [NOW], {}, -1, (NOW + 300) * 1000, 1e300)
REFUSED: list[tuple[Answer, Answer, str]] = [
    *wrong("typ", "ID", "Refresh", "Offline", "Logout", "refresh", reason="the claim typ"),
    *wrong("token_use", "id", "id_token", "refresh", "refresh_token", "REFRESH_TOKEN", reason="the claim token_use"),
    *wrong("at_hash", "x", None, reason="at_hash"),
    *wrong("c_hash", "x", None, reason="c_hash"),
    *wrong("events", {}, None, reason="events"),
    *wrong("cnf", {"jkt": "x"}, {"x5t#S256": "x"}, {}, None, "x", reason="bound to a key"),
    *wrong("token_type", "DPoP", "dpop", reason="bound to a key"),
    *wrong("token_type", "", "N_A", "mac", "PoP", "Refresh", "refresh_token", "Bearer ", reason="token_type is not B"),
    *wrong("token_type", "urn:ietf:params:oauth:token-type:refresh_token", reason="token_type is not Bearer"),
    *(case for name in ("typ", "token_use", "token_type", "iss") for case in wrong(name, *NOT_TEXTS, reason=name)),
    *(case for name in ("azp", "client_id") for case in wrong(name, *NOT_TEXTS, reason=f"{name} is not a text")),
    *wrong("iss", "", ISSUER + "/", ISSUER.upper(), reason="iss is not the issuer"),
    *wrong("exp", NOW - 30, 0, reason="has expired"),
    *wrong("nbf", NOW + 31, reason="nbf lies ahead"),
    *wrong("iat", NOW + 31, reason="iat lies ahead"),
    *(case for name in ("exp", "nbf", "iat") for case in wrong(name, *NOT_TIMES, reason=f"{name} is not a time")),
    *wrong("aud", "account", ["account"], "", AUDIENCE + "/", reason="aud names another audience"),
    *wrong("aud", None, 1, {}, {AUDIENCE: 1}, [1], [AUDIENCE, 1], [[AUDIENCE]], True, reason="aud is neither"),
    *wrong("sub", "", " ", reason="the subject is empty"),
    *wrong("sub", "s" * 256, reason="the subject is longer"),
    *wrong("sub", "a\x00b", "a\nb", reason="the subject holds control characters"),
    *wrong("sub", *NOT_TEXTS, reason="the subject is missing or not a text"),
    ({}, active(aud=None), "aud is missing"),
    ({}, active(aud=[]), "aud is missing"),
    (OUR_CLIENTS, active(aud="account"), "aud names another audience"),
    (OUR_CLIENTS, active(aud=["account"]), "aud names another audience"),
    (OUR_CLIENTS, active(aud={}), "aud is neither"),
    (OUR_CLIENTS, active(client_id="other"), "issued to another client"),
    (OUR_CLIENTS, active(client_id=None), "issued to another client"),
    (OUR_CLIENTS, active(azp="other", client_id="app"), "issued to another client"),
    ({"named_issuer": None}, active(iss=["a"]), "iss is not a text"),
    ({"named_issuer": None, "foreign_issuers": frozenset([ISSUER])}, active(), "iss is not the issuer"),
    ({"token_type": "Bearer"}, active(token_type=None), "the token_type is not Bearer"),
    ({"token_type": "Bearer"}, active(token_type="refresh_token"), "the token_type is not Bearer"),
    ({"leeway": 0.0}, active(exp=NOW), "has expired"),
    ({"subject_claim": "username"}, active(username=["anna"]), "the subject is missing or not a text"),
    ({"subject_claim": "username"}, active(), "the subject is missing or not a text"),
    ({"subject_claim": "username"}, {**active(), "sub": None}, "the subject is missing or not a text"),
]


@pytest.mark.parametrize(("rules", "answer", "reason"), REFUSED)
def test_whatever_is_wrong_refuses_the_token_and_names_the_check(
    provider: Introspecting, http: Http, clock: Clock, rules: Answer, answer: Answer, reason: str
) -> None:
    provider.answers["token"] = answer

    with pytest.raises(InvalidToken, match=reason) as refusal:
        ask(introspector(provider, http, clock, **rules))
    description = str(refusal.value.description)
    assert all(" " <= character <= "~" and character not in '"\\' for character in description)


# What products answer, as their sources or manuals have it.
COMMON: Answer = {"active": True, "sub": "anna", "client_id": "app", "iss": ISSUER, "exp": NOW + 300, "iat": NOW}
KEYCLOAK: Answer = {
    **COMMON,
    "typ": "Bearer",
    "aud": ["account", AUDIENCE],
    "azp": "app",
    "sid": "6f0a",
    "acr": "1",
    "scope": "openid email",
    "username": "anna",
    "token_type": "Bearer",
}
HYDRA: Answer = {**COMMON, "nbf": NOW, "aud": [], "token_type": "Bearer", "token_use": "access_token", "ext": None}
OIDC_PROVIDER: Answer = {**COMMON, "scope": "openid offline_access", "token_type": "Bearer"}
OKTA: Answer = {**COMMON, "aud": AUDIENCE, "username": "anna", "uid": "00u", "jti": "AT.7P", "token_type": "Bearer"}
DJANGO: Answer = {"active": True, "scope": "read", "exp": NOW + 300, "client_id": "app", "username": "anna"}
ACCESS_TOKENS = {
    "Keycloak": ({}, KEYCLOAK),
    "Ory Hydra": (OUR_CLIENTS, HYDRA),
    "oidc-provider": (OUR_CLIENTS, OIDC_PROVIDER),
    "oidc-provider with a resource indicator": ({}, {**OIDC_PROVIDER, "aud": AUDIENCE}),
    "Okta": ({}, OKTA),
    "Django OAuth Toolkit": ({**OUR_CLIENTS, "subject_claim": "username"}, DJANGO),
}
OTHER_TOKENS = {
    "a refresh token of Keycloak": ({}, {**KEYCLOAK, "typ": "Refresh", "aud": ISSUER}),
    "an offline token of Keycloak": ({}, {**KEYCLOAK, "typ": "Offline", "aud": ISSUER}),
    "an ID token of Keycloak": ({}, {**KEYCLOAK, "typ": "ID", "aud": "app", "token_type": "ID"}),
    "a refresh token of Ory Hydra": (OUR_CLIENTS, {**HYDRA, "token_use": "refresh_token"}),
    "a refresh token of oidc-provider, where an audience is demanded": (
        {},
        {name: value for name, value in OIDC_PROVIDER.items() if name != "token_type"},
    ),
    "an ID token of Okta": (OUR_CLIENTS, {**OKTA, "at_hash": "x"}),
}


@pytest.mark.parametrize("name", ACCESS_TOKENS)
def test_an_access_token_of_a_product_is_taken(provider: Introspecting, http: Http, clock: Clock, name: str) -> None:
    rules, provider.answers["token"] = ACCESS_TOKENS[name]

    assert ask(introspector(provider, http, clock, **rules)).subject == "anna"


@pytest.mark.parametrize("name", OTHER_TOKENS)
def test_another_token_of_a_product_is_refused(provider: Introspecting, http: Http, clock: Clock, name: str) -> None:
    rules, provider.answers["token"] = OTHER_TOKENS[name]

    with pytest.raises(InvalidToken):
        ask(introspector(provider, http, clock, **rules))
