from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import orm as sa_orm

from flask_foreign_token.users.accounts import Page

from .accounts import Desk, named
from .conftest import LOOK_ALIKES, World, a_world, closed, statements


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


@pytest.fixture
def employees() -> Iterator[Desk]:
    """A desk at users whose model is one of a hierarchy, with a person who is no employee."""

    class Base(sa_orm.DeclarativeBaseNoMeta):
        pass

    kept: list[type] = []

    def employee(db: SQLAlchemy) -> type:
        class Person(sa_orm.MappedAsDataclass, db.Model):
            __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}  # noqa: RUF012
            id: sa_orm.Mapped[uuid.UUID] = sa_orm.mapped_column(
                primary_key=True, init=False, default_factory=uuid.uuid4
            )
            kind: sa_orm.Mapped[str] = sa_orm.mapped_column(sa.String(10), init=False)
            is_active: sa_orm.Mapped[bool] = sa_orm.mapped_column(default=True)

        class Employee(Person):
            __mapper_args__ = {"polymorphic_identity": "employee"}  # noqa: RUF012
            id: sa_orm.Mapped[uuid.UUID] = sa_orm.mapped_column(
                sa.ForeignKey("person.id"), primary_key=True, init=False, default_factory=uuid.uuid4
            )

        kept.append(Person)
        return Employee

    world = a_world("sqlite://", user_class=employee, active_attribute="is_active", model_class=Base)
    with world.transactions.writing() as connection:
        connection.execute(sa.insert(kept[0].__table__).values(id=uuid.uuid4(), kind="person", is_active=True))
    yield Desk(world)
    closed(world)


def test_a_page_is_ordered_by_key_and_counted(desk: Desk) -> None:
    for id_ in "cadb":
        desk.put(id_, identifier=named(f"{id_}1", f"{id_}2"), data={"x": id_})
    desk.put("e")

    pages = [desk.accounts.search(offset=offset, limit=2) for offset in (0, 2, 4, 6)]

    assert [page.total for page in pages] == [5] * 4
    assert [[user.id for user in page.users] for page in pages] == [["a", "b"], ["c", "d"], ["e"], []]
    assert pages[0].users == [desk.accounts.get("a"), desk.accounts.get("b")]
    assert desk.accounts.search(limit=0) == Page(5, [])
    assert desk.accounts.search(offset=10**30) == Page(5, [])


def test_a_page_takes_as_many_statements_whatever_its_size(desk: Desk) -> None:
    for number in range(20):
        desk.put(str(number), identifier=named(f"{number}a", f"{number}b"))
    counts = []
    for limit in (1, 20):
        with statements() as sent:
            assert len(desk.accounts.search(limit=limit).users) == limit
        counts.append(len(sent))

    assert counts == [2, 2]


def test_a_user_is_found_by_an_identifier(desk: Desk) -> None:
    desk.put("1", identifier=[*named("ann"), *named("ann", system="okta")])
    desk.put("2", identifier=named("ann", system="entra"))

    def found(system: str | None, value: str) -> list[str]:
        page = desk.accounts.search(identifier=(system, value))
        assert page.total == len(page.users)
        return [user.id for user in page.users]

    assert found("keycloak", "ann") == found("okta", "ann") == ["1"]
    assert found(None, "ann") == ["1", "2"]
    assert found("keycloak", "bob") == found(None, "bob") == found("keycloak", "\0") == found(None, "\ud800") == []


@pytest.mark.parametrize("pair", LOOK_ALIKES)
def test_look_alikes_are_told_apart(desk: Desk, pair: tuple[str, str]) -> None:
    for value in pair:
        desk.put(f"of {pair.index(value)}", identifier=named(value))

    for number, value in enumerate(pair):
        for system in ("keycloak", None):
            [user] = desk.accounts.search(identifier=(system, value)).users
            assert user.id == f"of {number}"


def test_users_of_a_hierarchy_are_counted_and_changed(employees: Desk) -> None:
    key = str(uuid.uuid4())
    employees.put(key, identifier=named("ann"))
    employees.put(None, identifier=named("bob"))

    page = employees.accounts.search()

    assert (page.total, len(page.users)) == (2, 2)
    assert employees.accounts.search(identifier=(None, "ann")) == Page(1, [employees.accounts.get(key)])
    assert employees.accounts.set_active([key], False)[0][1].resource["inactive"] is True
    employees.accounts.delete(key)
    assert employees.accounts.search().total == 1
