"""What may happen to a fleet of workers, and what comes of it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .fleet_workers import FIRST, KEYS_TTL, PROVIDER_LATENCY, SECOND, SEED, Fleet

HOUR = 3600.0
OUTAGE = 180.0
NO_ANSWER = 5.0
"""Seconds after which a worker gives up a provider that does not answer, as it is unless a setting says otherwise."""
REDIS_LIMIT = 0.25
"""Seconds after which a worker gives up a Redis that does not answer."""


@dataclass(frozen=True)
class Outcome:
    """What a story came to.

    :param fetches: of the key set.
    :param peak: fetches in the second in which there were most of them.
    :param known_after: seconds from a new key until the last worker accepts it; none: not all of them do.
    :param gone_after: seconds from the withdrawal of a key until no worker accepts it; none: some still do.
    :param good: tokens that were signed with a key that the provider publishes.
    :param refused: how many of these were refused.
    :param refused_by_old: how many of these were refused by workers that were there from the beginning.
    :param longest: seconds that one of these waited at most.
    :param waited: seconds for which tokens of all sorts held up their workers, all together.
    :param commands: to Redis.
    :param commands_peak: commands in the second in which there were most of them.
    """

    fetches: int
    peak: int
    known_after: float | None
    gone_after: float | None
    good: int
    refused: int
    refused_by_old: int
    longest: float
    waited: float
    commands: int
    commands_peak: int


class Story:
    """What happens to a fleet, told by somebody who lives in its time."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.known_after: float | None = None
        self.gone_after: float | None = None
        self._old = tuple(fleet.workers)

    def wait_for_new_key(self, lasting: float) -> None:
        """Let as many seconds pass, in which all workers should learn of the second key."""
        fleet = self.fleet
        begun = fleet.simulation.now
        self.known_after = fleet.time_until(lambda worker: worker.holds(SECOND), limit=lasting)
        fleet.pass_time(begun + lasting - fleet.simulation.now)

    def wait_for_withdrawal(self, lasting: float) -> None:
        """Let as many seconds pass, in which all workers should learn that the first key is withdrawn."""
        fleet = self.fleet
        begun = fleet.simulation.now
        self.gone_after = fleet.time_until(lambda worker: not worker.holds(FIRST), limit=lasting, step=1.0)
        fleet.pass_time(begun + lasting - fleet.simulation.now)

    def outcome(self) -> Outcome:
        """What came of it, up to now."""
        fleet = self.fleet
        asked, commands, tally = fleet.provider.asked, fleet.redis.asked, fleet.tally
        return Outcome(
            fetches=len(asked),
            peak=most_in_a_second(asked),
            known_after=self.known_after,
            gone_after=self.gone_after,
            good=tally.good,
            refused=tally.refused,
            refused_by_old=sum(worker.refused for worker in self._old),
            longest=tally.longest,
            waited=tally.waited,
            commands=len(commands),
            commands_peak=most_in_a_second(commands),
        )


Tell = Callable[[Story], None]
"""Lets happen what its docstring says, the name of the story in Markdown."""


def cold_start(story: Story) -> None:
    """All workers begin at once, each with a token"""
    fleet = story.fleet
    fleet.put_to_work(fleet.workers)
    fleet.pass_time(10)


def slow_cold_start(story: Story) -> None:
    """The same, while the provider takes 2 s to answer"""
    story.fleet.provider.latency = 2.0
    cold_start(story)


def deadly_cold_start(story: Story) -> None:
    """The same, while the worker that fetches first is killed"""
    story.fleet.provider.kills_next = True
    cold_start(story)


def peace(story: Story) -> None:
    """An hour in which nothing happens"""
    fleet = story.fleet
    fleet.traffic.rate = 0.1
    fleet.put_to_work(fleet.workers, within=60)
    fleet.pass_time(2 * KEYS_TTL)
    fleet.begin_to_count()
    fleet.pass_time(HOUR)


def rotation(story: Story) -> None:
    """A new key signs, the old one stays published"""
    fleet = _warm(story)
    fleet.provider.publish(SECOND)
    story.wait_for_new_key(20)


