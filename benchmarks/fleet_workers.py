"""A fleet of simulated workers, each with the real key source and, where it is shared, the real cache."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from flask_foreign_token.errors import ProviderUnavailable
from flask_foreign_token.introspection.endpoints import StoredEndpoint
from flask_foreign_token.introspection.remote_keys import RemoteKeys
from flask_foreign_token.redis_cache import RedisStore
from flask_foreign_token.sealing import Seal
from flask_foreign_token.shared_cache import ALONE, SharedCache

from .fleet_world import ALGORITHM, Provider, Redis, Simulation

SEED = 20
KEYS_TTL = 300.0
"""Seconds: the default of `cache_ttl`."""
GRACE = 3600.0
"""Seconds: the default of `FOREIGN_TOKEN_KEY_GRACE`."""
PROVIDER_LATENCY = 0.05
REDIS_LATENCY = 0.0005
FIRST, SECOND = "first", "second"
"""The ids of the key that there is at the beginning, and of the one that is next."""


@dataclass
class Traffic:
    """What comes to each worker.

    :param rate: tokens in a second, each with a key id, at random times (a Poisson process).
    :param invented: the part of them that names a key that nobody has.
    :param leftover: the part of them that was signed with a key that is withdrawn.
    """

    rate: float
    invented: float = 0.0
    leftover: float = 0.0


@dataclass
class Tally:
    """What became of the tokens.

    :param good: how many were signed with a key that the provider publishes.
    :param refused: how many of these were refused.
    :param longest: seconds that one of these waited at most, from its arrival until what becomes of it is known.
    :param waited: seconds that all tokens held up their workers.
    :param accepted_late: how many were accepted that were signed with a withdrawn key.
    """

    good: int = 0
    refused: int = 0
    longest: float = 0.0
    waited: float = 0.0
    accepted_late: int = 0


class Worker:
    """A process that serves one request at a time and renews its keys in a thread beside."""

    def __init__(self, fleet: Fleet, number: int) -> None:
        simulation, chance = fleet.simulation, random.Random(f"{fleet.seed} {number}")
        self.refused = 0
        """How many good tokens it refused."""
        self._fleet = fleet
        self._chance = chance
        self._keys = RemoteKeys(
            cast(Any, fleet.provider),
            StoredEndpoint(fleet.provider.url),
            ttl=KEYS_TTL,
            grace=fleet.grace,
            sharing=ALONE
            if fleet.store is None
            else SharedCache(fleet.store, _SEAL, app="app", clock=simulation.clock),
            clock=simulation.clock,
            begin=simulation.start,
            jitter=random.Random(f"{fleet.seed} {number} jitter").random,
            sleep=simulation.sleep,
        )

    def holds(self, key_id: str) -> bool:
        """Whether a token signed with that key would be accepted, were it to come now."""
        keys = self._keys
        if self._fleet.simulation.now >= keys.serves_until:
            return False
        return any(key.key_id == key_id and not key.withdrawn for key in keys.state.keys)

    def serve(self, begin: float) -> None:
        """Take what comes, one after the other, until the fleet ends.

        :param begin: when the first comes, in seconds from now.
        """
        fleet, simulation, traffic = self._fleet, self._fleet.simulation, self._fleet.traffic
        arrival = simulation.now + begin
        while True:
            if arrival > simulation.now:
                simulation.sleep(arrival - simulation.now)
            if fleet.is_over:
                return
            self._answer(arrival)
            arrival += self._chance.expovariate(traffic.rate)

    def _answer(self, arrival: float) -> None:
        fleet, simulation, traffic = self._fleet, self._fleet.simulation, self._fleet.traffic
        key_id, which, is_good = fleet.provider.signing, self._chance.random(), True
        if which < traffic.invented + traffic.leftover:
            is_good = False
            key_id = f"invented {which}" if which < traffic.invented else FIRST
        begun, tally = simulation.now, fleet.tally
        is_accepted = self._accepts(key_id)
        tally.waited += simulation.now - begun
        if not is_good:
            tally.accepted_late += is_accepted
            return
        tally.good += 1
        tally.refused += not is_accepted
        self.refused += not is_accepted
        tally.longest = max(tally.longest, simulation.now - arrival)

    def _accepts(self, key_id: str) -> bool:
        try:
            found = self._keys.find(key_id, ALGORITHM)
        except ProviderUnavailable:
            return False
        return any(not key.withdrawn for key in found)


class Fleet:
    """Workers, their provider and, where they share, their Redis. Everything begins with one key and no traffic.

    :param size: how many workers.
    :param is_sharing: whether they have the shared cache.
    :param rate: see :class:`Traffic`.
    :param grace: see :class:`.RemoteKeys`.
    """

    def __init__(
        self, size: int, *, is_sharing: bool, rate: float = 2.0, grace: float = GRACE, seed: int = SEED
    ) -> None:
        self.simulation = Simulation()
        self.seed = seed
        self.grace = grace
        self.traffic = Traffic(rate)
        self.tally = Tally()
        self.provider = Provider(self.simulation, PROVIDER_LATENCY)
        self.provider.publish(FIRST)
        self.redis = Redis(self.simulation, REDIS_LATENCY)
        self.store: RedisStore | None = None
        if is_sharing:
            self.store = RedisStore(self.redis, _SEAL)
        self.workers: list[Worker] = []
        self.is_over = False
        self.hire(size)

    def hire(self, number: int) -> Sequence[Worker]:
        """So many workers more, which know nothing yet."""
        with self.simulation.in_force():
            hired = [Worker(self, len(self.workers) + index) for index in range(number)]
        self.workers += hired
        return hired

    def put_to_work(self, workers: Sequence[Worker], within: float = 0.0) -> None:
        """Let the first token of each come within so many seconds, evenly spread."""
        for index, worker in enumerate(workers):
            begin = within * index / len(workers)
            self.simulation.start(lambda worker=worker, begin=begin: worker.serve(begin))  # type: ignore[misc]

    def pass_time(self, seconds: float) -> None:
        """Let so many seconds pass; for whoever directs the fleet."""
        self.simulation.sleep(seconds)

    def begin_to_count(self) -> None:
        """Forget what was counted."""
        self.tally = Tally()
        self.provider.asked.clear()
        self.provider.failed = 0
        self.redis.asked.clear()

    def time_until(self, is_so: Callable[[Worker], bool], *, limit: float, step: float = 0.1) -> float | None:
        """Let time pass until that is so of every worker; the seconds that it took, none: more than `limit`."""
        begun = self.simulation.now
        others = self.workers
        while others := [worker for worker in others if not is_so(worker)]:
            if self.simulation.now - begun >= limit:
                return None
            self.simulation.sleep(step)
        return self.simulation.now - begun

    def run(self, direct: Callable[[Fleet], None]) -> None:
        """Let `direct` say what happens; when it is at its end, so is the fleet."""

        def work() -> None:
            direct(self)
            self.is_over = True

        self.simulation.start(work)
        with self.simulation.in_force():
            self.simulation.run()


_SEAL = Seal(b"known to every worker of the fleet")
