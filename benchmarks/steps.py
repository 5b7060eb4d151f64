"""Where the time goes in one hot request: built up step by step, and the parts of a step by themselves.

Each step is an app that does one thing more than the one before it; what the step takes is the difference, round by
round. The token was seen before, and its user is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from hashlib import sha256
from itertools import pairwise

from flask import Flask, Request
from flask_sqlalchemy import SQLAlchemy

from flask_foreign_token import credentials
from flask_foreign_token.caching import Cache
from flask_foreign_token.testing import Issuer

from .bare import View, bare_app, new_room, route
from .harness import WARM_UP, Figure, Report, Sample, Work, interleaved, spread
from .subjects import (
    asking,
    check,
    environ,
    keycloak_token,
    protected_app,
    request_policy,
    token_policy,
)

STEPS_GROUP = "Where the time of one hot request goes, step by step"
PARTS_GROUP = "Parts of the step that finds out who asks, by themselves"

FLASK = "Flask itself: routing, the view, its answer as JSON"
HOOK = "the hook before a request, which has no token"
IDENTITY = "who asks: the header, the hash, the look-up, the compares, the user"
GUARD = "the guard of the view, and a policy that allows everything"
TOKEN_POLICY = "a policy that compares the issuer, in place of that"
REQUEST_POLICY = "a policy that compares the uri and the method as well, in place of that"
IN_ALL = "in all"
SESSION = "beside it, in an app with sessions: Flask-SQLAlchemy, which ends that of each request"

NUMBER, ROUNDS = 20, 400
MANY = 1000
"""Calls in a round of the parts, which take less than a microsecond."""
CACHED = 10_000


def measure(report: Report) -> None:
    """Tell what each step takes, as a part of what bare Flask takes."""
    with ExitStack() as stack:
        issuer = stack.enter_context(Issuer())
        token = keycloak_token(issuer)
        steps, parts = steps_of(stack, issuer, token), parts_of(token)
        sessions = {SESSION: asking(app_with_sessions(), environ(token))}
        works, numbers = {**steps, **sessions, **parts}, dict.fromkeys(parts, MANY)
        samples = interleaved(works, number=NUMBER, rounds=ROUNDS, numbers=numbers, warm_up=WARM_UP)
    bare = samples[FLASK]
    report.time(STEPS_GROUP, FLASK, bare)
    names = list(steps)
    for before, name in pairwise(names):
        report.add(share(STEPS_GROUP, name, bare, samples[name], samples[before]))
    report.add(share(STEPS_GROUP, IN_ALL, bare, samples[names[-1]], bare))
    report.add(share(STEPS_GROUP, SESSION, bare, samples[SESSION], bare))
    for name in parts:
        report.add(share(PARTS_GROUP, name, bare, samples[name]))


def steps_of(stack: ExitStack, issuer: Issuer, token: str) -> Mapping[str, Work]:
    """Requests to apps of which each does more than the one before."""
    allowing = {"resourceType": "AccessPolicy", "id": "allow", "engine": "allow"}
    open_app = stack.enter_context(protected_app(issuer, guard=unguarded))
    guarded = {
        name: stack.enter_context(protected_app(issuer, [policy]))
        for name, policy in (
            (GUARD, allowing),
            (TOKEN_POLICY, token_policy(issuer)),
            (REQUEST_POLICY, request_policy(issuer)),
        )
    }
    for name in (TOKEN_POLICY, REQUEST_POLICY):
        check(guarded[name], token)
    request = environ(token)
    return {
        FLASK: asking(bare_app(), request),
        HOOK: asking(open_app, environ(None)),
        IDENTITY: asking(open_app, request),
        **{name: asking(app, request) for name, app in guarded.items()},
    }


def unguarded(view: View) -> View:
    """The view itself, which no policy decides on."""
    return view


def app_with_sessions() -> Flask:
    """The bare app with a database that it does not use."""
    app = Flask("clinic")
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    SQLAlchemy(app)
    route(app, new_room())
    return app


def parts_of(token: str) -> Mapping[str, Callable[[], object]]:
    """What finding out who asks is made of."""
    cache: Cache[str] = Cache(2 * CACHED)
    keys = [sha256(str(number).encode()).digest() for number in range(CACHED)]
    for key in keys:
        cache.put(key, "token", float("inf"))
    return {
        "reading the header": partial(credentials.read, Request(environ(token))),
        "the hash of the token": lambda: sha256(token.encode()).digest(),
        f"the look-up among {CACHED:,}": partial(cache.get, keys[CACHED // 2]),
    }


def share(group: str, name: str, bare: Sample, sample: Sample, before: Sample | None = None) -> Figure:
    """What `sample` takes more than `before`, in percent of what `bare` takes, in the same rounds."""
    start = before.seconds if before else (0.0,) * len(bare.seconds)
    more = [mine - others for mine, others in zip(sample.seconds, start, strict=True)]
    median, low, high = spread([100 * taken / whole for taken, whole in zip(more, bare.seconds, strict=True)])
    return Figure(group, name, median, "%", low, high, note=f"{spread(more).median * 1e6:.2f} µs")
