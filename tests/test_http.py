from __future__ import annotations

import socket
import ssl
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flask_foreign_token.errors import ProviderUnavailable
from flask_foreign_token.http import MAX_BODY, Http, UselessAnswer

from .http_fixtures import chunked, http_fixture, reasons_fixture  # noqa: F401
from .http_servers import Peer, answer, answering, serving

ONE_MIB = b'"' + b"a" * (MAX_BODY - 2) + b'"'


def until_close(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + body


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


JWT = b"eyJhbGciOiJub25lIn0.e30."


@pytest.mark.parametrize(
    "content_type", ["application/jwt", "Application/JWT", "application/jwt; charset=utf-8", "application/jwt ;a=b"]
)
def test_who_asks_for_json_or_a_jwt_gets_the_jwt_as_it_came(http: Http, content_type: str) -> None:
    with serving(answering(answer(JWT, content_type=content_type))) as server:
        got = http.get_json_or_jwt(server.origin, headers={"Authorization": "Bearer abc"})

    assert (got.status, got.json, got.jwt) == (200, None, JWT.decode())
    assert "eyJ" not in repr(got)
    head = server.requests[0].decode().lower().split("\r\n")
    assert {"authorization: bearer abc", "accept: application/json, application/jwt;q=0.9"} <= set(head)
    assert "accept: application/json" not in head


def test_who_asks_for_json_or_a_jwt_gets_json_as_ever(http: Http) -> None:
    with serving(answering(answer())) as server:
        got = http.get_json_or_jwt(server.origin)

    assert (got.json, got.jwt) == ({"a": 1}, None)


@pytest.mark.parametrize("call", ["get", "post_form"])
def test_nobody_else_gets_a_jwt(http: Http, call: str) -> None:
    arguments = ({},) if call == "post_form" else ()
    jwt = answering(answer(JWT, content_type="application/jwt"))
    with serving(jwt) as server, pytest.raises(UselessAnswer) as refusal:
        getattr(http, call)(server.origin, *arguments)

    assert refusal.value.hint == "a body that does not call itself JSON"
    assert "\r\naccept: application/json\r\n" in server.requests[0].decode().lower()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (answer(JWT, content_type="application/jwts"), "a body that does not call itself JSON"),
        (answer(JWT, content_type="text/jwt"), "a body that does not call itself JSON"),
        (answer(JWT, content_type="application/token-introspection+jwt"), "a body that does not call itself JSON"),
        (answer(JWT, content_type="application/jwt, text/html"), "a body that does not call itself JSON"),
        (answer(JWT, content_type="application/json"), "not JSON"),
        (answer("e30.é.".encode(), content_type="application/jwt"), "a JWT that is not ASCII"),
        (answer(JWT, "Content-Encoding: gzip", content_type="application/jwt"), "an encoded body"),
        (answer(b"a" * (MAX_BODY + 1), content_type="application/jwt"), "a body over 1 MiB"),
        (answer(JWT, content_type="application/jwt", length=100), "an answer that ends too early"),
        (answer(JWT, content_type="application/jwt", status="302 Found"), "status 302"),
        (answer(JWT, content_type="application/jwt", status="500 Oops"), "status 500"),
    ],
)
def test_what_is_neither_json_nor_a_jwt_is_of_no_use(http: Http, raw: bytes, reason: str) -> None:
    def handle(peer: Peer) -> None:
        peer.read()
        peer.write(raw)

    with serving(handle) as server, pytest.raises(ProviderUnavailable) as refusal:
        http.get_json_or_jwt(server.origin)

    assert refusal.value.hint == reason


def test_a_4xx_holds_no_jwt(http: Http) -> None:
    with serving(answering(answer(JWT, content_type="application/jwt", status="401 No"))) as server:
        got = http.get_json_or_jwt(server.origin)

    assert (got.status, got.json, got.jwt) == (401, None, None)


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


KIB = 1024


def test_an_answer_to_a_form_may_be_read_up_to_less(http: Http) -> None:
    with serving(answering(answer(b"{}".ljust(KIB)), answer(b"{}".ljust(KIB + 1)))) as server:
        assert http.post_form(server.origin, {}, max_body=KIB).json == {}
        with pytest.raises(UselessAnswer) as refusal:
            http.post_form(server.origin, {}, max_body=KIB)

    assert refusal.value.hint == "a body over 1 KiB"


@pytest.mark.parametrize("content_type", ["application/json", "application/jwt"])
def test_so_may_an_answer_in_json_or_a_jwt(http: Http, content_type: str) -> None:
    bodies = [answer(b"{}".ljust(size), content_type=content_type) for size in (KIB, KIB + 1)]
    with serving(answering(*bodies)) as server:
        assert http.get_json_or_jwt(server.origin, max_body=KIB).status == 200
        with pytest.raises(UselessAnswer) as refusal:
            http.get_json_or_jwt(server.origin, max_body=KIB)

    assert refusal.value.hint == "a body over 1 KiB"


