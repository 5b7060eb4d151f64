"""Where the tests stand who change users as an operator does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import sqlalchemy as sa

from flask_foreign_token.errors import Rejected
from flask_foreign_token.registry.database import tables_for
from flask_foreign_token.registry.feed import ChangeFeed
from flask_foreign_token.tables import create_missing
from flask_foreign_token.transactions import Transactions
from flask_foreign_token.users.accounts import Accounts, ShownUser
from flask_foreign_token.users.announced_writes import AnnouncedWrites

from .conftest import ISSUER, World

SYSTEMS = {"keycloak": ISSUER, "entra": "https://entra.example", "okta": "https://okta.example"}


class Desk:
    """An operator's place at the users of `world`."""

    def __init__(self, world: World) -> None:
        self.world = world
        tables = tables_for(world.db.metadata)
        with world.app.app_context():
            transactions = Transactions(world.db.engine)
        create_missing(transactions, (tables.resource, tables.change))
        self.feed = ChangeFeed(transactions, tables)
        self.forgotten: list[str] = []
        self.prepared = 0
        self.on_issuer: Callable[[], object] = lambda: None
        apart = None if world.models.bind_key is None else world.transactions
        self.accounts = Accounts(
            world.models,
            world.transactions,
            AnnouncedWrites(self.feed, apart, forget=self.forgotten.append),
            issuer_of=self._issuer_of,
            prepare=self._prepare,
            clock=world.clock,
        )
        self._begin = self.feed.latest()

    def _issuer_of(self, system: str) -> str | None:
        self.on_issuer()
        return SYSTEMS.get(system)

    def _prepare(self) -> None:
        self.prepared += 1

    @property
    def announced(self) -> list[tuple[str, str]]:
        """Type and ref of what the feed says since the beginning."""
        return [(change.type, change.ref) for change in self.feed.read(self._begin).changes]

    def put(self, id_: str | None, **body: Any) -> ShownUser:
        return self.accounts.put(id_, body)[1]

    def outcome(self, id_: str | None, body: Mapping[str, Any]) -> str:
        return self.accounts.put(id_, body)[0]

    def issuers(self) -> dict[tuple[str, str], str]:
        table = self.world.models.identifier.__table__
        with self.world.transactions.reading() as connection:
            rows = connection.execute(sa.select(table.c.system, table.c.value, table.c.issuer))
            return {(row.system, row.value): row.issuer for row in rows}


def named(*values: str, system: str = "keycloak") -> list[dict[str, str]]:
    return [{"system": system, "value": value} for value in values]


def faults_of(work: Callable[..., object], *arguments: Any, **more: Any) -> list[tuple[str, str, str]]:
    """Resource, path and reason of every fault for which `work` is rejected."""
    with pytest.raises(Rejected) as caught:
        work(*arguments, **more)
    return [tuple(issue) for issue in caught.value.issues]


def without_meta(user: ShownUser) -> dict[str, object]:
    return {name: value for name, value in user.resource.items() if name != "meta"}
