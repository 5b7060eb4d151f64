"""Who looks, who waits, and what becomes of a look that goes wrong."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from flask_foreign_token.errors import REST, DatabaseUnavailable, RegistryUnavailable
from flask_foreign_token.registry.live import FIRST_PATIENCE, PATIENCE, PATIENCE_AFTER_EDIT, LiveRegistry
from flask_foreign_token.registry.registry_tables import RegistryTables

from .conftest import MakeEngine
from .looking import POLL, SLACK, Gate, Later, Place, policies

POLICY = {"resourceType": "AccessPolicy", "id": "all", "engine": "allow"}


@pytest.fixture
def place(engine_of_file: MakeEngine, tables: RegistryTables) -> Place:
    engine = engine_of_file()
    tables.change.metadata.create_all(engine)
    return Place(engine, tables)


@pytest.fixture
def gate(place: Place) -> Gate:
    return Gate(place.store)


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def outcome(live: LiveRegistry) -> str:
    """What somebody who asks gets, in a word."""
    try:
        live.current()
    except (RegistryUnavailable, DatabaseUnavailable) as refusal:
        return type(refusal).__name__
    return "snapshot"


def held_up(gate: Gate, live: LiveRegistry, clock: Any, by: float = POLL + SLACK) -> threading.Thread:
    """A thread that looks, and is kept from coming to an end."""
    gate.close()
    clock.now += by
    thread = in_thread(live.current)
    assert gate.reached.wait(10)
    return thread


# ---- in the background


def test_whoever_finds_a_look_due_goes_on_while_it_is_made_in_the_background(place: Place) -> None:
    later = Later()
    live = place.live(begin=later)
    before = live.current()
    place.write(POLICY)
    place.clock.now += POLL

    meanwhile = live.current()
    later.run()

    assert meanwhile is before
    assert policies(live) == {"all"}


def test_a_look_that_is_due_is_begun_once_however_many_ask(place: Place) -> None:
    later = Later()
    live = place.live(begin=later)
    live.current()
    place.clock.now += POLL

    for _ in range(5):
        live.current()

    assert (len(later.begun), len(place.looks)) == (1, 1)


def test_after_a_look_in_the_background_the_next_one_is_due_a_poll_after_its_begin(place: Place) -> None:
    later = Later()
    live = place.live(begin=later)
    live.current()
    for _ in range(3):
        place.clock.now += POLL
        live.current()
        later.run()
        live.current()

    assert (len(place.looks), later.begun) == (4, [])


@pytest.mark.parametrize("begun_by", [Later(), lambda work: None], ids=["it has not run", "nothing can be begun"])
def test_where_nobody_has_looked_when_the_slack_is_over_whoever_asks_does(
    place: Place, begun_by: Callable[[Callable[[], None]], None]
) -> None:
    live = place.live(begin=begun_by)
    live.current()
    place.write(POLICY)
    place.clock.now += POLL
    within = policies(live)

    place.clock.now += SLACK

    assert (within, policies(live)) == (set(), {"all"})


def test_what_was_begun_and_runs_after_somebody_else_has_looked_does_nothing(place: Place) -> None:
    later = Later()
    live = place.live(begin=later)
    live.current()
    place.clock.now += POLL
    live.current()
    place.clock.now += SLACK
    live.current()

    later.run()

    assert len(place.looks) == 2


def test_a_process_that_slept_looks_before_it_answers(place: Place) -> None:
    later = Later()
    live = place.live(begin=later)
    live.current()
    place.write(POLICY)

    place.clock.now += 3600

    assert policies(live) == {"all"}
    assert later.begun == []


def test_without_a_poll_every_request_looks_itself(place: Place) -> None:
    later = Later()
    live = place.live(begin=later, poll=0)
    live.current()
    place.write(POLICY)

    assert policies(live) == {"all"}
    assert later.begun == []


def test_the_slack_is_half_a_short_poll(place: Place) -> None:
    later = Later()
    live = place.live(begin=later, poll=0.25)
    live.current()
    place.write(POLICY)

    place.clock.now += 0.25 + 0.125

    assert policies(live) == {"all"}


# ---- waiting


def test_those_who_come_too_late_wait_for_the_look_that_is_under_way(place: Place, gate: Gate) -> None:
    live = place.live(gate, begin=Later())
    live.current()
    place.write(POLICY)
    looking = held_up(gate, live, place.clock)
    found: list[set[str]] = []
    waiting = [in_thread(lambda: found.append(policies(live))) for _ in range(3)]

    gate.open()
    for thread in (looking, *waiting):
        thread.join(10)

    assert found == [{"all"}] * 3
    assert gate.reads == 2


@pytest.mark.parametrize("poll", [POLL, 0])
def test_a_look_that_hangs_is_waited_for_no_longer_than_a_second(place: Place, gate: Gate, poll: float) -> None:
    live = place.live(gate, poll=poll, begin=Later())
    before = live.current()
    looking = held_up(gate, live, place.clock)

    place.clock.now += PATIENCE
    found = [live.current() for _ in range(3)]
    gate.open()
    looking.join(10)

    assert found == [before] * 3


def test_those_who_come_while_a_look_in_the_background_hangs_go_on(place: Place, gate: Gate) -> None:
    threads: list[threading.Thread] = []
    live = place.live(gate, begin=lambda work: threads.append(in_thread(work)))
    before = live.current()
    gate.close()
    place.clock.now += POLL
    live.current()
    assert gate.reached.wait(10)

    place.clock.now += PATIENCE
    found = live.current()
    gate.open()
    threads[0].join(10)

    assert found is before
    assert len(threads) == 1


def test_where_nothing_is_in_force_a_look_that_hangs_is_waited_for_longer_and_then_refused(
    place: Place, gate: Gate
) -> None:
    live = place.live(gate)
    looking = held_up(gate, live, place.clock)
    place.clock.now += FIRST_PATIENCE

    with pytest.raises(RegistryUnavailable) as refused:
        live.current()
    gate.open()
    looking.join(10)

    assert refused.value.hint == "the registry is still being read"
    assert outcome(live) == "snapshot"


@pytest.mark.parametrize(
    ("look", "says_stored"), [(LiveRegistry.load, False), (LiveRegistry.refresh, True)], ids=["load", "refresh"]
)
def test_whoever_wants_a_look_now_waits_so_long_for_one_that_hangs_and_is_told(
    place: Place, gate: Gate, look: Callable[[LiveRegistry], object], says_stored: bool
) -> None:
    live = place.live(gate, begin=Later())
    live.current()
    looking = held_up(gate, live, place.clock)
    place.clock.now += PATIENCE_AFTER_EDIT

    with pytest.raises(DatabaseUnavailable) as refused:
        look(live)
    gate.open()
    looking.join(10)

    assert "a look at the registry has not ended within 15 seconds" in str(refused.value.hint)
    assert ("is stored" in str(refused.value.hint)) is says_stored
    assert len(place.looks) == 2


def test_whoever_has_changed_something_waits_for_the_look_under_way_and_looks_after_it(
    place: Place, gate: Gate
) -> None:
    live = place.live(gate, begin=Later())
    live.current()
    looking = held_up(gate, live, place.clock)
    place.write(POLICY)
    refreshing = in_thread(live.refresh)

    gate.open()
    for thread in (looking, refreshing):
        thread.join(10)

    assert (len(place.looks), policies(live)) == (3, {"all"})


# ---- what goes wrong


def test_a_look_that_breaks_leaves_in_force_what_was_and_is_logged_by_its_class_alone(
    place: Place, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    live = place.live(gate)
    before = live.current()
    gate.failure = RuntimeError("hush")

    for _ in range(3):
        place.clock.now += POLL
        assert live.current() is before

    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "what was in force stays so: an unexpected RuntimeError" in caplog.text
    assert "hush" not in caplog.text
    assert place.results == ["changed", "unavailable", "unavailable", "unavailable"]


def test_after_a_look_that_broke_the_next_one_is_made(place: Place, gate: Gate) -> None:
    live = place.live(gate)
    live.current()
    place.write(POLICY)
    gate.failure = RuntimeError()
    place.clock.now += POLL
    live.current()

    gate.failure = None
    place.clock.now += POLL

    assert policies(live) == {"all"}


def test_a_first_look_that_breaks_is_refused_and_rests(place: Place, gate: Gate) -> None:
    live = place.live(gate, poll=1)
    gate.failure = RuntimeError("hush")

    outcomes = [outcome(live) for _ in range(3)]
    gate.failure = None
    place.clock.now += REST

    assert (outcomes, gate.reads) == (["RegistryUnavailable"] * 3, 1)
    assert outcome(live) == "snapshot"


@pytest.mark.parametrize("look", [LiveRegistry.load, LiveRegistry.refresh])
def test_whoever_asked_for_a_look_now_is_told_how_it_broke(
    place: Place, gate: Gate, look: Callable[[LiveRegistry], object]
) -> None:
    live = place.live(gate)
    live.current()
    gate.failure = RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        look(live)


def test_a_look_that_is_stopped_is_made_by_the_next_who_asks(place: Place, gate: Gate) -> None:
    later = Later()
    live = place.live(gate, begin=later)
    live.current()
    place.write(POLICY)
    place.clock.now += POLL
    live.current()
    gate.failure = SystemExit()
    with pytest.raises(SystemExit):
        later.run()
    gate.failure = None

    place.clock.now += SLACK

    assert policies(live) == {"all"}


def test_a_database_that_goes_away_leaves_in_force_what_was_and_comes_back_by_itself(place: Place, gate: Gate) -> None:
    live = place.live(gate, poll=1)
    before = live.current()
    gate.failure = DatabaseUnavailable(hint="gone")
    place.clock.now += 1
    during = live.current()
    gone = (live.is_ready, live.state.is_reachable, live.state.fault)
    place.write(POLICY)
    gate.failure = None

    place.clock.now += REST

    assert during is before
    assert gone[:2] == (False, False)
    assert "gone" in str(gone[2])
    assert policies(live) == {"all"}
    assert (live.is_ready, live.state.is_reachable, live.state.fault) == (True, True, None)


def test_what_the_feed_says_of_users_is_heard_in_the_background_too(place: Place) -> None:
    later = Later()
    live = place.live(begin=later)
    live.current()
    place.announce("17")
    place.clock.now += POLL

    live.current()
    before = list(place.users)
    later.run()

    assert (before, place.users) == ([], [{"17"}])
