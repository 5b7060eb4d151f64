"""Workers that share a registry in a database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, event, insert

from flask_foreign_token.registry.database import DatabaseRegistry
from flask_foreign_token.registry.edits import Edit, State
from flask_foreign_token.registry.feed import ChangeFeed
from flask_foreign_token.registry.registry import Contents
from flask_foreign_token.registry.registry_tables import RegistryTables
from flask_foreign_token.transactions import Transactions

NOW = 1_764_000_000.123


def unchecked(before: State, after: State) -> None:
    """Lets everything pass."""


class Place:
    """One worker's view of the database."""

    def __init__(self, engine: Engine, tables: RegistryTables) -> None:
        transactions = Transactions(engine)
        self.engine = engine
        self.tables = tables
        self.feed = ChangeFeed(transactions, tables, clock=lambda: NOW)
        self.registry = DatabaseRegistry(transactions, tables, self.feed)

    def apply(self, *bodies: Any, deletes: Any = (), by: str = "") -> Contents:
        self.registry.edit(Edit(bodies, deletes), check=unchecked, by=by)
        return self.registry.read()

    def write_by_hand(self, body: str, type_: str = "AccessPolicy", id_: str = "p") -> None:
        values = {"type": type_, "id": id_, "version": 1, "body": body, "last_updated": NOW}
        with self.engine.begin() as connection:
            connection.execute(insert(self.tables.resource), values)


def names(contents: Contents) -> list[str]:
    return [resource.name for resource in contents.resources]


def statements_on(engine: Engine) -> list[str]:
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda _c, _u, statement, *_: statements.append(statement))
    return statements
