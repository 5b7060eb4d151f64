from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from flask import Flask

from example_app import create_app
from example_app.models import db
from example_app.providers import ISSUER, Provider
from flask_foreign_token.testing import Issuer

from ..apps import Resource, store

MakeExample = Callable[..., Flask]


@pytest.fixture(scope="package")
def tutorial_issuer() -> Iterator[Issuer]:
    """The issuer that the example's resources trust."""
    with Issuer(ISSUER) as issuer:
        yield issuer


@pytest.fixture(scope="package")
def tutorial_resources(tutorial_issuer: Issuer) -> list[Resource]:
    """Those of the example, with the address at which the issuer is found."""
    provider = Provider(tutorial_issuer.issuer, tutorial_issuer.url)
    return [yaml.safe_load(body) for _, body in provider.resources()]


@pytest.fixture
def make_example(tmp_path: Path) -> Iterator[MakeExample]:
    """Makes the example app on a database of its own; connections are closed at the end."""
    made = []

    def make(**config: object) -> Flask:
        config = {"SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/example.sqlite", **config}
        app = create_app(config)
        made.append(app)
        return app

    yield make
    for app in made:
        with app.app_context():
            db.engine.dispose()


@pytest.fixture
def example(make_example: MakeExample, tutorial_resources: list[Resource]) -> Flask:
    """The example with its resources in its database."""
    app = make_example()
    store(app, tutorial_resources)
    return app
