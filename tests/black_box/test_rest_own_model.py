"""Users of an app that has a model of its own."""

from __future__ import annotations

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import ForeignKey, event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_foreign_token import ForeignToken
from flask_foreign_token.testing import Issuer

from ..apps import add_views, ask, trusting
from ..conftest import MakeApp
from .callers import OPERATOR_SETTINGS, ids, linked, operate, put, put_all, read, run


@pytest.fixture
def app(bare_app: MakeApp, issuer: Issuer, tmp_path) -> Flask:
    class Base(DeclarativeBase):
        pass

    db = SQLAlchemy(model_class=Base)

    class Member(db.Model):
        __tablename__ = "member"
        __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012
        id: Mapped[int] = mapped_column(primary_key=True)
        is_active: Mapped[bool] = mapped_column(default=True)

    class Order(db.Model):
        __tablename__ = "purchase"
        id: Mapped[int] = mapped_column(primary_key=True)
        member_id: Mapped[int] = mapped_column(ForeignKey("member.id"))

    app = bare_app(**OPERATOR_SETTINGS, SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/own.sqlite")
    db.init_app(app)
    ForeignToken(app, db=db, user_class=Member, active_attribute="is_active")
    add_views(app)
    with app.app_context():
        event.listen(db.engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys = ON"))
        db.create_all()
    app.extensions["test"] = (Member, Order)
    put_all(app, trusting(issuer))
    assert ask(app, issuer.token(sub="alice")).status_code == 200
    return app


def active(app: Flask, user: str) -> bool:
    Member, _ = app.extensions["test"]  # noqa: N806
    with app.app_context():
        return bool(app.extensions["sqlalchemy"].session.get(Member, int(user)).is_active)


def test_inactive_is_the_models_own_attribute(app: Flask, issuer: Issuer):
    [user] = ids(app, "User")

    put(app, {**read(app, f"User/{user}"), "inactive": True})
    assert not active(app, user)
    assert ask(app, issuer.token(sub="alice")).status_code == 401

    run(app, "users", "activate", user)
    assert active(app, user)
    assert ask(app, issuer.token(sub="alice")).status_code == 200


def test_what_was_read_can_be_put_back(app: Flask):
    [user] = ids(app, "User")

    assert put(app, read(app, f"User/{user}")).status_code == 200
    assert ids(app, "User") == [user]


@pytest.mark.parametrize("user", ["bob", "1.5", "01", "1e3", "9" * 30, "%D9%A3"])
def test_an_id_that_the_key_cannot_be_is_refused(app: Flask, user):
    body = {"identifier": [{"system": "keycloak", "value": "bob"}]}

    answer = operate(app, "PUT", f"/fhir/User/{user}", body)

    assert answer.status_code == 422
    assert answer.json["issues"][0]["path"] == "id"
    assert operate(app, "GET", f"/fhir/User/{user}").status_code == 404
    run(app, "users", "show", user, status=1)


def test_a_user_that_other_rows_refer_to_is_not_deleted(app: Flask, issuer: Issuer):
    [user] = ids(app, "User")
    _, Order = app.extensions["test"]  # noqa: N806
    with app.app_context():
        session = app.extensions["sqlalchemy"].session
        session.add(Order(member_id=int(user)))
        session.commit()

    answer = operate(app, "DELETE", f"/fhir/User/{user}")

    assert (answer.status_code, answer.json["error"]) == (409, "conflict")
    assert ids(app, "User") == [user]
    assert ask(app, issuer.token(sub="alice"), "/me").json["user"] == user


def test_a_link_to_a_deleted_user_does_not_pass_to_the_next_user(app: Flask, issuer: Issuer):
    [user] = ids(app, "User")
    put_all(app, [linked("mine", f"User/{user}")])
    operate(app, "DELETE", "/fhir/AccessPolicy/known-issuer")
    assert ask(app, issuer.token(sub="alice")).status_code == 200
    operate(app, "DELETE", f"/fhir/User/{user}")

    assert ask(app, issuer.token(sub="mallory")).status_code == 403
