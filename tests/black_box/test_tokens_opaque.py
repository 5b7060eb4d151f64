"""Opaque tokens: who is asked, how, and which answers let a token in."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator

import pytest
from flask import Flask
from werkzeug.wrappers import Request, Response

from flask_foreign_token.testing import Client, Issuer

from ..apps import AUDIENCE, Resource, ask, policy, provider
from ..conftest import MakeApp
from .callers import Operated, operate
from .tokens import (
    ISSUER,
    OPAQUE,
    Server,
    active,
    asked_at,
    document,
    issued_by,
    jwk,
    let_in,
    refused,
    rsa_key,
    serving,
    token_of,
    unavailable,
)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        server.pages["/introspect"] = active(iss=None)
        yield server


@pytest.fixture
def asking(server: Server, make_app: MakeApp):
    """Makes apps that ask `server`, which gives `answer`; the rest is the introspector's."""

    def make(answer: object = None, **attributes: object) -> Flask:
        if answer is not None:
            server.pages["/introspect"] = answer
        return make_app(asked_at(f"{server.url}/introspect", **attributes))

    return make


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


ENDPOINT = {"client_id": "clinic", "client_secret": "the-secret-of-the-clinic"}
CREDENTIALS: dict[str, tuple[dict[str, str], str | None, dict[str, str]]] = {
    "an authorization": ({"authorization": "Bearer abc.DEF~1"}, "Bearer abc.DEF~1", {}),
    "a basic authorization": ({"authorization": "Basic YTpi"}, "Basic YTpi", {}),
    "id and secret": (ENDPOINT, basic("clinic", "the-secret-of-the-clinic"), {}),
    "by basic": (
        {**ENDPOINT, "auth_method": "client_secret_basic"},
        basic("clinic", "the-secret-of-the-clinic"),
        {},
    ),
    "in the form": (
        {**ENDPOINT, "auth_method": "client_secret_post"},
        None,
        {"client_id": "clinic", "client_secret": "the-secret-of-the-clinic"},
    ),
    "with what must be encoded": (
        {"client_id": "a:b c", "client_secret": "p+q %&/ü and some more"},
        basic("a%3Ab+c", "p%2Bq+%25%26%2F%C3%BC+and+some+more"),
        {},
    ),
}


@pytest.mark.parametrize("case", CREDENTIALS)
def test_the_provider_is_asked_by_post_with_the_credential_as_configured(asking, server: Server, case):
    endpoint, header, form = CREDENTIALS[case]
    app = asking(introspection_endpoint={"url": f"{server.url}/introspect", **endpoint})

    let_in(ask(app, OPAQUE))

    [call] = server.calls
    assert (call.method, call.headers.get("Authorization")) == ("POST", header)
    assert "application/json" in call.headers["Accept"]
    assert {name: call.form.get(name) for name in ("token", *form)} == {"token": OPAQUE, **form}
    if not form:
        assert "client_secret" not in call.form


@pytest.mark.parametrize("value", [1, "true", "True", "yes", None, [True], {}, 0, "", "active"])
def test_only_the_true_of_json_is_active(asking, value):
    answer = ask(asking({**active(), "active": value}), OPAQUE)

    assert answer.status_code in {401, 503}
    assert answer.json["error"] in {"invalid_token", "temporarily_unavailable"}


def test_a_token_that_is_not_active_is_refused_and_one_that_is_let_in(asking, server: Server):
    app = asking(lambda request: active() if request.form["token"] == "good" else {"active": False})

    refused(ask(app, "bad"), "not active")
    let_in(ask(app, "good"))


