from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event

from flask_foreign_token.errors import Refusal
from flask_foreign_token.introspection.token import Credential, Token, Versioned
from flask_foreign_token.transactions import Transactions
from flask_foreign_token.users.models import Models, models_for
from flask_foreign_token.users.provider import Provider
from flask_foreign_token.users.provisioning import Users
from flask_foreign_token.users.userinfo import UserinfoSource

ISSUER = "https://idp.example/realms/myrealm"

LOOK_ALIKES = [
    ("ada", "Ada"),
    ("ada", "ada "),
    ("ada", " ada"),
    ("ada", "áda"),
    ("\u00e9", "e\u0301"),
    ("ß", "ss"),
    ("\ufb01", "fi"),
    ("1", "01"),
    ("\U0001f600", "\U0001f601"),
    ("\u0131", "i"),
]
"""Subjects that some database, collation or normal form takes for one."""


class Key:
    withdrawn = False


def a_token(sub: str = "74ae9aaf", issuer: str = ISSUER, **claims: object) -> Token:
    return Token(
        issuer=issuer,
        subject=sub,
        expires_at=2e9,
        usable_until=2e9,
        claims={"iss": issuer, "sub": sub, **claims},
        introspector=Versioned("keycloak", "1"),
        evidence=Key(),
    )


def a_credential(token: str = "a.b.c") -> Credential:
    return Credential("bearer", token)


class Says(UserinfoSource):
    """A provider that says the same of everybody, and is counted."""

    def __init__(self, **claims: object) -> None:
        self.claims = claims
        self.asked = 0

    def userinfo(self, token: Token, credential: Credential) -> Mapping[str, object]:
        self.asked += 1
        return {"sub": token.subject, **self.claims}


def a_provider(
    userinfo: UserinfoSource, *, system: str = "keycloak", create_user: bool | None = None, **more: Any
) -> Provider:
    values: dict[str, Any] = {
        "id": system,
        "version": "1",
        "system": system,
        "to_scim": {"email": ["email"], "given_name": ["name", "givenName"]},
        "create_user": create_user,
        "userinfo": userinfo,
    }
    return Provider(**{**values, **more})


class Clock:
    def __init__(self) -> None:
        self.now = 1_758_807_748.826592

    def __call__(self) -> float:
        return self.now


@dataclass
class World:
    """An app's database with our tables in it."""

    app: Flask
    db: SQLAlchemy
    models: Models
    clock: Clock = field(default_factory=Clock)

    @property
    def engine(self) -> sa.Engine:
        with self.app.app_context():
            return self.db.engines[self.models.bind_key]

    @property
    def transactions(self) -> Transactions:
        return Transactions(self.engine)

    def users(self, *, create_user: bool = True, ttl: float = 30, **more: object) -> Users:
        return Users(self.models, self.transactions, create_user=create_user, ttl=ttl, clock=self.clock, **more)

    def count(self, model: type) -> int:
        with self.transactions.reading() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(model.__table__))

    @property
    def population(self) -> tuple[int, int]:
        """Users and identifiers."""
        return self.count(self.models.user), self.count(self.models.identifier)


def a_world(
    uri: str,
    *,
    binds: Mapping[str, str] = {},
    user_class: Callable[[SQLAlchemy], type] | None = None,
    active_attribute: str | None = None,
    user_attributes: Sequence[str] = (),
    create_all: bool = True,
    **extension: Any,
) -> World:
    app = Flask("world")
    app.config.update(SQLALCHEMY_DATABASE_URI=uri, SQLALCHEMY_BINDS=binds)
    db = SQLAlchemy(**extension)
    world = World(app, db, models_for(db, user_class and user_class(db), active_attribute, user_attributes))
    db.init_app(app)
    if create_all:
        with app.app_context():
            db.create_all()
    return world


def closed(world: World) -> None:
    with world.app.app_context():
        for engine in world.db.engines.values():
            engine.dispose()


@pytest.fixture(params=["memory", "file"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """On in-memory SQLite and on a file of it."""
    world = a_world("sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path / 'app.sqlite'}")
    yield world
    closed(world)


@pytest.fixture
def memory() -> Iterator[World]:
    world = a_world("sqlite://")
    yield world
    closed(world)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[World]:
    world = a_world(f"sqlite:///{tmp_path / 'app.sqlite'}")
    yield world
    closed(world)


@contextmanager
def statements() -> Iterator[list[str]]:
    """The first words of what is sent to any database, transaction control apart."""
    seen: list[str] = []

    def listener(connection: object, cursor: object, statement: str, *rest: object) -> None:
        word = statement.split()[0]
        if word not in {"BEGIN", "PRAGMA", "SAVEPOINT", "RELEASE", "ROLLBACK"}:
            seen.append(word)

    event.listen(sa.Engine, "before_cursor_execute", listener)
    try:
        yield seen
    finally:
        event.remove(sa.Engine, "before_cursor_execute", listener)


def at_once(number: int, work: Callable[[int], object]) -> list[object]:
    """What `work` returns or raises in each of as many threads that start together."""
    start = threading.Barrier(number)
    results: list[object] = [None] * number

    def run(index: int) -> None:
        start.wait()
        try:
            results[index] = work(index)
        except Refusal as refusal:
            results[index] = refusal

    threads = [threading.Thread(target=run, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
