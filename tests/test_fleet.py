"""A fleet of twenty workers: how often they ask their provider, and what each of them accepts, and until when."""

from __future__ import annotations

import pytest

from benchmarks.fleet_stories import (
    HOUR,
    Outcome,
    Tell,
    away_redis,
    cold_start,
    deadly_cold_start,
    flood,
    most_in_a_second,
    outage,
    peace,
    played,
    rotation,
    rotation_in_flood,
    silent_outage,
    slow_cold_start,
    sudden_rotation,
    withdrawal,
)
from benchmarks.fleet_workers import FIRST, KEYS_TTL, PROVIDER_LATENCY, SECOND, Fleet
from benchmarks.fleet_world import Lock, Simulation
from flask_foreign_token.introspection.remote_document import REFRESH_AHEAD
from flask_foreign_token.introspection.remote_keys import UNKNOWN_KEY_FETCHES, UNKNOWN_KEY_REFILL
from flask_foreign_token.introspection.shared_document import LOOK

SIZE = 20
MANY = 200
"""Where it takes many that one is about to ask when the next would."""

both = pytest.mark.parametrize("is_sharing", [False, True], ids=["each for itself", "shared"])


def alone(tell: Tell) -> Outcome:
    return played(tell, SIZE, is_sharing=False)


def together(tell: Tell) -> Outcome:
    return played(tell, SIZE, is_sharing=True)


def test_workers_that_begin_at_once_fetch_once_each() -> None:
    outcome = alone(cold_start)

    assert outcome.fetches == SIZE
    assert outcome.refused == 0


def test_workers_that_share_and_begin_at_once_fetch_once_in_all() -> None:
    outcome = together(cold_start)

    assert outcome.fetches == 1
    assert outcome.refused == 0


@pytest.mark.parametrize("tell", [slow_cold_start, deadly_cold_start], ids=lambda tell: tell.__name__)
def test_one_takes_over_from_the_first_one_that_is_slow_or_dies(tell: Tell) -> None:
    outcome = together(tell)

    assert outcome.fetches == 2
    assert outcome.refused == 0


def test_a_new_key_is_fetched_once_by_each_worker() -> None:
    outcome = alone(rotation)

    assert outcome.fetches == SIZE
    assert outcome.known_after is not None
    assert outcome.refused == 0


def test_a_new_key_is_fetched_once_in_all_by_workers_that_share() -> None:
    outcome = together(rotation)

    assert outcome.fetches == 1
    assert outcome.known_after is not None
    assert outcome.refused == 0


def test_workers_that_share_ask_their_provider_as_often_as_a_single_one_does() -> None:
    most_of_one = HOUR / (REFRESH_AHEAD * KEYS_TTL)

    assert together(peace).fetches <= most_of_one
    assert most_of_one < alone(peace).fetches <= SIZE * most_of_one


@both
def test_a_key_that_is_replaced_at_once_is_gone_when_the_new_one_is_known(is_sharing: bool) -> None:
    outcome = played(sudden_rotation, SIZE, is_sharing=is_sharing)

    assert outcome.known_after is not None
    assert outcome.gone_after == outcome.known_after
    assert outcome.refused == 0


@both
def test_a_key_whose_withdrawal_nothing_tells_of_is_gone_with_the_life_of_the_set(is_sharing: bool) -> None:
    outcome = played(withdrawal, SIZE, is_sharing=is_sharing)

    assert outcome.gone_after is not None
    assert outcome.gone_after <= KEYS_TTL


@both
def test_nobody_accepts_a_withdrawn_key_after_its_life(is_sharing: bool) -> None:
    fleet = Fleet(SIZE, is_sharing=is_sharing)
    accepted: list[int] = []

    def direct(fleet: Fleet) -> None:
        fleet.provider.publish(SECOND)
        fleet.put_to_work(fleet.workers, within=60)
        fleet.pass_time(100)
        fleet.provider.withdraw(FIRST)
        fleet.traffic.leftover = 0.5
        fleet.begin_to_count()
        fleet.pass_time(KEYS_TTL + PROVIDER_LATENCY + LOOK)
        accepted.append(fleet.tally.accepted_late)
        fleet.begin_to_count()
        fleet.pass_time(2 * KEYS_TTL)
        accepted.append(fleet.tally.accepted_late)

    fleet.run(direct)

    assert accepted[0] > 0
    assert accepted[1] == 0
    assert not any(worker.holds(FIRST) for worker in fleet.workers)


