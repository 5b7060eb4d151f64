"""What our tables have in common, and how those that are not there yet are made."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import DDL, Column, Connection, String, Table, event, func, inspect, select
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.types import TypeEngine

from .errors import DatabaseUnavailable
from .transactions import MISSING, WAIT, Transactions

_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_LOCK_NAME = "foreign_token"
_LOCK_NUMBER = 0x666F726569676E
# The lock's name for MariaDB and its number for PostgreSQL, both for the database server's whole life.


_DELETE_WITH = """
CREATE TRIGGER IF NOT EXISTS %(trigger)s AFTER DELETE ON %(owners)s
BEGIN DELETE FROM %(others)s WHERE %(reference)s = OLD.%(owner)s; END
"""


def is_storable(text: str) -> bool:
    """Whether any database can hold `text`: PostgreSQL knows no NUL, and half of a surrogate pair is no character."""
    return _UNSTORABLE.search(text) is None


def exact(length: int) -> TypeEngine[str]:
    """The type of a text whose letter case, accents and every byte count, also where a database folds them.

    :param length: characters, at most.
    """
    binary = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return String(length).with_variant(binary, "mysql", "mariadb")


def delete_with(owner: Column[Any], reference: Column[Any]) -> None:
    """Let SQLite delete rows with the one that their `reference` names, by a trigger, however that one is deleted.

    SQLite cascades only on connections that enforce foreign keys. The trigger is made with the later one of the two
    tables by SQLAlchemy, and goes with either: tables that a migration makes have none. Nor is there one between
    schemas, which are files of their own. A migration that rebuilds the referring table has to drop the trigger first.

    :param owner: a column of the table that is deleted from.
    :param reference: a column of another table.
    """
    owners, others = owner.table, reference.table
    if owners.schema != others.schema:
        return

    def make(target: Table, connection: Connection, **rest: object) -> None:
        if connection.dialect.name == "sqlite" and all(
            inspect(connection).has_table(table.name, schema=table.schema) for table in (owners, others)
        ):
            quote = connection.dialect.identifier_preparer.quote
            names = {
                "trigger": _trigger(reference, connection),
                "owners": quote(owners.name),
                "owner": quote(owner.name),
                "others": quote(others.name),
                "reference": quote(reference.name),
            }
            connection.execute(DDL(_DELETE_WITH, context=names))  # type: ignore[no-untyped-call]  # SQLAlchemy's own

    def drop(target: Table, connection: Connection, **rest: object) -> None:
        # It hangs on the owner's table; left behind, it would let no row of that be deleted any more.
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {_trigger(reference, connection)}")

    for table in (owners, others):
        event.listen(table, "after_create", make)
    event.listen(others, "before_drop", drop)


def _trigger(reference: Column[Any], connection: Connection) -> str:
    preparer, table = connection.dialect.identifier_preparer, reference.table
    name = preparer.quote(f"tr_{table.name}_{reference.name}")
    return name if table.schema is None else f"{preparer.quote_schema(table.schema)}.{name}"


def create_missing(transactions: Transactions, tables: Sequence[Table]) -> None:
    """Create those of `tables` that are absent, under a lock that holds across processes and machines.

    :param tables: of one metadata.
    :raises DatabaseUnavailable: the database cannot be reached, or does not let us make them.
    """
    if not _absent(transactions, tables):
        return
    try:
        with transactions.writing() as connection, alone(connection):
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
def alone(connection: Connection) -> Iterator[None]:
    """A block that is in one process at a time, on all machines: where tables are made or altered, or several users
    written.

    On SQLite the transaction itself is the lock, since it began as a writer's.
    """
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
