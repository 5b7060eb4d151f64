from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask

from example_app import create_app
from example_app.demo import ISSUER
from example_app.models import db
from flask_foreign_token.testing import Issuer

MakeExample = Callable[..., Flask]


@pytest.fixture(scope="package")
def tutorial_issuer() -> Iterator[Issuer]:
    """The issuer that the example's resources trust."""
    with Issuer(ISSUER) as issuer:
        yield issuer


@pytest.fixture
def make_example(tmp_path: Path, tutorial_issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeExample]:
    """Makes the example app on a database of its own; connections are closed at the end."""
    monkeypatch.setenv("PROVIDER_URL", tutorial_issuer.url)
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
def example(make_example: MakeExample) -> Flask:
    """The example as the demo runs it."""
    return make_example(FOREIGN_TOKEN_REGISTRY="resources.json")
