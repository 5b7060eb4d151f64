"""Workers that have a shared cache and a provider in common."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flask_foreign_token.http import Http
from flask_foreign_token.introspection.background import Begin
from flask_foreign_token.introspection.endpoints import StoredEndpoint
from flask_foreign_token.introspection.remote_document import REFRESH_AHEAD
from flask_foreign_token.introspection.remote_keys import RemoteKeys
from flask_foreign_token.shared_cache import Shared, SharedCache

from ..loading import Clock as AnyClock
from ..shared_stores import Memory, shared_in
from .concurrency import Clock
from .provider import GRACE, TTL, Provider
from .signing import jwk

AHEAD = REFRESH_AHEAD * TTL


def name_of(provider: Provider) -> str:
    """What the keys of a provider are left under."""
    return f"{provider.url} {provider.url} {TTL:g} RS256"


class Worker:
    """One of several that share what they fetch."""

    def __init__(self, keys: RemoteKeys, cache: SharedCache) -> None:
        self.keys = keys
        self.cache = cache

    def knows(self, key_id: str) -> bool:
        return bool(self.keys.find(key_id, "RS256"))

    def leave(self, provider: Provider, at: float, *key_ids: str) -> None:
        """What it does once it has fetched these keys."""
        keys = {"keys": [jwk("RS256", key_id) for key_id in key_ids]}
        self.cache.leave("keys", name_of(provider), Shared(keys, at, at + TTL), grace=GRACE)


def forbidden(seconds: float) -> None:
    raise AssertionError("nobody should wait")


Make = Callable[..., Worker]


def claiming(worker: Worker, provider: Provider, clock: Clock) -> Callable[[float], None]:
    """Lets time pass, while that worker always is about to fetch the keys."""

    def sleep(seconds: float) -> None:
        clock.pass_(seconds)
        worker.cache.claim("keys", name_of(provider))

    worker.cache.claim("keys", name_of(provider))
    return sleep


@pytest.fixture(name="memory")
def memory_fixture(clock: AnyClock) -> Memory:
    return Memory(clock)


@pytest.fixture(name="make")
def make_fixture(http: Http, provider: Provider, memory: Memory, clock: Clock) -> Make:
    def make(
        begin: Begin = lambda work: work(), ttl: float = TTL, sleep: Callable[[float], None] = clock.pass_
    ) -> Worker:
        cache = shared_in(memory, clock)  # type: ignore[arg-type]  # a clock like the other
        keys = RemoteKeys(
            http,
            StoredEndpoint(provider.url),
            ttl=ttl,
            grace=GRACE,
            sharing=cache,
            clock=clock,
            begin=begin,
            jitter=lambda: 0.0,
            sleep=sleep,
        )
        return Worker(keys, cache)

    return make
