"""What the tests of registries are made of: workers on one database, rows changed by hand, databases that go away."""

from __future__ import annotations

import json
import os
import select
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask
from sqlalchemy import text
from werkzeug.test import TestResponse

from ..apps import SECRET_ISSUER, Resource, database_of, in_database, introspector
from ..conftest import MakeApp
from .callers import OPERATOR_SETTINGS, operate, read

AT_ONCE = {"FOREIGN_TOKEN_REGISTRY_POLL": 0}
"""Every request looks at the registry."""


def uri_of(app: Flask) -> str:
    with app.app_context():
        return str(database_of(app).engine.url.render_as_string(hide_password=False))


def worker(make_app: MakeApp, uri: object, **config: object) -> Flask:
    """An app on the database at `uri` that looks at the registry with every request."""
    where = uri if isinstance(uri, str) else f"sqlite:///{uri}"
    return make_app(**{**OPERATOR_SETTINGS, **AT_ONCE, "SQLALCHEMY_DATABASE_URI": where, **config})


def health(app: Flask) -> dict[str, Any]:
    """What the operator is told."""
    return read(app, "health")


def ready(app: Flask) -> int:
    return app.test_client().get("/fhir/health/ready").status_code


def live(app: Flask) -> int:
    return app.test_client().get("/fhir/health/live").status_code


def history(app: Flask, path: str) -> list[dict[str, Any]]:
    """The entries of a resource's history, newest first."""
    bundle = read(app, f"{path}/_history")
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "history")
    entries: list[dict[str, Any]] = bundle["entry"]
    return entries


def version_of(resource: Mapping[str, Any]) -> str:
    return str(resource["meta"]["versionId"])


def rollback(app: Flask, path: str, version: str, **more: Any) -> TestResponse:
    return operate(app, "POST", f"/fhir/{path}/$rollback", {"versionId": version}, **more)


def refusal(answer: TestResponse, status: int, error: str) -> str:
    """Its text, after a look that it is that refusal."""
    said = answer.get_data(as_text=True)
    assert (answer.status_code, answer.json["error"]) == (status, error), said
    return said


TABLE = "foreign_token_resource"


def stored(app: Flask, kind: str, name: str) -> dict[str, Any]:
    """The row of a resource, by column."""
    return _row(in_database(app, lambda connection: _all(connection)), kind, name)


def _all(connection: sa.Connection) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(text(f"SELECT * FROM {TABLE}")).mappings()]


def _row(rows: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    [row] = [row for row in rows if kind in row.values() and name in row.values()]
    return row


def body_column(row: Mapping[str, Any]) -> str:
    [column] = [column for column, value in row.items() if isinstance(value, str | dict) and "{" in str(value)]
    return column


def overwrite(app: Flask, kind: str, name: str, body: object) -> None:
    """Put `body` into the row of a resource as somebody at the database's own prompt would; a text goes as it is."""

    def work(connection: sa.Connection) -> None:
        row = _row(_all(connection), kind, name)
        column = body_column(row)
        names = [column_ for column_, value in row.items() if value in {kind, name}]
        where = " AND ".join(f"{column_} = :{column_}" for column_ in names)
        changed = connection.execute(
            text(f"UPDATE {TABLE} SET {column} = :body WHERE {where}"),
            {"body": body if isinstance(body, str) else json.dumps(body), **{name_: row[name_] for name_ in names}},
        )
        assert changed.rowcount == 1

    in_database(app, work)


def insert(app: Flask, like: tuple[str, str], name: str, body: Resource) -> None:
    """Add a row like that of another resource, under `name`, with `body`."""

    def work(connection: sa.Connection) -> None:
        row = _row(_all(connection), *like)
        row = {column: name if value == like[1] else value for column, value in row.items()}
        row[body_column(row)] = json.dumps(body)
        columns = ", ".join(row)
        values = ", ".join(f":{column}" for column in row)
        connection.execute(text(f"INSERT INTO {TABLE} ({columns}) VALUES ({values})"), row)

    in_database(app, work)


class Mounted:
    """A folder as Kubernetes mounts a ConfigMap or Secret: names that lead through ``..data``, which is switched."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number = 0
        folder.mkdir(parents=True)

    def switch(self, **contents: str) -> None:
        """Everything at once: a new folder, and ``..data`` renamed over the old link."""
        self.number += 1
        old = self.folder / f"..version_{self.number - 1}"
        new = self.folder / f"..version_{self.number}"
        new.mkdir()
        for name, content in contents.items():
            (new / name.replace("_json", ".json")).write_text(content)
        link = self.folder / "..data_tmp"
        link.symlink_to(new.name)
        link.rename(self.folder / "..data")
        for file in new.iterdir():
            name = self.folder / file.name
            if not name.is_symlink():
                name.symlink_to(Path("..data") / file.name)
        if old.exists():
            for file in old.iterdir():
                file.unlink()
            old.rmdir()


class Relay:
    """A port of 127.0.0.1 that leads to a socket of this machine, until the cable is cut or nothing moves any more."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.connections = 0
        self._flows = threading.Event()
        self._flows.set()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = self._listen()

    def _listen(self) -> threading.Thread:
        thread = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
        thread.start()
        return thread

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            server = socket.socket(socket.AF_UNIX)
            server.connect(self.path)
            self._open += [client, server]
            threading.Thread(target=self._pump, args=(client, server), daemon=True).start()

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        other = {client: server, server: client}
        with suppress(OSError, ValueError), client, server:
            while True:
                for ready_ in select.select([client, server], [], [])[0]:
                    data = ready_.recv(65536)
                    self._flows.wait()
                    if not data:
                        return
                    other[ready_].sendall(data)

    def cut(self) -> None:
        """Whoever is connected is thrown out, and nobody gets in."""
        # A thread that waits in accept() holds the port open until something wakes it.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def mend(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._thread = self._listen()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Connections are taken, and nothing comes of them."""
        self._flows.clear()
        try:
            yield
        finally:
            self._flows.set()


@contextmanager
def relayed(uri: str) -> Iterator[tuple[str, Relay]]:
    """`uri`, of a PostgreSQL server with a socket in a folder, by a port that leads there."""
    url = sa.make_url(uri)
    relay = Relay(os.path.join(str(url.query["host"]), ".s.PGSQL.5432"))  # noqa: PTH118
    through = url.set(host="127.0.0.1", port=relay.port, query={"sslmode": "disable", "connect_timeout": "2"})
    try:
        yield through.render_as_string(hide_password=False), relay
    finally:
        relay._flows.set()
        relay.cut()


def signed_with(reference: object) -> Resource:
    """An introspector whose secret is what `reference` names."""
    return introspector("secret", jwt={"iss": SECRET_ISSUER, "secret": reference})
