from __future__ import annotations

import logging
import sqlite3
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import make_url

from flask_foreign_token.errors import REST
from flask_foreign_token.policies.sql.database import POOL_SIZE, TABLES_TTL, Database
from flask_foreign_token.policies.sql.server import QueryFailed, SqlUnavailable, UnknownTable
from flask_foreign_token.policies.sql.sqlite import SQLite
from flask_foreign_token.policies.sql.statement import Statement, parse

from ...loading import Clock

COUNT = parse("SELECT count(*) FROM staff", "sqlite")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "clinic.db"
    write(path, "CREATE TABLE staff (name TEXT); INSERT INTO staff VALUES ('alice')")
    return path


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000.0)


@pytest.fixture
def database(path: Path, clock: Clock) -> Iterator[Database]:
    database = Database(f"sqlite:///{path}", clock)
    yield database
    database.release()


def write(path: Path, script: str) -> None:
    connection = sqlite3.connect(path, timeout=0)
    try:
        connection.executescript(script)
    finally:
        connection.close()


def hand_made(text: str) -> Statement:
    """One that the parse would refuse."""
    return Statement((text,))


def test_it_answers(database: Database) -> None:
    assert list(database.ask(COUNT, [])) == [(1,)]


def test_making_one_does_no_io(tmp_path: Path) -> None:
    path = tmp_path / "later.db"
    database = Database(f"sqlite:///{path}")
    write(path, "CREATE TABLE staff (name TEXT)")

    assert list(database.ask(COUNT, [])) == [(0,)]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1; DELETE FROM staff",
        "SELECT 1; SELECT 2",
        "DELETE FROM staff",
        "INSERT INTO staff VALUES ('bob')",
        "WITH a AS (SELECT 'bob') INSERT INTO staff SELECT * FROM a",
        "CREATE TABLE other (a)",
        "CREATE TEMP TABLE other (a)",
        "DROP TABLE staff",
        "PRAGMA query_only = 0",
        "PRAGMA writable_schema = 1",
        "ATTACH ':memory:' AS other",
        "SELECT load_extension('x')",
        "BEGIN IMMEDIATE",
        "VACUUM INTO 'copy.db'",
    ],
)
def test_nothing_but_one_select_is_done(database: Database, path: Path, statement: str) -> None:
    before = path.read_bytes()

    with pytest.raises(QueryFailed):
        database.ask(hand_made(statement), [])

    assert path.read_bytes() == before
    assert list(database.ask(COUNT, [])) == [(1,)]


@pytest.mark.parametrize(
    "statement", ["SELECT count(*) FROM json_each('[1]')", "SELECT count(*) FROM notes WHERE notes MATCH 'fever'"]
)
def test_virtual_tables_are_read(database: Database, path: Path, statement: str) -> None:
    write(path, "CREATE VIRTUAL TABLE notes USING fts5(text); INSERT INTO notes VALUES ('a fever')")

    for _ in range(2):
        assert list(database.ask(hand_made(statement), [])) == [(1,)]


def test_others_write_while_it_is_idle(database: Database, path: Path) -> None:
    database.ask(parse("SELECT name FROM staff", "sqlite"), [])

    write(path, "INSERT INTO staff VALUES ('bob')")

    assert list(database.ask(COUNT, [])) == [(2,)]


def test_a_file_with_a_write_ahead_log_is_read(database: Database, path: Path) -> None:
    write(path, "PRAGMA journal_mode = wal; INSERT INTO staff VALUES ('bob')")

    assert list(database.ask(COUNT, [])) == [(2,)]


def test_a_file_may_have_any_name(tmp_path: Path) -> None:
    path = tmp_path / "a b?mode=rwc#%41.db"
    write(path, "CREATE TABLE staff (name TEXT)")

    assert list(Database(f"sqlite:///{quote(str(path))}").ask(COUNT, [])) == [(0,)]


def test_an_answer_that_comes_too_late_is_none(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(database.ask(COUNT, [])) == [(1,)]
    monkeypatch.setattr("flask_foreign_token.policies.sql.database.STATEMENT_TIMEOUT", 0)

    with pytest.raises(QueryFailed, match="it takes longer than 2 s"):
        database.ask(COUNT, [])


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("SELECT length(replace(hex(zeroblob({{params.x}})), '0', 'ab')) > 0", 200_000_000),
        ("SELECT 'a' LIKE {{params.x}}", "%a" * 501),
    ],
)
def test_a_function_that_nothing_would_stop_is_not_given_much_to_do(
    database: Database, query: str, value: object
) -> None:
    with pytest.raises(QueryFailed):
        database.ask(parse(query, "sqlite"), [value])

    assert list(database.ask(parse("SELECT length(hex(zeroblob(1000000)))", "sqlite"), [])) == [(2_000_000,)]
    assert list(database.ask(parse("SELECT 'a' LIKE {{params.x}}", "sqlite"), ["%a" * 500])) == [(0,)]


def test_what_the_database_says_of_a_value_is_not_told(
    database: Database, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(path, "CREATE VIRTUAL TABLE notes USING fts5(text)")
    query = parse("SELECT count(*) FROM notes WHERE notes MATCH {{params.q}}", "sqlite")

    for value in ("a-secret:x", '"a-secret', *(f"secret{number}:x" for number in range(1000))):
        with pytest.raises(QueryFailed, match=r"^SQLITE_ERROR$"):
            database.ask(query, [value])
    with pytest.raises(QueryFailed):
        database.ask(parse("SELECT nme FROM staff WHERE name = {{jwt.sub}}", "sqlite"), ["a-secret"])

    first, second = (record.getMessage() for record in caplog.records)
    assert first.endswith("a query: SQLITE_ERROR; the query: SELECT count(*) FROM notes WHERE notes MATCH {{params.q}}")
    assert "SQLITE_ERROR: no such column: nme; the query: SELECT nme FROM staff" in second


def test_what_the_database_says_is_told_without_the_table_that_a_request_names(
    database: Database, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(path, "CREATE TABLE salaries (a)")

    for query in ("SELECT nme FROM {{!params.type}}", "SELECT salaries.nme FROM {{!params.type}}"):
        with pytest.raises(QueryFailed):
            database.ask(parse(query, "sqlite"), ["Salaries"])

    first, second = (record.getMessage() for record in caplog.records)
    assert "no such column: nme;" in first
    assert "SQLITE_ERROR; the query: SELECT salaries.nme" in second


def test_threads_ask_at_the_same_time(database: Database) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: list(database.ask(COUNT, [])), range(200)))

    assert answers == [[(1,)]] * 200


