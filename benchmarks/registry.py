"""What it takes to load and to change a registry of 10 000 policies in a database.

::

    python -m benchmarks.registry

prints what it measured, each beside its limit, and exits with 1 where one is missed. The database is an SQLite file, so
that what counts is what this package does. Times are those of the processor; of all turns the fastest counts.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from flask import Flask

from flask_foreign_token.registry.edits import Edit
from flask_foreign_token.runtime import Runtime

from .policies import MANY, MINE, by_uri, close, make_app
from .reporting import Report, timer


def main() -> int:
    report = Report()
    with tempfile.TemporaryDirectory() as folder, worker(folder) as first:
        filling(report, first)
        changing(report, folder, first)
        loading(report, folder)
    return 1 if report.missed else 0


@contextmanager
def worker(folder: str) -> Iterator[Runtime]:
    """What one worker holds that has loaded nothing yet."""
    app: Flask = make_app(folder)
    with app.app_context():
        yield app.extensions["foreign_token"].runtime()
    close(app)


def filling(report: Report, runtime: Runtime) -> None:
    """All policies stored by one edit."""
    runtime.prepare_tables()
    taken = timer(lambda: runtime.catalog.apply(Edit([by_uri(number) for number in range(MANY)]))).timeit(1)
    report.line(f"{MANY:,} policies applied", taken * 1e3, "ms")


def changing(report: Report, folder: str, writer: Runtime) -> None:
    """One of them changed by one worker, and learned of by another."""
    numbers = count()

    def change() -> None:
        writer.catalog.apply(Edit([by_uri(MINE) | {"description": str(next(numbers))}]))

    with worker(folder) as reader:
        reader.registry.load()
        written, learned = [], []
        for _ in range(10):
            written.append(timer(change).timeit(1))
            learned.append(timer(reader.registry.refresh).timeit(1))
    report.line("one of them changed, in a worker that is told by the feed", min(learned) * 1e3, "ms", 50)
    report.line("one of them changed, in the worker that writes it", min(written) * 1e3, "ms")


def loading(report: Report, folder: str) -> None:
    """All of them loaded by a worker that begins."""
    taken = []
    for _ in range(3):
        with worker(folder) as beginner:
            beginner.prepare_tables()
            taken.append(timer(beginner.registry.load).timeit(1))
    report.line("all of them loaded from nothing", min(taken) * 1e3, "ms", 3000)


if __name__ == "__main__":
    sys.exit(main())
