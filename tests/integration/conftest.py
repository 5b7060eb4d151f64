"""Real servers: each starts when the first test asks for it, and is stopped afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from example_app.keycloak_server import Keycloak

from . import oidc_provider as oidc
from . import servers
from .keycloak import MakeRealm, keycloak_of_the_run, realms


@pytest.fixture(scope="session")
def keycloak() -> Iterator[Keycloak]:
    """One for the whole run; what a module changes on it, it changes in a realm of its own."""
    with keycloak_of_the_run() as running:
        yield running


@pytest.fixture(scope="module")
def make_realm(keycloak: Keycloak) -> Iterator[MakeRealm]:
    """Makes realms of this module's own: ``make_realm({"clients": […], "users": […]})``."""
    with realms(keycloak) as make:
        yield make


@pytest.fixture(scope="session")
def oidc_provider() -> Iterator[oidc.OidcProvider]:
    """One for the whole run; it has nothing that a test could change."""
    with oidc.of_the_run() as running:
        yield running


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL database of this module's own."""
    with servers.postgresql() as url:
        yield url


@pytest.fixture(scope="module")
def mariadb() -> Iterator[str]:
    """The URL of a MariaDB database of this module's own."""
    with servers.mariadb() as url:
        yield url


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    """The URL of a Redis of this module's own."""
    with servers.redis() as url:
        yield url
