"""One of a thing for each process, so that a fork shares none with its parent."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """What was made in this process at the first use; a child drops those of others.

    :param make: makes one; without I/O, since several threads may do so at once, and one of theirs is kept.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[int, T] = {}
        """By the id of its process."""

    def __call__(self) -> T:
        """The one of this process."""
        pid = os.getpid()
        made = self._made.get(pid)
        if made is None:
            made = self._made.setdefault(pid, self._make())
            for other in set(self._made) - {pid}:
                self._made.pop(other, None)
        return made

    def put(self, made: T) -> None:
        """Let `made` be the one of this process from now on."""
        self._made[os.getpid()] = made
