"""gunicorn with :mod:`.enduring_app`, a registry that trusts an issuer, and one user who is not active."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import requests
import sqlalchemy as sa

from flask_foreign_token.testing import Issuer

from .. import apps
from ..conftest import wait_for_background
from . import enduring_app
from .callers import DEACTIVATED, Answer, Caller, ask, newcomer, once_each, resources
from .databases import counts
from .enduring_app import GUNICORN, THREADS, WORKERS
from .racing_app import TABLES
from .serving import served
from .waiting import until

APP = f"{enduring_app.__name__}:create()"
AT_ONCE = WORKERS * THREADS
"""Requests that take up every thread of every worker."""
TTL = 1
"""Seconds for which keys and answers count: so few that they are asked for again and again."""


@contextmanager
def enduring(
    folder: Path,
    issuer: Issuer,
    database: str,
    *arguments: str,
    cache_ttl: int = TTL,
    log: list[str] | None = None,
    **variables: str,
) -> Iterator[str]:
    """The address of workers that have seen nobody yet.

    :param database: an empty one.
    :param arguments: more of them for gunicorn.
    :param log: gets gunicorn's lines in the end.
    :param variables: the environment of the app.
    """
    furnish(folder, issuer, database, cache_ttl)
    with served(folder, *GUNICORN, *arguments, app=APP, log=log, DATABASE=database, **variables) as address:
        until_all_live(address)
        yield address


def until_all_live(address: str) -> None:
    """Wait until every worker has answered, of which none asks anybody for anything."""

    def pid(_: int) -> str:
        return requests.get(f"{address}/fhir/health/live", timeout=30).headers["Pid"]

    seen: set[str] = set()

    def look() -> int:
        seen.update(pool.map(pid, range(AT_ONCE)))
        return len(seen)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        # Many at once, since whoever has just answered is the likeliest to take the next one.
        until(lambda number: number == WORKERS, look, within=30)


def sharing(url: str) -> dict[str, str]:
    """The settings of workers that share a cache."""
    return {"FOREIGN_TOKEN_CACHE_URL": url, "FOREIGN_TOKEN_CACHE_KEY": "32 bytes or more, which no stranger has"}


def furnish(folder: Path, issuer: Issuer, database: str, cache_ttl: int) -> None:
    """Store what is trusted, and a user who is not active."""
    app = enduring_app.app_with(database, folder)
    apps.store(app, resources(issuer, cache_ttl=cache_ttl))
    assert apps.ask(app, issuer.token(algorithm="ES256", sub=DEACTIVATED), "/me").status_code == 200
    ((key,),) = apps.rows(app, "SELECT id FROM foreign_token_user")
    done = app.test_cli_runner().invoke(args=["foreign-token", "users", "deactivate", str(key)])
    assert done.exit_code == 0, done.output
    wait_for_background()
    with app.app_context():
        apps.database_of(app).engine.dispose()


class Connection(NamedTuple):
    """One that a worker has begun.

    :param at: when, in seconds of the monotonic clock.
    """

    at: float
    pid: int


def connections(folder: Path, port: int, since: float = 0.0) -> list[Connection]:
    """What workers have begun to a port from some moment on, in the order in which they did."""
    file = folder / enduring_app.CONNECTIONS
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    found = [Connection(float(at), int(pid)) for at, pid, to in lines if int(to) == port]
    return [connection for connection in found if connection.at >= since]


def port_of(issuer: Issuer) -> int:
    return int(urlsplit(issuer.url).port or 0)


def users_in(database: str) -> list[str]:
    """The subjects of all users, sorted, but for those that there were before. No user has none, and none has two."""
    engine = sa.create_engine(database, poolclass=sa.NullPool)
    with engine.connect() as connection:
        statement = sa.text("SELECT value FROM foreign_token_identifier")
        subjects = sorted(connection.execute(statement).scalars())
    assert counts(database, TABLES["default"]) == (len(subjects), len(subjects))
    return [subject for subject in subjects if subject not in ("ann", DEACTIVATED)]


def assert_nobody_is_lost(address: str, database: str, answers: list[Answer], newcomers: Caller) -> None:
    """Whoever was let in is a user; whoever was not becomes one now; and each of them once.

    :param answers: those that `newcomers` got.
    """
    let_in = {answer.subject for answer in answers if answer.status == 200}
    assert let_in <= set(users_in(database))
    assert {ask(address, newcomers, number).status for number in once_each(answers)} == {200}
    assert users_in(database) == sorted({newcomer(answer.number) for answer in answers})
