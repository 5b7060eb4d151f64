"""The world in which a simulated fleet lives: a clock of its own, threads on it, a provider, and a Redis.

One thread runs everything. What would wait, for an answer or a lock, lets the next go on (greenlets), and the clock
jumps to the next that happens, so that hours pass in seconds and the same happens each time.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import SimpleNamespace
from typing import Any, Literal

from greenlet import getcurrent, greenlet
from joserfc.jwk import OKPKey

from flask_foreign_token.errors import ProviderUnavailable
from flask_foreign_token.fetches import Fetch, Kind, fetching
from flask_foreign_token.http import Answer
from flask_foreign_token.introspection import remote_document

EPOCH = 1_000_000.0
"""When it all begins, in seconds."""
ALGORITHM: Literal["Ed25519"] = "Ed25519"
"""Its keys are the fastest to read, and how many there are is what counts here."""


class Simulation:
    """The clock, and who goes on when."""

    def __init__(self) -> None:
        self.now = EPOCH
        self._hub = getcurrent()
        self._agenda: list[tuple[float, int, greenlet]] = []
        self._numbers = itertools.count()
        self._called_off: set[int] = set()
        self._dead: list[greenlet] = []
        self._is_over = False

    def clock(self) -> float:
        """Seconds since the epoch."""
        return self.now

    def start(self, work: Callable[[], object]) -> None:
        """Let `work` be done by a thread of its own."""
        self.wake(greenlet(work, parent=self._hub))

    def sleep(self, seconds: float) -> None:
        """Let so many seconds pass for the caller."""
        if not self._is_over:
            self.wake(getcurrent(), seconds)
            self._hub.switch()

    def wait(self) -> None:
        """Let time pass for the caller until somebody wakes it."""
        self._hub.switch()

    def die(self) -> None:
        """Let the caller do nothing more, not even what it does at its end in any case."""
        self._dead.append(getcurrent())
        self._hub.switch()

    def wake(self, sleeper: greenlet, seconds: float = 0.0) -> int:
        """Let `sleeper` go on after so many seconds; the number by which this is called off."""
        number = next(self._numbers)
        heapq.heappush(self._agenda, (self.now + seconds, number, sleeper))
        return number

    def call_off(self, number: int) -> None:
        """Do not wake who was to be woken."""
        self._called_off.add(number)

    def run(self) -> None:
        """Let time pass until nobody has anything left to do."""
        agenda, called_off = self._agenda, self._called_off
        while agenda:
            at, number, sleeper = heapq.heappop(agenda)
            if number in called_off:
                called_off.remove(number)
                continue
            self.now = at
            sleeper.switch()
        # What the dead do at their end, once they are thrown away, takes no time and reaches nobody.
        self._is_over = True

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """A block in which what keeps documents is made with the locks and the clock of this simulation."""
        module: Any = remote_document
        threading, time = module.threading, module.time
        module.threading = SimpleNamespace(Lock=lambda: Lock(self))
        module.time = SimpleNamespace(monotonic=self.clock, time=self.clock)
        try:
            yield
        finally:
            module.threading, module.time = threading, time


class Lock:
    """What `threading.Lock` is to threads, to those of a simulation: first come, first served."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._is_held = False
        self._waiting: list[tuple[greenlet, int | None]] = []

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Whether it is the caller's now."""
        if not self._is_held:
            self._is_held = True
            return True
        if not blocking or timeout == 0:
            return False
        caller = getcurrent()
        waiter = caller, None if timeout < 0 else self._simulation.wake(caller, timeout)
        self._waiting.append(waiter)
        self._simulation.wait()
        if waiter not in self._waiting:
            return True
        self._waiting.remove(waiter)
        return False

    def release(self) -> None:
        """Give it to the first who waits."""
        if not self._waiting:
            self._is_held = False
            return
        waiter, number = self._waiting.pop(0)
        if number is not None:
            self._simulation.call_off(number)
        self._simulation.wake(waiter)

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Provider:
    """Publishes keys, and counts who asks for them. All workers call it through this one in place of `Http`.

    :param latency: seconds from a question to its answer.
    """

    url = "https://provider.example/keys"

    def __init__(self, simulation: Simulation, latency: float) -> None:
        self.latency = latency
        self.asked: list[float] = []
        self.failed = 0
        self.signing = ""
        """The id of the key that it signs with."""
        self.outage: float | None = None
        """While it is down: seconds from a question until it is clear that there is no answer."""
        self.kills_next = False
        """Whether the next worker that asks dies while it waits for the answer."""
        self._simulation = simulation
        self._published: dict[str, Mapping[str, Any]] = {}

    def publish(self, key_id: str) -> None:
        """From now on sign with a new key, and publish it beside those before it."""
        jwk = OKPKey.generate_key(ALGORITHM, private=False).as_dict()
        self._published = {**self._published, key_id: {**jwk, "kid": key_id, "use": "sig"}}
        self.signing = key_id

    def withdraw(self, key_id: str) -> None:
        """From now on do not publish that key."""
        self._published = {name: jwk for name, jwk in self._published.items() if name != key_id}

    def fetching(self, kind: Kind) -> AbstractContextManager[Fetch]:
        """As :meth:`.Http.fetching`."""
        return fetching(kind, self._count)

    def get(self, _url: str) -> Answer:
        """As :meth:`.Http.get`: what is published while the question is half-way to its answer.

        :raises ProviderUnavailable: it is down.
        """
        self.asked.append(self._simulation.now)
        if self.kills_next:
            self.kills_next = False
            self._simulation.die()
        if self.outage is None:
            self._simulation.sleep(self.latency / 2)
        if self.outage is not None:
            self._simulation.sleep(self.outage)
            raise ProviderUnavailable(hint="down")
        keys: Sequence[object] = list(self._published.values())
        self._simulation.sleep(self.latency / 2)
        return Answer(200, {}, {"keys": keys})

    def _count(self, _kind: Kind, is_good: bool, _seconds: float) -> None:
        self.failed += not is_good


class Redis:
    """As much of a client of a Redis as cachelib's `RedisCache` calls; all workers share this one.

    :param latency: seconds from a command to its answer.
    """

    def __init__(self, simulation: Simulation, latency: float) -> None:
        self.asked: list[float] = []
        self.outage: float | None = None
        """While it is away: seconds from a command until its caller gives up."""
        self._simulation = simulation
        self._latency = latency
        self._entries: dict[str, tuple[bytes, float]] = {}

    def get(self, name: str) -> bytes | None:
        """GET"""
        self._exchange()
        return self._there(name)

    def set(self, *, name: str, value: bytes, ex: int, nx: bool = False) -> bool | None:
        """SET, for `ex` seconds; `nx`: unless there is something"""
        self._exchange()
        if nx and self._there(name) is not None:
            return None
        self._entries[name] = value, self._simulation.now + ex
        return True

    def delete(self, name: str) -> int:
        """DEL"""
        self._exchange()
        return int(self._entries.pop(name, None) is not None)

    def _there(self, name: str) -> bytes | None:
        value, until = self._entries.get(name, (None, 0.0))
        return value if self._simulation.now < until else None

    def _exchange(self) -> None:
        self.asked.append(self._simulation.now)
        if self.outage is not None:
            self._simulation.sleep(self.outage)
            raise ConnectionError("away")
        self._simulation.sleep(self._latency)
