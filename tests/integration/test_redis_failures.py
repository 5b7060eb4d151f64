"""The Redis that workers share fails, or a stranger writes to it, while callers of all sorts ask: everybody is answered
as if there were none."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flask_foreign_token.errors import REST
from flask_foreign_token.testing import Issuer

from . import servers, strangers
from .callers import BROKEN, Answers, Caller, bad, calling, good, jwt
from .databases import Databases
from .enduring import TTL, assert_nobody_is_lost, connections, enduring, sharing
from .enduring_app import THREADS, WORKERS
from .servers import Redis, redis_says
from .waiting import until

DOWN = REST + 1.5
"""Seconds for which it is not there, so that each worker has tried it once more."""
WITHIN = REST + 10.0
"""Seconds after which every worker must use it again: the rest that follows a failure, and generously more."""
SLOW = 0.25
AWHILE = 1.0
"""Seconds for which a stranger does the same, at least."""
FAILS, AGAIN = "the shared cache fails", "the shared cache can be used again"


@pytest.fixture
def cache() -> Iterator[Redis]:
    with servers.stoppable_redis() as redis:
        yield redis


@dataclass(frozen=True, slots=True)
class Failure:
    """How it fails, and what mends it.

    :param recovered: waits until it is used again; gets the folder of the app, Redis, and when that was mended.
    """

    begin: Callable[[Redis], None]
    end: Callable[[Redis], None]
    recovered: Callable[[Path, Redis, float], float]


def connected_again(folder: Path, cache: Redis, since: float) -> float:
    """When the last of all workers has connected."""

    def first_of_each() -> dict[int, float]:
        return {connection.pid: connection.at for connection in reversed(connections(folder, cache.port, since))}

    return max(until(lambda found: len(found) >= WORKERS, first_of_each, within=30).values())


def found_again(folder: Path, cache: Redis, since: float) -> float:
    """When the first worker has found what another one has left there since it was mended."""
    assert redis_says(cache.url, b"FLUSHALL") == redis_says(cache.url, b"CONFIG RESETSTAT") == b"+OK\r\n"
    until(bool, lambda: hits(cache), within=30)
    return time.monotonic()


def limit(memory: str) -> Callable[[Redis], None]:
    def act(cache: Redis) -> None:
        assert redis_says(cache.url, f"CONFIG SET maxmemory {memory}".encode()) == b"+OK\r\n"

    return act


FAILURES = {
    "killed": Failure(Redis.kill, Redis.start, connected_again),
    "paused": Failure(Redis.pause, Redis.resume, connected_again),
    "full": Failure(limit("1"), limit("0"), found_again),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_without_redis_everybody_is_answered_as_before_and_hardly_anybody_waits_for_it(
    tmp_path: Path, own_issuer: Issuer, databases: Databases, cache: Redis, failure: Failure
) -> None:
    foes, friends = bad(own_issuer), good(own_issuer)
    database = databases.empty("sqlite-wal", tmp_path)
    log: list[str] = []
    with enduring(tmp_path, own_issuer, database, log=log, **sharing(cache.url)) as address:
        with calling(address, [*friends, *foes]) as answers:
            began_at = time.monotonic()
            answers.until_each_worker(WORKERS, friends[0], since=began_at)
            until(lambda found: len(found) == WORKERS, lambda: {c.pid for c in connections(tmp_path, cache.port)})
            failed_at = time.monotonic()
            failure.begin(cache)
            until(lambda now: now > failed_at + DOWN, time.monotonic, within=DOWN + 10)
            tried = connections(tmp_path, cache.port, failed_at)
            back_at = time.monotonic()
            failure.end(cache)
            recovered_after = failure.recovered(tmp_path, cache, back_at) - back_at
            found_again(tmp_path, cache, back_at)
            recovered_at = time.monotonic()
            answers.until_more()
        print(answers.table({"before": began_at, "failing": failed_at, "back": back_at, "well": recovered_at}))
        slow = [a for a in answers.all if failed_at <= a.asked_at < back_at and a.answered_at - a.asked_at > SLOW]
        print(f"recovered after {recovered_after:.1f} s, tried {len(tried)} times; {len(slow)} waited for {SLOW} s")
        assert_nobody_is_lost(address, database, answers.of(friends[-1:]), friends[-1])

    assert_nothing_changed(answers, friends, foes)
    # Each worker once and once more after each rest; but at first every thread may find out for itself.
    assert len(tried) <= WORKERS * (THREADS + DOWN // REST)
    assert recovered_after < WITHIN
    assert WORKERS <= said(log, FAILS) <= 3 * WORKERS
    assert 0 < said(log, AGAIN) <= said(log, FAILS)


def test_a_redis_that_is_emptied_is_filled_again(
    tmp_path: Path, own_issuer: Issuer, databases: Databases, cache: Redis
) -> None:
    foes, friends = bad(own_issuer), good(own_issuer)
    database = databases.empty("sqlite-wal", tmp_path)
    with enduring(tmp_path, own_issuer, database, **sharing(cache.url)) as address:
        with calling(address, [*friends, *foes]) as answers:
            began_at = time.monotonic()
            answers.until_each_worker(WORKERS, friends[0], since=began_at)
            flushed_at = time.monotonic()
            for _ in range(20):
                assert redis_says(cache.url, b"FLUSHALL") == b"+OK\r\n"
                answers.until_more(10)
            over_at = time.monotonic()
            recovered_after = found_again(tmp_path, cache, over_at) - over_at
            answers.until_more()
        print(answers.table({"before": began_at, "flushed again and again": flushed_at, "well": over_at}))
        print(f"recovered after {recovered_after:.1f} s")
        assert_nobody_is_lost(address, database, answers.of(friends[-1:]), friends[-1])

    assert_nothing_changed(answers, friends, foes)


def test_whatever_a_stranger_writes_is_as_if_there_were_nothing(
    tmp_path: Path, own_issuer: Issuer, databases: Databases, cache: Redis
) -> None:
    foes, friends = bad(own_issuer), good(own_issuer)
    database = databases.empty("sqlite-wal", tmp_path)
    trap = tmp_path / "trap"
    phases: dict[str, float] = {}
    written: dict[str, int] = {}
    with enduring(tmp_path, own_issuer, database, **sharing(cache.url)) as address:
        with calling(address, [*friends, *foes]) as answers:
            answers.until_each_worker(WORKERS, friends[0], since=0.0)
            for name, act in strangers.acts(trap).items():
                phases[name] = at = time.monotonic()
                with strangers.acting(cache.url, act) as touched:
                    kill_one(answers, friends)
                    until(lambda now, at=at: now > at + AWHILE, time.monotonic)
                written[name] = sum(touched)
            phases["well"] = time.monotonic()
            answers.until_more()
        print(answers.table(phases))
        print("entries written:", written)
        assert_nobody_is_lost(address, database, answers.of(friends[-1:]), friends[-1])

    assert_nothing_changed(answers, friends, foes, broken=THREADS * len(phases))
    assert not trap.exists()
    assert all(number > 10 for number in written.values()), written


def test_old_entries_that_are_put_back_bring_back_no_key_and_no_answer(
    tmp_path: Path, own_issuer: Issuer, databases: Databases, cache: Redis
) -> None:
    foes = bad(own_issuer)
    under_the_old_key, revoked = jwt(own_issuer, sub="ann"), own_issuer.opaque_token(sub="ann")
    own_issuer.rotate(keep=True)
    friends = good(own_issuer)
    gone = [Caller("under the old key", lambda _: under_the_old_key), Caller("revoked now", lambda _: revoked)]
    database = databases.empty("sqlite-wal", tmp_path)
    putting_back = strangers.PuttingBack()
    with enduring(tmp_path, own_issuer, database, **sharing(cache.url)) as address:
        with calling(address, [*friends, *foes, *gone]) as answers:
            began_at = time.monotonic()
            for caller in (friends[0], *gone):
                answers.until_each_worker(WORKERS, caller, since=began_at)
            with strangers.acting(cache.url, putting_back):
                # So that claims last, and the stranger comes upon one.
                own_issuer.delay = 0.2
                until(bool, lambda: putting_back.claims)
                own_issuer.delay = 0.0
                gone_at = time.monotonic()
                withdraw_the_old_keys(own_issuer)
                own_issuer.revoke(revoked)
                kill_one(answers, friends)
                until(lambda now: now > gone_at + 4 * TTL, time.monotonic)
                answers.until_more()
            well_at = time.monotonic()
            answers.until_more()
        print(answers.table({"before": began_at, "put back": gone_at, "well": well_at}))
        assert_nobody_is_lost(address, database, answers.of(friends[-1:]), friends[-1])

    # What was fetched a moment before counts to its end, and no longer.
    assert 200 not in answers.statuses(gone, since=gone_at + 3 * TTL)
    assert_nothing_changed(answers, friends, foes, broken=THREADS)


def withdraw_the_old_keys(issuer: Issuer) -> None:
    """Publish the newest key of each kind alone."""
    keys = issuer.keys
    keys._served = keys._served[: len(keys._served) // 2]


def kill_one(answers: Answers, friends: list[Caller]) -> None:
    """Kill a worker, and wait until the one in its place, which knows nothing, has let somebody in."""
    seen = {answer.pid for answer in answers.all}
    os.kill(int(answers.of(friends[:-1])[-1].pid), signal.SIGKILL)
    answers.until_somebody_else(seen, friends[1], within=20)


def assert_nothing_changed(answers: Answers, friends: list[Caller], foes: list[Caller], broken: int = 0) -> None:
    """Whoever is to be let in was, nobody else was, and nobody as somebody else.

    :param broken: how many requests may have got no answer, since their worker was killed.
    """
    assert answers.statuses(friends) - {BROKEN} == {200}
    assert answers.statuses(foes) - {BROKEN} == {401}
    assert not answers.impostors()
    assert sum(answer.status == BROKEN for answer in answers.all) <= broken


def hits(cache: Redis) -> int:
    """How often workers have found something in it, since that was counted anew."""
    found = re.search(rb"keyspace_hits:(\d+)", redis_says(cache.url, b"INFO stats"))
    assert found is not None
    return int(found[1])


def said(log: list[str], text: str) -> int:
    return sum(text in line for line in log)
