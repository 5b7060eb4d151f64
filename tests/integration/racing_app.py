"""An app for gunicorn whose requests can be made to begin together, and whose workers can be told to die.

``DATABASE`` in the environment is where users are kept: on a bind, in a model of the app's own, where ``MODEL`` is
``own``; else in that of the extension. Workers are to be forked from the process that called :func:`create`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask, g, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event

from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.signals import user_created
from flask_foreign_token.users.new_user import NewUser

WORKERS = 4
THREADS = 16
NUMBER = WORKERS * THREADS
GUNICORN = ["--workers", str(WORKERS), "--worker-class", "gthread", "--threads", str(THREADS), "--keep-alive", "0"]

TOGETHER = {"Together": "yes"}
"""The header of requests that begin when there are :data:`NUMBER` of them."""

MOMENTS = ("after userinfo", "after the first INSERT", "before COMMIT", "after COMMIT")
"""When a worker can be told to die."""

ORDER = "die"
"""The file that tells the first worker which comes to the moment that it names to die."""

TABLES = {
    "own": ("person", "foreign_token_identifier"),
    "default": ("foreign_token_user", "foreign_token_identifier"),
}


def create() -> Flask:
    """The app of the working directory, whose registry is ``registry.json``."""
    own = os.environ["MODEL"] == "own"
    app = Flask("clinic", root_path=str(Path.cwd()))
    app.config["FOREIGN_TOKEN_REGISTRY"] = "registry.json"
    db = SQLAlchemy()
    if own:
        app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{Path('main.sqlite').resolve()}"
        app.config["SQLALCHEMY_BINDS"] = {"people": os.environ["DATABASE"]}
        extension = _with_own_users(db)
    else:
        app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE"]
        extension = ForeignToken(db=db)
    db.init_app(app)
    extension.init_app(app)
    user_created.connect(_die_after_commit, app)

    @app.get("/me")
    @require_policy
    def me() -> dict[str, object]:
        return {
            "user": str(g.user.id),
            "email": g.user.email if own else g.user.data["email"],
            "subject": g.token.subject,
            "pid": os.getpid(),
            "began": request.environ["clinic.began"],
            "ended": time.monotonic(),
        }

    app.wsgi_app = _Gate(app.wsgi_app)  # type: ignore[method-assign]
    if own:
        with app.app_context():
            db.create_all()
            for engine in db.engines.values():
                engine.dispose()
    return app


def _with_own_users(db: SQLAlchemy) -> ForeignToken:
    class Person(db.Model):  # type: ignore[name-defined, misc]
        __bind_key__ = "people"
        id = db.Column(db.Integer, primary_key=True)
        ward = db.Column(db.String(40), nullable=False)
        email = db.Column(db.String(80), nullable=False)
        is_active = db.Column(db.Boolean, nullable=False, default=True)

    extension = ForeignToken(db=db, user_class=Person, active_attribute="is_active", user_attributes=["email"])

    @extension.new_user
    def new_user(new: NewUser) -> Person:
        _die("after userinfo")
        return Person(ward=new.system)

    return extension


class _Gate:
    """Lets requests that are to begin together in when all of them are there."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app
        # Made before the workers are forked, who so have it in common.
        self._barrier = multiprocessing.get_context("fork").Barrier(NUMBER)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["clinic.began"] = time.monotonic()
        if "HTTP_TOGETHER" in environ:
            self._barrier.wait(60)
        return self._app(environ, start_response)


def _die(moment: str) -> None:
    order = Path(ORDER)
    if order.exists() and order.read_text() == moment:
        order.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


@event.listens_for(sa.Engine, "after_cursor_execute")
def _die_after_insert(connection: sa.Connection, cursor: Any, statement: str, *rest: object) -> None:
    if statement.startswith("INSERT INTO person"):
        _die("after the first INSERT")
    if statement.startswith("INSERT INTO foreign_token_identifier"):
        connection.info["clinic.identified"] = True


@event.listens_for(sa.Engine, "commit")
def _die_before_commit(connection: sa.Connection) -> None:
    if connection.info.pop("clinic.identified", False):
        _die("before COMMIT")


def _die_after_commit(app: Flask, **rest: object) -> None:
    _die("after COMMIT")
