from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..conftest import MakeApp
from ..introspection.introspecting import Introspecting, introspecting
from ..publishing import Publisher, publishing
from .clinic import Clinic


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with publishing() as publisher:
        yield publisher


@pytest.fixture
def clinic(publisher: Publisher, make_app: MakeApp) -> Clinic:
    return Clinic(publisher, make_app)


@pytest.fixture
def asked() -> Iterator[Introspecting]:
    """A provider that is asked about opaque tokens."""
    with introspecting() as asked:
        yield asked
