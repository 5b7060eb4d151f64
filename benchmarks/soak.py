"""Mixed load on two workers of gunicorn, and whether their memory stays as it is: ``python -m benchmarks.soak``.

Callers of every sort (:mod:`.soak_load`) ask a gunicorn (gthread, 2 workers) on this machine for ten minutes, while an
operator edits the registry and the provider rotates its keys. The caches are so small that they are full in the first
third, as they are in a process that has run for long; the resident memory of the workers is read every second. It
counts as flat where the median of the last third is within 2 % of that of the second: the median, since what a garbage
collection or an edit takes for a moment is none of it.

The exit status is 1 where memory is not flat, the caches were not full, a worker was replaced, or a request was
answered with another status than the one expected of it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask, current_app, g

from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.testing import Issuer

from .servers import port_in
from .soak_load import ADMIN, CLOSED, OPERATOR, PASSWORD, ROW, Load
from .subjects import new_room, route, trust_in

WORKERS = 2
FLAT = 0.02
"""By which part of the second third the last may differ from it."""

_ROOT = Path(__file__).parents[1]
_FOLDER = "SOAK_FOLDER"
_CACHED = "/cached"
_SIZE_PER_MINUTE = 30
"""Entries of a cache for each minute of the run: it is full after a minute and a half of ten on a slow machine."""
_LEAST_SIZE = 100
"""The least that the setting takes."""

Samples = Sequence[tuple[float, Mapping[int, int]]]
"""Seconds since the beginning, and the resident bytes of each worker."""


def app() -> Flask:
    """The app that gunicorn serves; resources and users are in SQLite."""
    folder = os.environ[_FOLDER]
    made = Flask("clinic", root_path=folder, instance_path=folder)
    made.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{folder}/clinic.sqlite"
    ForeignToken(made)
    route(made, require_policy(new_room()))

    @made.get(ROW)
    @require_policy
    def me() -> dict[str, object]:
        return {"user": str(sa.inspect(g.user).identity[0])}

    @made.get(CLOSED)
    @require_policy("closed")
    def closed() -> dict[str, object]:
        return {}

    @made.get(_CACHED)
    def cached() -> dict[str, object]:
        return {"pid": os.getpid(), **current_app.extensions["foreign_token"].runtime().cached()}

    with made.app_context():
        sa.event.listen(made.extensions["sqlalchemy"].engine, "connect", _connected)
    return made


def _connected(connection: Any, record: object) -> None:
    # As many pages as SQLite keeps by itself, 2 MB in each connection, would fill up as users come, and look like a
    # leak. And it is not the disk that is tried here.
    connection.execute("PRAGMA cache_size = -128")
    connection.execute("PRAGMA synchronous = OFF")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="Whether memory stays as it is.")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long, at least 1; default: 10")
    minutes = max(1.0, parser.parse_args(arguments).minutes)
    if not Path("/proc/self/status").exists():
        parser.error("the memory of a process is read from /proc, which only Linux has")
    size = max(_LEAST_SIZE, round(_SIZE_PER_MINUTE * minutes))
    with Issuer() as issuer, tempfile.TemporaryDirectory() as folder, _gunicorn(folder, size) as (pid, port):
        load = Load(issuer, port, trust_in(issuer))
        load.set_up()
        watch = _Watch(pid, port, minutes * 60)
        load.run(minutes * 60, watch.look)
        faults = [*_faults_of_load(load), *_faults_of_workers(watch, size)]
    _tell(load, watch, minutes)
    for fault in faults:
        print(f"- {fault}")
    print("\n" + ("Memory is flat, and every request was answered as expected." if not faults else "Failed."))
    return 1 if faults else 0


@contextmanager
def _gunicorn(folder: str, size: int) -> Iterator[tuple[int, int]]:
    """A gunicorn that runs as long as the block: its process, and its port."""
    settings = {
        "ADMIN_URL_PREFIX": ADMIN,
        "ADMIN_CLIENT_ID": OPERATOR,
        "ADMIN_CLIENT_SECRET": PASSWORD,
        "TOKEN_CACHE_SIZE": str(size),
    }
    environment = {
        **os.environ,
        _FOLDER: folder,
        **{f"FOREIGN_TOKEN_{name}": value for name, value in settings.items()},
    }
    command = (
        *(sys.executable, "-m", "gunicorn", "benchmarks.soak:app()", "--bind", "127.0.0.1:0", "--no-control-socket"),
        *("--workers", str(WORKERS), "--worker-class", "gthread", "--threads", "4", "--keep-alive", "60"),
    )
    log = Path(folder, "log")
    with log.open("w") as written, log.open() as read:
        process = subprocess.Popen(command, cwd=_ROOT, env=environment, stderr=written)
        try:
            yield process.pid, port_in(_lines(read, process))
        finally:
            process.terminate()
            process.wait(60)
            print(_end_of(log))


def _lines(log: Any, process: subprocess.Popen[bytes]) -> Iterator[str]:
    """The lines of a log that is being written, as they come."""
    while process.poll() is None:
        line = log.readline()
        if line:
            yield line
        else:
            time.sleep(0.05)


def _end_of(log: Path) -> str:
    """What was logged besides what gunicorn says of itself, in short."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if "[INFO]" not in line]
    return "\n".join([f"{len(lines)} lines were logged", *lines[-10:]])


