from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import closing

import pytest

from flask_foreign_token.errors import ProviderUnavailable
from flask_foreign_token.http import Http

from .http_fixtures import chunked, http_fixture, quick_fixture, reasons_fixture, trusted_fixture  # noqa: F401
from .http_servers import Peer, answer, answering, serving

# All of these servers but one come to the end of a good answer, only too late.


def test_an_answer_that_drips_in_time_is_read(http: Http) -> None:
    def handle(peer: Peer) -> None:
        peer.read()
        peer.drip(answer(b"{}"), pause=0.001)

    with serving(handle) as server:
        assert http.get(server.origin).json == {}


def drip_headers(peer: Peer) -> None:
    peer.read()
    peer.drip(answer(b"{}"), pause=0.02)


def drip_body(peer: Peer) -> None:
    peer.read()
    peer.write(answer(b"", length=102))
    peer.drip(b"{" + b" " * 100 + b"}", pause=0.02)


def drip_chunks(peer: Peer) -> None:
    peer.read()
    peer.drip(chunked(*[b" "] * 20, b"{}"), pause=0.02)


def drip_trailers(peer: Peer) -> None:
    peer.read()
    peer.write(chunked(b"{}")[:-2])
    peer.drip(b"A: b\r\n" * 20 + b"\r\n", pause=0.02)


def drip_interim_answers(peer: Peer) -> None:
    peer.read()
    for _ in range(50):
        peer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.server.stopping.wait(0.02)
    peer.write(answer(b"{}"))


def flood_interim_answers(peer: Peer) -> None:
    peer.read()
    while not peer.server.stopping.is_set():
        peer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000)


def pause_before_each_half(peer: Peer) -> None:
    peer.read()
    peer.server.stopping.wait(0.25)
    peer.write(answer(b"{}")[:-2])
    peer.server.stopping.wait(0.25)
    peer.write(b"{}")


def say_nothing(peer: Peer) -> None:
    peer.read()
    peer.server.stopping.wait(2)
    peer.write(answer(b"{}"))


@pytest.mark.parametrize(
    "handle",
    [
        drip_headers,
        drip_body,
        drip_chunks,
        drip_trailers,
        drip_interim_answers,
        flood_interim_answers,
        pause_before_each_half,
        say_nothing,
    ],
)
def test_a_server_that_is_slow_in_any_part_of_its_answer_is_given_up(
    quick: Http, handle: Callable[[Peer], None], reasons: Callable[[], list[str]]
) -> None:
    with serving(handle) as server, pytest.raises(ProviderUnavailable):
        quick.get(server.origin)

    assert [reason.endswith("no answer in time") for reason in reasons()] == [True]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_is_slow_to_take_the_request_is_given_up(
    scheme: str, trusted: ssl.SSLContext, reasons: Callable[[], list[str]]
) -> None:
    def handle(peer: Peer) -> None:
        while peer.sock.recv(65536) and not peer.server.stopping.wait(0.01):
            pass

    tls = trusted if scheme == "https" else None
    quick = Http(timeout=(0.5, 0.5))
    with closing(quick), serving(handle, tls=tls) as server, pytest.raises(ProviderUnavailable):
        quick.post_form(server.origin, {"token": "a" * 16_000_000})

    assert reasons() == ["127.0.0.1: no answer in time"]


def test_a_long_form_is_sent_whole(http: Http) -> None:
    with serving(answering(answer())) as server:
        http.post_form(server.origin, {"token": "a" * 100_000})

    assert server.requests[0].endswith(b"\r\n\r\ntoken=" + b"a" * 100_000)


def test_a_tls_handshake_that_drips_is_given_up(quick: Http, reasons: Callable[[], list[str]]) -> None:
    def handle(peer: Peer) -> None:
        peer.drip(b"\x16\x03\x03\x40\x00" + b"\x00" * 100, pause=0.02)

    with serving(handle) as server, pytest.raises(ProviderUnavailable):
        quick.get(server.origin.replace("http:", "https:"))

    assert [reason.endswith("no answer in time") for reason in reasons()] == [True]


def test_a_body_that_drips_over_tls_is_given_up(
    quick: Http, trusted: ssl.SSLContext, reasons: Callable[[], list[str]]
) -> None:
    with serving(drip_body, tls=trusted) as server, pytest.raises(ProviderUnavailable):
        quick.get(server.origin)

    assert [reason.endswith("no answer in time") for reason in reasons()] == [True]
