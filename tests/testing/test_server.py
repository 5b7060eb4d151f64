from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
import urllib3
from werkzeug.wrappers import Request, Response

from flask_foreign_token.testing.server import HOST, Server


@Request.application
def hello(request: Request) -> Response:
    return Response("hello")


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(hello, port=0)
    server.start()
    yield server
    server.stop()


def get(server: Server) -> bytes:
    return urllib3.request("GET", f"http://{HOST}:{server.port}/", retries=False).data


def test_a_started_server_answers(server: Server) -> None:
    assert get(server) == b"hello"


def test_a_stopped_server_refuses_connections(server: Server) -> None:
    server.stop()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, server.port))


def test_a_server_starts_again_on_the_same_port(server: Server) -> None:
    port = server.port
    server.stop()

    server.start()

    assert server.port == port
    assert get(server) == b"hello"


def test_stopping_twice_is_stopping_once(server: Server) -> None:
    server.stop()
    server.stop()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, server.port))


def test_a_server_is_not_started_twice(server: Server) -> None:
    with pytest.raises(RuntimeError, match="started already"):
        server.start()


def test_a_port_in_use_is_an_error(server: Server) -> None:
    with pytest.raises(OSError, match="in use"):
        Server(hello, server.port).start()


def test_stopping_ends_a_pause(server: Server) -> None:
    pausing = threading.Thread(target=server.pause, args=(60,))
    pausing.start()

    server.stop()

    pausing.join(timeout=10)
    assert not pausing.is_alive()


def test_nothing_is_written_or_logged(
    server: Server, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG", logger="werkzeug"):
        get(server)
        server.stop()

    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_a_stopped_server_leaves_no_thread_behind(server: Server) -> None:
    get(server)
    while_it_runs = set(threading.enumerate())

    server.stop()

    assert "foreign-token-issuer" in [thread.name for thread in while_it_runs - set(threading.enumerate())]
