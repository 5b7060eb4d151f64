"""What our tables have in common, and how those that are not there yet are made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, String, Table, func, inspect, select
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.types import TypeEngine

from .errors import DatabaseUnavailable
from .transactions import MISSING, WAIT, Transactions

_LOCK_NAME = "foreign_token"
_LOCK_NUMBER = 0x666F726569676E
# The lock's name for MariaDB and its number for PostgreSQL, both for the database server's whole life.


def exact(length: int) -> TypeEngine[str]:
    """The type of a text whose letter case, accents and every byte count, also where a database folds them.

    :param length: characters, at most.
    """
    binary = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return String(length).with_variant(binary, "mysql", "mariadb")


def create_missing(transactions: Transactions, tables: Sequence[Table]) -> None:
    """Create those of `tables` that are absent, under a lock that holds across processes and machines.

    :param tables: of one metadata.
    :raises DatabaseUnavailable: the database cannot be reached, or does not let us make them.
    """
    if not _absent(transactions, tables):
        return
    try:
        with transactions.writing() as connection, _alone(connection):
            tables[0].metadata.create_all(connection, tables=tables)
    except (SQLAlchemyError, DatabaseUnavailable) as error:
        # Somebody who does not know our lock, such as the application's own create_all, may have been first.
        if _absent(transactions, tables):
            raise DatabaseUnavailable(hint="the database does not let the extension make its tables") from error


def require_tables(transactions: Transactions, tables: Sequence[Table]) -> None:
    """Return if `tables` are there.

    :raises DatabaseUnavailable: the database cannot be reached, or some are absent; the hint names them.
    """
    if absent := _absent(transactions, tables):
        raise DatabaseUnavailable(hint=f"{', '.join(absent)}: {MISSING}")


def _absent(transactions: Transactions, tables: Sequence[Table]) -> list[str]:
    with transactions.reading() as connection:
        inspector = inspect(connection)
        return [table.fullname for table in tables if not inspector.has_table(table.name, schema=table.schema)]


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """On SQLite the transaction itself is the lock, since it began as a writer's."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK_NUMBER)))
        yield
    elif connection.dialect.name in {"mysql", "mariadb"}:
        connection.execute(select(func.get_lock(_LOCK_NAME, WAIT // 1000)))
        try:
            yield
        finally:
            connection.execute(select(func.release_lock(_LOCK_NAME)))
    else:
        yield
