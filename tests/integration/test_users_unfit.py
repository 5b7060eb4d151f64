"""Values that only the database finds not to fit into a column of the app's model."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy

from flask_foreign_token.errors import InvalidToken
from flask_foreign_token.users.snapshot import UserSnapshot

from ..users.conftest import Says, World, a_credential, a_provider, a_token, a_world, closed

TOO_LARGE = 1e300
"""For four bytes."""


@pytest.fixture(params=["postgresql", "mariadb"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    def person(db: SQLAlchemy) -> type:
        columns = {"id": sa.Column(sa.Integer, primary_key=True), "height": sa.Column(sa.Float(24))}
        return type("Person", (db.Model,), {"__tablename__": "person", **columns})

    databases = request.getfixturevalue("databases")
    url = databases.empty(request.param, request.getfixturevalue("tmp_path"))
    world = a_world(url, user_class=person, user_attributes=("height",))
    yield world
    closed(world)


def test_at_first_sight_the_token_is_refused_and_nothing_is_stored(world: World) -> None:
    provider = a_provider(Says(height=TOO_LARGE), to_scim={"height": ["height"]})

    with pytest.raises(InvalidToken) as caught:
        world.users().meet(a_token(), provider, a_credential())

    assert caught.value.description == "userinfo does not fit the user"
    assert caught.value.__context__ is None
    assert world.population == (0, 0)


def test_at_a_refresh_the_column_stays_as_it_was(world: World, caplog: pytest.LogCaptureFixture) -> None:
    says = Says(height=1.5)
    provider = a_provider(says, to_scim={"height": ["height"]}, userinfo_refresh=60)
    users = world.users()
    first = users.meet(a_token(), provider, a_credential("first"))
    assert first is not None
    world.clock.now += 60
    says.claims = {"height": TOO_LARGE, "role": "nurse"}

    with caplog.at_level(logging.WARNING):
        second = users.meet(a_token(), provider, a_credential("second"))

    assert second is not None
    assert (second.resource["height"], second.resource["data"]["role"]) == (1.5, "nurse")
    assert "the application's model does not take what is said of height" in caplog.text


@pytest.fixture(params=["postgresql", "mariadb"])
def strict(request: pytest.FixtureRequest) -> Iterator[World]:
    """A model that takes no negative age, and has an index on texts of any length."""

    def person(db: SQLAlchemy) -> type:
        class Person(db.Model):
            __table_args__ = (
                sa.CheckConstraint("age >= 0", name="age_is_not_negative"),
                sa.Index("ix_person_motto", "motto", mysql_length={"motto": 100}),
            )
            id = sa.Column(sa.Integer, primary_key=True)
            age = sa.Column(sa.Integer)
            motto = sa.Column(sa.Text)

        return Person

    databases = request.getfixturevalue("databases")
    url = databases.empty(request.param, request.getfixturevalue("tmp_path"))
    world = a_world(url, user_class=person, user_attributes=("age", "motto"))
    yield world
    closed(world)


@pytest.mark.parametrize("said", [{"age": -1}, {"age": -1, "motto": "x"}])
def test_what_a_check_refuses_does_not_fit(strict: World, said: dict[str, object]) -> None:
    assert_unfit(strict, said)


def test_what_an_index_has_no_room_for_does_not_fit(strict: World) -> None:
    motto = hashlib.shake_256(b"nothing that could be compressed").hexdigest(20_000)
    if strict.engine.dialect.name == "postgresql":
        assert_unfit(strict, {"motto": motto})
    else:
        assert_fits(strict, {"motto": motto})


def assert_unfit(world: World, said: dict[str, object]) -> None:
    with pytest.raises(InvalidToken, match="userinfo does not fit the user"):
        arrive(world, said)
    assert world.population == (0, 0)
    assert_fits(world, {"age": 1, "motto": "short"}, sub="another")


def assert_fits(world: World, said: dict[str, object], sub: str = "one") -> None:
    assert arrive(world, said, sub).resource["data"] == {"sub": sub, **said}


def arrive(world: World, said: dict[str, object], sub: str = "one") -> UserSnapshot:
    provider = a_provider(Says(**said), to_scim={"age": ["age"], "motto": ["motto"]})
    user = world.users().meet(a_token(sub), provider, a_credential())
    assert user is not None
    return user
