"""A connection that breaks in the middle of a body, on gunicorn."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from ..admin.asking import ADMIN, NAME, PASSWORD, basic
from ..admin.test_cut_off_bodies import PART, WHOLE
from .serving import served

WSGI = f"""
from flask import Flask
from flask_foreign_token import ForeignToken

app = Flask(__name__)
app.config.update({ADMIN!r}, SQLALCHEMY_DATABASE_URI="sqlite:///" + app.root_path + "/app.sqlite")
ForeignToken(app)
"""


@pytest.fixture(scope="module", params=["sync", "gthread"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("served")
    (folder / "wsgi.py").write_text(WSGI)
    with served(folder, "--worker-class", request.param) as url:
        yield f"{url}/fhir/AccessPolicy"


def put(base: str, id_: str, *headers: str, body: bytes) -> int:
    """The status of a PUT after whose body no more is sent."""
    url = urlsplit(base)
    lines = [f"PUT {url.path}/{id_} HTTP/1.1", "Host: x", f"Authorization: {basic()['Authorization']}", *headers]
    with socket.create_connection((url.hostname, url.port), timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while received := connection.recv(65536):
            answer += received
    return int(answer.split(maxsplit=2)[1])


def status_of(base: str, id_: str) -> int:
    return requests.get(f"{base}/{id_}", auth=(NAME, PASSWORD), timeout=30).status_code


def chunk(content: bytes) -> bytes:
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"


def test_a_body_that_is_cut_off_is_not_stored(base: str) -> None:
    assert put(base, "cut", f"Content-Length: {len(WHOLE)}", body=PART) == 400
    assert status_of(base, "cut") == 404


@pytest.mark.parametrize("body", [chunk(PART), f"{len(WHOLE):x}\r\n".encode() + PART], ids=["between", "within"])
def test_chunks_that_are_cut_off_are_not_stored(base: str, body: bytes) -> None:
    assert put(base, "chunks", "Transfer-Encoding: chunked", body=body) == 400
    assert status_of(base, "chunks") == 404


def test_a_whole_body_is_stored(base: str) -> None:
    assert put(base, "whole", f"Content-Length: {len(WHOLE)}", body=WHOLE) in (200, 201)
    assert put(base, "whole", "Transfer-Encoding: chunked", body=chunk(WHOLE) + b"0\r\n\r\n") in (200, 201)
    assert status_of(base, "whole") == 200
