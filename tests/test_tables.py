from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.pool import StaticPool
from sqlalchemy.schema import CreateTable

from flask_foreign_token.errors import DatabaseUnavailable
from flask_foreign_token.tables import create_missing, exact, require_tables
from flask_foreign_token.transactions import Transactions

metadata = sa.MetaData()
parents = sa.Table("parents", metadata, sa.Column("id", sa.Integer, primary_key=True))
children = sa.Table(
    "children",
    metadata,
    sa.Column("id", exact(64), primary_key=True),
    sa.Column("parent_id", sa.ForeignKey("parents.id"), index=True),
)
TABLES = (children, parents)


@pytest.fixture(params=["memory", "file"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    if request.param == "memory":
        engine = sa.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    else:
        engine = sa.create_engine(f"sqlite:///{tmp_path / 'app.sqlite'}")
    yield engine
    engine.dispose()


def names(engine: sa.Engine) -> set[str]:
    with Transactions(engine).reading() as connection:
        return set(sa.inspect(connection).get_table_names())


def test_absent_tables_are_made_with_their_indexes(engine: sa.Engine) -> None:
    create_missing(Transactions(engine), TABLES)

    assert names(engine) == {"children", "parents"}
    with Transactions(engine).reading() as connection:
        assert len(sa.inspect(connection).get_indexes("children")) == 1


def test_what_is_there_stays_and_the_rest_is_made(engine: sa.Engine) -> None:
    transactions = Transactions(engine)
    create_missing(transactions, [parents])
    with transactions.writing() as connection:
        connection.execute(parents.insert().values(id=1))

    create_missing(transactions, TABLES)

    with transactions.reading() as connection:
        assert connection.scalar(sa.select(parents.c.id)) == 1
    assert names(engine) == {"children", "parents"}


def test_when_all_are_there_nothing_is_written(engine: sa.Engine) -> None:
    create_missing(Transactions(engine), TABLES)
    seen: list[str] = []

    def listener(connection: object, cursor: object, statement: str, *rest: object) -> None:
        seen.append(statement)

    event.listen(sa.Engine, "before_cursor_execute", listener)
    try:
        create_missing(Transactions(engine), TABLES)
    finally:
        event.remove(sa.Engine, "before_cursor_execute", listener)

    assert all(statement.startswith("PRAGMA main.table_info") for statement in seen)


def test_tables_that_somebody_else_makes_at_the_same_moment_are_fine(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'app.sqlite'}")
    other = sa.create_engine(engine.url)

    @event.listens_for(metadata, "before_create", once=True)
    def meanwhile(target: object, connection: sa.Connection, **rest: object) -> None:
        # Stands for an application's create_all, which knows no lock: it is done before ours begins.
        connection.rollback()
        metadata.create_all(other)

    create_missing(Transactions(engine), TABLES)

    assert names(engine) == {"children", "parents"}
    engine.dispose()
    other.dispose()


def test_tables_that_cannot_be_made_make_the_database_unavailable(tmp_path: Path) -> None:
    (tmp_path / "app.sqlite").touch()
    engine = sa.create_engine(f"sqlite:///file:{tmp_path / 'app.sqlite'}?mode=ro&uri=true")

    with pytest.raises(DatabaseUnavailable) as caught:
        create_missing(Transactions(engine), TABLES)

    assert caught.value.hint == "the database does not let the extension make its tables"
    engine.dispose()


def test_absent_tables_are_named_where_they_are_not_ours_to_make(engine: sa.Engine) -> None:
    transactions = Transactions(engine)
    create_missing(transactions, [parents])

    with pytest.raises(DatabaseUnavailable) as caught:
        require_tables(transactions, TABLES)

    assert caught.value.hint.startswith("children: ")
    create_missing(transactions, TABLES)
    require_tables(transactions, TABLES)


@pytest.mark.parametrize(
    ("dialect", "type_"),
    [
        (postgresql.dialect(), "VARCHAR(64)"),
        (mysql.dialect(), "VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
    ],
    ids=["postgresql", "mysql"],
)
def test_a_text_whose_bytes_count_is_binary_where_collations_fold(dialect: sa.Dialect, type_: str) -> None:
    assert f"id {type_} NOT NULL" in str(CreateTable(children).compile(dialect=dialect))
