"""The app that protects nothing, and the view in it, which everybody protects.

It imports nothing of this package, so that a server of the bare app holds no more than such an app does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask

Body = dict[str, Any]
View = Callable[..., Any]

PATH = "/rooms/7"


def new_room() -> View:
    """The view that everybody protects, for one app: a guard marks the function that it guards."""

    def room(name: str) -> Body:
        return {"name": name}

    return room


def bare_app(protect: Callable[[View], View] | None = None) -> Flask:
    """The app that protects nothing.

    :param protect: what wraps the view, for the apps of others; :func:`route` is for those that need their app first.
    """
    app = Flask("clinic")
    room = new_room()
    route(app, room if protect is None else protect(room))
    return app


def route(app: Flask, view: View) -> None:
    """Add the view of :func:`bare_app` to `app`, wrapped or not."""
    app.add_url_rule("/rooms/<name>", "room", view)
