from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..conftest import MakeApp
from ..publishing import Publisher, listening, publishing
from .clinic import Clinic
from .inspection import Endpoint


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with publishing() as publisher:
        yield publisher


@pytest.fixture
def clinic(publisher: Publisher, make_app: MakeApp) -> Clinic:
    return Clinic(publisher, make_app)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    with listening(endpoint) as origin:
        endpoint.url = f"{origin}/introspect"
        yield endpoint
