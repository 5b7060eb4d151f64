"""Not every JWT of an issuer is an access token, and not every access token is a bearer token."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask, g
from joserfc.jwk import OctKey

from flask_foreign_token import require_policy
from flask_foreign_token.testing import Issuer

from ..apps import ask, trusting
from ..conftest import MakeApp
from .tokens import (
    OPAQUE,
    Server,
    active,
    asked_at,
    issued_by,
    jwk,
    let_in,
    refused,
    rsa_key,
    serving,
    token_of,
)

OTHER_KINDS: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    **{f"claim typ {kind}": ({}, {"typ": kind}) for kind in ("ID", "Refresh", "Offline", "Logout")},
    **{f"claim {name}": ({}, {name: "x"}) for name in ("at_hash", "c_hash")},
    "claim events": ({}, {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}),
    "empty events": ({}, {"events": {}}),
    **{
        f"header typ {kind}": ({"typ": kind}, {})
        for kind in (
            "logout+jwt",
            "secevent+jwt",
            "dpop+jwt",
            "id+jwt",
            "JOSE",
            "token-introspection+jwt",
            "application/logout+jwt",
            "oauth-authz-req+jwt",
            "kb+jwt",
            "",
        )
    },
}
ACCESS_TOKENS: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "no typ": ({}, {}),
    "header JWT": ({"typ": "JWT"}, {}),
    "header jwt": ({"typ": "jwt"}, {}),
    "header at+jwt": ({"typ": "at+jwt"}, {}),
    "header AT+JWT in full": ({"typ": "application/AT+JWT"}, {}),
    "claim typ Bearer": ({"typ": "JWT"}, {"typ": "Bearer"}),
    "claim token_use access": ({}, {"token_use": "access"}),
    "nonce": ({}, {"nonce": "n"}),
}


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def app(server: Server, make_app: MakeApp) -> Flask:
    return make_app(issued_by(server.keys(jwk(rsa_key()))))


@pytest.mark.parametrize("case", OTHER_KINDS)
def test_a_token_of_another_kind_is_refused(app: Flask, case):
    header, claims = OTHER_KINDS[case]

    refused(ask(app, token_of(header=header, **claims)))


@pytest.mark.parametrize("case", ACCESS_TOKENS)
def test_an_access_token_is_let_in_whatever_way_it_says_so(app: Flask, case):
    header, claims = ACCESS_TOKENS[case]

    let_in(ask(app, token_of(header=header, **claims)))


@pytest.mark.parametrize("claim", [{"typ": "ID"}, {"typ": "Logout"}, {"events": {}}, {"at_hash": "x"}])
def test_another_kind_is_let_in_where_typ_asks_for_it(server: Server, make_app: MakeApp, claim):
    app = make_app(issued_by(server.keys(jwk(rsa_key())), typ="logout+jwt"))

    let_in(ask(app, token_of(header={"typ": "logout+jwt"}, **claim)))
    refused(ask(app, token_of(header={"typ": "JWT"}, **claim)))
    refused(ask(app, token_of(**claim)))


@pytest.mark.parametrize("case", [case for case in OTHER_KINDS if case.startswith(("claim", "empty"))])
def test_asking_for_access_tokens_does_not_let_other_kinds_in(server: Server, make_app: MakeApp, case):
    app = make_app(issued_by(server.keys(jwk(rsa_key())), typ="at+jwt"))
    good = {"client_id": "c", "jti": "1"}

    refused(ask(app, token_of(header={"typ": "at+jwt"}, **good, **OTHER_KINDS[case][1])))
    let_in(ask(app, token_of(header={"typ": "at+jwt"}, **good)))


@pytest.mark.parametrize("case", [case for case in OTHER_KINDS if case.startswith(("claim", "empty"))])
def test_an_answer_about_a_token_of_another_kind_is_refused(server: Server, make_app: MakeApp, case):
    server.pages["/introspect"] = active(**OTHER_KINDS[case][1])
    app = make_app(asked_at(f"{server.url}/introspect"))

    refused(ask(app, OPAQUE))


BOUND = {
    "a key": {"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}},
    "a certificate": {"cnf": {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}},
    "an empty cnf": {"cnf": {}},
    "a cnf that is no object": {"cnf": "x"},
    "DPoP": {"token_type": "DPoP"},
    "dpop": {"token_type": "dpop"},
}


@pytest.mark.parametrize("case", BOUND)
def test_a_token_that_is_bound_to_a_key_is_refused(app: Flask, case):
    refused(ask(app, token_of(**BOUND[case])))


@pytest.mark.parametrize("case", BOUND)
def test_an_answer_about_a_token_that_is_bound_to_a_key_is_refused(server: Server, make_app: MakeApp, case):
    server.pages["/introspect"] = active(**BOUND[case])

    refused(ask(make_app(asked_at(f"{server.url}/introspect")), OPAQUE))


def test_a_token_of_the_type_bearer_is_let_in(app: Flask):
    let_in(ask(app, token_of(token_type="Bearer")))


@pytest.mark.parametrize("scheme", ["DPoP", "Basic", "PoP", "Negotiate", "Bearerish"])
def test_another_scheme_is_none_of_ours_and_its_token_opens_nothing(app: Flask, server: Server, scheme):
    answer = ask(app, headers={"Authorization": f"{scheme} {token_of()}"})

    assert answer.status_code == 401
    assert "error=" not in answer.headers["WWW-Authenticate"]
    assert server.calls == []
    opened = ask(app, path="/open", headers={"Authorization": f"{scheme} {token_of()}"})
    assert opened.json == {"user": None, "subject": None}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_compared_without_case(app: Flask, scheme):
    let_in(ask(app, headers={"Authorization": f"{scheme} {token_of()}"}))


def test_a_token_has_what_step_up_and_sign_out_will_look_at(app: Flask):
    @app.get("/session")
    @require_policy
    def session() -> dict[str, object]:
        token = g.token
        return {
            "acr": token.acr,
            "auth_time": token.auth_time,
            "sid": token.sid,
            "confirmation": token.confirmation,
            "kind": token.kind,
        }

    said = {"acr": "gold", "auth_time": 1_700_000_000, "sid": "s-1"}
    assert ask(app, token_of(**said), "/session").json == {**said, "confirmation": None, "kind": "jwt"}
    nothing = {"acr": None, "auth_time": None, "sid": None}
    assert ask(app, token_of(), "/session").json == {**nothing, "confirmation": None, "kind": "jwt"}


def test_the_provider_for_tests_signs_the_same_kinds_and_they_are_refused(issuer: Issuer, make_app: MakeApp):
    app = make_app(trusting(issuer))

    assert ask(app, issuer.token()).status_code == 200
    for wrong in (
        {"typ": "ID"},
        {"typ": "Refresh"},
        {"at_hash": "x"},
        {"headers": {"typ": "logout+jwt"}},
        {"cnf": {"jkt": "x"}},
        {"algorithm": "none"},
        {"key": OctKey.import_key("x" * 32), "algorithm": "HS256"},
    ):
        refused(ask(app, issuer.token(**wrong)))
