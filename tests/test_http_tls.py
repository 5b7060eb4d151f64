from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from flask_foreign_token.errors import ProviderUnavailable
from flask_foreign_token.http import Http

from .http_fixtures import http_fixture, reasons_fixture, trusted_fixture  # noqa: F401
from .http_servers import Peer, answer, answering, self_signed, serving


def test_a_certificate_that_the_system_trusts_is_accepted(http: Http, trusted: ssl.SSLContext) -> None:
    with serving(answering(answer()), tls=trusted) as server:
        http.get(server.origin)
        assert http.post_form(server.origin, {"token": "a" * 100_000}).json == {"a": 1}

    assert server.connections == 1


@pytest.mark.requirement("RFC 8414", "6.1")
@pytest.mark.requirement("RFC 7662", "4", 2)
def test_a_certificate_that_nobody_vouches_for_is_refused(
    http: Http, tmp_path: Path, reasons: Callable[[], list[str]]
) -> None:
    _, context = self_signed(tmp_path, "127.0.0.1")

    with serving(answering(answer()), tls=context) as server, pytest.raises(ProviderUnavailable):
        http.get(server.origin)

    assert server.requests == []
    assert reasons() == ["127.0.0.1: its certificate is not trusted"]


@pytest.mark.requirement("RFC 8414", "6.1")
@pytest.mark.requirement("RFC 7662", "4", 2)
def test_a_trusted_certificate_of_another_host_is_refused(
    http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reasons: Callable[[], list[str]]
) -> None:
    certificate, context = self_signed(tmp_path, "idp.example", "127.0.0.2")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    with serving(answering(answer()), tls=context) as server, pytest.raises(ProviderUnavailable):
        http.get(server.origin)

    assert server.requests == []
    assert reasons() == ["127.0.0.1: its certificate is not trusted"]


def test_a_server_that_speaks_no_tls_is_an_outage(http: Http, reasons: Callable[[], list[str]]) -> None:
    def handle(peer: Peer) -> None:
        peer.sock.recv(65536)
        peer.write(answer(status="400 Bad Request"))

    with serving(handle) as server, pytest.raises(ProviderUnavailable):
        http.get(server.origin.replace("http:", "https:"))

    assert reasons() == ["127.0.0.1: no TLS can be agreed upon"]
