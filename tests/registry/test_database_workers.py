from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from flask_foreign_token.errors import Rejected
from flask_foreign_token.registry.edits import Edit, State
from flask_foreign_token.registry.registry_tables import RegistryTables

from .bodies import policy
from .conftest import MakeEngine
from .places import Place, names, statements_on


def test_only_what_changed_is_read_in_one_statement(engine_of_file: MakeEngine, tables: RegistryTables) -> None:
    tables.resource.metadata.create_all(engine_of_file())
    writer, reader = Place(engine_of_file(), tables), Place(engine_of_file(), tables)
    writer.apply(*(policy(str(number)) for number in range(20)))
    known = reader.registry.read()
    applied = writer.apply(policy("3", active=False), policy("new"), deletes=[("AccessPolicy", "4")])
    statements = statements_on(reader.engine)
    fetched: list[int] = []

    news = reader.feed.read(known.position)
    with reader.engine.connect() as connection:
        query = "SELECT count(*) FROM foreign_token_change WHERE id > ?"
        fetched += connection.exec_driver_sql(query, (known.position.id,)).scalars()
    statements.clear()
    contents = reader.registry.read(known, news)

    assert contents == applied
    assert len(statements) == 1
    assert fetched == [3]
    unchanged = {resource.key: resource for resource in known.resources}
    assert sum(resource is unchanged.get(resource.key) for resource in contents.resources) == 18


def test_two_writers_at_once_check_one_after_the_other(engine_of_file: MakeEngine, tables: RegistryTables) -> None:
    tables.resource.metadata.create_all(engine_of_file())
    places = [Place(engine_of_file(), tables) for _ in range(4)]
    start = threading.Barrier(len(places))

    def refuse_a_second(before: State, after: State) -> None:
        if len(after.resources) > 1:
            raise Rejected.at("", "there is one already")

    def write(number: int) -> bool:
        start.wait(10)
        try:
            places[number].registry.edit(Edit([policy(str(number))]), check=refuse_a_second)
        except Rejected:
            return False
        return True

    with ThreadPoolExecutor(len(places)) as threads:
        outcomes = list(threads.map(write, range(len(places))))

    assert sorted(outcomes) == [False, False, False, True]
    assert names(places[0].registry.read()) == [f"AccessPolicy/{outcomes.index(True)}"]


def test_readers_never_see_half_of_what_was_applied(engine_of_file: MakeEngine, tables: RegistryTables) -> None:
    tables.resource.metadata.create_all(engine_of_file())
    writer, reader = Place(engine_of_file(), tables), Place(engine_of_file(), tables)
    writer.apply(policy("a0"), policy("b0"))
    is_done = threading.Event()

    def write() -> None:
        for turn in range(1, 31):
            gone = [("AccessPolicy", f"a{turn - 1}"), ("AccessPolicy", f"b{turn - 1}")]
            writer.apply(policy(f"a{turn}"), policy(f"b{turn}"), deletes=gone)
        is_done.set()

    def read() -> list[list[str]]:
        known = reader.registry.read()
        position = known.position
        seen = [names(known)]
        while not is_done.is_set():
            news = reader.feed.read(position)
            known, position = reader.registry.read(known, news), news.position
            seen.append(names(known))
        return seen

    with ThreadPoolExecutor(2) as threads:
        reading, writing = threads.submit(read), threads.submit(write)
        writing.result(30)
        seen = reading.result(30)

    assert all(a[-1:].isdigit() and a.rpartition("a")[2] == b.rpartition("b")[2] for a, b in seen)
