"""A body that breaks off in transit: what came of it may say something else than what was meant."""

from __future__ import annotations

import io
from typing import Any

import pytest
from flask import Flask

from ..apps import ask
from .asking import basic, operate

WHOLE = b"engine: allow\nlink:\n- reference: User/ann\n"
PART = WHOLE.split(b"link")[0]


class Broken(io.RawIOBase):
    """Gives what came, and then fails as a server's stream does when its connection breaks."""

    def __init__(self, came: bytes) -> None:
        self._came = came

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self._came:
            raise ConnectionResetError
        size = min(len(buffer), len(self._came))
        buffer[:size], self._came = self._came[:size], self._came[size:]
        return size


def send(app: Flask, method: str, path: str, **environ: Any) -> int:
    answer = ask(app, None, f"/fhir{path}", method, headers=basic(), environ_overrides=environ)
    assert answer.status_code == 201 or answer.json["error"] == "incomplete_body"
    assert "WWW-Authenticate" not in answer.headers
    return answer.status_code


@pytest.mark.parametrize(("method", "path"), [("PUT", "/AccessPolicy/p"), ("POST", "/AccessPolicy")])
@pytest.mark.parametrize("terminated", [True, False], ids=["input ends by itself", "input is cut by its length"])
@pytest.mark.parametrize(("body", "status"), [(PART, 400), (b"", 400), (WHOLE, 201)])
def test_a_body_shorter_than_its_content_length_is_not_stored(
    app: Flask, method: str, path: str, terminated: bool, body: bytes, status: int
) -> None:
    environ = {"wsgi.input": io.BytesIO(body), "wsgi.input_terminated": terminated, "CONTENT_LENGTH": str(len(WHOLE))}

    assert send(app, method, path, **environ) == status
    assert operate(app, "GET", "/AccessPolicy").json["total"] == (1 if status == 201 else 0)


def test_a_body_longer_than_its_content_length_is_not_stored(app: Flask) -> None:
    environ = {"wsgi.input": io.BytesIO(WHOLE), "wsgi.input_terminated": True, "CONTENT_LENGTH": str(len(PART))}

    assert send(app, "PUT", "/AccessPolicy/p", **environ) == 400


def test_chunks_that_break_off_are_not_stored(app: Flask) -> None:
    environ = {"wsgi.input": Broken(PART), "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}

    assert send(app, "PUT", "/AccessPolicy/p", **environ) == 400
    assert operate(app, "GET", "/AccessPolicy/p").status_code == 404


def test_chunks_that_come_to_their_end_are_stored(app: Flask) -> None:
    environ = {"wsgi.input": io.BytesIO(WHOLE), "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}

    assert send(app, "PUT", "/AccessPolicy/p", **environ) == 201
