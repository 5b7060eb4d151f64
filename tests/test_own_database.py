"""The database of an app that has none: what becomes of its sessions."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, appcontext_tearing_down
from flask_sqlalchemy import SQLAlchemy

from flask_foreign_token import ForeignToken

from .conftest import MakeApp


@pytest.fixture(name="app")
def app_fixture(make_app: MakeApp) -> Flask:
    app = make_app()
    Path(app.instance_path).mkdir(exist_ok=True)
    used: list[Any] = []
    app.extensions["used"] = used

    @app.get("/session")
    def with_session() -> str:
        used.append(database(app).session())
        used[-1].execute(sa.text("SELECT 1"))
        return "asked"

    @app.get("/failure")
    def with_failure() -> str:
        with_session()
        raise LookupError

    @app.get("/none")
    def without_session() -> str:
        return "not asked"

    return app


def database(app: Flask) -> SQLAlchemy:
    found: SQLAlchemy = app.extensions["sqlalchemy"]
    return found


def sessions_in(app: Flask) -> int:
    """How many there are that belong to a context."""
    registry: Any = database(app).session.registry
    return len(registry.registry)


def open_connections(app: Flask) -> int:
    with app.app_context():
        pool: Any = database(app).engine.pool
        return int(pool.checkedout())


@pytest.mark.parametrize("path", ["/session", "/failure"])
def test_a_session_ends_with_its_request(app: Flask, path: str) -> None:
    statuses = [app.test_client().get(path).status_code for _ in range(2)]

    assert statuses == [200 if path == "/session" else 500] * 2
    first, second = app.extensions["used"]
    assert first is not second
    assert not first.in_transaction()
    assert open_connections(app) == 0


def test_a_session_lasts_while_other_requests_end(app: Flask) -> None:
    with app.app_context(), ThreadPoolExecutor(1) as other:
        mine = database(app).session()
        mine.execute(sa.text("SELECT 1"))

        for path in ("/none", "/session"):
            assert other.submit(app.test_client().get, path).result().status_code == 200

        assert database(app).session() is mine
        assert mine.in_transaction()
    assert not mine.in_transaction()
    assert open_connections(app) == 0


def test_a_context_within_another_has_a_session_of_its_own(app: Flask) -> None:
    with app.app_context():
        outer = database(app).session()
        with app.app_context():
            assert database(app).session() is not outer

        assert database(app).session() is outer


def test_nothing_is_called_at_the_end_of_requests_before_there_was_a_session(app: Flask) -> None:
    app.test_client().get("/none")
    assert app.teardown_appcontext_funcs == []
    assert not appcontext_tearing_down.has_receivers_for(app)

    app.test_client().get("/session")
    app.test_client().get("/session")
    assert len(list(appcontext_tearing_down.receivers_for(app))) == 1


def test_a_session_lasts_for_all_that_the_app_does_at_the_end(bare_app: MakeApp) -> None:
    app, asked = bare_app(), []

    def note(error: BaseException | None) -> None:
        asked.append(database(app).session() is session)

    app.teardown_appcontext(note)
    ForeignToken(app)
    app.teardown_appcontext(note)

    with app.app_context():
        session = database(app).session()
        session.begin()

    assert asked == [True, True]
    assert not session.in_transaction()
    assert sessions_in(app) == 0


def test_a_first_session_that_is_opened_at_the_end_ends_too(bare_app: MakeApp) -> None:
    app = bare_app()
    Path(app.instance_path).mkdir()
    app.teardown_appcontext(lambda error: database(app).session.execute(sa.text("SELECT 2")))
    ForeignToken(app)
    app.teardown_appcontext(lambda error: database(app).session.execute(sa.text("SELECT 1")))

    with app.app_context():
        pass

    assert sessions_in(app) == 0


def test_the_first_sessions_of_many_threads_all_end(app: Flask) -> None:
    begin = threading.Barrier(32)

    def ask() -> int:
        begin.wait()
        return app.test_client().get("/session").status_code

    with ThreadPoolExecutor(32) as threads:
        asked = [threads.submit(ask) for _ in range(32)]
        assert {call.result() for call in asked} == {200}

    assert not any(session.in_transaction() for session in app.extensions["used"])
    assert sessions_in(app) == 0


def test_sessions_of_two_apps_each_end(bare_app: MakeApp) -> None:
    extension, apps = ForeignToken(), [bare_app(), bare_app()]
    for app in apps:
        extension.init_app(app)

    for app in apps:
        with app.app_context():
            database(app).session.begin()
        assert sessions_in(app) == 0


def test_a_session_outside_of_any_context_is_its_makers(app: Flask) -> None:
    session = database(app).session.session_factory()
    assert not appcontext_tearing_down.has_receivers_for(app)
    session.close()
