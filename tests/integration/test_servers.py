"""The servers that the other tests run on: each is the real one, and what is absent does not go unnoticed."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import requests
import sqlalchemy as sa
from joserfc import jwt
from joserfc.jwk import KeySet

from example_app.keycloak_server import Keycloak, KeycloakRefused

from . import install, oidc_provider, servers
from .keycloak import MakeRealm, keycloak_of_the_run, realms
from .oidc_provider import OidcProvider

CLIENT = {"clientId": "my-client", "secret": "the-secret-of-my-client", "serviceAccountsEnabled": True}


def ask(url: str, statement: str) -> object:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        answer = connection.exec_driver_sql(statement).scalar()
    engine.dispose()
    return answer


def test_postgresql_answers(postgresql: str) -> None:
    assert str(ask(postgresql, "SELECT version()")).startswith("PostgreSQL ")


def test_mariadb_answers(mariadb: str) -> None:
    assert "MariaDB" in str(ask(mariadb, "SELECT version()"))


def test_redis_answers_and_is_gone_afterwards() -> None:
    with servers.redis() as url:
        assert servers.redis_says(url, b"PING") == b"+PONG\r\n"

    with pytest.raises(ConnectionRefusedError):
        servers.redis_says(url, b"PING")


def test_keycloak_names_its_issuer_and_the_address_at_which_it_is_called(make_realm: MakeRealm) -> None:
    realm = make_realm({"clients": [CLIENT]})

    answer = realm.token(grant_type="client_credentials", client_id=CLIENT["clientId"], client_secret=CLIENT["secret"])
    metadata = requests.get(f"{realm.url}/.well-known/openid-configuration", timeout=30).json()

    assert answer.status_code == 200
    assert realm.issuer == metadata["issuer"]
    assert metadata["jwks_uri"].startswith(realm.url)


def test_a_realm_is_gone_afterwards(keycloak: Keycloak) -> None:
    with realms(keycloak) as make:
        realm = make()
        assert realm.admin("GET", "/users") == []

    with pytest.raises(KeycloakRefused, match="404"):
        realm.admin("GET", "/users")


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_oidc_provider_issues_tokens_that_its_keys_verify(oidc_provider: OidcProvider, algorithm: str) -> None:
    metadata = requests.get(f"{oidc_provider.issuer}/.well-known/openid-configuration", timeout=30).json()
    keys = KeySet.import_key_set(requests.get(metadata["jwks_uri"], timeout=30).json())

    token = jwt.decode(oidc_provider.token(algorithm), keys, algorithms=[algorithm])

    assert token.header["typ"] == "at+jwt"
    assert token.claims["iss"] == metadata["issuer"] == oidc_provider.issuer
    assert token.claims["aud"] == f"https://api.example/{algorithm}"


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with no server, no Java, no Node.js and nothing in its cache."""
    for name in ("CI", "JAVA", "JAVA_HOME", "KEYCLOAK_URL", "SERVERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(servers, "ELSEWHERE", ())


SERVERS = [
    pytest.param(
        servers.postgresql, "PostgreSQL is not installed: no initdb, pg_ctl; `make test SERVERS=apt`", id="pg"
    ),
    pytest.param(servers.mariadb, "MariaDB is not installed: no mariadb-install-db, mariadbd; `make", id="mariadb"),
    pytest.param(servers.redis, "Redis is not installed: no redis-server; `make test SERVERS=apt`", id="redis"),
    pytest.param(keycloak_of_the_run, "Keycloak 26.3.5 is not in .*; `make test` fetches it", id="keycloak"),
    pytest.param(
        oidc_provider.of_the_run, "oidc-provider needs Node.js 18 or newer, .*SERVERS=apt`", id="oidc-provider"
    ),
]


@pytest.mark.usefixtures("bare_machine")
@pytest.mark.parametrize(("server", "reason"), SERVERS)
def test_a_server_that_is_absent_is_skipped_with_the_command_that_brings_it(
    server: Callable[[], AbstractContextManager[object]], reason: str
) -> None:
    with pytest.raises(pytest.skip.Exception, match=reason), server():
        pass


@pytest.mark.usefixtures("bare_machine")
@pytest.mark.parametrize(("server", "reason"), SERVERS)
def test_in_ci_a_server_that_is_absent_is_a_failure(
    server: Callable[[], AbstractContextManager[object]], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception, match=reason), server():
        pass


@pytest.mark.usefixtures("bare_machine")
def test_what_cannot_be_brought_is_named_in_a_line_and_nothing_fails(capsys: pytest.CaptureFixture[str]) -> None:
    install.main()

    keycloak, oidc = capsys.readouterr().out.splitlines()
    assert keycloak.startswith("No Keycloak: Keycloak needs Java 17 or newer, and there is none; `apt-get install ")
    assert oidc.startswith("No oidc-provider: oidc-provider needs Node.js 18 or newer, and there is none; `make test ")


@pytest.mark.usefixtures("bare_machine")
@pytest.mark.parametrize("variable", [("CI", "true"), ("SERVERS", "apt")])
def test_without_apt_the_packages_are_named(
    variable: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(*variable)

    install.main()

    first, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("There is no apt-get here; what is absent, by its name in Debian: curl, mariadb-server, ")


@pytest.mark.usefixtures("bare_machine")
def test_servers_are_brought_by_apt_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVERS", "yum")

    with pytest.raises(SystemExit, match="SERVERS is yum; it can be apt, or unset"):
        install.main()


def test_nothing_is_said_and_done_where_all_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("SERVERS", raising=False)
    install.keycloak_server.distribution_folder().mkdir(parents=True)
    oidc_provider.installed_folder().mkdir()

    install.main()

    assert capsys.readouterr().out == ""


def test_the_lock_file_pins_the_package_that_is_asked_for() -> None:
    asked = json.loads((oidc_provider.SOURCE / "package.json").read_text())["dependencies"]
    locked = json.loads((oidc_provider.SOURCE / "package-lock.json").read_text())["packages"]

    assert {name: locked[f"node_modules/{name}"]["version"] for name in asked} == asked
    assert all("integrity" in package for name, package in locked.items() if name)
