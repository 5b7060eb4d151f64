from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, MetaData, delete, event, select, update
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.schema import CreateTable

from flask_foreign_token.errors import DatabaseUnavailable, Rejected
from flask_foreign_token.registry.edits import Edit, State
from flask_foreign_token.registry.feed import BEGINNING, USER
from flask_foreign_token.registry.registry import Contents
from flask_foreign_token.registry.registry_tables import RegistryTables, tables_for

from .bodies import policy
from .conftest import MakeEngine
from .places import NOW, Place, names, statements_on


@pytest.fixture
def place(engine: Engine, tables: RegistryTables) -> Place:
    return Place(engine, tables)


def unreadable(contents: Contents) -> list[str]:
    return [issue.resource for issue in contents.unreadable]


def test_the_tables_are_made_once_and_have_named_constraints() -> None:
    metadata = MetaData()

    tables = tables_for(metadata)

    assert tables_for(metadata) is tables
    assert {constraint.name for table in metadata.tables.values() for constraint in table.constraints} == {
        "pk_foreign_token_resource",
        "pk_foreign_token_change",
        "pk_foreign_token_history",
    }
    assert [table.name for table in tables.all] == list(metadata.tables)


def test_the_tables_suit_every_database(tables: RegistryTables) -> None:
    for dialect, wanted in ((postgresql.dialect(), "TEXT"), (mysql.dialect(), "MEDIUMTEXT")):
        text = "".join(str(CreateTable(table).compile(dialect=dialect)) for table in tables.all)
        assert text.count(f"body {wanted}") == 2
        assert "SERIAL" not in text
        assert "AUTO_INCREMENT" not in text
        assert text.count("COLLATE utf8mb4_bin") == (7 if dialect.name == "mysql" else 0)


def test_an_empty_database_is_a_registry_with_nothing_in_it(place: Place) -> None:
    contents = place.registry.read()

    assert contents.resources == ()
    assert contents.position == BEGINNING


def test_the_registry_is_named_for_an_operator(place: Place) -> None:
    assert str(place.registry) == "the database"


def test_what_is_applied_can_be_read(place: Place) -> None:
    applied = place.apply(policy("b"), policy("a", meta={"versionId": "9"}))

    read = place.registry.read()

    assert read == applied
    assert names(read) == ["AccessPolicy/a", "AccessPolicy/b"]
    assert read.resources[0].body == policy("a")
    assert [resource.last_updated for resource in read.resources] == [NOW, NOW]
    assert read.position == place.feed.latest()


def test_references_are_kept_in_their_long_form(place: Place) -> None:
    place.apply(policy("a", link=[{"resourceType": "User", "id": "x"}]))

    assert place.registry.read().resources[0].body["link"] == [{"reference": "User/x"}]


def test_a_change_gives_a_resource_a_new_version_and_leaves_the_others_theirs(place: Place) -> None:
    before = place.apply(policy("a"), policy("b"))

    after = place.apply(policy("a", active=False), policy("b"))

    assert after.resources[0].version != before.resources[0].version
    assert after.resources[1] == before.resources[1]
    assert after.version != before.version


def test_what_is_stored_already_writes_nothing(place: Place) -> None:
    before = place.apply(policy("a", description="ü"))

    assert place.apply({"meta": {}, **dict(reversed(policy("a", description="ü").items()))}) == before
    assert place.feed.latest() == before.position


def test_an_applied_change_is_announced(place: Place) -> None:
    place.apply(policy("a"), policy("b"))
    place.apply(policy("a"), policy("c"), deletes=[("AccessPolicy", "b")])

    changes = place.feed.read(BEGINNING).changes

    assert [change.ref for change in changes] == ["a", "b", "c", "b"]


def test_resources_are_deleted(place: Place) -> None:
    place.apply(policy("a"), policy("b"))

    place.apply(deletes=[("AccessPolicy", "a")])

    assert names(place.registry.read()) == ["AccessPolicy/b"]


def test_what_is_known_is_returned_itself_and_nothing_asked_while_nothing_changes(place: Place) -> None:
    known = place.apply(policy("a"))
    with place.feed.writing() as connection:
        place.feed.append(connection, [(USER, "7")])
    news = place.feed.read(known.position)
    statements = statements_on(place.engine)

    assert place.registry.read(known, news) is known
    assert statements == []


def test_without_news_it_is_looked_for(place: Place) -> None:
    known = place.apply(policy("a"))
    assert place.registry.read(known) is known
    place.apply(policy("b"))

    assert names(place.registry.read(known)) == ["AccessPolicy/a", "AccessPolicy/b"]


