"""An instance of cachelib's as what is shared: which are taken, with what of theirs, and why the others are not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import cachelib
import pytest
from flask import Flask
from redis import Redis

from flask_foreign_token import ForeignToken
from flask_foreign_token.errors import ConfigError

from ..apps import ask
from ..conftest import MakeApp
from ..http_servers import Peer, serving
from .people import People
from .sharing import CACHE_KEY, KINDS, sharing
from .tokens import let_in

KEYED = {"FOREIGN_TOKEN_CACHE_KEY": CACHE_KEY}
KIND = KINDS["keys"]

With = Callable[..., Flask]


@pytest.fixture(name="app_with")
def app_with_fixture(make_app: MakeApp, issuing: People) -> With:
    """Makes apps that were given a cache."""

    def make(cache: object, **config: object) -> Flask:
        return make_app(KIND.resources(issuing), ForeignToken(cache=cache), **{**KEYED, **config})  # type: ignore[arg-type]

    return make


@pytest.fixture(name="client")
def client_fixture(redis_url: str, store: Redis):
    client = Redis.from_url(redis_url)
    yield client
    client.close()


def shares(app_with: With, make_cache: Callable[[], object], issuing: People) -> None:
    """Two workers fetch once."""
    before = issuing.fetches
    for _ in range(2):
        let_in(ask(app_with(make_cache()), KIND.token(issuing)))
    assert issuing.fetches == before + 1


def test_a_redis_cache_is_shared(app_with: With, issuing: People, client: Redis, store: Redis):
    shares(app_with, lambda: cachelib.RedisCache(client), issuing)
    assert store.dbsize() > 0


def test_a_redis_cache_that_makes_its_own_client_is_shared(app_with: With, issuing: People, redis_url, store: Redis):
    port = int(redis_url.rsplit(":", 1)[1].split("/")[0])
    caches: list[Any] = []

    def make() -> object:
        caches.append(cachelib.RedisCache("127.0.0.1", port))
        return caches[-1]

    shares(app_with, make, issuing)
    assert store.dbsize() > 0
    for cache in caches:
        cache._read_client.close()


def test_a_valkey_cache_is_shared(app_with: With, issuing: People, client: Redis, store: Redis):
    shares(app_with, lambda: cachelib.ValkeyCache(client), issuing)
    assert store.dbsize() > 0


@pytest.mark.parametrize("prefix", ["clinic:", lambda: "clinic:"], ids=["text", "callable"])
def test_its_prefix_comes_before_every_key(app_with: With, issuing: People, client: Redis, store: Redis, prefix):
    shares(app_with, lambda: cachelib.RedisCache(client, key_prefix=prefix), issuing)

    keys = list(store.scan_iter())
    assert keys
    assert all(key.startswith(b"clinic:") for key in keys)


def test_caches_of_other_prefixes_have_nothing_in_common(app_with: With, issuing: People, client: Redis):
    for prefix in ("one:", "two:"):
        let_in(ask(app_with(cachelib.RedisCache(client, key_prefix=prefix)), KIND.token(issuing)))

    assert issuing.fetches == 2


def test_a_prefix_that_cannot_be_made_costs_no_answer(app_with: With, issuing: People, client: Redis):
    def prefix() -> str:
        raise RuntimeError("there is no tenant")

    let_in(ask(app_with(cachelib.RedisCache(client, key_prefix=prefix)), KIND.token(issuing)))
    assert issuing.fetches == 1


def test_a_given_cache_and_an_address_that_lead_to_one_redis_share(app_with, make_app, issuing, client, redis_url):
    let_in(ask(app_with(cachelib.RedisCache(client)), KIND.token(issuing)))
    let_in(ask(make_app(KIND.resources(issuing), **sharing(redis_url)), KIND.token(issuing)))

    assert issuing.fetches == 1


def test_what_the_app_keeps_in_its_cache_stays_as_it_is(app_with: With, issuing: People, client: Redis):
    cache = cachelib.RedisCache(client, key_prefix="clinic:")
    cache.set("theirs", {"a": (1, 2)})

    app = app_with(cache)
    let_in(ask(app, KIND.token(issuing)))

    assert cache.get("theirs") == {"a": (1, 2)}
    cache.set("more", {3})
    assert cache.get("more") == {3}
    assert type(cache.serializer) is type(cachelib.RedisCache.serializer)


def test_no_cache_is_none(app_with: With, issuing: People):
    let_in(ask(app_with(None), KIND.token(issuing)))


def test_init_app_serves_many_apps_with_one_cache(make_app: MakeApp, issuing: People, client: Redis):
    extension = ForeignToken(cache=cachelib.RedisCache(client))

    for _ in range(2):
        let_in(ask(make_app(KIND.resources(issuing), extension, **KEYED), KIND.token(issuing)))
    assert issuing.fetches == 1


# ---- refused


class OwnRedisCache(cachelib.RedisCache):
    """An app's own."""


def empty(kind: type[Any]) -> object:
    """One that needs a server or a module which is not here."""
    return kind.__new__(kind)


