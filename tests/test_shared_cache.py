from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from flask_foreign_token.errors import REST
from flask_foreign_token.shared_cache import ALONE, CLAIM, SKEW, Shared, SharedCache

from .loading import Clock
from .shared_stores import Memory, shared_in

NAME = "https://idp.example/keys"
NOW = 1_000.0
ENTRY = Shared({"keys": []}, NOW, NOW + 300)


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def memory(clock: Clock) -> Memory:
    return Memory(clock)


@pytest.fixture
def one(memory: Memory, clock: Clock) -> SharedCache:
    return shared_in(memory, clock)


@pytest.fixture
def other(memory: Memory, clock: Clock) -> SharedCache:
    return shared_in(memory, clock)


def test_what_one_leaves_the_other_finds(one: SharedCache, other: SharedCache) -> None:
    one.leave("keys", NAME, ENTRY)

    assert other.find("keys", NAME) == ENTRY


def test_there_is_nothing_where_nobody_left_anything(one: SharedCache) -> None:
    assert one.find("keys", NAME) is None


def test_another_name_and_another_kind_are_something_else(one: SharedCache, other: SharedCache) -> None:
    one.leave("keys", NAME, ENTRY)

    assert other.find("keys", NAME + "/") is None
    assert other.find("metadata", NAME) is None


def test_another_app_and_another_secret_have_their_own(one: SharedCache, memory: Memory, clock: Clock) -> None:
    one.leave("keys", NAME, ENTRY)

    assert shared_in(memory, clock, app="clinic 2").find("keys", NAME) is None
    assert shared_in(memory, clock, secret="another secret, no less than 32 bytes").find("keys", NAME) is None


def test_an_entry_ends_when_its_life_is_over(one: SharedCache, other: SharedCache, clock: Clock) -> None:
    one.leave("keys", NAME, ENTRY)

    clock.now = ENTRY.until - 1
    assert other.find("keys", NAME) == ENTRY
    clock.now = ENTRY.until
    assert other.find("keys", NAME) is None


def test_an_entry_is_there_through_the_grace_for_who_asks_for_it(
    one: SharedCache, other: SharedCache, clock: Clock
) -> None:
    one.leave("keys", NAME, ENTRY, grace=60)

    clock.now = ENTRY.until + 59
    assert other.find("keys", NAME) is None
    assert other.find("keys", NAME, grace=60) == ENTRY
    clock.now = ENTRY.until + 60
    assert other.find("keys", NAME, grace=60) is None


def test_what_is_over_is_not_left(one: SharedCache, memory: Memory) -> None:
    one.leave("keys", NAME, Shared({}, NOW - 300, NOW))

    assert memory.kept == {}


def test_everything_that_is_left_ends_by_itself(one: SharedCache, memory: Memory) -> None:
    one.leave("keys", NAME, ENTRY, grace=60)
    assert one.claim("keys", NAME)

    assert sorted(until for _, until in memory.kept.values()) == [NOW + CLAIM, NOW + 360]


def test_what_comes_from_a_clock_that_is_ahead_a_little_counts_as_old(
    one: SharedCache, other: SharedCache, clock: Clock
) -> None:
    one.leave("keys", NAME, ENTRY)

    clock.now = NOW - SKEW
    assert other.find("keys", NAME) == ENTRY._replace(at=NOW - 2 * SKEW)
    clock.now = NOW - SKEW - 1
    assert other.find("keys", NAME) is None


# ---- a stranger


@pytest.mark.parametrize("text", [b"", b"{}", b"\x80\x04N.", b"x" * 100])
def test_what_a_stranger_writes_is_nothing(one: SharedCache, memory: Memory, text: bytes) -> None:
    one.leave("keys", NAME, ENTRY)
    memory.write(memory.only(), text)

    assert one.find("keys", NAME) is None


def test_an_entry_counts_under_its_own_name_alone(one: SharedCache, memory: Memory) -> None:
    one.leave("keys", NAME, ENTRY)
    (text, _), key = memory.kept[memory.only()], memory.only()
    one.leave("keys", "https://other.example/keys", ENTRY)
    (stolen,) = memory.kept.keys() - {key}
    memory.write(stolen, text)

    assert one.find("keys", "https://other.example/keys") is None
    assert one.find("keys", NAME) == ENTRY


def test_what_is_as_deep_as_a_provider_may_answer_is_shared(one: SharedCache, other: SharedCache) -> None:
    deep: object = []
    for _ in range(63):
        deep = [deep]
    one.leave("keys", NAME, ENTRY._replace(value=deep))

    assert other.find("keys", NAME) == ENTRY._replace(value=deep)


def test_a_claim_is_no_entry(one: SharedCache, memory: Memory) -> None:
    one.leave("keys", NAME, ENTRY)
    key = memory.only()
    one.claim("keys", NAME)
    memory.write(key, memory.kept[key + ":claim"][0])

    assert one.find("keys", NAME) is None


def test_what_is_no_text_is_nothing_and_no_outage(one: SharedCache, memory: Memory) -> None:
    one.leave("keys", NAME, ENTRY)
    memory.error = ValueError("WRONGTYPE Operation against a key holding the wrong kind of value")
    assert one.find("keys", NAME) is None
    memory.error = None

    assert one.find("keys", NAME) == ENTRY


def test_what_is_fetched_next_takes_the_place_of_what_a_stranger_wrote(one: SharedCache, memory: Memory) -> None:
    one.leave("keys", NAME, ENTRY)
    memory.write(memory.only(), b"{}")
    one.leave("keys", NAME, ENTRY)

    assert one.find("keys", NAME) == ENTRY


