"""The registry in force while the secrets change that it refers to."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from sqlalchemy import Engine

from flask_foreign_token.errors import DatabaseUnavailable
from flask_foreign_token.registry.file import FileRegistry
from flask_foreign_token.registry.registry_tables import RegistryTables

from .bodies import ISSUER, SECRET, introspector, policy
from .looking import POLL, Gate, Place
from .secret_places import sources, written
from .snapshots import builder, linked, token

OTHER = "another secret of more than thirty-two octets"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "secrets"
    made.mkdir()
    return made


def referring(folder: Path) -> dict[str, object]:
    return introspector(jwt={"iss": ISSUER, "secret": {"file": f"{folder}/hs256"}})


@pytest.fixture
def place(engine: Engine, tables: RegistryTables, folder: Path) -> Place:
    made = Place(engine, tables)
    made.builder = builder(sources=sources(folder))
    return made


def test_a_look_notices_another_secret(place: Place, folder: Path) -> None:
    written(folder / "hs256", SECRET)
    place.write(referring(folder))
    live = place.live()
    before = live.current()
    written(folder / "hs256", OTHER)
    at_once = live.current()

    place.clock.now += POLL

    assert at_once is before
    assert not live.current().vouches(linked(before).introspector.introspector)
    assert place.looks[-1].result == "changed"


def test_a_look_notices_that_a_secret_has_come(place: Place, folder: Path) -> None:
    place.write(referring(folder))
    live = place.live()
    before = live.current().out_of_service
    written(folder / "hs256", SECRET)

    place.clock.now += POLL

    assert len(before) == 1
    assert token(live.current()).subject == "jane"


def test_an_old_secret_ends_though_the_file_of_resources_is_no_good(place: Place, folder: Path, tmp_path: Path) -> None:
    written(folder / "hs256", SECRET)
    registry = written(tmp_path / "registry.json", json.dumps([referring(folder)]))
    live = place.live(FileRegistry(registry, {}))
    before = live.current()
    written(registry, "half of")
    place.clock.now += POLL
    kept = live.current()
    written(folder / "hs256", OTHER)

    place.clock.now += POLL

    assert kept is before
    assert not live.current().vouches(linked(before).introspector.introspector)


def test_nor_does_it_live_on_where_resources_were_refused(place: Place, folder: Path, tmp_path: Path) -> None:
    written(folder / "hs256", SECRET)
    registry = written(tmp_path / "registry.json", json.dumps([referring(folder)]))
    live = place.live(FileRegistry(registry, {}))
    before = live.current()
    written(registry, json.dumps([referring(folder), referring(folder)]))
    place.clock.now += POLL
    live.current()
    written(folder / "hs256", OTHER)

    place.clock.now += POLL
    after = live.current()
    place.clock.now += POLL

    assert not after.vouches(linked(before).introspector.introspector)
    assert live.current() is after


def test_an_old_secret_ends_while_the_database_is_down(place: Place, folder: Path) -> None:
    written(folder / "hs256", SECRET)
    place.write(referring(folder))
    gate = Gate(place.store)
    live = place.live(gate)
    before = live.current()
    gate.failure = DatabaseUnavailable()
    written(folder / "hs256", OTHER)

    place.clock.now += POLL

    assert not live.current().vouches(linked(before).introspector.introspector)
    assert place.results[-1] == "unavailable"


def test_an_unchanged_secret_keeps_the_snapshot(place: Place, folder: Path) -> None:
    written(folder / "hs256", SECRET)
    place.write(referring(folder))
    live = place.live()
    before = live.current()

    place.clock.now += POLL

    assert live.current() is before


def test_policies_are_not_compiled_again_for_it(place: Place, folder: Path) -> None:
    written(folder / "hs256", SECRET)
    place.write(referring(folder), policy())
    live = place.live()
    before = live.current()
    written(folder / "hs256", OTHER)

    place.clock.now += POLL

    assert live.current() is not before
    assert live.current().policies is before.policies


def test_a_secret_that_is_gone_is_logged_once_with_its_place(
    place: Place, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    written(folder / "hs256", SECRET)
    place.write(referring(folder))
    live = place.live()
    live.current()
    (folder / "hs256").unlink()

    for _ in range(3):
        place.clock.now += POLL
        live.current()

    assert caplog.text.count(f"TokenIntrospector/i jwt.secret: the file {folder}/hs256 cannot be read") == 1
    assert SECRET not in caplog.text
