"""Processes that all find the tables absent make them once, and none of them fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from flask_foreign_token.tables import create_missing
from flask_foreign_token.transactions import Transactions

from .processes import NUMBER, at_once
from .servers import SERVERS

ROUNDS = 10


def the_tables(number: int) -> list[sa.Table]:
    metadata = sa.MetaData()
    parents = sa.Table(f"parents{number}", metadata, sa.Column("id", sa.Integer, primary_key=True))
    parent_id = sa.Column("parent_id", sa.ForeignKey(parents.c.id), index=True)
    return [sa.Table(f"children{number}", metadata, sa.Column("id", sa.Integer, primary_key=True), parent_id), parents]


def create_and_use(meet: Callable[[], None], url: str) -> int:
    engine = sa.create_engine(url)
    transactions = Transactions(engine)
    rows = 0
    for number in range(ROUNDS):
        tables = the_tables(number)
        meet()
        create_missing(transactions, tables)
        with transactions.reading() as connection:
            rows += connection.scalar(sa.select(sa.func.count()).select_from(tables[0]))
    engine.dispose()
    return rows


@pytest.fixture(scope="module", params=SERVERS)
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    with SERVERS[request.param]() as url:
        yield url


def test_four_processes_on_one_sqlite_file(tmp_path: Path) -> None:
    assert at_once(create_and_use, f"sqlite:///{tmp_path / 'app.sqlite'}") == [0] * NUMBER


def test_four_processes_on_one_server(server_url: str) -> None:
    assert at_once(create_and_use, server_url) == [0] * NUMBER
