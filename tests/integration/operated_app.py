"""An app for gunicorn that serves its operator's API, to whoever asks from an address of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from typing import Any

from flask import Flask

from flask_foreign_token import ForeignToken

from ..admin.asking import ADMIN

_ADDRESSES = 2**24


def create() -> Flask:
    """The app of the working directory, whose registry and users are in a database there."""
    app = Flask("clinic", root_path=str(Path.cwd()))
    app.config.update(ADMIN)
    ForeignToken(app)
    app.wsgi_app = _FromManyAddresses(app.wsgi_app)  # type: ignore[method-assign]
    return app


class _FromManyAddresses:
    """Lets each request come from another address, so that wrong passwords shut nobody else out."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app
        self._numbers = count()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        number = next(self._numbers) % _ADDRESSES
        environ["REMOTE_ADDR"] = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        return self._app(environ, start_response)
