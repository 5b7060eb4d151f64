"""What an edit would do, said before it is done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from flask_foreign_token.errors import Conflict, NotStored, Rejected
from flask_foreign_token.registry.catalog import Catalog
from flask_foreign_token.registry.edits import Edit
from flask_foreign_token.registry.fields import MASK
from flask_foreign_token.registry.file import FileRegistry
from flask_foreign_token.registry.plan import MISSING, Plan, differences
from flask_foreign_token.registry.registry import Store
from flask_foreign_token.registry.registry_tables import RegistryTables
from flask_foreign_token.registry.resources import Key

from .bodies import SECRET, introspector, policy, provider
from .histories import catalog_of
from .places import Place

A: Key = ("AccessPolicy", "a")
OTHER_SECRET = "another secret of more than thirty-two octets"


def found(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, object, object]]:
    return [(one.path, one.before, one.after) for one in differences(before, after)]


def signed_with(secret: object) -> dict[str, Any]:
    return introspector(jwt={"iss": "https://idp.example", "secret": secret})


# ---- where two states differ


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        ({"active": True}, {"active": False}, [("active", True, False)]),
        ({}, {"description": "new"}, [("description", MISSING, "new")]),
        ({"description": "old"}, {}, [("description", "old", MISSING)]),
        ({"description": None}, {}, [("description", None, MISSING)]),
        ({"matcho": {"a": {"b": 1}}}, {"matcho": {"a": {"b": 2}}}, [("matcho.a.b", 1, 2)]),
        ({"matcho": {"a": 1}}, {"matcho": {"b": 1}}, [("matcho.b", MISSING, 1), ("matcho.a", 1, MISSING)]),
        ({"matcho": {"a": [1, 2]}}, {"matcho": {"a": [1, 3]}}, [("matcho.a.1", 2, 3)]),
        ({"matcho": {"a": [1]}}, {"matcho": {"a": [1, 2]}}, [("matcho.a.1", MISSING, 2)]),
        ({"matcho": {"a": [1, 2]}}, {"matcho": {"a": [1]}}, [("matcho.a.1", 2, MISSING)]),
        ({"matcho": {"a": [{"b": 1}]}}, {"matcho": {"a": [{"b": 2}]}}, [("matcho.a.0.b", 1, 2)]),
        ({"matcho": {"a": {}}}, {"matcho": {"a": []}}, [("matcho.a", {}, [])]),
        ({"matcho": {"a": {"b": 1}}}, {"matcho": {"a": "b"}}, [("matcho.a", {"b": 1}, "b")]),
        ({"matcho": {"a": True}}, {"matcho": {"a": 1}}, [("matcho.a", True, 1)]),
        ({"matcho": {"a": 0}}, {"matcho": {"a": False}}, [("matcho.a", 0, False)]),
        ({"matcho": {"a": 1}}, {"matcho": {"a": 1.0}}, [("matcho.a", 1, 1.0)]),
        ({"matcho": {"a": "1"}}, {"matcho": {"a": 1}}, [("matcho.a", "1", 1)]),
        ({"matcho": {"a": None}}, {"matcho": {"a": 0}}, [("matcho.a", None, 0)]),
    ],
    ids=range(17),
)
def test_every_place_is_named_with_what_stands_there(
    before: dict[str, Any], after: dict[str, Any], wanted: list[tuple[str, object, object]]
) -> None:
    assert found(policy(**before), policy(**after)) == wanted


def test_states_that_say_the_same_differ_nowhere() -> None:
    body = policy(matcho={"a": [1, {"b": None}]}, active=True)

    assert found(body, dict(reversed(body.items()))) == []


def test_the_order_is_that_of_the_later_one_and_what_is_gone_comes_last() -> None:
    before = policy(description="old", matcho={"a": 1})
    after = {"matcho": {"a": 2}, "active": False, **policy()}

    assert [path for path, *_ in found(before, after)] == ["matcho.a", "active", "description"]


def test_names_are_fit_for_one_line() -> None:
    [(path, _, _)] = found(policy(matcho={"a\nb": 1}), policy(matcho={"a\nb": 2}))

    assert "\n" not in path


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        (SECRET, OTHER_SECRET, [("jwt.secret", MASK, MASK)]),
        (SECRET, SECRET, []),
        (SECRET, {"env": "SECRET"}, [("jwt.secret", MASK, {"env": "SECRET"})]),
        (
            {"file": "/run/secrets/a"},
            {"file": "/run/secrets/b"},
            [("jwt.secret.file", "/run/secrets/a", "/run/secrets/b")],
        ),
    ],
    ids=["another", "the same", "a reference", "another reference"],
)
def test_secrets_are_masked_and_seen_to_differ(before: object, after: object, wanted: list[Any]) -> None:
    assert found(signed_with(before), signed_with(after)) == wanted


def test_secrets_in_lists_are_masked_too() -> None:
    def keys(*secrets: str) -> dict[str, Any]:
        return introspector(jwt={"iss": "i", "keys": [{"kty": "OCT", "k": secret} for secret in secrets]})

    assert found(keys(SECRET), keys(OTHER_SECRET, SECRET)) == [
        ("jwt.keys.0.k", MASK, MASK),
        ("jwt.keys.1", MISSING, {"kty": "OCT", "k": MASK}),
    ]


# ---- plans of a registry


@dataclass
class Kind:
    """A registry, and what it holds."""

    store: Store
    catalog: Catalog

    def apply(self, *bodies: dict[str, Any], **more: Any) -> None:
        self.catalog.apply(Edit(bodies, **more))

    def plan(self, *bodies: dict[str, Any], **more: Any) -> Plan:
        return self.catalog.plan(Edit(bodies, **more))

    def holds(self) -> list[tuple[Key, object]]:
        return sorted(
            (kept.key, kept.body) for type_ in ("AccessPolicy", "TokenIntrospector") for kept in self.store.kept(type_)
        )


@pytest.fixture(params=["database", "file"])
def kind(request: pytest.FixtureRequest, tmp_path: Path, engine: Engine, tables: RegistryTables) -> Kind:
    store: Store = Place(engine, tables).registry
    if request.param == "file":
        store = FileRegistry(tmp_path / "registry.json", {})
    return Kind(store, catalog_of(store))


def test_a_plan_says_what_becomes_of_each_and_changes_nothing(kind: Kind) -> None:
    kind.apply(policy("a"), policy("b"), policy("c"))
    before = kind.holds()

    plan = kind.plan(policy("d"), policy("a", active=False), policy("b"), deletes=[("AccessPolicy", "c")])

    assert [(change.key[1], change.outcome) for change in plan.changes] == [
        ("d", "created"),
        ("a", "updated"),
        ("b", "unchanged"),
        ("c", "deleted"),
    ]
    assert [[one.path for one in change.differences] for change in plan.changes] == [[], ["active"], [], []]
    assert plan.changes_anything
    assert kind.holds() == before


def test_what_is_as_it_should_be_changes_nothing(kind: Kind) -> None:
    kind.apply(policy("a"))

    assert not kind.plan(policy("a")).changes_anything


def test_pruning_deletes_whatever_is_not_named(kind: Kind) -> None:
    kind.apply(policy("a"), policy("b"), introspector())

    plan = kind.plan(policy("a"), prune=True)

    assert plan.outcomes == {A: "unchanged", ("AccessPolicy", "b"): "deleted", ("TokenIntrospector", "i"): "deleted"}
    assert kind.catalog.apply(plan.edit) == plan.outcomes
    assert [key for key, _ in kind.holds()] == [A]


def test_a_plan_does_what_it_says(kind: Kind) -> None:
    kind.apply(policy("a"), policy("b"))
    plan = kind.plan(policy("a", active=False), policy("c"), deletes=[("AccessPolicy", "b")])

    assert kind.catalog.apply(plan.edit) == plan.outcomes


@pytest.mark.parametrize("is_pruned", [False, True])
def test_a_plan_does_nothing_where_one_of_them_has_changed_since(kind: Kind, is_pruned: bool) -> None:
    kind.apply(policy("a"), policy("b"))
    plan = kind.plan(policy("a", active=False), prune=is_pruned)
    kind.apply(policy("b" if is_pruned else "a", description="new"))
    before = kind.holds()

    with pytest.raises(Conflict):
        kind.catalog.apply(plan.edit)
    assert kind.holds() == before


def test_a_plan_to_make_what_somebody_else_has_made_does_nothing(kind: Kind) -> None:
    plan = kind.plan(policy("a"))
    kind.apply(policy("a", active=False))

    with pytest.raises(Conflict):
        kind.catalog.apply(plan.edit)


def test_what_came_after_a_plan_to_prune_stays(kind: Kind) -> None:
    kind.apply(policy("a"), policy("b"))
    plan = kind.plan(policy("a"), prune=True)
    kind.apply(policy("c"))

    kind.catalog.apply(plan.edit)

    assert [key[1] for key, _ in kind.holds()] == ["a", "c"]


def test_what_would_be_refused_cannot_be_planned(kind: Kind) -> None:
    kind.apply(provider(), introspector(link="k"))

    with pytest.raises(Rejected, match="engine"):
        kind.plan(policy("a", engine="nonsense"))
    with pytest.raises(Rejected, match="still refers"):
        kind.plan(deletes=[("IdentityProvider", "k")])
    with pytest.raises(NotStored):
        kind.plan(deletes=[A])
    with pytest.raises(Rejected, match="is odd"):
        kind.catalog.plan(Edit([policy("a", description="odd")]), strict=True)


def test_no_secret_is_in_a_plan_for_people(kind: Kind) -> None:
    kind.apply(signed_with(SECRET))

    plan = kind.plan(signed_with(OTHER_SECRET))

    assert [(one.path, one.before, one.after) for one in plan.changes[0].differences] == [("jwt.secret", MASK, MASK)]
    assert SECRET not in repr(plan)
    assert OTHER_SECRET not in repr(plan)


def test_the_mask_is_no_difference(kind: Kind) -> None:
    kind.apply(signed_with(SECRET))

    assert not kind.plan(signed_with(MASK)).changes_anything


def test_what_cannot_be_read_is_replaced_and_nothing_is_compared(engine: Engine, tables: RegistryTables) -> None:
    place = Place(engine, tables)
    place.write_by_hand("{")

    [change] = catalog_of(place.registry).plan(Edit([policy("p")])).changes

    assert (change.outcome, change.differences) == ("updated", ())
