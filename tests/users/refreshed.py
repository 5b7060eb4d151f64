"""A user who is known, and an hour later."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from flask_foreign_token.introspection.token import Credential, Token
from flask_foreign_token.users.provider import Provider
from flask_foreign_token.users.provisioning import Users
from flask_foreign_token.users.snapshot import UserSnapshot

from .conftest import Says, World, a_credential, a_provider, a_token

HOUR = 3600.0


class Tells(Says):
    """A provider whose mind changes, that fails when it is told to, and that something may happen to meanwhile."""

    failure: Exception | None = None
    meanwhile: Callable[[], object] | None = None

    def userinfo(self, token: Token, credential: Credential) -> Mapping[str, object]:
        said = super().userinfo(token, credential)
        if self.meanwhile is not None:
            self.meanwhile()
        if self.failure is not None:
            raise self.failure
        return said


def meet(users: Users, provider: Provider, token: str = "new") -> UserSnapshot | None:
    return users.meet(a_token("ann"), provider, a_credential(token))


@dataclasses.dataclass
class Case:
    """A user who is known, and an hour later."""

    world: World
    source: Tells
    provider: Provider
    users: Users
    told: list[tuple[str, UserSnapshot]]
    first: UserSnapshot

    def meet(self, token: str = "new") -> UserSnapshot:
        user = meet(self.users, self.provider, token)
        assert user is not None
        return user

    def row(self) -> Any:
        with self.world.transactions.reading() as connection:
            return connection.execute(sa.select(self.world.models.identifier.__table__)).one()

    def write(self, statement: str) -> None:
        with self.world.transactions.writing() as connection:
            connection.exec_driver_sql(statement)


def a_case(
    world: World, *, claims: Mapping[str, object] = {"email": "ann@example.org", "given_name": "Ann"}, **more: Any
) -> Case:
    source, told = Tells(**claims), []
    provider = a_provider(source, **more)
    users = world.users(ttl=2 * HOUR, announce=lambda event, user: told.append((event, user)))
    first = meet(users, provider, "first")
    assert first is not None
    told.clear()
    world.clock.now += HOUR
    return Case(world, source, provider, users, told, first)
