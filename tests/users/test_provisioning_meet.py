"""What a token that is new here does, and one that is known does not."""

from __future__ import annotations

import dataclasses

import pytest

from flask_foreign_token.errors import InvalidToken

from .conftest import Says, World, a_credential, a_provider, a_token, statements

DAY = 86_400


def test_a_token_that_is_new_makes_a_user_in_a_select_and_two_inserts(world: World) -> None:
    says = Says()

    with statements() as seen:
        user = world.users().meet(a_token(), a_provider(says), a_credential())

    assert user is not None
    assert (seen, says.asked) == (["SELECT", "INSERT", "INSERT"], 1)


def test_both_find_the_same_user(world: World) -> None:
    users, provider = world.users(), a_provider(Says())

    met = users.meet(a_token(), provider, a_credential("new"))

    with statements() as seen:
        assert users.find_or_create(a_token(), provider, a_credential("new")) is met
        assert users.meet(a_token(), provider, a_credential("newer")) is met
    assert seen == []


def test_only_a_token_that_is_new_asks_the_provider_anew(world: World) -> None:
    says = Says()
    users, provider = world.users(), a_provider(says)
    users.meet(a_token(), provider, a_credential())
    world.clock.now += DAY

    users.find_or_create(a_token(), provider, a_credential())
    assert says.asked == 1
    users.meet(a_token(), provider, a_credential())
    assert says.asked == 2


def test_a_token_that_speaks_of_nobody_meets_nobody(world: World) -> None:
    token = dataclasses.replace(a_token(), subject=None, kind="opaque")

    with statements() as seen:
        assert world.users().meet(token, a_provider(Says()), a_credential()) is None
    assert seen == []


def test_where_nobody_is_made_nobody_is_met_and_the_provider_is_not_asked(world: World) -> None:
    says = Says()

    assert world.users(create_user=False).meet(a_token(), a_provider(says), a_credential()) is None
    assert says.asked == 0


@pytest.mark.parametrize("later", [0, DAY], ids=["at once", "when a refresh is due"])
def test_whoever_must_not_get_in_is_not_asked_about(world: World, later: int) -> None:
    says = Says()
    users, provider = world.users(), a_provider(says)
    users.meet(a_token(), provider, a_credential())
    world.clock.now += later

    with pytest.raises(InvalidToken, match="another issuer"):
        users.meet(a_token(issuer="https://other.example"), provider, a_credential("of another issuer"))

    assert says.asked == 1
