from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token import ForeignToken
from flask_foreign_token.runtime import Runtime
from flask_foreign_token.testing import Issuer

from .apps import Resource, database_of, protected
from .loading import Clock

MakeApp = Callable[..., Flask]


def pytest_collection_finish() -> None:
    set_aside()


@pytest.fixture(scope="module", autouse=True)
def _modules_before() -> Iterator[None]:
    yield
    set_aside()


def set_aside() -> None:
    """Keep what there is from being looked through by every garbage collection: what pytest has collected and reported
    comes to millions of objects, and to seconds in which no thread runs.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def issuer(foreign_token_issuer: Issuer) -> Issuer:
    """Shared by all tests, so nobody alters it or counts its requests."""
    return foreign_token_issuer


@pytest.fixture
def own_issuer() -> Iterator[Issuer]:
    """One to alter and to count."""
    with Issuer() as issuer:
        yield issuer


@pytest.fixture
def bare_app(tmp_path: Path) -> Iterator[MakeApp]:
    """Makes apps without the extension; their connections are closed at the end."""
    numbers, made = count(), []

    def make(**config: object) -> Flask:
        root = tmp_path / f"app{next(numbers)}"
        root.mkdir()
        app = Flask("clinic", root_path=str(root), instance_path=str(root / "instance"))
        app.config.update(config)
        made.append(app)
        return app

    yield make
    wait_for_background()
    for app in made:
        if "sqlalchemy" in app.extensions:
            with app.app_context():
                for engine in database_of(app).engines.values():
                    engine.dispose()


def wait_for_background() -> None:
    """Wait for what apps do in the background, which may be on connections that are about to be closed."""
    for thread in threading.enumerate():
        if thread.name == "flask-foreign-token":
            thread.join(10)


@pytest.fixture
def make_app(bare_app: MakeApp) -> MakeApp:
    """Makes apps with the extension, a registry file of `resources` and the usual views."""

    def make(
        resources: list[Resource] | str | None = None, extension: ForeignToken | None = None, **config: object
    ) -> Flask:
        return protected(bare_app(**config), resources, extension)

    return make


@pytest.fixture
def now() -> Clock:
    """The time of the apps of `timed_app`."""
    return Clock(time.time())


@pytest.fixture
def timed_app(make_app: MakeApp, now: Clock) -> MakeApp:
    """Makes apps as `make_app` does, which go by `now`."""

    def make(*arguments: Any, **config: Any) -> Flask:
        app = make_app(*arguments, **config)
        application = app.extensions["foreign_token"]
        application.runtime.put(Runtime(application, now))
        return app

    return make
