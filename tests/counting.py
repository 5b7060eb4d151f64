"""Counts the SQL statements of a block, each kind apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy

_CONTROL = ("BEGIN", "SAVEPOINT", "RELEASE", "ROLLBACK", "COMMIT", "PRAGMA")
_SCHEMA = ("CREATE", "ALTER", "DROP")
_INSPECTION = ("sqlite_master", "sqlite_temp_master", "pragma main.table", "pragma temp.table")
_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE")


@dataclass
class Statements:
    """What was sent to databases, in order.

    :param control: begins and ends transactions, or sets up a connection.
    :param feed: looks for changes that other processes made.
    :param schema: makes tables or looks whether they are there.
    """

    reads: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    control: list[str] = field(default_factory=list)
    feed: list[str] = field(default_factory=list)
    schema: list[str] = field(default_factory=list)
    work: list[str] = field(default_factory=list)
    """Reads and writes, as they came: the first word of each."""

    def add(self, statement: str) -> None:
        word = statement.split(maxsplit=1)[0].upper()
        lower = statement.lower()
        if word in _SCHEMA or any(mark in lower for mark in _INSPECTION):
            self.schema.append(statement)
        elif word in _CONTROL:
            self.control.append(statement)
        elif "foreign_token_change" in lower:
            self.feed.append(statement)
        else:
            (self.writes if word in _WRITES else self.reads).append(statement)
            self.work.append(word)


@contextmanager
def counted() -> Iterator[Statements]:
    """Every statement that any engine of this process executes within the block."""
    statements = Statements()

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        statements.add(statement)

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", note)


@contextmanager
def checked_out() -> Iterator[list[object]]:
    """Every time a connection is taken from a pool within the block, whatever it is used for."""
    taken: list[object] = []

    def note(connection: object, record: object, proxy: object) -> None:
        taken.append(record)

    sqlalchemy.event.listen(sqlalchemy.pool.Pool, "checkout", note)
    try:
        yield taken
    finally:
        sqlalchemy.event.remove(sqlalchemy.pool.Pool, "checkout", note)
