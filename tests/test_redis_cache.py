from __future__ import annotations

import contextlib
import importlib
import socket
from typing import Any

import cachelib
import pytest
import redis
from flask import Flask
from redis.sentinel import Sentinel

from flask_foreign_token import ForeignToken
from flask_foreign_token.errors import ConfigError
from flask_foreign_token.redis_cache import LIMIT, _HeldSocket, opener_of
from flask_foreign_token.settings import Settings
from flask_foreign_token.shared_cache import SharedCache

from .conftest import MakeApp

KEY = "a secret that all workers know, 32"
URL = "redis://:hunter2@cache.example:6380/3"


def opened(given: object = None, **settings: Any) -> SharedCache:
    opener = opener_of(Settings(**{"cache_key": KEY, **settings}), given, "clinic")
    assert opener is not None
    return opener(lambda: 1_000.0, lambda kind, result: None)


def options_of(cache: SharedCache) -> dict[str, Any]:
    """How it connects."""
    store: Any = cache._store
    return dict(store._write_client.connection_pool.connection_kwargs)


def test_without_an_address_nothing_is_shared() -> None:
    assert opener_of(Settings(), None, "clinic") is None
    assert opener_of(Settings(cache_key=KEY), None, "clinic") is None


@pytest.mark.parametrize("scheme", ["redis", "rediss", "valkey", "valkeys"])
def test_an_address_is_taken_as_it_is(scheme: str) -> None:
    options = options_of(opened(cache_url=f"{scheme}://:hunter2@cache.example:6380/3"))

    assert (options["host"], options["port"], options["db"], options["password"]) == (
        "cache.example",
        6380,
        3,
        "hunter2",
    )


def test_a_socket_is_taken_too() -> None:
    assert options_of(opened(cache_url="unix:///run/redis.sock?db=2"))["path"] == "/run/redis.sock"


@pytest.mark.parametrize(
    "cache",
    [
        cachelib.RedisCache(host="cache.example", port=6380, password="hunter2", db=3),
        cachelib.RedisCache(redis.Redis.from_url(URL)),
        cachelib.RedisCache(redis.Redis.from_url(URL + "?socket_timeout=30&socket_connect_timeout=30")),
        cachelib.RedisCache(redis.Redis(connection_pool=redis.BlockingConnectionPool.from_url(URL))),
    ],
    ids=["host", "client", "patient client", "blocking pool"],
)
def test_a_cache_of_the_apps_lends_its_server_and_its_credentials(cache: Any) -> None:
    ours = opened(cache)
    options = options_of(ours)

    assert (options["host"], options["port"], options["db"], options["password"]) == (
        "cache.example",
        6380,
        3,
        "hunter2",
    )
    assert ours._store is not cache
    assert type(cache.serializer).__module__ == "cachelib.serializers"


@pytest.mark.parametrize("given", [None, cachelib.RedisCache(host="cache.example")], ids=["address", "cache="])
def test_nothing_is_waited_for_long_and_nothing_is_tried_twice(given: object) -> None:
    options = options_of(opened(given) if given is not None else opened(cache_url=URL))

    assert options["socket_timeout"] == options["socket_connect_timeout"] == LIMIT
    assert options["retry"].get_retries() == 0
    assert not options["retry_on_timeout"]
    assert not options["retry_on_error"]


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        (URL, redis.Connection),
        (URL.replace("redis:", "rediss:"), redis.SSLConnection),
        ("unix:///run/redis.sock", redis.UnixDomainSocketConnection),
    ],
    ids=["TCP", "TLS", "Unix"],
)
def test_every_kind_of_connection_is_held_to_a_deadline(url: str, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind, "_connect", lambda self: socket.socket())
    store: Any = opened(cache_url=url)._store
    connection = store._write_client.connection_pool.make_connection()

    assert isinstance(connection, kind)
    with contextlib.closing(connection._connect()) as sock:
        assert isinstance(sock, _HeldSocket)


def test_what_is_sent_may_be_answered() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        held, buffer = _HeldSocket(ours), bytearray(2)
        held.sendall(b"PING")
        theirs.sendall(b"PONG")

        assert theirs.recv(10) == b"PING"
        assert held.recv(2) == b"PO"
        assert held.recv_into(buffer) == 2
        assert 0 < held.gettimeout() <= LIMIT


def test_nothing_is_read_when_the_time_for_an_answer_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        held = _HeldSocket(ours)
        held.sendall(b"PING")
        theirs.sendall(b"P")
        held._deadline -= LIMIT

        with pytest.raises(TimeoutError):
            held.recv(1)


def test_a_look_whether_there_is_something_waits_for_nothing() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        held = _HeldSocket(ours)
        held.settimeout(0)

        with pytest.raises(BlockingIOError):
            held.recv(1)


