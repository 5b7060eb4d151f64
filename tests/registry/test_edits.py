from __future__ import annotations

import pytest

from flask_foreign_token.errors import Conflict, NotStored, Rejected
from flask_foreign_token.registry.edits import ABSENT, Edit, State, refuse_unmet, written
from flask_foreign_token.registry.fields import MASK
from flask_foreign_token.registry.resources import Key

from .bodies import policy, provider
from .snapshots import stored

A: Key = ("AccessPolicy", "a")
B: Key = ("AccessPolicy", "b")
VERSIONS = {A: "3"}


@pytest.mark.parametrize("expected", [{}, {A: "3"}, {A: "*"}])
def test_an_edit_of_what_is_stored_in_the_expected_version_passes(expected: dict[Key, str]) -> None:
    refuse_unmet(Edit([policy("a")], expected=expected), VERSIONS)
    refuse_unmet(Edit(deletes=[A], expected=expected), VERSIONS)


def test_what_is_expected_to_be_absent_passes_where_nothing_is_stored() -> None:
    refuse_unmet(Edit([policy("b")], expected={B: ABSENT}), VERSIONS)


@pytest.mark.parametrize(("key", "version"), [(A, "2"), (A, ""), (A, ABSENT), (B, "3"), (B, "*")])
def test_another_version_than_the_expected_one_is_a_conflict(key: Key, version: str) -> None:
    with pytest.raises(Conflict, match="read it again") as caught:
        refuse_unmet(Edit([policy(key[1])], expected={key: version}), VERSIONS)

    assert caught.value.key == key


def test_what_is_not_there_to_be_deleted_is_not_stored_whatever_version_was_expected() -> None:
    with pytest.raises(NotStored) as caught:
        refuse_unmet(Edit(deletes=[A, B], expected={B: "1"}), VERSIONS)

    assert [issue.resource for issue in caught.value.issues] == ["AccessPolicy/b"]


def test_a_body_is_kept_without_meta_and_in_the_order_of_its_members() -> None:
    found = written(Edit([{"id": "a", **policy("a"), "meta": {}}]), lambda key: None)

    assert list(found) == [A]
    assert list(found[A].body) == ["id", "resourceType", "engine"]
    assert found[A].text == '{"engine":"allow","id":"a","resourceType":"AccessPolicy"}'


def test_a_mask_is_restored_from_what_is_stored_under_that_key() -> None:
    bodies = {("IdentityProvider", "k"): provider(client={"secret": "hush"})}

    found = written(Edit([provider(client={"secret": MASK})]), bodies.get)

    assert found["IdentityProvider", "k"].body == provider(client={"secret": "hush"})


def test_a_mask_with_nothing_behind_it_is_refused_with_resource_and_path() -> None:
    with pytest.raises(Rejected) as caught:
        written(Edit([provider(client={"secret": MASK})]), lambda key: None)

    [issue] = caught.value.issues
    assert (issue.resource, issue.path) == ("IdentityProvider/k", "client.secret")


def test_an_edit_does_not_show_what_it_writes() -> None:
    assert "hush" not in repr(Edit([provider(client={"secret": "hush"})]))


def test_a_state_tells_what_can_be_read_from_what_cannot() -> None:
    [resource] = stored(policy("a"))
    rejected = Rejected.at("", "no").within("AccessPolicy/b")

    state = State.of([(A, resource), (B, rejected)])

    assert (state.resources, state.unreadable, state.issues) == ((resource,), {B}, rejected.issues)
