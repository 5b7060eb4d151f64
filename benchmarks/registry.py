"""What it takes to load and to change a registry of 10 000 policies in a database.

The database is an SQLite file, so that what counts is what this package does.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import sqlalchemy as sa
from flask import Flask

from flask_foreign_token import ForeignToken
from flask_foreign_token.registry.edits import Edit
from flask_foreign_token.runtime import Runtime

from .harness import Report, Sample, seconds_of
from .subjects import Body, close, policy

MANY = 10_000
GROUP = f"A registry of {MANY:,} policies"
MINE = 7
"""The number of the policy that is changed."""
TUTORIAL = "http://localhost:8180/realms/myrealm"
CHANGES, STARTS = 20, 5


def measure(report: Report) -> None:
    """All of them stored, one of them changed, all of them loaded."""
    with tempfile.TemporaryDirectory() as folder, worker(folder) as first:
        filling(report, first)
        changing(report, folder, first)
        loading(report, folder)


def by_uri(number: int) -> Body:
    """The size that the limits of time and memory are meant for."""
    return policy(f"p-{number}", {"jwt": {"iss": TUTORIAL}, "uri": f"/fhir/Patient/{number}", "request-method": "get"})


@contextmanager
def worker(folder: str) -> Iterator[Runtime]:
    """What one worker of an app that keeps its registry in a database holds, with nothing loaded yet."""
    app = Flask("clinic", root_path=folder, instance_path=folder)
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{folder}/clinic.sqlite"
    ForeignToken(app)
    with app.app_context():
        runtime: Runtime = app.extensions["foreign_token"].runtime()
        runtime.prepare_tables()
        yield runtime
    close(app)


def filling(report: Report, runtime: Runtime) -> None:
    """All policies stored by one edit."""
    edit = Edit([by_uri(number) for number in range(MANY)])
    taken = Sample((seconds_of(lambda: runtime.catalog.apply(edit)),))
    report.time(GROUP, "all of them stored by one edit", taken, "ms")


def changing(report: Report, folder: str, writer: Runtime) -> None:
    """One of them changed by one worker, and learned of by another."""
    numbers = count()

    def change() -> None:
        writer.catalog.apply(Edit([by_uri(MINE) | {"description": str(next(numbers))}]))

    with worker(folder) as reader:
        reader.registry.load()
        taken = [(seconds_of(change), seconds_of(reader.registry.refresh)) for _ in range(CHANGES)]
    written, learned = (Sample(seconds) for seconds in zip(*taken, strict=True))
    report.time(GROUP, "one changed, in a worker that is told by the feed", learned, "ms", limit=50)
    report.time(GROUP, "one changed, in the worker that writes it", written, "ms")


def loading(report: Report, folder: str) -> None:
    """All of them loaded by a worker that begins, beside what no worker can do without: their rows read as JSON."""
    taken = []
    for _ in range(STARTS):
        with worker(folder) as beginner:
            taken.append((seconds_of(beginner.registry.load), seconds_of(lambda: rows_of(folder))))
    loaded, read = (Sample(seconds) for seconds in zip(*taken, strict=True))
    report.time(GROUP, "all of them loaded by a worker that begins", loaded, "ms", limit=3000)
    report.ratio(GROUP, "the same, beside `SELECT` and `json.loads` alone", loaded, to=read)


def rows_of(folder: str) -> list[Any]:
    """What every resource says."""
    engine = sa.create_engine(f"sqlite:///{folder}/clinic.sqlite", poolclass=sa.NullPool)
    with engine.connect() as connection:
        return [json.loads(body) for (body,) in connection.execute(sa.text("SELECT body FROM foreign_token_resource"))]
