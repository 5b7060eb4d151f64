from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from flask_foreign_token.errors import REST, DatabaseUnavailable, RegistryUnavailable, Rejected
from flask_foreign_token.registry.edits import Edit
from flask_foreign_token.registry.feed import EVERYBODY
from flask_foreign_token.registry.file import FileRegistry
from flask_foreign_token.registry.registry_tables import RegistryTables
from flask_foreign_token.registry.snapshot import SnapshotBuilder

from .looking import POLL, Place, policies
from .places import unchecked

POLICY = {"resourceType": "AccessPolicy", "id": "all", "engine": "allow"}
OTHER = {"resourceType": "AccessPolicy", "id": "other", "engine": "allow"}
WRONG = {"resourceType": "TokenIntrospector", "id": "wrong", "type": None}
PERHAPS = {"resourceType": "AccessPolicy", "id": "perhaps", "engine": "perhaps"}
SHAPELESS = {"resourceType": "AccessPolicy", "id": "perhaps", "engine": None}
OUT_OF_SERVICE = {
    "resourceType": "TokenIntrospector",
    "id": "weak",
    "type": "jwt",
    "jwt": {"iss": "i", "aud": "api", "secret": "short"},
}


@pytest.fixture
def place(engine: Engine, tables: RegistryTables) -> Place:
    return Place(engine, tables)


def test_the_first_request_loads_the_registry_and_the_next_ones_do_not(place: Place) -> None:
    place.write(POLICY)
    live = place.live()

    first = live.current()

    assert live.current() is first
    assert (policies(live), place.prepared) == ({"all"}, 1)


def test_a_change_is_in_force_after_the_poll_and_not_before(place: Place) -> None:
    live = place.live()
    live.current()
    place.write(POLICY)

    before = policies(live)
    place.clock.now += POLL

    assert (before, policies(live)) == (set(), {"all"})


def test_an_unchanged_registry_keeps_its_snapshot(place: Place) -> None:
    place.write(POLICY)
    live = place.live()
    first = live.current()

    place.clock.now += POLL

    assert live.current() is first


def test_load_looks_at_once(place: Place) -> None:
    live = place.live()
    live.current()
    place.write(POLICY)

    live.load()

    assert policies(live) == {"all"}


def test_users_that_changed_are_told_and_bring_no_new_snapshot(place: Place) -> None:
    live = place.live()
    first = live.current()
    place.announce("17")

    place.clock.now += POLL

    assert live.current() is first
    assert place.users == [{"17"}]


def test_all_users_of_one_look_are_told_at_once(place: Place) -> None:
    live = place.live()
    live.current()
    for user in ("17", "4", "17"):
        place.announce(user)

    live.refresh()
    live.refresh()

    assert place.users == [{"17", "4"}]


def test_a_change_of_everybody_is_told_instead_of_those_beside_it(place: Place) -> None:
    live = place.live()
    live.current()
    for user in ("17", EVERYBODY, "4"):
        place.announce(user)

    live.refresh()

    assert place.users == [None]


def test_a_change_of_everybody_lets_every_user_be_forgotten(place: Place) -> None:
    live = place.live()
    live.current()
    place.announce(EVERYBODY)

    live.refresh()

    assert place.users == [None]


def test_a_feed_that_was_emptied_lets_every_user_be_forgotten(
    place: Place, engine: Engine, tables: RegistryTables
) -> None:
    place.announce("17")
    live = place.live()
    live.current()
    with engine.begin() as connection:
        connection.execute(tables.change.delete())

    place.clock.now += POLL
    live.current()

    assert place.users == [None]


