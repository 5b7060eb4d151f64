"""The load of the soak: callers of every sort, good and bad, an operator who edits, and a provider who rotates keys."""

from __future__ import annotations

import base64
import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any

from joserfc.jwk import RSAKey

from flask_foreign_token.testing import Issuer

from .subjects import broken, keycloak_token

OPERATOR = "operator"
PASSWORD = "the secret of the operator"
ADMIN = "/fhir"

OPEN, ROW, CLOSED = "/rooms/7", "/me", "/closed"
"""A view that any user may have, one that reads the user's row, and one that nobody may have."""

THREADS = 4
PATIENCE = 30.0
"""Seconds after which a request without an answer counts as one whose connection broke."""
BROKEN = 0
"""The status of such a request."""

_KNOWN = 50
"""Users who come again and again."""
_TOLD = 10
"""Surprises that are told one by one."""
_ASKS_OF_A_CONNECTION = 100
"""After so many another worker gets its turn: a connection stays with one."""

Body = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """One request, and what may come of it.

    :param generation: that of the keys which its token rests on; none where it does not matter. Where they have been
        replaced since, it may be refused.
    """

    caller: str
    token: str | None
    expected: int
    path: str = OPEN
    generation: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "GET"
    body: Body | None = None


class Tally:
    """What callers were answered. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, int, bool]] = Counter()
        self._lock = threading.Lock()
        self._begun = time.monotonic()
        self.surprises: list[str] = []
        """The first that were not expected."""

    def note(self, caller: str, status: int, *, is_expected: bool) -> None:
        with self._lock:
            self._counts[caller, status, is_expected] += 1
            if not is_expected and len(self.surprises) < _TOLD:
                self.surprises.append(f"{caller}: {status} after {time.monotonic() - self._begun:.1f} s")

    def counts(self) -> Mapping[tuple[str, int, bool], int]:
        """By caller, status, and whether that was expected."""
        with self._lock:
            return dict(sorted(self._counts.items()))

    @property
    def total(self) -> int:
        return sum(self.counts().values())

    @property
    def unexpected(self) -> int:
        return sum(count for (_, _, is_expected), count in self.counts().items() if not is_expected)


class Load:
    """Asks the app at `port` until it is stopped.

    :param resources: the provider and the introspector of `issuer`.
    """

    def __init__(self, issuer: Issuer, port: int, resources: Sequence[Body]) -> None:
        self.tally = Tally()
        self._issuer = issuer
        self._port = port
        self._resources = {str(resource["resourceType"]): resource for resource in resources}
        self._numbers = itertools.count()
        self._over = threading.Event()
        self._foreign_key = RSAKey.generate_key(2048)
        # Counts up before and after each rotation: of two equal numbers, nothing was rotated between.
        self._generation = 0
        self._withdrawn: list[str] = []
        self._known: tuple[int, dict[str, str]] = 0, {}
        self._opaque = [issuer.opaque_token(sub=_known(n), lifetime=86_400) for n in range(10)]

    def set_up(self) -> None:
        """Fill the registry.

        :raises RuntimeError: the operator is refused.
        """
        asking = _Asking(self._port)
        for resource in [*self._resources.values(), self._introspector_of_opaque(), *_POLICIES, _edited(0)]:
            status = asking.ask(_edit("set-up", resource))
            if status not in (200, 201):
                raise RuntimeError(f"the registry cannot be filled: status {status}")

    def run(self, seconds: float, meanwhile: Callable[[], object]) -> None:
        """Ask for so many seconds.

        :param meanwhile: called in this thread, about once a second.
        """
        with ThreadPoolExecutor(THREADS + 1) as pool:
            threads = [pool.submit(self._ask_on, seed) for seed in range(THREADS)]
            threads.append(pool.submit(self._change_on))
            try:
                end = time.monotonic() + seconds
                while time.monotonic() < end and not any(thread.done() for thread in threads):
                    meanwhile()
                    self._over.wait(1)
            finally:
                self._over.set()
            for thread in threads:
                thread.result()

    # ---- callers

    def _ask_on(self, seed: int) -> None:
        some, asking = random.Random(seed), _Asking(self._port)
        makers, weights = zip(*_MIX, strict=True)
        while not self._over.is_set():
            (make,) = some.choices(makers, weights)
            self._make(asking, make(self, some))

    def _make(self, asking: _Asking, call: Call) -> None:
        status = asking.ask(call)
        is_expected = status == call.expected
        if call.generation is not None and call.generation != self._generation:
            is_expected = is_expected or status == 401
        self.tally.note(call.caller, status, is_expected=is_expected)

    def seen(self, some: random.Random) -> Call:
        token, generation = self._known_token(some)
        return Call("token seen before", token, 200, generation=generation)

    def row(self, some: random.Random) -> Call:
        token, generation = self._known_token(some)
        return Call("the same, reads the user's row", token, 200, ROW, generation)

    def first_sight(self, some: random.Random) -> Call:
        generation = self._generation
        return Call("new token", self._token(_known(some.randrange(_KNOWN))), 200, generation=generation)

    def newcomer(self, some: random.Random) -> Call:
        generation = self._generation
        return Call("new user", self._token(f"new-{next(self._numbers)}"), 200, generation=generation)

    def denied(self, some: random.Random) -> Call:
        token, generation = self._known_token(some)
        return Call("denied by policies", token, 403, CLOSED, generation)

    def anonymous(self, some: random.Random) -> Call:
        return Call("no token", None, 401)

    def bad(self, some: random.Random) -> Call:
        issuer, key = self._issuer, self._foreign_key
        tokens = {
            "wrong signature": lambda: broken(self._token("ann")),
            "forged": lambda: issuer.token(key=key, headers={"kid": issuer.key_id()}),
            "unsigned": lambda: issuer.token(algorithm="none"),
            "other audience": lambda: self._token("ann", aud="another-api"),
            "other issuer": lambda: self._token("ann", iss="https://stranger.example"),
            "no JSON": lambda: "e30.bm8." + "A" * 342,
        }
        kind = some.choice(list(tokens))
        return Call(f"bad token: {kind}", tokens[kind](), 401)

    def malformed(self, some: random.Random) -> Call:
        return Call("malformed header", "two tokens", 400)

    def expired(self, some: random.Random) -> Call:
        return Call("expired token", self._token(_known(some.randrange(_KNOWN)), lifetime=-600), 401)

    def opaque_seen(self, some: random.Random) -> Call:
        return Call("opaque token seen before", some.choice(self._opaque), 200)

    def opaque_new(self, some: random.Random) -> Call:
        return Call("new opaque token", self._issuer.opaque_token(sub=_known(some.randrange(_KNOWN))), 200)

    def opaque_bad(self, some: random.Random) -> Call:
        if some.random() < 0.5:
            return Call("invented opaque token", f"invented-{some.getrandbits(64):x}", 401)
        revoked = self._issuer.opaque_token(sub=_known(1))
        self._issuer.revoke(revoked)
        return Call("revoked opaque token", revoked, 401)

    # ---- changes

    def _change_on(self) -> None:
        asking = _Asking(self._port)
        due = {change: time.monotonic() + seconds / 2 for change, seconds in _CHANGES}
        while not self._over.wait(0.2):
            for change, seconds in _CHANGES:
                if due[change] <= time.monotonic():
                    due[change] += seconds
                    change(self, asking)

    def edit_policy(self, asking: _Asking) -> None:
        self._make(asking, _edit("edit of a policy", _edited(next(self._numbers))))

    def edit_introspector(self, asking: _Asking) -> None:
        changed = {**self._resources["TokenIntrospector"], "cache_ttl": 300 + next(self._numbers) % 100}
        self._make(asking, _edit("edit of the introspector", changed))

    def edit_provider(self, asking: _Asking) -> None:
        changed = {**self._resources["IdentityProvider"], "title": f"Keycloak {next(self._numbers)}"}
        self._make(asking, _edit("edit of the provider", changed))

    def rotate(self, asking: _Asking) -> None:
        """Every caller is to have tokens of the new keys; those of the keys before last are withdrawn everywhere."""
        _, replaced = self._known
        self._generation += 1
        self._issuer.rotate()
        self._generation += 1
        # Signed as they are needed: meanwhile old ones would have each worker fetch the keys again and again.
        self._known = self._generation, {}
        self._withdrawn = [*self._withdrawn[-1:], *list(replaced.values())[:1]]

    def ask_with_withdrawn(self, asking: _Asking) -> None:
        if len(self._withdrawn) > 1:
            self._make(asking, Call("withdrawn key", self._withdrawn[0], 401))

    def ask_with_unknown_key(self, asking: _Asking) -> None:
        token = self._issuer.token(key=self._foreign_key, headers={"kid": f"unknown-{next(self._numbers)}"})
        self._make(asking, Call("unknown key", token, 401))

    def _known_token(self, some: random.Random) -> tuple[str, int]:
        """The token of one who comes again and again, and its generation."""
        generation, tokens = self._known
        subject = _known(some.randrange(_KNOWN))
        return tokens.get(subject) or tokens.setdefault(subject, self._token(subject)), generation

    def _token(self, subject: str, **claims: Any) -> str:
        named = {"sub": subject, "name": subject, "preferred_username": subject, "email": f"{subject}@example.com"}
        return keycloak_token(self._issuer, **{**named, **claims})

    def _introspector_of_opaque(self) -> Body:
        return {**self._issuer.resources(kind="opaque")[1], "jwt": {}}


_MIX: Sequence[tuple[Callable[[Load, random.Random], Call], float]] = (
    (Load.seen, 50),
    (Load.row, 5),
    (Load.first_sight, 12),
    (Load.newcomer, 2),
    (Load.denied, 8),
    (Load.anonymous, 2),
    (Load.bad, 8),
    (Load.malformed, 1),
    (Load.expired, 3),
    (Load.opaque_seen, 5),
    (Load.opaque_new, 2),
    (Load.opaque_bad, 2),
)
"""The callers, and how many of a hundred requests are theirs."""

_CHANGES: Sequence[tuple[Callable[[Load, _Asking], object], float]] = (
    (Load.edit_policy, 2),
    (Load.edit_introspector, 40),
    (Load.edit_provider, 60),
    # For key names that it does not know, a worker fetches keys once in ten seconds, and four times at once. With more
    # of them than this it would notice a rotation up to ten seconds late, and refuse tokens that are good.
    (Load.rotate, 60),
    (Load.ask_with_withdrawn, 50),
    (Load.ask_with_unknown_key, 45),
)
"""What changes, and every how many seconds."""


class _Asking:
    """Makes requests, on connections that each serve a while."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._left = 0
        self._connection: HTTPConnection | None = None

    def ask(self, call: Call) -> int:
        """The status of the answer."""
        if self._left == 0 or self._connection is None:
            self._connect()
        self._left -= 1
        headers = dict(call.headers)
        if call.token is not None:
            headers["Authorization"] = f"Bearer {call.token}"
        try:
            self._connection.request(call.method, call.path, json.dumps(call.body) if call.body else None, headers)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, HTTPException):
            self._left = 0
            return BROKEN
        return answer.status

    def _connect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        self._left = _ASKS_OF_A_CONNECTION


def _known(number: int) -> str:
    return f"known-{number}"


def _edit(caller: str, resource: Body) -> Call:
    secret = base64.b64encode(f"{OPERATOR}:{PASSWORD}".encode()).decode()
    headers = {"Authorization": f"Basic {secret}", "Content-Type": "application/json"}
    path = f"{ADMIN}/{resource['resourceType']}/{resource['id']}"
    return Call(caller, None, 200, path, headers=headers, method="PUT", body=resource)


def _policy(name: str, matcho: Body) -> Body:
    return {"resourceType": "AccessPolicy", "id": name, "engine": "matcho", "matcho": matcho}


def _edited(number: int) -> Body:
    return _policy("edited", {"jwt": {"azp": f"nobody-{number}"}})


_POLICIES = (_policy("users", {"user": {"id": "present?"}}), _policy("closed", {"jwt": {"azp": "nobody"}}))
