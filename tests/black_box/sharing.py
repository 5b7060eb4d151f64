"""What the tests of sharing are made of: workers with a Redis in common, a line to it that breaks, what is in it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask
from redis import Redis

from ..apps import Resource, introspector, policy, protected
from ..conftest import MakeApp
from ..loading import Clock
from .people import USERINFO, People, token
from .publishing import document as published
from .registries import Relay
from .tokens import ISSUER, OPAQUE, asked_at, document, jwk, rsa_key, token_of

CACHE_KEY = "what-the-workers-alone-know-0123456789"
INTROSPECTION = "/introspect"
KEYS = "/keys"
WELL_KNOWN = "/.well-known/openid-configuration"

Worker = Callable[..., Flask]


def sharing(url: str, **config: object) -> dict[str, object]:
    return {"FOREIGN_TOKEN_CACHE_URL": url, "FOREIGN_TOKEN_CACHE_KEY": CACHE_KEY, **config}


def later() -> int:
    return int(time.time()) + 10**6


def lasting(key: Any = None, **more: Any) -> str:
    return token_of(key, exp=later(), **more)


def by(name: str, **more: Any) -> str:
    """A token signed with the key of that name."""
    return lasting(rsa_key(name), kid=name, **more)


@dataclass(frozen=True)
class Kind:
    """Something that workers share.

    :param path: where the provider tells it.
    :param resources: an app that needs it.
    :param token: a token that is good as long as the provider says what it said first.
    :param withdraw: lets the provider say what the token is no longer good by.
    """

    path: str
    resources: Callable[[People], list[Resource]]
    token: Callable[[People], str]
    withdraw: Callable[[People], object]


def _jwts(*, iss: str, **attributes: object) -> list[Resource]:
    return [introspector("own", None, jwt={"iss": iss}, **attributes), policy("all", {"jwt": "present?"})]


def _others_keys(people: People) -> None:
    people.keys(jwk(rsa_key("another")))


def _others_metadata(people: People) -> None:
    people.pages["/others"] = document({"keys": [jwk(rsa_key("another"))]})
    people.pages[WELL_KNOWN] = published(people.url, people.url, jwks_uri=f"{people.url}/others")


KINDS: Mapping[str, Kind] = {
    "keys": Kind(
        KEYS,
        lambda people: _jwts(iss=ISSUER, jwks_uri=people.url + KEYS),
        lambda people: lasting(),
        _others_keys,
    ),
    "metadata": Kind(
        WELL_KNOWN,
        lambda people: _jwts(iss=people.url),
        lambda people: lasting(iss=people.url),
        _others_metadata,
    ),
    "introspection": Kind(
        INTROSPECTION,
        lambda people: asked_at(people.url + INTROSPECTION, identity_provider=None),
        lambda people: OPAQUE,
        lambda people: people.pages.update({INTROSPECTION: {"active": False}}),
    ),
    "userinfo": Kind(
        USERINFO,
        lambda people: people.resources(),
        lambda people: token(),
        lambda people: people.answers(document({}, 401)),
    ),
}


def opaque(people: People, **attributes: object) -> list[Resource]:
    """Opaque tokens asked about; they have no users."""
    return asked_at(people.url + INTROSPECTION, **{"identity_provider": None, **attributes})


def publish(people: People, *names: str, **headers: str) -> None:
    """Let it have the keys of those names, and no others."""
    people.keys(*(jwk(rsa_key(name), name) for name in names), **headers)


def named(name: str, bare_app: MakeApp, resources: list[Resource], **config: object) -> Flask:
    """An app of another name."""
    app = bare_app(**config)
    app.import_name = app.name = name
    return protected(app, resources)


_LEAST = 40
"""An entry has a MAC and content; what is shorter says only that somebody is at work."""


def entries(store: Redis) -> dict[bytes, bytes]:
    """What is stored, by key."""
    found: dict[bytes, bytes] = {}
    for key in sorted(store.scan_iter(count=1000)):
        value = store.get(key)
        if value is not None and len(value) >= _LEAST:
            found[key] = value
    return found


def put_back(store: Redis, stored: Mapping[bytes, bytes]) -> None:
    for key, value in stored.items():
        store.set(key, value, ex=3600)


class Line(Relay):
    """A port that leads to a Redis, until it is cut or nothing moves any more."""

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            self._join(client, socket.create_connection(("127.0.0.1", int(self.path))))

    def _join(self, client: socket.socket, server: socket.socket) -> None:
        self._open += [client, server]
        threading.Thread(target=self._pump, args=(client, server), daemon=True).start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def connected(self) -> int:
        """How many connections there are at this moment."""
        clients = self._open[::2]
        return sum(client.fileno() != -1 for client in clients)


def rest(now: Clock) -> None:
    """Let the time pass for which a Redis that failed is left alone."""
    now.now += 5.1
