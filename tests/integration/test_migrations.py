"""Our tables on the servers that apps have: migrated, and completed where nobody migrates them."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa

from flask_foreign_token.errors import DatabaseUnavailable
from flask_foreign_token.testing import Issuer
from flask_foreign_token.transactions import MISSING, MISSING_COLUMN, Transactions
from flask_foreign_token.upgrading import add_missing

from ..migrating import (
    KINDS,
    Project,
    add_history,
    assert_brought_up_to_date,
    assert_completed,
    assert_made_and_unmade,
    assert_nothing_to_migrate,
    connected,
    first_tables,
)
from .processes import NUMBER, at_once
from .servers import SERVERS

ROUNDS = 5

_numbers = count()


@pytest.fixture(scope="module", params=SERVERS)
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    with SERVERS[request.param]() as url:
        yield url


def a_database(server_url: str) -> str:
    """The URL of an empty one, whose own collation takes many texts for equal where there is such a thing."""
    engine = sa.create_engine(server_url, isolation_level="AUTOCOMMIT")
    name = f"migrations{next(_numbers)}"
    folding = "" if engine.dialect.name == "postgresql" else " CHARACTER SET latin1 COLLATE latin1_swedish_ci"
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}{folding}")
    engine.dispose()
    return engine.url.set(database=name).render_as_string(hide_password=False)


@pytest.fixture
def a_project(server_url: str, tmp_path: Path) -> Callable[[str], Project]:
    def make(kind: str) -> Project:
        return Project(kind, a_database(server_url), a_database(server_url), str(tmp_path))

    return make


# ---- Flask-Migrate


@pytest.mark.parametrize("kind", KINDS)
def test_migrations_make_the_tables_from_nothing(
    a_project: Callable[[str], Project], kind: str, issuer: Issuer
) -> None:
    project = a_project(kind)

    if "mysql" in project.url:
        assert_made_and_unmade(project, issuer, mend=without_index_of_foreign_key)
    else:
        assert_made_and_unmade(project, issuer)


def without_index_of_foreign_key(revision: Path) -> None:
    """MariaDB lets no index go that a foreign key needs; a table takes its own along."""
    text = revision.read_text()
    head = r"    with op\.batch_alter_table\('foreign_token_identifier'[^\n]*\n"
    block = re.compile(rf"{head}(?:        batch_op\.drop_index\([^\n]*\n)+")
    assert len(block.findall(text)) == 1
    revision.write_text(block.sub("", text))


@pytest.mark.parametrize("kind", KINDS)
def test_migrations_bring_the_first_versions_tables_up_to_date(
    a_project: Callable[[str], Project], kind: str, issuer: Issuer
) -> None:
    assert_brought_up_to_date(a_project(kind), issuer)


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_nothing_to_migrate_after_create_all(a_project: Callable[[str], Project], kind: str) -> None:
    assert_nothing_to_migrate(a_project(kind))


def test_where_flask_migrate_is_nothing_is_created(
    a_project: Callable[[str], Project], issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    project = a_project("default")

    with caplog.at_level(logging.WARNING):
        answer = project.ask(issuer, debug=True)

    assert (answer.status_code, answer.json["hint"]) == (503, MISSING)
    assert MISSING in caplog.text
    assert project.tables() == set()


def test_where_flask_migrate_is_nothing_is_altered(
    a_project: Callable[[str], Project], issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    project = a_project("default")
    first_tables(project)
    add_history(project)
    columns, indexes = project.columns(), project.indexes()

    with caplog.at_level(logging.WARNING):
        answer = project.ask(issuer, debug=True)

    assert (answer.status_code, answer.json["hint"]) == (503, MISSING_COLUMN)
    assert f"foreign_token_identifier.verified_email: {MISSING_COLUMN}" in caplog.text
    assert (project.columns(), project.indexes()) == (columns, indexes)


# ---- without it


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_versions_tables_are_completed(
    a_project: Callable[[str], Project], kind: str, issuer: Issuer
) -> None:
    assert_completed(a_project(kind), issuer)


def the_tables(number: int) -> tuple[sa.Table, sa.Table]:
    """A table as it was, and as it is to be."""
    name = f"things{number}"
    old = sa.Table(name, sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True))
    new = sa.Table(
        name,
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("colour", sa.String(20), comment="it's 100 %"),
        sa.Index(f"ix_{name}_colour", "colour"),
    )
    return old, new


def add_and_use(meet: Callable[[], None], url: str) -> int:
    engine = sa.create_engine(url)
    transactions = Transactions(engine)
    rows = 0
    for number in range(ROUNDS):
        _, table = the_tables(number)
        meet()
        add_missing(transactions, [table])
        with transactions.writing() as connection:
            connection.execute(table.insert().values(colour="red"))
        meet()
        with transactions.reading() as connection:
            count = sa.select(sa.func.count()).where(table.c.colour == "red")
            rows += connection.scalar(count)
            assert len(sa.inspect(connection).get_indexes(table.name)) == 1
    engine.dispose()
    return rows


def assert_added_once_by_workers_that_start_together(url: str) -> None:
    with connected(url) as connection:
        for number in range(ROUNDS):
            the_tables(number)[0].create(connection)

    assert at_once(add_and_use, url) == [ROUNDS * NUMBER] * NUMBER


def test_four_processes_on_one_sqlite_file(tmp_path: Path) -> None:
    assert_added_once_by_workers_that_start_together(f"sqlite:///{tmp_path / 'app.sqlite'}")


def test_four_processes_on_one_server(server_url: str) -> None:
    assert_added_once_by_workers_that_start_together(a_database(server_url))


def test_a_comment_is_kept_as_it_is(server_url: str) -> None:
    url = a_database(server_url)
    old, new = the_tables(0)
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        old.create(connection)

    add_missing(Transactions(engine), [new])

    with engine.connect() as connection:
        comments = [column["comment"] for column in sa.inspect(connection).get_columns(new.name)]
    engine.dispose()
    assert comments == [None, "it's 100 %"]


def test_a_table_that_somebody_holds_is_not_waited_for_without_end(server_url: str) -> None:
    url = a_database(server_url)
    old, new = the_tables(0)
    engine, other = sa.create_engine(url), sa.create_engine(url)
    with engine.begin() as connection:
        old.create(connection)

    with other.connect() as connection:
        connection.execute(sa.select(old)).all()
        with pytest.raises(DatabaseUnavailable) as caught:
            add_missing(Transactions(engine), [new], wait=1000)

    assert caught.value.hint == f"things0.colour: {MISSING_COLUMN}"
    add_missing(Transactions(engine), [new], wait=1000)
    engine.dispose()
    other.dispose()


@pytest.mark.parametrize("statement", ["select", "insert"])
def test_a_missing_column_makes_the_database_unavailable_and_says_what_to_do(server_url: str, statement: str) -> None:
    old, new = the_tables(0)
    engine = sa.create_engine(a_database(server_url))
    with engine.begin() as connection:
        old.create(connection)
    asked = sa.select(new) if statement == "select" else new.insert().values(colour="red")

    with pytest.raises(DatabaseUnavailable) as caught, Transactions(engine).writing() as connection:
        connection.execute(asked)

    assert caught.value.hint == MISSING_COLUMN
    engine.dispose()
