"""What making users leaves alone: the app's own session, also where both have but one connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event

from flask_foreign_token.testing import Issuer

from .apps import ask, secret_token
from .conftest import MakeApp
from .own_model import with_own_users

NEWS = ("after_flush", "after_commit", "after_rollback", "after_soft_rollback")


@contextmanager
def heard(db: SQLAlchemy) -> Iterator[list[str]]:
    """What becomes of the app's session within the block."""
    news: list[str] = []
    listeners = [(name, lambda *rest, name=name: news.append(name)) for name in NEWS]
    for name, listener in listeners:
        event.listen(db.session, name, listener)
    try:
        yield news
    finally:
        for name, listener in listeners:
            event.remove(db.session, name, listener)


@pytest.fixture(params=["memory", "file"])
def own(request: pytest.FixtureRequest, bare_app: MakeApp, tmp_path: Path) -> tuple[Flask, SQLAlchemy, type[Any]]:
    uri = "sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path}/app.db"
    app = bare_app(SQLALCHEMY_DATABASE_URI=uri)
    db, person = with_own_users(app, bind=False)
    with app.app_context():
        db.create_all()
    return app, db, person


def test_what_the_session_holds_is_neither_flushed_nor_lost_when_a_user_is_made(
    own: tuple[Flask, SQLAlchemy, type[Any]], issuer: Issuer
) -> None:
    app, db, person = own
    with app.app_context():
        unfinished = person(name=None)
        db.session.add(unfinished)

        with heard(db) as news:
            answers = [ask(app, token_of(issuer, name), "/name") for name in ("ann", "bob")]

        assert [answer.json["name"] for answer in answers] == ["ann of keycloak", "bob of keycloak"]
        assert news == []
        assert unfinished in db.session.new


def test_what_the_session_has_flushed_stays_open_when_a_user_is_made_beside_it(
    bare_app: MakeApp, issuer: Issuer
) -> None:
    app = bare_app(SQLALCHEMY_DATABASE_URI="sqlite://")
    db, person = with_own_users(app, bind=False)
    with app.app_context():
        db.create_all()
        db.session.add(person(name="flushed", email="f@example.com"))
        db.session.flush()

        with heard(db) as news:
            answer = ask(app, token_of(issuer, "ann"), "/name")

        assert answer.json == {"name": "ann of keycloak", "real": True}
        assert news == []
        db.session.rollback()
        assert "flushed" not in db.session.scalars(sa.select(person.name)).all()


def token_of(issuer: Issuer, subject: str) -> str:
    return secret_token(issuer, sub=subject, email=f"{subject}@example.com")
