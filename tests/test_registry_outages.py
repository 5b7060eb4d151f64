"""A registry whose database goes away while the app runs: what was in force serves on."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import text

from flask_foreign_token.registry.live import LiveRegistry
from flask_foreign_token.testing import Issuer

from .apps import ask, in_database, policy, secret_token, store, trusting_a_secret
from .conftest import MakeApp


@pytest.fixture(params=["file", "memory"])
def app(request: pytest.FixtureRequest, make_app: MakeApp) -> Flask:
    uri = {"SQLALCHEMY_DATABASE_URI": "sqlite://"} if request.param == "memory" else {}
    app = make_app(FOREIGN_TOKEN_REGISTRY_POLL=0, **uri)
    store(app, trusting_a_secret(policy("all", {"jwt": {"sub": "present?"}})))
    return app


def rename(app: Flask, table: str, name: str) -> None:
    in_database(app, lambda connection: connection.execute(text(f"ALTER TABLE {table} RENAME TO {name}")))


def registry_in(app: Flask) -> LiveRegistry:
    registry: LiveRegistry = app.extensions["foreign_token"].runtime().registry
    return registry


def test_what_was_in_force_serves_on_and_the_state_says_so(app: Flask, issuer: Issuer) -> None:
    known, new = secret_token(issuer, sub="ann"), secret_token(issuer, sub="bob")
    before = ask(app, known).status_code
    rename(app, "foreign_token_change", "away")

    during = [ask(app, known).status_code, ask(app, new).status_code]
    state, is_ready = registry_in(app).state, registry_in(app).is_ready

    assert (before, during) == (200, [200, 200])
    assert (state.is_reachable, is_ready) == (False, False)
    assert "table is missing" in str(state.fault)


def test_what_comes_back_is_looked_at_again(app: Flask, issuer: Issuer) -> None:
    token = secret_token(issuer, sub="ann")
    rename(app, "foreign_token_change", "away")
    ask(app, token)
    rename(app, "away", "foreign_token_change")

    with app.app_context():
        store(app, [policy("all", {"jwt": {"sub": "bob"}})])

    assert (registry_in(app).state.is_reachable, registry_in(app).is_ready) == (True, True)
    assert ask(app, token).status_code == 403
