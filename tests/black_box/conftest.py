from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from redis import Redis

from flask_foreign_token.testing import Issuer

from ..apps import Resource, trusting
from ..conftest import MakeApp
from ..integration import servers
from .callers import OPERATOR_SETTINGS, Operated, put_all
from .people import People, people_serving
from .publishing import document as published
from .sharing import INTROSPECTION, WELL_KNOWN, Worker, later, sharing
from .tokens import Server, active, jwk, rsa_key, serving


@pytest.fixture
def operated(make_app: MakeApp) -> Operated:
    """Makes apps with the operator's endpoints at /fhir; resources are stored in the database through REST."""

    def make(resources: list[Resource] = [], **config: object):  # noqa: B006
        app = make_app(**{**OPERATOR_SETTINGS, **config})
        put_all(app, resources)
        return app

    return make


@pytest.fixture
def trusted(operated: Operated, issuer: Issuer):
    """An app that trusts `issuer`, with a policy without links that lets all its tokens through."""
    return operated(trusting(issuer))


@pytest.fixture
def server() -> Iterator[Server]:
    """One that publishes a key, where a module has none of its own."""
    with serving() as server:
        server.keys(jwk(rsa_key()))
        yield server


@pytest.fixture
def people() -> Iterator[People]:
    """A provider that answers what the test wants when it is asked about a user."""
    with people_serving() as people:
        yield people


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with servers.redis() as url:
        yield url


@pytest.fixture
def store(redis_url: str) -> Iterator[Redis]:
    """As a stranger sees the Redis, which is empty at first."""
    client = Redis.from_url(redis_url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def worker(timed_app: MakeApp, redis_url: str, store: Redis) -> Worker:
    """Makes workers of one app: they have name, registry and Redis in common, and nothing else."""

    def make(resources: list[Resource] | None = None, **config: object) -> Flask:
        return timed_app(resources, **{**sharing(redis_url), **config})

    return make


@pytest.fixture
def issuing() -> Iterator[People]:
    """A provider that publishes what there is of each kind, and counts who asks for it."""
    with people_serving() as people:
        people.pages[WELL_KNOWN] = published(people.url, people.url)
        people.pages[INTROSPECTION] = active(iss=None, exp=later())
        yield people
