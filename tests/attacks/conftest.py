from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from flask import Flask

from flask_foreign_token.introspection import introspection_endpoint
from flask_foreign_token.registry import live
from flask_foreign_token.testing import Issuer

from ..apps import introspector, provider
from ..conftest import MakeApp
from ..introspection.introspecting import Introspecting, introspecting
from .opaque import ISSUER, SOMEBODY, asking
from .target import Target, attacked, present

FOR_THE_OPERATOR = (live.__name__, introspection_endpoint.__name__)
"""Who logs errors of what an operator wrote."""


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One for all attacks of a module: what they leave behind would show at the end, when a good token is let in."""
    with attacked(tmp_path_factory.mktemp("target")) as target:
        yield target


@pytest.fixture(scope="module")
def jwt_issuer() -> Iterator[Issuer]:
    """One whose JWTs `asking_app` verifies itself."""
    with Issuer() as issuer:
        yield issuer


@pytest.fixture
def asked() -> Iterator[Introspecting]:
    """A provider that is asked about opaque tokens."""
    with introspecting() as asked:
        yield asked


@pytest.fixture
def asking_app(make_app: MakeApp, asked: Introspecting, jwt_issuer: Issuer) -> Flask:
    """One that takes the JWTs of `jwt_issuer`, whose keys it knows, and asks `asked` about whatever is none."""
    trusted = introspector("jwt", "jwt", jwt={"iss": jwt_issuer.issuer}, jwks_uri=jwt_issuer.jwks_uri)
    resources = [provider("jwt"), trusted, *asking(asked.url, jwt={"iss": ISSUER}), SOMEBODY]
    app = make_app(resources, SQLALCHEMY_DATABASE_URI="sqlite://")
    assert present(app, f"Bearer {jwt_issuer.token()}").status_code == 200
    return app


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """An attack is the caller's mistake: no error is logged but of what an operator wrote, and no exception."""
    yield
    for record in caplog.get_records("call"):
        assert not record.exc_info, record.getMessage()
        assert record.levelno < logging.ERROR or record.name in FOR_THE_OPERATOR, record.getMessage()
