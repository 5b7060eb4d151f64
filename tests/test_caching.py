from __future__ import annotations

import gc
import random
import sys
import threading
import traceback
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import pytest

from flask_foreign_token.caching import Cache, Rest, SingleFlight
from flask_foreign_token.errors import InsufficientScope, Issue, ProviderUnavailable, Rejected

FOREVER = float("inf")


class Clock:
    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class KeywordOnlyError(Exception):
    def __init__(self, *, reason: str) -> None:
        super().__init__("refused", reason)
        self.reason = reason


def waiting_for(flights: SingleFlight[object] | Cache[object]) -> int:
    """How many callers wait for the one flight that is under way."""
    inner = flights._flights if isinstance(flights, Cache) else flights
    assert isinstance(inner, SingleFlight)
    (flight,) = inner._flights.values()
    return len(flight.done._cond._waiters)  # type: ignore[attr-defined]


class Loader:
    """A load that starts when it is called and ends when it is told to."""

    def __init__(self, result: object = "value", error: BaseException | None = None) -> None:
        self.calls = 0
        self.started = threading.Event()
        self.finish = threading.Event()
        self.result = result
        self.error = error

    def __call__(self) -> object:
        self.calls += 1
        self.started.set()
        assert self.finish.wait(10)
        if self.error is not None:
            raise self.error
        return self.result


def all_in(
    pool: ThreadPoolExecutor,
    flights: SingleFlight[object] | Cache[object],
    ask: Callable[[], object],
    loader: Loader,
    callers: int = 8,
) -> list[Future[object]]:
    """Let `callers` threads ask, and `loader` finish once one of them loads and the others wait for it."""
    waiters = [pool.submit(ask)]
    assert loader.started.wait(10)
    waiters += [pool.submit(ask) for _ in range(callers - 1)]
    while waiting_for(flights) < callers - 1:
        pass
    loader.finish.set()
    return waiters


# Cache


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


# SingleFlight


@pytest.mark.parametrize("result", ["value", None, 0])
def test_callers_share_one_result(result: object) -> None:
    flights: SingleFlight[object] = SingleFlight()
    loader = Loader(result)

    with ThreadPoolExecutor(8) as pool:
        waiters = all_in(pool, flights, lambda: flights.do("a", loader), loader)

    assert [waiter.result() for waiter in waiters] == [result] * 8
    assert loader.calls == 1


def test_callers_who_come_one_after_another_load_each() -> None:
    flights: SingleFlight[int] = SingleFlight()
    loads = iter(range(3))

    assert [flights.do("a", lambda: next(loads)) for _ in range(3)] == [0, 1, 2]
    assert flights._flights == {}


