"""Whatever the number of processes and threads that see a subject first, there is one user and no error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from flask_foreign_token.introspection.token import Credential, Token
from flask_foreign_token.tables import create_missing

from ..users.conftest import LOOK_ALIKES, Says, a_credential, a_provider, a_token, a_world, closed
from .processes import NUMBER, at_once
from .servers import SERVERS

THREADS = 16
ROUNDS = 5


class Together(Says):
    """Answers when a process of each has asked, so that all of them believe to be first."""

    def __init__(self, meet: Callable[[], None]) -> None:
        super().__init__()
        self._meet = meet

    def userinfo(self, token: Token, credential: Credential) -> Mapping[str, object]:
        claims = super().userinfo(token, credential)
        self._meet()
        return claims


def see_first(meet: Callable[[], None], url: str) -> tuple[list[set[str]], int]:
    """The keys that the threads of one process got in each round, and how often it asked for userinfo."""
    world = a_world(url, create_all=False)
    create_missing(world.transactions, world.models.tables)
    users, together = world.users(), Together(meet)
    provider = a_provider(together)

    def find(number: int) -> str:
        return users.find_or_create(a_token(str(number)), provider, a_credential()).key

    rounds = []
    with ThreadPoolExecutor(THREADS) as pool:
        for number in range(ROUNDS):
            meet()
            rounds.append(set(pool.map(find, [number] * THREADS)))
    meet()
    assert world.population == (ROUNDS, ROUNDS)
    closed(world)
    return rounds, together.asked


def assert_one_user_each(url: str) -> None:
    results = at_once(see_first, url)

    for number in range(ROUNDS):
        assert len(set().union(*(rounds[number] for rounds, _ in results))) == 1
    assert [asked for _, asked in results] == [ROUNDS] * NUMBER


@pytest.fixture(scope="module", params=SERVERS)
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    with SERVERS[request.param]() as url:
        yield url


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_a_race_on_one_sqlite_file(tmp_path: Path, journal_mode: str) -> None:
    url = f"sqlite:///{tmp_path / 'app.sqlite'}"
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA journal_mode = {journal_mode}")
    engine.dispose()

    assert_one_user_each(url)


def test_a_race_on_one_server(server_url: str) -> None:
    assert_one_user_each(server_url)


def test_on_one_server_subjects_are_kept_apart_byte_by_byte(server_url: str) -> None:
    world = a_world(server_url, create_all=False)
    create_missing(world.transactions, world.models.tables)
    provider = a_provider(Says(), system="byte by byte")

    for pair in LOOK_ALIKES:
        users = world.users()
        made = [users.find_or_create(a_token(sub), provider, a_credential()) for sub in pair]
        read = [world.users().find_or_create(a_token(sub), provider, a_credential()) for sub in pair]

        assert made[0].key != made[1].key
        assert read == made
        assert [user.resource["identifier"][0]["value"] for user in read] == list(pair)
    closed(world)
