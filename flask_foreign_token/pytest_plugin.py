"""Fixtures for the tests of apps that accept foreign tokens; pytest finds them by itself.

Every run of pytest loads this module, so it imports nothing before a fixture is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import Issuer


@pytest.fixture(scope="session")
def foreign_token_issuer() -> Iterator[Issuer]:
    """An OpenID provider on a free port of 127.0.0.1, for the whole run: see `flask_foreign_token.testing.Issuer`.

    ::

        def test_a_stranger_is_let_in(client, foreign_token_issuer):
            bearer = f"Bearer {foreign_token_issuer.token(sub='alice')}"
            assert client.get("/fhir/Patient", headers={"Authorization": bearer}).status_code == 200

    All tests share it. One that counts its requests, rotates its keys or sets its delay takes an ``Issuer()`` of its
    own.
    """
    from .testing import Issuer

    with Issuer() as issuer:
        yield issuer


@pytest.fixture
def acting_as() -> Callable[..., AbstractContextManager[None]]:
    """Requests by a user of the test's choice, without a token: see `flask_foreign_token.testing.acting_as`.

    ::

        def test_a_reader_reads(app, user, acting_as):
            with acting_as(app, user, scope="patient.read"):
                assert app.test_client().get("/fhir/Patient").status_code == 200
    """
    from .testing import acting_as

    return acting_as