# ---- claims


def claimed(cache: SharedCache) -> str:
    """The mark of its claim."""
    mark = cache.claim("keys", NAME)
    assert mark is not None
    return mark


def test_one_claims_and_the_other_does_not_until_it_is_released(one: SharedCache, other: SharedCache) -> None:
    mark = claimed(one)
    assert other.claim("keys", NAME) is None
    assert other.claim("keys", "https://other.example/keys")

    one.release("keys", NAME, mark)
    assert other.claim("keys", NAME)


def test_who_took_too_long_releases_no_claim_but_its_own(one: SharedCache, other: SharedCache, clock: Clock) -> None:
    mark = claimed(one)
    clock.now = NOW + CLAIM
    claimed(other)

    one.release("keys", NAME, mark)
    assert one.claim("keys", NAME) is None


def test_a_claim_is_made_with_its_end_in_one_command(one: SharedCache, memory: Memory) -> None:
    commands: list[str] = []
    memory.before = commands.append
    claimed(one)

    assert commands == ["set nx"]


def test_a_claim_ends_though_its_holder_died(one: SharedCache, other: SharedCache, clock: Clock) -> None:
    assert one.claim("keys", NAME)

    clock.now = NOW + CLAIM
    assert other.claim("keys", NAME)


def test_a_claim_that_a_stranger_makes_is_none(one: SharedCache, other: SharedCache, memory: Memory) -> None:
    claimed(one)
    memory.write(memory.only(), b"mine")

    assert other.claim("keys", NAME)


def test_a_claim_that_is_put_back_gives_way_once_it_is_old(
    one: SharedCache, other: SharedCache, memory: Memory, clock: Clock
) -> None:
    claimed(one)
    key = memory.only()
    memory.write(key, memory.kept[key][0])
    clock.now = NOW + CLAIM + SKEW

    assert other.claim("keys", NAME) is None
    assert memory.kept == {}
    assert other.claim("keys", NAME)


def test_a_claim_of_a_worker_whose_clock_is_behind_counts(one: SharedCache, memory: Memory, clock: Clock) -> None:
    claimed(shared_in(memory, Clock(NOW - SKEW)))

    assert one.claim("keys", NAME) is None
    assert one.claim("keys", NAME) is None


# ---- outages


def test_who_finds_it_down_does_without_and_tries_it_again_after_a_rest(
    one: SharedCache, memory: Memory, clock: Clock
) -> None:
    one.leave("keys", NAME, ENTRY)
    memory.error, memory.calls = ConnectionError("refused"), 0

    assert one.find("keys", NAME) is None
    mark = claimed(one)
    one.leave("keys", NAME, ENTRY)
    one.release("keys", NAME, mark)
    assert memory.calls == 1

    memory.error, clock.now = None, NOW + REST - 1
    assert one.find("keys", NAME) is None
    clock.now = NOW + REST
    assert one.find("keys", NAME) is not None
    assert one.find("keys", NAME) is not None


def test_after_the_rest_one_tries_it_and_the_others_do_without(one: SharedCache, memory: Memory, clock: Clock) -> None:
    one.leave("keys", NAME, ENTRY)
    memory.error = TimeoutError()
    one.find("keys", NAME)
    memory.calls, clock.now = 0, NOW + REST
    tried, done = threading.Event(), threading.Event()

    def wait(command: str) -> None:
        tried.set()
        assert done.wait(10)

    memory.before = wait
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(one.find, "keys", NAME)
        assert tried.wait(10)
        found = [one.find("keys", NAME) for _ in range(5)]
        done.set()
        assert first.result(10) is None

    assert found == [None] * 5
    assert memory.calls == 1


def test_a_clock_that_is_set_back_prolongs_no_rest(one: SharedCache, memory: Memory, clock: Clock) -> None:
    one.leave("keys", NAME, ENTRY)
    memory.error = ConnectionError()
    one.find("keys", NAME)
    memory.error, clock.now = None, NOW - 30

    assert one.find("keys", NAME) is not None


def test_the_log_is_told_once_that_it_fails_and_once_that_it_is_back(
    one: SharedCache, memory: Memory, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    memory.error = ConnectionError("redis://:secret@cache.example:6379")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            one.find("keys", NAME)
            clock.now += REST
        memory.error = None
        for _ in range(3):
            one.find("keys", NAME)

    assert caplog.messages == [
        "the shared cache fails (ConnectionError); this worker goes on alone, and tries again every 5 seconds",
        "the shared cache can be used again",
    ]


def test_what_came_of_every_look_is_counted(memory: Memory, clock: Clock) -> None:
    results: list[tuple[str, str]] = []
    cache = shared_in(memory, clock, on_asked=lambda kind, result: results.append((kind, result)))
    cache.find("keys", NAME)
    cache.leave("keys", NAME, ENTRY)
    cache.find("keys", NAME)
    memory.write(memory.only(), b"{}")
    cache.find("keys", NAME)
    memory.error = ConnectionError()
    cache.find("introspection", NAME)
    cache.find("introspection", NAME)

    assert results == [
        ("keys", "miss"),
        ("keys", "hit"),
        ("keys", "refused"),
        ("introspection", "failed"),
        ("introspection", "failed"),
    ]


def test_who_shares_nothing_finds_nothing_and_may_fetch_everything() -> None:
    ALONE.leave("keys", NAME, ENTRY)

    assert ALONE.find("keys", NAME) is None
    for _ in range(2):
        assert ALONE.claim("keys", NAME) is not None
    ALONE.release("keys", NAME, "")
