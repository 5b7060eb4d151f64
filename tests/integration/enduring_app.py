"""An app for gunicorn that goes on while servers fail, and tells which worker answers and which one asks the issuer.

``DATABASE`` in the environment is where users and registry are kept. Each worker notes in :data:`CONNECTIONS` to which
ports it connects.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from flask import Flask, Response, g

from flask_foreign_token import ForeignToken, require_policy

from ..admin.asking import ADMIN

WORKERS = 4
THREADS = 4
GUNICORN = ["--workers", str(WORKERS), "--worker-class", "gthread", "--threads", str(THREADS), "--keep-alive", "0"]
# No worker takes a request for which it has no thread, and which another one could answer.
GUNICORN += ["--worker-connections", str(THREADS)]

CONNECTIONS = "connections"
"""The file with a line for each connection that was begun: when, in seconds of the monotonic clock, by which process,
and to which port."""


def create() -> Flask:
    """The app of the working directory, for gunicorn."""
    app = app_with(os.environ["DATABASE"], Path.cwd())
    sys.addaudithook(_note_connection)
    return app


def app_with(database: str, folder: Path) -> Flask:
    """The app whose users and registry are in a database."""
    app = Flask("clinic", root_path=str(folder), instance_path=str(folder))
    app.config.update({**ADMIN, "FOREIGN_TOKEN_REGISTRY_POLL": 1, "SQLALCHEMY_DATABASE_URI": database})
    ForeignToken(app)

    @app.get("/me")
    @require_policy
    def me() -> dict[str, object]:
        # Not g.user, which is read from the database.
        return {"subject": g.token.subject}

    @app.after_request
    def tell_who(response: Response) -> Response:
        response.headers["Pid"] = str(os.getpid())
        return response

    return app


def _note_connection(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        with Path(CONNECTIONS).open("a") as file:
            file.write(f"{time.monotonic()} {os.getpid()} {arguments[1][1]}\n")