NOW = int(time.time())
ANSWERS: dict[str, tuple[dict[str, object], dict[str, object], bool]] = {
    "as it is": ({}, {}, True),
    "exp past": ({"exp": NOW - 60}, {}, False),
    "exp past by less than the leeway": ({"exp": NOW - 10}, {"leeway": 300}, True),
    "no exp": ({"exp": None}, {}, True),
    "exp as a text": ({"exp": str(NOW + 300)}, {}, False),
    "exp in milliseconds": ({"exp": (NOW + 300) * 1000}, {}, False),
    "nbf ahead": ({"nbf": NOW + 3600}, {}, False),
    "nbf past": ({"nbf": NOW - 60}, {}, True),
    "iat ahead": ({"iat": NOW + 3600}, {}, False),
    "no iat": ({"iat": None}, {}, True),
    "iss": ({"iss": ISSUER}, {"iss": ISSUER}, True),
    "another iss": ({"iss": ISSUER + "/"}, {"iss": ISSUER}, False),
    "no iss": ({"iss": None}, {"iss": ISSUER}, True),
    "iss as a list": ({"iss": [ISSUER]}, {"iss": ISSUER}, False),
    "another aud": ({"aud": "other"}, {}, False),
    "aud in a list": ({"aud": ["x", AUDIENCE]}, {}, True),
    "aud not in a list": ({"aud": ["x", "y"]}, {}, False),
    "no aud": ({"aud": None}, {}, False),
    "aud as a number": ({"aud": 1}, {}, False),
    "token_type": ({"token_type": "Bearer"}, {}, True),
    "token_type in lower case": ({"token_type": "bearer"}, {}, True),
    "token_type of a refresh token": ({"token_type": "refresh_token"}, {}, False),
    "token_type DPoP": ({"token_type": "DPoP"}, {}, False),
    "token_type N_A": ({"token_type": "N_A"}, {}, False),
    "token_type as a list": ({"token_type": ["Bearer"]}, {}, False),
    "client": ({"client_id": "c"}, {"client_id": ["c"]}, True),
    "another client": ({"client_id": "d"}, {"client_id": ["c"]}, False),
    "no client": ({}, {"client_id": ["c"]}, False),
    "sub as a number": ({"sub": 7}, {}, False),
    "an empty sub": ({"sub": ""}, {}, False),
    "NUL in sub": ({"sub": "a\0"}, {}, False),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_what_an_answer_says_is_checked(asking, case):
    said, jwt, good = ANSWERS[case]
    # Minutes may lie between the reading of this file and this test.
    late = int(time.time()) - NOW
    said = {
        name: value + late if isinstance(value, int) and name in {"exp", "nbf", "iat"} else value
        for name, value in said.items()
    }
    answer = ask(asking(active(**{"iss": None, **said}), jwt={"aud": AUDIENCE, **jwt}), OPAQUE)

    let_in(answer) if good else refused(answer)


@pytest.mark.parametrize("said", [None, "Bearer", "bearer", "DPoP"])
def test_a_token_type_that_is_asked_for_must_be_there(asking, said):
    answer = ask(asking(active(iss=None, token_type=said), token_type="Bearer"), OPAQUE)

    let_in(answer) if said in {"Bearer", "bearer"} else refused(answer)


def test_the_issuer_of_the_provider_is_compared_where_the_introspector_names_none(server: Server, make_app: MakeApp):
    resources = asked_at(f"{server.url}/introspect")
    resources[0] = provider(issuer=ISSUER)
    server.pages["/introspect"] = lambda request: active(iss=ISSUER if request.form["token"] == "a" else "https://x")
    app = make_app(resources)

    let_in(ask(app, "a"))
    refused(ask(app, "b"), "iss")


def test_a_token_without_sub_has_no_user(asking):
    answer = ask(asking(active(sub=None, iss=None)), OPAQUE, "/me")

    assert answer.json == {"user": None, "subject": None}


USELESS = {
    "no JSON": lambda: Response("<html>", content_type="text/html"),
    "JSON of another kind": lambda: document([active()]),
    "null": lambda: document(None),
    "no active": lambda: document({"sub": "ada", "aud": AUDIENCE}),
    "an active that is a text": lambda: document({**active(), "active": "true"}),
    "a signed answer": lambda: Response("a.b.c", content_type="application/token-introspection+jwt"),
    "500": lambda: document(active(), 500),
    "404": lambda: document(active(), 404),
    "a redirect": lambda: document(active(), 302, Location="/elsewhere"),
    "429": lambda: document({}, 429),
    "2 MiB": lambda: document({**active(), "x": "y" * 2**21}),
    "a duplicate member": lambda: Response('{"active": false, "active": true}', content_type="application/json"),
    "deep JSON": lambda: Response('{"active": true, "x":' + "[" * 9000, content_type="application/json"),
}


@pytest.mark.parametrize("case", USELESS)
def test_an_answer_without_use_is_no_verdict(asking, server: Server, case):
    unavailable(ask(asking(USELESS[case]()), OPAQUE))

    assert {call.path for call in server.calls} == {"/introspect"}


REFUSALS = [(401, {}), (403, {}), (400, {"error": "invalid_client"})]


@pytest.mark.parametrize(("status", "body"), REFUSALS)
def test_an_endpoint_that_refuses_our_credential_is_503_and_logged_once(server, timed_app, now, caplog, status, body):
    server.pages["/introspect"] = document(body, status)
    app = timed_app(asked_at(f"{server.url}/introspect"))

    for number in range(4):
        unavailable(ask(app, f"token{number}"))
        now.now += 6

    lines = [record for record in caplog.records if "credential" in record.getMessage()]
    assert [record.levelname for record in lines] == ["ERROR"]
    assert "TokenIntrospector/asked" in lines[0].getMessage()
    assert "the-secret-of-the-clinic" not in caplog.text
    assert "token0" not in caplog.text

    refusing = server.pages["/introspect"]
    server.pages["/introspect"] = active(iss=None)
    let_in(ask(app, "good"))

    now.now += 60
    server.pages["/introspect"] = refusing
    unavailable(ask(app, "another"))
    assert sum("credential" in record.getMessage() for record in caplog.records) == 2, "it was accepted in between"


def several(server: Server, **second: object) -> list[Resource]:
    """Two providers, told apart by how their tokens begin."""
    one, two = asked_at(f"{server.url}/one", "one"), asked_at(f"{server.url}/two", "two")
    one[1]["token_prefix"] = "one_"
    two[1].update({"identity_provider": {"reference": "IdentityProvider/two"}, "token_prefix": "two_", **second})
    return [*one, provider("two"), two[1]]


def test_a_token_goes_to_the_provider_that_its_prefix_names_and_to_no_other(server: Server, make_app: MakeApp):
    server.pages.update({"/one": active(iss=None), "/two": active(iss=None, sub="bob")})
    app = make_app(several(server))

    let_in(ask(app, "one_a"))
    let_in(ask(app, "two_a"), "bob")
    refused(ask(app, "three_a"))
    refused(ask(app, "ONE_a"))
    refused(ask(app, "aone_"))
    assert [(call.path, call.form["token"]) for call in server.calls] == [("/one", "one_a"), ("/two", "two_a")]


def test_a_token_that_its_provider_does_not_know_is_shown_to_no_other(server: Server, make_app: MakeApp):
    server.pages.update({"/one": {"active": False}, "/two": active(iss=None)})

    refused(ask(make_app(several(server)), "one_a"), "not active")
    assert [call.path for call in server.calls] == ["/one"]


@pytest.mark.parametrize("prefix", [None, "one_", "one_more", "o", ""])
def test_several_opaque_introspectors_need_prefixes_that_tell_them_apart(operated: Operated, server, prefix):
    app, body = operated([*several(server)[:2], provider("two")]), several(server, token_prefix=prefix)[-1]
    body = {name: value for name, value in body.items() if value is not None}

    assert operate(app, "PUT", "/fhir/TokenIntrospector/two", body).status_code == 422
    assert operate(app, "PUT", "/fhir/TokenIntrospector/two", {**body, "token_prefix": "two_"}).status_code == 201


def test_a_jwt_is_shown_to_the_opaque_introspector_that_names_its_issuer_alone(asking, server: Server):
    app = asking(active(), jwt={"aud": AUDIENCE, "iss": ISSUER})

    let_in(ask(app, token_of()))
    refused(ask(app, token_of(iss="https://other.example")))
    refused(ask(app, token_of(exp=1)))
    assert server.count("/introspect") == 1
    let_in(ask(app, OPAQUE))


def test_a_jwt_is_shown_to_nobody_who_names_no_issuer(asking, server: Server):
    app = asking()

    for token in (token_of(), token_of(iss=None), token_of()[:-3], "eyJhbGciOiJub25lIn0.e30."):
        refused(ask(app, token))
    assert server.calls == []


def test_jwts_that_are_verified_and_opaque_tokens_of_one_provider_lead_to_one_user(server: Server, make_app: MakeApp):
    resources = [*issued_by(server.keys(jwk(rsa_key()))), asked_at(f"{server.url}/introspect")[1]]
    app = make_app([*resources, policy("asked", {"token": {"active": True}})])
    server.pages["/introspect"] = active()

    first, second = ask(app, token_of(), "/me").json, ask(app, OPAQUE, "/me").json
    assert first == second
    assert first["user"]
    assert server.count("/introspect") == 1


def test_the_endpoint_and_the_client_of_the_provider_serve_an_introspector_that_has_none(server, make_app):
    resources = asked_at("", introspection_endpoint=None)
    client = {"id": "clinic", "secret": "the-secret-of-the-clinic", "auth-method": "client_secret_post"}
    resources[0] = provider(introspection_endpoint=f"{server.url}/introspect", client=client)

    let_in(ask(make_app(resources), OPAQUE))
    assert server.calls[0].form["client_secret"] == "the-secret-of-the-clinic"


def test_the_provider_for_tests_is_asked_and_takes_tokens_back(make_app: MakeApp):
    with Issuer(clients=[Client("clinic", "the-secret-of-the-clinic")]) as issuer:
        app = make_app([*issuer.resources(kind="opaque"), policy("asked", {"token": {"active": True}})])
        good, bad = issuer.opaque_token(sub="ada"), issuer.opaque_token(sub="ada")
        issuer.revoke(bad)

        let_in(ask(app, good))
        refused(ask(app, bad), "not active")
        assert issuer.requests["introspection"] == 2


def test_no_token_is_sent_where_a_redirect_points(asking, server: Server):
    server.pages["/elsewhere"] = active()

    def redirect(request: Request) -> Response:
        return document({}, 307, Location=f"{server.url}/elsewhere")

    unavailable(ask(asking(redirect), OPAQUE))
    assert server.count("/elsewhere") == 0
