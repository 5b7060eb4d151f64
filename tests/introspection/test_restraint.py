from __future__ import annotations

import logging

import pytest

from flask_foreign_token.errors import ProviderUnavailable
from flask_foreign_token.introspection.restraint import Restraint

from .concurrency import Clock

TOKEN, ANOTHER = b"token", b"another"


@pytest.fixture
def restraint(clock: Clock) -> Restraint:
    return Restraint(logging.getLogger(__name__), clock)


def test_an_answer_that_was_on_its_way_ends_the_rest_of_all_and_not_that_of_a_token(restraint: Restraint) -> None:
    restraint.rest_all(ProviderUnavailable())
    restraint.rest_token(TOKEN, ProviderUnavailable())
    with pytest.raises(ProviderUnavailable):
        restraint.raise_if_resting(ANOTHER)

    restraint.answered()

    restraint.raise_if_resting(ANOTHER)
    with pytest.raises(ProviderUnavailable):
        restraint.raise_if_resting(TOKEN)
