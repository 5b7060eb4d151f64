"""Empty databases of every kind that the extension is for, one for each test."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import sqlalchemy as sa

from .servers import SERVERS

JOURNAL_MODES = {"sqlite-delete": "delete", "sqlite-wal": "wal"}
KINDS = (*JOURNAL_MODES, *SERVERS)


class Databases:
    """Makes databases; a server starts when the first of its kind is asked for.

    :param stack: stops the servers when it is closed.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._servers: dict[str, str] = {}
        self._numbers = count()

    def empty(self, kind: str, folder: Path) -> str:
        """The URL of a new database.

        :param kind: one of :data:`KINDS`.
        :param folder: where a file can be put.
        """
        if kind in JOURNAL_MODES:
            url = f"sqlite:///{folder / 'users.sqlite'}"
            run(url, f"PRAGMA journal_mode = {JOURNAL_MODES[kind]}")
            return url
        if kind not in self._servers:
            self._servers[kind] = self._stack.enter_context(SERVERS[kind]())
        server, name = self._servers[kind], f"app_{next(self._numbers)}"
        # MariaDB's with the collation of the server's own, which takes many texts for equal.
        more = " CHARACTER SET latin1 COLLATE latin1_swedish_ci" if kind == "mariadb" else ""
        run(server, f"CREATE DATABASE {name}{more}")
        return sa.make_url(server).set(database=name).render_as_string(hide_password=False)


def run(url: str, statement: str) -> None:
    """Execute one statement, outside any transaction."""
    engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)


def counts(url: str, tables: Iterable[str]) -> tuple[int, ...]:
    """How many rows are in each of these tables."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        numbers = [connection.scalar(sa.select(sa.func.count()).select_from(sa.table(table))) for table in tables]
    return tuple(numbers)
