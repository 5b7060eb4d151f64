from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from flask_foreign_token.http import Http

from ..publishing import Publisher, publishing


@pytest.fixture
def http() -> Iterator[Http]:
    with closing(Http()) as http:
        yield http


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with publishing() as publisher:
        yield publisher