def test_other_keys_do_not_wait() -> None:
    flights: SingleFlight[object] = SingleFlight()
    slow = Loader("slow")

    with ThreadPoolExecutor(1) as pool:
        waiter = pool.submit(flights.do, "slow", slow)
        assert slow.started.wait(10)
        assert flights.do("quick", lambda: "quick") == "quick"
        slow.finish.set()

    assert waiter.result() == "slow"


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ProviderUnavailable(hint="TimeoutError"), ["hint", "description"]),
        (InsufficientScope("openid"), ["scope", "description"]),
        (Rejected([Issue("AccessPolicy/a", "matcho", "wrong")]), ["issues"]),
        (KeywordOnlyError(reason="no"), ["reason"]),
        (KeyError("a"), []),
        (ConnectionRefusedError(111, "refused"), ["errno", "strerror"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_callers_share_one_error_and_each_gets_a_copy(error: Exception, shown: list[str]) -> None:
    flights: SingleFlight[object] = SingleFlight()
    loader = Loader(error=error)

    with ThreadPoolExecutor(8) as pool:
        waiters = all_in(pool, flights, lambda: flights.do("a", loader), loader)

    raised = [waiter.exception() for waiter in waiters]
    assert len({id(each) for each in raised}) == 8
    assert {type(each) for each in raised} == {type(error)}
    assert {str(each) for each in raised} == {str(error)}
    for name in shown:
        assert {getattr(each, name) for each in raised} == {getattr(error, name)}
    assert loader.calls == 1
    assert flights._flights == {}


def test_a_refusal_that_one_caller_decorates_is_untouched_for_the_others() -> None:
    flights: SingleFlight[object] = SingleFlight()
    loader = Loader(error=ProviderUnavailable())

    with ThreadPoolExecutor(2) as pool:
        first, second = all_in(pool, flights, lambda: flights.do("a", loader), loader, callers=2)
    refusal, other = first.exception(), second.exception()
    assert isinstance(refusal, ProviderUnavailable)
    assert isinstance(other, ProviderUnavailable)
    refusal.realm = "mine"

    assert other.realm == "api"


def test_the_leader_raises_the_error_itself_with_its_cause() -> None:
    error = ProviderUnavailable()

    def fail() -> object:
        raise error from KeyError("cause")

    with pytest.raises(ProviderUnavailable) as raised:
        SingleFlight[object]().do("a", fail)

    assert raised.value is error
    assert isinstance(raised.value.__cause__, KeyError)


def test_a_leader_that_is_told_to_end_leaves_the_load_to_the_next() -> None:
    flights: SingleFlight[object] = SingleFlight()
    killed = Loader(error=SystemExit())

    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(flights.do, "a", killed)
        assert killed.started.wait(10)
        follower = pool.submit(flights.do, "a", lambda: "value")
        while waiting_for(flights) < 1:
            pass
        killed.finish.set()

    assert isinstance(leader.exception(), SystemExit)
    assert follower.result() == "value"


def test_a_load_that_asks_for_its_own_key_does_not_wait_for_itself() -> None:
    flights: SingleFlight[object] = SingleFlight()

    with pytest.raises(RuntimeError, match="that very key"):
        flights.do("a", lambda: flights.do("a", lambda: "never"))

    assert flights.do("a", lambda: flights.do("b", lambda: "inner")) == "inner"


class Watched(Exception):
    """Something whose end can be seen."""

    def __init__(self, seen: list[weakref.ref[Watched]]) -> None:
        super().__init__()
        seen.append(weakref.ref(self))


def test_nothing_is_left_of_a_flight() -> None:
    def fail() -> object:
        raise Watched(seen)

    flights: SingleFlight[object] = SingleFlight()
    seen: list[weakref.ref[Watched]] = []
    gc.disable()
    try:
        flights.do("a", lambda: Watched(seen))
        with suppress(Watched):
            flights.do("a", fail)

        assert [each() for each in seen] == [None, None]
    finally:
        gc.enable()


# Rest


def test_what_failed_rests_for_a_while() -> None:
    clock = Clock()
    rest = Rest(5, 10, clock)
    rest.note("a", ProviderUnavailable(hint="TimeoutError"))

    clock.now += 4.9
    with pytest.raises(ProviderUnavailable) as raised:
        rest.raise_if_resting("a")
    assert raised.value.hint == "TimeoutError"
    clock.now += 0.1
    rest.raise_if_resting("a")


def test_what_did_not_fail_does_not_rest() -> None:
    rest = Rest(5, 10)
    rest.note("a", ProviderUnavailable())

    rest.raise_if_resting("b")


def test_a_new_failure_begins_a_new_rest() -> None:
    clock = Clock()
    rest = Rest(5, 10, clock)
    rest.note("a", ProviderUnavailable(hint="first"))
    clock.now += 4
    rest.note("a", ProviderUnavailable(hint="second"))

    clock.now += 4
    with pytest.raises(ProviderUnavailable) as raised:
        rest.raise_if_resting("a")
    assert raised.value.hint == "second"


def test_each_raise_is_a_new_error_that_holds_nothing_of_the_failure() -> None:
    rest = Rest(5, 10)
    with pytest.raises(ProviderUnavailable) as noted:
        raise ProviderUnavailable from KeyError("a")
    rest.note("a", noted.value)

    raised = []
    for _ in range(2):
        with pytest.raises(ProviderUnavailable) as caught:
            rest.raise_if_resting("a")
        raised.append(caught.value)

    assert len({id(error) for error in (noted.value, *raised)}) == 3
    assert [error.__cause__ or error.__context__ for error in raised] == [None, None]
    assert [len(list(traceback.walk_tb(error.__traceback__))) for error in raised] == [2, 2]


def test_a_failure_is_remembered_without_what_it_rested_on() -> None:
    rest = Rest(5, 10)
    seen: list[weakref.ref[Watched]] = []
    gc.disable()
    try:
        rest.note("a", Watched(seen))

        assert seen[0]() is None
    finally:
        gc.enable()
    with pytest.raises(Watched):
        rest.raise_if_resting("a")


def test_failures_are_bounded() -> None:
    rest = Rest(5, 10)

    for number in range(1_000):
        rest.note(number, ProviderUnavailable())

    assert len(rest._failures) <= 10


# All at once


def test_eight_threads_do_as_they_please() -> None:
    cache: Cache[int] = Cache(50)
    flights: SingleFlight[int] = SingleFlight()
    rest = Rest(5, 10)
    ready = threading.Barrier(8)

    def hammer(seed: int) -> int:
        choose = random.Random(seed)
        ready.wait(10)
        for _ in range(5_000):
            key = choose.randrange(120)
            match choose.randrange(8):
                case 0:
                    cache.put(key, key, FOREVER)
                case 1:
                    cache.drop(key)
                case 2 if key == 0:
                    cache.drop_where(lambda value: value % 3 == 0)
                case 3:
                    assert cache.get_or_load(key, lambda key=key: (key, FOREVER)) == key  # type: ignore[misc]
                case 4:
                    assert flights.do(key, lambda key=key: key) == key  # type: ignore[misc]
                case 5:
                    rest.note(key, ProviderUnavailable())
                case 6:
                    assert len(cache) <= 50
                case _:
                    assert cache.get(key) in (None, key)
        return seed

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            done = list(pool.map(hammer, range(8), timeout=60))
    finally:
        sys.setswitchinterval(interval)

    assert done == list(range(8))
    assert flights._flights == {}
