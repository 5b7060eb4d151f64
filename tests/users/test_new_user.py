"""What an app's function for new users may return."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import orm as sa_orm
from sqlalchemy.exc import IntegrityError

from flask_foreign_token.errors import InvalidToken, Misconfigured
from flask_foreign_token.users.new_user import NewUser, NewUserHook
from flask_foreign_token.users.snapshot import UserSnapshot

from .conftest import Says, World, a_credential, a_provider, a_token, a_world, closed


@pytest.fixture
def world() -> Iterator[World]:
    """People who have a team, and a note that is made with them."""

    def person(db: SQLAlchemy) -> type:
        class Team(db.Model):
            id: sa_orm.Mapped[int] = sa_orm.mapped_column(primary_key=True)

        class Person(db.Model):
            id: sa_orm.Mapped[int] = sa_orm.mapped_column(primary_key=True)
            email: sa_orm.Mapped[str | None] = sa_orm.mapped_column(sa.String(20))
            team_id: sa_orm.Mapped[int | None] = sa_orm.mapped_column(sa.ForeignKey("team.id"))
            team: sa_orm.Mapped[Team | None] = sa_orm.relationship(Team)

        return Person

    world = a_world("sqlite://", user_class=person, user_attributes=("email",))
    with world.app.app_context():
        world.db.session.add(team_of(world)(id=7))
        world.db.session.commit()
    yield world
    closed(world)


def team_of(world: World) -> type[Any]:
    team: type[Any] = sa.inspect(world.models.user).relationships.team.mapper.class_
    return team


def arrive(world: World, function: Callable[[NewUser], object], **said: object) -> UserSnapshot | None:
    hook = NewUserHook()
    hook.set(function)
    with world.app.app_context():
        return world.users(hook=hook).meet(a_token(), a_provider(Says(**said)), a_credential())


def test_a_row_that_names_another_by_its_key_is_stored(world: World) -> None:
    user = arrive(world, lambda new: world.models.user(team_id=7))

    assert user is not None
    assert world.population == (1, 1)


def test_rows_that_are_made_along_with_it_are_stored_too(world: World) -> None:
    arrive(world, lambda new: world.models.user(team=team_of(world)(id=8)))

    with world.app.app_context():
        assert world.db.session.scalars(sa.select(world.models.user.team_id)).all() == [8]


def test_a_row_that_is_tied_to_one_in_a_session_is_refused(world: World) -> None:
    def join(new: NewUser) -> object:
        return world.models.user(team=world.db.session.get(team_of(world), 7))

    with pytest.raises(Misconfigured) as caught:
        arrive(world, join)

    assert "a new Person, or None" in str(caught.value.hint)
    assert world.population == (0, 0)


def test_what_the_provider_says_of_listed_attributes_stands_before_what_the_function_says(world: World) -> None:
    user = arrive(world, lambda new: world.models.user(email="mine"), email="ann@example.org")

    assert user is not None
    assert user.resource["email"] == "ann@example.org"


def test_what_does_not_fit_refuses_the_token_here_too(world: World) -> None:
    with pytest.raises(InvalidToken, match="does not fit the attribute email of the user"):
        arrive(world, lambda new: world.models.user(), email="a" * 21)

    assert world.population == (0, 0)


def test_an_error_of_the_apps_own_queries_is_not_taken_for_a_race(world: World) -> None:
    def collide(new: NewUser) -> object:
        world.db.session.execute(sa.insert(team_of(world)).values(id=7))

    with pytest.raises(IntegrityError):
        arrive(world, collide)

    assert world.population == (0, 0)
