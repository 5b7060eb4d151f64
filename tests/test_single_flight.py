from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from flask_foreign_token.caching import SingleFlight
from flask_foreign_token.errors import InsufficientScope, Issue, ProviderUnavailable, Rejected

from .loading import Loader, Watched, all_in, waiting_for


class KeywordOnlyError(Exception):
    def __init__(self, *, reason: str) -> None:
        super().__init__("refused", reason)
        self.reason = reason


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


def test_who_has_no_patience_left_does_not_wait_for_another() -> None:
    flights: SingleFlight[object] = SingleFlight()
    slow = Loader("value")

    with ThreadPoolExecutor(1) as pool:
        leader = pool.submit(flights.do, "a", slow)
        assert slow.started.wait(10)
        for patience in (0.0, 0.01):
            with pytest.raises(TimeoutError):
                flights.do("a", lambda: "never", patience=patience)
        slow.finish.set()

    assert leader.result() == "value"
    assert slow.calls == 1


def test_patience_is_counted_from_the_begin_of_the_load() -> None:
    flights: SingleFlight[object] = SingleFlight()
    slow = Loader("value")

    with ThreadPoolExecutor(1) as pool:
        leader = pool.submit(flights.do, "a", slow)
        assert slow.started.wait(10)
        (flight,) = flights._flights.values()
        flight.begun -= 86_400
        with pytest.raises(TimeoutError):
            flights.do("a", lambda: "never", patience=3_600)
        slow.finish.set()

    assert leader.result() == "value"


def test_who_has_patience_gets_what_is_loaded() -> None:
    flights: SingleFlight[object] = SingleFlight()
    loader = Loader("value")

    with ThreadPoolExecutor(4) as pool:
        waiters = all_in(pool, flights, lambda: flights.do("a", loader, patience=60), loader, callers=4)

    assert [waiter.result() for waiter in waiters] == ["value"] * 4


def test_a_leader_loads_however_little_patience_it_has() -> None:
    assert SingleFlight[object]().do("a", lambda: "value", patience=0) == "value"
