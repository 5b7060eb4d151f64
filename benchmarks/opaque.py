"""What a request with an opaque token costs beside bare Flask, by where the answer about the token is found.

The provider is the testing issuer, in a thread of this process. Ratios are of the work of the app's thread alone: while
it waits for the provider or for Redis, its clock stands. Beside them stands how long such a request takes by the wall;
that has the waiting in it, and the provider's work, which takes turns with the app's.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack

from flask import Flask

from flask_foreign_token.testing import Issuer
from tests.integration.servers import program, redis

from .harness import WARM_UP, Report, Work, interleaved
from .subjects import (
    SUBJECT,
    Environ,
    ask,
    asking,
    asking_once_each,
    bare_app,
    environ,
    policy,
    protected_app,
    trust_in,
)

GROUP = "An opaque token, in process, beside bare Flask"
TIMES = "An opaque token, by the wall"
BARE = "bare Flask, which protects nothing"
SEEN = "seen before"
REMEMBERED = "forgotten, its answer remembered in this process"
INACTIVE = "not active, remembered in this process: 401"
SHARED = "new here, its answer in the shared cache"
ASKED = "new everywhere: the provider is asked"
NUMBER, ROUNDS = 20, 60
FEW = {SHARED: 2, ASKED: 2}
"""Calls in a round of those that use a token up."""
SERVER = "redis-server"


def measure(report: Report) -> None:
    """Each place in which an answer can be."""
    with ExitStack() as stack:
        issuer = stack.enter_context(Issuer())
        has_redis = program(SERVER) is not None
        works = {**works_alone(stack, issuer), **(works_shared(stack, issuer) if has_redis else {})}
        samples = interleaved(works, number=NUMBER, rounds=ROUNDS, numbers=FEW, warm_up=WARM_UP)
        by_wall = {name: work for name, work in works.items() if name == SEEN or name in FEW}
        clock = time.perf_counter
        waited = interleaved(by_wall, number=NUMBER, rounds=ROUNDS, numbers=FEW, clock=clock, warm_up=WARM_UP)
    for name in (SEEN, REMEMBERED, INACTIVE, SHARED, ASKED):
        if name in samples:
            report.ratio(GROUP, name, samples[name], to=samples[BARE])
        else:
            report.remark(GROUP, name, f"not installed on this machine: no {SERVER}")
    for name, sample in waited.items():
        report.time(TIMES, name, sample)


def works_alone(stack: ExitStack, issuer: Issuer) -> Mapping[str, Work]:
    """Those of an app that shares nothing."""
    app = opened(stack, issuer)
    token = issuer.opaque_token(sub=SUBJECT, lifetime=3600)
    good = environ(token)
    revoked = issuer.opaque_token(sub=SUBJECT, lifetime=3600)
    issuer.revoke(revoked)
    bad = environ(revoked)
    with app.app_context():
        runtime = app.extensions["foreign_token"].runtime()

    def remember() -> int:
        # As if so many others had come meanwhile that this one has no place any more.
        runtime._tokens.clear()  # noqa: SLF001
        return ask(app, good)

    assert (ask(app, good), remember(), ask(app, bad)) == (200, 200, 401)
    return {
        BARE: asking(bare_app(), good),
        SEEN: asking(opened_to(stack, issuer, good), good),
        REMEMBERED: remember,
        INACTIVE: asking(app, bad),
        ASKED: asking_once_each(app, new_tokens(issuer)),
    }


def works_shared(stack: ExitStack, issuer: Issuer) -> Mapping[str, Work]:
    """That of a worker whose tokens another worker has asked about."""
    config = {"FOREIGN_TOKEN_CACHE_URL": stack.enter_context(redis()), "FOREIGN_TOKEN_CACHE_KEY": "k" * 32}
    first, second = (opened(stack, issuer, config) for _ in range(2))
    requests = new_tokens(issuer)
    assert {ask(first, request) for request in requests} == {200}
    asked = issuer.requests["introspection"]
    work = asking_once_each(second, requests)
    assert work() == 200
    assert issuer.requests["introspection"] == asked, "the answer is not found in the shared cache"
    return {SHARED: work}


def opened_to(stack: ExitStack, issuer: Issuer, request: Environ) -> Flask:
    """An app that has taken this very request."""
    app = opened(stack, issuer)
    assert ask(app, request) == 200
    return app


def opened(stack: ExitStack, issuer: Issuer, config: Mapping[str, object] | None = None) -> Flask:
    """An app that asks `issuer` about tokens; its policy reads nothing but what it is told."""
    allowed = policy("answer", {"token": {"iss": issuer.issuer}})
    return stack.enter_context(protected_app(issuer, [allowed], trust=trust_in(issuer, "opaque"), config=config))


def new_tokens(issuer: Issuer) -> list[Environ]:
    """A request for each call of one work, by both clocks, and one more."""
    number = 2 * (FEW[ASKED] + (WARM_UP + FEW[ASKED]) * ROUNDS) + 1
    return [environ(token) for token in tokens(issuer, number)]


def tokens(issuer: Issuer, number: int) -> Iterable[str]:
    return (issuer.opaque_token(sub=SUBJECT, lifetime=3600) for _ in range(number))
