"""Our tables are the app's to migrate where Flask-Migrate is registered, and ours to make elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_foreign_token import ForeignToken

from ..apps import add_views, ask, in_database, tables_in
from ..conftest import MakeApp
from .callers import OPERATOR_SETTINGS
from .people import People, counts, me, token, user_of

Make = Callable[[], Flask]

# The env.py that Flask-Migrate writes asks for it first, and does without where it is gone.
pytestmark = pytest.mark.filterwarnings("ignore:'get_engine' is deprecated:DeprecationWarning")


@pytest.fixture(autouse=True)
def kept_logging() -> Iterator[None]:
    """That env.py configures logging, which the tests that follow must not notice."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    loggers = [logger for logger in logging.Logger.manager.loggerDict.values() if isinstance(logger, logging.Logger)]
    before = [(logger, logger.disabled, logger.level, logger.propagate, list(logger.handlers)) for logger in loggers]
    yield
    root.handlers[:], root.level = handlers, level
    for logger, disabled, own_level, propagate, own_handlers in before:
        logger.disabled, logger.propagate, logger.handlers[:] = disabled, propagate, own_handlers
        logger.setLevel(own_level)


@pytest.fixture
def make(bare_app: MakeApp, people: People, tmp_path: Path) -> Make:
    """Makes apps with a model of their own, Flask-Migrate, and a registry file."""

    def make() -> Flask:
        class Base(DeclarativeBase):
            pass

        db = SQLAlchemy(model_class=Base)

        class Member(db.Model):
            __tablename__ = "member"
            id: Mapped[int] = mapped_column(primary_key=True)

        from ..apps import write_registry

        app = bare_app(**OPERATOR_SETTINGS, SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/own.sqlite")
        app.config["FOREIGN_TOKEN_REGISTRY"] = write_registry(
            Path(app.root_path) / "registry.json", people.resources()
        ).name
        db.init_app(app)
        Migrate(app, db, directory=str(tmp_path / "migrations"))
        ForeignToken(app, db=db, user_class=Member)
        add_views(app)
        return app

    return make


def migrate(app: Flask, *words: str) -> str:
    result = app.test_cli_runner().invoke(args=["db", *words])
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    return str(result.output)


def test_without_the_tables_it_is_an_outage_that_names_the_command_and_makes_nothing(
    make: Make, caplog: pytest.LogCaptureFixture
):
    app = make()
    app.debug = True

    answer = ask(app, token())

    assert answer.status_code == 503
    assert "db upgrade" in answer.json["hint"]
    assert "db upgrade" in caplog.text
    assert tables_in(app) == set()


def test_the_hint_is_for_those_who_debug(make: Make):
    answer = ask(make(), token())

    assert answer.status_code == 503
    assert "hint" not in answer.json


def test_the_apps_own_migration_makes_them(make: Make):
    app = make()
    migrate(app, "init")
    migrate(app, "migrate", "-m", "first")
    assert "foreign_token_identifier" not in tables_in(app)

    migrate(app, "upgrade")

    assert {"member", "foreign_token_identifier", "foreign_token_change"} <= tables_in(app)
    assert me(make(), token()) == "1"
    assert user_of(app)["id"] == "1"
    assert counts(app) == (1, 1)


def test_a_second_migration_finds_nothing_to_do(make: Make, tmp_path: Path):
    app = make()
    migrate(app, "init")
    migrate(app, "migrate", "-m", "first")
    migrate(app, "upgrade")

    migrate(app, "migrate", "-m", "second")

    assert len(list((tmp_path / "migrations" / "versions").glob("*.py"))) == 1


def test_a_migration_can_be_taken_back(make: Make):
    app = make()
    migrate(app, "init")
    migrate(app, "migrate", "-m", "first")
    migrate(app, "upgrade")

    migrate(app, "downgrade", "base")

    assert not any(name.startswith("foreign_token_") for name in tables_in(app))
    assert ask(make(), token()).status_code == 503


def test_a_column_that_is_missing_is_an_outage_that_names_the_command(make: Make):
    app = make()
    migrate(app, "init")
    migrate(app, "migrate", "-m", "first")
    migrate(app, "upgrade")
    drop = "ALTER TABLE foreign_token_identifier DROP COLUMN refreshed_at"
    in_database(app, lambda connection: connection.exec_driver_sql(drop))
    again = make()
    again.debug = True

    answer = ask(again, token())

    assert answer.status_code == 503
    assert "db upgrade" in answer.json["hint"]


def test_without_flask_migrate_they_are_made_at_first_use(make_app: MakeApp, people: People):
    app = make_app(people.resources(), **OPERATOR_SETTINGS)
    assert not list(Path(app.instance_path).glob("*"))

    assert me(app, token())

    assert "foreign_token_identifier" in tables_in(app)


def test_without_flask_migrate_a_missing_column_is_added(make_app: MakeApp, people: People, tmp_path: Path):
    config = {**OPERATOR_SETTINGS, "SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/own.sqlite"}
    old = make_app(people.resources(), **config)
    ada = me(old, token())
    for statement in (
        "DROP INDEX ix_foreign_token_identifier_verified_email",
        "ALTER TABLE foreign_token_identifier DROP COLUMN refreshed_at",
        "ALTER TABLE foreign_token_identifier DROP COLUMN verified_email",
    ):
        in_database(old, lambda connection, statement=statement: connection.exec_driver_sql(statement))

    app = make_app(people.resources(), **config)

    assert me(app, token()) == ada
    assert me(app, token("bob")) != ada
