"""The database of an app that has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask, appcontext_tearing_down, current_app, has_app_context
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session


def open_own(app: Flask) -> tuple[SQLAlchemy, Path | None]:
    """An ``SQLAlchemy`` for `app`, and the file that it keeps its database in, if it is one. Makes and opens nothing.

    It is a file in the instance folder, unless the app says otherwise.
    """
    file = _place_file(app)
    db = SQLAlchemy(session_options={"class_": _Session})
    at_the_end = app.teardown_appcontext_funcs.copy()
    db.init_app(app)
    # To call a function at the end of each request, having found out whether it must be awaited, takes Flask 1 µs, and
    # most apps never open a session. See _Session.
    app.teardown_appcontext_funcs[:] = at_the_end
    return db, file


class _Session(Session):
    """Has the session of each context ended from the first one on, after all that the app does at its end."""

    def __init__(self, db: SQLAlchemy, **options: Any) -> None:
        super().__init__(db, **options)
        if has_app_context():
            # Once is as good as many times.
            appcontext_tearing_down.connect(_end_session, current_app._get_current_object())  # type: ignore[attr-defined]  # noqa: SLF001


def _end_session(app: Flask, **about: object) -> None:
    sessions = app.extensions["sqlalchemy"].session
    # To find out that nobody has one takes 1 µs less than to look for that of this context.
    if sessions.registry.registry:
        sessions.remove()


def _place_file(app: Flask) -> Path | None:
    """Let the database be a file in the instance folder unless the app says otherwise; return the file, if it is one.

    ``SQLAlchemy.init_app`` makes the folder itself for a relative path, and nothing is to be made before the first use.
    """
    folder = Path(app.instance_path)
    if "SQLALCHEMY_DATABASE_URI" not in app.config and "SQLALCHEMY_BINDS" not in app.config:
        app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///foreign_token.sqlite"
    url = sa.make_url(app.config.get("SQLALCHEMY_DATABASE_URI", "sqlite://"))
    name = url.database or ":memory:"
    if url.get_backend_name() != "sqlite" or name.startswith((":memory:", "file:")) or Path(name).is_absolute():
        return None
    file = folder / name
    app.config["SQLALCHEMY_DATABASE_URI"] = url.set(database=str(file))
    return file