def sudden_rotation(story: Story) -> None:
    """A new key signs, the old one is withdrawn at once, and one token in a hundred still comes with it"""
    fleet = _warm(story)
    fleet.traffic.leftover = 0.01
    fleet.provider.publish(SECOND)
    fleet.provider.withdraw(FIRST)
    story.wait_for_new_key(60)
    if not any(worker.holds(FIRST) for worker in fleet.workers):
        # One answer tells of both.
        story.gone_after = story.known_after


def withdrawal(story: Story) -> None:
    """A key that signs no longer is withdrawn, and no token tells of it"""
    fleet = story.fleet
    fleet.traffic.rate = 0.5
    fleet.provider.publish(SECOND)
    fleet.put_to_work(fleet.workers, within=60)
    fleet.pass_time(100)
    fleet.begin_to_count()
    fleet.provider.withdraw(FIRST)
    story.wait_for_withdrawal(KEYS_TTL)


def outage(story: Story) -> None:
    """The provider refuses connections for 3 minutes; halfway, one worker in twenty is started anew"""
    _outage(story, PROVIDER_LATENCY)


def silent_outage(story: Story) -> None:
    """The same, while the provider accepts them and does not answer"""
    _outage(story, NO_ANSWER)


def _outage(story: Story, seconds: float) -> None:
    """It begins before the keys are renewed, and ends when their life has been over for more than a minute."""
    fleet = story.fleet
    fleet.traffic.rate = 0.5
    fleet.put_to_work(fleet.workers, within=20)
    fleet.pass_time(220)
    fleet.begin_to_count()
    fleet.provider.outage = seconds
    fleet.pass_time(OUTAGE / 2)
    fleet.put_to_work(fleet.hire(max(1, len(fleet.workers) // 20)))
    fleet.pass_time(OUTAGE / 2)
    fleet.provider.outage = None
    fleet.pass_time(20)


def flood(story: Story) -> None:
    """Half a minute in which every other token names a key that nobody has"""
    fleet = _warm(story)
    fleet.traffic.invented = 0.5
    fleet.pass_time(30)


def rotation_in_flood(story: Story) -> None:
    """The same, and halfway a new key signs"""
    fleet = _warm(story)
    fleet.traffic.invented = 0.5
    fleet.pass_time(15)
    fleet.provider.publish(SECOND)
    story.wait_for_new_key(15)


def away_redis(story: Story) -> None:
    """Redis does not answer for a minute; halfway, a new key signs"""
    fleet = _warm(story)
    fleet.redis.outage = REDIS_LIMIT
    fleet.pass_time(30)
    fleet.provider.publish(SECOND)
    story.wait_for_new_key(30)
    fleet.redis.outage = None
    fleet.pass_time(10)


def _warm(story: Story) -> Fleet:
    """The fleet when every worker has keys, whose life is far from over."""
    fleet = story.fleet
    fleet.put_to_work(fleet.workers, within=10)
    fleet.pass_time(20)
    fleet.begin_to_count()
    return fleet


STORIES: Sequence[Tell] = (
    cold_start,
    slow_cold_start,
    deadly_cold_start,
    peace,
    rotation,
    sudden_rotation,
    withdrawal,
    outage,
    silent_outage,
    flood,
    rotation_in_flood,
    away_redis,
)


def played(tell: Tell, size: int, *, is_sharing: bool, seed: int = SEED) -> Outcome:
    """What a story comes to for a fleet of that size."""
    story = Story(Fleet(size, is_sharing=is_sharing, seed=seed))
    outcomes: list[Outcome] = []

    def direct(_fleet: Fleet) -> None:
        tell(story)
        outcomes.append(story.outcome())

    story.fleet.run(direct)
    return outcomes[0]


def most_in_a_second(times: Sequence[float]) -> int:
    """How many of `times`, which ascend, fall into one second at most."""
    return max((bisect_right(times, at + 1.0) - index for index, at in enumerate(times)), default=0)
