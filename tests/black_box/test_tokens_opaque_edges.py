"""Opaque tokens: what looks like a JWT and is none, and answers that say what no answer should."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from flask import Flask, g
from werkzeug.wrappers import Response

from flask_foreign_token import require_policy

from ..apps import ask, policy
from ..conftest import MakeApp
from .tokens import OPAQUE, Server, active, asked_at, b64, let_in, refused, serving, token_of

PATH = "/introspect"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        server.pages[PATH] = active(iss=None)
        yield server


@pytest.fixture
def app(server: Server, make_app: MakeApp) -> Flask:
    return make_app(asked_at(server.url + PATH))


@pytest.mark.parametrize(
    "token",
    [
        "a",
        "ya29.a0AfH6SMB-x_y",
        "v1.abc.def",
        "ory_at_x.y",
        "abc==",
        "a~b+c/d-e_f.g",
        "0" * 4000,
        "2YotnFZFEjr1zCsicMWpAA",
    ],
)
def test_a_token_that_is_no_jwt_is_asked_about_as_it_is(app: Flask, server: Server, token):
    let_in(ask(app, token))
    assert [call.form["token"] for call in server.calls] == [token]


JOSE = {
    "an unknown issuer": lambda: token_of(iss="https://other.example"),
    "no issuer": lambda: token_of(iss=None),
    "alg none": lambda: f"{b64(b'{}')}.{b64(b'{}')}.",
    "an encrypted token": lambda: b64(b'{"alg":"dir","enc":"A128GCM"}') + "..AA.AA.AA",
    "a broken signature": lambda: token_of()[:-1],
}


@pytest.mark.parametrize("case", JOSE)
@pytest.mark.parametrize("prefix", [None, "ey", "e"])
def test_a_jwt_of_no_known_issuer_is_shown_to_nobody_whatever_prefix_there_is(server, make_app, case, prefix):
    app = make_app(asked_at(server.url + PATH, token_prefix=prefix))

    refused(ask(app, JOSE[case]()))
    assert server.calls == []
    let_in(ask(app, "e" + "y" * 20))


STRANGE = {
    "exp that no float holds": '"exp": 1e400',
    "exp of 5 000 digits": '"exp": ' + "9" * 5000,
    "exp NaN": '"exp": NaN',
    "a surrogate in sub": '"sub": "\\ud800"',
    "a surrogate elsewhere": '"username": "\\ud800"',
    "octets that are no text": None,
    "a number as scope": '"scope": 7',
    "a client that is a list": '"client_id": ["c"]',
}


@pytest.mark.parametrize("case", STRANGE)
def test_an_answer_with_what_is_no_value_is_no_error_of_ours(server: Server, app: Flask, case):
    member = STRANGE[case]
    good = json.dumps(active(iss=None, exp=None, sub=None))[:-1]
    if member is None:
        body = good.encode() + b', "sub": "\xff"}'
    else:
        body = f"{good}, {member}}}".encode() if "sub" in member else f'{good}, "sub": "ada", {member}}}'.encode()
    server.pages[PATH] = Response(body, content_type="application/json")

    answer = ask(app, OPAQUE)
    if case == "a number as scope":
        assert answer.status_code in {200, 401, 503}
    else:
        assert answer.status_code in {401, 503}, answer.get_data(as_text=True)


USELESS = {
    "no JSON": "<html>",
    "nothing": "",
    "a list": "[]",
    "no active": "{}",
    "an active that is a text": '{"active": "true"}',
    "a number that no float holds": '{"active": true, "x": 1e400}',
    "a surrogate that a user chose": '{"active": true, "username": "\\ud800"}',
    "a duplicate member": '{"active": true, "active": true}',
    "deep JSON": '{"active": true, "x": ' + "[" * 3000 + "]" * 3000 + "}",
}


@pytest.mark.parametrize("case", USELESS)
def test_an_answer_without_use_holds_up_one_token_and_no_other(server: Server, app: Flask, case):
    """docs/opaque.md, "While it does not answer": no JSON, no boolean `active`, another 4xx."""
    server.pages[PATH] = Response(USELESS[case], content_type="application/json")
    assert ask(app, OPAQUE).status_code == 503

    server.pages[PATH] = active(iss=None)
    let_in(ask(app, "another"))
    assert ask(app, OPAQUE).status_code == 503


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "application/token+json", None]
)
def test_an_answer_in_json_is_read_however_it_is_labelled(server: Server, app: Flask, kind):
    if kind is not None:
        server.pages[PATH] = Response(json.dumps(active(iss=None)), content_type=kind)

    let_in(ask(app, OPAQUE))


def test_policies_and_views_see_the_answer_as_token_and_no_jwt(server: Server, make_app: MakeApp):
    resources = asked_at(server.url + PATH)
    resources[-1] = policy(
        "own", {"token": {"scope": "#read", "department": "icu"}, "jwt": "nil?", "client": {"id": "c"}}
    )
    app = make_app(resources)

    @app.get("/told")
    @require_policy(scope="read")
    def told() -> dict[str, object]:
        return {"kind": g.token.kind, "scopes": sorted(g.token.scopes), "client": g.token.client_id}

    said = {"scope": "read write", "department": "icu", "client_id": "c"}
    server.pages[PATH] = lambda request: active(iss=None, **({**said} if request.form["token"] == "good" else {}))
    assert ask(app, "good", "/told").json == {"kind": "opaque", "scopes": ["read", "write"], "client": "c"}
    assert ask(app, "poor", "/told").status_code == 403


def test_a_scope_that_the_answer_lacks_is_403(server: Server, app: Flask):
    @app.get("/scoped")
    @require_policy(scope="write")
    def scoped() -> dict[str, object]:
        return {"subject": g.token.subject}

    answer = ask(app, OPAQUE, "/scoped")
    assert (answer.status_code, answer.json["error"]) == (403, "insufficient_scope")
    server.pages[PATH] = active(iss=None, scope="read write")
    let_in(ask(app, "another", "/scoped"))


def test_an_opaque_introspector_without_an_audience_takes_answers_of_any(server: Server, make_app: MakeApp):
    """docs/opaque.md, the warning: none is required there; with `RESOURCE` that is the audience."""
    server.pages[PATH] = active(iss=None, aud="other")
    let_in(ask(make_app(asked_at(server.url + PATH, jwt={})), OPAQUE))

    app = make_app(asked_at(server.url + PATH, jwt={}), FOREIGN_TOKEN_RESOURCE="https://api.example")
    refused(ask(app, OPAQUE), "aud")
    server.pages[PATH] = active(iss=None, aud=["https://api.example"])
    let_in(ask(app, "another"))
