"""The example's demo, realm and health check on a real Keycloak."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator

import pytest
import requests
import yaml

from example_app import demo
from example_app.keycloak_server import Keycloak
from example_app.providers import FOLDER

from ..apps import bearer
from ..example_app.test_demo import STATUSES, statuses_in

REALM = f"myrealm-{secrets.token_hex(4)}"
SERVICE_ACCOUNT = {"grant_type": "client_credentials"}
PERSON = {"grant_type": "password", "username": "testuser", "password": "testpass123"}


@pytest.fixture(scope="module")
def realm(keycloak: Keycloak) -> Iterator[str]:
    """Where the example's realm is, under a name of its own."""
    text = (FOLDER / "keycloak" / "myrealm-realm.json").read_text(encoding="utf-8")
    keycloak.create_realm(json.loads(text.replace("myrealm", REALM)))
    yield f"{keycloak.url}/realms/{REALM}"
    keycloak.delete_realm(REALM)


def token(realm: str, grant: dict[str, str], scope: str = "openid profile email") -> str:
    client = {"client_id": "my-client", "client_secret": "my-client-secret", "scope": scope}
    response = requests.post(f"{realm}/protocol/openid-connect/token", data={**client, **grant}, timeout=60)
    assert response.status_code == 200, response.text
    return str(response.json()["access_token"])


def userinfo(realm: str, token: str) -> requests.Response:
    return requests.get(f"{realm}/protocol/openid-connect/userinfo", headers=bearer(token), timeout=60)


def realms_of_demos(keycloak: Keycloak) -> list[str]:
    found = keycloak.admin("GET", "/realms")
    assert isinstance(found, list)
    return [realm["realm"] for realm in found if realm["realm"].startswith("myrealm-demo-")]


def test_the_demo_keeps_its_promises_and_leaves_no_realm_behind(
    keycloak: Keycloak, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYCLOAK_URL", keycloak.url)

    status = demo.main(["--keycloak"])

    told = capsys.readouterr().out
    assert status == 0, told
    assert statuses_in(told) == STATUSES
    assert realms_of_demos(keycloak) == []


def test_a_broken_promise_ends_the_demo_with_status_1_and_leaves_no_realm_behind(
    keycloak: Keycloak, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYCLOAK_URL", keycloak.url)
    monkeypatch.setitem(demo.CREDENTIALS, "scope", "profile email")

    status = demo.main(["--keycloak"])

    assert status == 1
    assert "NOT AS PROMISED" in capsys.readouterr().out
    assert realms_of_demos(keycloak) == []


@pytest.mark.parametrize("grant", [SERVICE_ACCOUNT, PERSON], ids=["service account", "testuser"])
def test_the_realms_tokens_are_for_an_audience_and_read_userinfo(realm: str, grant: dict[str, str]) -> None:
    issued = token(realm, grant)

    assert demo.claims_of(issued)["aud"] == "account"
    assert userinfo(realm, issued).status_code == 200


@pytest.mark.parametrize("grant", [SERVICE_ACCOUNT, PERSON], ids=["service account", "testuser"])
def test_a_token_without_the_scope_openid_does_not_read_userinfo(realm: str, grant: dict[str, str]) -> None:
    response = userinfo(realm, token(realm, grant, scope="profile email"))

    assert response.status_code == 403
    assert 'error="insufficient_scope"' in response.headers["WWW-Authenticate"]


def test_no_client_scope_is_called_openid(keycloak: Keycloak, realm: str) -> None:
    scopes = keycloak.admin("GET", f"/realms/{REALM}/client-scopes")

    assert isinstance(scopes, list)
    assert "profile" in (names := {scope["name"] for scope in scopes})
    assert "openid" not in names


@pytest.mark.parametrize(("name", "healthy"), [(REALM, True), ("no-such-realm", False)], ids=["there", "absent"])
def test_the_container_is_healthy_once_the_realm_is_there(
    keycloak: Keycloak, realm: str, name: str, healthy: bool
) -> None:
    compose = yaml.safe_load((FOLDER / "docker-compose.yaml").read_text(encoding="utf-8"))
    _, *command = compose["services"]["keycloak"]["healthcheck"]["test"]
    port = keycloak.url.rpartition(":")[2]
    # What compose makes of $$, in another place.
    command[-1] = command[-1].replace("$$", "$").replace("/8080", f"/{port}").replace("/myrealm ", f"/{name} ")

    done = subprocess.run(command, timeout=60, check=False)

    assert (done.returncode == 0) is healthy
