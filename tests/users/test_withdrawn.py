"""A right that a provider has withdrawn is gone, whatever else of what it says does not fit."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event, orm
from sqlalchemy.exc import OperationalError

from .conftest import a_world, closed
from .refreshed import HOUR, Case, a_case, meet

LISTED = ("role", "nick", "staff", "level", "groups", "rank")
ADMIN = {"role": "admin", "nick": "ann", "staff": True, "level": 3, "groups": ["admins"], "rank": "chief"}


@pytest.fixture
def case() -> Iterator[Case]:
    """An admin in a model that lists a role, a nickname, and columns that cannot be null."""

    def person(db: SQLAlchemy) -> type:
        class Person(db.Model):
            id = sa.Column(sa.Integer, primary_key=True)
            role = sa.Column(sa.String(20))
            nick = sa.Column(sa.String(20), unique=True)
            staff = sa.Column(sa.Boolean, nullable=False, default=False)
            level = sa.Column(sa.Integer, nullable=False)
            groups = sa.Column(sa.JSON, nullable=False, default=list)
            rank = sa.Column(sa.String(20), nullable=False, server_default="none")

            @orm.validates("nick")
            def check(self, name: str, value: str | None) -> str | None:
                if value == "raise":
                    raise KeyError(value)
                return value

        @event.listens_for(Person, "before_update")
        def refuse(mapper: object, connection: object, target: Person) -> None:
            if target.nick == "trigger":
                raise RuntimeError(target.nick)
            if target.nick == "outage":
                raise OperationalError("", None, Exception())

        return Person

    world = a_world("sqlite://", user_class=person, user_attributes=LISTED)
    yield a_case(world, claims=ADMIN, to_scim={name: [name] for name in LISTED})
    closed(world)


@pytest.mark.parametrize("nick", ["n" * 21, 7, "raise", "trigger", "taken"])
def test_a_value_that_does_not_fit_keeps_no_other(case: Case, nick: object) -> None:
    case.write("INSERT INTO person (nick, staff, level, groups) VALUES ('taken', 0, 0, '[]')")
    case.source.claims = {"role": "user", "nick": nick, "staff": False, "level": 3}

    user = case.meet()

    assert (user.resource["role"], user.resource["staff"], user.resource["nick"]) == ("user", False, "ann")
    assert user.resource["data"]["role"] == "user"


def test_what_cannot_be_null_gets_the_default_of_the_model(case: Case) -> None:
    case.source.claims = {}

    user = case.meet()

    assert "role" not in user.resource
    assert (user.resource["staff"], user.resource["groups"], user.resource["rank"]) == (False, [], "none")


def test_what_can_be_neither_null_nor_a_default_stays_and_is_told(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    case.source.claims = {}

    with caplog.at_level(logging.WARNING):
        user = case.meet()

    assert user.resource["level"] == 3
    [record] = caplog.records
    assert record.getMessage().endswith("level cannot be null, and has no default")


def test_an_outage_in_the_midst_leaves_nothing_half_done(case: Case) -> None:
    before = case.row()
    case.source.claims = {**ADMIN, "role": "user", "nick": "outage"}

    assert case.meet().resource["role"] == "admin"

    assert case.row() == before
    case.world.clock.now += 6
    case.source.claims = {**ADMIN, "role": "user"}
    assert case.meet("newer").resource["role"] == "user"


def test_a_token_that_was_issued_before_what_is_known_says_nothing_new(case: Case) -> None:
    case.source.claims = {**ADMIN, "role": "user", "iat": 2000}
    assert case.meet().resource["role"] == "user"
    case.world.clock.now += HOUR
    case.source.claims = {**ADMIN, "iat": 1000}

    assert case.meet("older").resource["role"] == "user"

    case.source.claims = {**ADMIN, "iat": 3000}
    assert case.meet("newest").resource["role"] == "admin"


def test_an_answer_that_was_late_does_not_replace_what_was_said_after_it(case: Case) -> None:
    another_process = case.world.users()

    def be_overtaken() -> None:
        case.source.meanwhile = None
        case.source.claims = ADMIN
        meet(another_process, case.provider, "fast")

    case.source.meanwhile = be_overtaken
    case.source.claims = {**ADMIN, "role": "root"}

    assert case.meet("slow").resource["role"] == "admin"
