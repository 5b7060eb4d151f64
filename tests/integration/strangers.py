"""Somebody who can write to the Redis of an app and does not have its key."""

from __future__ import annotations

import hmac
import json
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis as client_library

PAUSE = 0.02
SEAL_SIZE = 32
MOST = 500
"""Entries that are written in one go, and that are remembered, at most."""

Entries = Mapping[bytes, bytes]
"""Every text in Redis, under its key."""
Client = Any
Act = Callable[[Client, Entries], None]


class Trap:
    """What creates a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._file,)


def overwriting(make: Callable[[bytes, bytes], bytes]) -> Act:
    """Has every entry be what `make` makes of its key and what it was."""

    def act(client: Client, entries: Entries) -> None:
        for key, value in entries.items():
            client.set(key, make(key, value), keepttl=True)

    return act


def with_other_types(client: Client, entries: Entries) -> None:
    """Has every entry be a list, a hash, a set or a sorted set."""
    for number, key in enumerate(entries):
        client.delete(key)
        write = (
            lambda key: client.lpush(key, "active"),
            lambda key: client.hset(key, "active", "true"),
            lambda key: client.sadd(key, "active"),
            lambda key: client.zadd(key, {"active": 1}),
        )[number % 4]
        write(key)


def swapping(client: Client, entries: Entries) -> None:
    """Has every entry be another one of the same kind, and in the end of any."""
    keys = sorted(entries)
    step = 1 + time.monotonic_ns() % max(1, len(keys) - 1)
    for place, key in enumerate(keys):
        client.set(key, entries[keys[(place + step) % len(keys)]], keepttl=True)


class PuttingBack:
    """Has every entry be what it was first, claims among them, and for ever."""

    def __init__(self) -> None:
        self._first: dict[bytes, bytes] = {}

    def __call__(self, client: Client, entries: Entries) -> None:
        for key, value in entries.items():
            if len(self._first) < MOST:
                self._first.setdefault(key, value)
        for key, value in self._first.items():
            client.set(key, value)

    @property
    def claims(self) -> int:
        """How many of them are nothing but claims."""
        return sum(b"claim" in key for key in self._first)


def forged(key: bytes, value: bytes) -> bytes:
    """JSON that says the best of any token, as it would stand in the cache."""
    now = time.time()
    said = {"active": True, "sub": "ann", "iss": "https://anybody.example", "aud": "account", "exp": now + 300}
    return json.dumps([key.decode(), said, now, now + 300]).encode()


def sealed_with_another_key(key: bytes, value: bytes) -> bytes:
    content = forged(key, value)
    return hmac.digest(b"a key of the stranger's own, 32 or more", content, "sha256") + content


def acts(trap: Path) -> dict[str, Act]:
    """What a stranger can do with whatever is in a Redis, by name.

    :param trap: the file that is there if anything was unpickled.
    """
    pickled = pickle.dumps(Trap(trap))
    return {
        "garbage": overwriting(lambda key, value: os.urandom(200)),
        "nothing": overwriting(lambda key, value: b""),
        # cachelib's own serializer writes an exclamation mark in front of a pickle.
        "pickles": overwriting(lambda key, value: b"!" + pickled if key[-1] % 2 else pickled),
        "JSON": overwriting(forged),
        "no seal": overwriting(lambda key, value: value[SEAL_SIZE:]),
        "empty seal": overwriting(lambda key, value: bytes(SEAL_SIZE) + forged(key, value)),
        "another seal": overwriting(sealed_with_another_key),
        "other types": with_other_types,
        "swapped": swapping,
    }


@contextmanager
def acting(url: str, act: Act) -> Iterator[list[int]]:
    """How many entries a stranger has come upon each time, who goes on while the block lasts."""
    touched: list[int] = []
    over = threading.Event()
    with client_library.Redis.from_url(url) as client:

        def go_on() -> None:
            while not over.wait(PAUSE):
                entries = texts(client)
                act(client, entries)
                touched.append(len(entries))

        with ThreadPoolExecutor(1) as pool:
            stranger = pool.submit(go_on)
            try:
                yield touched
            finally:
                over.set()
            stranger.result()


def texts(client: Client) -> Entries:
    """What is there; what is no text, is left out."""
    found: dict[bytes, bytes] = {}
    for key in list(client.scan_iter(count=MOST))[:MOST]:
        try:
            value = client.get(key)
        except client_library.ResponseError:
            continue
        if value is not None:
            found[key] = value
    return found
