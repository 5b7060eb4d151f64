"""Loads, times and failures that the tests of the caches have in their hands."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from flask_foreign_token.caching import Cache, SingleFlight

FOREVER = float("inf")


class Clock:
    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


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


class Watched(Exception):
    """Something whose end can be seen."""

    def __init__(self, seen: list[weakref.ref[Watched]]) -> None:
        super().__init__()
        seen.append(weakref.ref(self))
