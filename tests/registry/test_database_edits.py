from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from flask_foreign_token.errors import Conflict, NotStored, Rejected
from flask_foreign_token.registry.edits import Edit, Outcome
from flask_foreign_token.registry.fields import MASK
from flask_foreign_token.registry.registry_tables import RegistryTables
from flask_foreign_token.registry.resources import Key

from .bodies import policy, provider
from .conftest import MakeEngine
from .places import NOW, Place, names, unchecked

A: Key = ("AccessPolicy", "a")
P: Key = ("AccessPolicy", "p")


@pytest.fixture
def place(engine: Engine, tables: RegistryTables) -> Place:
    return Place(engine, tables)


def edit(place: Place, edit: Edit) -> dict[Key, Outcome]:
    return place.registry.edit(edit, check=unchecked)


def version_of(place: Place, key: Key) -> str:
    [kept] = place.registry.kept(*key)
    return kept.version


def test_what_became_of_each_resource_is_told(place: Place) -> None:
    place.apply(policy("a"), policy("b"), policy("c"))

    outcomes = edit(place, Edit([policy("d"), policy("a"), policy("b", active=False)], [("AccessPolicy", "c")]))

    assert [(id_, outcome) for (_type, id_), outcome in outcomes.items()] == [
        ("d", "created"),
        ("a", "unchanged"),
        ("b", "updated"),
        ("c", "deleted"),
    ]


def test_resources_are_shown_with_the_change_that_wrote_them(place: Place) -> None:
    place.apply(policy("a"), provider("k"))
    place.apply(policy("a", active=False))

    [kept] = place.registry.kept("AccessPolicy")

    assert (kept.key, kept.body, kept.version, kept.last_updated) == (A, policy("a", active=False), "3", NOW)
    assert place.registry.kept("AccessPolicy", "b") == []
    assert [kept.key for kept in place.registry.kept("IdentityProvider", "k")] == [("IdentityProvider", "k")]


def test_a_row_that_cannot_be_read_hides_no_other(place: Place) -> None:
    place.apply(policy("a"))
    place.write_by_hand("{")

    assert [kept.key for kept in place.registry.kept("AccessPolicy")] == [A]


def test_a_row_that_cannot_be_read_does_not_stop_the_edit_of_another(place: Place) -> None:
    place.write_by_hand("{")

    assert edit(place, Edit([policy("a")])) == {A: "created"}


def test_a_resource_in_the_expected_version_is_changed(place: Place) -> None:
    place.apply(policy("a"))

    outcomes = edit(place, Edit([policy("a", active=False)], expected={A: version_of(place, A)}))

    assert outcomes == {A: "updated"}


@pytest.mark.parametrize("expected", ["1", ""])
def test_a_resource_in_another_version_is_a_conflict_and_nothing_changes(place: Place, expected: str) -> None:
    place.apply(policy("a"))
    before = place.apply(policy("a", active=False))

    with pytest.raises(Conflict):
        edit(place, Edit([policy("b"), policy("a")], expected={A: expected}))

    assert place.registry.read() == before
    assert place.feed.latest() == before.position


def test_a_row_that_cannot_be_read_has_a_version_too(place: Place) -> None:
    place.write_by_hand("{")

    with pytest.raises(Conflict):
        edit(place, Edit([policy("p")], expected={P: "2"}))

    assert edit(place, Edit([policy("p")], expected={P: "1"})) == {P: "updated"}


def test_of_two_editors_of_the_same_version_one_meets_a_conflict(
    engine_of_file: MakeEngine, tables: RegistryTables
) -> None:
    tables.resource.metadata.create_all(engine_of_file())
    places = [Place(engine_of_file(), tables) for _ in range(4)]
    places[0].apply(policy("a"))
    version = version_of(places[0], A)
    start = threading.Barrier(len(places))

    def write(number: int) -> bool:
        start.wait(10)
        try:
            edit(places[number], Edit([policy("a", description=str(number))], expected={A: version}))
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(len(places)) as threads:
        outcomes = list(threads.map(write, range(len(places))))

    assert sorted(outcomes) == [False, False, False, True]
    assert places[0].registry.read().resources[0].body["description"] == str(outcomes.index(True))


def test_deleting_what_is_not_there_is_told_apart_and_changes_nothing(place: Place) -> None:
    before = place.apply(policy("a"))

    with pytest.raises(NotStored, match="AccessPolicy/p: is not stored"):
        edit(place, Edit([policy("b")], [A, P]))

    assert place.registry.read() == before


def test_a_mask_keeps_the_stored_secret(place: Place) -> None:
    place.apply(provider(client={"secret": "hush"}))

    after = place.apply(provider(title="K", client={"secret": MASK}))

    assert after.resources[0].body == provider(title="K", client={"secret": "hush"})


def test_writing_back_what_is_masked_changes_nothing(place: Place) -> None:
    before = place.apply(provider(client={"secret": "hush"}))

    assert place.apply(provider(client={"secret": MASK})) == before


@pytest.mark.parametrize("stored", ["{", "[]", '{"client":{"id":"x"}}'])
def test_a_mask_over_a_row_without_that_secret_is_refused(place: Place, stored: str) -> None:
    place.write_by_hand(stored, "IdentityProvider", "k")

    with pytest.raises(Rejected, match=r"IdentityProvider/k client\.secret: is the mask"):
        place.apply(provider(client={"secret": MASK}))


def test_a_secret_of_a_deleted_resource_does_not_come_back(place: Place) -> None:
    place.apply(provider(client={"secret": "hush"}))
    edit(place, Edit(deletes=[("IdentityProvider", "k")]))

    with pytest.raises(Rejected, match="none is stored"):
        place.apply(provider(client={"secret": MASK}))


def test_a_row_of_an_unknown_type_can_be_deleted(place: Place) -> None:
    place.write_by_hand("{}", "Nonsense", "x y")

    edit(place, Edit(deletes=[("Nonsense", "x y")]))

    assert names(place.registry.read()) == []
