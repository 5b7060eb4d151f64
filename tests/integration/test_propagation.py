"""A change reaches every worker in time, while all of them are busy and thousands of policies are stored."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import requests
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_foreign_token import ForeignToken
from flask_foreign_token.registry.edits import Edit
from flask_foreign_token.testing import Issuer

from ..apps import Resource, bearer, policy, trusting
from .databases import Databases
from .serving import served

WORKERS = 4
CALLERS = 4
PAUSE = 0.02
"""Seconds between two requests of a caller: workers are to be busy, and not to queue for a processor."""
POLICIES = 10_000
POLL = 1.0
SLACK = 0.5
CHANGES = 100 if os.environ.get("LONG") else 10
"""``make test-long`` tries as often as the numbers of the project ask."""

OPERATOR = ("operator", "at-least-sixteen-bytes")
ARGUMENTS = ["--workers", str(WORKERS), "--worker-class", "gthread", "--threads", "4"]

WSGI = """
import os
from flask import Flask
from flask_foreign_token import ForeignToken, require_policy

app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE"]
ForeignToken(app)

@app.get("/always")
@app.get("/switched")
@require_policy
def view():
    return {}

@app.after_request
def tell_who(response):
    response.headers["Pid"] = str(os.getpid())
    return response
"""


class Seen(NamedTuple):
    """One answer, and when it was asked for, in seconds of the monotonic clock."""

    asked_at: float
    path: str
    status: int
    pid: str


@pytest.mark.parametrize("kind", ["postgresql", "mariadb", "sqlite-wal"])
def test_every_worker_knows_a_change_in_time(
    databases: Databases, tmp_path: Path, own_issuer: Issuer, kind: str
) -> None:
    database = databases.empty(kind, tmp_path)
    (tmp_path / "wsgi.py").write_text(WSGI)
    others = [policy(f"p-{number}", {"uri": f"/rooms/{number}"}) for number in range(POLICIES)]
    store(tmp_path, database, *trusting(own_issuer, policy("always", {"uri": "/always"})), switch(False), *others)
    variables = {
        "DATABASE": database,
        "FOREIGN_TOKEN_ADMIN_URL_PREFIX": "/fhir",
        "FOREIGN_TOKEN_ADMIN_CLIENT_ID": OPERATOR[0],
        "FOREIGN_TOKEN_ADMIN_CLIENT_SECRET": OPERATOR[1],
    }
    token = own_issuer.token(algorithm="ES256", sub="ann")
    with served(tmp_path, *ARGUMENTS, **variables) as address, asking(address, token) as answers:
        wait_for(lambda: len({seen.pid for seen in answers}) == WORKERS, within=60)
        for number in range(CHANGES):
            is_on = number % 2 == 0
            before = len(answers)
            sent_at = time.monotonic()
            writer = put(address, switch(is_on))
            written_at = time.monotonic()
            wait_for(lambda at=written_at: all_heard(answers, at + POLL + SLACK), within=30)
            judge(answers[before:], is_on, sent_at, written_at, writer)
    assert Counter(seen.status for seen in answers if seen.path == "/always").keys() == {200}
    assert {seen.status for seen in answers} == {200, 403}


def judge(answers: list[Seen], is_on: bool, sent_at: float, written_at: float, writer: str) -> None:
    """Every answer is the old one or the new one, and the new one where it must be."""
    old, new = (403, 200) if is_on else (200, 403)
    switched = [seen for seen in answers if seen.path == "/switched"]
    assert {seen.status for seen in switched} <= {old, new}
    early = [seen for seen in switched if seen.asked_at > written_at and seen.pid == writer and seen.status != new]
    assert not early, "the worker that wrote it did not know it with the next request"
    late = [
        seen.asked_at - written_at
        for seen in switched
        if seen.asked_at > written_at + POLL + SLACK and seen.status != new
    ]
    assert not late, f"so many seconds after the change the old answer still came: {late}"
    assert [seen for seen in switched if seen.asked_at > sent_at and seen.status == new]


def all_heard(answers: list[Seen], since: float) -> bool:
    """Whether every worker has answered about the switch since then."""
    heard = {seen.pid for seen in answers[-2000:] if seen.asked_at > since and seen.path == "/switched"}
    return len(heard) == WORKERS


def switch(is_on: bool) -> Resource:
    return policy("switch", {"uri": "/switched"}, active=is_on)


def put(address: str, body: Resource) -> str:
    """Store a policy; the worker that did it."""
    url = f"{address}/fhir/AccessPolicy/{body['id']}"
    answer = requests.put(url, json=body, auth=OPERATOR, timeout=30)
    assert answer.status_code == 200, answer.text
    return str(answer.headers["Pid"])


@contextmanager
def asking(address: str, token: str) -> Iterator[list[Seen]]:
    """What callers are answered while the block lasts."""
    answers: list[Seen] = []
    over = threading.Event()

    def go_on() -> None:
        while not over.is_set():
            # A connection of its own for each, so that any worker may have it.
            for path in ("/switched", "/always"):
                asked_at = time.monotonic()
                answer = requests.get(f"{address}{path}", headers={**bearer(token), "Connection": "close"}, timeout=30)
                answers.append(Seen(asked_at, path, answer.status_code, answer.headers["Pid"]))
                time.sleep(PAUSE)

    with ThreadPoolExecutor(CALLERS) as pool:
        callers = [pool.submit(go_on) for _ in range(CALLERS)]
        try:
            yield answers
        finally:
            over.set()
        for caller in callers:
            caller.result()


def wait_for(holds: Callable[[], bool], *, within: float) -> None:
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"it did not come about within {within:.0f} seconds")
        time.sleep(0.02)


def store(folder: Path, database: str, *bodies: Resource) -> None:
    """Write resources into a database that no worker uses yet."""
    app = Flask("operator", instance_path=str(folder))
    app.config["SQLALCHEMY_DATABASE_URI"] = database
    db = SQLAlchemy(app)
    ForeignToken(app, db=db)
    with app.app_context():
        app.extensions["foreign_token"].runtime().catalog.apply(Edit(bodies))
        db.engine.dispose()
