from __future__ import annotations

from collections.abc import Iterator

import pytest

from flask_foreign_token.testing import Issuer

from ..apps import Resource, trusting
from ..conftest import MakeApp
from .callers import OPERATOR_SETTINGS, Operated, put_all
from .people import People, people_serving
from .tokens import Server, jwk, rsa_key, serving


@pytest.fixture
def operated(make_app: MakeApp) -> Operated:
    """Makes apps with the operator's endpoints at /fhir; resources are stored in the database through REST."""

    def make(resources: list[Resource] = [], **config: object):  # noqa: B006
        app = make_app(**{**OPERATOR_SETTINGS, **config})
        put_all(app, resources)
        return app

    return make


@pytest.fixture
def trusted(operated: Operated, issuer: Issuer):
    """An app that trusts `issuer`, with a policy without links that lets all its tokens through."""
    return operated(trusting(issuer))


@pytest.fixture
def server() -> Iterator[Server]:
    """One that publishes a key, where a module has none of its own."""
    with serving() as server:
        server.keys(jwk(rsa_key()))
        yield server


@pytest.fixture
def people() -> Iterator[People]:
    """A provider that answers what the test wants when it is asked about a user."""
    with people_serving() as people:
        yield people
