"""What is kept of what resources were before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, event, update

from flask_foreign_token.errors import Rejected
from flask_foreign_token.instants import instant
from flask_foreign_token.registry.edits import Edit, State
from flask_foreign_token.registry.fields import MASK
from flask_foreign_token.registry.file import FileRegistry
from flask_foreign_token.registry.registry import NoHistory
from flask_foreign_token.registry.registry_tables import MAX_BY, RegistryTables
from flask_foreign_token.registry.resources import Key

from .bodies import SECRET, introspector, policy, provider
from .conftest import MakeEngine
from .histories import catalog_of, told
from .places import NOW, Place, statements_on

A: Key = ("AccessPolicy", "a")
INTROSPECTOR: Key = ("TokenIntrospector", "i")
P: Key = ("AccessPolicy", "p")


@pytest.fixture
def place(engine: Engine, tables: RegistryTables) -> Place:
    return Place(engine, tables)


def made_in(engine: Engine, tables: RegistryTables) -> Place:
    tables.history.metadata.create_all(engine)
    return Place(engine, tables)


# ---- what is kept


def test_every_state_is_kept_with_who_made_it_the_latest_first(place: Place) -> None:
    place.apply(policy("a"), by="operator:ann")
    place.apply(policy("a", active=False), by="cli:bob@host")
    place.apply(deletes=[A], by="user:7")
    place.apply(policy("a"), by="client:backend")

    pasts = place.registry.history(A)

    assert told(pasts) == [
        ("4", "created", "client:backend"),
        ("3", "deleted", "user:7"),
        ("2", "updated", "cli:bob@host"),
        ("1", "created", "operator:ann"),
    ]
    assert [past.body for past in pasts] == [policy("a"), None, policy("a", active=False), policy("a")]
    assert {(past.key, past.at) for past in pasts} == {(A, NOW)}


def test_resources_of_one_edit_have_histories_of_their_own(place: Place) -> None:
    place.apply(policy("a"), provider("a"), by="operator:ann")

    assert told(place.registry.history(A)) == [("1", "created", "operator:ann")]
    assert told(place.registry.history(("IdentityProvider", "a"))) == [("2", "created", "operator:ann")]


def test_what_never_was_has_no_history(place: Place) -> None:
    place.apply(policy("a"))

    assert place.registry.history(P) == []
    assert place.registry.history(("IdentityProvider", "a")) == []


def test_what_is_stored_already_adds_nothing(place: Place) -> None:
    place.apply(policy("a"), by="operator:ann")

    place.apply(policy("a"), policy("b"), by="operator:bob")

    assert told(place.registry.history(A)) == [("1", "created", "operator:ann")]


def test_what_is_refused_adds_nothing(place: Place) -> None:
    place.apply(policy("a"))

    def refuse(before: State, after: State) -> None:
        raise Rejected.at("", "no")

    with pytest.raises(Rejected):
        place.registry.edit(Edit([policy("a", active=False)], [P]), check=refuse, by="operator:ann")
    with pytest.raises(Rejected):
        place.registry.edit(Edit([policy("a", active=False)]), check=refuse, by="operator:ann")

    assert told(place.registry.history(A)) == [("1", "created", "")]


def test_it_takes_three_statements(engine_of_file: MakeEngine, tables: RegistryTables) -> None:
    place = made_in(engine_of_file(), tables)
    for number in range(5):
        place.apply(policy("a", description=str(number)))
    statements = statements_on(place.engine)

    assert len(place.registry.history(A)) == 5
    assert len(statements) == 3


def test_a_thousand_changes_at_once_take_a_few_statements(engine_of_file: MakeEngine, tables: RegistryTables) -> None:
    place = made_in(engine_of_file(), tables)
    place.apply(*(policy(str(number)) for number in range(1000)))
    statements = statements_on(place.engine)

    place.apply(*(policy(str(number), active=False) for number in range(1000)))

    assert len([statement for statement in statements if "foreign_token_history" in statement]) <= 6


@pytest.mark.parametrize(
    ("by", "kept"),
    [
        ("operator:ann", "operator:ann"),
        ("x" * (MAX_BY + 1), "x" * MAX_BY),
        ("user:\x00", "user:\\x00"),
        ("user:\ud800", "user:\\ud800"),
        ("operator:Ännchen 🙂", "operator:Ännchen 🙂"),
    ],
    ids=["short", "too long", "NUL", "half a pair", "beyond ASCII"],
)
def test_whoever_it_is_can_be_kept(place: Place, by: str, kept: str) -> None:
    place.apply(policy("a"), by=by)

    assert [past.by for past in place.registry.history(A)] == [kept]


# ---- rows from elsewhere


def test_a_row_that_was_written_by_hand_is_part_of_it(place: Place) -> None:
    place.write_by_hand('{"engine":"allow","id":"p","resourceType":"AccessPolicy"}')

    [past] = place.registry.history(P)

    assert (past.version, past.outcome, past.by, past.body) == ("1", "created", "", policy("p"))


def test_the_first_edit_keeps_what_a_row_said_that_was_written_by_hand(place: Place) -> None:
    place.write_by_hand('{"engine":"allow","id":"p","resourceType":"AccessPolicy"}')

    place.apply(policy("p", active=False), by="operator:ann")

    pasts = place.registry.history(P)
    assert told(pasts) == [("2", "updated", "operator:ann"), ("1", "created", "")]
    assert pasts[1].body == policy("p")


def test_the_deletion_of_such_a_row_keeps_it_too(place: Place) -> None:
    place.write_by_hand('{"engine":"allow","id":"p","resourceType":"AccessPolicy"}')

    place.apply(deletes=[P])

    assert [past.body for past in place.registry.history(P)] == [None, policy("p")]


@pytest.mark.parametrize("body", ["{", "[]", '"text"'])
def test_what_cannot_be_read_is_there_without_a_body(place: Place, body: str) -> None:
    place.write_by_hand(body)
    place.apply(policy("p"))

    latest, first = place.registry.history(P)

    assert (latest.outcome, latest.body) == ("updated", policy("p"))
    assert (first.outcome, first.body) == ("created", None)


def test_no_version_comes_again_where_the_feed_was_emptied(place: Place) -> None:
    place.apply(policy("a"))
    place.apply(policy("b"), policy("a", active=False))
    place.apply(deletes=[A])
    with place.engine.begin() as connection:
        connection.execute(delete(place.tables.change))

    place.apply(policy("a"))

    assert [past.version for past in place.registry.history(A)] == ["5", "4", "3", "1"]


def test_no_version_comes_again_where_rows_without_a_history_have_higher_ones(place: Place) -> None:
    place.write_by_hand('{"engine":"allow","id":"p","resourceType":"AccessPolicy"}')
    with place.engine.begin() as connection:
        connection.execute(update(place.tables.resource).values(version=70))

    place.apply(policy("p", active=False))

    assert [past.version for past in place.registry.history(P)] == ["71", "70"]


# ---- how it is shown


def test_secrets_are_masked_and_every_state_says_when_it_was(place: Place) -> None:
    place.apply(introspector())

    [past] = catalog_of(place.registry).history(INTROSPECTOR)

    assert past.body is not None
    assert past.body["jwt"] == {"iss": "https://idp.example", "secret": MASK}
    assert past.body["meta"] == {"versionId": "1", "lastUpdated": instant(NOW)}
    assert SECRET not in repr(past)


def test_a_file_has_none_and_the_reason_says_what_has(tmp_path: Path) -> None:
    catalog = catalog_of(FileRegistry(tmp_path / "registry.json", {}))

    for ask in (
        lambda: catalog.history(A),
        lambda: catalog.rollback(A, "1"),
        lambda: catalog.plan_rollback(A, "1"),
        lambda: catalog.newest(20),
        lambda: catalog.plan_rollback_to("1"),
    ):
        with pytest.raises(NoHistory, match="keep it under version control"):
            ask()


def test_only_what_is_asked_for_is_read_whole(engine_of_file: MakeEngine, tables: RegistryTables) -> None:
    place = made_in(engine_of_file(), tables)
    for number in range(5):
        place.apply(policy("a", description=str(number)))
    parameters: list[Any] = []
    event.listen(place.engine, "before_cursor_execute", lambda _c, _u, _s, given, *_: parameters.append(given))

    pasts = place.registry.history(A, offset=1, limit=2)

    assert [past.version for past in pasts] == ["4", "3"]
    assert parameters[-1] == ("AccessPolicy", "a", 4, 3)
    assert place.registry.versions(A) == 5
    assert place.registry.past(A, "2").body["description"] == "1"
    assert place.registry.past(A, "9") is None


# ---- the latest changes of all


def test_the_latest_changes_of_all_resources_are_told_in_one_statement(
    engine_of_file: MakeEngine, tables: RegistryTables
) -> None:
    place = made_in(engine_of_file(), tables)
    place.apply(policy("a"), introspector(), by="operator:ann")
    place.apply(policy("a", active=False), deletes=[INTROSPECTOR], by="cli:bob@host")
    place.apply(introspector())
    statements = statements_on(place.engine)

    pasts = place.registry.newest(4)

    assert [(past.key, *told([past])[0]) for past in pasts] == [
        (INTROSPECTOR, "5", "created", ""),
        (INTROSPECTOR, "4", "deleted", "cli:bob@host"),
        (A, "3", "updated", "cli:bob@host"),
        (INTROSPECTOR, "2", "created", "operator:ann"),
    ]
    assert {(past.at, past.body) for past in pasts} == {(NOW, None)}
    assert len(statements) == 1


def test_the_latest_changes_may_be_those_of_one_type(place: Place) -> None:
    place.apply(policy("a"), provider("k"), policy("b"))

    assert [past.key for past in place.registry.newest(9, "AccessPolicy")] == [("AccessPolicy", "b"), A]
    assert place.registry.newest(9, "TokenIntrospector") == []


def test_the_latest_changes_are_found_by_the_index(engine_of_file: MakeEngine, tables: RegistryTables) -> None:
    place = made_in(engine_of_file(), tables)
    statements: list[tuple[str, Any]] = []
    event.listen(
        place.engine, "before_cursor_execute", lambda _c, _u, said, given, *_: statements.append((said, given))
    )
    place.registry.newest(20)
    [(statement, parameters)] = statements

    with place.engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()

    steps = [str(step[-1]) for step in plan]
    assert any("USING INDEX ix_foreign_token_history_version" in step for step in steps), steps
    assert [step for step in steps if step.startswith("SCAN foreign_token_history AS")] == []
