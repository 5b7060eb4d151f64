"""Live registries on a database that is changed from outside; tests are in charge of time and of threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine

from flask_foreign_token.errors import DatabaseUnavailable
from flask_foreign_token.http import Http
from flask_foreign_token.registry.database import DatabaseRegistry
from flask_foreign_token.registry.edits import Edit
from flask_foreign_token.registry.feed import USER, ChangeFeed
from flask_foreign_token.registry.live import LiveRegistry, Look
from flask_foreign_token.registry.registry import Registry
from flask_foreign_token.registry.registry_tables import RegistryTables
from flask_foreign_token.registry.snapshot import SnapshotBuilder
from flask_foreign_token.transactions import Transactions

from .places import unchecked

POLL = 10.0
SLACK = 0.5
EPOCH = 1_764_000_000.0
"""What the clock on the wall says when the other one begins to count."""


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Later:
    """Begins what happens in the background when a test says so."""

    def __init__(self) -> None:
        self.begun: list[Callable[[], None]] = []

    def __call__(self, work: Callable[[], None]) -> None:
        self.begun.append(work)

    def run(self) -> None:
        work, self.begun = self.begun, []
        for one in work:
            one()


def at_once(work: Callable[[], None]) -> None:
    work()


class Place:
    """A live registry on a database, with what is needed to change it from outside."""

    def __init__(self, engine: Engine, tables: RegistryTables) -> None:
        self.clock = Clock()
        self.feed = ChangeFeed(Transactions(engine), tables)
        self.store = DatabaseRegistry(Transactions(engine), tables, self.feed)
        self.builder = SnapshotBuilder(Http(), require_audience=True, default_audience=None, key_grace=0)
        self.users: list[set[str] | None] = []
        self.looks: list[Look] = []
        self.prepared = 0
        self.failure: DatabaseUnavailable | None = None

    def live(self, registry: Registry | None = None, **settings: Any) -> LiveRegistry:
        defaults: dict[str, Any] = {"poll": POLL, "tolerant": registry is None, "begin": at_once}
        return LiveRegistry(
            registry or self.store,
            self.feed,
            self.builder,
            prepare=self.prepare,
            on_user_change=lambda keys: self.users.append(None if keys is None else set(keys)),
            on_look=self.looks.append,
            clock=self.clock,
            wall_clock=lambda: EPOCH + self.clock.now,
            **(defaults | settings),
        )

    @property
    def results(self) -> list[str]:
        return [look.result for look in self.looks]

    def prepare(self) -> None:
        self.prepared += 1
        if self.failure is not None:
            raise self.failure

    def write(self, *bodies: dict[str, Any]) -> None:
        self.store.edit(Edit(bodies), check=unchecked)

    def announce(self, user: str) -> None:
        with self.feed.writing() as connection:
            self.feed.append(connection, [(USER, user)])


def policies(live: LiveRegistry) -> set[str]:
    return {policy.id for policy in live.current().policies}


class Gate:
    """A registry that can be held up, or broken."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.reached = threading.Event()
        self.failure: BaseException | None = None
        self.reads = 0
        self._open = threading.Event()
        self.open()

    def __str__(self) -> str:
        return str(self.registry)

    def open(self) -> None:
        self._open.set()

    def close(self) -> None:
        self._open.clear()
        self.reached.clear()

    def read(self, *arguments: Any) -> Any:
        self.reads += 1
        self.reached.set()
        self._open.wait(10)
        if self.failure is not None:
            raise self.failure
        return self.registry.read(*arguments)