@pytest.mark.parametrize("prefix", ["mine:", lambda: "mine:"], ids=["text", "function"])
def test_the_prefix_of_a_cache_is_kept(prefix: Any) -> None:
    store: Any = opened(cachelib.RedisCache(host="cache.example", key_prefix=prefix))._store

    assert store._get_prefix() == "mine:"


def test_each_process_opens_connections_of_its_own() -> None:
    opener = opener_of(Settings(cache_url=URL, cache_key=KEY), None, "clinic")
    assert opener is not None
    one, other = (opener(lambda: 0.0, lambda kind, result: None) for _ in range(2))

    stores: list[Any] = [one._store, other._store]
    assert stores[0]._write_client.connection_pool is not stores[1]._write_client.connection_pool


def test_a_client_that_finds_its_server_itself_is_used_as_it_is() -> None:
    given: Any = cachelib.RedisCache(Sentinel([("cache.example", 26379)]).master_for("mymaster", socket_timeout=0.2))

    store: Any = opened(given)._store
    assert store._write_client is given._write_client


@pytest.mark.parametrize("seconds", [None, 5])
def test_unless_it_waits_for_long(seconds: float | None) -> None:
    client = Sentinel([("cache.example", 26379)]).master_for("mymaster", socket_timeout=seconds)

    with pytest.raises(ConfigError, match="waits for too long; give its SentinelConnectionPool socket_timeout="):
        opened(cachelib.RedisCache(client))


# ---- what is refused


@pytest.mark.parametrize(
    ("settings", "given", "named"),
    [({"cache_url": URL}, None, "FOREIGN_TOKEN_CACHE_URL"), ({}, cachelib.RedisCache(host="cache.example"), "cache=")],
    ids=["address", "cache="],
)
def test_what_is_shared_must_be_authenticated(settings: Any, given: object, named: str) -> None:
    with pytest.raises(
        ConfigError, match=f"FOREIGN_TOKEN_CACHE_KEY is missing, since {named} is given: .*; this works"
    ):
        opener_of(Settings(**settings), given, "clinic")


def test_one_place_is_enough() -> None:
    with pytest.raises(ConfigError, match="cache= and FOREIGN_TOKEN_CACHE_URL are both given; drop one of them"):
        opened(cachelib.RedisCache(host="cache.example"), cache_url=URL)


class Own(cachelib.RedisCache):
    """Says how it reads, and would not be asked."""


@pytest.mark.parametrize(
    "given",
    [cachelib.SimpleCache(), cachelib.NullCache(), Own(host="cache.example"), redis.Redis(), "redis://cache.example"],
    ids=lambda given: type(given).__name__,
)
def test_other_caches_are_refused_with_the_reason(given: object) -> None:
    with pytest.raises(ConfigError, match=rf"cache= is a {type(given).__name__}, and can be a RedisCache .*unpickle"):
        opened(given)


def test_a_cache_of_files_is_refused(tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match="cache= is a FileSystemCache"):
        opened(cachelib.FileSystemCache(str(tmp_path)))


def test_a_client_without_connections_of_its_own_is_refused() -> None:
    with pytest.raises(ConfigError, match="the client of the cache is a object; what can be used has one server"):
        opened(cachelib.RedisCache(object()))


def test_a_client_that_decodes_is_refused() -> None:
    with pytest.raises(ConfigError, match="decode_responses"):
        opened(cachelib.RedisCache(redis.Redis(decode_responses=True)))
    with pytest.raises(ConfigError, match="decode_responses"):
        opened(cache_url="redis://cache.example?decode_responses=true")


@pytest.mark.parametrize("url", ["redis://cache.example:port/0", "redis://cache.example:99999/0"])
def test_an_address_that_is_none_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(
        ConfigError, match=r"^FOREIGN_TOKEN_CACHE_URL is not the address of a Redis; this works"
    ) as refused:
        opened(cache_url=url)
    assert "cache.example:" + url.rpartition(":")[2] not in str(refused.value)


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    load = importlib.import_module

    def absent(name: str, package: str | None = None) -> object:
        if name == "redis":
            raise ModuleNotFoundError(name)
        return load(name, package)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ConfigError, match=r"pip install 'Flask-ForeignToken\[redis\]'"):
        opened(cache_url=URL)


# ---- an app


def test_setting_an_app_up_opens_no_connection(bare_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    opened_sockets: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: opened_sockets.append(address))
    app = bare_app(FOREIGN_TOKEN_CACHE_URL=URL, FOREIGN_TOKEN_CACHE_KEY=KEY)
    ForeignToken(app)

    assert opened_sockets == []


def test_an_app_cannot_be_set_up_with_a_cache_that_cannot_be_used() -> None:
    app = Flask("clinic")
    app.config["FOREIGN_TOKEN_CACHE_KEY"] = KEY

    with pytest.raises(ConfigError, match="cache= is a SimpleCache"):
        ForeignToken(app, cache=cachelib.SimpleCache())
