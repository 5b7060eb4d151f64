"""Many requests at once to workers that know nothing yet: each fetches the keys once, or one of them for all where they
share a cache."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flask_foreign_token.testing import Issuer

from .callers import Answer, Caller, ask, jwt
from .databases import Databases
from .enduring import enduring, sharing
from .enduring_app import WORKERS
from .repeating import TIMES

NUMBER = 64
THREADS = NUMBER // WORKERS
# No worker takes more than its part.
ARGUMENTS = ["--threads", str(THREADS), "--worker-connections", str(THREADS)]
SLOW = 0.1
"""Seconds that each answer of the issuer takes, so that all are there before the first one comes."""


def different_jwts(issuer: Issuer) -> Caller:
    tokens = [jwt(issuer, sub="ann") for _ in range(NUMBER)]
    return Caller("JWT", tokens.__getitem__)


def one_opaque_token(issuer: Issuer) -> Caller:
    token = issuer.opaque_token(sub="ann")
    return Caller("opaque token", lambda _: token)


@pytest.mark.parametrize("number", range(TIMES))
@pytest.mark.parametrize("shared", [False, True], ids=["alone", "sharing"])
def test_many_at_once_have_the_keys_fetched_once_by_each_worker_and_once_in_all_where_they_share(
    tmp_path: Path,
    own_issuer: Issuer,
    databases: Databases,
    request: pytest.FixtureRequest,
    shared: bool,
    number: int,
) -> None:
    settings = sharing(request.getfixturevalue("redis")) if shared else {}

    answers = cold(tmp_path, own_issuer, databases, different_jwts(own_issuer), settings)

    assert Counter(answer.status for answer in answers) == {200: NUMBER}
    assert len({answer.pid for answer in answers}) == WORKERS
    times = 1 if shared else WORKERS
    assert (own_issuer.requests["discovery"], own_issuer.requests["jwks"]) == (times, times)


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "sharing"])
def test_many_at_once_with_one_opaque_token_have_each_worker_ask_about_it_once_at_most(
    tmp_path: Path, own_issuer: Issuer, databases: Databases, request: pytest.FixtureRequest, shared: bool
) -> None:
    settings = sharing(request.getfixturevalue("redis")) if shared else {}

    answers = cold(tmp_path, own_issuer, databases, one_opaque_token(own_issuer), settings)

    assert Counter(answer.status for answer in answers) == {200: NUMBER}
    assert len({answer.pid for answer in answers}) == WORKERS
    assert own_issuer.requests["introspection"] <= WORKERS


def cold(
    folder: Path, issuer: Issuer, databases: Databases, caller: Caller, settings: Mapping[str, str]
) -> list[Answer]:
    """What `caller` is answered by workers that know nothing, in :data:`NUMBER` requests at once."""
    database = databases.empty("sqlite-wal", folder)
    with enduring(folder, issuer, database, *ARGUMENTS, cache_ttl=300, **settings) as address:
        issuer.requests.clear()
        issuer.delay = SLOW
        return ask_at_once(address, caller)


def ask_at_once(address: str, caller: Caller) -> list[Answer]:
    """What :data:`NUMBER` requests are answered that begin together."""
    barrier = threading.Barrier(NUMBER)

    def one(number: int) -> Answer:
        barrier.wait(30)
        return ask(address, caller, number)

    with ThreadPoolExecutor(NUMBER) as pool:
        return list(pool.map(one, range(NUMBER)))
