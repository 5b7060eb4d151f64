from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.pool import StaticPool

from flask_foreign_token import ForeignToken
from flask_foreign_token.errors import DatabaseUnavailable
from flask_foreign_token.testing import Issuer
from flask_foreign_token.transactions import MISSING, MISSING_COLUMN, Transactions
from flask_foreign_token.upgrading import add_missing, require_columns

from .apps import environment
from .migrating import (
    HISTORY,
    KINDS,
    OURS,
    Project,
    add_history,
    assert_brought_up_to_date,
    assert_completed,
    assert_made_and_unmade,
    assert_nothing_to_migrate,
    connected,
    first_tables,
)

TRIGGER = "tr_foreign_token_identifier_user_id"


def a_project(folder: Path, kind: str = "default", **more: bool) -> Project:
    return Project(kind, f"sqlite:///{folder}/app.db", f"sqlite:///{folder}/people.db", str(folder), **more)


@pytest.fixture(params=KINDS)
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    return a_project(tmp_path, request.param)


# ---- names

CONVENTION = {
    "pk": "%(table_name)s_p",
    "fk": "%(table_name)s_f_%(constraint_name)s",
    "ix": "%(table_name)s_i_%(constraint_name)s",
    "uq": "%(table_name)s_u_%(constraint_name)s",
    "ck": "%(table_name)s_c_%(constraint_name)s",
}
NAMES = {
    "pk_foreign_token_resource",
    "pk_foreign_token_change",
    "pk_foreign_token_history",
    "ix_foreign_token_history_version",
    "pk_foreign_token_user",
    "pk_foreign_token_identifier",
    "fk_foreign_token_identifier_user_id",
    "ix_foreign_token_identifier_user_id",
    "ix_foreign_token_identifier_verified_email",
}


@pytest.mark.parametrize("convention", [None, CONVENTION], ids=["none", "one that changes every name"])
def test_no_convention_of_the_app_changes_a_name_of_ours(convention: dict[str, str] | None) -> None:
    app = Flask("clinic")
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    db = SQLAlchemy(app, metadata=sa.MetaData(naming_convention=convention))
    ForeignToken(app, db=db)

    with app.app_context():
        db.create_all()
        inspector = sa.inspect(db.engine)
        names = {inspector.get_pk_constraint(table)["name"] for table in OURS}
        for table in OURS:
            names |= {key["name"] for key in inspector.get_foreign_keys(table)}
            names |= {index["name"] for index in inspector.get_indexes(table)}
            assert inspector.get_unique_constraints(table) == inspector.get_check_constraints(table) == []
        db.engine.dispose()

    assert names == NAMES


def test_no_constraint_and_no_index_of_ours_is_without_a_name() -> None:
    app = Flask("clinic")
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    db = SQLAlchemy(app)
    ForeignToken(app, db=db)

    tables = [db.metadata.tables[name] for name in OURS]

    assert {str(item.name) for table in tables for item in {*table.constraints, *table.indexes}} == NAMES


# ---- Flask-Migrate


def test_migrations_make_the_tables_from_nothing_and_take_them_away(project: Project, issuer: Issuer) -> None:
    assert_made_and_unmade(project, issuer)


def test_migrations_bring_the_first_versions_tables_up_to_date(project: Project, issuer: Issuer) -> None:
    assert_brought_up_to_date(project, issuer)


def test_they_do_so_without_batch_mode_too(tmp_path: Path, issuer: Issuer) -> None:
    assert_brought_up_to_date(a_project(tmp_path, batch=False), issuer)


def test_there_is_nothing_to_migrate_after_create_all(project: Project) -> None:
    assert_nothing_to_migrate(project)


