from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import orm as sa_orm
from sqlalchemy.ext.hybrid import hybrid_property

from flask_foreign_token.errors import (
    InvalidToken,
    Misconfigured,
)
from flask_foreign_token.users.snapshot import UserSnapshot

from .conftest import (
    Says,
    World,
    a_credential,
    a_provider,
    a_token,
    a_world,
    at_once,
    closed,
)


@pytest.fixture
def people(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Makes a world with an integer-keyed model of the app's own, on a bind."""
    worlds: list[World] = []

    def make(active_attribute: str | None = None, **columns: sa.Column[object]) -> World:
        def person(db: SQLAlchemy) -> type:
            id_ = sa.Column(sa.Integer, primary_key=True)
            return type("Person", (db.Model,), {"__bind_key__": "people", "id": id_, **columns})

        binds = {"people": f"sqlite:///{tmp_path / 'people.sqlite'}"}
        worlds.append(a_world("sqlite://", binds=binds, user_class=person, active_attribute=active_attribute))
        return worlds[-1]

    yield make
    for world in worlds:
        closed(world)


def test_the_apps_own_model_is_filled_by_its_own_defaults(people: Callable[..., World]) -> None:
    world = people(nickname=sa.Column(sa.String(20), nullable=False, default="new"))

    user = world.users().find_or_create(a_token(), a_provider(Says()), a_credential())

    assert (user.key, user.resource["id"]) == (1, "1")
    assert world.population == (1, 1)
    with world.app.app_context():
        assert world.db.session.get(world.models.user, user.key).nickname == "new"


def test_a_model_that_refuses_the_row_is_named_and_nothing_is_stored(people: Callable[..., World]) -> None:
    world = people(nickname=sa.Column(sa.String(20), nullable=False))

    with pytest.raises(Misconfigured) as caught:
        world.users().find_or_create(a_token(), a_provider(Says()), a_credential())

    assert caught.value.hint == (
        "Person refuses a row that sets nothing but its key (without a value: nickname); give its columns defaults, "
        "list them in user_attributes and in toScim, or make users in a function with @foreign_token.new_user"
    )
    assert caught.value.__context__ is None
    assert world.population == (0, 0)


@pytest.mark.parametrize(
    ("column", "active"),
    [
        (sa.Column(sa.Boolean, default=True), True),
        (sa.Column(sa.Boolean, default=False), False),
        (sa.Column(sa.Boolean, server_default=sa.true()), True),
        (sa.Column(sa.Boolean, server_default=sa.false()), False),
        (sa.Column(sa.Boolean), False),
    ],
    ids=["true", "false", "true of the server", "false of the server", "null"],
)
def test_the_apps_active_attribute_decides_from_the_first_moment(
    people: Callable[..., World], column: sa.Column[bool], active: bool
) -> None:
    world = people("is_active", is_active=column)

    for _ in range(2):
        [outcome] = at_once(1, lambda _: world.users().find_or_create(a_token(), a_provider(Says()), a_credential()))
        assert isinstance(outcome, UserSnapshot if active else InvalidToken)
    assert world.population == (1, 1)


@pytest.mark.parametrize("state", ["active", "blocked"])
def test_a_hybrid_property_decides_as_a_column_does(people: Callable[..., World], state: str) -> None:
    is_active = hybrid_property(lambda self: self.state == "active")
    world = people("is_active", state=sa.Column(sa.String(10), default=state), is_active=is_active)

    for _ in range(2):
        [outcome] = at_once(1, lambda _: world.users().find_or_create(a_token(), a_provider(Says()), a_credential()))
        assert isinstance(outcome, UserSnapshot if state == "active" else InvalidToken)


def test_a_dataclass_with_a_generated_key_in_a_hierarchy_is_made_by_its_mapper(tmp_path: Path) -> None:
    class Base(sa_orm.DeclarativeBaseNoMeta):
        pass

    def employee(db: SQLAlchemy) -> type:
        class Person(sa_orm.MappedAsDataclass, db.Model):
            __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}  # noqa: RUF012
            id: sa_orm.Mapped[uuid.UUID] = sa_orm.mapped_column(
                primary_key=True, init=False, default_factory=uuid.uuid4
            )
            kind: sa_orm.Mapped[str] = sa_orm.mapped_column(sa.String(10), init=False)

        class Employee(Person):
            __mapper_args__ = {"polymorphic_identity": "employee"}  # noqa: RUF012
            id: sa_orm.Mapped[uuid.UUID] = sa_orm.mapped_column(
                sa.ForeignKey("person.id"), primary_key=True, init=False, default_factory=uuid.uuid4
            )
            desk: sa_orm.Mapped[int] = sa_orm.mapped_column(default=3)

        return Employee

    world = a_world(f"sqlite:///{tmp_path / 'app.sqlite'}", model_class=Base, user_class=employee)

    made = world.users().find_or_create(a_token(), a_provider(Says()), a_credential())

    assert isinstance(made.key, uuid.UUID)
    assert made.resource["id"] == str(made.key)
    assert world.users().find_or_create(a_token(), a_provider(Says()), a_credential()) == made
    with world.app.app_context():
        assert world.db.session.get(world.models.user, made.key).desk == 3
    closed(world)


def test_a_person_whom_no_provider_knows_has_a_snapshot(people: Callable[..., World]) -> None:
    world = people()
    with world.app.app_context():
        world.db.session.add(world.models.user())
        world.db.session.commit()

    assert world.users().snapshot_of(1).resource == {
        "resourceType": "User",
        "id": "1",
        "identifier": [],
        "data": {},
    }


def test_a_row_that_is_not_committed_yet_has_a_snapshot(people: Callable[..., World]) -> None:
    assert people("is_active", is_active=sa.Column(sa.Boolean)).users().snapshot_of(5) == UserSnapshot(
        5, {"resourceType": "User", "id": "5", "identifier": [], "data": {}}, active=True
    )


def test_a_deleted_persons_identifier_is_not_inherited_with_the_key(people: Callable[..., World]) -> None:
    world = people()
    provider = a_provider(Says())
    gone = world.users().find_or_create(a_token("gone"), provider, a_credential())
    with world.app.app_context():
        world.db.session.delete(world.db.session.get(world.models.user, gone.key))
        world.db.session.commit()
    heir = world.users().find_or_create(a_token("heir"), provider, a_credential())
    assert heir.key == gone.key

    back = world.users().find_or_create(a_token("gone"), provider, a_credential())

    assert back.key != heir.key


@pytest.mark.filterwarnings("ignore:Column 'person.id' is marked as a member of the primary key")
def test_a_model_without_a_key_to_give_is_named_and_nothing_is_stored(people: Callable[..., World]) -> None:
    world = people(id=sa.Column(sa.Integer, primary_key=True, autoincrement=False))

    with pytest.raises(Misconfigured) as caught:
        world.users().find_or_create(a_token(), a_provider(Says()), a_credential())

    assert "Person refuses a row" in caught.value.hint
    assert world.population == (0, 0)
