"""The database of an app that has none."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session


def open_own(app: Flask) -> tuple[SQLAlchemy, Path | None]:
    """An ``SQLAlchemy`` for `app`, and the file that it keeps its database in, if it is one. Makes and opens nothing.

    It is a file in the instance folder, unless the app says otherwise.
    """
    file = _place_file(app)
    db = _OwnDatabase(session_options={"class_": _Session})
    db.init_app(app)
    return db, file


class _OwnDatabase(SQLAlchemy):
    """Has sessions ended as every ``SQLAlchemy`` has, but only from the first one on: most apps open none, and to call
    a function at the end of each request, having found out whether it must be awaited, takes Flask 1 µs.
    """

    def init_app(self, app: Flask) -> None:
        place = len(app.teardown_appcontext_funcs)
        super().init_app(app)
        self._app, self._place = app, place
        self._ends = app.teardown_appcontext_funcs[place:]
        self._registering = threading.Lock()
        del app.teardown_appcontext_funcs[place:]

    def end_sessions(self) -> None:
        """Have the session of each context ended with it, the one at hand included."""
        with self._registering:
            ends, self._ends = self._ends, []
            if ends:
                # Another list: other requests may be about to call what is in this one.
                others = self._app.teardown_appcontext_funcs
                self._app.teardown_appcontext_funcs = [*others[: self._place], *ends, *others[self._place :]]


class _Session(Session):
    def __init__(self, db: SQLAlchemy, **options: Any) -> None:
        super().__init__(db, **options)
        cast(_OwnDatabase, db).end_sessions()


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