def test_the_commands_work_as_they_are_typed(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "from flask import Flask\n"
        "from flask_migrate import Migrate\n"
        "from flask_sqlalchemy import SQLAlchemy\n"
        "from flask_foreign_token import ForeignToken\n"
        "app = Flask(__name__)\n"
        f"app.config['SQLALCHEMY_DATABASE_URI'] = 'sqlite:///{tmp_path}/app.db'\n"
        "db = SQLAlchemy(app)\n"
        "Migrate(app, db)\n"
        "ForeignToken(app, db=db)\n"
    )

    for command in ("init", "migrate", "upgrade", "check"):
        run = [sys.executable, "-m", "flask", "db", command]
        done = subprocess.run(run, cwd=tmp_path, env=environment(), check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    assert "No new upgrade operations detected" in done.stdout
    with connected(f"sqlite:///{tmp_path}/app.db") as connection:
        assert {*sa.inspect(connection).get_table_names()} >= OURS


def test_a_revision_that_rebuilds_the_table_drops_the_trigger_first(tmp_path: Path) -> None:
    project = a_project(tmp_path, "own")
    project.create_all()
    project.done("init", "revision -m rebuild")
    (revision,) = project.revisions
    rebuild = (
        '    with op.batch_alter_table("foreign_token_identifier", recreate="always") as batch:\n'
        '        batch.add_column(sa.Column("ward", sa.Integer()))\n'
    )
    empty = revision.read_text().replace("    pass", "", 1)

    revision.write_text(empty.replace("def upgrade():", f"def upgrade():\n{rebuild}"))
    ((status, said),) = project.db("upgrade")
    assert (status, TRIGGER in said) == (1, True)

    drop = f'    op.execute("DROP TRIGGER IF EXISTS {TRIGGER}")\n'
    with connected(project.url) as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS _alembic_tmp_foreign_token_identifier")
    revision.write_text(empty.replace("def upgrade():", f"def upgrade():\n{drop}{rebuild}"))
    project.done("upgrade")

    assert "ward" in project.columns()


# ---- who makes and alters what


def test_where_flask_migrate_is_nothing_is_created(
    project: Project, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        answer = project.ask(issuer, debug=True)

    assert (answer.status_code, answer.json["hint"]) == (503, MISSING)
    assert "`flask db upgrade`" in MISSING
    assert MISSING in caplog.text
    assert project.tables() == set()


def test_where_flask_migrate_is_nothing_is_altered(
    project: Project, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    first_tables(project)
    add_history(project)
    columns, indexes = project.columns(), project.indexes()

    with caplog.at_level(logging.WARNING):
        answer = project.ask(issuer, debug=True)

    assert (answer.status_code, answer.json["hint"]) == (503, MISSING_COLUMN)
    assert "`flask db upgrade`" in MISSING_COLUMN
    lacking = ", ".join(f"foreign_token_identifier.{name}" for name in ("refreshed_at", "written", "verified_email"))
    assert f"{lacking}: {MISSING_COLUMN}" in caplog.text
    assert (project.columns(), project.indexes()) == (columns, indexes)


def test_where_flask_migrate_is_no_table_is_added_to_those_of_the_first_version(
    project: Project, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    first_tables(project)
    tables = project.tables()

    with caplog.at_level(logging.WARNING):
        answer = project.ask(issuer)

    assert answer.status_code == 503
    assert f"{HISTORY}: {MISSING}" in caplog.text
    assert project.tables() == tables


def test_what_is_missing_is_said_to_nobody_but_the_developer(tmp_path: Path, issuer: Issuer) -> None:
    project = a_project(tmp_path)
    first_tables(project)

    assert {*project.ask(issuer).json} == {"error", "error_description", "decision_id"}


def test_an_index_that_is_missing_keeps_nobody_out(tmp_path: Path, issuer: Issuer) -> None:
    project = a_project(tmp_path)
    first_tables(project)
    project.done("init", "migrate", "upgrade")
    with connected(project.url) as connection:
        connection.exec_driver_sql("DROP INDEX ix_foreign_token_identifier_verified_email")

    assert project.ask(issuer).status_code == 200


def test_where_flask_migrate_is_not_the_first_versions_tables_are_completed(project: Project, issuer: Issuer) -> None:
    assert_completed(project, issuer)


def test_what_is_completed_looks_as_if_it_had_been_migrated(tmp_path: Path, issuer: Issuer) -> None:
    folders = [tmp_path / "completed", tmp_path / "migrated"]
    for folder in folders:
        folder.mkdir()
    completed, migrated = map(a_project, folders)
    for project in (completed, migrated):
        first_tables(project)

    completed.ask(issuer, migrate=False)
    migrated.done("init", "migrate", "upgrade")

    assert (completed.columns(), completed.indexes()) == (migrated.columns(), migrated.indexes())
    assert len(completed.columns()) == 14


# ---- add_missing

old, new = sa.MetaData(), sa.MetaData()
sa.Table("things", old, sa.Column("id", sa.Integer, primary_key=True))
things = sa.Table(
    "things",
    new,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("colour", sa.String(20), comment="it's 100 %"),
    sa.Index("ix_things_colour", "colour"),
)
demanding = sa.Table(
    "things",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("size", sa.Integer, nullable=False),
)


@pytest.fixture(params=["memory", "file"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> sa.Engine:
    if request.param == "memory":
        engine = sa.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    else:
        engine = sa.create_engine(f"sqlite:///{tmp_path / 'app.sqlite'}")
    with Transactions(engine).writing() as connection:
        old.create_all(connection)
        connection.exec_driver_sql("INSERT INTO things VALUES (1)")
    return engine


def test_columns_and_indexes_are_added_and_rows_stay(engine: sa.Engine) -> None:
    add_missing(Transactions(engine), [things])

    with Transactions(engine).reading() as connection:
        assert connection.execute(sa.select(things)).all() == [(1, None)]
        assert [index["name"] for index in sa.inspect(connection).get_indexes("things")] == ["ix_things_colour"]


def test_when_nothing_is_missing_nothing_is_written(engine: sa.Engine) -> None:
    add_missing(Transactions(engine), [things])
    seen: list[str] = []

    def listener(connection: object, cursor: object, statement: str, *rest: object) -> None:
        seen.append(statement.split()[0])

    event.listen(sa.Engine, "before_cursor_execute", listener)
    try:
        add_missing(Transactions(engine), [things])
        require_columns(Transactions(engine), [things])
    finally:
        event.remove(sa.Engine, "before_cursor_execute", listener)

    assert {*seen} <= {"PRAGMA", "SELECT"}


def test_an_index_alone_that_is_missing_is_made(engine: sa.Engine) -> None:
    add_missing(Transactions(engine), [things])
    with Transactions(engine).writing() as connection:
        connection.exec_driver_sql("DROP INDEX ix_things_colour")

    add_missing(Transactions(engine), [things])

    with Transactions(engine).reading() as connection:
        assert len(sa.inspect(connection).get_indexes("things")) == 1


def test_a_column_that_needs_a_value_is_not_added(engine: sa.Engine) -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        add_missing(Transactions(engine), [demanding])

    assert caught.value.hint == f"things.size: {MISSING_COLUMN}"


def test_what_the_database_does_not_let_us_add_is_named(tmp_path: Path) -> None:
    with connected(f"sqlite:///{tmp_path}/app.sqlite") as connection:
        old.create_all(connection)
    engine = sa.create_engine(f"sqlite:///file:{tmp_path}/app.sqlite?mode=ro&uri=true")

    with pytest.raises(DatabaseUnavailable) as caught:
        add_missing(Transactions(engine), [things])

    assert caught.value.hint == f"things.colour: {MISSING_COLUMN}"
    engine.dispose()


def test_an_index_that_the_database_does_not_let_us_make_is_told_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with connected(f"sqlite:///{tmp_path}/app.sqlite") as connection:
        new.create_all(connection)
        connection.exec_driver_sql("DROP INDEX ix_things_colour")
    engine = sa.create_engine(f"sqlite:///file:{tmp_path}/app.sqlite?mode=ro&uri=true")

    add_missing(Transactions(engine), [things])

    assert "ix_things_colour" in caplog.text
    engine.dispose()


def test_what_somebody_else_adds_at_the_same_moment_is_fine(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/app.sqlite"
    with connected(url) as connection:
        old.create_all(connection)
    engine, other = sa.create_engine(url), sa.create_engine(url)

    @event.listens_for(engine, "before_cursor_execute")
    def meanwhile(connection: sa.Connection, cursor: object, statement: str, *rest: object) -> None:
        # Stands for a migration, which knows no lock: it is done before ours begins.
        if statement.startswith("ALTER"):
            connection.connection.driver_connection.rollback()
            add_missing(Transactions(other), [things])

    add_missing(Transactions(engine), [things])

    with Transactions(engine).reading() as connection:
        assert connection.execute(sa.select(things)).all() == []
    engine.dispose()
    other.dispose()


# ---- columns that are missed while it runs


@pytest.mark.parametrize(
    "statement",
    [sa.select(things.c.colour), things.insert().values(id=2, colour="red")],
    ids=["no such column", "has no column named"],
)
def test_a_missing_column_makes_the_database_unavailable_and_says_what_to_do(
    engine: sa.Engine, statement: sa.Executable
) -> None:
    with pytest.raises(DatabaseUnavailable) as caught, Transactions(engine).writing() as connection:
        connection.execute(statement)

    assert caught.value.hint == MISSING_COLUMN
