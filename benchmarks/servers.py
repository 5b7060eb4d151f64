"""How many requests gunicorn answers, beside an app that protects nothing: with two workers, under ``wrk``.

Every app has a gunicorn of its own, all of them run at the same time, and ``wrk`` asks one after the other, again and
again. Workers, ``wrk`` and the provider share the processors of this machine.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path

from flask_foreign_token.testing import Issuer

from .bare import PATH
from .harness import Figure, Report, in_turns, ratios, spread
from .peers import PEERS, Provider
from .serving import BARE, THIS_PACKAGE, environment
from .subjects import broken, keycloak_token, token_policy, trust_in, write_registry

WORKER_CLASSES: Mapping[str, Sequence[str]] = {"sync": (), "gthread": ("--threads", "2")}
"""With what else each is started."""

WORKERS = 2
TRIES: Mapping[str, int] = {"sync": 1, "gthread": 3}
"""How often each is asked in a round, of which the most counts: a connection stays with the worker of the class
``gthread`` that took it, and now and then one worker takes all."""
CONNECTIONS = 8
ROUNDS = 7
SECONDS = 1
"""How long ``wrk`` asks in a round."""
LIMIT = 0.90

_ROOT = Path(__file__).parents[1]
_REFUSING = frozenset({401, 403, 422})


def measure(report: Report) -> None:
    """Tell the throughputs, each as a part of that of bare Flask."""
    wrk = shutil.which("wrk")
    for worker_class in WORKER_CLASSES:
        group = f"Throughput under gunicorn, {worker_class}, {WORKERS} workers, beside bare Flask"
        if wrk is None:
            report.remark(group, THIS_PACKAGE, "`wrk` is not installed: `apt-get install wrk`")
        else:
            tell(report, group, worker_class, throughputs(wrk, worker_class))


def tell(report: Report, group: str, worker_class: str, measured: Mapping[str, Sequence[float]]) -> None:
    """Tell what was measured of one class of workers."""
    median, low, high = spread(measured[BARE])
    report.add(Figure(group, BARE, median, "1/s", low, high))
    figures = [part_of_bare(group, name, measured) for name in measured if name != BARE]
    for figure in figures:
        report.add(figure)
    report.bars(f"gunicorn-{worker_class}", f"gunicorn, {worker_class}", "throughput, bare Flask being 1", figures)


def part_of_bare(group: str, name: str, measured: Mapping[str, Sequence[float]]) -> Figure:
    """The throughput of one app as a part of that of the bare one."""
    median, low, high = ratios(measured[name], measured[BARE])
    asks = any(peer.name == name and peer.introspects for peer in PEERS)
    note = "asks the provider about each request, which runs on this machine" if asks else ""
    limit = LIMIT if name == THIS_PACKAGE else None
    return Figure(group, name, median, "times", low, high, limit, at_least=True, note=note)


def throughputs(wrk: str, worker_class: str) -> Mapping[str, Sequence[float]]:
    """Requests a second of each app, in each round."""
    measured: dict[str, list[float]] = {name: [] for name in (BARE, THIS_PACKAGE, *(peer.name for peer in PEERS))}
    with ExitStack() as stack:
        issuer = stack.enter_context(Issuer())
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        write_registry(folder, [*trust_in(issuer), token_policy(issuer)])
        token = keycloak_token(issuer)
        script = write_script(folder, token)
        ports = {
            name: stack.enter_context(gunicorn(worker_class, environment(name, Provider.of(issuer), folder)))
            for name in measured
        }
        for name, port in ports.items():
            check(port, token, is_open=name == BARE)
            requests_a_second(wrk, script, port)
        for order in in_turns(ports, ROUNDS):
            for name in order:
                tries = range(TRIES[worker_class])
                measured[name].append(max(requests_a_second(wrk, script, ports[name]) for _ in tries))
    return measured


@contextmanager
def gunicorn(worker_class: str, variables: Mapping[str, str]) -> Iterator[int]:
    """A gunicorn with workers of that class, as long as the block runs.

    :return: its port.
    """
    command = (
        *(sys.executable, "-m", "gunicorn", "benchmarks.serving:app()", "--preload", "--no-control-socket"),
        *("--workers", str(WORKERS), "--worker-class", worker_class, *WORKER_CLASSES[worker_class]),
        *("--bind", "127.0.0.1:0"),
    )
    with subprocess.Popen(
        command, cwd=_ROOT, env={**os.environ, **variables}, stderr=subprocess.PIPE, text=True
    ) as process:
        log = process.stderr
        assert log is not None
        try:
            yield port_in(log)
        finally:
            # At once, rather than when all connections have ended.
            process.send_signal(signal.SIGQUIT)
            for _ in log:
                pass


def port_in(log: Iterable[str]) -> int:
    """Where a gunicorn listens that begins.

    :param log: what it says, of which no more comes from here on than a pipe holds, for it says nothing of requests.
    :raises RuntimeError: it ended.
    """
    said = []
    for line in log:
        said.append(line)
        if found := re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", line):
            return int(found[1])
    raise RuntimeError("gunicorn does not start:\n" + "".join(said))


def check(port: int, token: str, *, is_open: bool) -> None:
    """Make sure that the app at `port` takes a good token and refuses a broken one.

    :param is_open: it takes anything, since it protects nothing.
    :raises AssertionError: it does not, so that it is not worth measuring.
    """
    assert ask(port, token) == 200
    assert ask(port, broken(token)) in ({200} if is_open else _REFUSING)


def ask(port: int, token: str) -> int:
    """The status with which the app at `port` answers."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", PATH, headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse().status
    finally:
        connection.close()


def write_script(folder: str, token: str) -> Path:
    """What tells ``wrk`` the token, which should not stand in its command line."""
    script = Path(folder, "token.lua")
    script.write_text(f'wrk.headers["Authorization"] = "Bearer {token}"\n', encoding="ascii")
    return script


def requests_a_second(wrk: str, script: Path, port: int) -> float:
    """How many requests the app at `port` answers, all of them with success.

    :raises RuntimeError: some were refused or failed.
    """
    address = f"http://127.0.0.1:{port}{PATH}"
    command = (wrk, "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{SECONDS}s")
    told = subprocess.run(
        (*command, "--script", str(script), address), capture_output=True, text=True, check=True, timeout=SECONDS + 30
    ).stdout
    if "Non-2xx" in told or "Socket errors" in told:
        raise RuntimeError(f"requests failed under wrk:\n{told}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", told)
    if found is None:
        raise RuntimeError(f"wrk says nothing of its throughput:\n{told}")
    return float(found[1])
