"""Several threads that go on asking until they are told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

THREADS = 4


@contextmanager
def load(ask: Callable[[], T]) -> Iterator[list[T]]:
    """What :data:`THREADS` threads are answered while the block lasts, in the order in which it came.

    What `ask` raises is raised at the end of the block.
    """
    answers: list[T] = []
    over = threading.Event()

    def go_on() -> None:
        while not over.is_set():
            answers.append(ask())

    with ThreadPoolExecutor(THREADS) as pool:
        threads = [pool.submit(go_on) for _ in range(THREADS)]
        try:
            yield answers
        finally:
            over.set()
        for thread in threads:
            thread.result()
