"""The engine ``sql`` on PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from itertools import islice
from typing import Any, Final, cast

import psycopg
from sqlalchemy import URL
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from .server import (
    CONNECT_TIMEOUT,
    GRACE,
    STATEMENT_TIMEOUT,
    TOO_LONG,
    QueryFailed,
    Row,
    SqlUnavailable,
    Value,
    closed_on_failure,
)

_SESSION: Final = (
    "SELECT set_config('statement_timeout', %s, false), set_config('default_transaction_read_only', 'on', false),"
    " set_config('standard_conforming_strings', 'on', false)"
)

_MORE_THAN_READING: Final = """
WITH mine AS (
  SELECT * FROM pg_catalog.pg_roles WHERE pg_has_role(current_user, oid, 'MEMBER')
), schemas AS (
  SELECT * FROM pg_catalog.pg_namespace
  WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND nspname !~ '^pg_(toast|temp)'
), things AS (
  SELECT c.* FROM pg_catalog.pg_class c JOIN schemas ON c.relnamespace = schemas.oid
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
)
(SELECT 'is not the one that signs in, which a query can become again; name it as the user in the URL'
  WHERE current_user <> session_user)
UNION ALL
(SELECT 'is, or can become, ' || rolname || ', which can do more than read' FROM mine
  WHERE rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication
    OR rolname ~ '^pg_' AND rolname NOT IN
      ('pg_read_all_data', 'pg_read_all_settings', 'pg_read_all_stats', 'pg_stat_scan_tables', 'pg_monitor') LIMIT 1)
UNION ALL
(SELECT 'can write ' || things.oid::regclass FROM things CROSS JOIN mine WHERE things.relowner = mine.oid
  OR CASE WHEN relkind = 'S' THEN has_sequence_privilege(mine.oid, things.oid, 'USAGE, UPDATE')
  ELSE has_table_privilege(mine.oid, things.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER')
    OR has_any_column_privilege(mine.oid, things.oid, 'INSERT, UPDATE') END LIMIT 1)
UNION ALL
(SELECT 'can create in the schema ' || quote_ident(nspname) FROM schemas CROSS JOIN mine
  WHERE has_schema_privilege(mine.oid, schemas.oid, 'CREATE') LIMIT 1)
UNION ALL
(SELECT 'can create in the database' FROM mine
  WHERE has_database_privilege(mine.oid, current_database(), 'CREATE') LIMIT 1)
LIMIT 1
"""

_TABLES: Final = """
SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON c.relnamespace = n.oid
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND pg_catalog.pg_table_is_visible(c.oid)
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
"""

_END: Final = "ROLLBACK; SELECT pg_catalog.pg_advisory_unlock_all()"
"""Both in one message."""


class _Connection(psycopg.Connection[tuple[Any, ...]]):
    """One that does not wait for ever for a server that says nothing."""

    def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        return super().wait(self._until(gen, time.monotonic() + STATEMENT_TIMEOUT + GRACE), *args, **options)

    def _until(self, gen: Generator[Any, int, Any], deadline: float) -> Generator[Any, int, Any]:
        try:
            waits_for = next(gen)
            while True:
                ready = yield waits_for
                if not ready and time.monotonic() > deadline:
                    self.pgconn.finish()
                    raise psycopg.OperationalError("the server does not answer")
                waits_for = gen.send(ready)
        except StopIteration as end:
            return end.value


class PostgreSQL:
    """PostgreSQL by psycopg, each query in a transaction that only reads and is rolled back."""

    marker = "%s"
    quote = '"'

    def __init__(self, url: URL) -> None:
        self.dialect = PGDialect_psycopg(dbapi=psycopg)  # type: ignore[no-untyped-call]  # SQLAlchemy's own
        self._arguments, self._options = self.dialect.create_connect_args(url)  # type: ignore[no-untyped-call]
        self._options["connect_timeout"] = CONNECT_TIMEOUT

    def literal(self, sql: str) -> str:
        return sql.replace("%", "%%")

    def open(self) -> _Connection:
        try:
            connection = _Connection.connect(*self._arguments, **self._options)
        except psycopg.Error as error:
            # Its text names the host and the role.
            raise SqlUnavailable(f"there is no connection: {_name(error)}") from None
        with closed_on_failure(connection):
            try:
                self._set_up(connection)
            except psycopg.Error as error:
                raise SqlUnavailable(f"the connection cannot be made to only read: {_name(error)}") from None
        return connection

    def rows(self, connection: _Connection, text: str, values: Sequence[Value]) -> Sequence[Row]:
        try:
            return _first_rows(connection, text, values)
        except psycopg.Error as error:
            if connection.closed:
                raise SqlUnavailable(f"the connection is lost: {_name(error)}") from None
            raise QueryFailed(_reason(error)) from None

    def objection(self, connection: _Connection, text: str, count: int) -> str | None:
        try:
            connection.rollback()
            # Which looks at what the role may read as well.
            _first_rows(connection, f"EXPLAIN {text}", [None] * count)
        except psycopg.Error as error:
            return f"{_name(error)}: {error.diag.message_primary}"
        return None

    def end(self, connection: _Connection) -> None:
        connection.execute(_END, prepare=False)

    def tables(self, connection: _Connection) -> Iterable[str]:
        try:
            return [name for (name,) in connection.execute(_TABLES).fetchall()]
        except psycopg.Error as error:
            raise SqlUnavailable(f"its tables cannot be listed: {_name(error)}") from None

    def _set_up(self, connection: _Connection) -> None:
        # Whatever the URL says.
        connection.autocommit = False
        connection.execute(_SESSION, [str(STATEMENT_TIMEOUT * 1000)])
        connection.commit()
        connection.read_only = True
        found = connection.execute(_MORE_THAN_READING).fetchone()
        connection.rollback()
        if found is not None:
            raise SqlUnavailable(f"the role {found[0]}")


def _first_rows(connection: _Connection, text: str, values: Sequence[Value | None]) -> Sequence[Row]:
    # A stream always goes as one prepared statement, and does not gather rows that nobody looks at.
    with connection.cursor() as cursor:
        stream = cast("Generator[Row]", cursor.stream(text, values))
        with closing(stream) as rows:
            return list(islice(rows, 2))


def _reason(error: psycopg.Error) -> str:
    return TOO_LONG if error.sqlstate == "57014" else _name(error)


def _name(error: psycopg.Error) -> str:
    return " ".join(part for part in (type(error).__name__, error.sqlstate) if part)
