"""Headers as octets on a socket, which the client of the tests would not send."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from werkzeug.serving import make_server

from ..conftest import MakeApp
from .publishing import Quiet
from .tokens import Server, issued_by, jwk, rsa_key, serving, token_of

Send = Callable[..., int]


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        server.keys(jwk(rsa_key()))
        yield server


@pytest.fixture
def send(server: Server, make_app: MakeApp) -> Iterator[Send]:
    """Sends a request with these lines of header, and returns the status."""
    app = make_app(issued_by(f"{server.url}/keys"))
    http = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def send(*lines: bytes, path: bytes = b"/patients") -> int:
        with socket.create_connection(("127.0.0.1", http.port), 20) as connection:
            connection.sendall(
                b"\r\n".join((b"GET " + path + b" HTTP/1.1", b"Host: api", b"Connection: close", *lines, b"", b""))
            )
            answer = b""
            while chunk := connection.recv(65_536):
                answer += chunk
        return int(answer.split(b" ", 2)[1])

    yield send
    http.shutdown()
    thread.join()
    http.server_close()


def authorization(token: str, name: bytes = b"Authorization", scheme: bytes = b"Bearer ") -> bytes:
    return name + b": " + scheme + token.encode()


def test_a_good_token_is_let_in_and_a_wrong_one_refused(send: Send):
    assert send(authorization(token_of())) == 200
    assert send(authorization(token_of(), b"AUTHORIZATION", b"bearer ")) == 200
    assert send(authorization(token_of(exp=1))) == 401
    assert send() == 401


def test_two_authorization_headers_are_malformed_whichever_they_are(send: Send, server: Server):
    good, other = token_of(), token_of(sub="eve")

    for second in (
        authorization(good),
        authorization(other),
        authorization(other, b"authorization"),
        authorization("x.y.z"),
    ):
        assert send(authorization(good), second) == 400
        assert send(second, authorization(good)) == 400
    # Behind another scheme, which is none of ours, it may be none of ours either; it is not let in.
    assert send(authorization(good), b"Authorization: Basic YTpi") == 400
    assert send(b"Authorization: Basic YTpi", authorization(good)) in {400, 401}
    assert server.calls == []
    assert send(authorization(good), b"X-Authorization: Basic YTpi") == 200


@pytest.mark.parametrize("octet", [b"\0", b"\t", b"\x0b", b"\x7f", b"\x80", b"\xff", "ä".encode(), b" ", b",", b'"'])
@pytest.mark.parametrize("place", ["middle", "end", "before"])
def test_an_octet_that_no_token_has_is_malformed(send: Send, server: Server, octet, place):
    head, token = b"Authorization: Bearer ", token_of(sub="eve").encode()
    line = {
        "middle": head + token[:20] + octet + token[20:],
        "end": head + token + octet,
        "before": head + octet + token,
    }
    status = send(line[place])

    # Blanks around a value are no part of it (RFC 9110, section 5.5), and more than one may stand before the token.
    assert status == 400 or (octet in {b" ", b"\t"} and place != "middle" and status in {200, 400})
    assert server.calls == [] or status == 200
    assert send(authorization(token_of())) == 200


@pytest.mark.parametrize("octets", [b"\r", b"\n", b"\r\n ", b"\r\n\t", b"\n\n", b"\r\r\n"])
def test_a_line_end_within_the_header_lets_nobody_in(send: Send, octets):
    token = token_of(sub="eve").encode()

    assert send(b"Authorization: Bearer " + token[:20] + octets + token[20:]) in {400, 401}
    assert send(authorization(token_of())) == 200


def test_a_header_of_16_kib_is_looked_at_and_one_byte_more_is_not(send: Send):
    size = 16 * 1024 - len("Bearer ")

    assert send(authorization("a" * size)) == 401
    assert send(authorization("." * size)) == 401
    assert send(authorization("a" * (size + 1))) == 400
    assert send(authorization(token_of(filler="f" * 11_500))) == 200


def test_a_token_in_the_query_is_none_and_beside_the_header_one_too_many(send: Send):
    token = token_of()
    query = b"/patients?access_token=" + token.encode()

    assert send(path=query) == 401
    assert send(authorization(token), path=query) == 400
    assert send(authorization(token), path=b"/patients?access%5Ftoken=x") == 400
    assert send(authorization(token), path=b"/patients?other=x") == 200
