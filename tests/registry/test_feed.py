from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, delete, event, select, update

from flask_foreign_token.errors import DatabaseUnavailable
from flask_foreign_token.registry.feed import BEGINNING, USER, Change, ChangeFeed, News
from flask_foreign_token.registry.registry_tables import RegistryTables
from flask_foreign_token.transactions import Transactions

from .conftest import MakeEngine

NOW = 1_764_000_000.123


@pytest.fixture
def feed(engine: Engine, tables: RegistryTables) -> ChangeFeed:
    return ChangeFeed(Transactions(engine), tables, clock=lambda: NOW + 0.0001)


def announce(feed: ChangeFeed, *subjects: tuple[str, str]) -> tuple[Change, ...]:
    with feed.writing() as connection:
        return feed.append(connection, subjects)


def test_an_empty_feed_ends_at_its_beginning(feed: ChangeFeed) -> None:
    assert feed.latest() == BEGINNING
    assert feed.read(BEGINNING) == News(BEGINNING)


def test_changes_come_in_the_order_in_which_they_were_announced(feed: ChangeFeed) -> None:
    announce(feed, ("AccessPolicy", "p"), (USER, "7"))
    announce(feed, ("AccessPolicy", "p"))

    news = feed.read(BEGINNING)

    assert news.changes == (
        Change(1, "AccessPolicy", "p", NOW),
        Change(2, USER, "7", NOW),
        Change(3, "AccessPolicy", "p", NOW),
    )
    assert news.position == feed.latest() == news.changes[-1]
    assert not news.interrupted


def test_only_what_came_since_is_read(feed: ChangeFeed) -> None:
    [first, second] = announce(feed, ("AccessPolicy", "p"), ("AccessPolicy", "q"))

    assert feed.read(first) == News(second, (second,))
    assert feed.read(second) == News(second)


def test_announcing_nothing_writes_nothing(feed: ChangeFeed) -> None:
    assert announce(feed) == ()
    assert feed.latest() == BEGINNING


def test_what_is_rolled_back_was_never_announced(feed: ChangeFeed) -> None:
    def fail_after_announcing() -> None:
        with feed.writing() as connection:
            feed.append(connection, [(USER, "7")])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_after_announcing()

    assert feed.latest() == BEGINNING
    assert announce(feed, (USER, "8"))[0].id == 1


def test_a_reading_is_one_query_by_primary_key(engine_of_file: MakeEngine, tables: RegistryTables) -> None:
    engine = engine_of_file()
    tables.change.metadata.create_all(engine)
    feed = ChangeFeed(Transactions(engine), tables)
    [change] = announce(feed, (USER, "7"))
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda _c, _u, statement, *_: statements.append(statement))

    feed.read(change)
    feed.latest()

    assert len(statements) == 2
    with engine.connect() as connection:
        for statement, parameters in ((statements[0], (change.id,)), (statements[1], (1, 0))):
            plan = str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all())
            assert "sqlite_autoindex_foreign_token_change_1" in plan


@pytest.mark.parametrize("is_written_again", [False, True])
def test_a_restored_database_interrupts_the_feed(
    feed: ChangeFeed, engine: Engine, tables: RegistryTables, is_written_again: bool
) -> None:
    [_first, second] = announce(feed, (USER, "7"), (USER, "8"))
    with engine.begin() as connection:
        connection.execute(delete(tables.change).where(tables.change.c.id == second.id))
    if is_written_again:
        announce(feed, (USER, "9"))

    news = feed.read(second)

    assert news == News(feed.latest(), interrupted=True)
    assert not feed.read(news.position).interrupted


def test_an_emptied_feed_interrupts_it(feed: ChangeFeed, engine: Engine, tables: RegistryTables) -> None:
    [change] = announce(feed, (USER, "7"))
    with engine.begin() as connection:
        connection.execute(delete(tables.change))

    assert feed.read(change) == News(BEGINNING, interrupted=True)
    assert announce(feed, (USER, "8"))[0].id == 1


def test_the_same_id_at_another_time_is_another_change(
    feed: ChangeFeed, engine: Engine, tables: RegistryTables
) -> None:
    [change] = announce(feed, (USER, "7"))
    with engine.begin() as connection:
        connection.execute(update(tables.change).where(tables.change.c.id == change.id).values(at=NOW + 1))

    assert feed.read(change).interrupted


def test_whoever_has_read_up_to_an_id_has_missed_nothing_before_it(
    engine_of_file: MakeEngine, tables: RegistryTables
) -> None:
    tables.change.metadata.create_all(engine_of_file())
    slow, quick = (ChangeFeed(Transactions(engine_of_file()), tables) for _ in range(2))
    has_appended, may_commit = threading.Event(), threading.Event()

    def write_slowly() -> None:
        with slow.writing() as connection:
            slow.append(connection, [(USER, "slow")])
            has_appended.set()
            assert may_commit.wait(10)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(write_slowly)
        assert has_appended.wait(10)
        second = threads.submit(announce, quick, (USER, "quick"))
        seen = quick.read(BEGINNING)
        may_commit.set()
        first.result(10)
        second.result(10)

    rest = quick.read(seen.position)
    assert [change.ref for change in (*seen.changes, *rest.changes)] == ["slow", "quick"]
    assert [change.id for change in (*seen.changes, *rest.changes)] == [1, 2]


def test_many_writers_at_once_give_every_change_an_id_of_its_own(
    engine_of_file: MakeEngine, tables: RegistryTables
) -> None:
    tables.change.metadata.create_all(engine_of_file())
    feeds = [ChangeFeed(Transactions(engine_of_file()), tables) for _ in range(8)]
    start = threading.Barrier(len(feeds))

    def write(number: int) -> None:
        start.wait(10)
        for _ in range(5):
            announce(feeds[number], (USER, str(number)), (USER, str(number)))

    with ThreadPoolExecutor(len(feeds)) as threads:
        list(threads.map(write, range(len(feeds))))

    changes = feeds[0].read(BEGINNING).changes
    assert [change.id for change in changes] == list(range(1, 81))
    assert [change.ref for change in changes[::2]] == [change.ref for change in changes[1::2]]


def test_the_first_writers_of_all_do_not_disturb_each_other(engine_of_file: MakeEngine, tables: RegistryTables) -> None:
    tables.change.metadata.create_all(engine_of_file())
    feeds = [ChangeFeed(Transactions(engine_of_file()), tables) for _ in range(4)]
    start = threading.Barrier(len(feeds))

    def write(feed: ChangeFeed) -> int:
        start.wait(10)
        return announce(feed, (USER, "7"))[0].id

    with ThreadPoolExecutor(len(feeds)) as threads:
        assert sorted(threads.map(write, feeds)) == [1, 2, 3, 4]
    with engine_of_file().connect() as connection:
        assert connection.execute(select(tables.change.c.id).order_by("id")).scalars().all() == [0, 1, 2, 3, 4]


def test_a_database_without_the_table_is_unavailable(engine_of_file: MakeEngine, tables: RegistryTables) -> None:
    feed = ChangeFeed(Transactions(engine_of_file()), tables)

    with pytest.raises(DatabaseUnavailable):
        feed.latest()
    with pytest.raises(DatabaseUnavailable), feed.writing():
        pass
