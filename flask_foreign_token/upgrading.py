"""Our tables as an earlier version made them: what they lack, and how they get it where nobody migrates them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Index, Table, inspect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import ExecutableDDLElement, SetColumnComment
from sqlalchemy.sql.compiler import DDLCompiler

from .errors import DatabaseUnavailable
from .tables import alone
from .telling import tell
from .transactions import MISSING_COLUMN, WAIT, Transactions

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Lacking:
    """What tables lack that are there."""

    columns: tuple[Column[Any], ...]
    indexes: tuple[Index, ...]

    @property
    def names(self) -> str:
        """The columns, for people."""
        return ", ".join(f"{column.table.fullname}.{column.name}" for column in self.columns)

    @property
    def refusal(self) -> DatabaseUnavailable:
        """Why nothing works without the columns."""
        return DatabaseUnavailable(hint=f"{self.names}: {MISSING_COLUMN}")


class _AddColumn(ExecutableDDLElement):
    """Adds `column` to its table, which is there."""

    def __init__(self, column: Column[Any]) -> None:
        self.column = column


@compiles(_AddColumn)
def _add_column(element: _AddColumn, compiler: DDLCompiler, **rest: object) -> str:
    table = compiler.preparer.format_table(element.column.table)
    return f"ALTER TABLE {table} ADD COLUMN {compiler.get_column_specification(element.column)}"


def add_missing(transactions: Transactions, tables: Sequence[Table], *, wait: int = WAIT) -> None:
    """Add the columns that may be null, and the indexes, which `tables` lack; under the lock of
    :func:`~.tables.create_missing`, so that of several processes one does it. Without an index everything works.

    :param tables: those of one metadata, all of which are there.
    :param wait: milliseconds until it is given up where somebody else holds a table, such as an open transaction.
    :raises DatabaseUnavailable: the database cannot be reached, or a column is still missing.
    """
    found = _lacking_in(transactions, tables)
    if not found.columns and not found.indexes:
        return
    try:
        with transactions.writing() as connection, alone(connection), _impatient(connection, wait):
            _add(connection, _lacking(connection, tables))
    except (SQLAlchemyError, DatabaseUnavailable) as error:
        # Somebody who does not know our lock, such as a migration, may have been first.
        found = _lacking_in(transactions, tables)
        if found.columns:
            raise found.refusal from error
        if found.indexes:
            names = ", ".join(str(index.name) for index in found.indexes)
            tell(logger, logging.WARNING, "the database does not let the extension make the indexes %s", names)
    else:
        require_columns(transactions, tables)


def require_columns(transactions: Transactions, tables: Sequence[Table]) -> None:
    """Return if `tables` have all their columns.

    :param tables: those of one metadata, all of which are there.
    :raises DatabaseUnavailable: the database cannot be reached, or some are missing; the hint names them.
    """
    found = _lacking_in(transactions, tables)
    if found.columns:
        raise found.refusal


def _lacking_in(transactions: Transactions, tables: Sequence[Table]) -> _Lacking:
    with transactions.reading() as connection:
        return _lacking(connection, tables)


def _lacking(connection: Connection, tables: Sequence[Table]) -> _Lacking:
    inspector = inspect(connection)
    columns: list[Column[Any]] = []
    indexes: list[Index] = []
    for table in tables:
        names = {column["name"] for column in inspector.get_columns(table.name, schema=table.schema)}
        columns += (column for column in table.columns if column.name not in names)
        there = {index["name"] for index in inspector.get_indexes(table.name, schema=table.schema)}
        indexes += (index for index in table.indexes if index.name not in there)
    return _Lacking(tuple(columns), tuple(indexes))


def _add(connection: Connection, found: _Lacking) -> None:
    for column in found.columns:
        if column.nullable:
            connection.execute(_AddColumn(column))
            if connection.dialect.supports_comments and not connection.dialect.inline_comments and column.comment:
                connection.execute(SetColumnComment(column))
    for index in found.indexes:
        index.create(connection)


@contextmanager
def _impatient(connection: Connection, wait: int) -> Iterator[None]:
    """While a table is waited for, everybody who wants to read it waits behind; MariaDB would let them for a day."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {wait}")
        yield
    elif connection.dialect.name in {"mysql", "mariadb"}:
        connection.exec_driver_sql(f"SET SESSION lock_wait_timeout = {wait // 1000}")
        try:
            yield
        finally:
            connection.exec_driver_sql("SET SESSION lock_wait_timeout = DEFAULT")
    else:
        yield
