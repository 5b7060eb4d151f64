"""From what the operator or the app gives to a cache of our own in Redis or Valkey."""

from __future__ import annotations

import importlib
import socket
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import cachelib
from cachelib import RedisCache

from .errors import ConfigError
from .sealing import Seal
from .settings import Settings
from .shared_cache import OnAsked, SharedCache

LIMIT = 0.25
"""Seconds in which a connection must stand, and the whole of an answer be there; what takes longer counts as a failure.
An exchange with Redis takes a thousandth of that."""

PATIENCE = 1.0
"""The same, at most, for clients whose connections we cannot make, since they find out themselves where their server
is."""

_SCHEMES = {"valkey": "redis", "valkeys": "rediss"}
"""Valkey speaks the protocol of Redis, and its addresses differ in nothing else."""
_TAKEN = tuple(kind for name in ("RedisCache", "ValkeyCache") if (kind := getattr(cachelib, name, None)) is not None)
_MISSING = "FOREIGN_TOKEN_CACHE_URL needs the package redis: pip install 'Flask-ForeignToken[redis]'"


class RedisStore(RedisCache):
    """cachelib's cache with a serializer of our own, in which what is added has its end from the beginning.

    :param client: of redis-py.
    :param key_prefix: as cachelib takes it.
    """

    def __init__(self, client: Any, seal: Seal, key_prefix: Any = "") -> None:
        super().__init__(client, key_prefix=key_prefix)
        self.serializer = seal  # type: ignore[assignment]  # it has the two methods that are called

    def add(self, key: str, value: Any, timeout: Any = None) -> Any:
        """Keep `value` unless something is kept there; whether it is kept now.

        cachelib sends two commands, and who is killed between them leaves what never ends.
        """
        text, seconds = self.serializer.dumps(value), self._normalize_timeout(timeout)
        return self._write_client.set(name=f"{self._get_prefix()}{key}", value=text, nx=True, ex=seconds)


class _HeldSocket:
    """A socket of which all that is read has one deadline, :data:`LIMIT` after something was sent.

    By itself a socket grants each read so much, and thus any time to a server that sends byte by byte.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._deadline = 0.0

    def sendall(self, data: bytes) -> None:
        self._deadline = time.monotonic() + LIMIT
        self._sock.settimeout(LIMIT)
        self._sock.sendall(data)

    def recv(self, *args: Any) -> bytes:
        return self._held().recv(*args)

    def recv_into(self, *args: Any) -> int:
        return self._held().recv_into(*args)

    def _held(self) -> socket.socket:
        if self._sock.gettimeout() == 0:
            # redis-py looks whether something is there, and waits for nothing.
            return self._sock
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self._sock.settimeout(remaining)
        return self._sock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


OpenCache: TypeAlias = Callable[[Callable[[], float], OnAsked], SharedCache]
"""Makes the cache of one process, of its clock and of whoever counts; no connection is opened for it."""


def opener_of(settings: Settings, given: object, app: str) -> OpenCache | None:
    """How a process gets its cache; none: nothing is shared. No I/O.

    :param given: what the app passed as ``cache=``.
    :param app: the app's name.
    :raises ConfigError: that cannot be used, or something is missing that it needs.
    """
    if given is None and settings.cache_url is None:
        return None
    if given is not None and settings.cache_url is not None:
        raise ConfigError("cache= and FOREIGN_TOKEN_CACHE_URL are both given; drop one of them")
    if settings.cache_key is None:
        reason = "cache=" if given is not None else "FOREIGN_TOKEN_CACHE_URL"
        raise ConfigError(
            f"FOREIGN_TOKEN_CACHE_KEY is missing, since {reason} is given: without it whoever reaches the cache could "
            "put keys there that sign tokens; this works, the same for every worker: secrets.token_urlsafe(32)"
        )
    client, key_prefix = _client_at(str(settings.cache_url)) if given is None else _client_of(given)
    connect, seal = _limited(client), Seal(settings.cache_key.encode(errors="surrogatepass"))

    def open_cache(clock: Callable[[], float], on_asked: OnAsked) -> SharedCache:
        store = RedisStore(connect(), seal, key_prefix)
        return SharedCache(store, seal, app=app, clock=clock, on_asked=on_asked)

    return open_cache


def _client_at(url: str) -> tuple[Any, str]:
    try:
        redis = importlib.import_module("redis")
    except ImportError:
        raise ConfigError(_MISSING) from None
    scheme, _, rest = url.partition("://")
    try:
        return redis.Redis.from_url(f"{_SCHEMES.get(scheme, scheme)}://{rest}"), ""
    except ValueError:
        text = "FOREIGN_TOKEN_CACHE_URL is not the address of a Redis; this works: redis://cache.example.com:6379/0"
        raise ConfigError(text) from None


def _client_of(given: object) -> tuple[Any, Any]:
    if type(given) not in _TAKEN:
        kinds = " or ".join(kind.__name__ for kind in _TAKEN)
        raise ConfigError(
            f"cache= is a {type(given).__name__}, and can be a {kinds} of cachelib's itself: others unpickle what they "
            "read, which whoever can write there could use to run code here"
        )
    return given._write_client, given.key_prefix  # type: ignore[attr-defined]  # noqa: SLF001


def _limited(client: Any) -> Callable[[], Any]:
    """Makes clients of the same server, by the same credentials, that wait for nothing for long and try nothing twice.

    :raises ConfigError: `client` cannot be made to.
    """
    pool = getattr(client, "connection_pool", None)
    if pool is None:
        raise ConfigError(f"the client of the cache is a {type(client).__name__}; what can be used has one server")
    options = pool.connection_kwargs
    if options.get("decode_responses"):
        raise ConfigError("the client of the cache has decode_responses, and what is shared is no text; drop that")
    module = importlib.import_module(type(pool).__module__.partition(".")[0])
    if type(pool) not in (module.ConnectionPool, module.BlockingConnectionPool):
        if not 0 < (options.get("socket_timeout") or 0) <= PATIENCE:
            kind = type(pool).__name__
            raise ConfigError(f"the client of the cache waits for too long; give its {kind} socket_timeout={LIMIT}")
        return lambda: client
    retry = importlib.import_module(f"{module.__name__}.retry").Retry
    no_backoff = importlib.import_module(f"{module.__name__}.backoff").NoBackoff
    held = _held(pool.connection_class)
    limits = {"socket_timeout": LIMIT, "socket_connect_timeout": LIMIT, "retry_on_timeout": False, "retry_on_error": []}

    def connect() -> Any:
        own = {**options, **limits, "retry": retry(no_backoff(), 0)}
        return type(client)(connection_pool=module.ConnectionPool(connection_class=held, **own))

    return connect


def _held(connection_class: Any) -> Any:
    """That class of connections, with a :class:`_HeldSocket`."""

    def _connect(self: Any) -> _HeldSocket:
        return _HeldSocket(connection_class._connect(self))  # noqa: SLF001

    return type(connection_class.__name__, (connection_class,), {"_connect": _connect})