def test_what_is_refused_leaves_the_last_good_state_in_force_and_is_logged_once(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.write(POLICY)
    live = place.live(tolerant=False)
    good = live.current()
    place.write(WRONG)

    for _ in range(3):
        place.clock.now += POLL
        assert live.current() is good

    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "TokenIntrospector/wrong type" in caplog.text


def test_what_was_refused_and_is_mended_comes_into_force(place: Place) -> None:
    place.write(WRONG)
    live = place.live(tolerant=False)
    with pytest.raises(RegistryUnavailable, match="registry"):
        live.current()
    place.store.edit(Edit([POLICY], [("TokenIntrospector", "wrong")]), check=unchecked)

    place.clock.now += POLL

    assert policies(live) == {"all"}


def test_the_refusal_of_the_first_state_names_what_is_wrong(place: Place) -> None:
    place.write(WRONG)
    live = place.live(tolerant=False)

    with pytest.raises(RegistryUnavailable) as refused:
        live.current()
    with pytest.raises(Rejected) as rejected:
        live.load()

    assert "the database TokenIntrospector/wrong type" in str(refused.value.hint)
    assert rejected.value.issues[0].resource == "the database TokenIntrospector/wrong"


def test_an_introspector_out_of_service_is_logged_refused_by_load_and_stops_no_other(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.write(POLICY, OUT_OF_SERVICE)
    live = place.live()

    assert policies(live) == {"all"}
    assert "TokenIntrospector/weak jwt.secret" in caplog.text
    with pytest.raises(Rejected, match="TokenIntrospector/weak"):
        live.load()


@pytest.mark.parametrize("body", [PERHAPS, SHAPELESS])
def test_a_policy_out_of_service_is_logged_refused_by_load_and_stops_no_other(
    place: Place, caplog: pytest.LogCaptureFixture, body: dict[str, Any]
) -> None:
    place.write(POLICY)
    live = place.live()
    live.current()
    place.write(OTHER, body)

    for _ in range(3):
        place.clock.now += POLL
        live.current()

    assert policies(live) == {"all", "other"}
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "out of service: AccessPolicy/perhaps engine" in caplog.text
    with pytest.raises(Rejected, match="AccessPolicy/perhaps engine"):
        live.load()


def test_a_database_that_cannot_be_asked_is_not_asked_again_for_a_while(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.failure = DatabaseUnavailable(hint="flask db upgrade")
    live = place.live(Unreachable())

    for _ in range(3):
        with pytest.raises(DatabaseUnavailable):
            live.current()
    asked = place.prepared
    place.clock.now += max(POLL, REST)
    with pytest.raises(DatabaseUnavailable):
        live.current()

    assert (asked, place.prepared) == (1, 2)
    assert caplog.text.count("flask db upgrade") == 1


def test_a_file_serves_though_the_database_cannot_be_asked(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "resources.json"
    file.write_text('[{"resourceType": "AccessPolicy", "id": "all", "engine": "allow"}]')
    place.failure = DatabaseUnavailable()
    live = place.live(FileRegistry(file, {}))

    assert policies(live) == {"all"}
    place.failure = None
    place.clock.now += POLL
    live.current()
    place.announce("17")
    place.clock.now += POLL
    live.current()

    assert place.users == [{"17"}]


def test_all_wait_for_the_one_that_loads_the_first_state(place: Place) -> None:
    place.write(POLICY)
    live = place.live()
    barrier = threading.Barrier(16)
    found: list[set[str]] = []

    def ask() -> None:
        barrier.wait(10)
        found.append(policies(live))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert (found, place.prepared) == ([{"all"}] * 16, 1)


def test_a_change_is_in_force_as_soon_as_the_registry_is_refreshed(place: Place) -> None:
    live = place.live()
    live.current()
    place.write(POLICY)

    live.refresh()

    assert policies(live) == {"all"}


def test_refreshing_a_registry_that_is_refused_leaves_in_force_what_was(place: Place) -> None:
    place.write(POLICY)
    live = place.live(tolerant=False)
    live.current()
    place.write(OTHER, WRONG)

    live.refresh()

    assert policies(live) == {"all"}


def test_refreshing_says_that_the_database_cannot_be_reached(place: Place) -> None:
    place.failure = DatabaseUnavailable()

    with pytest.raises(DatabaseUnavailable):
        place.live(Unreachable()).refresh()


class Unreachable:
    """A registry whose place does not answer."""

    def __str__(self) -> str:
        return "the database"

    def read(self, known: object = None, news: object = None) -> Any:
        raise DatabaseUnavailable(hint="flask db upgrade")


class Interrupted:
    """Builds snapshots, and is stopped once where somebody says so."""

    def __init__(self, builder: SnapshotBuilder) -> None:
        self.builder = builder
        self.is_stopped = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.builder, name)

    def build(self, *arguments: Any, **more: Any) -> Any:
        if self.is_stopped:
            self.is_stopped = False
            raise KeyboardInterrupt
        return self.builder.build(*arguments, **more)


def test_a_look_that_is_stopped_while_it_builds_is_taken_again(place: Place) -> None:
    place.write(POLICY)
    builder = place.builder = Interrupted(place.builder)  # type: ignore[assignment]
    live = place.live()
    live.current()
    place.write(OTHER)
    place.clock.now += POLL
    builder.is_stopped = True
    with pytest.raises(KeyboardInterrupt):
        live.current()

    assert policies(live) == {"all", "other"}
