"""What it takes to make a user: the first request of somebody whom nobody has seen before, on each database.

Beside it stands what every way of keeping somebody needs: one row inserted and committed, through SQLAlchemy, in the
same database. The clock is that of the wall, since the database works while the app waits for it. The request includes
the check of its token; nobody is asked about the user, since the token says it all.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count

import sqlalchemy as sa

from flask_foreign_token.testing import Issuer
from tests.integration.servers import SERVERS, program

from .harness import Report, Work, interleaved
from .subjects import (
    SUBJECT,
    app_in,
    asking_once_each,
    check,
    close,
    environ,
    keycloak_token,
    token_policy,
    trust_in,
    write_registry,
)

GROUP = "A user who is made, by database"
PROGRAMS: Mapping[str, Sequence[str]] = {
    "SQLite": (),
    "PostgreSQL": ("initdb", "pg_ctl"),
    "MariaDB": ("mariadb-install-db", "mariadbd"),
}
"""Each database, and what starts its server."""
NOTES = {"SQLite": "a file, with its default journal", "PostgreSQL": "`fsync` is off"}
NUMBER, ROUNDS = 10, 20


def measure(report: Report) -> None:
    """A user on each database that this machine has."""
    with Issuer() as issuer:
        for kind, programs in PROGRAMS.items():
            absent = [name for name in programs if program(name) is None]
            if absent:
                report.remark(GROUP, kind, f"not installed on this machine: no {', '.join(absent)}")
            else:
                one(report, issuer, kind)


def one(report: Report, issuer: Issuer, kind: str) -> None:
    """A user on one kind of database."""
    with (
        tempfile.TemporaryDirectory() as folder,
        database(kind, folder) as url,
        making(issuer, folder, url) as make,
        inserting(url) as insert,
    ):
        works = {"made": make, "inserted": insert}
        samples = interleaved(works, number=NUMBER, rounds=ROUNDS, clock=time.perf_counter)
    made, inserted = samples["made"], samples["inserted"]
    report.time(GROUP, f"{kind}: the first request of a new user", made, "ms", note=NOTES.get(kind, ""))
    report.time(GROUP, f"{kind}: one row inserted and committed", inserted, "ms")
    report.ratio(GROUP, f"{kind}: ratio", made, to=inserted)


@contextmanager
def database(kind: str, folder: str) -> Iterator[str]:
    """The URL of an empty database."""
    if kind == "SQLite":
        yield f"sqlite:///{folder}/users.sqlite"
    else:
        with SERVERS[kind.lower()]() as url:
            yield url


@contextmanager
def making(issuer: Issuer, folder: str, url: str) -> Iterator[Work]:
    """A request of another new user each time."""
    write_registry(folder, [*trust_in(issuer), token_policy(issuer)])
    app = app_in(folder, config={"SQLALCHEMY_DATABASE_URI": url})
    check(app, keycloak_token(issuer))
    number = NUMBER * (ROUNDS + 1)
    newcomers = [environ(keycloak_token(issuer, sub=f"{SUBJECT[:-4]}{n:04}")) for n in range(number)]
    try:
        yield asking_once_each(app, newcomers)
        assert users_in(url) == number + 1
    finally:
        close(app)


@contextmanager
def inserting(url: str) -> Iterator[Work]:
    """Another row each time."""
    engine = sa.create_engine(url)
    columns = (sa.Column("id", sa.String(64), primary_key=True), sa.Column("body", sa.Text))
    table = sa.Table("bare", sa.MetaData(), *columns)
    table.create(engine)
    numbers, body = count(), json.dumps({"sub": SUBJECT, "name": "Test User", "email": "testuser@example.com"})
    statement = table.insert()

    def insert() -> None:
        with engine.begin() as connection:
            connection.execute(statement, {"id": f"{next(numbers):064}", "body": body})

    try:
        yield insert
    finally:
        engine.dispose()


def users_in(url: str) -> int:
    """How many there are."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return int(connection.scalar(sa.text("SELECT count(*) FROM foreign_token_user")) or 0)
