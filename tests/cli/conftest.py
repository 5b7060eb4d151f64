from __future__ import annotations

import pytest
from flask import Flask

from ..conftest import MakeApp
from .commands import REGISTRIES, fill


@pytest.fixture(params=REGISTRIES)
def empty_app(request: pytest.FixtureRequest, make_app: MakeApp) -> Flask:
    """An app whose registry holds nothing yet, in the database and in a file."""
    return make_app([] if request.param == "file" else None)


@pytest.fixture
def filled_app(empty_app: Flask) -> Flask:
    """An app whose registry trusts a secret."""
    return fill(empty_app)
