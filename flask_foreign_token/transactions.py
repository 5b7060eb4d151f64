"""Short transactions of the extension's own, beside the application's session and never in it."""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TypeVar, cast

from sqlalchemy import URL, Connection, Engine, func, select
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError, SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import StaticPool

from .errors import DatabaseUnavailable

_Kind = TypeVar("_Kind", bound=Engine)

WAIT = 15_000
"""Milliseconds that a writer waits while another one holds an SQLite file, or who is bounded, a row."""

MISSING = "a table is missing: `flask db upgrade` makes it where Flask-Migrate is used, `db.create_all()` elsewhere"

MISSING_COLUMN = (
    "a column is missing: `flask db upgrade` adds it where Flask-Migrate is used, after `flask db migrate` unless a "
    "revision has it; elsewhere a new start of the app adds those of the extension, and `db.create_all()` adds none"
)


class Deadlock(DatabaseUnavailable):
    """Two transactions wait for each other, and this one was given up. It may be tried once more."""


class Transactions:
    """Opens transactions on the engine of the bind that the tables are on. Making one does no I/O.

    A transaction belongs to the thread that opened it and lasts a few statements; results are read before it ends.

    In-memory SQLite is one connection that everybody shares. There the statements run through an engine of our own
    over that connection: listeners on the application's engine do not see them, those on the class ``Engine`` do.

    What SQLAlchemy logs of them (``SQLALCHEMY_ECHO``) has no parameters and no rows, which hold secrets.

    :param engine: the application's; its pool, listeners and ``journal_mode`` stay as they are.
    :param wait: milliseconds that a bounded transaction on a server waits for what another one has locked.
    """

    def __init__(self, engine: Engine, *, wait: int = WAIT) -> None:
        self._engine = _discreet(engine.execution_options())
        self._wait = wait
        self._reader, self._writer = _ways_of(engine)

    @property
    def share_a_connection(self) -> bool:
        """Whether they run on the one connection that everybody has, the application in the middle of its own too."""
        return isinstance(self._engine.pool, StaticPool)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read from; each statement sees what is committed by then.

        :raises DatabaseUnavailable: the database cannot be reached, is locked, or lacks a table.
        """
        with unavailable_as_refusal(), self._reader(self._engine) as connection:
            yield connection

    @contextmanager
    def writing(self, *, bounded: bool = False) -> Iterator[Connection]:
        """A connection whose transaction is committed at the end, or rolled back if an exception ends it.

        :param bounded: it waits for a lock no longer than `wait`, also on a server, for one statement more on
            PostgreSQL and two on MariaDB. A shorter time that the server has been told stays; on PostgreSQL any time.
        :raises DatabaseUnavailable: as for :meth:`reading`; an SQLite file stayed locked for :data:`WAIT`, or what is
            to be written was locked for too long.
        :raises sqlalchemy.exc.IntegrityError: a constraint refuses what was written.
        """
        wait = self._wait if bounded else None
        with unavailable_as_refusal(), self._writer(self._engine) as connection, _waiting(connection, wait):
            yield connection

    def leave_parents_connections(self) -> None:
        """After a fork, forget what the pool keeps open without closing it: the parent still talks on it.

        The connection of an in-memory database stays: this process has a copy of all that is in it.
        """
        if not self.share_a_connection:
            self._engine.dispose(close=False)

    def release(self) -> None:
        """Close what the pool keeps open, so that a process forked from this one inherits no connection of ours.

        The connection of an in-memory database stays: the database is in it.
        """
        if not self.share_a_connection:
            self._engine.dispose()


def _discreet(engine: _Kind) -> _Kind:
    """`engine`, which from now on logs statements only."""
    engine.hide_parameters = True
    # Rows are logged at level DEBUG, and for them there is no such switch.
    engine._should_log_debug = _never  # type: ignore[method-assign]  # noqa: SLF001
    return engine


def _never() -> bool:
    return False


_Way = Callable[[Engine], AbstractContextManager[Connection]]


def _ways_of(engine: Engine) -> tuple[_Way, _Way]:
    """How to read and how to write on that kind of database."""
    if engine.dialect.name != "sqlite":
        return Engine.connect, _read_committed
    if isinstance(engine.pool, StaticPool):
        return _sharing, _savepoint
    return Engine.connect, _immediate


@contextmanager
def _read_committed(engine: Engine) -> Iterator[Connection]:
    """The loser of a race is to meet a constraint; REPEATABLE READ and above have other errors, and gap locks."""
    with engine.connect() as connection:
        if engine.dialect.name in {"postgresql", "mysql", "mariadb"}:
            connection.execution_options(isolation_level="READ COMMITTED")
        with connection.begin():
            yield connection


@contextmanager
def _waiting(connection: Connection, wait: int | None) -> Iterator[None]:
    """A part of a transaction that waits for a lock no longer than `wait` milliseconds; on SQLite as it does anyway."""
    if wait is None:
        yield
        return
    if connection.dialect.name == "postgresql":
        unbounded = func.current_setting("lock_timeout") == "0"
        connection.execute(select(func.set_config("lock_timeout", str(wait), True)).where(unbounded))
    if connection.dialect.name not in {"mysql", "mariadb"}:
        yield
        return
    # It is the connection's, which the application goes on with. Whole seconds.
    name, before = "innodb_lock_wait_timeout", "@foreign_token_wait"
    seconds = max(1, wait // 1000)
    connection.exec_driver_sql(f"SET {before} = @@SESSION.{name}, SESSION {name} = LEAST(@@SESSION.{name}, {seconds})")
    try:
        yield
    finally:
        # Of a connection that is lost nothing is left to put right.
        with suppress(SQLAlchemyError):
            connection.exec_driver_sql(f"SET SESSION {name} = {before}")


@contextmanager
def _immediate(engine: Engine) -> Iterator[Connection]:
    """SQLite refuses to wait once a transaction that began with a read wants to write, so it begins as a writer."""
    with engine.connect() as connection:
        busy_timeout = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {WAIT}")
        try:
            if _in_transaction(connection):
                # A "begin" listener of the application's has sent a BEGIN of its own; nothing was read or written yet.
                connection.exec_driver_sql("ROLLBACK")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            connection.commit()
        finally:
            connection.rollback()
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {busy_timeout}")


def _in_transaction(connection: Connection) -> bool:
    return cast("sqlite3.Connection", connection.connection.driver_connection).in_transaction


class _Borrowing(SQLiteDialect_pysqlite):
    """Speaks to a connection whose transaction belongs to the application: neither commits nor rolls it back."""

    supports_statement_cache = True

    def do_commit(self, dbapi_connection: DBAPIConnection) -> None:
        """Left to the application."""

    def do_rollback(self, dbapi_connection: DBAPIConnection) -> None:
        """Left to the application; the pool asks for it too, whenever a connection is handed back."""

    def do_rollback_to_savepoint(self, connection: Connection, name: str) -> None:
        """SQLite keeps a savepoint that was rolled back to, and with the outermost the transaction that it began: what
        is written next would be a part of that, and lost with the application's next rollback."""
        connection.exec_driver_sql(f"ROLLBACK TO SAVEPOINT {name}")
        connection.exec_driver_sql(f"RELEASE SAVEPOINT {name}")