def test_a_resource_that_came_and_went_in_between_is_not_there(place: Place) -> None:
    known = place.apply(policy("a"))
    place.apply(policy("b"))
    place.apply(policy("c"), deletes=[("AccessPolicy", "b"), ("AccessPolicy", "a")])
    place.apply(policy("b", active=False))

    contents = place.registry.read(known, place.feed.read(known.position))

    assert contents == place.registry.read()
    assert names(contents) == ["AccessPolicy/b", "AccessPolicy/c"]


def test_what_was_committed_after_the_news_is_read_whole_or_not_at_all(place: Place) -> None:
    known = place.apply(policy("a"))
    place.apply(policy("b"))
    news = place.feed.read(known.position)
    place.apply(policy("c"), deletes=[("AccessPolicy", "b")])

    contents = place.registry.read(known, news)

    assert names(contents) == ["AccessPolicy/a", "AccessPolicy/c"]
    assert place.registry.read(contents, place.feed.read(news.position)) is contents


def test_a_change_of_users_beside_those_of_resources_is_no_resource(place: Place) -> None:
    known = place.apply(policy("a"))
    place.apply(policy("b"))
    with place.feed.writing() as connection:
        place.feed.append(connection, [(USER, "a")])

    contents = place.registry.read(known, place.feed.read(known.position))

    assert names(contents) == ["AccessPolicy/a", "AccessPolicy/b"]
    assert contents.position == place.feed.latest()


def test_everything_is_read_again_when_the_database_was_restored(place: Place) -> None:
    place.apply(policy("a"))
    known = place.apply(policy("b"))
    with place.engine.begin() as connection:
        connection.execute(delete(place.tables.resource).where(place.tables.resource.c.id == "b"))
        connection.execute(delete(place.tables.change).where(place.tables.change.c.id == known.position.id))

    news = place.feed.read(known.position)

    assert names(place.registry.read(known, news)) == ["AccessPolicy/a"]


def test_a_version_that_comes_again_after_a_restoration_is_another_one(place: Place) -> None:
    before = place.apply(policy("a"))
    with place.engine.begin() as connection:
        connection.execute(delete(place.tables.resource))
        connection.execute(delete(place.tables.change))

    after = place.apply(policy("a", active=False))

    assert after.resources[0].version != before.resources[0].version


def test_the_check_sees_what_would_be_stored(place: Place) -> None:
    place.apply(policy("a"), policy("b"))
    seen: list[State] = []

    place.registry.edit(
        Edit([policy("c"), policy("a", active=False)], [("AccessPolicy", "b")]),
        check=lambda before, after: seen.extend((before, after)),
    )

    before, after = seen
    assert [resource.name for resource in before.resources] == ["AccessPolicy/a", "AccessPolicy/b"]
    assert [(resource.key, resource.body) for resource in after.resources] == [
        (resource.key, resource.body) for resource in place.registry.read().resources
    ]


def test_what_the_check_sees_is_in_another_version_than_before_only_where_it_is_written(place: Place) -> None:
    place.apply(policy("a"), policy("b"))
    seen: list[State] = []

    place.registry.edit(
        Edit([policy("a"), policy("b", active=False)]), check=lambda before, after: seen.extend((before, after))
    )

    before, after = ([resource.version for resource in state.resources] for state in seen)
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False]


def test_what_the_check_refuses_changes_nothing(place: Place) -> None:
    before = place.apply(policy("a"))

    def refuse(before: State, after: State) -> None:
        raise Rejected.at("", "no")

    with pytest.raises(Rejected):
        place.registry.edit(Edit([policy("a", active=False), policy("b")]), check=refuse)

    assert place.registry.read() == before
    assert place.feed.latest() == before.position


@pytest.mark.parametrize(
    ("bodies", "deletes", "issue"),
    [
        ([policy("a"), {"id": "x"}], [], ("", "1.resourceType", "is required")),
        ([policy("a b")], [], ("", "0.id", "must be 1 to 64 of the characters")),
        ([policy("b"), policy("b")], [], ("AccessPolicy/b", "", "is named twice")),
        ([policy("a")], [("AccessPolicy", "a")], ("AccessPolicy/a", "", "is named twice")),
        ([], [("AccessPolicy", "a")] * 2, ("AccessPolicy/a", "", "is named twice")),
        ([policy("b")], [("AccessPolicy", "c")], ("AccessPolicy/c", "", "is not stored, so it cannot be deleted")),
        ([policy("b", matcho={"a": float("inf")})], [], ("AccessPolicy/b", "", "cannot be written as JSON")),
        ([policy("b", matcho="\ud800")], [], ("AccessPolicy/b", "", "is JSON with a lone surrogate")),
        ([policy("b", description="x" * 1024 * 1024)], [], ("AccessPolicy/b", "", "must not be larger than 1048576")),
    ],
    ids=range(9),
)
def test_what_cannot_be_applied_is_refused_and_changes_nothing(
    place: Place, bodies: list[Any], deletes: list[Any], issue: tuple[str, str, str]
) -> None:
    before = place.apply(policy("a"))

    with pytest.raises(Rejected) as caught:
        place.apply(*bodies, deletes=deletes)

    [found] = caught.value.issues
    assert (found.resource, found.path) == issue[:2]
    assert issue[2] in found.message
    assert place.registry.read() == before


