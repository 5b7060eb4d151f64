"""Attributes of the app's own model, as an operator writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import orm as sa_orm

from flask_foreign_token.introspection.token import Credential, Token
from flask_foreign_token.users.store import UserStore

from .accounts import Desk, a_staff_desk, faults_of, named, without_meta
from .conftest import Says, a_credential, a_provider, a_token, closed, statements

COLUMNS: dict[str, Any] = {
    "email": lambda: sa.Column(sa.String(20), unique=True),
    "name": lambda: sa.Column(sa.JSON),
    "nickname": lambda: sa.Column(sa.String(9), nullable=False, default="new"),
    "room": lambda: sa.Column(sa.SmallInteger),
    "height": lambda: sa.Column(sa.Float),
    "admitted": lambda: sa.Column(sa.Boolean),
}


@pytest.fixture(params=["memory", "file"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    uri = "sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path / 'app.sqlite'}"
    desk = a_staff_desk(uri, *COLUMNS, **{name: column() for name, column in COLUMNS.items()})
    yield desk
    closed(desk.world)


def row(desk: Desk, key: str) -> dict[str, object]:
    table = desk.world.models.user.__table__
    with desk.world.transactions.reading() as connection:
        found = connection.execute(sa.select(table).where(table.c.id == int(key))).mappings().one()
    return {name: found[name] for name in COLUMNS}


def kept_attributes(desk: Desk) -> list[dict[str, object]]:
    """What is kept with each identifier, from the oldest on."""
    table = desk.world.models.identifier.__table__
    with desk.world.transactions.reading() as connection:
        return list(connection.execute(sa.select(table.c.attributes).order_by(table.c.created_at)).scalars())


def refreshed(desk: Desk, value: str, **claims: object) -> None:
    """What becomes of a user whose provider is asked anew."""
    desk.world.clock.now += 7200
    desk.world.users().meet(a_token(value), a_provider(Says(**claims)), a_credential())


WRITTEN = {
    "email": "ann@example.com",
    "name": {"givenName": "Ann", "middle": [1, None]},
    "nickname": "annie",
    "room": 12,
    "height": 1.75,
    "admitted": False,
}


# ---- a new user


def test_a_new_user_gets_what_is_written_and_needs_no_identifier(desk: Desk) -> None:
    outcome, user = desk.accounts.put(None, WRITTEN)

    assert outcome == "created"
    assert user.resource == {"resourceType": "User", "id": user.id, "identifier": [], "data": {}, **WRITTEN}
    assert row(desk, user.id) == WRITTEN
    assert desk.accounts.get(user.id) == user


def test_what_a_new_user_leaves_out_is_as_the_model_makes_it(desk: Desk) -> None:
    user = desk.put(None)

    assert (user.resource["nickname"], "email" in user.resource) == ("new", False)


def test_what_must_be_given_is_named_where_it_is_left_out() -> None:
    required = sa.Column(sa.String(20), nullable=False)
    desk = a_staff_desk("sqlite://", "email", "room", email=required, room=sa.Column(sa.Integer))

    assert faults_of(desk.put, None, room=1) == [
        ("User", "email", "must not be left out, since it cannot be null in the application's model")
    ]
    assert desk.put(None, email="a@b.c").resource["email"] == "a@b.c"
    assert len(desk.told) == 1
    closed(desk.world)


def test_a_class_that_wants_them_gets_them_when_it_is_made() -> None:
    def init(self: Any, email: str) -> None:
        self.email = email.lower()

    desk = a_staff_desk("sqlite://", "email", email=sa.Column(sa.String(20)), __init__=init)

    assert desk.put(None, email="ANN@b.c").resource["email"] == "ANN@b.c"
    assert "Person refuses a row" in faults_of(desk.put, None)[0][2]
    closed(desk.world)


def test_who_is_put_under_an_id_is_as_written_from_the_first_time_on() -> None:
    key = sa.Column(sa.Integer, primary_key=True, autoincrement=False)
    desk = a_staff_desk("sqlite://", "lang", id=key, lang=sa.Column(sa.String(5), default="en"))

    assert desk.put("7", identifier=named("ann")).resource.get("lang") is None
    assert desk.outcome("7", {"identifier": named("ann")}) == "unchanged"
    closed(desk.world)


def test_what_somebody_else_has_alone_is_refused_at_its_path(desk: Desk) -> None:
    desk.put(None, email="ann@example.com")
    bob = desk.put(None)
    reason = "cannot be that: a constraint of the application's model forbids it"

    assert faults_of(desk.put, None, email="ann@example.com") == [("User", "email", reason)]
    assert faults_of(desk.put, bob.id, nickname="new", email="ann@example.com") == [(f"User/{bob.id}", "email", reason)]
    assert desk.accounts.get(bob.id) == bob
    assert desk.world.population == (2, 0)


# ---- a change


def test_what_was_read_can_be_written_back_and_changes_nothing(desk: Desk) -> None:
    key = desk.meet("ann", email="ann@example.com", given_name="Ann")
    before = desk.accounts.get(key)
    desk.put(None)

    with statements() as sent:
        assert desk.accounts.put(key, dict(before.resource)) == ("unchanged", before)

    assert {*sent} == {"SELECT"}
    assert len(desk.told) == 1


def test_a_whole_number_is_the_number_that_it_is_stored_as(desk: Desk) -> None:
    key = desk.put(None, nickname="x", height=2).id

    assert desk.outcome(key, {"nickname": "x", "height": 2}) == "unchanged"
    assert desk.outcome(key, {"nickname": "x", "height": 2.5}) == "updated"


@pytest.mark.parametrize("left_out", [{}, {"email": None, "name": None, "room": None}], ids=["absent", "null"])
def test_what_is_left_out_is_null(desk: Desk, left_out: dict[str, object]) -> None:
    key = desk.put(None, **WRITTEN).id

    user = desk.put(key, nickname="annie", **left_out)

    assert without_meta(user) == {
        "resourceType": "User",
        "id": key,
        "identifier": [],
        "data": {},
        "nickname": "annie",
    }
    assert row(desk, key) == {**dict.fromkeys(COLUMNS), "nickname": "annie"}


def test_what_cannot_be_null_must_not_be_left_out_of_a_change(desk: Desk) -> None:
    before = desk.put(None, **WRITTEN)
    reason = "must not be left out, since it cannot be null in the application's model"

    for body in ({}, {"nickname": None}):
        assert faults_of(desk.put, before.id, **body) == [(f"User/{before.id}", "nickname", reason)]
    assert desk.accounts.get(before.id) == before


UNFIT: list[tuple[str, object, str]] = [
    ("email", "x" * 21, "must be a text of at most 20 characters"),
    ("email", 7, "must be a text of at most 20 characters"),
    ("email", ["a@b.c"], "must be a text of at most 20 characters"),
    ("room", 32768, "must be a whole number from -32768 to 32767"),
    ("room", "12", "must be a whole number,"),
    ("room", True, "must be a whole number,"),
    ("room", 1.5, "must be a whole number,"),
    ("height", "tall", "must be a number,"),
    ("height", False, "must be a number,"),
    ("admitted", 1, "must be true or false,"),
]


@pytest.mark.parametrize(("name", "value", "reason"), UNFIT)
@pytest.mark.parametrize("new", [True, False], ids=["new", "stored"])
def test_what_does_not_fit_is_refused_at_its_path(desk: Desk, name: str, value: object, reason: str, new: bool) -> None:
    id_ = None if new else desk.put(None).id
    before = desk.world.population

    [(_, path, message)] = faults_of(desk.put, id_, **{"nickname": "x", name: value})

    assert (path, message.startswith(reason)) == (name, True)
    assert desk.world.population == before


def test_all_that_do_not_fit_are_named_together(desk: Desk) -> None:
    paths = [path for _, path, _ in faults_of(desk.put, None, email=1, room="x", nickname="x" * 10)]

    assert sorted(paths) == ["email", "nickname", "room"]


def test_what_the_models_own_validator_does_not_take_is_refused_at_its_path() -> None:
    @sa_orm.validates("email")
    def check(self: object, name: str, value: str) -> str:
        if "@" not in value:
            raise ValueError(value)
        return value

    desk = a_staff_desk("sqlite://", "email", email=sa.Column(sa.String(20)), check=check)
    user = desk.put(None, email="a@b.c")

    assert faults_of(desk.put, user.id, email="ab.c") == [
        (f"User/{user.id}", "email", "is not what the application's model takes")
    ]
    assert desk.accounts.get(user.id) == user
    closed(desk.world)


def test_the_version_grows_with_a_change_of_them_alone(desk: Desk) -> None:
    key = desk.put(None, identifier=named("a", "b"), nickname="x").id
    versions = []
    for room in (1, 2, 2, None):
        desk.world.clock.now += 1
        user = desk.put(key, identifier=named("a", "b"), nickname="x", room=room)
        versions.append(int(user.resource["meta"]["versionId"]))

    assert versions == [3, 4, 4, 5]


def test_who_expects_what_the_app_has_changed_meanwhile_is_in_conflict(desk: Desk) -> None:
    before = desk.put(None, nickname="x")
    with desk.world.transactions.writing() as connection:
        connection.execute(sa.update(desk.world.models.user.__table__).values(room=5))

    assert desk.accounts.get(before.id).version != before.version


# ---- beside what providers say


def test_they_are_kept_in_the_column_alone(desk: Desk) -> None:
    desk.put(None, identifier=named("ann"), email="ann@example.com", nickname="x", role="nurse")

    assert kept_attributes(desk) == [{}]


def test_what_providers_last_said_stays_with_each_identifier(desk: Desk) -> None:
    key = desk.meet("ann", email="ann@example.com", given_name="Ann")
    desk.world.clock.now += 60
    body = {**desk.accounts.get(key).resource, "identifier": named("ann", "nan"), "email": "op@example.com", "n": 1}

    user = desk.put(key, **body)

    assert user.resource["email"] == "op@example.com"
    said = {"email": "ann@example.com", "name": {"givenName": "Ann"}}
    assert kept_attributes(desk) == [said, {}]
    assert user.resource["n"] == 1


def test_what_an_operator_wrote_outlives_a_refresh_that_says_nothing_new_of_it(desk: Desk) -> None:
    key = desk.meet("ann", email="ann@example.com")
    desk.put(key, **{**desk.accounts.get(key).resource, "email": "op@example.com", "data": {}})

    refreshed(desk, "ann", email="ann@example.com", given_name="Ann")

    resource = desk.accounts.get(key).resource
    assert (resource["email"], resource["name"]) == ("op@example.com", {"givenName": "Ann"})


def test_what_a_provider_says_anew_takes_its_place(desk: Desk) -> None:
    key = desk.meet("ann", email="ann@example.com")
    desk.put(key, **{**desk.accounts.get(key).resource, "email": "op@example.com"})

    refreshed(desk, "ann", email="new@example.com")

    assert desk.accounts.get(key).resource["email"] == "new@example.com"


def test_they_can_be_written_while_a_provider_is_asked(desk: Desk) -> None:
    key = desk.meet("ann", email="ann@example.com")
    says = Says(email="ann@example.com", given_name="Ann")
    userinfo = says.userinfo

    def write_and_then_say(token: Token, credential: Credential) -> Mapping[str, object]:
        desk.put(key, **{**desk.accounts.get(key).resource, "email": "op@example.com"})
        return userinfo(token, credential)

    says.userinfo = write_and_then_say  # type: ignore[method-assign]
    desk.world.clock.now += 7200

    desk.world.users().meet(a_token("ann"), a_provider(says), a_credential())

    assert desk.accounts.get(key).resource["email"] == "op@example.com"


def test_an_address_is_verified_by_a_provider_and_not_by_what_an_operator_writes(desk: Desk) -> None:
    data = {"email": "ann@example.com", "email_verified": True}
    desk.put(None, identifier=named("bob"), nickname="x", data=data)
    store = UserStore(desk.world.models, desk.world.transactions)
    assert store.with_email("ann@example.com") is None

    key = desk.meet("ann", **data)
    assert store.with_email("ann@example.com") == int(key)

    body = dict(desk.accounts.get(key).resource)
    desk.put(key, **{**body, "n": 1})
    assert store.with_email("ann@example.com") == int(key)

    desk.put(key, **{**body, "data": {**body["data"], "ticket": 4711}})
    assert store.with_email("ann@example.com") is None

    refreshed(desk, "ann", **data)
    assert store.with_email("ann@example.com") == int(key)


def test_when_the_provider_was_asked_is_not_for_an_operator_to_say(desk: Desk) -> None:
    key = desk.meet("ann", email="ann@example.com")
    asked = desk.world.clock.now
    desk.world.clock.now += 60
    desk.put(key, identifier=named("ann", "nan"), nickname="x", n=1)

    identifiers = UserStore(desk.world.models, desk.world.transactions).get(int(key)).identifiers
    assert [identifier.refreshed_at for identifier in identifiers] == [asked, None]
