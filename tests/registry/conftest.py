from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, MetaData, create_engine
from sqlalchemy.pool import StaticPool

from flask_foreign_token.registry.registry_tables import RegistryTables, tables_for

MakeEngine = Callable[[], Engine]


@pytest.fixture
def tables() -> RegistryTables:
    return tables_for(MetaData())


@pytest.fixture
def engine_of_file(tmp_path: Path) -> Iterator[MakeEngine]:
    """Makes engines on one SQLite file, each with connections of its own."""
    engines: list[Engine] = []

    def make() -> Engine:
        engines.append(create_engine(f"sqlite:///{tmp_path / 'registry.sqlite'}"))
        return engines[-1]

    yield make
    for engine in engines:
        engine.dispose()


@pytest.fixture(params=["file", "memory"])
def engine(request: pytest.FixtureRequest, tables: RegistryTables, engine_of_file: MakeEngine) -> Iterator[Engine]:
    """A database with the registry's tables, in a file and in memory."""
    if request.param == "file":
        engine = engine_of_file()
    else:
        engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    tables.change.metadata.create_all(engine)
    yield engine
    engine.dispose()
