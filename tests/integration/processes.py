"""Real processes that do the same thing at the same moment."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from typing import Any

NUMBER = 4

_SPAWN = multiprocessing.get_context("spawn")


def at_once(work: Callable[..., Any], *arguments: object) -> list[Any]:
    """What each of :data:`NUMBER` processes returns from ``work(meet, *arguments)``.

    :param work: a module's function; calls ``meet()`` wherever it is to wait for the others.
    """
    barrier = _SPAWN.Barrier(NUMBER)
    with _SPAWN.Pool(NUMBER, _enter, [barrier]) as pool:
        # One call for each process: none can take a second one, since all of them must meet first.
        results = pool.map(_run, [(work, arguments)] * NUMBER, chunksize=1)
        pool.close()
        pool.join()
    return results


_barrier: Barrier


def _enter(barrier: Barrier) -> None:
    global _barrier
    _barrier = barrier


def _meet() -> None:
    _barrier.wait(60)


def _run(task: tuple[Callable[..., Any], tuple[object, ...]]) -> Any:
    work, arguments = task
    _meet()
    return work(_meet, *arguments)
