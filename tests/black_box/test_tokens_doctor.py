"""What `doctor` shows of keys, of opaque tokens and of discovery."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.wrappers import Response

from ..apps import introspector, policy, provider
from ..conftest import MakeApp
from .callers import run
from .publishing import document as published
from .tokens import Server, active, asked_at, b64, document, ec_key, issued_by, jwk, rsa_key, serving

SECRET = "the-secret-of-the-clinic"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        server.keys(jwk(rsa_key()))
        server.pages["/introspect"] = {"active": False}
        yield server


def doctor(app: Flask, status: int) -> str:
    """What it says, on one line so that no line end hides a word."""
    result = run(app, "doctor", status=None)
    assert result.exit_code == status, result.output
    assert SECRET not in result.output
    return " ".join(result.output.split())


def test_it_shows_the_keys_by_id_and_kind_and_those_left_out_with_the_reason(server: Server, make_app: MakeApp):
    server.keys(
        jwk(rsa_key(), "rsa-one"),
        jwk(ec_key(), "ec-two"),
        jwk(rsa_key("enc"), "enc-three", use="enc"),
        jwk(rsa_key("small", 1024), "small-four"),
        {"kty": "oct", "k": b64(b"s" * 32), "kid": "oct-five"},
    )
    text = doctor(make_app(issued_by(f"{server.url}/keys")), 0)

    for name in ("rsa-one", "ec-two", "enc-three", "small-four", "oct-five", "RS256", "ES256", "age", "next refresh"):
        assert name in text, text
    assert "2048" in text


BAD_SETS: dict[str, Any] = {
    "500": lambda: document({}, 500),
    "no JSON": lambda: Response("<html>"),
    "no key that serves": lambda: document({"keys": [jwk(rsa_key("small", 1024), "small")]}),
}


@pytest.mark.parametrize("case", BAD_SETS)
def test_it_fails_where_keys_cannot_be_had(server: Server, make_app: MakeApp, case):
    app = make_app(issued_by(f"{server.url}/keys"))
    doctor(app, 0)

    server.pages["/keys"] = BAD_SETS[case]()
    assert "fail" in doctor(make_app(issued_by(f"{server.url}/keys")), 1)


def test_it_fails_where_a_provider_is_gone(make_app: MakeApp):
    with serving() as server:
        url = server.url
    assert "fail" in doctor(make_app(issued_by(f"{url}/keys")), 1)


REFUSED = [(401, {}), (403, {}), (400, {"error": "invalid_client"})]


@pytest.mark.parametrize(("status", "body"), REFUSED)
def test_it_says_that_an_endpoint_refuses_our_credential_and_what_to_correct(server, make_app, status, body):
    app = make_app(asked_at(f"{server.url}/introspect"))
    doctor(app, 0)

    server.pages["/introspect"] = document(body, status)
    text = doctor(make_app(asked_at(f"{server.url}/introspect")), 1)
    assert "TokenIntrospector/asked" in text
    assert "credential" in text
    assert "introspection_endpoint" in text


@pytest.mark.parametrize("case", ["500", "no JSON", "no active", "everything is active"])
def test_it_fails_where_an_endpoint_answers_nothing_of_use(server: Server, make_app: MakeApp, case):
    server.pages["/introspect"] = {
        "500": document({}, 500),
        "no JSON": Response("<html>"),
        "no active": document({}),
        "everything is active": document(active()),
    }[case]

    assert "fail" in doctor(make_app(asked_at(f"{server.url}/introspect")), 1)


def test_it_asks_about_a_token_that_nobody_has(server: Server, make_app: MakeApp):
    app = make_app(asked_at(f"{server.url}/introspect"))

    doctor(app, 0)
    doctor(app, 0)
    asked = [call.form["token"] for call in server.calls if call.path == "/introspect"]
    assert len(asked) >= 2
    assert all(asked)


def test_it_says_which_address_is_to_be_stored_where_metadata_lead_to_another_host(server: Server, make_app: MakeApp):
    with serving() as elsewhere:
        elsewhere.keys(jwk(rsa_key()))
        body = published(server.url, server.url, jwks_uri=f"{elsewhere.url}/keys")
        server.pages["/.well-known/openid-configuration"] = body
        resources = [
            provider(issuer=server.url),
            introspector("own", jwt={"iss": server.url}),
            policy("own-tokens", {"jwt": {"iss": server.url}}),
        ]
        text = doctor(make_app(resources), 1)

        assert f"{elsewhere.url}/keys" in text
        assert "jwks_uri" in text
        assert elsewhere.calls == []


def test_it_passes_where_what_is_needed_is_discovered(server: Server, make_app: MakeApp):
    server.pages["/.well-known/openid-configuration"] = published(server.url, server.url)
    resources = [
        provider(issuer=server.url),
        introspector("own", jwt={"iss": server.url}),
        policy("own-tokens", {"jwt": {"iss": server.url}}),
    ]

    assert "first" in doctor(make_app(resources), 0)


@pytest.mark.parametrize("secret", ["short", " " * 40])
def test_it_says_why_an_introspector_is_out_of_service(make_app: MakeApp, secret):
    app = make_app(issued_by(secret=secret))
    text = doctor(app, 1)

    assert "TokenIntrospector/own" in text
    assert "secret" in text


def test_it_says_that_an_introspector_lacks_an_audience(server: Server, make_app: MakeApp):
    text = doctor(make_app(issued_by(f"{server.url}/keys", aud=None)), 1)

    assert "TokenIntrospector/own" in text
    assert "FOREIGN_TOKEN_REQUIRE_AUDIENCE" in text
