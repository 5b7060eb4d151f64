from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from flask_foreign_token.errors import ProviderUnavailable
from flask_foreign_token.http import Http

from .http_fixtures import http_fixture, reasons_fixture  # noqa: F401
from .http_servers import answer, answering, serving


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


@pytest.mark.requirement("RFC 6749", "10.3")
@pytest.mark.requirement("RFC 8414", "2")
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


def test_a_host_that_cannot_be_reached_is_an_outage(http: Http, reasons: Callable[[], list[str]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(ProviderUnavailable):
        http.get(f"http://127.0.0.1:{port}/")

    assert reasons() == ["127.0.0.1: the connection is refused"]


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

    assert reasons() == ["idp.example: no host of that name is known here"]


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

    assert reasons() == ["keycloak: the connection is refused"]


def test_an_ipv6_address_is_called(http: Http) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with serving(answering(answer()), host="::1") as server:
        assert http.get(server.origin).status == 200
