"""A header that asks for what is not understood, or says it in another type, is refused (RFC 7515, section 4)."""

from __future__ import annotations

import json

import pytest

from ..apps import SECRET_ISSUER, introspector, policy
from ..conftest import MakeApp
from .target import Target, assert_refused, by_secret, claims, present, with_text

WRONG: dict[str, dict[str, object]] = {
    "crit of nothing": {"crit": []},
    "crit unknown": {"crit": ["http://thief.example/x"], "http://thief.example/x": 1},
    "crit naming what is absent": {"crit": ["exp"]},
    "crit naming a claim": {"crit": ["exp"], "exp": 9_999_999_999},
    "crit naming alg": {"crit": ["alg"]},
    "crit naming kid": {"crit": ["kid"]},
    "crit naming b64": {"crit": ["b64"], "b64": True},
    "crit naming crit": {"crit": ["crit"]},
    "crit naming jwk": {"crit": ["jwk"], "jwk": {}},
    "crit naming the empty text": {"crit": [""], "": 1},
    "crit naming one twice": {"crit": ["x", "x"], "x": 1},
    "crit as a text": {"crit": "b64"},
    "crit as an empty text": {"crit": ""},
    "crit as an object": {"crit": {"b64": True}},
    "crit as a number": {"crit": 0},
    "crit false": {"crit": False},
    "crit true": {"crit": True},
    "crit of numbers": {"crit": [1]},
    "crit of lists": {"crit": [["b64"]]},
    "b64 false": {"b64": False},
    "b64 true": {"b64": True},
    "b64 false and crit": {"b64": False, "crit": ["b64"]},
    "b64 as a text": {"b64": "false"},
    "b64 as a number": {"b64": 0},
    "kid as a list": {"kid": ["a"]},
    "kid as an empty list": {"kid": []},
    "kid as an object": {"kid": {"a": 1}},
    "kid as a number": {"kid": 7},
    "kid as zero": {"kid": 0},
    "kid as a fraction": {"kid": 0.5},
    "kid true": {"kid": True},
    "kid of 1 025 characters": {"kid": "k" * 1025},
    "kid of 8 KB": {"kid": "k" * 8192},
    "typ as a list": {"typ": ["JWT"]},
    "typ as a number": {"typ": 1},
    "typ as an object": {"typ": {"JWT": 1}},
    "typ false": {"typ": False},
    "typ of an ID token": {"typ": "ID"},
    "typ of a logout token": {"typ": "logout+jwt"},
    "typ of an introspection answer": {"typ": "token-introspection+jwt"},
    "typ of a DPoP proof": {"typ": "dpop+jwt"},
    "typ of a security event": {"typ": "secevent+jwt"},
    "typ of a client's proof": {"typ": "client-authentication+jwt"},
    "typ of an authorization request": {"typ": "oauth-authz-req+jwt"},
    "typ of a JWS": {"typ": "JOSE"},
    "typ of nothing": {"typ": ""},
    "typ with a space": {"typ": "JWT "},
    "typ with a NUL": {"typ": "JWT\x00"},
    "typ with a parameter": {"typ": "application/at+jwt;x=y"},
    "typ of another tree": {"typ": "text/at+jwt"},
    "typ of two": {"typ": "application/application/at+jwt"},
}
NULLS = ("alg", "kid", "typ", "crit", "b64")


