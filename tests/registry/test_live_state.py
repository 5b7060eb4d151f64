"""What a live registry says of itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flask_foreign_token.errors import DatabaseUnavailable, RegistryUnavailable
from flask_foreign_token.registry.file import FileRegistry
from flask_foreign_token.registry.live import OVERDUE, LiveRegistry
from flask_foreign_token.registry.registry import Registry
from flask_foreign_token.registry.registry_tables import RegistryTables
from flask_foreign_token.registry.standing import RegistryState

from .bodies import ISSUER, SECRET, introspector, policy, provider
from .conftest import MakeEngine
from .files import write
from .looking import EPOCH, POLL, Gate, Place, policies
from .secret_places import sources, written
from .snapshots import builder

WRONG = provider("wrong", system=7)


@pytest.fixture
def place(engine_of_file: MakeEngine, tables: RegistryTables) -> Place:
    engine = engine_of_file()
    tables.change.metadata.create_all(engine)
    return Place(engine, tables)


class Watched(Gate):
    """A registry that has somebody ask while it is being read, in the middle of a look."""

    def __init__(self, registry: Registry, ask: Callable[[], object]) -> None:
        super().__init__(registry)
        self.ask = ask

    def read(self, *arguments: Any) -> Any:
        self.ask()
        return super().read(*arguments)


def test_before_the_first_look_nothing_is_known(place: Place) -> None:
    live = place.live()

    assert live.state == RegistryState(None, {}, (), {}, True, False, None, None)
    assert (live.is_ready, live.in_force) == (False, None)


def test_a_registry_that_is_in_force_is_described(place: Place) -> None:
    place.write(policy("a"), policy("b"), provider())
    live = place.live()

    snapshot = live.current()

    assert live.state == RegistryState(
        version=snapshot.version,
        resources={"AccessPolicy": 2, "IdentityProvider": 1},
        out_of_service=(),
        idle={},
        is_reachable=True,
        is_ready=True,
        fault=None,
        looked_at=EPOCH + place.clock.now,
    )
    assert (live.is_ready, live.in_force) == (True, snapshot)


def test_what_is_left_out_is_named_and_keeps_nobody_from_being_ready(place: Place) -> None:
    place.write(policy(), WRONG)
    live = place.live()

    live.current()

    assert [issue.resource for issue in live.state.out_of_service] == ["IdentityProvider/wrong"]
    assert (live.is_ready, live.state.is_reachable, live.state.fault) == (True, True, None)


def test_what_does_not_serve_is_counted_by_type_once_a_resource(place: Place) -> None:
    weak = introspector(jwt={"iss": ISSUER, "secret": "short"})
    place.write(policy("a"), policy("b", engine="perhaps"), policy("c", engine=None, link=[7, 8]), WRONG, weak)
    live = place.live()

    live.current()

    assert live.state.idle == {"AccessPolicy": 2, "IdentityProvider": 1, "TokenIntrospector": 1}


def test_of_what_serves_nothing_is_counted_as_idle(place: Place) -> None:
    place.write(policy("a"), provider())
    live = place.live()

    live.current()

    assert live.state.idle == {}


def test_every_look_is_told_with_its_result_and_how_long_it_took(place: Place) -> None:
    gate = Gate(place.store)
    live = place.live(gate)
    live.current()
    place.clock.now += POLL
    live.current()
    place.write(policy())
    live.refresh()
    gate.failure = DatabaseUnavailable()
    place.clock.now += POLL
    live.current()

    assert place.results == ["changed", "unchanged", "changed", "unavailable"]
    assert [look.seconds for look in place.looks] == [0.0] * 4


def test_a_file_that_is_refused_is_told_and_said_and_keeps_nobody_from_being_ready(
    place: Place, tmp_path: Path
) -> None:
    file = tmp_path / "registry.json"
    write(file, policy())
    live = place.live(FileRegistry(file, {}))
    live.current()
    looked_at = live.state.looked_at
    write(file, WRONG)
    place.clock.now += POLL

    live.current()

    assert place.results == ["changed", "rejected"]
    assert "IdentityProvider/wrong" in str(live.state.fault)
    assert (live.is_ready, live.state.is_reachable, live.state.looked_at) == (True, True, looked_at)


@pytest.mark.parametrize("content", [None, "[{"], ids=["removed", "half-written"])
def test_a_file_that_cannot_be_read_is_said(place: Place, tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "registry.json"
    write(file, policy())
    live = place.live(FileRegistry(file, {}))
    live.current()
    file.unlink()
    if content is not None:
        file.write_text(content)
    place.clock.now += POLL

    live.current()

    assert str(file) in str(live.state.fault)
    assert (live.is_ready, live.state.is_reachable) == (True, False)


def test_a_file_without_the_database_serves_and_is_not_ready(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "registry.json"
    write(file, policy())
    place.failure = DatabaseUnavailable(hint="gone")
    live = place.live(FileRegistry(file, {}))

    live.current()

    assert (live.is_ready, live.state.is_reachable) == (False, False)
    assert "gone" in str(live.state.fault)
    assert place.results == ["unavailable"]


@pytest.mark.parametrize("content", ["[{", '[{"resourceType": "AccessPolicy"}]'], ids=["half-written", "rejected"])
def test_a_process_that_starts_on_a_bad_file_is_ready_once_it_is_mended(
    place: Place, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "registry.json"
    file.write_text(content)
    live = place.live(FileRegistry(file, {}))
    with pytest.raises(RegistryUnavailable) as refused:
        live.current()
    before = (refused.value.code, live.is_ready, live.state.version, live.state.looked_at)
    write(file, policy("a"))
    place.clock.now += POLL

    found = policies(live)

    assert before == (503, False, None, None)
    assert found == {"a"}
    assert (live.is_ready, live.state.is_reachable, live.state.fault) == (True, True, None)
    assert live.state.looked_at == EPOCH + place.clock.now


def test_a_look_that_breaks_before_the_registry_is_read_did_not_reach_it(place: Place) -> None:
    place.failure = RuntimeError()  # type: ignore[assignment]
    live = place.live()

    with pytest.raises(RegistryUnavailable):
        live.current()

    assert (live.state.is_reachable, live.is_ready) == (False, False)
    assert place.results == ["unavailable"]


def test_where_nothing_could_be_loaded_the_fault_is_said(place: Place) -> None:
    place.write(WRONG)
    live = place.live(tolerant=False)

    with pytest.raises(RegistryUnavailable):
        live.current()

    assert (live.is_ready, live.state.version, dict(live.state.resources)) == (False, None, {})
    assert "IdentityProvider/wrong" in str(live.state.fault)


def test_the_state_shows_no_body(place: Place) -> None:
    body: dict[str, Any] = provider("k", client={"id": "c", "secret": "hush"})
    place.write(body)
    live = place.live()
    live.current()

    assert "hush" not in repr(live.state)


# ---- told to others


class Deaf(list[Any]):
    """Raises whatever it is told."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__()
        self.failures = iter(failures)

    def append(self, item: object) -> None:
        super().append(item)
        raise next(self.failures)


