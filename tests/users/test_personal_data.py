from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import orm as sa_orm

from flask_foreign_token.errors import NotStored
from flask_foreign_token.instants import instant
from flask_foreign_token.users.personal_data import Forgotten

from .accounts import SYSTEMS, Desk, a_staff_desk, named
from .conftest import ISSUER, World, closed, statements


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


MakeStaff = Callable[..., Desk]


@pytest.fixture(params=["memory", "file"])
def staff(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeStaff]:
    """Makes a desk at users of the app's own model, whose attributes are all listed."""
    desks: list[Desk] = []
    uri = "sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path / 'app.sqlite'}"

    def make(*, also: dict[str, Any] | None = None, **columns: Any) -> Desk:
        desks.append(a_staff_desk(uri, *columns, **columns, **(also or {})))
        return desks[-1]

    yield make
    for desk in desks:
        closed(desk.world)


def row(desk: Desk, key: str) -> dict[str, object]:
    table = desk.world.models.user.__table__
    with desk.world.transactions.reading() as connection:
        return dict(connection.execute(sa.select(table).where(table.c.id == int(key))).mappings().one())


# ---- to export


def test_everything_that_is_kept_is_exported(desk: Desk) -> None:
    made = desk.world.clock.now
    key = desk.meet("ann", email="ann@example.com", locale="en")
    desk.world.clock.now += 60
    desk.links.link(key, ("entra", "a1"))

    exported = desk.personal_data.export(key)

    assert exported == {
        "user": desk.accounts.get(key).resource,
        "identifiers": [
            {
                "system": "keycloak",
                "value": "ann",
                "issuer": ISSUER,
                "inactive": False,
                "data": {"sub": "ann", "email": "ann@example.com", "locale": "en"},
                "attributes": {"email": "ann@example.com"},
                "written": {},
                "version": 1,
                "createdAt": instant(made),
                "updatedAt": instant(made),
                "refreshedAt": instant(made),
            },
            {
                "system": "entra",
                "value": "a1",
                "issuer": SYSTEMS["entra"],
                "inactive": False,
                "data": {},
                "attributes": {},
                "written": {},
                "version": 1,
                "createdAt": instant(made + 60),
                "updatedAt": instant(made + 60),
                "refreshedAt": None,
            },
        ],
    }
    assert json.loads(json.dumps(exported)) == exported


def test_what_is_kept_in_the_apps_own_columns_is_in_the_resource(staff: MakeStaff) -> None:
    desk = staff(email=sa.Column(sa.String(20)))
    id_ = desk.put(None, email="ann@example.com").id

    assert desk.personal_data.export(id_) == {"user": desk.accounts.get(id_).resource, "identifiers": []}


def test_to_export_is_one_statement(desk: Desk) -> None:
    key = desk.meet("ann")

    with statements() as sent:
        desk.personal_data.export(key)

    assert sent == ["SELECT"]


@pytest.mark.parametrize("id_", ["7", "", "\0"])
def test_who_is_not_stored_has_no_export_and_cannot_be_forgotten(desk: Desk, id_: str) -> None:
    assert desk.personal_data.export(id_) is None
    with pytest.raises(NotStored, match="is not stored"):
        desk.personal_data.forget(id_)
    assert desk.told == []


# ---- to forget


def test_of_one_who_is_forgotten_nothing_is_left(desk: Desk) -> None:
    key = desk.meet("ann", email="ann@example.com")
    desk.links.link(key, ("entra", "a1"))
    before = desk.accounts.get(key)
    bob = desk.meet("bob")
    desk.told.clear()
    desk.forgotten.clear()

    assert desk.personal_data.forget(key) == Forgotten(key, None)

    assert desk.accounts.get(key) is None
    assert desk.world.population == (1, 1)
    assert desk.accounts.get(bob) is not None
    [(event, user)] = desk.told
    assert (event, user.resource) == ("deactivated", {**before.resource, "inactive": True})
    assert not user.active
    assert (desk.announced[-1], desk.forgotten) == (("User", key), [key])


def test_the_next_token_makes_a_new_user(desk: Desk) -> None:
    key = desk.meet("ann")

    desk.personal_data.forget(key)

    assert desk.meet("ann") != key


def test_a_row_of_the_apps_own_stays_without_what_can_be_null(staff: MakeStaff) -> None:
    desk = staff(
        email=sa.Column(sa.String(20), unique=True),
        name=sa.Column(sa.JSON),
        nickname=sa.Column(sa.String(9), nullable=False, default="new"),
        also={"salary": sa.Column(sa.Integer, default=3)},
    )
    id_ = desk.put(None, identifier=named("ann"), email="a@b.c", name={"givenName": "Ann"}, nickname="annie").id
    before = desk.accounts.get(id_)
    desk.told.clear()

    assert desk.personal_data.forget(id_) == Forgotten(id_, f"Person/{id_}", ("nickname",))

    left = {"id": int(id_), "email": None, "name": None, "nickname": "annie", "salary": 3}
    assert row(desk, id_) == left
    assert desk.world.population == (1, 0)
    assert [(event, user.resource["email"], user.active) for event, user in desk.told] == [
        ("deactivated", before.resource["email"], False)
    ]
    assert desk.announced == [("User", id_)] * 2
    assert desk.meet("ann") != id_


def test_what_the_model_does_not_let_be_null_stays_and_is_named(staff: MakeStaff) -> None:
    @sa_orm.validates("email")
    def check(self: object, name: str, value: str | None) -> str:
        if value is None:
            raise ValueError
        return value

    constraint = sa.CheckConstraint("room IS NOT NULL")
    desk = staff(
        email=sa.Column(sa.String(20)),
        room=sa.Column(sa.Integer),
        name=sa.Column(sa.String(20)),
        also={"check": check, "__table_args__": (constraint, {})},
    )
    id_ = desk.put(None, identifier=named("ann"), email="a@b.c", room=5, name="Ann").id

    forgotten = desk.personal_data.forget(id_)

    assert sorted(forgotten.kept) == ["email", "room"]
    assert row(desk, id_) == {"id": int(id_), "email": "a@b.c", "room": 5, "name": None}


def test_of_one_of_whom_nothing_is_kept_nothing_is_told(staff: MakeStaff) -> None:
    desk = staff(nickname=sa.Column(sa.String(9), nullable=False, default="new"))
    id_ = desk.put(None).id
    desk.told.clear()

    assert desk.personal_data.forget(id_) == Forgotten(id_, f"Person/{id_}", ("nickname",))

    assert (desk.told, desk.announced) == ([], [("User", id_)])


def test_a_row_of_ours_to_which_others_refer_stays(memory: World) -> None:
    class Note(memory.db.Model):  # type: ignore[name-defined,misc]
        id = sa.Column(sa.Integer, primary_key=True)
        author_id = sa.Column(sa.ForeignKey("foreign_token_user.id"), nullable=False)
        author = sa_orm.relationship("ForeignTokenUser", backref="notes")

    with memory.app.app_context():
        memory.db.create_all()
    desk = Desk(memory)
    key = desk.meet("ann", email="ann@example.com")
    with memory.transactions.writing() as connection:
        connection.execute(sa.insert(Note.__table__).values(author_id=key))

    assert desk.personal_data.forget(key) == Forgotten(key, f"ForeignTokenUser/{key}")

    assert memory.population == (1, 0)
    assert desk.events == [("deactivated", key)]
