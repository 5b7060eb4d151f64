"""Real servers: each starts when the first test asks for it, and is stopped afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from example_app.keycloak_server import Keycloak

from . import logout_tokens, servers
from . import oidc_provider as oidc
from .databases import KINDS, Databases
from .keycloak import MakeRealm, keycloak_of_the_run, realms
from .real_providers import RealKeycloak, RealOidcProvider, RealProviders


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


@pytest.fixture(scope="session")
def real_providers(keycloak: Keycloak, oidc_provider: oidc.OidcProvider) -> Iterator[RealProviders]:
    """Those with whom the same is tried, by name; what a test changes on the realm, no other looks at."""
    with realms(keycloak) as make, logout_tokens.received() as tokens:
        yield {"keycloak": RealKeycloak(make, tokens), "oidc-provider": RealOidcProvider(oidc_provider)}


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


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """Makes databases on servers of the whole run."""
    with ExitStack() as stack:
        yield Databases(stack)


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, databases: Databases, tmp_path: Path) -> str:
    """The URL of an empty database of this test's own, of each kind."""
    return databases.empty(request.param, tmp_path)
