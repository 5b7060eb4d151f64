from __future__ import annotations

import time
from typing import Any

import pytest
from flask import Flask, g

from flask_foreign_token import require_policy
from flask_foreign_token.testing import Issuer, acting_as

from ..apps import ask, database_of, policy, registry_of, trusting, write_registry
from ..challenges import body
from ..conftest import MakeApp

READERS = policy("readers", {"jwt": {"role": "reader"}})


def add_user(app: Flask, issuer: Issuer, subject: str = "ann") -> Any:
    """A user whom a token brought, as an app has them."""
    key = ask(app, issuer.token(sub=subject, role="reader"), "/me").json["user"]
    with app.app_context():
        return database_of(app).session.get(app.extensions["foreign_token"].models.user, key)


@pytest.fixture
def app(make_app: MakeApp, issuer: Issuer) -> Flask:
    app = make_app(trusting(issuer, READERS))

    @app.get("/scoped")
    @require_policy(scope="patient.read")
    def scoped() -> dict[str, object]:
        return dict(g.token.claims)

    @app.get("/end")
    @require_policy
    def end() -> dict[str, object]:
        return {"end": g.token.expires_at}

    return app


def test_requests_are_made_by_the_user(app: Flask, issuer: Issuer) -> None:
    user = add_user(app, issuer)

    with acting_as(app, user, role="reader"):
        answer = ask(app, path="/me")

    assert (answer.status_code, answer.json) == (200, {"user": user.id, "subject": user.id})


def test_policies_still_decide(app: Flask, issuer: Issuer) -> None:
    user = add_user(app, issuer)

    with acting_as(app, user, role="gardener"):
        answer = ask(app)

    assert (answer.status_code, body(answer)) == (403, {"error": "access_denied"})


def test_policies_that_change_within_the_block_decide_anew(app: Flask, issuer: Issuer) -> None:
    user = add_user(app, issuer)

    with acting_as(app, user, role="reader"):
        before = ask(app).status_code
        write_registry(registry_of(app), trusting(issuer))
        app.extensions["foreign_token"].runtime().registry.refresh()
        after = ask(app).status_code

    assert (before, after) == (200, 403)


def test_policies_see_the_user(make_app: MakeApp, issuer: Issuer) -> None:
    only_ann = policy("only-ann", {"user": {"identifier": [{"value": "ann"}]}})
    app = make_app(trusting(issuer, READERS, only_ann))
    ann, bob = add_user(app, issuer, "ann"), add_user(app, issuer, "bob")

    statuses = []
    for user in (ann, bob):
        with acting_as(app, user):
            statuses.append(ask(app).status_code)

    assert statuses == [200, 403]


@pytest.mark.parametrize(("scope", "status"), [("openid patient.read", 200), ("openid", 403), (None, 403)])
def test_scopes_still_decide(app: Flask, scope: str | None, status: int) -> None:
    with acting_as(app, None, role="reader", scope=scope):
        assert ask(app, path="/scoped").status_code == status


def test_nobody_is_a_client_that_acts_for_itself(app: Flask) -> None:
    with acting_as(app, None, role="reader"):
        assert ask(app, path="/me").json == {"user": None, "subject": "service-account-my-client"}


def test_the_token_says_what_is_given_and_defaults_for_the_rest(app: Flask) -> None:
    with acting_as(app, None, role="reader", scope="patient.read", iss="https://idp.example", aud=None):
        claims = ask(app, path="/scoped").json

    assert claims.pop("exp") - claims.pop("iat") == 300
    assert claims == {
        "iss": "https://idp.example",
        "sub": "service-account-my-client",
        "azp": "my-client",
        "role": "reader",
        "scope": "patient.read",
    }


def test_the_token_ends_when_its_claim_says(app: Flask) -> None:
    with acting_as(app, None, role="reader", exp=4_000_000_000):
        assert ask(app, path="/end").json == {"end": 4_000_000_000}


def test_the_token_lasts_five_minutes_without_a_claim_that_says_more(app: Flask) -> None:
    with acting_as(app, None, role="reader", exp=None):
        assert ask(app, path="/end").json == {"end": pytest.approx(time.time() + 300, abs=60)}


def test_a_token_that_comes_along_is_not_looked_at(app: Flask) -> None:
    with acting_as(app, None, role="reader"):
        assert ask(app, "no-token").status_code == 200


def test_blocks_nest_and_end(app: Flask) -> None:
    with acting_as(app, None, role="reader", sub="outer"):
        with acting_as(app, None, role="reader", sub="inner"):
            inner = ask(app).json
        outer = ask(app).json

    assert (inner, outer) == ({"subject": "inner"}, {"subject": "outer"})
    assert ask(app).status_code == 401


def test_a_block_ends_when_its_test_fails(app: Flask) -> None:
    with pytest.raises(AssertionError), acting_as(app, None, role="reader"):
        raise AssertionError

    assert ask(app).status_code == 401


def test_another_app_is_left_alone(app: Flask, make_app: MakeApp, issuer: Issuer) -> None:
    another = make_app(trusting(issuer))

    with acting_as(app, None, role="reader"):
        assert ask(another).status_code == 401


def test_an_app_without_the_extension_is_an_error() -> None:
    with pytest.raises(KeyError, match="foreign_token"), acting_as(Flask("bare"), None):
        pass
