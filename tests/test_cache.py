from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from flask_foreign_token.caching import Cache
from flask_foreign_token.errors import ProviderUnavailable

from .loading import FOREVER, Clock, Loader, all_in


def test_what_was_put_is_there_and_nothing_else() -> None:
    cache: Cache[str] = Cache(10)
    cache.put("a", "A", FOREVER)

    assert cache.get("a") == "A"
    assert cache.get("b") is None


def test_what_is_put_again_replaces_what_was_there() -> None:
    cache: Cache[str] = Cache(4)
    cache.put("a", "old", FOREVER)
    for filler in "xy":
        cache.put(filler, filler, FOREVER)
    cache.put("a", "new", FOREVER)

    assert cache.get("a") == "new"
    for filler in "pq":
        cache.get("a")
        cache.put(filler, filler, FOREVER)
    assert cache.get("a") == "new"


def test_a_value_ends_with_its_life() -> None:
    clock = Clock()
    cache: Cache[str] = Cache(10, clock)
    cache.put("a", "A", 1_010.0)

    clock.now = 1_009.9
    assert cache.get("a") == "A"
    clock.now = 1_010.0
    assert cache.get("a") is None


def test_an_old_value_ends_with_its_life() -> None:
    clock = Clock()
    cache: Cache[str] = Cache(2, clock)
    cache.put("a", "A", 1_010.0)
    cache.put("b", "B", FOREVER)

    clock.now = 1_010.0
    assert cache.get("a") is None


@pytest.mark.parametrize("expires_at", [999.0, 1_000.0, float("nan"), float("-inf")])
def test_what_has_no_future_is_not_remembered_and_ends_what_was_there(expires_at: float) -> None:
    cache: Cache[str] = Cache(10, Clock(1_000.0))
    cache.put("a", "old", FOREVER)

    cache.put("a", "new", expires_at)

    assert cache.get("a") is None
    assert len(cache) == 0


@pytest.mark.parametrize("size", [2, 3, 7, 10, 100])
def test_there_are_never_more_entries_than_its_size(size: int) -> None:
    cache: Cache[int] = Cache(size)
    choose = random.Random(size)

    for number in range(20 * size):
        cache.put(number, number, FOREVER)
        cache.get(choose.randrange(number + 1))
        assert len(cache) <= size


