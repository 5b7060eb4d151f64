"""What is wrong whatever the keys are is refused before anybody asks for them: no fetch, and 401 in an outage too."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from ..apps import AUDIENCE, Resource, ask, introspector, provider
from ..conftest import MakeApp
from .callers import Operated, operate
from .tokens import (
    ISSUER,
    OPAQUE,
    Server,
    active,
    asked_at,
    b64,
    claims_of,
    compact,
    document,
    issued_by,
    jwk,
    let_in,
    pem,
    refused,
    rsa_key,
    serving,
    token_of,
    unavailable,
)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        server.pages["/introspect"] = active()
        yield server


def unsigned(header: object, claims: object = None) -> str:
    return compact(header, claims_of() if claims is None else claims, lambda _: b"x" * 256)


WRONG: dict[str, Callable[[], str]] = {
    "alg none": lambda: unsigned({"alg": "none"}),
    "alg none with a kid": lambda: unsigned({"alg": "none", "kid": "first"}),
    "no alg": lambda: unsigned({"kid": "first"}),
    "an unknown alg": lambda: unsigned({"alg": "RS257", "kid": "first"}),
    "a secret": lambda: token_of(pem(rsa_key()), "HS256"),
    "a secret and an invented kid": lambda: token_of(pem(rsa_key()), "HS256", kid="invented"),
    "crit": lambda: token_of(header={"crit": ["b64"], "b64": True}),
    "b64": lambda: token_of(header={"b64": False}),
    "kid as a list": lambda: token_of(kid=["first"]),
    "a duplicate member": lambda: unsigned(b'{"alg":"RS256","alg":"RS256"}'),
    "no JSON": lambda: unsigned(b"{"),
    "claims that are a list": lambda: unsigned({"alg": "RS256", "kid": "first"}, []),
    "deep claims": lambda: unsigned({"alg": "RS256"}, b'{"iss":' + b"[" * 9000),
    "NaN": lambda: unsigned({"alg": "RS256", "kid": "first"}, b'{"iss":"https://issuer.example","exp":NaN}'),
    "another issuer": lambda: token_of(iss="https://other.example"),
    "no issuer": lambda: token_of(iss=None),
    "two parts": lambda: ".".join(token_of().split(".")[:2]),
    "an encrypted token": lambda: b64(b'{"alg":"dir","enc":"A128GCM"}') + "..AA.AA.AA",
    "an opaque token": lambda: OPAQUE,
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("down", [False, True])
def test_what_is_wrong_whatever_the_keys_are_fetches_nothing(server: Server, make_app: MakeApp, case, down):
    server.keys(jwk(rsa_key()))
    if down:
        server.pages["/keys"] = document({}, 500)
    app = make_app(issued_by(f"{server.url}/keys"))

    refused(ask(app, WRONG[case]()))
    assert server.calls == []
    answer = ask(app, token_of())
    unavailable(answer) if down else let_in(answer)


def about_jwts(server: Server) -> list[Resource]:
    """JWTs of the issuer asked about."""
    return asked_at(f"{server.url}/introspect", jwt={"aud": AUDIENCE, "iss": ISSUER})


BY_ITS_OWN_ACCOUNT: dict[str, Callable[[], str]] = {
    "expired": lambda: token_of(exp=1),
    "ahead": lambda: token_of(nbf=9_999_999_999),
    "an ID token": lambda: token_of(typ="ID"),
    "at_hash": lambda: token_of(at_hash="x"),
    "a header of another kind": lambda: token_of(header={"typ": "logout+jwt"}),
    "alg none": lambda: unsigned({"alg": "none"}),
    "crit": lambda: token_of(header={"crit": ["exp"]}),
    "a duplicate member": lambda: unsigned(b'{"alg":"RS256","alg":"RS256"}'),
    "another issuer": lambda: token_of(iss="https://other.example"),
    "cnf": lambda: token_of(cnf={"jkt": "x"}),
}


@pytest.mark.parametrize("case", BY_ITS_OWN_ACCOUNT)
def test_a_jwt_that_is_wrong_by_its_own_account_is_shown_to_nobody(server: Server, make_app: MakeApp, case):
    app = make_app(about_jwts(server))

    refused(ask(app, BY_ITS_OWN_ACCOUNT[case]()))
    assert server.calls == []
    let_in(ask(app, token_of()))
    assert server.count("/introspect") == 1


def test_the_answer_and_not_the_jwt_says_who_it_is(server: Server, make_app: MakeApp):
    app = make_app(about_jwts(server))

    let_in(ask(app, token_of(sub="eve")), "ada")
    server.pages["/introspect"] = active(aud="other")
    refused(ask(app, token_of(sub="eve", jti="2")), "aud")
    server.pages["/introspect"] = active(iss="https://other.example")
    refused(ask(app, token_of(sub="eve", jti="3")), "iss")


def test_one_issuer_has_its_jwts_verified_or_asked_about_but_not_both(operated: Operated, server: Server):
    app = operated([provider()])
    verified = introspector("verified", jwt={"iss": ISSUER}, jwks_uri=f"{server.url}/keys")
    asked = about_jwts(server)[1]

    def put(body: Resource) -> int:
        return operate(app, "PUT", f"/fhir/TokenIntrospector/{body['id']}", body).status_code

    assert put(verified) == 201
    assert put(asked) == 422
    assert put({**asked, "jwt": {"aud": AUDIENCE}}) == 201


ADDRESSES = {
    "jwks_uri": lambda url: introspector("x", None, jwt={"iss": ISSUER}, jwks_uri=url),
    "introspection_endpoint": lambda url: {
        "resourceType": "TokenIntrospector",
        "id": "x",
        "type": "opaque",
        "introspection_endpoint": {"url": url, "client_id": "c", "client_secret": "s" * 16},
    },
}


@pytest.mark.parametrize("name", ADDRESSES)
def test_an_address_without_tls_is_refused_and_the_setting_that_allows_it_named(operated: Operated, name):
    app, allowed = operated(), operated(FOREIGN_TOKEN_ALLOW_HTTP_HOSTS=["login.example"])
    for url, status in [
        ("http://login.example/x", 422),
        ("https://login.example/x", 201),
        ("ftp://login.example/x", 422),
    ]:
        answer = operate(app, "PUT", "/fhir/TokenIntrospector/x", ADDRESSES[name](url))
        assert answer.status_code == status
        if url.startswith("http:"):
            assert "FOREIGN_TOKEN_ALLOW_HTTP_HOSTS" in answer.get_data(as_text=True)
    assert (
        operate(allowed, "PUT", "/fhir/TokenIntrospector/x", ADDRESSES[name]("http://login.example/x")).status_code
        == 201
    )


KEYS_OF_TWO_SOURCES = {
    "secret and jwks_uri": {"secret": "s" * 16 + "h" * 16},
    "keys and jwks_uri": {"keys": [{"kty": "OCT", "alg": "HS256", "format": "plain", "k": "s" * 16 + "h" * 16}]},
}


@pytest.mark.parametrize("case", KEYS_OF_TWO_SOURCES)
def test_keys_come_from_one_place(operated: Operated, server: Server, case):
    body = introspector("x", None, jwt={"iss": ISSUER, **KEYS_OF_TWO_SOURCES[case]})
    app = operated()

    both = {**body, "jwks_uri": f"{server.url}/keys"}
    assert operate(app, "PUT", "/fhir/TokenIntrospector/x", both).status_code == 422
    assert operate(app, "PUT", "/fhir/TokenIntrospector/x", body).status_code == 201


def test_a_secret_is_never_read_back_and_written_back_keeps_it(operated: Operated, server: Server):
    app = operated(asked_at(f"{server.url}/introspect"))
    let_in(ask(app, OPAQUE))
    shown = operate(app, "GET", "/fhir/TokenIntrospector/asked").json

    assert shown["introspection_endpoint"]["client_secret"] == "********"
    shown["cache_ttl"] = 299
    assert operate(app, "PUT", "/fhir/TokenIntrospector/asked", shown).status_code == 200
    let_in(ask(app, "another"))
    first, second = (call.headers["Authorization"] for call in server.calls)
    assert first == second
    assert "the-secret" not in json.dumps(operate(app, "GET", "/fhir/TokenIntrospector").json)


def test_nothing_of_a_token_reaches_the_log_or_the_answer(server: Server, make_app: MakeApp, caplog):
    caplog.set_level("DEBUG")
    app: Flask = make_app([*issued_by(server.keys(jwk(rsa_key()))), asked_at(f"{server.url}/introspect")[1]])
    server.pages["/introspect"] = document({}, 500)
    secret = "a-claim-that-nobody-must-read"

    for token in (
        token_of(aud=secret),
        token_of(rsa_key("another"), nonce=secret),
        token_of(iss=f"https://{secret}.example"),
        token_of(kid=secret),
        token_of(sub=secret, header={"crit": [secret]}),
        token_of(header={"typ": secret}),
        secret,
    ):
        answer = ask(app, token)
        assert answer.status_code in {401, 503}
        assert secret not in f"{answer.headers}{answer.get_data(as_text=True)}"
        assert token not in caplog.text
    assert secret not in caplog.text
