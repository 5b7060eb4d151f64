from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flask_foreign_token.errors import Conflict, NotStored, Rejected
from flask_foreign_token.instants import instant
from flask_foreign_token.registry.catalog import Catalog
from flask_foreign_token.registry.edits import Edit, Outcome
from flask_foreign_token.registry.fields import MASK
from flask_foreign_token.registry.file import FileRegistry
from flask_foreign_token.registry.registry import Store
from flask_foreign_token.registry.registry_tables import RegistryTables
from flask_foreign_token.registry.resources import Key
from flask_foreign_token.registry.schemas import SCHEMAS

from .bodies import SECRET, introspector, policy, provider
from .conftest import MakeEngine
from .places import NOW
from .places import Place as Worker
from .snapshots import BUILDER

A: Key = ("AccessPolicy", "a")
K: Key = ("IdentityProvider", "k")
WRONG = policy("wrong", engine=None)
PERHAPS = policy("perhaps", engine="perhaps")
OUT_OF_SERVICE = introspector(
    "weak", iss="https://weak.example", jwt={"iss": "https://weak.example", "secret": "short"}
)

BROKEN = [
    pytest.param(WRONG, id="rejected"),
    pytest.param(OUT_OF_SERVICE, id="out of service"),
    pytest.param(PERHAPS, id="a policy out of service"),
]


@dataclass
class Place:
    """A registry: its catalog, and a way to write past it, as somebody with an editor or a database prompt does."""

    store: Store
    write_by_hand: Callable[..., object]
    refreshed: int = 0

    def __post_init__(self) -> None:
        self.catalog = Catalog(
            self.store,
            prepare=lambda: None,
            faults=BUILDER.faults,
            refresh=self.refresh,
        )

    def refresh(self) -> None:
        self.refreshed += 1

    def apply(self, *bodies: dict[str, Any], deletes: Sequence[Key] = ()) -> dict[Key, Outcome]:
        return self.catalog.apply(Edit(bodies, deletes))

    def faults_of(self, *bodies: dict[str, Any], deletes: Sequence[Key] = ()) -> list[tuple[str, str]]:
        with pytest.raises(Rejected) as caught:
            self.apply(*bodies, deletes=deletes)
        return [(issue.resource, issue.path) for issue in caught.value.issues]

    def ids(self, type_: str = "AccessPolicy") -> list[str]:
        return [shown.key[1] for shown in self.catalog.list(type_)]


@pytest.fixture
def database(engine_of_file: MakeEngine, tables: RegistryTables) -> Place:
    worker = Worker(engine_of_file(), tables)
    tables.resource.metadata.create_all(worker.engine)

    def write(*bodies: dict[str, Any]) -> None:
        for body in bodies:
            worker.write_by_hand(json.dumps(body), body["resourceType"], body["id"])

    return Place(worker.registry, write)


@pytest.fixture
def file(tmp_path: Path) -> Place:
    path = tmp_path / "registry.json"
    return Place(FileRegistry(path, {"TITLE": "K"}), lambda *bodies: path.write_text(json.dumps(bodies)))


