from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest

from flask_foreign_token.errors import ProviderUnavailable
from flask_foreign_token.http import Http

from .http_fixtures import http_fixture, reasons_fixture  # noqa: F401
from .http_servers import Peer, answer, answering, serving


def test_a_connection_is_kept(http: Http) -> None:
    with serving(answering(answer())) as server:
        for _ in range(3):
            http.get(server.origin)
            http.post_form(server.origin, {"token": "a"})

    assert server.connections == 1


def test_a_connection_is_not_kept_after_an_answer_that_was_not_read(http: Http) -> None:
    with serving(answering(answer(status="401 No"), answer(b"{}"))) as server:
        http.get(server.origin)
        http.get(server.origin)

    assert server.connections == 2


@pytest.mark.parametrize("ask", [lambda http, url: http.get(url), lambda http, url: http.post_form(url, {"a": "b"})])
def test_a_kept_connection_that_was_closed_in_the_meantime_is_replaced(
    http: Http, ask: Callable[[Http, str], object]
) -> None:
    closed = threading.Event()

    def handle(peer: Peer) -> None:
        peer.read()
        peer.write(answer())
        peer.sock.close()
        closed.set()

    with serving(handle) as server:
        ask(http, server.origin)
        assert closed.wait(5)
        ask(http, server.origin)

    assert (server.connections, len(server.requests)) == (2, 2)


@pytest.mark.parametrize("ask", [lambda http, url: http.get(url), lambda http, url: http.post_form(url, {"a": "b"})])
def test_a_kept_connection_that_is_closed_while_the_request_is_on_its_way_is_replaced(
    http: Http, ask: Callable[[Http, str], object]
) -> None:
    def handle(peer: Peer) -> None:
        peer.read()
        peer.write(answer())
        peer.read()
        if peer.number > 1:
            peer.write(answer())

    with serving(handle) as server:
        ask(http, server.origin)
        ask(http, server.origin)

    assert (server.connections, len(server.requests)) == (2, 3)


def test_a_server_that_always_hangs_up_is_asked_twice_and_given_up(
    http: Http, reasons: Callable[[], list[str]]
) -> None:
    with serving(lambda peer: peer.read()) as server, pytest.raises(ProviderUnavailable):
        http.get(server.origin)

    assert server.connections == 2
    assert reasons() == ["127.0.0.1: the connection was closed before an answer came"]


def test_a_request_after_close_opens_a_new_connection(http: Http) -> None:
    with serving(answering(answer())) as server:
        http.get(server.origin)
        http.close()
        http.close()
        http.get(server.origin)

    assert server.connections == 2


def test_a_connection_does_not_cross_a_fork(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(answering(answer())) as server:
        http.get(server.origin)
        monkeypatch.setattr(os, "getpid", lambda: -1)
        http.get(server.origin)

    assert server.connections == 2


def test_many_threads_may_ask_at_once(http: Http) -> None:
    answers: list[object] = []
    with serving(answering(answer())) as server:

        def ask() -> None:
            answers.extend(http.get(server.origin).json == {"a": 1} for _ in range(20))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert answers == [True] * 160
    assert server.connections <= 8
