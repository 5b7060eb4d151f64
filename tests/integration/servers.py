"""Servers of a test's own, in a folder of their own, where the machine has the programs."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import NoReturn

import sqlalchemy as sa

from example_app.keycloak_server import free_port

ELSEWHERE = ("usr/lib/postgresql/*/bin", "usr/local/sbin", "usr/sbin", "sbin")
"""Where a distribution keeps servers that are not for everybody's ``PATH``."""


def missing(reason: str) -> NoReturn:
    """Skip the test that needs what is not there; where ``CI`` is set, fail it.

    :param reason: what is not there, and the command that brings it.
    """
    # Here, since the benchmarks start servers where there is no pytest.
    import pytest

    if os.environ.get("CI"):
        raise pytest.fail.Exception(reason, pytrace=False) from None
    pytest.skip(reason)


def program(name: str) -> str | None:
    """The path of a program, of the newest version where there are several."""
    folders = [
        folder for pattern in ELSEWHERE for folder in sorted(Path("/").glob(pattern), key=_version, reverse=True)
    ]
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *map(str, folders)]))


def _version(folder: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(folder))]


class PostgreSQL:
    """A PostgreSQL with an empty database, which can be stopped and started again.

    :param control: runs ``pg_ctl`` with arguments.
    """

    def __init__(self, folder: Path, control: Callable[..., None]) -> None:
        self.url = f"postgresql+psycopg://app@/postgres?host={folder}"
        self._start = ("start", "-w", "-o", f"-k {folder} -c listen_addresses= -c fsync=off")
        self._control = control
        self._is_running = False

    def start(self) -> None:
        """Start it; returns when it takes connections, having recovered if need be."""
        self._control(*self._start)
        self._is_running = True

    def stop(self, mode: str) -> None:
        """Stop it, if it runs.

        :param mode: ``fast``: transactions are rolled back; ``immediate``: processes are killed, as in a crash.
        """
        if self._is_running:
            self._control("stop", "-w", "-m", mode)
            self._is_running = False


