"""What a process remembers: bounded, each entry with an end of life, and loaded once however many ask for it.

A :class:`Cache` is two generations of plain dictionaries. What is new goes into the young one; when that is full it
becomes the old one, and what the old one still held is forgotten; what is found in the old one becomes young again. So
the half that was used last stays, and reading never waits for a lock and takes 0.1 µs.

Nothing here crosses processes. An instance belongs to the one that made it; a process that forks while another of its
threads is in here leaves its child with a lock that nobody opens.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

V = TypeVar("V")
E = TypeVar("E", bound=Exception)

_Entry = tuple[V, float]


class Cache(Generic[V]):
    """Values by key, each until its end of life, and never more than `size` of them.

    :param size: 2 or more; the ``size // 2`` entries used last are not the ones to be forgotten.
    :param clock: the time in seconds, on the scale of every `expires_at`.
    :raises ValueError: `size` is below 2.
    """

    def __init__(self, size: int, clock: Callable[[], float] = time.time) -> None:
        if size < 2:
            raise ValueError("a cache has room for at least 2 entries")
        self._generation = size // 2
        self._clock = clock
        self._young: dict[Hashable, _Entry[V]] = {}
        self._old: dict[Hashable, _Entry[V]] = {}
        self._drops = 0
        self._writing = threading.Lock()
        self._flights: SingleFlight[V] = SingleFlight()

    def get(self, key: Hashable) -> V | None:
        """The value of `key`; ``None`` when there is none or its life is over."""
        entry = self._young.get(key)
        if entry is None:
            return self._get_old(key)
        return entry[0] if entry[1] > self._clock() else None

    def peek(self, key: Hashable) -> V | None:
        """As :meth:`get`, for values that tell themselves when their life is over, which need not be looked at here."""
        entry = self._young.get(key)
        return self._get_old(key) if entry is None else entry[0]

    def put(self, key: Hashable, value: V, expires_at: float) -> None:
        """Remember `value` in place of what `key` had.

        :param value: anything but ``None``.
        :param expires_at: seconds on the scale of `clock`; unless it lies in the future nothing is remembered.
        """
        with self._writing:
            self._store(key, (value, expires_at))

    def get_or_load(self, key: Hashable, load: Callable[[], tuple[V, float]], *, patience: float | None = None) -> V:
        """The value of `key`, from `load` if there is none; who asks meanwhile waits for that one call.

        What was dropped while it was being loaded is returned to those who asked before, and not remembered.

        :param load: returns the value and its end of life, as for :meth:`put`. It must not ask for `key`.
        :param patience: see :meth:`SingleFlight.do`.
        :raises Exception: what `load` raises; nothing is remembered of it (see :class:`Rest`).
        :raises TimeoutError: the call of another takes longer than `patience`.
        """
        value = self.get(key)
        if value is not None:
            return value
        # The number of drops is part of the key so that who asks after a drop does not join a call from before it.
        return self._flights.do((self._drops, key), lambda: self._load(key, load), patience=patience)

    def drop(self, key: Hashable) -> None:
        """Forget the value of `key`, if there is one."""
        with self._writing:
            self._drops += 1
            self._forget(key)

    def drop_where(self, predicate: Callable[[V], bool]) -> None:
        """Forget every value for which `predicate` is true; it must not use the cache."""
        with self._writing:
            self._drops += 1
            self._young = {key: entry for key, entry in self._young.items() if not predicate(entry[0])}
            self._old = {key: entry for key, entry in self._old.items() if not predicate(entry[0])}

    def clear(self) -> None:
        """Forget everything."""
        self.drop_where(lambda value: True)

    def __len__(self) -> int:
        with self._writing:
            return len(self._young.keys() | self._old.keys())

    def _get_old(self, key: Hashable) -> V | None:
        entry = self._old.get(key)
        if entry is None or entry[1] <= self._clock():
            return None
        # Growing young can wait until it is asked for again; a request cannot.
        if self._writing.acquire(blocking=False):
            try:
                # Unless it was dropped or replaced since it was read.
                if self._old.get(key) is entry and key not in self._young:
                    self._store(key, entry)
            finally:
                self._writing.release()
        return entry[0]

    def _load(self, key: Hashable, load: Callable[[], tuple[V, float]]) -> V:
        # Somebody else's call may have ended between the caller's look and the caller's turn.
        value = self.get(key)
        if value is not None:
            return value
        drops = self._drops
        value, expires_at = load()
        with self._writing:
            if drops == self._drops:
                self._store(key, (value, expires_at))
        return value

    def _store(self, key: Hashable, entry: _Entry[V]) -> None:
        if not entry[1] > self._clock():
            self._forget(key)
            return
        if len(self._young) >= self._generation and key not in self._young:
            self._old = self._young
            self._young = {}
        self._young[key] = entry

    def _forget(self, key: Hashable) -> None:
        self._young.pop(key, None)
        self._old.pop(key, None)


class SingleFlight(Generic[V]):
    """Lets callers who want the same thing at the same time share one call; remembers nothing when it is over."""

    def __init__(self) -> None:
        # No lock: `setdefault` and `del` are each one step to every other thread.
        self._flights: dict[Hashable, _Flight[V]] = {}

    def do(self, key: Hashable, load: Callable[[], V], *, patience: float | None = None) -> V:
        """What `load` returns; or what the `load` of another caller with `key` returns who is not done yet.

        :param patience: seconds from the begin of another's `load` for which it is waited for; `None`: as long as it
            takes.
        :raises Exception: what that `load` raises; to everyone who waited for it, a copy of their own.
        :raises TimeoutError: the `load` of another takes longer than `patience`.
        :raises RuntimeError: `load` asks for `key`, and would wait for itself.
        """
        while True:
            mine: _Flight[V] = _Flight(threading.get_ident())
            flight = self._flights.setdefault(key, mine)
            if flight is mine:
                return self._lead(key, mine, load)
            if flight.leader == mine.leader:
                raise RuntimeError("loading a key asks for that very key")
            if not flight.done.wait(flight.left_of(patience)):
                raise TimeoutError("another caller loads this, and takes long")
            if flight.error is not None:
                raise _copy(flight.error) from None
            if flight.result is not None:
                return flight.result[0]
            # The leader's thread was told to end, which says nothing about the thing. Somebody else leads.

    def _lead(self, key: Hashable, flight: _Flight[V], load: Callable[[], V]) -> V:
        try:
            result = load()
        except Exception as error:
            flight.error = _copy(error)
            raise
        else:
            flight.result = (result,)
            return result
        finally:
            del self._flights[key]
            flight.done.set()


class Rest:
    """Remembers for a while what failed, so that what is down is not asked again by every request.

    Apart from every :class:`Cache`, so that no flood of failures can push out a value. A clock that is set back ends a
    rest, rather than prolonging it.

    :param seconds: how long a failure counts.
    :param size: failures to remember, 2 or more.
    :param clock: the time in seconds.
    """

    def __init__(self, seconds: float, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._failures: Cache[_Failure] = Cache(size, clock)

    def note(self, key: Hashable, error: Exception) -> None:
        """Remember that `key` failed just now, with `error`."""
        now = self._clock()
        self._failures.put(key, _Failure(_copy(error), now), now + self._seconds)

    def end(self, key: Hashable) -> None:
        """Forget that `key` failed."""
        self._failures.drop(key)

    def is_resting(self, key: Hashable) -> bool:
        """Whether `key` failed less than `seconds` ago."""
        return self._counting(key) is not None

    def raise_if_resting(self, key: Hashable) -> None:
        """Return if `key` may be tried.

        :raises Exception: a copy of the error that was noted less than `seconds` ago.
        """
        failure = self._counting(key)
        if failure is not None:
            raise _copy(failure.error) from None

    def _counting(self, key: Hashable) -> _Failure | None:
        failure = self._failures.get(key)
        return failure if failure is not None and failure.at <= self._clock() else None


@dataclass(frozen=True, slots=True)
class _Failure:
    error: Exception
    at: float


@dataclass(slots=True, eq=False)
class _Flight(Generic[V]):
    leader: int
    begun: float = field(default_factory=time.monotonic)
    done: threading.Event = field(default_factory=threading.Event)
    result: tuple[V] | None = None
    error: Exception | None = None

    def left_of(self, patience: float | None) -> float | None:
        """Seconds that are left of the `patience` that one has with this flight."""
        return None if patience is None else max(0.0, self.begun + patience - time.monotonic())


def _copy(error: E) -> E:
    # An error that is raised gathers a traceback, and with it every frame's variables; a refusal that is let go gets
    # attributes. Neither may happen to an object that others hold. `copy.copy` would call the constructor with `args`,
    # and there are constructors that take something else.
    copied = type(error).__new__(type(error), *error.args)
    copied.__dict__.update(error.__dict__)
    return copied
