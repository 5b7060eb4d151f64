"""A Redis of its own, and every way in which an address can lead to it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from example_app.keycloak_server import free_port
from flask_foreign_token.testing import Issuer

from ..apps import ask, policy
from ..conftest import MakeApp
from ..http_servers import self_signed
from .enduring import sharing
from .servers import Redis, programs_of

PASSWORD = "what-the-redis-wants-to-hear"


@dataclass(frozen=True)
class Ways:
    """The ports and the files by which the Redis is reached."""

    port: int
    tls_port: int
    path: Path
    certificate: Path

    def address(self, written: str) -> str:
        """`written` with what is known of them put in."""
        return written.format(password=PASSWORD, **self.__dict__)


@pytest.fixture(scope="module", name="ways")
def ways_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    """Those of a Redis that wants a password, or the user ``worker`` with the same."""
    server = programs_of("Redis", "redis-server")["redis-server"]
    folder = tmp_path_factory.mktemp("redis")
    certificate, _ = self_signed(folder, "127.0.0.1")
    ways = Ways(free_port(), free_port(), folder / "socket", certificate)
    tls = ["--tls-port", str(ways.tls_port), "--tls-cert-file", str(certificate), "--tls-auth-clients", "no"]
    tls += ["--tls-key-file", str(folder / "key.pem"), "--tls-ca-cert-file", str(certificate)]
    plain = ["--bind", "127.0.0.1", "--port", str(ways.port), "--unixsocket", str(ways.path), "--dir", str(folder)]
    known = ["--requirepass", PASSWORD, "--user", "worker", "on", f">{PASSWORD}", "~*", "&*", "+@all"]
    redis = Redis(ways.port, [server, *plain, *tls, *known, "--save", "", "--appendonly", "no"], None)
    try:
        redis.start()
        yield ways
    finally:
        redis.stop()


def statuses(make_app: MakeApp, issuer: Issuer, address: str) -> list[int]:
    """What two workers answer, one after the other, that may share what they fetch at `address`."""
    resources = [*issuer.resources(), policy("all", {"jwt": "present?"})]
    token = issuer.token(sub="ann")
    return [ask(make_app(resources, **sharing(address)), token).status_code for _ in range(2)]


@pytest.mark.parametrize(
    "written",
    [
        "redis://:{password}@127.0.0.1:{port}/0",
        "redis://worker:{password}@127.0.0.1:{port}/0",
        "valkey://:{password}@127.0.0.1:{port}/1",
        "unix://:{password}@{path}?db=2",
        "rediss://:{password}@127.0.0.1:{tls_port}/3?ssl_ca_certs={certificate}",
        "valkeys://worker:{password}@127.0.0.1:{tls_port}/4?ssl_ca_certs={certificate}",
    ],
)
def test_workers_share_by_it(make_app: MakeApp, own_issuer: Issuer, ways: Ways, written: str) -> None:
    assert statuses(make_app, own_issuer, ways.address(written)) == [200, 200]

    assert own_issuer.requests["jwks"] == 1


@pytest.mark.parametrize(
    "written",
    [
        "redis://127.0.0.1:{port}/0",
        "redis://:wrong-{password}@127.0.0.1:{port}/0",
        "redis://nobody:{password}@127.0.0.1:{port}/0",
        "redis://:{password}@127.0.0.1:{tls_port}/0",
        "rediss://:{password}@127.0.0.1:{port}/0?ssl_ca_certs={certificate}",
        "rediss://:{password}@127.0.0.1:{tls_port}/0",
        "rediss://:{password}@localhost:{tls_port}/0?ssl_ca_certs={certificate}",
        "unix://:{password}@{path}.absent",
    ],
)
def test_where_it_leads_to_none_that_can_be_trusted_each_goes_on_alone(
    make_app: MakeApp, own_issuer: Issuer, ways: Ways, written: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "flask_foreign_token")

    assert statuses(make_app, own_issuer, ways.address(written)) == [200, 200]

    assert own_issuer.requests["jwks"] == 2
    assert "shared cache" in caplog.text
    assert PASSWORD not in caplog.text
