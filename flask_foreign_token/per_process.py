"""One of a thing for each process, so that a fork shares none with its parent."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from weakref import WeakSet

T = TypeVar("T")

_FORKS_UNSEEN = "uwsgi" in sys.modules
"""Whether processes are forked behind Python's back, so that their ids must be compared; that takes 0.6 µs."""

_all: WeakSet[PerProcess[Any]] = WeakSet()


class PerProcess(Generic[T]):
    """What was made in this process at the first use; a child drops what its parent made.

    :param make: makes one.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self.drop()
        _all.add(self)

    def __call__(self) -> T:
        """The one of this process."""
        return self.here()

    def here(self) -> T:
        """As a call, which takes 30 ns more."""
        if _FORKS_UNSEEN and os.getpid() != self._pid:
            self.drop()
        made = self._made
        return self._first() if made is None else made

    def drop(self) -> None:
        """Have another one made at the next use."""
        self._made: T | None = None
        # Somebody in the parent may hold the one before.
        self._making = threading.RLock()
        self._pid = os.getpid()

    def put(self, made: T) -> None:
        """Let `made` be the one of this process from now on."""
        with self._making:
            self._made = made

    def _first(self) -> T:
        with self._making:
            made = self._made
            if made is None:
                made = self._make()
                # Making one may log, and whoever is told may have asked for it.
                made = self._made = made if self._made is None else self._made
            return made


def _drop_all() -> None:
    for each in _all:
        each.drop()


os.register_at_fork(after_in_child=_drop_all)