@contextmanager
def stoppable_postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL that runs."""
    programs = programs_of("PostgreSQL", "initdb", "pg_ctl")
    with _folder() as (folder, user), (folder / "log").open("ab") as log:

        def run(program: str, *arguments: str) -> None:
            command = [programs[program], "-D", str(folder / "data"), *arguments]
            # The output to a file, since the server would keep a pipe open.
            subprocess.run(command, user=user, cwd=folder, stdout=log, stderr=log, check=True)

        run("initdb", "-U", "app", "-A", "trust", "-E", "UTF8", "--no-sync")
        server = PostgreSQL(folder, partial(run, "pg_ctl"))
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    with stoppable_postgresql() as server:
        yield server.url


@contextmanager
def mariadb() -> Iterator[str]:
    """The URL of an empty MariaDB database whose own collation takes many texts for equal."""
    programs = programs_of("MariaDB", "mariadb-install-db", "mariadbd")
    with _folder() as (folder, user):
        # What native I/O may lock in memory is counted by user, and other servers of the same user have their share.
        options = ["--no-defaults", f"--datadir={folder / 'data'}", "--innodb-use-native-aio=0"]
        install = [
            programs["mariadb-install-db"],
            *options,
            "--skip-test-db",
            "--auth-root-authentication-method=normal",
        ]
        done = subprocess.run(install, user=user, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        serve = [programs["mariadbd"], *options, f"--socket={folder / 'socket'}", "--skip-networking"]
        with subprocess.Popen(serve, user=user, cwd=folder, stderr=subprocess.PIPE, text=True) as server:
            # It tells of every connection that is not closed properly, and waits while nobody reads that.
            reading = threading.Thread(target=server.stderr.read)
            try:
                assert any("ready for connections" in line for line in server.stderr), "MariaDB does not start"
                reading.start()
                yield _database(f"mysql+pymysql://root@localhost/?unix_socket={folder / 'socket'}&charset=utf8mb4")
            finally:
                server.terminate()
                if reading.ident is not None:
                    reading.join()


class Redis:
    """A Redis on one port, which can be killed, started anew, and held still. What is in it is kept nowhere.

    :param command: starts it.
    :param user: whom it runs as; none: whoever runs this.
    """

    def __init__(self, port: int, command: Sequence[str], user: int | None) -> None:
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"
        self._command = command
        self._user = user
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it; returns when it takes connections."""
        self._process = process = subprocess.Popen(
            self._command, user=self._user, cwd="/", stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert any("Ready to accept connections" in line for line in process.stdout), "Redis does not start"

    def kill(self) -> None:
        """Have it end at once, with all that is in it."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Have it end, if it runs."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Hold it still: connections to it come about, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on where it was."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            # What is held still gets no signal but that one.
            process.send_signal(signal.SIGCONT)
            process.communicate()


@contextmanager
def stoppable_redis() -> Iterator[Redis]:
    """An empty Redis that runs."""
    programs = programs_of("Redis", "redis-server")
    port = free_port()
    with _folder() as (folder, user):
        options = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", "", "--appendonly", "no"]
        server = Redis(port, [programs["redis-server"], *options], user)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def redis() -> Iterator[str]:
    """The URL of an empty Redis."""
    with stoppable_redis() as server:
        yield server.url


@contextmanager
def prometheus(target: str) -> Iterator[str]:
    """The URL of a Prometheus that scrapes `/metrics` at `target`, five times a second.

    :param target: host and port.
    """
    programs = programs_of("Prometheus", "prometheus")
    port = free_port()
    with _folder() as (folder, user):
        scraping = {"job_name": "app", "scrape_interval": "200ms", "static_configs": [{"targets": [target]}]}
        (folder / "prometheus.yml").write_text(json.dumps({"scrape_configs": [scraping]}))
        options = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
        serve = [programs["prometheus"], *options, f"--web.listen-address=127.0.0.1:{port}"]
        with subprocess.Popen(serve, user=user, cwd=folder, stderr=subprocess.PIPE, text=True) as server:
            # It goes on writing to its log, and waits while nobody reads that.
            reading = threading.Thread(target=server.stderr.read)
            try:
                assert any("ready to receive web requests" in line for line in server.stderr), "it does not start"
                reading.start()
                yield f"http://127.0.0.1:{port}"
            finally:
                server.terminate()
                if reading.ident is not None:
                    reading.join()


SERVERS: Mapping[str, Callable[[], AbstractContextManager[str]]] = {"postgresql": postgresql, "mariadb": mariadb}


def redis_says(url: str, command: bytes) -> bytes:
    """What a Redis answers to a command of one line."""
    port = sa.make_url(url).port
    assert port is not None
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(command + b"\r\n")
        return connection.recv(4096)


def _database(url: str) -> str:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE app CHARACTER SET latin1 COLLATE latin1_swedish_ci")
    engine.dispose()
    return engine.url.set(database="app").render_as_string(hide_password=False)


def programs_of(server: str, *names: str) -> dict[str, str]:
    """The paths of the programs of `server`; without one of them the test is skipped, or fails where none may be."""
    programs = {name: path for name in names if (path := program(name))}
    if absent := [name for name in names if name not in programs]:
        missing(f"{server} is not installed: no {', '.join(absent)}; `make test SERVERS=apt` installs it")
    return programs


@contextmanager
def _folder() -> Iterator[tuple[Path, int | None]]:
    """A folder and whom to run a server as, which refuses to be root."""
    # Not pytest's, which nobody else may enter; and a short name, since a socket's path must be.
    folder = Path(tempfile.mkdtemp(prefix="db"))
    user = None
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        user = nobody.pw_uid
    try:
        yield folder, user
    finally:
        shutil.rmtree(folder)
