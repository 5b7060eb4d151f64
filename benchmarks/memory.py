"""What is remembered of tokens and users takes so many bytes, and much of it does not slow the hot path.

Bytes are those that Python allocates (:mod:`tracemalloc`), the caches' own tables included. Tokens are counted where
their users are known already, and users once their tokens are forgotten; what both have in common counts for each.
"""

from __future__ import annotations

import gc
import itertools
import random
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from flask import Flask

from flask_foreign_token.runtime import Runtime
from flask_foreign_token.testing import Issuer

from .harness import Figure, Report, Sample, interleaved
from .subjects import Environ, ask, environ, keycloak_token, protected_app

TOKENS = 10_000
USERS = 1000
"""Whose snapshots are weighed."""
LIMIT = 4096
"""Bytes."""

_LASTING = {"FOREIGN_TOKEN_USER_TTL": 3600, "FOREIGN_TOKEN_TOKEN_CACHE_SIZE": 2 * (TOKENS + 1)}
_BYTES = "Memory"
_SPEED = "10 000 cached tokens"
_COLD = (
    "in random order, so that token and user are rarely in the processor's cache; with one token, too, each request is "
    "one of 10 000 copies in random order"
)


def measure(report: Report) -> None:
    with Issuer() as issuer:
        tokens = [_token_of(issuer, number) for number in range(TOKENS)]
        token = _token_of(issuer, -1)
        with _app(issuer) as one, _app(issuer) as many:
            _show(one, [token])
            _show(many, [token, *tokens])
            _weigh_tokens(report, many, tokens)
            with _app(issuer) as some:
                _show(some, [token])
                _weigh_users(report, some, tokens[:USERS])
            _show(many, [token])
            _time(report, one, many, token, tokens)


@contextmanager
def _app(issuer: Issuer) -> Iterator[Flask]:
    """An app that remembers all of them, and whose users wait for no disk: none of them is timed."""

    def connected(connection: Any, record: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    with protected_app(issuer, config=_LASTING) as app:
        with app.app_context():
            sa.event.listen(app.extensions["sqlalchemy"].engine, "connect", connected)
        yield app


def _token_of(issuer: Issuer, number: int) -> str:
    """Another user's for each `number`, whose claims differ as those of people do."""
    some = random.Random(number)
    given, family = f"Ann{number}", f"Miller{number}"
    return keycloak_token(
        issuer,
        sub=_uuid(some),
        sid=_uuid(some),
        name=f"{given} {family}",
        given_name=given,
        family_name=family,
        preferred_username=given.lower(),
        email=f"{given.lower()}@example.com",
    )


def _uuid(some: random.Random) -> str:
    digits = f"{some.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


# ---- bytes


def _weigh_tokens(report: Report, app: Flask, tokens: Sequence[str]) -> None:
    """Of an app that has met them all."""
    _forget_tokens(app)
    weight = _weight_of(lambda: _show(app, tokens))
    size = sum(map(len, tokens)) / len(tokens)
    note = f"of {len(tokens):,} different tokens of different users, each of {size:.0f} characters"
    report.add(_figure("a cached token", weight / len(tokens), limit=LIMIT, note=note))


def _weigh_users(report: Report, app: Flask, tokens: Sequence[str]) -> None:
    """Of an app that has met none of them."""

    def meet(*forget: Callable[[Flask], object]) -> float:
        """Bytes that are left of each, once what is to be forgotten is."""

        def work() -> None:
            _show(app, tokens)
            for each in forget:
                each(app)

        return _weight_of(work) / len(tokens)

    user = meet(_forget_tokens)
    _forget_users(app)
    orphan = meet(_forget_users)
    note = "what policies see of one who was made of the claims of such a token"
    report.add(_figure("a remembered user", user, note=note))
    note = "it must not keep what was known of the user"
    report.add(_figure("a cached token whose user is forgotten", orphan, limit=LIMIT, note=note))


def _weight_of(work: Callable[[], object]) -> int:
    """Bytes that are allocated during `work` and still in use after it."""
    tracemalloc.start()
    try:
        gc.collect()
        at_first, _ = tracemalloc.get_traced_memory()
        work()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - at_first
    finally:
        tracemalloc.stop()


def _forget_tokens(app: Flask) -> None:
    _runtime_of(app)._tokens.clear()  # noqa: SLF001 - nobody else needs to forget them and not their users


def _forget_users(app: Flask) -> None:
    _runtime_of(app).users.forget_all()


def _runtime_of(app: Flask) -> Runtime:
    runtime: Runtime = app.extensions["foreign_token"].runtime()
    return runtime


def _figure(name: str, value: float, *, limit: float | None = None, note: str) -> Figure:
    return Figure(_BYTES, name, value, "B", value, value, limit, note=note)


# ---- time


def _time(report: Report, one: Flask, many: Flask, token: str, tokens: Sequence[str]) -> None:
    """
    :param one: an app that knows `token` alone.
    :param many: one that knows the others as well.
    """
    only = environ(token)
    # In pairs, so that those of both lie about in memory in the same way.
    pairs = [(environ(token), environ(other)) for other in tokens]
    samples = interleaved(
        {
            "one": lambda: ask(one, only),
            "many": lambda: ask(many, only),
            "one, cold": _in_random_order(one, [copy for copy, _ in pairs]),
            "many, cold": _in_random_order(many, [each for _, each in pairs]),
        },
        number=100,
        rounds=200,
    )
    _tell(report, "the same one is shown again and again", samples["many"], samples["one"])
    _tell(report, "each is shown", samples["many, cold"], samples["one, cold"], note=_COLD)


def _tell(report: Report, name: str, sample: Sample, other: Sample, note: str = "") -> None:
    report.ratio(_SPEED, f"{name}, to one cached token", sample, to=other, limit=1.05, note=note)


def _in_random_order(app: Flask, environs: Sequence[Environ]) -> Callable[[], int]:
    order = itertools.cycle(random.Random(0).sample(environs, len(environs)))
    return lambda: ask(app, next(order))


# ---- both


def _show(app: Flask, tokens: Sequence[str]) -> None:
    """Make a request with each of `tokens`.

    :raises AssertionError: one is refused.
    """
    for token in tokens:
        assert ask(app, environ(token)) == 200


if __name__ == "__main__":
    report = Report()
    measure(report)
    sys.exit(report.missed > 0)
