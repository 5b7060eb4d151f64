from __future__ import annotations

import pytest
from flask import Flask

from ..conftest import MakeApp
from .asking import ADMIN


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """Serves the REST API, and has an empty registry in its database."""
    return make_app(**ADMIN)
