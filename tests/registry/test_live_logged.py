"""What a live registry logs when it is well again."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from flask_foreign_token.errors import DatabaseUnavailable
from flask_foreign_token.registry.registry_tables import RegistryTables

from .bodies import ISSUER, SECRET, introspector, policy, provider
from .conftest import MakeEngine
from .looking import POLL, Gate, Place
from .secret_places import sources, written
from .snapshots import builder


@pytest.fixture
def place(engine_of_file: MakeEngine, tables: RegistryTables) -> Place:
    engine = engine_of_file()
    tables.change.metadata.create_all(engine)
    return Place(engine, tables)


def test_that_the_registry_can_be_used_again_is_logged_once(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate(place.store)
    live = place.live(gate)
    for failure in (None, DatabaseUnavailable(hint="gone"), None, None):
        gate.failure = failure
        live.current()
        place.clock.now += POLL

    assert [(record.levelno, record.getMessage().partition(",")[0]) for record in caplog.records] == [
        (logging.ERROR, "the registry cannot be used"),
        (logging.WARNING, "the registry can be used again"),
    ]


def test_a_registry_that_was_always_well_is_not_logged(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "flask_foreign_token.registry")
    place.write(policy(), provider())
    live = place.live()
    live.current()
    place.write(policy("b"))
    live.refresh()

    assert caplog.records == []


def test_that_a_resource_is_mended_is_logged_once_while_others_are_not(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.write(policy("a", engine=None, link=[7, 8]), provider("wrong", system=7))
    live = place.live()
    live.current()
    caplog.clear()
    place.write(policy("a"))
    live.refresh()
    live.refresh()

    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.WARNING, "the database, no longer out of service: AccessPolicy/a")
    ]


def test_that_a_secret_is_there_again_is_logged(place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place.builder = builder(sources=sources(tmp_path))
    place.write(introspector(jwt={"iss": ISSUER, "secret": {"file": str(tmp_path / "hs256")}}))
    live = place.live()
    live.current()
    written(tmp_path / "hs256", SECRET)
    place.clock.now += POLL

    live.current()

    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]
    assert caplog.messages[1] == "the database, no longer out of service: TokenIntrospector/i"
    assert SECRET not in caplog.text
