"""How resources become what they were before."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from flask_foreign_token.errors import Conflict, NotStored, Rejected
from flask_foreign_token.registry.catalog import Catalog
from flask_foreign_token.registry.edits import ABSENT, Edit
from flask_foreign_token.registry.fields import MASK
from flask_foreign_token.registry.registry import NoVersion
from flask_foreign_token.registry.registry_tables import RegistryTables
from flask_foreign_token.registry.resources import Key

from .bodies import SECRET, introspector, policy, provider
from .histories import catalog_of, told
from .places import Place

A: Key = ("AccessPolicy", "a")
INTROSPECTOR: Key = ("TokenIntrospector", "i")
K: Key = ("IdentityProvider", "k")
P: Key = ("AccessPolicy", "p")
OTHER_SECRET = "another secret of more than thirty-two octets"


@pytest.fixture
def place(engine: Engine, tables: RegistryTables) -> Place:
    return Place(engine, tables)


@pytest.fixture
def catalog(place: Place) -> Catalog:
    return catalog_of(place.registry)


def body_of(catalog: Catalog, key: Key) -> dict[str, Any]:
    shown = catalog.get(key)
    assert shown is not None
    return {name: value for name, value in shown.body.items() if name != "meta"}


def signed_with(secret: str) -> dict[str, Any]:
    return introspector(jwt={"iss": "https://idp.example", "secret": secret})


def stored_secret(place: Place) -> object:
    [kept] = place.registry.kept(*INTROSPECTOR)
    jwt: Any = kept.body["jwt"]
    return jwt["secret"]


def test_a_resource_becomes_what_it_was_in_a_version_of_its_own(catalog: Catalog) -> None:
    catalog.apply(Edit([policy("a")]))
    catalog.apply(Edit([policy("a", active=False)]))

    assert catalog.rollback(A, "1", by="operator:ann") == "updated"

    assert body_of(catalog, A) == policy("a")
    assert told(catalog.history(A))[0] == ("3", "updated", "operator:ann")
    assert len(catalog.history(A)) == 3


def test_its_secrets_come_back_with_it(place: Place, catalog: Catalog) -> None:
    catalog.apply(Edit([signed_with(SECRET)]))
    catalog.apply(Edit([signed_with(OTHER_SECRET)]))

    catalog.rollback(INTROSPECTOR, "1")

    assert stored_secret(place) == SECRET


def test_what_is_deleted_comes_back(catalog: Catalog) -> None:
    catalog.apply(Edit([policy("a")]))
    catalog.apply(Edit(deletes=[A]))

    assert catalog.rollback(A, "1") == "created"
    assert body_of(catalog, A) == policy("a")


def test_back_to_a_deletion_is_a_deletion(catalog: Catalog) -> None:
    catalog.apply(Edit([policy("a")]))
    catalog.apply(Edit(deletes=[A]))
    catalog.apply(Edit([policy("a")]))

    assert catalog.rollback(A, "2", by="operator:ann") == "deleted"

    assert catalog.get(A) is None
    assert told(catalog.history(A))[0] == ("4", "deleted", "operator:ann")


def test_back_to_what_is_there_changes_nothing(catalog: Catalog) -> None:
    catalog.apply(Edit([policy("a")]))

    assert catalog.rollback(A, "1") == "unchanged"
    assert len(catalog.history(A)) == 1


def test_back_to_a_deletion_of_what_is_deleted_changes_nothing(catalog: Catalog) -> None:
    catalog.apply(Edit([policy("a")]))
    catalog.apply(Edit(deletes=[A]))

    assert catalog.rollback(A, "2") == "unchanged"
    assert len(catalog.history(A)) == 2


@pytest.mark.parametrize("version", ["2", "01", "", "1 ", "latest"])
def test_there_is_no_way_back_to_a_version_that_never_was(catalog: Catalog, version: str) -> None:
    catalog.apply(Edit([policy("a")]))
    catalog.apply(Edit([policy("b")]))

    with pytest.raises(NoVersion, match=r"^AccessPolicy/a versionId: names no version in the history$"):
        catalog.rollback(A, version)
    assert body_of(catalog, A) == policy("a")


def test_what_would_be_refused_today_is_refused(catalog: Catalog) -> None:
    catalog.apply(Edit([provider(), introspector(link="k")]))
    catalog.apply(Edit(deletes=[K, INTROSPECTOR]))

    with pytest.raises(Rejected) as caught:
        catalog.rollback(INTROSPECTOR, "2")

    assert [(issue.resource, issue.path) for issue in caught.value.issues] == [
        ("TokenIntrospector/i", "identity_provider.reference")
    ]
    assert catalog.get(INTROSPECTOR) is None
    assert catalog.rollback(K, "1") == "created"
    assert catalog.rollback(INTROSPECTOR, "2") == "created"


def test_a_deletion_that_would_be_refused_today_is_refused(catalog: Catalog) -> None:
    catalog.apply(Edit([provider()]))
    catalog.apply(Edit(deletes=[K]))
    catalog.apply(Edit([provider(), introspector(link="k")]))

    with pytest.raises(Rejected, match="still refers to IdentityProvider/k"):
        catalog.rollback(K, "2")
    assert catalog.get(K) is not None


def test_what_is_probably_not_meant_is_refused_where_that_is_asked_for(catalog: Catalog) -> None:
    catalog.apply(Edit([policy("a", description="odd")]))
    catalog.apply(Edit([policy("a")]))

    with pytest.raises(Rejected, match="is odd"):
        catalog.rollback(A, "1", strict=True)
    assert catalog.rollback(A, "1") == "updated"


@pytest.mark.parametrize("expected", ["1", ABSENT])
def test_what_is_not_as_expected_stays(catalog: Catalog, expected: str) -> None:
    catalog.apply(Edit([policy("a")]))
    catalog.apply(Edit([policy("a", active=False)]))

    with pytest.raises(Conflict):
        catalog.rollback(A, "1", expected=expected)
    assert catalog.rollback(A, "1", expected="2") == "updated"


def test_what_must_be_absent_and_is_comes_back(catalog: Catalog) -> None:
    catalog.apply(Edit([policy("a")]))
    catalog.apply(Edit(deletes=[A]))

    assert catalog.rollback(A, "1", expected=ABSENT) == "created"


@pytest.mark.parametrize(
    "body", ["{", '{"engine":"allow","id":"q","resourceType":"AccessPolicy"}', '{"id":"p"}'], ids=range(3)
)
def test_there_is_no_way_back_to_what_is_not_this_resource(place: Place, catalog: Catalog, body: str) -> None:
    place.write_by_hand(body)
    place.apply(policy("p"))

    with pytest.raises(Rejected, match=r"^AccessPolicy/p versionId: names a version that cannot be read"):
        catalog.rollback(P, "1")
    assert [shown.key for shown in catalog.list("AccessPolicy")] == [P]


def test_a_row_that_cannot_be_read_goes_back_too(place: Place, catalog: Catalog) -> None:
    place.apply(policy("p"))
    place.apply(deletes=[P])
    place.write_by_hand("{")
    with place.engine.begin() as connection:
        connection.execute(update(place.tables.resource).values(version=9))

    assert catalog.rollback(P, "2") == "deleted"
    with place.engine.connect() as connection:
        assert connection.execute(select(place.tables.resource)).all() == []


# ---- what it would do


def test_a_plan_shows_the_way_back_and_changes_nothing(place: Place, catalog: Catalog) -> None:
    catalog.apply(Edit([signed_with(SECRET)]))
    catalog.apply(Edit([signed_with(OTHER_SECRET)]))

    plan = catalog.plan_rollback(INTROSPECTOR, "1")

    [change] = plan.changes
    assert (change.key, change.outcome) == (INTROSPECTOR, "updated")
    assert [(found.path, found.before, found.after) for found in change.differences] == [("jwt.secret", MASK, MASK)]
    assert stored_secret(place) == OTHER_SECRET


def test_a_plan_does_what_it_says(place: Place, catalog: Catalog) -> None:
    catalog.apply(Edit([signed_with(SECRET)]))
    catalog.apply(Edit([signed_with(OTHER_SECRET)]))

    assert catalog.apply(catalog.plan_rollback(INTROSPECTOR, "1").edit) == {INTROSPECTOR: "updated"}
    assert stored_secret(place) == SECRET


def test_a_plan_does_nothing_to_what_has_changed_since(catalog: Catalog) -> None:
    catalog.apply(Edit([policy("a")]))
    catalog.apply(Edit([policy("a", active=False)]))
    plan = catalog.plan_rollback(A, "1")
    catalog.apply(Edit([policy("a", description="new")]))

    with pytest.raises(Conflict):
        catalog.apply(plan.edit)
    assert body_of(catalog, A) == policy("a", description="new")


def test_a_plan_for_what_never_was_is_refused(catalog: Catalog) -> None:
    with pytest.raises(NotStored):
        catalog.plan_rollback(A, "1")