USELESS = [
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
]
BROKEN = [
    (answer(status="302 Found", length=0), "status 302"),
    (answer(b"{}", "Location: https://evil.example/", status="301 Moved"), "status 301"),
    (answer(b"{}", "Location: /again", status="307 Temporary Redirect"), "status 307"),
    (answer(status="101 Switching Protocols"), "status 101"),
    (answer(b"{}", "Retry-After: 0", status="503 Unavailable"), "status 503"),
    (answer(status="500 Oops"), "status 500"),
    (answer(b"12", length=3), "an answer that ends too early"),
    (chunked(b"{}")[: -len(b"0\r\n\r\n")], "an answer that ends too early"),
    (chunked(b"{}").replace(b"\n2\r", b"\n-2\r"), "a body in malformed chunks"),
    (chunked(b"{}").replace(b"2\r", b"x\r"), "an answer that ends too early"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}", "an answer in malformed HTTP"),
    (b"HTTP/1.1 200 OK\r\nno header at secret-path\r\n\r\n{}", "an answer in malformed HTTP"),
    (b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70_000 + b"\r\n\r\n{}", "an answer in malformed HTTP"),
    (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n{}", "an answer in malformed HTTP"),
    (b"SSH-2.0-OpenSSH_9.6\r\n", "an answer in malformed HTTP"),
    (b"\x15\x03\x03\x00\x02\x02\x16", "an answer in malformed HTTP"),
]


@pytest.mark.parametrize(("raw", "reason"), USELESS + BROKEN)
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


def answered(http: Http, raw: bytes, **options: Any) -> ProviderUnavailable:
    """What is raised where a server says `raw`."""

    def handle(peer: Peer) -> None:
        peer.read()
        peer.write(raw)

    with serving(handle) as server, pytest.raises(ProviderUnavailable) as refusal:
        http.get(server.origin, **options)
    return refusal.value


@pytest.mark.parametrize(("raw", "reason"), USELESS)
def test_an_answer_of_no_use_is_told_from_an_outage(http: Http, raw: bytes, reason: str) -> None:
    assert isinstance(answered(http, raw), UselessAnswer)


@pytest.mark.parametrize(("raw", "reason"), BROKEN)
def test_what_the_server_itself_is_to_blame_for_is_an_outage(http: Http, raw: bytes, reason: str) -> None:
    assert not isinstance(answered(http, raw), UselessAnswer)


def test_who_asks_for_strangers_logs_useless_answers_himself(http: Http, reasons: Callable[[], list[str]]) -> None:
    assert answered(http, answer(b"<html>"), logs_useless=False).hint == "not JSON"
    assert reasons() == []

    answered(http, b"SSH-2.0-OpenSSH_9.6\r\n", logs_useless=False)
    assert reasons() == ["127.0.0.1: an answer in malformed HTTP"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429])
def test_a_4xx_is_an_answer_whatever_its_body(http: Http, status: int) -> None:
    with serving(
        answering(answer(b"<html>", "WWW-Authenticate: Bearer", status=f"{status} No", content_type="text/html"))
    ) as server:
        got = http.get(server.origin)

    assert (got.status, got.json) == (status, None)
    assert got.headers["www-authenticate"] == "Bearer"


def test_what_a_4xx_answer_to_a_form_says_is_kept(http: Http) -> None:
    body = b'{"error": "invalid_grant", "error_description": "Account disabled"}'
    with serving(answering(answer(body, status="400 Bad Request"))) as server:
        got = http.post_form(server.origin, {"grant_type": "password"})

    assert (got.status, got.json) == (400, None)
    assert got.refusal == {"error": "invalid_grant", "error_description": "Account disabled"}
    assert "invalid_grant" not in repr(got)


@pytest.mark.parametrize(
    "raw",
    [
        answer(b"[1]", status="400 No"),
        answer(b"no JSON", status="400 No"),
        answer(b"{}", status="400 No", content_type="text/html"),
        answer(b"{}", "Content-Encoding: gzip", status="400 No"),
        answer(ONE_MIB + b" ", status="400 No"),
        answer(b"{}", status="400 No", length=3),
        answer(b"{}"),
    ],
    ids=["no object", "no JSON", "another type", "encoded", "too large", "too short", "no refusal"],
)
def test_an_answer_that_is_no_oauth_error_is_one_without_words(http: Http, raw: bytes) -> None:
    def handle(peer: Peer) -> None:
        peer.read()
        peer.write(raw)

    with serving(handle) as server:
        assert http.post_form(server.origin, {"grant_type": "password"}).refusal is None


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


def test_making_one_does_no_io(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(ssl, "create_default_context", lambda *_, **__: asked.append("certificates"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: asked.append("addresses"))

    Http().close()

    assert asked == []


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
