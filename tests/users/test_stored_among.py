"""Which of many texts are ids of users."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy

from flask_foreign_token.users import account_access

from .accounts import Desk
from .conftest import World, a_world, closed, statements


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


def test_those_that_are_stored_are_found_by_one_statement(desk: Desk) -> None:
    for id_ in ("ada", "bob"):
        desk.put(id_)

    with statements() as sent:
        found = desk.accounts.stored_among({"ada", "Ada", "ada ", "eve", "", "nul\x00"})

    assert (found, sent) == ({"ada"}, ["SELECT"])


def test_of_nobody_nothing_is_asked(desk: Desk) -> None:
    with statements() as sent:
        assert desk.accounts.stored_among([]) == frozenset()

    assert sent == []


def test_those_who_are_not_let_in_are_stored_too(desk: Desk) -> None:
    desk.put("ada", inactive=True)

    assert desk.accounts.stored_among(["ada"]) == {"ada"}


def test_more_than_one_statement_takes_are_asked_about_in_several(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_access, "_AT_ONCE", 2)
    for id_ in "abcde":
        desk.put(id_)

    with statements() as sent:
        found = desk.accounts.stored_among("abcdefg")

    assert (found, len(sent)) == (set("abcde"), 4)


@pytest.mark.parametrize(
    ("kind", "key", "others"),
    [(sa.Integer, 7, ["07", "x", "7.0", str(2**80)]), (sa.Uuid, uuid.UUID(int=7), ["7", str(uuid.UUID(int=8))])],
    ids=["integer", "uuid"],
)
def test_keys_that_are_no_texts_are_found_by_what_they_read(kind: Any, key: Any, others: list[str]) -> None:
    def person(db: SQLAlchemy) -> type:
        return type("Person", (db.Model,), {"id": sa.Column(kind, primary_key=True)})

    world = a_world("sqlite://", user_class=person)
    with world.transactions.writing() as connection:
        connection.execute(sa.insert(world.models.user.__table__).values(id=key))

    found = Desk(world).accounts.stored_among([str(key), *others])

    closed(world)
    assert found == {str(key)}


def test_where_the_database_cannot_compare_it_cannot_tell() -> None:
    class Picky(sa.TypeDecorator[str]):
        impl = sa.String
        cache_ok = True

        def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
            if value == "odd":
                raise ValueError(value)
            return value

    def person(db: SQLAlchemy) -> type:
        return type("Person", (db.Model,), {"id": sa.Column(Picky, primary_key=True)})

    world = a_world("sqlite://", user_class=person)

    found = Desk(world).accounts.stored_among(["even", "odd"])

    closed(world)
    assert found is None
