"""Database servers of a test's own, on a socket in a folder of their own, where the machine has the programs."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    programs = _programs("PostgreSQL", "psycopg", "initdb", "pg_ctl")
    with _folder() as (folder, user), (folder / "log").open("ab") as log:

        def run(program: str, *arguments: str) -> None:
            command = [programs[program], "-D", str(folder / "data"), *arguments]
            # The output to a file, since the server would keep a pipe open.
            subprocess.run(command, user=user, cwd=folder, stdout=log, stderr=log, check=True)

        run("initdb", "-U", "app", "-A", "trust", "-E", "UTF8", "--no-sync")
        run("pg_ctl", "start", "-w", "-o", f"-k {folder} -c listen_addresses= -c fsync=off")
        try:
            yield f"postgresql+psycopg://app@/postgres?host={folder}"
        finally:
            run("pg_ctl", "stop", "-w", "-m", "immediate")


@contextmanager
def mariadb() -> Iterator[str]:
    """The URL of an empty MariaDB database whose own collation takes many texts for equal."""
    programs = _programs("MariaDB", "pymysql", "mariadb-install-db", "mariadbd")
    with _folder() as (folder, user):
        options = ["--no-defaults", f"--datadir={folder / 'data'}"]
        install = [
            programs["mariadb-install-db"],
            *options,
            "--skip-test-db",
            "--auth-root-authentication-method=normal",
        ]
        subprocess.run(install, user=user, cwd=folder, capture_output=True, check=True)
        serve = [programs["mariadbd"], *options, f"--socket={folder / 'socket'}", "--skip-networking"]
        with subprocess.Popen(serve, user=user, cwd=folder, stderr=subprocess.PIPE, text=True) as server:
            try:
                assert any("ready for connections" in line for line in server.stderr), "MariaDB does not start"
                yield _database(f"mysql+pymysql://root@localhost/?unix_socket={folder / 'socket'}&charset=utf8mb4")
            finally:
                server.terminate()
                server.stderr.read()


SERVERS: Mapping[str, Callable[[], AbstractContextManager[str]]] = {"postgresql": postgresql, "mariadb": mariadb}


def _database(url: str) -> str:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE app CHARACTER SET latin1 COLLATE latin1_swedish_ci")
    engine.dispose()
    return engine.url.set(database="app").render_as_string(hide_password=False)


def _programs(server: str, driver: str, *names: str) -> dict[str, str]:
    pytest.importorskip(driver, reason=f"{driver} is not installed")
    programs = {name: shutil.which(name) for name in names}
    if missing := [name for name, path in programs.items() if path is None]:
        pytest.skip(f"{server} is not installed: no {', '.join(missing)}")
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
