"""A provider that cannot be reached, or answers nothing of use, at each of its endpoints."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from email.utils import formatdate
from pathlib import Path
from time import time

import pytest

from flask_foreign_token.diagnosis.findings import Finding
from flask_foreign_token.http import Http
from flask_foreign_token.testing import Issuer

from ..apps import Resource
from ..http_servers import Peer, answer, answering, self_signed, serving
from ..publishing import OPENID, Publisher, metadata
from .checking import CLIENT, about, asking, discovering, endpoint_of, examined, marks, trusting

# ---- what can be the matter with a host

Host = Callable[[Path], AbstractContextManager[str]]


@contextmanager
def refusing(_folder: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


@contextmanager
def unknown(_folder: Path) -> Iterator[str]:
    yield "https://no-such-host.invalid"


@contextmanager
def untrusted(folder: Path) -> Iterator[str]:
    _, context = self_signed(folder, "127.0.0.1")
    with serving(answering(answer()), tls=context) as server:
        yield server.origin


@contextmanager
def without_tls(_folder: Path) -> Iterator[str]:
    def answer_at_once(peer: Peer) -> None:
        peer.sock.recv(65536)
        peer.write(answer(status="400 Bad Request"))

    with serving(answer_at_once) as server:
        yield server.origin.replace("http:", "https:")


@contextmanager
def silent(_folder: Path) -> Iterator[str]:
    def say_nothing(peer: Peer) -> None:
        peer.read()
        peer.server.stopping.wait(10)

    with serving(say_nothing) as server:
        yield server.origin


@contextmanager
def hanging_up(_folder: Path) -> Iterator[str]:
    with serving(lambda peer: peer.read() and None) as server:
        yield server.origin


def saying(said: bytes) -> Host:
    @contextmanager
    def host(_folder: Path) -> Iterator[str]:
        with serving(answering(said)) as server:
            yield server.origin

    return host


MATTERS: dict[str, tuple[Host, str, str]] = {
    "refused": (refusing, "the connection is refused", "listens there"),
    "DNS": (unknown, "no host of that name", "spelt right"),
    "certificate": (untrusted, "certificate is not trusted", "SSL_CERT_FILE"),
    "no TLS": (without_tls, "no TLS can be agreed upon", "begins with http://"),
    "timeout": (silent, "no answer in time", "listens there"),
    "closed": (hanging_up, "the connection was closed", "hangs up"),
    "500": (saying(answer(status="500 Oh")), "status 500", "its log"),
    "503": (saying(answer(status="503 Oh")), "status 503", "its log"),
    "redirect": (saying(answer(b"", "Location: /login", status="302 Found")), "status 302", "sends elsewhere"),
    "HTML": (saying(answer(b"<p>", content_type="text/html")), "does not call itself JSON", "page for people"),
}


# ---- where it can be


def at_keys(issuer: Issuer, origin: str) -> list[Resource]:
    described, link, allowing = trusting(issuer)
    return [described, {**link, "jwks_uri": f"{origin}/certs"}, allowing]


def at_introspection(issuer: Issuer, origin: str) -> list[Resource]:
    return asking(issuer, introspection_endpoint=endpoint_of(issuer, url=f"{origin}/introspect"))


def at_token(issuer: Issuer, origin: str) -> list[Resource]:
    return trusting(issuer, token_endpoint=f"{origin}/token")


def at_userinfo(issuer: Issuer, origin: str) -> list[Resource]:
    return trusting(issuer, userinfo_endpoint=f"{origin}/userinfo", token_endpoint=issuer.token_endpoint)


def at_issuer(_issuer: Issuer, origin: str) -> list[Resource]:
    return discovering(f"{origin}/realms/clinic")


PLACES: dict[str, Callable[[Issuer, str], list[Resource]]] = {
    "keys": at_keys,
    "introspection": at_introspection,
    "client credentials": at_token,
    "client credentials: userinfo": at_userinfo,
    "discovery": at_issuer,
    "userinfo": at_issuer,
}


@pytest.mark.parametrize("matter", MATTERS)
@pytest.mark.parametrize("check", PLACES)
def test_what_is_the_matter_is_told_with_its_remedy(issuer: Issuer, tmp_path: Path, check: str, matter: str) -> None:
    host, words, remedy = MATTERS[matter]
    patience = 0.7 if matter == "timeout" else 5.0
    with host(tmp_path) as origin, closing(Http(timeout=(patience, patience))) as http:
        finding = about(examined(http, PLACES[check](issuer, origin), CLIENT), check)

    assert finding.mark == "failed"
    assert f"{origin}/" in finding.found
    assert words in finding.found
    assert remedy in "\n".join(finding.remedy)
    assert "\n" not in finding.found


@pytest.mark.parametrize("check", PLACES)
def test_where_nothing_is_the_matter_all_is_well(http: Http, own_issuer: Issuer, check: str) -> None:
    resources = {
        "introspection": asking(own_issuer),
        "discovery": discovering(own_issuer.issuer),
        "userinfo": discovering(own_issuer.issuer),
    }
    findings = examined(http, resources.get(check, trusting(own_issuer)), CLIENT)

    assert marks(findings)[check] == "ok"


# ---- what userinfo makes of the token


def of_userinfo(http: Http, issuer: Issuer, status: int) -> Finding:
    with issuer.fail("userinfo", status):
        return about(examined(http, trusting(issuer), CLIENT), "client credentials: userinfo")


@pytest.mark.parametrize(
    ("status", "words", "remedy"),
    [
        (401, "the provider does not take the token", "userinfo-source: id-token"),
        (401, "the provider does not take the token", "KC_HOSTNAME"),
        (403, "answers 403", 'scope="openid profile email"'),
        (404, "status 404", "see that the path is right"),
        (429, "status 429", "more often than it allows"),
        (400, "status 400", "userinfo_endpoint is that of the very provider"),
    ],
)
def test_userinfo_that_refuses_is_told_with_the_remedy(
    http: Http, own_issuer: Issuer, status: int, words: str, remedy: str
) -> None:
    finding = of_userinfo(http, own_issuer, status)

    assert finding.mark == "failed"
    assert own_issuer.userinfo_endpoint in finding.found
    assert words in finding.found
    assert remedy in "\n".join(finding.remedy)


def test_userinfo_of_somebody_else(http: Http, issuer: Issuer, publisher: Publisher) -> None:
    publisher.publish("/userinfo", {"sub": "another"})

    resources = trusting(issuer, userinfo_endpoint=f"{publisher.origin}/userinfo")
    finding = about(examined(http, resources, CLIENT), "client credentials: userinfo")

    assert (finding.mark, "userinfo names another subject" in finding.found) == ("failed", True)
    assert "userinfo_endpoint is that of the very provider" in "\n".join(finding.remedy)


# ---- what the token endpoint makes of us


def test_a_stored_secret_that_is_refused_is_to_be_written_again(http: Http, issuer: Issuer) -> None:
    client = {"id": "my-client", "secret": "wrong-secret"}
    resources = trusting(issuer, client=client, token_endpoint=issuer.token_endpoint)

    finding = about(examined(http, resources), "client credentials")

    assert finding.mark == "failed"
    assert "invalid_client" in finding.found
    assert "It is the client.secret that is stored at IdentityProvider/keycloak." in finding.remedy
    assert finding.command[0] == "(umask 077; flask foreign-token get IdentityProvider keycloak >edited.yaml)"
    assert "wrong-secret" not in repr(finding)


def test_nothing_stored_is_to_be_written_again_where_another_secret_was_given(http: Http, issuer: Issuer) -> None:
    resources = trusting(issuer, client={"id": "my-client", "secret": "x"}, token_endpoint=issuer.token_endpoint)
    given = CLIENT.__class__("my-client", "wrong-secret")

    finding = about(examined(http, resources, given), "client credentials")

    assert (finding.mark, finding.command) == ("failed", ())


def test_a_token_endpoint_that_is_not_there_has_a_remedy(http: Http, own_issuer: Issuer) -> None:
    with own_issuer.fail("token", 404):
        finding = about(examined(http, trusting(own_issuer), CLIENT), "client credentials")

    assert (finding.mark, "answers 404" in finding.found) == ("failed", True)
    assert "See that token_endpoint is that of the very provider" in finding.remedy[0]


# ---- clocks


@pytest.mark.parametrize(
    ("seconds", "mark", "words"), [(0, "ok", "agrees"), (12, "warning", "ahead"), (-45, "failed", "behind")]
)
@pytest.mark.parametrize("has_metadata", [True, False])
def test_clocks_that_differ_are_told(
    http: Http, publisher: Publisher, seconds: int, mark: str, words: str, has_metadata: bool
) -> None:
    issuer = f"{publisher.origin}/realms/clinic"
    if has_metadata:
        publisher.publish(f"/realms/clinic{OPENID}", metadata(issuer))
    publisher.publish("/realms/clinic/certs", {"keys": []})
    publisher.headers["Date"] = formatdate(time() + seconds, usegmt=True)

    resources = discovering(issuer, jwks_uri=f"{issuer}/certs", **{"userinfo-source": "id-token"})
    finding = about(examined(http, [*resources[:2], resources[3]]), "clock")

    assert finding.mark == mark
    assert words in finding.found
    assert any("NTP" in line for line in finding.remedy) == (mark != "ok")
