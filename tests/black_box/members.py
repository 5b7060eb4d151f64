"""Apps with a model of a user of their own. A module imports the fixture that it asks for by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, g
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import JSON, ForeignKey, String, inspect
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, validates

from flask_foreign_token import ForeignToken

from ..apps import add_views, database_of
from ..conftest import MakeApp
from .callers import OPERATOR_SETTINGS, put_all
from .people import People

Make = Callable[..., Flask]


def database() -> SQLAlchemy:
    class Base(DeclarativeBase):
        pass

    return SQLAlchemy(model_class=Base)


@pytest.fixture(name="make")
def make_fixture(bare_app: MakeApp, people: People) -> Make:
    """Makes apps with a database and model of their own; `attributes` are the provider's."""

    def make(
        db: SQLAlchemy,
        model: type,
        setup: Callable[[ForeignToken], object] = lambda extension: None,
        config: dict[str, object] = {},  # noqa: B006
        attributes: dict[str, Any] = {},  # noqa: B006
        **options: Any,
    ) -> Flask:
        app = bare_app(**{"SQLALCHEMY_DATABASE_URI": "sqlite:///own.sqlite", **OPERATOR_SETTINGS, **config})
        db.init_app(app)
        extension = ForeignToken(db=db, user_class=model, **options)
        setup(extension)
        extension.init_app(app)
        add_views(app)

        @app.get("/name")
        def name() -> dict[str, object]:
            return {"is": isinstance(g.user, model), "values": {key: str(value) for key, value in values(g.user)}}

        with app.app_context():
            db.create_all()
        put_all(app, people.resources(**attributes))
        return app

    return make


def values(row: Any) -> list[tuple[str, object]]:
    return [(column.key, getattr(row, column.key)) for column in inspect(type(row)).column_attrs]


def members(app: Flask, model: type) -> list[dict[str, object]]:
    with app.app_context():
        return [dict(values(row)) for row in database_of(app).session.query(model)]


def integer_model(db: SQLAlchemy) -> type:
    class Member(db.Model):
        __tablename__ = "member"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]
        email: Mapped[str | None] = mapped_column(String(40))
        visits: Mapped[int] = mapped_column(default=0)
        is_admin: Mapped[bool] = mapped_column(default=False)
        is_active: Mapped[bool] = mapped_column(default=True)
        profile: Mapped[dict[str, object] | None] = mapped_column(JSON)
        boss_id: Mapped[int | None] = mapped_column(ForeignKey("member.id"))
        boss: Mapped[Member | None] = relationship(remote_side="Member.id")

        @hybrid_property
        def shout(self) -> str:
            return self.name

        @shout.inplace.setter
        def _set_shout(self, value: str) -> None:
            self.name = value

        @validates("email")
        def check(self, key: str, value: str | None) -> str | None:
            if value and "@" not in value:
                raise ValueError("no address")
            return value

    return Member


LISTED = {"user_attributes": ("name", "email", "visits", "profile"), "active_attribute": "is_active"}
