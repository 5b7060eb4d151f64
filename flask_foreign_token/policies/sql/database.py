"""The database that the engine ``sql`` asks: on connections of its own, as a role that can only read."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from sqlalchemy import URL, make_url
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import QueuePool

from ...caching import Cache, Rest
from ...errors import REST
from ...printable import in_ascii
from ...tables import is_storable
from ...telling import tell
from .server import (
    KINDS,
    SETTING,
    STATEMENT_TIMEOUT,
    TOO_LONG,
    QueryFailed,
    Row,
    SqlFault,
    SqlServer,
    SqlUnavailable,
    UnknownTable,
    UnusableValue,
    Value,
)
from .statement import Named, Statement

logger = logging.getLogger("flask_foreign_token.policies")

POOL_SIZE: Final = 5
"""Queries that one process asks at a time."""

RECYCLE: Final = 300
"""Seconds after which a connection is replaced by a new one, of which is checked anew what its role can do."""

TABLES_TTL: Final = 60
"""Seconds for which the names of the tables are believed."""

_TOLD: Final = 1000
"""Failures of queries that are told apart, each logged once."""

_LARGEST: Final = sys.float_info.max


class _Tables(NamedTuple):
    names: frozenset[str]
    read_at: float


class Database:
    """Asks one statement at a time. Making one does no I/O; it belongs to the process that made it.

    Every connection is checked when it is opened: a role that can do more than read is refused, as is a database that
    cannot be reached. Then no further one is opened for :data:`~flask_foreign_token.errors.REST` seconds, and the
    reason is logged once; those that are open are used meanwhile.

    :param uri: the setting ``FOREIGN_TOKEN_SQL_URI``, of one of :data:`KINDS`.
    :param clock: the time in seconds.
    """

    def __init__(self, uri: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = make_url(uri)
        self.kind = KINDS[self._url.drivername]
        self._clock = clock
        self._rest = Rest(REST, 2, clock)
        self._tables: Cache[_Tables] = Cache(2, clock)
        self._server: SqlServer | None = None
        self._pool: QueuePool | None = None
        self._making = threading.Lock()
        self._fault: str | None = None
        self._told: set[tuple[Statement, str]] = set()

    def ask(self, statement: Statement, values: Sequence[object]) -> Sequence[Row]:
        """The first rows, at most two, that a statement gives.

        :param values: one for each placeholder of `statement`: texts, booleans and numbers.
        :raises SqlFault: there is no answer; its text holds nothing of `values`.
        """
        bound = [_usable(value) for value in values]
        try:
            return self._ask(statement, bound)
        except SqlFault as fault:
            # The driver's error, of which this one was made, may hold values.
            fault.__context__ = None
            raise

    def fault(self) -> str | None:
        """Why a connection cannot be opened at this moment, with which the role is checked; none: it can."""
        try:
            server = _server(self._url)
            server.open().close()
        except SqlUnavailable as unavailable:
            return str(unavailable)
        return None

    def release(self) -> None:
        """Close idle connections, so that a process that is forked from here inherits none."""
        with self._making:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.dispose()

    def _ask(self, statement: Statement, values: Sequence[Value]) -> Sequence[Row]:
        with self._connected() as (server, connection):
            text, parameters = self._written(server, connection, statement, values)
            try:
                return _rows_in_time(server, connection, text, parameters)
            except QueryFailed as failed:
                if self._is_new(statement, failed):
                    objection = server.objection(connection, text, len(parameters))
                    _report(statement, failed, objection, _names(statement, values))
                raise

    @contextmanager
    def _connected(self) -> Iterator[tuple[SqlServer, Any]]:
        pool, server = self._open_pool()
        try:
            connection = pool.connect()
        except PoolTimeoutError:
            raise SqlUnavailable(f"all {POOL_SIZE} connections are busy") from None
        is_clean = False
        try:
            yield server, connection.driver_connection
            is_clean = True
        except (QueryFailed, UnknownTable):
            is_clean = True
            raise
        finally:
            # Where something else went wrong, nobody knows what is still to come on it.
            if not is_clean or not _ended(server, connection.driver_connection):
                connection.invalidate()
            connection.close()

    def _open_pool(self) -> tuple[QueuePool, SqlServer]:
        with self._making:
            server = self._server
            if server is None:
                self._rest.raise_if_resting(None)
                with self._resting_after_failure():
                    server = self._server = _server(self._url)
            pool = self._pool
            if pool is None:
                pool = self._pool = self._make_pool(server)
            return pool, server

    def _make_pool(self, server: SqlServer) -> QueuePool:
        def connect() -> Any:
            # Those who waited while another was refused need not try for themselves.
            self._rest.raise_if_resting(None)
            with self._resting_after_failure():
                connection = server.open()
            self._fault = None
            return connection

        return QueuePool(
            connect,
            pool_size=POOL_SIZE,
            max_overflow=0,
            timeout=STATEMENT_TIMEOUT,
            recycle=RECYCLE,
            reset_on_return=None,
            dialect=server.dialect,
            pre_ping=True,
            use_lifo=True,
        )

    @contextmanager
    def _resting_after_failure(self) -> Iterator[None]:
        try:
            yield
        except SqlUnavailable as unavailable:
            self._rest.note(None, unavailable)
            fault = str(unavailable)
            if fault != self._fault:
                self._fault = fault
                text = "%s: %s; without a connection, policies of the engine sql deny"
                tell(logger, logging.ERROR, text, SETTING, in_ascii(fault))
            raise

    def _is_new(self, statement: Statement, failed: QueryFailed) -> bool:
        """Whether it was not told yet that this statement fails in this way, and may still be."""
        known = (statement, str(failed))
        if known in self._told or len(self._told) >= _TOLD:
            return False
        self._told.add(known)
        return True

    def _written(
        self, server: SqlServer, connection: Any, statement: Statement, values: Sequence[Value]
    ) -> tuple[str, list[Value]]:
        """The text of `statement` for that server, and what goes beside it."""
        remaining = iter(values)
        texts: list[str] = []
        parameters: list[Value] = []
        for piece in statement.pieces:
            if isinstance(piece, str):
                texts.append(server.literal(piece))
            elif isinstance(piece, Named):
                name = self._table(server, connection, piece, next(remaining))
                texts.append(
                    server.literal(f"{server.quote}{name.replace(server.quote, server.quote * 2)}{server.quote}")
                )
            else:
                texts.append(server.marker)
                parameters.append(next(remaining))
        return "".join(texts), parameters

    def _table(self, server: SqlServer, connection: Any, placeholder: Named, value: Value) -> str:
        name = value.lower() if isinstance(value, str) else ""

        def read() -> tuple[_Tables, float]:
            now = self._clock()
            return _Tables(frozenset(server.tables(connection)), now), now + TABLES_TTL

        tables = self._tables.get_or_load(None, read, patience=STATEMENT_TIMEOUT)
        if name not in tables.names and self._clock() - tables.read_at >= REST:
            # It may have been made since.
            self._tables.drop(None)
            tables = self._tables.get_or_load(None, read, patience=STATEMENT_TIMEOUT)
        if name not in tables.names:
            raise UnknownTable(f"{placeholder} names no table or view of the database")
        return name


def _rows_in_time(server: SqlServer, connection: Any, text: str, values: Sequence[Value]) -> Sequence[Row]:
    began = time.monotonic()
    rows = server.rows(connection, text, values)
    # A function may be given up without its statement, and another one cannot be.
    if time.monotonic() - began >= STATEMENT_TIMEOUT:
        raise QueryFailed(TOO_LONG)
    return rows


def _ended(server: SqlServer, connection: Any) -> bool:
    try:
        server.end(connection)
    except Exception:  # noqa: BLE001 - whatever goes wrong, the connection is closed, which ends all that is left on it
        return False
    return True


def _names(statement: Statement, values: Sequence[Value]) -> list[str]:
    """The values that stand in the text of a statement: those that name tables."""
    pairs = zip(statement.placeholders, values, strict=True)
    return [str(value).lower() for placeholder, value in pairs if isinstance(placeholder, Named)]


def _report(statement: Statement, failed: QueryFailed, objection: str | None, names: Sequence[str]) -> None:
    reason = str(failed)
    if objection is not None and not any(name in objection.lower() for name in names):
        # What speaks against it without its values speaks against it with any.
        reason = objection
    text = "%s: the database refuses a query: %s; the query: %s"
    tell(logger, logging.ERROR, text, SETTING, in_ascii(reason), in_ascii(str(statement)))


def _server(url: URL) -> SqlServer:
    # Only the driver that is used has to be there.
    try:
        match KINDS[url.drivername]:
            case "sqlite":
                from .sqlite import SQLite

                return SQLite(url)
            case "postgresql":
                from .postgresql import PostgreSQL

                return PostgreSQL(url)
            case "mariadb":
                from .mariadb import MariaDB

                return MariaDB(url)
    except ImportError:
        raise SqlUnavailable(f"the driver of {url.drivername} is not installed, or not all of it") from None


def _usable(value: object) -> Value:
    """:raises UnusableValue: not every database would take it for what it is."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    if isinstance(value, float) and abs(value) <= _LARGEST:
        return value
    if isinstance(value, str) and is_storable(value):
        return value
    raise UnusableValue("a text with NUL or a lone surrogate, or a number that is not finite or takes over 64 bits")
