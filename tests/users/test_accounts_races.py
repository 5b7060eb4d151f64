from __future__ import annotations

import pytest

from flask_foreign_token.errors import Conflict, Rejected
from flask_foreign_token.users.account_access import ShownUser

from .accounts import Desk, faults_of, named
from .conftest import Says, World, a_credential, a_provider, a_token, at_once


def test_of_many_operators_who_register_one_subject_one_succeeds(file: World) -> None:
    desks = [Desk(file) for _ in range(4)]

    def register(number: int) -> object:
        try:
            return desks[number].put(None, identifier=named("ann"))
        except Rejected as rejected:
            return str(rejected)

    results = at_once(4, register)

    assert sum(isinstance(result, ShownUser) for result in results) == 1
    assert {result for result in results if isinstance(result, str)} == {"User identifier.0: belongs to another user"}
    assert file.population == (1, 1)


def test_of_many_operators_who_put_one_id_one_creates_and_the_others_replace(file: World) -> None:
    desks = [Desk(file) for _ in range(4)]

    outcomes = at_once(4, lambda number: desks[number].outcome("7", {"identifier": named(str(number))}))

    assert sorted(outcomes) == ["created", "updated", "updated", "updated"]
    assert file.population == (1, 1)


def test_of_many_operators_who_expect_one_version_one_succeeds(file: World) -> None:
    desks = [Desk(file) for _ in range(4)]
    before = desks[0].put("7", identifier=named("ann"))

    def change(number: int) -> object:
        try:
            body = {"identifier": named("ann"), "n": number}
            return desks[number].accounts.put("7", body, expected=before.version)[0]
        except Conflict:
            return "conflict"

    assert sorted(at_once(4, change)) == ["conflict", "conflict", "conflict", "updated"]


def test_an_identifier_that_is_first_seen_while_it_is_registered_belongs_to_one_user(world: World) -> None:
    desk = Desk(world)
    provider = a_provider(Says())
    desk.on_issuer = lambda: world.users().find_or_create(a_token("ann"), provider, a_credential())

    assert faults_of(desk.put, "7", identifier=named("ann")) == [("User/7", "identifier.0", "belongs to another user")]
    assert world.population == (1, 1)


def test_who_is_registered_while_they_are_looked_up_is_not_remembered_as_unknown(memory: World) -> None:
    desk, users = Desk(memory), memory.users(create_user=False)
    provider = a_provider(Says())
    find = users._store.find

    def find_and_then_register(id_: str) -> object:
        found = find(id_)
        if found is None:
            users._store.find = find
            desk.put("7", identifier=named("ann"))
            users.forget("7")
        return found

    users._store.find = find_and_then_register

    assert users.find_or_create(a_token("ann"), provider, a_credential()) is None
    assert users.find_or_create(a_token("ann"), provider, a_credential()).key == "7"


@pytest.mark.parametrize("change", ["delete", "deactivate"])
def test_who_is_put_while_somebody_else_changes_them_is_as_the_last_one_says(file: World, change: str) -> None:
    desks = [Desk(file) for _ in range(2)]
    desks[0].put("7", identifier=named("ann"))

    def act(number: int) -> object:
        if number:
            return desks[0].put("7", identifier=named("ann"), x=1)
        return desks[1].accounts.delete("7") if change == "delete" else desks[1].accounts.set_active(["7"], False)

    results = at_once(2, act)

    assert isinstance(results[1], ShownUser)
    assert file.population in {(0, 0), (1, 1)}
