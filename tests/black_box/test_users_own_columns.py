"""Columns of the app's own that a provider may set: the column is the truth, and what does not fit changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import JSON, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, validates

from flask_foreign_token import ForeignToken

from ..apps import ask, policy, rows
from ..conftest import MakeApp
from ..loading import Clock
from .callers import OPERATOR_SETTINGS, operate, put, read
from .people import People, counts, me, raw, token, user_of, version
from .tokens import refused

HOUR = 3600
RULES = {name: [name] for name in ("email", "nickname", "visits", "height", "staff", "profile")}


@pytest.fixture
def make(timed_app: MakeApp, people: People) -> Callable[..., Flask]:
    """Makes apps that go by `now`, whose model has one listed column of each kind."""

    def make(*policies: dict[str, Any]) -> Flask:
        class Base(DeclarativeBase):
            pass

        db = SQLAlchemy(model_class=Base)

        class Member(db.Model):
            __tablename__ = "member"
            id: Mapped[int] = mapped_column(primary_key=True)
            email: Mapped[str | None] = mapped_column(String(20))
            nickname: Mapped[str | None] = mapped_column(String(20))
            visits: Mapped[int] = mapped_column(default=0)
            height: Mapped[float | None]
            staff: Mapped[bool | None]
            profile: Mapped[Any] = mapped_column(JSON, nullable=True)

            @validates("nickname")
            def check(self, key: str, value: str | None) -> str | None:
                if value == "root":
                    raise ValueError("not that one")
                return value

        extension = ForeignToken(db=db, user_class=Member, user_attributes=tuple(RULES))
        resources = people.resources(toScim=RULES)
        # The extension needs the database that it was given on the app first.
        set_up = extension.init_app
        extension.init_app = lambda app: (db.init_app(app), set_up(app))[1]  # type: ignore[method-assign]
        app = timed_app(
            [*resources[:2], *(policies or resources[2:])],
            extension,
            SQLALCHEMY_DATABASE_URI="sqlite:///own.sqlite",
            **OPERATOR_SETTINGS,
        )
        with app.app_context():
            db.create_all()
        return app

    return make


def columns(app: Flask) -> dict[str, Any]:
    [row] = rows(app, f"SELECT {', '.join(RULES)} FROM member")
    return dict(zip(RULES, row, strict=True))


MISFITS: dict[str, dict[str, object]] = {
    "too long a text": {"email": "a" * 21},
    "a number for a text": {"email": 7},
    "a list for a text": {"email": ["ada@example.com"]},
    "an object for a text": {"email": {"value": "ada@example.com"}},
    "a boolean for a text": {"email": True},
    "a NUL": {"email": "ada\0"},
    "what the app's validator refuses": {"nickname": "root"},
    "a text for a whole number": {"visits": "7"},
    "a fraction for a whole number": {"visits": 7.5},
    "a boolean for a whole number": {"visits": True},
    "too large a whole number": {"visits": 2**70},
    "a text for a number": {"height": "1.7"},
    "a boolean for a number": {"height": True},
    "a text for a boolean": {"staff": "true"},
    "a whole number for a boolean": {"staff": 1},
    "null for what must be there": {"visits": None},
}


@pytest.mark.parametrize("claims", MISFITS.values(), ids=MISFITS.keys())
def test_what_does_not_fit_a_newcomer_is_refused_and_nothing_stored(
    make, people: People, now: Clock, claims: dict[str, object]
):
    app = make()
    people.says(**claims)

    answer = ask(app, token())

    if claims == {"visits": None} and answer.status_code == 200:
        # Null may also count as nothing that was said; then the default stands.
        assert columns(app)["visits"] == 0
        return
    refused(answer, f"userinfo does not fit the attribute {next(iter(claims))} of the user")
    assert counts(app) == (0, 0)
    assert rows(app, "SELECT count(*) FROM member") == [(0,)]
    people.says()
    now.now += 6  # a subject who was refused is not asked about again for five seconds
    assert me(app, token())


@pytest.mark.parametrize("claims", MISFITS.values(), ids=MISFITS.keys())
def test_what_does_not_fit_at_a_refresh_leaves_its_column_and_no_other(
    make, people: People, now: Clock, claims: dict[str, object]
):
    app = make()
    first = {"email": "ada@example.com", "nickname": "a", "visits": 1, "height": 1.7, "staff": True}
    people.says(**first)
    me(app, token())
    second = {"email": "new@example.com", "nickname": "b", "visits": 2, "height": 1.8, "staff": False}
    people.says(**{**second, **claims})
    now.now += HOUR + 1

    assert me(app, token()) == "1"

    [misfit] = claims
    # What is said no more, or null, is what the model makes of it.
    kept = 0 if claims == {"visits": None} else first[misfit]
    assert {name: columns(app)[name] for name in first} == {**second, misfit: kept}
    assert user_of(app)["data"] == {"sub": "ada", **second, **claims}


GOOD: dict[str, dict[str, object]] = {
    "a text": {"email": "a" * 20},
    "emoji": {"email": "\U0001f600" * 20},
    "an empty text": {"email": ""},
    "a whole number": {"visits": 7},
    "a number below zero": {"visits": -7},
    "a number": {"height": 1.7},
    "a whole number as a number": {"height": 2},
    "true": {"staff": True},
    "false": {"staff": False},
    "an object": {"profile": {"a": [1, {"b": None}]}},
    "a list": {"profile": [1, 2]},
}


@pytest.mark.parametrize("claims", GOOD.values(), ids=GOOD.keys())
def test_what_fits_is_in_the_column_and_in_the_resource(make, people: People, claims: dict[str, object]):
    app = make()
    people.says(**claims)

    assert me(app, token()) == "1"

    [(name, value)] = claims.items()
    stored = columns(app)[name]
    assert (json.loads(stored) if name == "profile" else stored) == value
    assert user_of(app)[name] == value


def test_a_column_that_is_null_is_not_shown(make, people: People):
    app = make()

    me(app, token())

    shown = user_of(app)
    assert shown["visits"] == 0
    assert not {"email", "height", "staff", "profile"} & shown.keys()


def test_what_the_app_changed_itself_is_shown_and_stays_until_the_provider_changes_it(make, people: People, now: Clock):
    app = make()
    people.says(email="ada@example.com", visits=1)
    me(app, token())
    rows(app, "UPDATE member SET email = 'local@example.com' RETURNING id")
    assert user_of(app)["email"] == "local@example.com"
    now.now += HOUR + 1

    people.says(email="ada@example.com", visits=2)
    me(app, token())
    assert columns(app)["email"] == user_of(app)["email"] == "local@example.com"
    assert columns(app)["visits"] == 2

    people.says(email="new@example.com", visits=2)
    now.now += HOUR + 1
    me(app, token())
    assert columns(app)["email"] == user_of(app)["email"] == "new@example.com"


def test_policies_see_the_column_within_the_ttl(make, people: People, now: Clock):
    app = make(policy("local", {"user": {"email": "local@example.com"}}))
    people.says(email="ada@example.com")
    known = token()
    assert ask(app, known).status_code == 403
    rows(app, "UPDATE member SET email = 'local@example.com' RETURNING id")
    now.now += 31

    assert ask(app, known).status_code == 200


def test_the_operator_writes_the_column(make, people: People):
    app = make()
    people.says(email="ada@example.com")
    me(app, token())

    assert put(app, {**read(app, "User/1"), "email": "new@example.com"}).status_code == 200

    assert columns(app)["email"] == user_of(app)["email"] == "new@example.com"


@pytest.mark.parametrize(
    "members", [{"email": "a" * 21}, {"email": 7}, {"visits": "7"}, {"nickname": "root"}, {"staff": 1}, {"email": "\0"}]
)
def test_the_operator_is_refused_what_does_not_fit(make, people: People, members: dict[str, object]):
    app = make()
    people.says(email="ada@example.com")
    me(app, token())
    before = read(app, "User/1")

    answer = put(app, {**before, **members})

    assert answer.status_code == 422
    assert answer.json["issues"][0]["path"].split(".")[0] == next(iter(members))
    assert read(app, "User/1") == before


def test_a_refresh_that_changes_a_column_is_one_version_more(make, people: People, now: Clock):
    app = make()
    people.says(email="ada@example.com")
    me(app, token())
    before = user_of(app)
    people.says(email="new@example.com")
    now.now += HOUR + 1

    me(app, token())

    assert int(user_of(app)["meta"]["versionId"]) == int(before["meta"]["versionId"]) + 1
    assert version(user_of(app))[1] > version(before)[1]
    assert columns(app)["email"] == "new@example.com"


def test_html_for_a_newcomer_touches_no_column(make, people: People):
    app = make()
    people.answers(raw("<html></html>", "text/html"))

    assert ask(app, token()).status_code == 503

    assert rows(app, "SELECT count(*) FROM member") == [(0,)]
    assert operate(app, "GET", "/fhir/User").json["total"] == 0
