"""How much memory a policy takes, from the row in the database to its place in the index."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine

from flask_foreign_token.registry.registry_tables import RegistryTables

from .bodies import policy
from .places import Place
from .snapshots import BUILDER

POLICIES = 2_000
LIMIT = 4 * 1024
"""Bytes."""

ISSUER = "http://localhost:8180/realms/myrealm"


def by_uri(number: int) -> dict[str, Any]:
    pattern = {"jwt": {"iss": ISSUER}, "uri": f"/fhir/Patient/{number}", "request-method": "get"}
    return policy(f"policy-{number}", engine="matcho", matcho=pattern)


def by_issuer(number: int) -> dict[str, Any]:
    return policy(f"policy-{number}", engine="matcho", matcho={"jwt": {"iss": f"{ISSUER}-{number}"}})


def by_user(number: int) -> dict[str, Any]:
    link = [{"reference": f"User/01995f6f-0000-7000-8000-{number:012}"}]
    return policy(f"policy-{number}", engine="matcho", matcho={"jwt": {"iss": ISSUER}}, link=link)


@pytest.fixture
def memory() -> Callable[[Callable[[], object]], int]:
    """Bytes that what a function returns takes."""

    def measure(make: Callable[[], object]) -> int:
        gc.collect()
        tracemalloc.start()
        try:
            made = make()
            gc.collect()
            taken = tracemalloc.get_traced_memory()[0]
            del made
        finally:
            tracemalloc.stop()
        return taken

    return measure


@pytest.mark.parametrize("make", [by_uri, by_issuer, by_user])
@pytest.mark.parametrize("engine", ["memory"], indirect=True)
def test_a_policy_takes_at_most_4_kib_with_its_resource(
    engine: Engine,
    tables: RegistryTables,
    memory: Callable[[Callable[[], object]], int],
    make: Callable[[int], dict[str, Any]],
) -> None:
    place = Place(engine, tables)
    contents = place.apply(*(make(number) for number in range(POLICIES)))
    # What does not grow with the number of policies is there before.
    BUILDER.build(contents.resources, "1")

    def load() -> object:
        contents = place.registry.read()
        return contents, BUILDER.build(contents.resources, contents.version)

    assert memory(load) / POLICIES < LIMIT