class _Watch:
    """Looks at the workers of one gunicorn, every second of `seconds`."""

    def __init__(self, master: int, port: int, seconds: float) -> None:
        self._master = master
        self._port = port
        self._begun = time.monotonic()
        self._seconds = seconds
        self.samples: list[tuple[float, Mapping[int, int]]] = []
        self.cached: dict[int, Mapping[str, int]] = {}
        """How much each worker remembered at the end of the first third."""

    def look(self) -> None:
        at = time.monotonic() - self._begun
        self.samples.append((at, {pid: resident(pid) for pid in children_of(self._master)}))
        if at >= self._seconds / 3 and len(self.cached) < WORKERS:
            self._ask_for_cached()

    def third(self, number: int) -> Samples:
        """The samples of the third with that number, from 0 on."""
        return [(at, each) for at, each in self.samples if number <= 3 * at / self._seconds < number + 1]

    @property
    def workers(self) -> set[frozenset[int]]:
        """The processes that there were at each time."""
        return {frozenset(each) for _, each in self.samples}

    def _ask_for_cached(self) -> None:
        for _ in range(10):
            pid, numbers = _cached_at(self._port)
            self.cached.setdefault(pid, numbers)


def _cached_at(port: int) -> tuple[int, Mapping[str, int]]:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", _CACHED)
        told = json.load(connection.getresponse())
    finally:
        connection.close()
    return told.pop("pid"), told


def _faults_of_load(load: Load) -> Iterator[str]:
    if load.tally.unexpected:
        yield f"{load.tally.unexpected:,} requests were answered with another status than the one expected"
    yield from load.tally.surprises


def _faults_of_workers(watch: _Watch, size: int) -> Iterator[str]:
    if len(watch.workers) > 1 or any(len(workers) != WORKERS for workers in watch.workers):
        yield "a worker was replaced"
        return
    # Of the two halves of a cache, one is always full from then on.
    if len(watch.cached) < WORKERS or any(min(cached.values()) < size // 2 for cached in watch.cached.values()):
        yield f"the caches were not full at the end of the first third: {watch.cached}; take longer"
    growth = _growth(watch)
    if abs(growth) > FLAT:
        yield f"memory is not flat: the last third differs from the second by {growth:+.2%}"


def _growth(watch: _Watch) -> float:
    """The part by which the workers together take more in the last third than in the second."""
    second, last = (statistics.median(sum(each.values()) for _, each in watch.third(number)) for number in (1, 2))
    return last / second - 1


def _tell(load: Load, watch: _Watch, minutes: float) -> None:
    print(f"\n### {minutes:g} minutes of mixed load, {load.tally.total:,} requests\n")
    print("| caller | status | times | |\n| --- | ---: | ---: | --- |")
    for (caller, status, is_expected), count in load.tally.counts().items():
        print(f"| {caller} | {status or 'no answer'} | {count:,} | {'' if is_expected else '**unexpected**'} |")
    print("\n### Resident memory in MB, median of each third\n")
    print("| worker | first | second | last | change from second to last |\n| --- | ---: | ---: | ---: | ---: |")
    pids = list(watch.samples[0][1])
    for name, some in [*((str(number), [pid]) for number, pid in enumerate(pids, 1)), ("together", pids)]:
        print(_row(name, [_median(watch.third(number), some) for number in range(3)]))
    print(f"\nRemembered by each worker after a third: {list(watch.cached.values())}\n")


def _row(name: str, thirds: Sequence[float]) -> str:
    cells = [f"{each / 1e6:.1f}" for each in thirds]
    return f"| {name} | {' | '.join(cells)} | {thirds[2] / thirds[1] - 1:+.2%} |"


def _median(samples: Samples, pids: Sequence[int]) -> float:
    return statistics.median(sum(each.get(pid, 0) for pid in pids) for _, each in samples)


def children_of(pid: int) -> list[int]:
    """The processes that a process has begun."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def resident(pid: int) -> int:
    """Bytes of a process that are in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    sys.exit(main())