@pytest.mark.parametrize("size", [2, 3, 7, 10, 100])
def test_the_half_used_last_is_kept(size: int) -> None:
    cache: Cache[int] = Cache(size)
    used: list[int] = []
    choose = random.Random(size)

    for number in range(20 * size):
        cache.put(number, number, FOREVER)
        used.append(number)
        again = choose.choice(used[-size // 2 :])
        assert cache.get(again) == again
        used.remove(again)
        used.append(again)

    for number in used[-(size // 2) :]:
        assert cache.get(number) == number


def test_what_is_asked_for_survives_any_number_of_others() -> None:
    cache: Cache[object] = Cache(10)
    cache.put("kept", "value", FOREVER)

    for number in range(1_000):
        cache.put(number, number, FOREVER)
        assert cache.get("kept") == "value"


def test_what_is_not_asked_for_is_forgotten() -> None:
    cache: Cache[object] = Cache(10)
    cache.put("left", "value", FOREVER)

    for number in range(10):
        cache.put(number, number, FOREVER)

    assert cache.get("left") is None


def test_what_is_put_again_pushes_nothing_out() -> None:
    cache: Cache[str] = Cache(4)
    for key in "abcd":
        cache.put(key, key, FOREVER)

    for _ in range(10):
        cache.put("c", "c", FOREVER)
        cache.put("d", "d", FOREVER)

    assert len(cache) == 4


@pytest.mark.parametrize(
    ("write", "left"),
    [
        (lambda cache: cache.drop("a"), None),
        (lambda cache: cache.put("a", "new", FOREVER), "new"),
    ],
    ids=["drop", "put"],
)
def test_what_changes_while_it_is_read_is_not_brought_back(
    write: Callable[[Cache[str]], None], left: str | None
) -> None:
    writes: list[Callable[[Cache[str]], None]] = []

    def clock() -> float:
        # Asked when the old value has been found and not been made young yet.
        if writes:
            writes.pop()(cache)
        return 1_000.0

    cache: Cache[str] = Cache(4, clock)
    for key in "abc":
        cache.put(key, "old", FOREVER)
    writes.append(write)

    assert cache.get("a") == "old"
    assert cache.get("a") == left


def test_a_cache_for_fewer_than_two_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        Cache(1)


@pytest.mark.parametrize("key", ["young", "old"])
def test_what_is_dropped_is_gone(key: str) -> None:
    cache: Cache[str] = Cache(2)
    cache.put("old", "value", FOREVER)
    cache.put("young", "value", FOREVER)

    cache.drop(key)
    cache.drop("unknown")

    assert cache.get(key) is None
    assert len(cache) == 1


def test_values_are_dropped_by_what_they_are() -> None:
    cache: Cache[int] = Cache(20)
    for number in range(20):
        cache.put(str(number), number, FOREVER)

    cache.drop_where(lambda value: value % 2 == 1)

    assert [number for number in range(20) if cache.get(str(number)) is not None] == list(range(0, 20, 2))


def test_clear_forgets_everything() -> None:
    cache: Cache[int] = Cache(4)
    for number in range(4):
        cache.put(number, number, FOREVER)

    cache.clear()

    assert len(cache) == 0


def test_reading_does_not_wait_for_a_writer() -> None:
    cache: Cache[str] = Cache(2)
    cache.put("old", "a", FOREVER)
    cache.put("young", "b", FOREVER)
    read: list[str | None] = []

    def look(value: str) -> bool:
        # In the middle of a write, on another thread.
        with ThreadPoolExecutor() as pool:
            read.extend(pool.map(cache.get, ["old", "young"], timeout=10))
        return False

    cache.drop_where(lambda value: not read and look(value))

    assert read == ["a", "b"]


# Loading through a cache


def test_a_value_is_loaded_once_and_then_remembered() -> None:
    clock = Clock()
    cache: Cache[str] = Cache(10, clock)
    loads: list[float] = []

    def load() -> tuple[str, float]:
        loads.append(clock.now)
        return f"loaded {len(loads)}", clock.now + 10

    assert [cache.get_or_load("a", load) for _ in range(3)] == ["loaded 1"] * 3
    clock.now += 10
    assert [cache.get_or_load("a", load) for _ in range(3)] == ["loaded 2"] * 3
    assert loads == [1_000.0, 1_010.0]


def test_a_loaded_value_without_a_future_is_returned_and_not_remembered() -> None:
    cache: Cache[str] = Cache(10, Clock())

    assert cache.get_or_load("a", lambda: ("value", 0.0)) == "value"
    assert len(cache) == 0


def test_a_load_that_fails_is_not_remembered() -> None:
    cache: Cache[str] = Cache(10)

    def fail() -> tuple[str, float]:
        raise ProviderUnavailable

    with pytest.raises(ProviderUnavailable):
        cache.get_or_load("a", fail)

    assert cache.get_or_load("a", lambda: ("value", FOREVER)) == "value"


def test_threads_that_want_one_value_share_one_load() -> None:
    cache: Cache[object] = Cache(10)
    loader = Loader(("value", FOREVER))

    with ThreadPoolExecutor(8) as pool:
        waiters = all_in(pool, cache, lambda: cache.get_or_load("a", loader), loader)  # type: ignore[arg-type]

    assert [waiter.result() for waiter in waiters] == ["value"] * 8
    assert loader.calls == 1


def test_who_has_no_patience_does_not_wait_for_the_load_of_another() -> None:
    cache: Cache[object] = Cache(10)
    loader = Loader(("value", FOREVER))

    with ThreadPoolExecutor(1) as pool:
        leader = pool.submit(cache.get_or_load, "a", loader)  # type: ignore[arg-type]
        assert loader.started.wait(10)
        with pytest.raises(TimeoutError):
            cache.get_or_load("a", lambda: ("never", FOREVER), patience=0)
        loader.finish.set()

    assert leader.result() == cache.get_or_load("a", lambda: ("never", FOREVER), patience=0) == "value"


def test_a_value_that_lands_between_a_look_and_the_load_is_taken() -> None:
    lands: list[Callable[[], None]] = []
    now = [0.0]

    def clock() -> float:
        # Asked while the caller looks at a value whose life is over.
        if lands:
            lands.pop()()
        return now[0]

    cache: Cache[str] = Cache(10, clock)
    cache.put("a", "ended", 1.0)
    now[0] = 2.0
    lands.append(lambda: cache.put("a", "landed", FOREVER))

    assert cache.get_or_load("a", lambda: ("loaded again", FOREVER)) == "landed"


@pytest.mark.parametrize(
    "drop",
    [
        lambda cache: cache.drop("a"),
        lambda cache: cache.drop_where(lambda value: value == "stale"),
        lambda cache: cache.clear(),
    ],
    ids=["drop", "drop_where", "clear"],
)
def test_what_is_dropped_while_it_is_loaded_is_not_remembered(drop: Callable[[Cache[object]], None]) -> None:
    cache: Cache[object] = Cache(10)
    stale = Loader(("stale", FOREVER))

    with ThreadPoolExecutor(1) as pool:
        before = pool.submit(cache.get_or_load, "a", stale)  # type: ignore[arg-type]
        assert stale.started.wait(10)
        drop(cache)
        after = cache.get_or_load("a", lambda: ("fresh", FOREVER))
        stale.finish.set()

    assert before.result() == "stale"
    assert after == "fresh"
    assert cache.get("a") == "fresh"
