"""How all resources become what they were at once."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, delete, update

from flask_foreign_token.errors import Conflict, Rejected
from flask_foreign_token.registry.catalog import Catalog
from flask_foreign_token.registry.edits import Edit, Outcome
from flask_foreign_token.registry.registry import NoVersion
from flask_foreign_token.registry.registry_tables import RegistryTables
from flask_foreign_token.registry.resources import Key

from .bodies import SECRET, introspector, policy, provider
from .conftest import MakeEngine
from .histories import catalog_of
from .places import Place, statements_on
from .test_rollback import INTROSPECTOR, OTHER_SECRET, A, K, P, body_of, signed_with, stored_secret

B: Key = ("AccessPolicy", "b")
C: Key = ("AccessPolicy", "c")


@pytest.fixture
def place(engine: Engine, tables: RegistryTables) -> Place:
    return Place(engine, tables)


@pytest.fixture
def catalog(place: Place) -> Catalog:
    return catalog_of(place.registry)


def back(catalog: Catalog, version: str) -> dict[Key, Outcome]:
    return catalog.apply(catalog.plan_rollback_to(version).edit)


def test_what_changed_is_changed_back_what_went_comes_back_and_what_came_goes(catalog: Catalog) -> None:
    catalog.apply(Edit([policy("a"), policy("b")]))
    catalog.apply(Edit([policy("a", active=False), policy("c")], deletes=[B]))

    assert back(catalog, "2") == {A: "updated", B: "created", C: "deleted"}

    assert [shown.key for shown in catalog.list("AccessPolicy")] == [A, B]
    assert body_of(catalog, A) == policy("a")


def test_it_is_a_change_that_can_be_taken_back_in_turn(catalog: Catalog) -> None:
    catalog.apply(Edit([policy("a"), policy("b")]))
    catalog.apply(Edit([policy("a", active=False), policy("c")], deletes=[B]))
    back(catalog, "2")

    back(catalog, "5")

    assert [shown.key for shown in catalog.list("AccessPolicy")] == [A, C]
    assert body_of(catalog, A) == policy("a", active=False)


def test_what_is_as_it_was_is_no_part_of_it(catalog: Catalog) -> None:
    catalog.apply(Edit([policy("a"), policy("b")]))
    catalog.apply(Edit([policy("b", active=False)]))

    assert [change.key for change in catalog.plan_rollback_to("2").changes] == [B]
    assert catalog.plan_rollback_to("3").changes == ()


def test_what_came_and_went_since_stays_away(catalog: Catalog) -> None:
    catalog.apply(Edit([policy("a")]))
    catalog.apply(Edit([policy("b")]))
    catalog.apply(Edit(deletes=[B]))

    assert catalog.plan_rollback_to("1").changes == ()


def test_what_was_deleted_by_then_is_deleted_again(catalog: Catalog) -> None:
    catalog.apply(Edit([policy("a"), policy("b")]))
    catalog.apply(Edit(deletes=[A]))
    catalog.apply(Edit([policy("a")]))

    assert back(catalog, "3") == {A: "deleted"}


def test_secrets_come_back_with_the_rest(place: Place, catalog: Catalog) -> None:
    catalog.apply(Edit([signed_with(SECRET)]))
    catalog.apply(Edit([signed_with(OTHER_SECRET)]))

    back(catalog, "1")

    assert stored_secret(place) == SECRET


def test_what_belongs_together_comes_back_together(catalog: Catalog) -> None:
    catalog.apply(Edit([introspector(link="k"), provider()]))
    catalog.apply(Edit(deletes=[K, INTROSPECTOR]))

    assert back(catalog, "2") == {K: "created", INTROSPECTOR: "created"}


def test_what_the_history_does_not_know_stays(place: Place, catalog: Catalog) -> None:
    catalog.apply(Edit([policy("a")]))
    place.write_by_hand('{"engine":"allow","id":"p","resourceType":"AccessPolicy"}')
    catalog.apply(Edit([policy("b")]))

    assert back(catalog, "1") == {B: "deleted"}
    assert [shown.key for shown in catalog.list("AccessPolicy")] == [A, P]


def test_what_was_changed_by_hand_is_changed_back(place: Place, catalog: Catalog) -> None:
    catalog.apply(Edit([policy("a")]))
    with place.engine.begin() as connection:
        connection.execute(update(place.tables.resource).values(body="{"))

    assert back(catalog, "1") == {A: "updated"}
    assert body_of(catalog, A) == policy("a")


def test_what_was_deleted_by_hand_comes_back(place: Place, catalog: Catalog) -> None:
    catalog.apply(Edit([policy("a")]))
    with place.engine.begin() as connection:
        connection.execute(delete(place.tables.resource))

    assert back(catalog, "1") == {A: "created"}


@pytest.mark.parametrize("version", ["0", "3", "01", "", "-1", "1 ", "latest", "9" * 30])
def test_there_is_no_way_back_to_a_version_in_which_nothing_was(catalog: Catalog, version: str) -> None:
    catalog.apply(Edit([policy("a"), policy("b")]))

    with pytest.raises(NoVersion, match="names no version in the history"):
        catalog.plan_rollback_to(version)


def test_all_of_it_is_refused_where_a_part_is_wrong(catalog: Catalog, place: Place) -> None:
    place.apply(policy("a"), policy("b", engine="magic"))
    place.apply(deletes=[A, B])

    with pytest.raises(Rejected, match=r"AccessPolicy/b engine"):
        catalog.plan_rollback_to("2")
    assert catalog.list("AccessPolicy") == []


def test_all_of_it_is_refused_where_a_part_cannot_be_read(catalog: Catalog, place: Place) -> None:
    place.write_by_hand("{")
    place.apply(policy("p"), policy("a"))
    place.apply(policy("a", active=False))

    with pytest.raises(Rejected, match=r"^AccessPolicy/p versionId: names a version that cannot be read"):
        catalog.plan_rollback_to("1")


def test_a_plan_does_nothing_where_a_part_has_changed_since(catalog: Catalog) -> None:
    catalog.apply(Edit([policy("a"), policy("b")]))
    catalog.apply(Edit([policy("a", active=False), policy("b", active=False)]))
    plan = catalog.plan_rollback_to("2")
    catalog.apply(Edit([policy("b", description="new")]))

    with pytest.raises(Conflict):
        catalog.apply(plan.edit)
    assert body_of(catalog, A) == policy("a", active=False)


@pytest.mark.parametrize("number", [1, 400])
def test_however_many_it_is_a_few_statements(engine_of_file: MakeEngine, tables: RegistryTables, number: int) -> None:
    tables.history.metadata.create_all(engine := engine_of_file())
    place = Place(engine, tables)
    place.apply(*(policy(f"p{place_}") for place_ in range(number)))
    place.apply(*(policy(f"p{place_}", active=False) for place_ in range(number)))
    statements = statements_on(engine)

    edit = place.registry.back_to(str(number))

    assert (len(edit.upserts), len(statements)) == (number, 4)
