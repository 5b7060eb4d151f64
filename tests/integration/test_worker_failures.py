"""Workers are killed while callers of all sorts ask: nobody gets in who must not, nothing is lost, and nobody waits for
the dead."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flask_foreign_token.testing import Issuer

from . import servers
from .callers import BROKEN, Caller, ask, bad, calling, good, jwt
from .databases import Databases
from .enduring import AT_ONCE, assert_nobody_is_lost, connections, enduring, port_of, sharing, users_in
from .enduring_app import WORKERS
from .load import THREADS
from .repeating import TIMES
from .waiting import until

KILLS = 3 * TIMES
WITHIN = 15.0
"""Seconds after which another worker must serve in the place of one that was killed."""
SLOW = 0.2
"""Seconds that each answer of the issuer takes, so that there is a middle of it."""


@pytest.fixture(params=["alone", "sharing"])
def settings(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Those of workers that share a cache, or none."""
    if request.param == "alone":
        yield {}
        return
    with servers.stoppable_redis() as redis:
        yield sharing(redis.url)


def test_under_load_only_what_the_killed_had_in_hand_breaks_off(
    tmp_path: Path, own_issuer: Issuer, databases: Databases, settings: dict[str, str]
) -> None:
    strangers, friends = bad(own_issuer), good(own_issuer)
    *known, newcomers = friends
    database = databases.empty("sqlite-wal", tmp_path)
    recovered_after: list[float] = []
    with enduring(tmp_path, own_issuer, database, **settings) as address:
        with calling(address, [*friends, *strangers]) as answers:
            began_at = time.monotonic()
            answers.until_each_worker(WORKERS, known[0], since=began_at)
            killed_at = time.monotonic()
            for _ in range(KILLS):
                at = time.monotonic()
                seen = {answer.pid for answer in answers.all}
                os.kill(int(answers.of(known)[-1].pid), signal.SIGKILL)
                answers.until_somebody_else(seen, friends[-1], within=WITHIN)
                recovered_after.append(time.monotonic() - at)
            recovered_at = time.monotonic()
            answers.until_more()
        assert_nobody_is_lost(address, database, answers.of([newcomers]), newcomers)
    print(answers.table({"before": began_at, "killing": killed_at, "well": recovered_at}))
    print("recovered after", ", ".join(f"{seconds:.1f} s" for seconds in recovered_after))

    broken = [answer for answer in answers.all if answer.status == BROKEN]
    assert len(broken) <= THREADS * KILLS
    assert all(answer.asked_at < recovered_at for answer in broken)
    assert answers.statuses(friends) - {BROKEN} == {200}
    assert answers.statuses(strangers) - {BROKEN} == {401}
    assert not answers.impostors()


def with_a_jwt(issuer: Issuer, address: str) -> Caller:
    token = jwt(issuer, sub="ann")
    return Caller("JWT", lambda _: token)


def with_an_opaque_token(issuer: Issuer, address: str) -> Caller:
    token = issuer.opaque_token(sub="ann")
    return Caller("opaque token", lambda _: token)


def with_a_jwt_under_a_new_key(issuer: Issuer, address: str) -> Caller:
    """Workers that have the keys so far."""
    with calling(address, [with_a_jwt(issuer, address)]) as answers:
        until(lambda pids: len(pids) == WORKERS, lambda: {answer.pid for answer in answers.all}, within=30)
    issuer.rotate(keep=True)
    return with_a_jwt(issuer, address)


FETCHES = {
    "keys": ("jwks", with_a_jwt),
    "new keys": ("jwks", with_a_jwt_under_a_new_key),
    "an answer": ("introspection", with_an_opaque_token),
    "userinfo": ("userinfo", with_a_jwt),
}
"""What is fetched: at which endpoint, and whose request it takes."""


@pytest.mark.parametrize(("endpoint", "come"), FETCHES.values(), ids=FETCHES)
def test_whoever_waits_for_a_fetch_of_the_killed_is_let_in(
    tmp_path: Path,
    own_issuer: Issuer,
    databases: Databases,
    settings: dict[str, str],
    endpoint: str,
    come: Callable[[Issuer, str], Caller],
) -> None:
    database = databases.empty("sqlite-wal", tmp_path)
    with enduring(tmp_path, own_issuer, database, cache_ttl=300, **settings) as address:
        caller = come(own_issuer, address)
        own_issuer.requests.clear()
        own_issuer.delay = SLOW
        with ThreadPoolExecutor(AT_ONCE) as pool:
            asked = [pool.submit(ask, address, caller) for _ in range(AT_ONCE)]
            until(lambda count: count > 0, lambda: own_issuer.requests[endpoint])
            os.kill(connections(tmp_path, port_of(own_issuer))[-1].pid, signal.SIGKILL)
            statuses = Counter(future.result().status for future in asked)
        own_issuer.delay = 0.0
        later = [ask(address, caller).status for _ in range(AT_ONCE)]
        users = users_in(database)
    print(endpoint, statuses, own_issuer.requests)

    assert statuses.keys() == {200, BROKEN}
    assert set(later) == {200}
    # The killed one's own, and once more by each of the others and the one in its place.
    assert own_issuer.requests[endpoint] <= 1 + WORKERS
    assert users == []