@pytest.fixture(params=["database", "file"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(request.param)
    return found


def test_resources_are_listed_by_id(place: Place) -> None:
    place.apply(policy("b"), provider(), policy("a"))

    assert place.ids() == ["a", "b"]
    assert place.ids("TokenIntrospector") == []


def test_a_resource_is_shown_with_type_and_id_first_and_its_secrets_masked(place: Place) -> None:
    place.apply({"system": "k", "client": {"secret": "hush"}, **provider()})

    shown = place.catalog.get(K)

    assert shown is not None
    assert list(shown.body)[:2] == ["resourceType", "id"]
    assert {**shown.body, "meta": None} == provider(client={"secret": MASK}, meta=None)
    assert "hush" not in repr(shown) + str(place.catalog.list("IdentityProvider"))


def test_what_is_not_there_is_not_shown(place: Place) -> None:
    assert place.catalog.get(A) is None
    assert place.catalog.list("Nonsense") == []


def test_a_database_shows_versions_and_times(database: Place) -> None:
    database.apply(policy("a"), policy("b"))

    shown = database.catalog.list("AccessPolicy")[1]

    assert shown.version == "2"
    assert shown.body["meta"] == {"versionId": "2", "lastUpdated": instant(NOW)}


def test_a_file_shows_the_text_of_variables_and_no_meta(file: Place) -> None:
    file.apply(provider(title="${TITLE}"))

    shown = file.catalog.get(K)

    assert shown is not None
    assert shown.body == provider(title="${TITLE}")


def test_what_is_shown_can_be_written_back_and_changes_nothing(place: Place) -> None:
    keys = [{"kty": "OCT", "alg": "HS256", "k": SECRET, "format": "plain"}]
    place.apply(
        policy("a"), provider(client={"secret": "hush"}), introspector(jwt={"iss": "i", "keys": keys}, link="k")
    )
    kept = [shown for type_ in SCHEMAS for shown in place.catalog.list(type_)]

    outcomes = place.apply(*(dict(shown.body) for shown in kept))

    assert set(outcomes.values()) == {"unchanged"}
    assert [shown for type_ in SCHEMAS for shown in place.catalog.list(type_)] == kept


def test_a_version_that_was_shown_can_be_expected(place: Place) -> None:
    place.apply(policy("a"))
    [shown] = place.catalog.list("AccessPolicy")
    edit = Edit([policy("a", active=False)], expected={A: shown.version})

    assert place.catalog.apply(edit) == {A: "updated"}
    with pytest.raises(Conflict):
        place.catalog.apply(edit)


def test_the_catalog_refuses_to_delete_what_is_not_there(place: Place) -> None:
    with pytest.raises(NotStored):
        place.apply(deletes=[A])


def test_an_edit_is_brought_into_force_and_a_refused_one_is_not(place: Place) -> None:
    place.apply(policy("a"))
    place.faults_of(WRONG)

    assert place.refreshed == 1


def test_every_fault_of_an_edit_is_named_and_nothing_is_written(place: Place) -> None:
    faults = place.faults_of(policy("a"), WRONG, introspector(link="nowhere"), OUT_OF_SERVICE)

    assert sorted(faults) == [
        ("AccessPolicy/wrong", "engine"),
        ("TokenIntrospector/i", "identity_provider.reference"),
        ("TokenIntrospector/weak", "jwt.secret"),
    ]
    assert (place.ids(), place.ids("TokenIntrospector")) == ([], [])


def test_deleting_what_another_resource_needs_is_refused(place: Place) -> None:
    place.apply(provider(), introspector(link="k"))

    reason = "still refers to IdentityProvider/k; delete or change that first"
    with pytest.raises(Rejected, match=f"^TokenIntrospector/i identity_provider.reference: {reason}$"):
        place.apply(deletes=[K])
    assert place.ids("IdentityProvider") == ["k"]


def test_deleting_both_at_once_is_not(place: Place) -> None:
    place.apply(provider(), introspector(link="k"))

    place.apply(deletes=[K, ("TokenIntrospector", "i")])

    assert place.ids("TokenIntrospector") == []


def test_a_registry_that_does_not_load_is_shown(place: Place) -> None:
    place.write_by_hand(policy("a"), WRONG)

    assert place.ids() == ["a", "wrong"]


@pytest.mark.parametrize("broken", BROKEN)
def test_what_was_wrong_before_does_not_stop_the_edit_of_something_else(place: Place, broken: dict[str, Any]) -> None:
    place.write_by_hand(policy("a"), policy("b"), broken)

    outcomes = place.apply(policy("a", active=False), policy("c"), deletes=[("AccessPolicy", "b")])

    assert list(outcomes.values()) == ["updated", "created", "deleted"]


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_wrong_is_mended_one_by_one(place: Place, broken: dict[str, Any]) -> None:
    other = policy("other", matcho=5, engine="nonsense")
    place.write_by_hand(broken, other)

    place.apply(policy("other"))
    place.apply(deletes=[(broken["resourceType"], broken["id"])])

    assert place.ids() == ["other"]


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_written_must_be_right_even_where_it_was_as_wrong_before(place: Place, broken: dict[str, Any]) -> None:
    place.write_by_hand(broken)

    [(name, _path)] = place.faults_of(broken)

    assert name == f"{broken['resourceType']}/{broken['id']}"


def test_beside_what_was_wrong_before_a_new_fault_is_refused_and_alone_named(place: Place) -> None:
    place.write_by_hand(WRONG, OUT_OF_SERVICE, provider("a", system="x"))

    assert place.faults_of(provider("b", system="x")) == [("IdentityProvider/b", "system")]


def test_a_fault_that_only_names_another_resource_afterwards_is_not_a_new_one(place: Place) -> None:
    place.write_by_hand(*(provider(id_, system="x") for id_ in "abc"))

    assert place.apply(deletes=[("IdentityProvider", "a")]) == {("IdentityProvider", "a"): "deleted"}


def test_mending_one_resource_does_not_bring_to_light_that_another_is_out_of_service(place: Place) -> None:
    place.write_by_hand(WRONG, OUT_OF_SERVICE)

    assert place.apply(policy("wrong")) == {("AccessPolicy", "wrong"): "updated"}


def test_a_reference_to_what_cannot_be_read_is_not_one_to_nothing(file: Place) -> None:
    file.write_by_hand(provider(title="${UNSET}"))

    assert file.apply(introspector(link="k")) == {("TokenIntrospector", "i"): "created"}


def test_a_variable_that_is_not_set_is_refused_in_what_is_written(file: Place) -> None:
    file.write_by_hand(provider(title="${UNSET}"))

    assert file.faults_of(provider("b", title="${UNSET}")) == [("IdentityProvider/b", "title")]
