"""What is told of changes, once they are stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from flask_foreign_token.errors import Conflict, Rejected

from .accounts import Desk, a_staff_desk, faults_of, named
from .conftest import World, closed


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


@pytest.fixture
def constrained() -> Iterator[Desk]:
    """A desk at users of whom nobody can be made inactive."""
    columns = {"is_active": sa.Column(sa.Boolean), "__table_args__": (sa.CheckConstraint("is_active"), {})}
    desk = a_staff_desk("sqlite://", active_attribute="is_active", **columns)
    yield desk
    closed(desk.world)


def test_each_change_is_told_once_for_what_it_is(desk: Desk) -> None:
    desk.put("7", identifier=named("ann"))
    desk.put("7", identifier=named("ann"), x=1)
    desk.put("7", identifier=named("ann"), x=1)
    desk.put("7", identifier=named("ann"), x=2, inactive=True)
    desk.put("7", identifier=named("ann"), x=3, inactive=True)
    desk.accounts.set_active(["7"], False)
    desk.accounts.set_active(["7"], True)
    desk.accounts.set_active(["7"], False)
    desk.accounts.delete("7")

    events = ["created", "updated", "deactivated", "updated", "updated", "deactivated", "deactivated"]
    assert desk.events == [(event, "7") for event in events]
    assert len(desk.announced) == len(desk.forgotten) == len(events)


def test_an_event_shows_the_user_as_they_are(desk: Desk) -> None:
    shown = desk.put("7", identifier=named("ann"), x=1)

    [(_, user)] = desk.told
    assert (user.key, user.resource, user.active, user.identifier) == ("7", shown.resource, True, None)


def test_of_one_who_is_deleted_it_shows_what_was_there(desk: Desk) -> None:
    before = desk.put("7", identifier=named("ann"), x=1)

    desk.accounts.delete("7")

    _, user = desk.told[-1]
    assert (user.key, user.resource, user.active) == ("7", {**before.resource, "inactive": True}, False)


def test_of_several_each_is_told(desk: Desk) -> None:
    for id_ in ("7", "8", "9"):
        desk.put(id_, identifier=named(id_), inactive=id_ == "8")
    desk.told.clear()

    desk.accounts.set_active(["9", "8", "7"], False)

    assert desk.events == [("deactivated", "9"), ("deactivated", "7")]


REFUSED: dict[str, Callable[[Desk], object]] = {
    "put": lambda desk: desk.put("7", identifier=named("bob")),
    "put of another version": lambda desk: desk.accounts.put("7", {}, expected="x"),
    "delete of another version": lambda desk: desk.accounts.delete("7", expected="x"),
    "delete": lambda desk: desk.accounts.delete("9"),
    "set_active": lambda desk: desk.accounts.set_active(["7", "9"], False),
}


@pytest.mark.parametrize("change", REFUSED)
def test_of_a_refused_change_nothing_is_told(desk: Desk, change: str) -> None:
    desk.put("7", identifier=named("ann"))
    desk.put("8", identifier=named("bob"))

    with pytest.raises((Rejected, Conflict)):
        REFUSED[change](desk)

    assert desk.events == [("created", "7"), ("created", "8")]


def test_nor_where_a_constraint_of_the_model_refuses_it(constrained: Desk) -> None:
    id_ = constrained.put(None).id

    faults_of(constrained.accounts.set_active, [id_], False)

    assert constrained.events == [("created", id_)]


def test_whoever_is_told_can_see_the_change_and_make_one(desk: Desk) -> None:
    def once(event: str, user: object) -> None:
        desk.on_event = lambda event, user: None
        assert desk.accounts.get("7").resource["x"] == 1
        desk.put("7", identifier=named("ann"), x=2)

    desk.on_event = once
    desk.put("7", identifier=named("ann"), x=1)

    assert desk.accounts.get("7").resource["x"] == 2
    assert desk.events == [("created", "7"), ("updated", "7")]


def test_what_whoever_is_told_raises_ends_the_change_which_stays(desk: Desk) -> None:
    failures = iter([IntegrityError("INSERT", None, ValueError()), KeyError(), KeyError()])

    def fail(event: str, user: object) -> None:
        raise next(failures)

    desk.on_event = fail
    with pytest.raises(IntegrityError):
        desk.put("7", identifier=named("ann"))
    with pytest.raises(KeyError):
        desk.accounts.delete("7")

    assert desk.events == [("created", "7"), ("deactivated", "7")]
    assert desk.announced == [("User", "7")] * 2
    assert desk.accounts.get("7") is None


def test_all_are_told_whatever_the_first_one_raises(desk: Desk) -> None:
    for id_ in ("7", "8"):
        desk.put(id_, identifier=named(id_))
    desk.told.clear()

    def fail(event: str, user: object) -> None:
        raise KeyError

    desk.on_event = fail
    with pytest.raises(KeyError):
        desk.accounts.set_active(["7", "8"], False)

    assert desk.events == [("deactivated", "7"), ("deactivated", "8")]


def test_users_on_a_bind_of_their_own_are_told_of_and_announced_as_well(tmp_path: Path) -> None:
    desk = a_staff_desk("sqlite://", binds={"people": f"sqlite:///{tmp_path / 'p.sqlite'}"}, __bind_key__="people")

    id_ = desk.put(None, identifier=named("ann")).id
    desk.accounts.delete(id_)

    assert desk.events == [("created", id_), ("deactivated", id_)]
    assert desk.announced == [("User", id_)] * 2
    closed(desk.world)
