"""Transactions of the extension's own leave the application's alone, on every kind of SQLite database."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.pool import QueuePool, StaticPool

from flask_foreign_token.errors import DatabaseUnavailable
from flask_foreign_token.transactions import MISSING, Transactions

metadata = sa.MetaData()
things = sa.Table("things", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("data", sa.JSON))


@pytest.fixture
def memory() -> Iterator[sa.Engine]:
    engine = sa.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'app.sqlite'}")
    metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture(params=["memory", "file"])
def engine(request: pytest.FixtureRequest) -> sa.Engine:
    return request.getfixturevalue(request.param)


def ids(transactions: Transactions) -> list[int]:
    with transactions.reading() as connection:
        return list(connection.scalars(sa.select(things.c.id).order_by(things.c.id)))


def add(transactions: Transactions, *new: int) -> None:
    with transactions.writing() as connection:
        for id_ in new:
            connection.execute(things.insert().values(id=id_))


def add_then_fail(transactions: Transactions, id_: int) -> None:
    with transactions.writing() as connection:
        connection.execute(things.insert().values(id=id_))
        raise KeyError


def test_a_connection_is_shared_in_memory_alone(memory: sa.Engine, file: sa.Engine) -> None:
    assert [Transactions(engine).share_a_connection for engine in (memory, file)] == [True, False]


def test_what_was_written_stays(engine: sa.Engine) -> None:
    transactions = Transactions(engine)

    add(transactions, 1)

    with engine.connect() as connection:
        connection.rollback()
        assert connection.scalar(sa.select(things.c.id)) == 1


def test_an_exception_takes_back_what_was_written(engine: sa.Engine) -> None:
    transactions = Transactions(engine)

    with pytest.raises(KeyError):
        add_then_fail(transactions, 1)

    assert ids(transactions) == []
    add(transactions, 2)
    assert ids(transactions) == [2]


def test_a_broken_constraint_passes_through_and_leaves_nothing(engine: sa.Engine) -> None:
    transactions = Transactions(engine)
    add(transactions, 1)

    with pytest.raises(IntegrityError):
        add(transactions, 2, 1)

    assert ids(transactions) == [1]


def test_json_is_stored_and_read(engine: sa.Engine) -> None:
    transactions = Transactions(engine)

    with transactions.writing() as connection:
        connection.execute(things.insert().values(id=1, data={"name": "Ā"}))

    with transactions.reading() as connection:
        assert connection.scalar(sa.select(things.c.data)) == {"name": "Ā"}


def test_a_missing_table_makes_the_database_unavailable_and_says_what_to_do(engine: sa.Engine) -> None:
    with pytest.raises(DatabaseUnavailable) as caught, Transactions(engine).reading() as connection:
        connection.execute(sa.text("SELECT * FROM elsewhere"))

    assert caught.value.hint == MISSING
    assert isinstance(caught.value.__cause__, sa.exc.OperationalError)


def test_a_database_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'no folder' / 'app.sqlite'}")

    with pytest.raises(DatabaseUnavailable), Transactions(engine).reading():
        pass


def test_an_exhausted_pool_makes_the_database_unavailable(tmp_path: Path) -> None:
    engine = sa.create_engine(
        f"sqlite:///{tmp_path / 'app.sqlite'}", poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=0
    )

    with engine.connect(), pytest.raises(DatabaseUnavailable), Transactions(engine).reading():
        pass

    engine.dispose()


@pytest.mark.parametrize("data", [{"name": "secret"}, {"name": "secret", "unfit": object()}], ids=["driver", "type"])
def test_errors_do_not_show_what_was_to_be_stored(engine: sa.Engine, data: object) -> None:
    transactions = Transactions(engine)
    add(transactions, 1)

    with pytest.raises(StatementError) as caught, transactions.writing() as connection:
        connection.execute(things.insert().values(id=1, data=data))

    assert "secret" not in str(caught.value)


def test_rows_that_the_app_has_pending_are_neither_committed_nor_rolled_back(memory: sa.Engine) -> None:
    transactions = Transactions(memory)
    with memory.connect() as app:
        app.execute(things.insert().values(id=1))

        assert ids(transactions) == [1]
        add(transactions, 2)
        with pytest.raises(IntegrityError):
            add(transactions, 3, 2)

        assert list(app.scalars(sa.select(things.c.id))) == [1, 2]
        assert app.connection.driver_connection.in_transaction
        app.rollback()
    assert ids(transactions) == []


def test_what_is_written_after_an_exception_stays(engine: sa.Engine) -> None:
    transactions = Transactions(engine)
    with pytest.raises(KeyError):
        add_then_fail(transactions, 1)

    add(transactions, 2)

    with engine.connect() as app:
        app.execute(sa.select(things.c.id))
        app.rollback()
    assert ids(transactions) == [2]


def test_a_savepoint_of_the_apps_survives_ours(memory: sa.Engine) -> None:
    transactions = Transactions(memory)
    with memory.begin() as app:
        app.execute(things.insert().values(id=1))
        with app.begin_nested() as nested:
            app.execute(things.insert().values(id=2))
            add(transactions, 3)
            nested.rollback()
    assert ids(transactions) == [1]


def test_an_app_that_begins_by_itself_is_no_obstacle(engine: sa.Engine) -> None:
    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    transactions = Transactions(engine)

    add(transactions, 1)
    with engine.begin() as app:
        app.execute(things.insert().values(id=2))
    add(transactions, 3)

    assert ids(transactions) == [1, 2, 3]


def test_an_app_in_autocommit_mode_still_gets_all_or_nothing(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'app.sqlite'}", isolation_level="AUTOCOMMIT")
    metadata.create_all(engine)
    transactions = Transactions(engine)
    add(transactions, 1)

    with pytest.raises(IntegrityError):
        add(transactions, 2, 1)

    assert ids(transactions) == [1]
    engine.dispose()


def test_threads_take_turns_on_the_shared_connection(memory: sa.Engine) -> None:
    transactions = [Transactions(memory), Transactions(memory)]
    start = threading.Barrier(16)

    def work(number: int) -> None:
        start.wait()
        for id_ in range(number * 20, number * 20 + 20):
            add(transactions[number % 2], id_)
            ids(transactions[number % 2])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ids(transactions[0])) == 320


def test_a_shared_connection_that_was_lost_is_replaced(memory: sa.Engine) -> None:
    transactions = Transactions(memory)
    add(transactions, 1)
    with memory.connect() as app:
        app.invalidate()

    with transactions.writing() as connection:
        metadata.create_all(connection)

    assert ids(transactions) == []


def test_statements_on_the_shared_connection_are_seen_by_listeners_on_the_class(memory: sa.Engine) -> None:
    seen: list[str] = []

    def listener(connection: object, cursor: object, statement: str, *rest: object) -> None:
        seen.append(statement)

    event.listen(sa.Engine, "before_cursor_execute", listener)
    try:
        ids(Transactions(memory))
    finally:
        event.remove(sa.Engine, "before_cursor_execute", listener)

    assert len(seen) == 1


def test_a_writer_locks_the_file_before_it_reads(file: sa.Engine) -> None:
    with (
        Transactions(file).writing(),
        closing(sqlite3.connect(file.url.database, timeout=0)) as other,
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        other.execute("BEGIN IMMEDIATE")


def test_a_writer_waits_fifteen_seconds_and_leaves_the_apps_waiting_time_as_it_was(file: sa.Engine) -> None:
    transactions = Transactions(file)
    with file.connect() as app:
        app.exec_driver_sql("PRAGMA busy_timeout = 77")

    with transactions.writing() as connection:
        during = connection.exec_driver_sql("PRAGMA busy_timeout").scalar()
    with pytest.raises(KeyError), transactions.writing():
        raise KeyError

    assert during == 15_000
    with transactions.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 77


def test_a_file_that_stays_locked_makes_the_database_unavailable(
    file: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_foreign_token.transactions.WAIT", 1)
    transactions = Transactions(file)
    with closing(sqlite3.connect(file.url.database)) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(DatabaseUnavailable), transactions.writing():
            pass

    add(transactions, 1)
    assert ids(transactions) == [1]


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_many_writers_on_one_file_all_get_their_turn(tmp_path: Path, journal_mode: str) -> None:
    database = f"sqlite:///{tmp_path / 'app.sqlite'}"
    engines = [sa.create_engine(database) for _ in range(4)]
    with engines[0].connect() as connection:
        connection.exec_driver_sql(f"PRAGMA journal_mode = {journal_mode}")
    metadata.create_all(engines[0])
    start = threading.Barrier(16)

    def work(number: int) -> None:
        transactions = Transactions(engines[number % 4])
        start.wait()
        for id_ in range(number * 4, number * 4 + 4):
            with transactions.writing() as connection:
                connection.scalar(sa.select(sa.func.count()).select_from(things))
                connection.execute(things.insert().values(id=id_))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with engines[0].connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(things)) == 64
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == journal_mode
    for engine in engines:
        engine.dispose()


def test_a_process_that_is_about_to_fork_keeps_no_connection_open(file: sa.Engine) -> None:
    transactions = Transactions(file)
    add(transactions, 1)
    with transactions.reading() as connection:
        before = connection.connection.driver_connection

    transactions.release()

    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        before.execute("SELECT 1")
    assert ids(transactions) == [1]


def test_an_in_memory_database_outlives_the_release_of_connections(memory: sa.Engine) -> None:
    transactions = Transactions(memory)
    add(transactions, 1)

    transactions.release()

    assert ids(transactions) == [1]


def test_what_is_logged_of_a_statement_has_neither_parameters_nor_rows(
    engine: sa.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "sqlalchemy.engine")
    transactions, statement = Transactions(engine), sa.text("SELECT :secret")

    for way in (transactions.reading, transactions.writing):
        with way() as connection:
            connection.execute(statement, {"secret": "tell-nobody"}).all()

    assert caplog.text.count("SELECT ?") == 2
    assert "tell-nobody" not in caplog.text


def test_what_is_logged_of_the_applications_own_statements_is_as_it_was(
    engine: sa.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "sqlalchemy.engine")
    Transactions(engine)

    with engine.connect() as connection:
        connection.execute(sa.text("SELECT :name"), {"name": "ada"}).all()

    assert "ada" in caplog.text
