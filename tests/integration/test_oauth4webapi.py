"""A client of another make finds its way from a refusal to a token, and back in."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from example_app.keycloak_server import free_port

from ..apps import Resource, policy, provider, write_registry
from . import representations as keycloak
from .keycloak import MakeRealm
from .oidc_provider import CLIENT, OidcProvider, command
from .serving import served

Trusted = tuple[list[Resource], tuple[str, str]]
"""What the app trusts, and the client that gets tokens there."""


def trusting(issuer: str, jwks_uri: str) -> list[Resource]:
    """For any API: that of the tokens is the one that the app says it is."""
    return [
        provider(),
        {
            "resourceType": "TokenIntrospector",
            "id": "jwt",
            "type": "jwt",
            "jwt": {"iss": issuer},
            "jwks_uri": jwks_uri,
            "identity_provider": {"reference": "IdentityProvider/keycloak"},
        },
        policy("known-issuer", {"jwt": {"iss": issuer}}),
    ]


@pytest.fixture(params=["keycloak", "oidc-provider"])
def trusted(request: pytest.FixtureRequest) -> Callable[[str], Trusted]:
    """Sets a provider up to issue tokens for a resource."""

    def at_keycloak(resource: str) -> Trusted:
        make_realm: MakeRealm = request.getfixturevalue("make_realm")
        realm = make_realm({"clients": [keycloak.a_client("my-client", audience=resource)]})
        return trusting(realm.issuer, f"{realm.url}/protocol/openid-connect/certs"), (
            "my-client",
            keycloak.secret_of("my-client"),
        )

    def at_oidc_provider(resource: str) -> Trusted:
        running: OidcProvider = request.getfixturevalue("oidc_provider")
        return trusting(running.issuer, f"{running.url}/jwks"), CLIENT

    return at_keycloak if request.param == "keycloak" else at_oidc_provider


def run(**options: str) -> dict[str, Any]:
    """What the client has found on its way."""
    done = subprocess.run(
        [*command("client.mjs"), json.dumps(options)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_from_a_refusal_to_a_token_and_back_in(tmp_path: Path, trusted: Callable[[str], Trusted]) -> None:
    port = free_port()
    resource = f"http://127.0.0.1:{port}/fhir"
    resources, (client_id, client_secret) = trusted(resource)
    variables = {
        "FOREIGN_TOKEN_REGISTRY": str(write_registry(tmp_path / "registry.json", resources)),
        "FOREIGN_TOKEN_RESOURCE": resource,
        "SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/example.sqlite",
    }

    with served(tmp_path, port=port, app="example_app:create_app()", **variables):
        found = run(resource=resource, url=f"{resource}/Patient", client_id=client_id, client_secret=client_secret)

    address = found["looked_up"]
    assert found["anonymous"]["status"] == 401
    assert f'resource_metadata="{address}"' in found["anonymous"]["challenge"]
    (challenge,) = found["challenges"]
    assert (found["status"], challenge["scheme"]) == (401, "bearer")
    assert challenge["parameters"]["error"] == "invalid_token"
    assert challenge["parameters"]["resource_metadata"] == address
    assert found["metadata"]["resource"] == resource
    assert found["metadata"]["authorization_servers"] == [found["issuer"]] == [resources[1]["jwt"]["iss"]]
    assert (found["answer"]["status"], found["answer"]["body"]["total"]) == (200, 3)
