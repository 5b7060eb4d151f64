"""A right that a provider has withdrawn is gone, whatever else of what it says does not fit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event, orm

from .conftest import a_world, closed
from .refreshed import Case, a_case, meet

LISTED = ("role", "nick", "staff", "level")
ADMIN = {"role": "admin", "nick": "ann", "staff": True, "level": 3}


@pytest.fixture
def case() -> Iterator[Case]:
    """An admin in a model that lists a role, a nickname, and two columns that cannot be null."""

    def person(db: SQLAlchemy) -> type:
        class Person(db.Model):
            id = sa.Column(sa.Integer, primary_key=True)
            role = sa.Column(sa.String(20))
            nick = sa.Column(sa.String(20), unique=True)
            staff = sa.Column(sa.Boolean, nullable=False, default=False)
            level = sa.Column(sa.Integer, nullable=False)

            @orm.validates("nick")
            def check(self, name: str, value: str | None) -> str | None:
                if value == "raise":
                    raise KeyError(value)
                return value

        @event.listens_for(Person, "before_update")
        def refuse(mapper: object, connection: object, target: Person) -> None:
            if target.nick == "trigger":
                raise RuntimeError(target.nick)

        return Person

    world = a_world("sqlite://", user_class=person, user_attributes=LISTED)
    yield a_case(world, claims=ADMIN, to_scim={name: [name] for name in LISTED})
    closed(world)


@pytest.mark.parametrize("nick", ["n" * 21, 7, "raise", "trigger", "taken"])
def test_a_value_that_does_not_fit_keeps_no_other(case: Case, nick: object) -> None:
    case.write("INSERT INTO person (nick, staff, level) VALUES ('taken', 0, 0)")
    case.source.claims = {"role": "user", "nick": nick, "staff": False, "level": 3}

    user = case.meet()

    assert (user.resource["role"], user.resource["staff"], user.resource["nick"]) == ("user", False, "ann")
    assert user.resource["data"]["role"] == "user"


def test_what_cannot_be_null_gets_the_default_of_the_model(case: Case) -> None:
    case.source.claims = {}

    user = case.meet()

    assert "role" not in user.resource
    assert (user.resource["staff"], user.resource["level"]) == (False, 3)


def test_an_answer_that_was_late_does_not_replace_what_was_said_after_it(case: Case) -> None:
    another_process = case.world.users()

    def be_overtaken() -> None:
        case.source.meanwhile = None
        case.source.claims = ADMIN
        meet(another_process, case.provider, "fast")

    case.source.meanwhile = be_overtaken
    case.source.claims = {**ADMIN, "role": "root"}

    assert case.meet("slow").resource["role"] == "admin"