@both
@pytest.mark.parametrize("tell", [outage, silent_outage], ids=lambda tell: tell.__name__)
def test_nobody_who_has_keys_refuses_a_token_in_an_outage(tell: Tell, is_sharing: bool) -> None:
    outcome = played(tell, SIZE, is_sharing=is_sharing)

    assert outcome.refused_by_old == 0
    assert outcome.good > 0


def test_who_is_started_in_an_outage_refuses_what_it_cannot_check() -> None:
    assert alone(outage).refused > 0


def test_who_is_started_in_an_outage_has_the_keys_from_those_it_shares_with() -> None:
    assert together(outage).refused == 0


@both
def test_everybody_refuses_every_token_when_the_grace_is_over(is_sharing: bool) -> None:
    fleet = Fleet(SIZE, is_sharing=is_sharing, grace=60)
    tallies = []

    def direct(fleet: Fleet) -> None:
        fleet.put_to_work(fleet.workers, within=10)
        fleet.pass_time(20)
        fleet.provider.outage = PROVIDER_LATENCY
        for seconds in (KEYS_TTL, 60 + 10, 30):
            fleet.begin_to_count()
            fleet.pass_time(seconds)
            tallies.append(fleet.tally)

    fleet.run(direct)
    within, _between, after = tallies

    assert within.refused == 0
    assert after.refused == after.good > 0


@pytest.mark.parametrize("tell", [outage, silent_outage], ids=lambda tell: tell.__name__)
def test_who_shares_asks_a_provider_that_is_down_by_turns(tell: Tell) -> None:
    apart, in_common = (played(tell, MANY, is_sharing=is_sharing) for is_sharing in (False, True))

    assert in_common.fetches < apart.fetches * 2 / 3
    assert in_common.waited < apart.waited * 2 / 3


@both
def test_invented_key_ids_cost_each_worker_as_many_fetches_as_it_is_allowed(is_sharing: bool) -> None:
    outcome = played(flood, SIZE, is_sharing=is_sharing)

    assert 0 < outcome.fetches <= SIZE * (UNKNOWN_KEY_FETCHES + 30 / UNKNOWN_KEY_REFILL)
    assert outcome.refused == 0


def test_invented_key_ids_are_asked_about_in_common_by_those_who_share() -> None:
    apart, in_common = (played(flood, MANY, is_sharing=is_sharing) for is_sharing in (False, True))

    assert in_common.fetches < apart.fetches / 2


@both
def test_a_new_key_becomes_known_among_invented_key_ids(is_sharing: bool) -> None:
    outcome = played(rotation_in_flood, SIZE, is_sharing=is_sharing)

    assert outcome.known_after is not None
    assert outcome.known_after <= UNKNOWN_KEY_REFILL + 5


def test_workers_whose_redis_is_away_do_as_those_that_have_none() -> None:
    outcome = together(away_redis)

    assert outcome.fetches == SIZE
    assert outcome.known_after is not None
    assert outcome.refused == 0


@both
def test_the_same_seed_brings_the_same(is_sharing: bool) -> None:
    assert played(rotation, SIZE, is_sharing=is_sharing) == played(rotation, SIZE, is_sharing=is_sharing)
    assert played(rotation, SIZE, is_sharing=is_sharing, seed=1) != played(rotation, SIZE, is_sharing=is_sharing)


def test_the_peak_is_the_second_in_which_there_is_most() -> None:
    assert most_in_a_second([]) == 0
    assert most_in_a_second([0.0, 0.9, 1.5, 1.6, 1.7, 4.0]) == 4


def test_a_lock_of_the_simulation_goes_to_those_who_still_wait_in_their_order() -> None:
    simulation = Simulation()
    lock, got = Lock(simulation), []

    def hold() -> None:
        with lock:
            simulation.sleep(3)

    def ask(name: str, timeout: float) -> None:
        is_mine = lock.acquire(timeout=timeout)
        got.append((name, is_mine, simulation.now))
        simulation.sleep(1)
        if is_mine:
            lock.release()

    begun = simulation.now
    simulation.start(hold)
    for name, timeout in (("impatient", 1), ("first", 5), ("second", -1)):
        simulation.start(lambda name=name, timeout=timeout: ask(name, timeout))  # type: ignore[misc]
    simulation.run()

    assert got == [("impatient", False, begun + 1), ("first", True, begun + 3), ("second", True, begun + 4)]
    assert lock.acquire(blocking=False)