def test_what_is_raised_by_who_is_told_of_looks_changes_nothing_and_is_logged_once_by_its_class(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.looks = Deaf(OSError("hush"), OSError("hush"), KeyError("hush"), OSError("hush"))
    live = place.live()
    live.load()
    place.clock.now += POLL
    live.current()
    place.write(policy("all"))

    for _ in range(2):
        live.refresh()

    assert (policies(live), live.is_ready) == ({"all"}, True)
    assert place.results == ["changed", "unchanged", "changed", "unchanged"]
    assert [record.getMessage().rpartition(" ")[2] for record in caplog.records] == ["OSError", "KeyError"]
    assert "hush" not in caplog.text


def test_whoever_is_told_of_a_look_finds_the_state_that_it_left(place: Place) -> None:
    place.write(policy())
    seen: list[bool] = []

    class Asking(list[Any]):
        def append(self, item: object) -> None:
            seen.append(live.is_ready)

    place.looks = Asking()
    live = place.live()

    live.current()

    assert seen == [True]


# ---- in the middle of a look


def test_a_database_that_is_back_is_said_when_the_look_has_ended(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "registry.json"
    write(file, policy())
    seen: list[tuple[RegistryState, bool]] = []
    live = place.live(Watched(FileRegistry(file, {}), lambda: seen.append((live.state, live.is_ready))))
    place.failure = DatabaseUnavailable(hint="gone")
    live.current()
    without = live.state
    place.failure = None
    place.clock.now += POLL

    live.current()

    assert seen[1] == (without, False)
    assert (without.is_reachable, "gone" in str(without.fault)) == (False, True)
    assert (live.is_ready, live.state.is_reachable, live.state.fault) == (True, True, None)


def test_the_first_state_is_said_whole_when_the_look_has_ended(place: Place) -> None:
    place.write(policy())
    seen: list[RegistryState] = []
    live = place.live(Watched(place.store, lambda: seen.append(live.state)))
    before = live.state

    live.current()

    assert seen == [before]
    assert (live.state.version, live.is_ready) == (live.current().version, True)


def test_an_old_secret_ends_at_once_and_that_is_said_when_the_look_has_ended(place: Place, tmp_path: Path) -> None:
    secret = written(tmp_path / "hs256", SECRET)
    place.builder = builder(sources=sources(tmp_path))
    place.write(introspector(jwt={"iss": ISSUER, "secret": {"file": str(secret)}}))
    watched = Watched(place.store, lambda: None)
    live = place.live(watched)
    before, state = live.current(), live.state
    secret.unlink()
    seen: list[object] = []
    watched.ask = lambda: seen.extend([live.in_force is before, live.state is state])
    place.clock.now += POLL

    live.current()

    assert seen == [False, True]
    assert [issue.resource for issue in live.state.out_of_service] == ["TokenIntrospector/i"]
    assert (dict(state.idle), live.state.idle) == ({}, {"TokenIntrospector": 1})


def test_a_look_that_is_stopped_changes_nothing_of_what_is_said(place: Place) -> None:
    gate = Gate(place.store)
    live = place.live(gate)
    live.current()
    state = live.state
    gate.failure = SystemExit()
    place.clock.now += POLL

    with pytest.raises(SystemExit):
        live.current()
    place.clock.now += OVERDUE

    assert live.state is state


# ---- a look that does not end


def hanging(gate: Gate, live: LiveRegistry) -> threading.Thread:
    """A thread that looks until the gate is opened."""
    gate.close()
    thread = threading.Thread(target=live.refresh)
    thread.start()
    assert gate.reached.wait(10)
    return thread


def test_a_look_that_takes_too_long_is_said_while_what_is_in_force_serves_on(place: Place) -> None:
    gate = Gate(place.store)
    live = place.live(gate)
    before, said = live.current(), live.state
    looking = hanging(gate, live)

    place.clock.now += OVERDUE + 3
    during, is_ready, served = live.state, live.is_ready, live.current()
    gate.open()
    looking.join(10)

    assert during == replace(
        said, is_reachable=False, is_ready=False, fault="the look that began 6 seconds ago has not ended"
    )
    assert (is_ready, served) == (False, before)
    assert (live.is_ready, live.state.is_reachable, live.state.fault) == (True, True, None)


def test_a_look_that_may_still_end_in_time_changes_nothing_of_what_is_said(place: Place) -> None:
    gate = Gate(place.store)
    live = place.live(gate)
    live.current()
    said = live.state
    looking = hanging(gate, live)

    place.clock.now += OVERDUE / 2
    during, is_ready = live.state, live.is_ready
    gate.open()
    looking.join(10)

    assert during is said
    assert is_ready


def test_a_first_look_that_takes_too_long_is_said(place: Place) -> None:
    gate = Gate(place.store)
    live = place.live(gate)
    looking = hanging(gate, live)

    place.clock.now += OVERDUE
    during = live.state
    gate.open()
    looking.join(10)

    assert (during.version, during.is_reachable, during.is_ready) == (None, False, False)
    assert during.fault == "the look that began 3 seconds ago has not ended"