def test_a_body_that_nests_too_deeply_is_refused(place: Place) -> None:
    deep: object = 1
    for _ in range(100):
        deep = [deep]

    with pytest.raises(Rejected, match="AccessPolicy/a: is JSON nested too deeply"):
        place.apply(policy("a", matcho=deep))


def test_every_body_that_cannot_be_applied_is_named(place: Place) -> None:
    with pytest.raises(Rejected) as caught:
        place.apply({}, policy("a", matcho={1, 2}), 5, policy("a"))

    assert [issue.path for issue in caught.value.issues] == ["0.resourceType", "", "2"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{", "the stored body is not JSON"),
        ('{"a":1,"a":2}', "the stored body is JSON with a duplicate member"),
        ("[]", "must be an object with resourceType and id"),
        ('{"resourceType":"AccessPolicy"}', "is required"),
        ('{"resourceType":"AccessPolicy","id":"q"}', "the stored body is that of AccessPolicy/q"),
    ],
)
def test_a_row_that_was_written_by_hand_and_cannot_be_read_is_named_and_left_out(
    place: Place, body: str, reason: str
) -> None:
    place.apply(policy("a"))
    place.write_by_hand(body)

    contents = place.registry.read()

    assert [(issue.resource, issue.message) for issue in contents.unreadable] == [("AccessPolicy/p", reason)]
    assert names(contents) == ["AccessPolicy/a"]


def test_every_row_that_cannot_be_read_is_named(place: Place) -> None:
    place.write_by_hand("{", id_="p")
    place.write_by_hand("{", id_="q")

    assert unreadable(place.registry.read()) == ["AccessPolicy/p", "AccessPolicy/q"]


def test_what_can_be_read_again_makes_another_version_of_everything(place: Place) -> None:
    place.apply(policy("a"))
    place.write_by_hand("{")
    before = place.registry.read()

    after = place.apply(deletes=[("AccessPolicy", "p")])

    assert after.resources == before.resources
    assert after.version != before.version


@pytest.mark.parametrize("is_deleted", [False, True])
def test_a_row_that_cannot_be_read_is_mended_by_writing_or_deleting_it(place: Place, is_deleted: bool) -> None:
    place.write_by_hand("{")
    known = place.registry.read()

    if is_deleted:
        place.apply(deletes=[("AccessPolicy", "p")])
    else:
        place.apply(policy("p"))

    contents = place.registry.read(known)
    assert (names(contents), unreadable(contents)) == ([] if is_deleted else ["AccessPolicy/p"], [])


def test_a_changed_row_that_cannot_be_read_is_named_and_was_never_what_it_said_before(place: Place) -> None:
    place.apply(policy("b"))
    known = place.apply(policy("a"))
    place.apply(policy("a", active=False))
    with place.engine.begin() as connection:
        row = place.tables.resource
        connection.execute(update(row).where(row.c.id == "a").values(body="{"))

    contents = place.registry.read(known, place.feed.read(known.position))

    assert [str(issue) for issue in contents.unreadable] == ["AccessPolicy/a: the stored body is not JSON"]
    assert names(contents) == ["AccessPolicy/b"]


def test_what_could_not_be_read_stays_named_while_others_change(place: Place) -> None:
    place.write_by_hand("{")
    known = place.registry.read()
    place.apply(policy("a"))

    contents = place.registry.read(known, place.feed.read(known.position))

    assert (names(contents), unreadable(contents)) == (["AccessPolicy/a"], ["AccessPolicy/p"])


def test_a_database_without_the_tables_is_unavailable(engine_of_file: MakeEngine, tables: RegistryTables) -> None:
    place = Place(engine_of_file(), tables)

    with pytest.raises(DatabaseUnavailable):
        place.registry.read()
    with pytest.raises(DatabaseUnavailable):
        place.apply(policy("a"))


def test_ten_thousand_policies_are_applied_in_one_transaction(
    engine_of_file: MakeEngine, tables: RegistryTables
) -> None:
    place = Place(engine_of_file(), tables)
    tables.resource.metadata.create_all(place.engine)
    place.apply(policy("first"))
    commits: list[object] = []
    event.listen(place.engine, "commit", commits.append)

    place.apply(*(policy(str(number)) for number in range(10_000)))

    with place.engine.connect() as connection:
        assert len(connection.execute(select(tables.resource.c.id)).all()) == 10_001
    assert len(commits) == 1
