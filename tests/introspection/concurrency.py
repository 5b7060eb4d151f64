"""Time that stands still, a background that waits, and threads that start together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from flask_foreign_token.errors import ProviderUnavailable

from .signing import NOW


class Clock:
    """Stands still until told.

    `meanwhile` happens once, while somebody reads it.
    """

    def __init__(self) -> None:
        self.now = NOW
        self.meanwhile: Callable[[], object] | None = None

    def __call__(self) -> float:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


class Background:
    """Keeps what is begun until it is told to run; it refuses everything until it is told that threads do."""

    def __init__(self) -> None:
        self.threads_run = False
        self.works: list[Callable[[], None]] = []
        self.asked = 0

    def __call__(self, work: Callable[[], None]) -> None:
        self.asked += 1
        if self.threads_run:
            self.works.append(work)

    def run(self) -> None:
        """What was begun, in this thread."""
        works, self.works = self.works, []
        for work in works:
            work()


def at_once(threads: int, work: Callable[[int], object]) -> list[object]:
    """What `work` returns or raises in so many threads that start together."""
    together = threading.Barrier(threads)

    def begin(number: int) -> object:
        together.wait()
        try:
            return work(number)
        except ProviderUnavailable:
            return ProviderUnavailable

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(begin, range(threads)))
