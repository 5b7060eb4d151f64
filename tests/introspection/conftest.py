from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from flask_foreign_token.http import Http
from flask_foreign_token.introspection.endpoints import StoredEndpoint
from flask_foreign_token.introspection.remote_keys import RemoteKeys

from .concurrency import Background, Clock
from .provider import GRACE, TTL, Provider, running
from .signing import jwk


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running(Provider(jwk("RS256", "first"))) as provider:
        yield provider


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def http() -> Iterator[Http]:
    with closing(Http()) as http:
        yield http


@pytest.fixture
def background() -> Background:
    """Where nothing runs until a test says so."""
    return Background()


@pytest.fixture
def keys(provider: Provider, clock: Clock, http: Http, background: Background) -> RemoteKeys:
    return RemoteKeys(
        http, StoredEndpoint(provider.url), ttl=TTL, grace=GRACE, clock=clock, begin=background, jitter=lambda: 0
    )