def test_where_all_connections_are_busy_nobody_waits_for_ever(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_foreign_token.policies.sql.database.STATEMENT_TIMEOUT", 0.01)
    database = Database(f"sqlite:///{path}", clock)
    with ExitStack() as busy:
        for _ in range(POOL_SIZE):
            busy.enter_context(database._connected())
        with pytest.raises(SqlUnavailable, match="all 5 connections are busy"):
            database.ask(COUNT, [])

    assert list(database.ask(COUNT, [])) == [(1,)]


def test_a_connection_on_which_something_was_broken_off_is_not_used_again(database: Database) -> None:
    def used() -> object:
        with database._connected() as (_, connection):
            return connection

    before = used()
    assert used() is before
    with pytest.raises(KeyboardInterrupt), database._connected():
        raise KeyboardInterrupt

    assert used() is not before


def test_connections_are_closed_and_made_anew(database: Database, path: Path) -> None:
    database.ask(COUNT, [])
    database.release()
    path.unlink()
    write(path, "CREATE TABLE staff (name TEXT)")

    assert list(database.ask(COUNT, [])) == [(0,)]


@pytest.mark.parametrize("content", [None, b"this is no database" * 100])
def test_a_database_that_cannot_be_opened_is_let_rest(
    tmp_path: Path, clock: Clock, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "clinic.db"
    if content is not None:
        path.write_bytes(content)
    database = Database(f"sqlite:///{path}", clock)
    with pytest.raises(SqlUnavailable):
        database.ask(COUNT, [])
    path.unlink(missing_ok=True)
    write(path, "CREATE TABLE staff (name TEXT)")

    clock.now += REST - 0.1
    with pytest.raises(SqlUnavailable):
        database.ask(COUNT, [])
    clock.now += 0.2
    assert list(database.ask(COUNT, [])) == [(0,)]

    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith("FOREIGN_TOKEN_SQL_URI: the file ")
    assert str(tmp_path) not in record.getMessage()


def test_where_no_further_connection_can_be_opened_those_that_are_open_are_used(database: Database, path: Path) -> None:
    with database._connected():
        path.unlink()
        with pytest.raises(SqlUnavailable):
            database.ask(COUNT, [])

    assert list(database.ask(COUNT, [])) == [(1,)]


def test_what_is_wrong_at_this_moment_is_said_and_nothing_rests_for_it(path: Path, clock: Clock) -> None:
    database = Database(f"sqlite:///{path}", clock)
    aside = path.rename(path.with_name("aside"))

    assert database.fault() == "the file cannot be opened: SQLITE_CANTOPEN"
    aside.rename(path)
    assert database.fault() is None
    assert list(database.ask(COUNT, [])) == [(1,)]
    database.release()


def test_an_option_that_the_driver_does_not_know_is_a_fault() -> None:
    database = Database("mysql+pymysql://reader@localhost/clinic?colour=red")

    assert database.fault() == "there is no connection: TypeError"


def test_a_fault_that_lasts_is_logged_once(tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    database = Database(f"sqlite:///{tmp_path / 'absent.db'}", clock)

    for _ in range(3):
        with pytest.raises(SqlUnavailable):
            database.ask(COUNT, [])
        clock.now += REST + 1

    assert len(caplog.records) == 1


def test_a_driver_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "flask_foreign_token.policies.sql.mariadb", raising=False)
    monkeypatch.setitem(sys.modules, "pymysql", None)

    with pytest.raises(SqlUnavailable, match=r"the driver of mysql\+pymysql is not installed"):
        Database("mysql+pymysql://reader@localhost/clinic").ask(COUNT, [])


def test_a_table_is_known_soon_after_it_was_made(database: Database, path: Path, clock: Clock) -> None:
    named = parse("SELECT count(*) FROM {{!params.type}}", "sqlite")
    database.ask(named, ["staff"])
    write(path, "CREATE TABLE patient (id)")

    with pytest.raises(UnknownTable):
        database.ask(named, ["patient"])
    clock.now += REST
    assert list(database.ask(named, ["patient"])) == [(0,)]


def test_a_table_that_is_gone_is_forgotten(database: Database, path: Path, clock: Clock) -> None:
    named = parse("SELECT count(*) FROM {{!params.type}}", "sqlite")
    database.ask(named, ["staff"])
    write(path, "DROP TABLE staff")

    with pytest.raises(QueryFailed):
        database.ask(named, ["staff"])
    clock.now += TABLES_TTL
    with pytest.raises(UnknownTable):
        database.ask(named, ["staff"])


def test_the_time_of_a_query_is_over_with_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = SQLite(make_url(f"sqlite:///{path}"))
    connection = server.open()
    server.rows(connection, "SELECT count(*) FROM staff", [])
    server.end(connection)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 60)

    # As long as the pool's ping may seem to take, whose steps are counted on from those before.
    counting = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT max(i) FROM n"
    assert connection.execute(counting).fetchone() == (20000,)
    connection.close()
