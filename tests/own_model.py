"""An app with a model of users of its own, which a provider and a function of the app fill."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import Flask, g
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import orm as sa_orm

from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.users.new_user import NewUser

from .apps import Resource, protected, trusting_a_secret

BIND = "people"


def with_own_users(app: Flask, *others: Resource, bind: bool = True) -> tuple[SQLAlchemy, type[Any]]:
    """Give `app` the extension, its usual views, a view ``/name``, and a model with required columns and a number for
    its key, on the bind :data:`BIND`.

    :param others: what is trusted beside those who hold the secret.
    :param bind: false: where the app's other tables are.
    """
    db = SQLAlchemy()

    class Person(db.Model):  # type: ignore[name-defined, misc]
        __bind_key__ = BIND if bind else None
        id = db.Column(db.Integer, primary_key=True)
        name = db.Column(db.String(80), nullable=False)
        email = db.Column(db.String(80), nullable=False)
        is_active = db.Column(db.Boolean, nullable=False, default=True)
        notes = sa_orm.deferred(db.Column(db.Text, default="none yet"))

    db.init_app(app)
    extension = ForeignToken(db=db, user_class=Person, active_attribute="is_active", user_attributes=["email"])

    @extension.new_user
    def new_user(new: NewUser) -> Person:
        return Person(name=f"{new.subject} of {new.system}")

    protected(app, [*trusting_a_secret(toScim={"email": ["email"]}), *others], extension)

    @app.get("/name")
    @require_policy
    def name() -> dict[str, object]:
        state = sa.inspect(g.user)
        return {"name": g.user.name, "real": state.persistent and g.user in db.session}

    return db, Person
