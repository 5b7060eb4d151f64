"""Rows into which somebody has put what no column is for; SQLite takes anything."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from flask_foreign_token.errors import Rejected
from flask_foreign_token.registry.edits import Edit
from flask_foreign_token.registry.registry_tables import RegistryTables
from flask_foreign_token.registry.rows import entry_of, row_of

from .bodies import policy
from .histories import catalog_of
from .places import Place, names, unchecked

GOOD = '{"engine":"allow","id":"bad","resourceType":"AccessPolicy"}'

SPOILT = {
    "a body of octets that are no UTF-8": "body = x'7bff7d'",
    "a body that is a text in no encoding": "body = CAST(x'7bff7d' AS TEXT)",
    "a version that is a text": "version = 'x'",
    "a time that is a text": "last_updated = 'x'",
    "a time without end": "last_updated = 9e999",
    "a time in milliseconds": "last_updated = 1795671498424.0",
    "a time before there was one": "last_updated = -1.0",
    "a version that leaves no room": "version = 9223372036854775806",
    "an id that is octets": "id = CAST('bad' AS BLOB)",
    "a type that is octets": "type = CAST('AccessPolicy' AS BLOB)",
}


@pytest.fixture
def place(engine: Engine, tables: RegistryTables) -> Place:
    return Place(engine, tables)


def spoil(place: Place, assignment: str) -> None:
    place.apply(policy("bad"), policy("good"))
    with place.engine.begin() as connection:
        connection.execute(text(f"UPDATE foreign_token_resource SET {assignment} WHERE id = 'bad'"))


@pytest.mark.parametrize("assignment", SPOILT.values(), ids=SPOILT)
def test_it_is_named_and_the_others_are_there(place: Place, assignment: str) -> None:
    spoil(place, assignment)

    contents = place.registry.read()

    assert names(contents) == ["AccessPolicy/good"]
    assert [issue.resource for issue in contents.unreadable] == ["AccessPolicy/bad"]


@pytest.mark.parametrize("assignment", SPOILT.values(), ids=SPOILT)
def test_it_is_mended_by_writing_it(place: Place, assignment: str) -> None:
    spoil(place, assignment)
    catalog = catalog_of(place.registry)

    assert [shown.key[1] for shown in catalog.list("AccessPolicy")] == ["good"]
    assert catalog.apply(Edit([policy("bad")])) == {("AccessPolicy", "bad"): "updated"}

    assert names(place.registry.read()) == ["AccessPolicy/bad", "AccessPolicy/good"]
    assert place.registry.read().unreadable == ()


@pytest.mark.parametrize("assignment", SPOILT.values(), ids=SPOILT)
def test_it_is_mended_by_deleting_it(place: Place, assignment: str) -> None:
    spoil(place, assignment)

    place.registry.edit(Edit(deletes=[("AccessPolicy", "bad")]), check=unchecked)

    assert names(place.registry.read()) == ["AccessPolicy/good"]
    assert place.registry.read().unreadable == ()


def test_a_body_that_was_put_in_as_octets_is_read_all_the_same(place: Place) -> None:
    spoil(place, f"body = CAST('{GOOD}' AS BLOB)")

    assert names(place.registry.read()) == ["AccessPolicy/bad", "AccessPolicy/good"]


def test_an_id_of_octets_is_named(place: Place) -> None:
    spoil(place, "id = x'ff'")

    contents = place.registry.read()

    assert names(contents) == ["AccessPolicy/good"]
    assert [str(issue) for issue in contents.unreadable] == [
        r"AccessPolicy/\xff: type or id, id of the row hold what cannot be there"
    ]


@pytest.mark.parametrize("unfit", [None, 5, 1.5, b"\xff"], ids=["none", "a number", "a fraction", "octets"])
def test_what_is_no_text_is_none(unfit: object) -> None:
    assert isinstance(entry_of(row_of(("AccessPolicy", "bad", 1, unfit, 0.0))), Rejected)


def test_what_is_one_is_taken() -> None:
    assert not isinstance(entry_of(row_of(("AccessPolicy", "bad", 1, GOOD, 0.0))), Rejected)


@pytest.mark.parametrize("column", ["version = 'x'", "at = 'x'", "version = 9223372036854775806"])
def test_a_history_that_was_spoilt_by_hand_keeps_nobody_from_writing(place: Place, column: str) -> None:
    place.apply(policy("bad"))
    with place.engine.begin() as connection:
        connection.execute(text(f"UPDATE foreign_token_history SET {column}"))

    assert names(place.apply(policy("good"))) == ["AccessPolicy/bad", "AccessPolicy/good"]
    catalog = catalog_of(place.registry)
    assert len(catalog.history(("AccessPolicy", "bad"))) == 1
    assert catalog.newest(20)[0].key == ("AccessPolicy", "good")


@pytest.mark.parametrize("ref", ["x'70'", "x'ff'", "CAST(x'ff' AS TEXT)"])
def test_an_entry_of_the_feed_that_was_spoilt_by_hand_keeps_nobody_from_reading(place: Place, ref: str) -> None:
    known = place.apply(policy("a"))
    with place.engine.begin() as connection:
        connection.execute(
            text(f"INSERT INTO foreign_token_change (id, type, ref, at) VALUES (70, 'AccessPolicy', {ref}, 0.0)")
        )

    place.registry.edit(Edit([policy("b")]), check=unchecked)

    news = place.feed.read(known.position)
    assert names(place.registry.read(known, news)) == ["AccessPolicy/a", "AccessPolicy/b"]
    assert place.feed.latest().ref == "b"
