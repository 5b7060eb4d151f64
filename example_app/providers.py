"""Who issues the demo's tokens: the issuer that comes with the package, or a real Keycloak."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from flask_foreign_token.testing import Issuer

from .keycloak_server import running

FOLDER = Path(__file__).parent
ISSUER = "http://localhost:8180/realms/myrealm"
CALLED = "http://keycloak:8180/realms/myrealm"
"""Where the app of `docker-compose.yaml` calls the realm that issues as :data:`ISSUER`."""


@dataclass(frozen=True, slots=True)
class Provider:
    """A realm as in `keycloak/myrealm-realm.json`.

    :param issuer: the `iss` of its tokens.
    :param url: where it is called.
    :param requests: how many came for its endpoints, ``jwks`` and ``userinfo`` among them; none where nobody counts.
    """

    issuer: str
    url: str
    requests: Mapping[str, int] | None = None

    @property
    def token_endpoint(self) -> str:
        return f"{self.url}/protocol/openid-connect/token"

    def resources(self) -> Iterator[tuple[str, str]]:
        """Path and body of each resource in `resources.yaml`, with the addresses of this provider."""
        addresses = {CALLED: self.url, ISSUER: self.issuer}
        text = (FOLDER / "resources.yaml").read_text(encoding="utf-8")
        # Both at once: the address of a Keycloak on port 8180 begins like ISSUER.
        text = re.sub("|".join(map(re.escape, addresses)), lambda found: addresses[found[0]], text)
        for body in text.split("---\n"):
            resource = yaml.safe_load(body)
            yield f"/fhir/{resource['resourceType']}/{resource['id']}", body


@contextmanager
def embedded() -> Iterator[Provider]:
    """The issuer that tests use, on a free port."""
    with Issuer(ISSUER) as issuer:
        yield Provider(issuer.issuer, issuer.url, issuer.requests)


@contextmanager
def keycloak(say: Callable[[str], None]) -> Iterator[Provider]:
    """A realm of a real Keycloak: of the one that ``KEYCLOAK_URL`` names, or else of one that runs meanwhile.

    :param say: is told what takes its time.
    """
    name = f"myrealm-demo-{secrets.token_hex(4)}" if os.environ.get("KEYCLOAK_URL") else "myrealm"
    realm = (FOLDER / "keycloak" / "myrealm-realm.json").read_text(encoding="utf-8").replace("myrealm", name)
    with running(say) as server:
        server.create_realm(json.loads(realm))
        try:
            yield Provider(f"{server.hostname_url}/realms/{name}", f"{server.url}/realms/{name}")
        finally:
            server.delete_realm(name)
