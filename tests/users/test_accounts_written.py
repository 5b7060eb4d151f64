"""What an operator writes of a user, beside what providers say."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from .accounts import Desk, named
from .conftest import Says, World, a_credential, a_provider, a_token


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


@pytest.fixture
def ann(desk: Desk) -> str:
    return desk.meet("ann", email="ann@example.com", given_name="Ann")


def write(desk: Desk, key: str, *hidden: str, **attributes: object) -> Mapping[str, object]:
    """Write what is shown, with other attributes and without some."""
    body = {**desk.accounts.get(key).resource, **attributes}
    for name in hidden:
        del body[name]
    return desk.put(key, **body).resource


def refreshed(desk: Desk, **claims: object) -> Mapping[str, object]:
    desk.world.clock.now += 4000
    desk.world.users().meet(a_token("ann"), a_provider(Says(**claims)), a_credential())
    [user] = desk.accounts.search().users
    return user.resource


def test_it_stays_when_the_provider_says_something_new_of_something_else(desk: Desk, ann: str) -> None:
    write(desk, ann, role="nurse")

    resource = refreshed(desk, email="new@example.com")

    assert (resource["role"], resource["email"]) == ("nurse", "new@example.com")


def test_it_stands_before_what_the_provider_says_of_the_same(desk: Desk, ann: str) -> None:
    write(desk, ann, email="desk@example.com")

    assert refreshed(desk, email="new@example.com")["email"] == "desk@example.com"


def test_what_is_left_out_is_shown_no_more_whatever_the_provider_says(desk: Desk, ann: str) -> None:
    assert "email" not in write(desk, ann, "email")

    assert "email" not in refreshed(desk, email="new@example.com")


def test_what_is_written_as_the_provider_says_it_follows_the_provider_again(desk: Desk, ann: str) -> None:
    write(desk, ann, email="desk@example.com")
    write(desk, ann, email="ann@example.com")

    assert refreshed(desk, email="new@example.com")["email"] == "new@example.com"


def test_what_the_provider_takes_back_is_gone(desk: Desk, ann: str) -> None:
    write(desk, ann, role="nurse")

    resource = refreshed(desk)

    assert "email" not in resource
    assert resource["role"] == "nurse"


def test_what_was_read_changes_nothing_when_it_is_written_back(desk: Desk, ann: str) -> None:
    before = write(desk, ann, "email", role="nurse", nothing=None)

    assert write(desk, ann) == before
    assert before["meta"]["versionId"] == "2"


def test_it_outlives_the_identifier_that_it_was_kept_with(desk: Desk, ann: str) -> None:
    desk.links.link(ann, ("entra", "a1"))
    write(desk, ann, role="nurse")

    desk.links.unlink(ann, ("entra", "a1"))

    assert desk.accounts.get(ann).resource["role"] == "nurse"
    assert desk.accounts.get(ann).resource["identifier"] == named("ann")
