"""How many statements users cost, at the level of requests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer

from .apps import ask, protected, secret_token, trusting_a_secret
from .conftest import MakeApp
from .counting import checked_out, counted
from .own_model import BIND, with_own_users

DEFAULT, OWN, ON_A_BIND = "default model", "own model", "own model on a bind"


@pytest.fixture(params=[DEFAULT, OWN, ON_A_BIND])
def make_users(request: pytest.FixtureRequest, bare_app: MakeApp, tmp_path: Path) -> Callable[..., Flask]:
    """Makes apps with a model of users, in files or in memory."""

    def make(where: str, **config: Any) -> Flask:
        uris = {name: "sqlite://" if where == "memory" else f"sqlite:///{tmp_path / name}.db" for name in ("app", BIND)}
        app = bare_app(SQLALCHEMY_DATABASE_URI=uris["app"], SQLALCHEMY_BINDS={BIND: uris[BIND]}, **config)
        if request.param == DEFAULT:
            return protected(app, trusting_a_secret())
        db, _ = with_own_users(app, bind=request.param == ON_A_BIND)
        with app.app_context():
            db.create_all()
        return app

    return make


@pytest.fixture(params=["file", "memory"])
def app(request: pytest.FixtureRequest, make_users: Callable[..., Flask], issuer: Issuer) -> Flask:
    """One that has its tables and its registry loaded, and looks for changes no more."""
    app = make_users(request.param, FOREIGN_TOKEN_REGISTRY_POLL=3600)
    assert ask(app, token_of(issuer, "first")).status_code == 200
    return app


def token_of(issuer: Issuer, subject: str, **claims: object) -> str:
    return secret_token(issuer, sub=subject, email=f"{subject}@example.com", **claims)


def test_a_user_who_is_known_and_not_touched_is_no_statement(app: Flask, issuer: Issuer) -> None:
    ask(app, token := token_of(issuer, "ann"))

    with counted() as statements, checked_out() as connections:
        statuses = {ask(app, token).status_code for _ in range(10)}

    assert statuses == {200}
    assert (statuses, connections) == ({200}, [])
    assert (statements.work, statements.schema, statements.feed, statements.control) == ([], [], [], [])


def test_touching_a_user_who_is_known_is_one_statement(app: Flask, issuer: Issuer) -> None:
    ask(app, token := token_of(issuer, "ann"))

    with counted() as statements:
        answer = ask(app, token, "/me")

    assert answer.json["user"] is not None
    assert (statements.work, statements.schema, statements.feed) == (["SELECT"], [], [])


def test_making_a_user_is_three_statements(app: Flask, issuer: Issuer) -> None:
    token = token_of(issuer, "ann")

    with counted() as statements:
        answer = ask(app, token)

    assert answer.status_code == 200
    assert (statements.work, statements.schema, statements.feed) == (["SELECT", "INSERT", "INSERT"], [], [])


def test_making_a_user_and_touching_it_is_four_statements(app: Flask, issuer: Issuer) -> None:
    with counted() as statements:
        answer = ask(app, token_of(issuer, "ann"), "/me")

    assert answer.json["user"] is not None
    assert statements.work == ["SELECT", "INSERT", "INSERT", "SELECT"]


def test_a_new_token_of_a_user_who_is_known_is_no_statement(app: Flask, issuer: Issuer) -> None:
    ask(app, token_of(issuer, "ann"))

    with counted() as statements:
        answer = ask(app, token_of(issuer, "ann", jti="another"))

    assert answer.status_code == 200
    assert statements.work == []
