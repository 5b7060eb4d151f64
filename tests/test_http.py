from __future__ import annotations

import logging
import os
import socket
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from flask_foreign_token.errors import ProviderUnavailable
from flask_foreign_token.http import MAX_BODY, Http

from .http_servers import Peer, answer, answering, self_signed, serving

QUICK = (0.3, 0.3)
ONE_MIB = b'"' + b"a" * (MAX_BODY - 2) + b'"'


@pytest.fixture
def http() -> Iterator[Http]:
    http = Http(timeout=(5, 5))
    yield http
    http.close()


@pytest.fixture
def quick() -> Iterator[Http]:
    http = Http(timeout=QUICK)
    yield http
    http.close()


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """For a server on 127.0.0.1 whose certificate the system trusts."""
    certificate, context = self_signed(tmp_path, "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return context


@pytest.fixture
def reasons(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The lines that were logged, by whatever logger, at warning or above."""
    return lambda: [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def chunked(*chunks: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


def until_close(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + body


# What may be called


@pytest.mark.parametrize(
    "url",
    [
        "https://idp.example",
        "https://idp.example/",
        "https://idp.example/realms/a/certs?x=%20y&z=@",
        "https://idp.example?x=1",
        "HTTPS://IDP.Example:8443/",
        "https://idp.example./",
        "https://xn--bcher-kva.example/",
        "https://under_score.example/",
        "https://10.0.0.1/",
        "https://[2001:db8::1]:8443/",
        "http://localhost:8080/",
        "http://LOCALHOST./",
        "http://127.0.0.1/",
        "http://[::1]:8080/",
        "http://[0:0:0:0:0:0:0:1]/",
    ],
)
def test_https_may_be_called_anywhere_and_http_on_this_machine(url: str) -> None:
    Http().check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "idp.example",
        "//idp.example/",
        "https:idp.example",
        "https://",
        "https:///certs",
        "https://:443/",
        "ftp://idp.example/",
        "file:///etc/passwd",
        "https://anna@idp.example/",
        "https://anna:secret@idp.example/",
        "https://@idp.example/",
        "https://localhost@idp.example/",
        "https://idp.example/#",
        "https://idp.example/#fragment",
        "https://idp.example\\@evil.example/",
        "https://idp.example/a\\b",
        "https://idp.example/a b",
        " https://idp.example/",
        "https://idp.example/\n",
        "https://idp.example/\r\nHost: evil.example",
        "https://idp.example/\t",
        "https://idp.example/\x00",
        "https://idp.example/\x7f",
        "https://bücher.example/",
        "https://idp.example/ä",
        "http\u017f://idp.example/",
        "https://\u212adp.example/",
        "https://idp..example/",
        "https://.example/",
        "https://" + "a" * 64 + ".example/",
        "https://idp%2eexample/",
        "https://[fe80::1%25eth0]/",
        "https://[:::]/",
        "https://[127.0.0.1]/",
        "https://::1/",
        "https://idp.example:/",
        "https://idp.example:0/",
        "https://idp.example:65536/",
        "https://idp.example:port/",
    ],
)
def test_an_address_of_any_other_shape_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"\Amust be https://host\[:port\]/path in ASCII"):
        Http().check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://idp.example/",
        "http://localhost.evil.example/",
        "http://127.0.0.1.evil.example/",
        "http://127.1/",
        "http://2130706433/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::2]/",
    ],
)
def test_http_to_another_host_is_refused_with_the_setting_that_allows_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"\Amust be https; .*FOREIGN_TOKEN_ALLOW_HTTP_HOSTS"):
        Http().check_url(url)


@pytest.mark.parametrize("entry", ["Keycloak", "keycloak.", "[2001:DB8::1]", "2001:db8:0::1"])
def test_allowed_hosts_are_compared_as_hosts_not_as_text(entry: str) -> None:
    http = Http(allow_http_hosts=[entry])

    http.check_url("http://[2001:db8::1]/" if ":" in entry else "http://KEYCLOAK:8080/")


@pytest.mark.parametrize("entry", ["", "http://keycloak", "keycloak:8080", "*", "key cloak", "[::1]:80"])
def test_an_allowed_host_that_is_no_host_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="without scheme and port"):
        Http(allow_http_hosts=[entry])


def test_a_refused_address_is_not_connected_to(reasons: Callable[[], list[str]]) -> None:
    with serving(answering(answer())) as server, pytest.raises(ProviderUnavailable) as refusal:
        Http(allow_http_hosts=[]).get(server.origin + "/secret-path")

    assert server.connections == 0
    assert refusal.value.hint is not None
    assert "FOREIGN_TOKEN_ALLOW_HTTP_HOSTS" in refusal.value.hint
    assert "secret-path" not in "".join(reasons())


# What is asked and what is answered


def test_get_returns_status_headers_and_json(http: Http) -> None:
    with serving(answering(answer(b'{"keys": []}', "Cache-Control: max-age=60"))) as server:
        got = http.get(server.origin + "/certs?x=1", headers={"Authorization": "Bearer abc"})

    assert got.status == 200
    assert got.json == {"keys": []}
    assert got.headers["cache-control"] == "max-age=60"
    head = server.requests[0].decode().lower().split("\r\n")
    assert head[0] == "get /certs?x=1 http/1.1"
    assert {
        "authorization: bearer abc",
        "accept: application/json",
        "accept-encoding: identity",
        "user-agent: flask-foreign-token",
    } <= set(head)


def test_post_form_sends_the_form_encoded(http: Http) -> None:
    with serving(answering(answer(b'{"active": true}'))) as server:
        got = http.post_form(server.origin + "/introspect", {"token": "a+b&c", "hint": "ä"}, headers={"X-A": "1"})

    assert got.json == {"active": True}
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert b"content-type: application/x-www-form-urlencoded" in head.lower()
    assert b"x-a: 1" in head.lower()
    assert body == b"token=a%2Bb%26c&hint=%C3%A4"


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON; charset=utf-8", "application/jwk-set+json", "application/json ; a=b"],
)
def test_json_goes_by_several_names(http: Http, content_type: str) -> None:
    with serving(answering(answer(content_type=content_type))) as server:
        assert http.get(server.origin).json == {"a": 1}


@pytest.mark.parametrize(
    "raw",
    [
        answer(ONE_MIB),
        chunked(ONE_MIB[:70_000], ONE_MIB[70_000:]),
        until_close(ONE_MIB),
    ],
    ids=["length", "chunked", "until close"],
)
def test_one_mib_is_read(http: Http, raw: bytes) -> None:
    def handle(peer: Peer) -> None:
        peer.read()
        peer.write(raw)

    with serving(handle) as server:
        assert http.get(server.origin).json == "a" * (MAX_BODY - 2)


@pytest.mark.parametrize(
    "raw",
    [
        answer(ONE_MIB + b" "),
        chunked(ONE_MIB, b" "),
        until_close(ONE_MIB + b" "),
        answer(ONE_MIB + b" ", length=10**12),
    ],
    ids=["length", "chunked", "until close", "a huge length"],
)
def test_more_than_one_mib_is_refused(http: Http, raw: bytes, reasons: Callable[[], list[str]]) -> None:
    def handle(peer: Peer) -> None:
        peer.read()
        peer.write(raw)

    with serving(handle) as server, pytest.raises(ProviderUnavailable):
        http.get(server.origin)

    assert reasons() == ["127.0.0.1: a body over 1 MiB"]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (answer(status="302 Found", length=0), "status 302"),
        (answer(b"{}", "Location: https://evil.example/", status="301 Moved"), "status 301"),
        (answer(b"{}", "Location: /again", status="307 Temporary Redirect"), "status 307"),
        (answer(b"{}", "Retry-After: 0", status="503 Unavailable"), "status 503"),
        (answer(status="500 Oops"), "status 500"),
        (answer(status="101 Switching Protocols"), "status 101"),
        (answer(b"", status="204 No Content"), "not JSON"),
        (answer(b"", content_type="application/json"), "not JSON"),
        (answer(b"<html>", content_type="text/html"), "a body that does not call itself JSON"),
        (answer(b"{}", content_type="text/json"), "a body that does not call itself JSON"),
        (answer(b"{}", content_type="application/jsonp"), "a body that does not call itself JSON"),
        (answer(b"{}", content_type="application/json, text/html"), "a body that does not call itself JSON"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "a body that does not call itself JSON"),
        (answer(b"<html>"), "not JSON"),
        (answer(b'{"a": 1, "a": 2}'), "JSON with a duplicate member"),
        (answer(b"\xff"), "not UTF-8"),
        (answer(b"\x1f\x8b", "Content-Encoding: gzip"), "an encoded body"),
        (answer(b"12", length=3), "IncompleteRead"),
        (chunked(b"{}")[: -len(b"0\r\n\r\n")], "IncompleteRead"),
        (chunked(b"{}").replace(b"\n2\r", b"\n-2\r"), "a body in malformed chunks"),
        (chunked(b"{}").replace(b"2\r", b"x\r"), "IncompleteRead"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}", "InvalidHeader"),
        (b"HTTP/1.1 200 OK\r\nno header at secret-path\r\n\r\n{}", "HeaderParsingError"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70_000 + b"\r\n\r\n{}", "LineTooLong"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n{}", "HTTPException"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "BadStatusLine"),
        (b"\x15\x03\x03\x00\x02\x02\x16", "BadStatusLine"),
    ],
)
def test_an_answer_of_no_use_is_an_outage(
    http: Http, raw: bytes, reason: str, reasons: Callable[[], list[str]]
) -> None:
    def handle(peer: Peer) -> None:
        peer.read()
        peer.write(raw)

    with serving(handle) as server, pytest.raises(ProviderUnavailable) as refusal:
        http.get(server.origin + "/secret-path?secret-query=1", headers={"Authorization": "Bearer secret-token"})

    assert refusal.value.hint == reason
    assert reasons() == [f"127.0.0.1: {reason}"]
    assert server.connections == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429])
def test_a_4xx_is_an_answer_whatever_its_body(http: Http, status: int) -> None:
    with serving(
        answering(answer(b"<html>", "WWW-Authenticate: Bearer", status=f"{status} No", content_type="text/html"))
    ) as server:
        got = http.get(server.origin)

    assert (got.status, got.json) == (status, None)
    assert got.headers["www-authenticate"] == "Bearer"


def test_what_leaves_says_nothing_of_address_credential_and_body(http: Http, caplog: pytest.LogCaptureFixture) -> None:
    address = "/private-path?private-query=1"
    form = {"token": "private-form"}
    credential = {"Authorization": "Bearer private-credential"}
    with serving(answering(answer(b"private-body"))) as server, pytest.raises(ProviderUnavailable) as refusal:
        http.post_form(server.origin + address, form, headers=credential)

    said = "".join(traceback.format_exception(refusal.value)) + refusal.value.get_body() + caplog.text
    assert "private" not in said


def test_an_answer_does_not_show_its_content(http: Http) -> None:
    with serving(answering(answer(b'{"email": "anna@example.com"}', "Set-Cookie: session=1"))) as server:
        got = http.get(server.origin)

    assert repr(got) == "Answer(status=200)"


@pytest.mark.parametrize("value", ["Bearer a\r\nX-Evil: 1", "Bearer ä", "Bearer 😀", "Bearer a\n", ""])
def test_a_header_that_cannot_be_sent_is_not_sent_and_not_shown(
    http: Http, value: str, reasons: Callable[[], list[str]]
) -> None:
    with serving(answering(answer())) as server, pytest.raises(ProviderUnavailable):
        http.get(server.origin, headers={"Authorization": value})

    assert server.connections == 0
    assert reasons() == ["127.0.0.1: a header to send holds a character that none may hold"]


# Deadlines. All of these servers but one come to the end of a good answer, only too late.


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

    assert [reason.endswith("TimeoutError") for reason in reasons()] == [True]


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

    assert reasons() == ["127.0.0.1: TimeoutError"]


def test_a_long_form_is_sent_whole(http: Http) -> None:
    with serving(answering(answer())) as server:
        http.post_form(server.origin, {"token": "a" * 100_000})

    assert server.requests[0].endswith(b"\r\n\r\ntoken=" + b"a" * 100_000)


def test_a_tls_handshake_that_drips_is_given_up(quick: Http, reasons: Callable[[], list[str]]) -> None:
    def handle(peer: Peer) -> None:
        peer.drip(b"\x16\x03\x03\x40\x00" + b"\x00" * 100, pause=0.02)

    with serving(handle) as server, pytest.raises(ProviderUnavailable):
        quick.get(server.origin.replace("http:", "https:"))

    assert [reason.endswith("TimeoutError") for reason in reasons()] == [True]


def test_a_host_that_cannot_be_reached_is_an_outage(http: Http, reasons: Callable[[], list[str]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(ProviderUnavailable):
        http.get(f"http://127.0.0.1:{port}/")

    assert reasons() == ["127.0.0.1: ConnectionRefusedError"]


def names(monkeypatch: pytest.MonkeyPatch, **addresses: list[str]) -> None:
    """Let the resolver know these names, and no others."""
    ask = socket.getaddrinfo

    def getaddrinfo(host: str, *args: Any, **kwargs: Any) -> list[Any]:
        if host.replace(".", "").isdigit():
            return ask(host, *args, **kwargs)
        if host not in addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [found for address in addresses[host] for found in ask(address, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_a_host_that_does_not_exist_is_an_outage(
    http: Http, monkeypatch: pytest.MonkeyPatch, reasons: Callable[[], list[str]]
) -> None:
    names(monkeypatch)

    with pytest.raises(ProviderUnavailable):
        http.get("https://idp.example/")

    assert reasons() == ["idp.example: gaierror"]


def test_every_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, keycloak=["127.0.0.2", "127.0.0.1"])

    with serving(answering(answer())) as server, closing(Http(allow_http_hosts=["keycloak"])) as http:
        got = http.get(server.origin.replace("127.0.0.1", "keycloak"))

    assert got.status == 200
    assert b"\r\nhost: keycloak:" in server.requests[0].lower()


def test_a_name_none_of_whose_addresses_answers_is_an_outage(
    monkeypatch: pytest.MonkeyPatch, reasons: Callable[[], list[str]]
) -> None:
    names(monkeypatch, keycloak=["127.0.0.1", "127.0.0.1"])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with closing(Http(allow_http_hosts=["keycloak"])) as http, pytest.raises(ProviderUnavailable):
        http.get(f"http://keycloak:{port}/")

    assert reasons() == ["keycloak: ConnectionRefusedError"]


def test_an_ipv6_address_is_called(http: Http) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with serving(answering(answer()), host="::1") as server:
        assert http.get(server.origin).status == 200


# Kept connections


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
    assert reasons() == ["127.0.0.1: RemoteDisconnected"]


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


def test_making_one_does_no_io(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError

    monkeypatch.setattr(ssl, "create_default_context", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)

    Http().close()


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


# TLS and the environment


def test_a_certificate_that_the_system_trusts_is_accepted(http: Http, trusted: ssl.SSLContext) -> None:
    with serving(answering(answer()), tls=trusted) as server:
        http.get(server.origin)
        assert http.post_form(server.origin, {"token": "a" * 100_000}).json == {"a": 1}

    assert server.connections == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(
    http: Http, tmp_path: Path, reasons: Callable[[], list[str]]
) -> None:
    _, context = self_signed(tmp_path, "127.0.0.1")

    with serving(answering(answer()), tls=context) as server, pytest.raises(ProviderUnavailable):
        http.get(server.origin)

    assert server.requests == []
    assert reasons() == ["127.0.0.1: SSLCertVerificationError"]


def test_a_trusted_certificate_of_another_host_is_refused(
    http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reasons: Callable[[], list[str]]
) -> None:
    certificate, context = self_signed(tmp_path, "idp.example", "127.0.0.2")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    with serving(answering(answer()), tls=context) as server, pytest.raises(ProviderUnavailable):
        http.get(server.origin)

    assert server.requests == []
    assert reasons() == ["127.0.0.1: SSLCertVerificationError"]


def test_a_body_that_drips_over_tls_is_given_up(
    quick: Http, trusted: ssl.SSLContext, reasons: Callable[[], list[str]]
) -> None:
    with serving(drip_body, tls=trusted) as server, pytest.raises(ProviderUnavailable):
        quick.get(server.origin)

    assert [reason.endswith("TimeoutError") for reason in reasons()] == [True]


def test_proxies_and_netrc_of_the_environment_are_ignored(
    http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login anna password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    with serving(answering(answer())) as server:
        http.get(server.origin)

    assert b"authorization" not in server.requests[0].lower()
