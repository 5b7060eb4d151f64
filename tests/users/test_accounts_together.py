"""Several users changed together, and users who must not be there before."""

from __future__ import annotations

import pytest

from flask_foreign_token.errors import Conflict
from flask_foreign_token.registry.edits import ABSENT
from flask_foreign_token.users.accounts import read_identifier

from .accounts import Desk, faults_of, named
from .conftest import World


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


# ---- several at once


@pytest.mark.parametrize("active", [False, True])
def test_several_are_let_in_or_kept_out_together(desk: Desk, active: bool) -> None:
    for id_ in ("7", "8"):
        desk.put(id_, identifier=named(id_), inactive=active)

    changed = desk.accounts.set_active(["8", "7", "8"], active)

    assert [(user.id, user.resource.get("inactive", False)) for _, user in changed] == [
        ("8", not active),
        ("7", not active),
    ]
    assert [("updated", desk.accounts.get(user.id)) for _, user in changed] == changed
    assert desk.announced[-2:] == [("User", "8"), ("User", "7")]


def test_who_was_so_before_is_unchanged(desk: Desk) -> None:
    for id_ in ("7", "8"):
        desk.put(id_, identifier=named(id_), inactive=id_ == "7")

    outcomes = [outcome for outcome, _ in desk.accounts.set_active(["7", "8"], False)]

    assert outcomes == ["unchanged", "updated"]


def test_where_one_is_not_stored_all_stay_as_they_were(desk: Desk) -> None:
    before = [desk.put(id_, identifier=named(id_)) for id_ in ("7", "8")]
    announced = desk.announced

    assert faults_of(desk.accounts.set_active, ["7", "y", "8", "\0"], False) == [
        ("User/y", "", "is not stored"),
        ("User/\\x00", "", "is not stored"),
    ]
    assert [desk.accounts.get(user.id) for user in before] == before
    assert desk.announced == announced


def test_where_one_cannot_be_changed_all_stay_as_they_were(desk: Desk) -> None:
    before = desk.put("7", identifier=named("7"))
    with desk.world.transactions.writing() as connection:
        table = desk.world.models.user.__table__.name
        connection.exec_driver_sql(
            f"CREATE TRIGGER keep BEFORE UPDATE ON {table} WHEN NEW.id = '8' BEGIN SELECT RAISE(ABORT, 'kept'); END"
        )
    desk.put("8")

    assert faults_of(desk.accounts.set_active, ["7", "8"], False) == [
        ("User/8", "inactive", "cannot be changed: a constraint of the model forbids it")
    ]
    assert desk.accounts.get("7") == before
    assert desk.forgotten == ["7", "8"]


# ---- only where there is none


def test_who_is_expected_to_be_absent_is_made_once(desk: Desk) -> None:
    assert desk.accounts.put("7", {}, expected=ABSENT)[0] == "created"
    with pytest.raises(Conflict) as caught:
        desk.accounts.put("7", {"identifier": named("ann")}, expected=ABSENT)

    assert caught.value.key == ("User", "7")
    assert desk.accounts.get("7").resource["identifier"] == []


@pytest.mark.parametrize(
    ("text", "identifier"),
    [("keycloak|ann", ("keycloak", "ann")), ("ann", (None, "ann")), ("a|b|c", ("a", "b|c")), ("a| ", ("a", " "))],
)
def test_an_identifier_is_a_system_and_a_value_or_a_value(text: str, identifier: tuple[str | None, str]) -> None:
    assert read_identifier(text) == identifier


@pytest.mark.parametrize("text", ["", "|", "|ann", "keycloak|"])
def test_half_an_identifier_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"SYSTEM\|VALUE"):
        read_identifier(text)