@pytest.mark.parametrize("members", WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_header_that_is_not_understood_is_refused(target: Target, algorithm: str, members: dict[str, object]) -> None:
    target.refuses(target.sign({**target.header(algorithm), **members}, algorithm=algorithm))


@pytest.mark.parametrize("members", WRONG.values(), ids=WRONG.keys())
def test_it_is_refused_where_a_secret_signs_as_well(target: Target, members: dict[str, object]) -> None:
    target.refuses(by_secret({"alg": "HS256", **members}))


@pytest.mark.parametrize("name", NULLS)
def test_null_is_a_value_of_the_wrong_type(target: Target, name: str) -> None:
    target.refuses(target.sign(json.dumps({**target.header(), name: None}).encode()))


ALLOWED: dict[str, dict[str, object]] = {
    "nothing but alg and kid": {"typ": None},
    "typ in small letters": {"typ": "jwt"},
    "typ of an access token": {"typ": "at+jwt"},
    "typ in capitals": {"typ": "AT+JWT"},
    "typ with its tree": {"typ": "application/at+jwt"},
    "what nobody knows": {"x": 1, "nonce": "n", "": 1, "alg ": "none", "Alg": "none", "CRIT": ["x"], "B64": False},
    "cty": {"cty": "JWT"},
    "a list and an object": {"x": [{"alg": "none", "crit": []}]},
}


@pytest.mark.parametrize("members", ALLOWED.values(), ids=ALLOWED.keys())
def test_what_a_header_may_hold_is_let_in(target: Target, members: dict[str, object]) -> None:
    target.lets_in(target.sign(target.header(**members)))


# ---- members that are there twice

TWICE = {
    "alg": '"alg": "none"',
    "the same alg": '"alg": "{alg}"',
    "alg, escaped": '"\\u0061lg": "none"',
    "alg, escaped throughout": '"\\u0061\\u006C\\u0067": "none"',
    "alg as a list": '"alg": ["none"]',
    "typ": '"typ": "JWT"',
    "kid": '"kid": "a"',
    "kid, null": '"kid": null',
    "what nobody knows": '"x": 1, "x": 1',
    "in an object": '"x": {"a": 1, "a": 2}',
    "in an object in a list": '"x": [[{"a": 1, "\\u0061": 1}]]',
    "the empty name": '"": 1, "": 2',
}


@pytest.mark.parametrize("text", TWICE.values(), ids=TWICE.keys())
@pytest.mark.parametrize("first", [True, False], ids=["before", "behind"])
def test_a_member_that_is_there_twice_is_refused(target: Target, text: str, first: bool) -> None:
    text = text.replace("{alg}", "RS256")

    target.refuses(target.sign(with_text(target.header(), text, before=first)))


# ---- the typ that an introspector asks for


@pytest.mark.parametrize("typ", [None, "JWT", "logout+jwt", "at", "at+jwt2", "text/at+jwt"])
def test_another_typ_than_the_one_asked_for_is_refused(make_app: MakeApp, target: Target, typ: str | None) -> None:
    jwt = {"iss": target.issuer.issuer, "typ": "at+jwt"}
    app = make_app([introspector("first", None, jwt=jwt, jwks_uri=target.issuer.jwks_uri), policy("all")])

    assert present(app, f"Bearer {target.sign(target.header(typ='AT+JWT'))}").status_code == 200
    assert_refused(present(app, f"Bearer {target.sign(target.header(typ=typ))}"))


@pytest.mark.parametrize("names", ["iss", "exp", "aud", "sub", "client_id azp", "iat", "jti"])
def test_a_token_without_what_its_typ_promises_is_refused_where_that_is_asked_for(
    make_app: MakeApp, target: Target, names: str
) -> None:
    jwt = {"iss": target.issuer.issuer, "typ": "at+jwt"}
    app = make_app([introspector("first", None, jwt=jwt, jwks_uri=target.issuer.jwks_uri), policy("all")])
    head = target.header(typ="at+jwt")

    assert present(app, f"Bearer {target.sign(head)}").status_code == 200
    assert_refused(present(app, f"Bearer {target.sign(head, target.claims(**dict.fromkeys(names.split())))}"))


def test_a_header_says_nothing_of_the_issuer(target: Target) -> None:
    # RFC 7519, section 5.3 lets claims be repeated in the header of what is encrypted, and of nothing else.
    body = claims(SECRET_ISSUER, iss=None)

    target.lets_in(by_secret())
    target.refuses(by_secret({"alg": "HS256", "iss": SECRET_ISSUER}, body))
