"""What the tests of Http share. A module imports the fixtures that it asks for by name."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flask_foreign_token.http import Http

from .http_servers import self_signed

QUICK = (0.3, 0.3)


@pytest.fixture(name="http")
def http_fixture() -> Iterator[Http]:
    http = Http(timeout=(5, 5))
    yield http
    http.close()


@pytest.fixture(name="quick")
def quick_fixture() -> Iterator[Http]:
    http = Http(timeout=QUICK)
    yield http
    http.close()


@pytest.fixture(name="trusted")
def trusted_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """For a server on 127.0.0.1 whose certificate the system trusts."""
    certificate, context = self_signed(tmp_path, "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return context


@pytest.fixture(name="reasons")
def reasons_fixture(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The lines that were logged, by whatever logger, at warning or above."""
    return lambda: [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def chunked(*chunks: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
