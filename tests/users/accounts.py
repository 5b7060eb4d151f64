"""Where the tests stand who change users as an operator does."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy

from flask_foreign_token.errors import Rejected
from flask_foreign_token.registry.feed import ChangeFeed
from flask_foreign_token.registry.registry_tables import tables_for
from flask_foreign_token.tables import create_missing
from flask_foreign_token.transactions import WAIT, Transactions
from flask_foreign_token.users.account_access import AccountAccess, ShownUser
from flask_foreign_token.users.accounts import Accounts
from flask_foreign_token.users.announced_writes import AnnouncedWrites
from flask_foreign_token.users.identifier_links import IdentifierLinks
from flask_foreign_token.users.personal_data import PersonalData
from flask_foreign_token.users.snapshot import Event, UserSnapshot

from .conftest import ISSUER, Says, World, a_credential, a_provider, a_token, a_world

SYSTEMS = {"keycloak": ISSUER, "entra": "https://entra.example", "okta": "https://okta.example"}


class Desk:
    """An operator's place at the users of `world`.

    :param wait: see :class:`.Transactions`.
    """

    def __init__(self, world: World, *, wait: int = WAIT) -> None:
        self.world = world
        tables = tables_for(world.db.metadata)
        with world.app.app_context():
            transactions = Transactions(world.db.engine, wait=wait)
        create_missing(transactions, tables.all)
        self.feed = ChangeFeed(transactions, tables)
        self.forgotten: list[str | None] = []
        self.on_forget: Callable[[str | None], object] = lambda key: None
        self.told: list[tuple[Event, UserSnapshot]] = []
        self.prepared = 0
        self.on_issuer: Callable[[], object] = lambda: None
        apart = None if world.models.bind_key is None else world.transactions
        self.on_event: Callable[[Event, UserSnapshot], object] = lambda event, user: None
        access = AccountAccess(
            world.models,
            world.transactions,
            AnnouncedWrites(self.feed, apart, forget=self._forget, announce=self._announce),
            prepare=self._prepare,
            clock=world.clock,
        )
        self.accounts = Accounts(access, self._issuer_of)
        self.links = IdentifierLinks(access, self._issuer_of)
        self.personal_data = PersonalData(access)
        self._begin = self.feed.latest()

    def _issuer_of(self, system: str) -> str | None:
        self.on_issuer()
        return SYSTEMS.get(system)

    def _prepare(self) -> None:
        self.prepared += 1

    def _forget(self, keys: Collection[str] | None) -> None:
        for key in [None] if keys is None else keys:
            self.forgotten.append(key)
            self.on_forget(key)

    def _announce(self, event: Event, user: UserSnapshot) -> None:
        self.told.append((event, user))
        self.on_event(event, user)

    @property
    def events(self) -> list[tuple[str, str]]:
        """Each event that was told, and the key of its user."""
        return [(event, str(user.key)) for event, user in self.told]

    @property
    def announced(self) -> list[tuple[str, str]]:
        """Type and ref of what the feed says since the beginning."""
        return [(change.type, change.ref) for change in self.feed.read(self._begin).changes]

    def put(self, id_: str | None, **body: Any) -> ShownUser:
        return self.accounts.put(id_, body)[1]

    def outcome(self, id_: str | None, body: Mapping[str, Any]) -> str:
        return self.accounts.put(id_, body)[0]

    def meet(self, value: str, issuer: str = ISSUER, **claims: object) -> str:
        """The key of the user who brings a token, whom nobody need have seen before."""
        token, provider = a_token(value, issuer), a_provider(Says(**claims))
        return str(self.world.users().find_or_create(token, provider, a_credential()).key)

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


def a_staff_desk(
    uri: str,
    *listed: str,
    active_attribute: str | None = None,
    binds: Mapping[str, str] = MappingProxyType({}),
    **members: Any,
) -> Desk:
    """A desk at users of an app's own model.

    :param listed: the attributes that ``toScim`` may set.
    :param binds: databases beside that of `uri`.
    :param members: of the class; an integer key that the database counts, unless there is another.
    """

    def person(db: SQLAlchemy) -> type:
        return type("Person", (db.Model,), {"id": sa.Column(sa.Integer, primary_key=True), **members})

    options = {"active_attribute": active_attribute, "user_attributes": listed, "binds": binds}
    return Desk(a_world(uri, user_class=person, **options))
