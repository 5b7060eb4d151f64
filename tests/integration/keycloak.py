"""The Keycloak of a test run, and realms of a test module's own on it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import requests

from example_app.keycloak_server import (
    VERSION,
    Keycloak,
    KeycloakRefused,
    KeycloakUnavailable,
    distribution_folder,
    java,
    running,
)

from .servers import missing


@dataclass(frozen=True, slots=True)
class Realm:
    """A realm that exists.

    :param name: as it stands in its addresses.
    """

    keycloak: Keycloak
    name: str

    @property
    def issuer(self) -> str:
        """The ``iss`` of its tokens."""
        return f"{self.keycloak.hostname_url}/realms/{self.name}"

    @property
    def url(self) -> str:
        """Where it is called, which is another host than the issuer's."""
        return f"{self.keycloak.url}/realms/{self.name}"

    def token(self, **form: str) -> requests.Response:
        """What its token endpoint answers."""
        return requests.post(f"{self.url}/protocol/openid-connect/token", data=form, timeout=60)

    def admin(self, method: str, path: str, body: object = None) -> object:
        """What the admin API answers for a path below this realm's.

        :raises KeycloakRefused: the status is 400 or above.
        """
        return self.keycloak.admin(method, f"/realms/{self.name}{path}", body)


MakeRealm = Callable[..., Realm]


@contextmanager
def keycloak_of_the_run() -> Iterator[Keycloak]:
    """The Keycloak that ``KEYCLOAK_URL`` names, or one that runs until the end of the block; nothing is fetched."""
    if not os.environ.get("KEYCLOAK_URL"):
        if not distribution_folder().is_dir():
            missing(f"Keycloak {VERSION} is not in {distribution_folder().parent}; `make test` fetches it")
        try:
            java()
        except KeycloakUnavailable as error:
            missing(str(error))
    with running(print) as keycloak:
        yield keycloak


@contextmanager
def realms(keycloak: Keycloak) -> Iterator[MakeRealm]:
    """Makes realms from representations, and deletes them at the end.

    One without a name gets one that no other has; without ``enabled`` it is enabled.
    """
    made: list[str] = []

    def make(representation: Mapping[str, object] = {}) -> Realm:
        name = str(representation.get("realm", f"realm-{secrets.token_hex(4)}"))
        keycloak.create_realm({"enabled": True, **representation, "realm": name})
        made.append(name)
        return Realm(keycloak, name)

    try:
        yield make
    finally:
        for name in made:
            with suppress(KeycloakRefused):  # a test has deleted it
                keycloak.delete_realm(name)
