"""The engine ``sql`` on an SQLite file."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final
from urllib.parse import quote

from sqlalchemy import URL
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from .server import STATEMENT_TIMEOUT, TOO_LONG, QueryFailed, Row, SqlUnavailable, Value

_STEPS: Final = 10_000
"""Instructions of SQLite between two looks at the clock, about 0.2 ms."""

_READING: Final = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})

_TABLES: Final = (
    "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
)

_VIRTUAL_TABLES: Final = """
SELECT 'json_each' UNION ALL SELECT 'json_tree'
UNION ALL SELECT replace(name, '"', '""') FROM sqlite_master WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%'
"""
"""Tables that SQLite makes known to itself at their first use, which looks like a CREATE TABLE."""

_LIMITS: Final = ((sqlite3.SQLITE_LIMIT_LENGTH, 4 * 1024 * 1024), (sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000))
"""Bytes of a text, and of a pattern, since nothing stops a function before it is done."""


class _Connection(sqlite3.Connection):
    """One that gives a statement up at a time of the monotonic clock."""

    deadline: _Deadline


class _Deadline:
    def __init__(self) -> None:
        self.at = time.monotonic() + STATEMENT_TIMEOUT

    def passed(self) -> bool:
        return time.monotonic() > self.at


class SQLite:
    """An SQLite file, opened so that nothing can be written.

    :param url: with an absolute path.
    """

    marker = "?"
    quote = '"'

    def __init__(self, url: URL) -> None:
        self.dialect = SQLiteDialect_pysqlite(dbapi=SQLiteDialect_pysqlite.import_dbapi())
        self._uri = f"file:{quote(url.database or '')}?mode=ro"

    def literal(self, sql: str) -> str:
        return sql

    def open(self) -> _Connection:
        try:
            connection = sqlite3.connect(
                self._uri,
                uri=True,
                timeout=STATEMENT_TIMEOUT,
                isolation_level=None,
                # A connection of the pool goes from thread to thread, and is with one at a time.
                check_same_thread=False,
                factory=_Connection,
            )
        except sqlite3.Error as error:
            raise SqlUnavailable(f"the file cannot be opened: {_name(error)}") from None
        try:
            connection.execute("PRAGMA query_only = 1")
            # Only a look into it tells whether it is a database.
            virtual = connection.execute(_VIRTUAL_TABLES).fetchall()
        except sqlite3.Error as error:
            connection.close()
            raise SqlUnavailable(f"the file cannot be read as a database: {_name(error)}") from None
        for (name,) in virtual:
            with suppress(sqlite3.Error):
                connection.execute(f'SELECT 1 FROM "{name}" LIMIT 0')  # noqa: S608 - quoted
        for limit, size in _LIMITS:
            connection.setlimit(limit, size)
        connection.deadline = _Deadline()
        connection.set_progress_handler(connection.deadline.passed, _STEPS)
        connection.set_authorizer(_authorize)
        return connection

    def rows(self, connection: _Connection, text: str, values: Sequence[Value]) -> Sequence[Row]:
        connection.deadline.at = time.monotonic() + STATEMENT_TIMEOUT
        cursor = connection.cursor()
        try:
            return cursor.execute(text, values).fetchmany(2)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise QueryFailed(_reason(error)) from None
        finally:
            # Or the file would stay locked for writers.
            cursor.close()

    def objection(self, connection: _Connection, text: str, count: int) -> str | None:
        try:
            # Which prepares it, and lists the steps in place of taking them.
            connection.execute(f"EXPLAIN {text}", [None] * count).close()
        except (sqlite3.Error, sqlite3.Warning) as error:
            return f"{_name(error)}: {error}"
        return None

    def end(self, connection: _Connection) -> None:
        """There is no transaction; but the pool's ping, whenever it comes, must not find the time of this passed."""
        connection.deadline.at = math.inf

    def tables(self, connection: _Connection) -> Iterable[str]:
        connection.deadline.at = time.monotonic() + STATEMENT_TIMEOUT
        try:
            return [name for (name,) in connection.execute(_TABLES).fetchall()]
        except sqlite3.Error as error:
            raise QueryFailed(_reason(error)) from None


def _authorize(action: int, first: str | None, second: str | None, *where: str | None) -> int:
    """Whether a statement may do something; asked while it is prepared."""
    if action == sqlite3.SQLITE_FUNCTION:
        allowed = second is not None and second.lower() != "load_extension"
    elif action == sqlite3.SQLITE_PRAGMA:
        # Which the full text search asks for, to see whether somebody has written.
        allowed = first == "data_version" and second is None
    else:
        allowed = action in _READING
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _reason(error: sqlite3.Error | sqlite3.Warning) -> str:
    return TOO_LONG if _name(error) == "SQLITE_INTERRUPT" else _name(error)


def _name(error: sqlite3.Error | sqlite3.Warning) -> str:
    return getattr(error, "sqlite_errorname", None) or type(error).__name__