class _Shared:
    """The only connection of an in-memory database, with a lock under which our transactions take turns on it."""

    def __init__(self, connection: DBAPIConnection, url: URL) -> None:
        dialect = _Borrowing(dbapi=_Borrowing.import_dbapi())
        # What an engine learns when it connects, and without which no table can be looked at.
        dialect.server_version_info = sqlite3.sqlite_version_info
        self.lock = threading.RLock()
        self.engine = _discreet(Engine(StaticPool(lambda: connection, dialect=dialect), dialect, url))


def _shared(engine: Engine) -> _Shared:
    """The one that goes with the engine's connection and this process.

    It is kept in the connection's own record, since a checkout would roll back when it is handed back.
    """
    pool = cast("StaticPool", engine.pool)
    if pool.connection.dbapi_connection is None:
        pool.connect().close()
    record = pool.connection
    key = f"foreign_token.{os.getpid()}"
    if key not in record.info:
        record.info.setdefault(key, _Shared(cast("DBAPIConnection", record.dbapi_connection), engine.url))
    return cast("_Shared", record.info[key])


@contextmanager
def _sharing(engine: Engine) -> Iterator[Connection]:
    shared = _shared(engine)
    with shared.lock, shared.engine.connect() as connection:
        yield connection


@contextmanager
def _savepoint(engine: Engine) -> Iterator[Connection]:
    with _sharing(engine) as connection, connection.begin_nested():
        yield connection


_TABLE = frozenset({"42P01", "3F000", "42501", 1146})
_COLUMN = frozenset({"42703", 1054})
# A table or schema, and a column, that is not there or not ours. With other drivers these are the programmer's errors,
# on SQLite they are operational ones, which the text tells apart.
_DEADLOCKS = frozenset({"40P01", 1213})
_CONSTRAINTS = frozenset({"54000", "P0001", 1292, 1644, 1690, 3819, 4025})
# A row that an index has no room for, what a trigger raises, a value that a column cannot be made of, and a CHECK: what
# is written is to blame for them, and drivers call them operational or the programmer's.
_SQLITE_COLUMN = re.compile("no such column: |table .+ has no column named ")


@contextmanager
def unavailable_as_refusal() -> Iterator[None]:
    """A block in which what the driver raises when it cannot reach the database, or a table, is a refusal.

    :raises DatabaseUnavailable: as for :meth:`Transactions.reading`.
    """
    try:
        yield
    except PoolTimeoutError as error:
        raise DatabaseUnavailable from error
    except StatementError as error:
        # What we store about users stays out of the text of an error, and so out of logs.
        error.hide_parameters = True
        if not isinstance(error, DBAPIError):
            raise
        codes = _codes(error)
        if (missing := _missing(error, codes)) is not None:
            raise DatabaseUnavailable(hint=missing) from error
        if codes & _DEADLOCKS:
            raise Deadlock from error
        if codes & _CONSTRAINTS:
            raise IntegrityError(error.statement, None, error.orig or error, hide_parameters=True) from None
        if is_outage(error):
            raise DatabaseUnavailable from error
        raise


def is_outage(error: DBAPIError) -> bool:
    """Whether it is the database that fails, and not what was to be written."""
    if _codes(error) & _CONSTRAINTS:
        return False
    return isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated


def _codes(error: DBAPIError) -> frozenset[object]:
    """What a database calls `error`: PostgreSQL's SQLSTATE, MariaDB's number."""
    orig = error.orig
    numbers = [argument for argument in getattr(orig, "args", ())[:1] if isinstance(argument, int)]
    return frozenset([getattr(orig, "sqlstate", None), getattr(orig, "pgcode", None), *numbers])


def _missing(error: DBAPIError, codes: frozenset[object]) -> str | None:
    """What to do, where `error` says that something is not there."""
    text = str(error.orig)
    if codes & _TABLE or text.startswith("no such table"):
        return MISSING
    if codes & _COLUMN or _SQLITE_COLUMN.match(text):
        return MISSING_COLUMN
    return None