UNFIT: dict[str, Callable[[Path], object]] = {
    "SimpleCache": lambda folder: cachelib.SimpleCache(),
    "FileSystemCache": lambda folder: cachelib.FileSystemCache(str(folder / "cache")),
    "NullCache": lambda folder: cachelib.NullCache(),
    "MemcachedCache": lambda folder: empty(cachelib.MemcachedCache),
    "DynamoDbCache": lambda folder: empty(cachelib.DynamoDbCache),
    "MongoDbCache": lambda folder: empty(cachelib.MongoDbCache),
    "UWSGICache": lambda folder: empty(cachelib.UWSGICache),
    "OwnRedisCache": lambda folder: OwnRedisCache(object()),
    "BaseCache": lambda folder: cachelib.BaseCache(),
    "type": lambda folder: cachelib.RedisCache,
    "dict": lambda folder: {},
    "str": lambda folder: "redis://cache.example",
    "bool": lambda folder: False,
    "object": lambda folder: object(),
}


def refusal(app_with: With, cache: object, **config: object) -> str:
    with pytest.raises(ConfigError, match="cache") as refused:
        app_with(cache, **config)
    return str(refused.value)


@pytest.mark.parametrize("name", UNFIT)
def test_what_is_no_redis_cache_is_refused_by_name_with_what_would_do(app_with: With, tmp_path: Path, name: str):
    said = refusal(app_with, UNFIT[name](tmp_path))

    assert name in said
    assert "RedisCache" in said.replace("OwnRedisCache", "")


UNPICKLING = ["SimpleCache", "FileSystemCache", "MemcachedCache", "DynamoDbCache", "MongoDbCache", "UWSGICache"]


@pytest.mark.parametrize("name", UNPICKLING)
def test_of_a_cache_that_unpickles_the_reason_says_so(app_with: With, tmp_path: Path, name: str):
    assert "pickle" in refusal(app_with, UNFIT[name](tmp_path)).lower()


def test_a_client_is_no_cache(app_with: With, client: Redis):
    assert "RedisCache" in refusal(app_with, client)


@pytest.mark.parametrize("key", [None, "k" * 31])
def test_a_cache_without_a_key_is_refused(app_with: With, client: Redis, key: object):
    config = {} if key is None else {"FOREIGN_TOKEN_CACHE_KEY": key}
    with pytest.raises(ConfigError, match=r"FOREIGN_TOKEN_CACHE_KEY\b.*; this works\b.*: .+"):
        app_with(cachelib.RedisCache(client), **{"FOREIGN_TOKEN_CACHE_KEY": None, **config})


def test_a_cache_and_an_address_are_refused(app_with: With, client: Redis, redis_url: str):
    said = refusal(app_with, cachelib.RedisCache(client), FOREIGN_TOKEN_CACHE_URL=redis_url)

    assert "FOREIGN_TOKEN_CACHE_URL" in said


def test_a_refused_app_is_left_without_the_extension(make_app: MakeApp, bare_app: MakeApp):
    app = bare_app(**KEYED)

    with pytest.raises(ConfigError):
        ForeignToken(app, cache=cachelib.SimpleCache())
    assert "foreign_token" not in app.extensions


# ---- clients of odd kinds


def test_a_client_that_decodes_is_refused_or_does_no_harm(app_with: With, issuing: People, redis_url: str, store):
    client = Redis.from_url(redis_url, decode_responses=True)

    apps = []
    with suppress(ConfigError):
        apps = [app_with(cachelib.RedisCache(client)) for _ in range(2)]
    for app in apps:
        let_in(ask(app, KIND.token(issuing)))
    client.close()


class OwnRedis(Redis):
    """An app's own, as those are that measure or record what is asked of them."""


def test_a_client_of_a_class_of_the_apps_own_is_shared(app_with: With, issuing: People, redis_url: str, store: Redis):
    client = OwnRedis.from_url(redis_url)

    shares(app_with, lambda: cachelib.RedisCache(client), issuing)
    client.close()


def test_what_is_no_client_is_refused_or_costs_no_answer(app_with: With, issuing: People):
    app = None
    with suppress(ConfigError):
        app = app_with(cachelib.RedisCache(object()))
    if app is not None:
        let_in(ask(app, KIND.token(issuing)))


def test_a_client_that_waits_for_ever_is_not_waited_for(app_with: With, issuing: People):
    answers: list[int] = []

    def never(peer: Peer) -> None:
        peer.server.stopping.wait(60)

    with serving(never) as server:
        port = int(server.origin.rsplit(":", 1)[1])
        client = Redis("127.0.0.1", port, socket_timeout=None, socket_connect_timeout=None)
        app = app_with(cachelib.RedisCache(client))
        thread = threading.Thread(target=lambda: answers.append(ask(app, KIND.token(issuing)).status_code), daemon=True)
        thread.start()
        thread.join(8)
        waiting = list(answers)
    thread.join(30)
    client.close()
    assert waiting == [200], "it waits for as long as the client that was given does"
