"""Attributes of the app's own model, when a provider says something new."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import orm as sa_orm

from .conftest import a_world, closed, statements
from .refreshed import HOUR, Case, a_case


@pytest.fixture
def own() -> Iterator[Case]:
    """A user of the app's own model, which lists `email` and `given_name`, and has a `nickname`."""

    def person(db: SQLAlchemy) -> type:
        class Person(db.Model):
            id: sa_orm.Mapped[int] = sa_orm.mapped_column(primary_key=True)
            email: sa_orm.Mapped[str] = sa_orm.mapped_column(sa.String(20), unique=True)
            given: sa_orm.Mapped[str | None] = sa_orm.mapped_column(sa.String(20))
            nickname: sa_orm.Mapped[str] = sa_orm.mapped_column(sa.String(20), default="none")

            @sa_orm.validates("given")
            def check(self, name: str, value: str | None) -> str | None:
                if value == "Mallory":
                    raise ValueError
                return value

        return Person

    world = a_world("sqlite://", user_class=person, user_attributes=("email", "given"))
    rules = {"email": ["email"], "given_name": ["given"], "nick": ["nick"]}
    yield a_case(world, to_scim=rules)
    closed(world)


def person_of(case: Case) -> tuple[object, ...]:
    with case.world.transactions.reading() as connection:
        columns = "email, given, nickname"
        return tuple(connection.exec_driver_sql(f"SELECT {columns} FROM person WHERE id = 1").one())


def test_an_attribute_that_the_provider_has_changed_is_set(own: Case) -> None:
    own.source.claims = {"email": "ann@example.com", "given_name": "Anna"}

    user = own.meet()

    assert person_of(own) == ("ann@example.com", "Anna", "none")
    assert (user.resource["email"], user.resource["given"]) == ("ann@example.com", "Anna")


def test_what_the_app_has_changed_stays_until_the_provider_changes_its_word(own: Case) -> None:
    own.write("UPDATE person SET given = 'Annie', nickname = 'nan'")
    own.source.claims = {"email": "ann@example.com", "given_name": "Ann"}
    assert own.meet().resource["given"] == "Annie"
    assert person_of(own) == ("ann@example.com", "Annie", "nan")
    own.world.clock.now += HOUR

    own.source.claims = {"email": "ann@example.com", "given_name": "Anna"}
    assert own.meet("newer").resource["given"] == "Anna"


def test_what_the_provider_says_no_more_becomes_null_where_it_can_be(own: Case) -> None:
    own.source.claims = {"nick": "x"}

    user = own.meet()

    assert person_of(own) == ("ann@example.org", None, "none")
    assert (user.resource["email"], "given" in user.resource) == ("ann@example.org", False)


def test_a_change_that_touches_no_attribute_leaves_the_apps_row_alone(own: Case) -> None:
    own.source.claims = {**own.source.claims, "nick": "x"}

    with statements() as seen:
        own.meet()

    assert seen == ["SELECT", "UPDATE", "SELECT"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"given_name": "A" * 21}, "given"),
        ({"given_name": 7}, "given"),
        ({"given_name": "A\0"}, "given"),
        ({"given_name": "Mallory"}, "given"),
        ({"email": ["ann@example.com"]}, "email"),
        ({"email": "bob@example.org"}, "email"),
    ],
    ids=["length", "type", "NUL", "validator", "list", "unique"],
)
def test_what_does_not_fit_keeps_its_column_and_nothing_else_as_it_was(
    own: Case, caplog: pytest.LogCaptureFixture, said: dict[str, object], told: str
) -> None:
    own.write("INSERT INTO person (email, nickname) VALUES ('bob@example.org', 'none')")
    email, given, _ = person_of(own)
    own.source.claims = {"email": "ann@example.com", "given_name": "Anna", "nick": "new", **said}

    with caplog.at_level(logging.WARNING):
        user = own.meet()
        own.meet("newer")

    fits = ("ann@example.com" if told != "email" else email, "Anna" if told != "given" else given)
    assert person_of(own)[:2] == fits
    assert user.resource["data"]["nick"] == "new"
    assert user.resource["meta"]["versionId"] == "2"
    assert own.source.asked == 2
    [record] = caplog.records
    assert record.getMessage().endswith(f"said of {told}")
    assert "example" not in caplog.text
