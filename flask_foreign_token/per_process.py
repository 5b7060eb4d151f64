"""One of a thing for each process, so that a fork shares none with its parent."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from weakref import WeakSet

T = TypeVar("T")

_FORKS_UNSEEN = "uwsgi" in sys.modules
"""Whether processes are forked behind Python's back, so that their ids must be compared; that takes 0.6 µs."""

_all: WeakSet[PerProcess[Any]] = WeakSet()


class PerProcess(Generic[T]):
    """What was made in this process at the first use; a child drops what its parent made.

    :param make: makes one; without I/O, since several threads may do so at once, and one of theirs is kept.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        # A dictionary of one at most, since its `setdefault` is one step to every other thread.
        self._made: dict[None, T] = {}
        self._pid = os.getpid()
        _all.add(self)

    def __call__(self) -> T:
        """The one of this process."""
        if _FORKS_UNSEEN and os.getpid() != self._pid:
            self.drop()
        made = self._made.get(None)
        return self._made.setdefault(None, self._make()) if made is None else made

    def put(self, made: T) -> None:
        """Let `made` be the one of this process from now on."""
        self._made = {None: made}

    def drop(self) -> None:
        """Have another one made at the next use."""
        self._made, self._pid = {}, os.getpid()


def _drop_all() -> None:
    for each in _all:
        each.drop()


os.register_at_fork(after_in_child=_drop_all)
