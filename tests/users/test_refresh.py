"""What is known of a user, brought up to date by the next new token."""

from __future__ import annotations

import dataclasses
import logging
import weakref
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from flask_foreign_token.errors import DatabaseUnavailable, InsufficientScope, InvalidToken, ProviderUnavailable
from flask_foreign_token.users.snapshot import UserSnapshot
from flask_foreign_token.users.userinfo import TokenClaims

from .conftest import World, a_credential, a_provider, a_token, statements
from .refreshed import HOUR, Case, Tells, a_case, meet


@pytest.fixture
def case(world: World) -> Case:
    return a_case(world)


def test_a_user_who_was_just_made_is_not_asked_about_again(world: World) -> None:
    source = Tells()
    users, provider = world.users(), a_provider(source)

    for token in ("first", "second"):
        meet(users, provider, token)
        world.clock.now += HOUR - 1

    assert source.asked == 1


def test_a_new_token_refreshes_what_is_as_old_as_the_provider_says(case: Case) -> None:
    case.source.claims = {"email": "ann@example.com"}

    user = case.meet()

    assert case.source.asked == 2
    assert user.resource["data"] == {"sub": "ann", "email": "ann@example.com"}
    assert user.resource["email"] == "ann@example.com"
    assert "name" not in user.resource
    assert case.users.snapshot_of(user.key).resource == user.resource


def test_a_token_that_is_known_refreshes_nothing(case: Case) -> None:
    case.source.claims = {"email": "ann@example.com"}

    assert case.users.find_or_create(a_token("ann"), case.provider, a_credential()) is case.first
    assert case.source.asked == 1


def test_who_is_pushed_out_while_the_provider_is_asked_is_kept_by_nobody(case: Case) -> None:
    kept: list[object] = []

    def push_out() -> None:
        known = weakref.ref(case.users.recall(a_token("ann"), case.provider))
        case.users._known._cache.clear()
        kept.append(known())

    case.source.meanwhile = push_out
    case.meet()

    assert kept == [None]


def test_after_a_refresh_the_next_new_token_asks_nobody(case: Case) -> None:
    user = case.meet()

    with statements() as seen:
        assert case.meet("newer") is user
    assert (case.source.asked, seen) == (2, [])


def test_the_age_is_the_providers_to_say(world: World) -> None:
    case = a_case(world, userinfo_refresh=HOUR + 1)

    case.meet()
    assert case.source.asked == 1
    world.clock.now += 1
    case.meet()
    assert case.source.asked == 2


def test_with_an_age_of_0_every_new_token_asks_once(world: World) -> None:
    source = Tells()
    users, provider = world.users(), a_provider(source, userinfo_refresh=0)

    for asked in (1, 2, 3):
        meet(users, provider, str(asked))
        assert source.asked == asked
        world.clock.now += 0.001


def test_no_change_leaves_the_version_and_the_time_of_the_last_change(case: Case) -> None:
    before = case.row()
    with statements() as seen:
        user = case.meet()

    assert user.resource == case.first.resource
    assert case.told == []
    assert seen == ["SELECT", "UPDATE", "SELECT"]
    after = case.row()
    assert after.refreshed_at == before.refreshed_at + HOUR
    assert {**after._mapping, "refreshed_at": before.refreshed_at} == before._mapping


def test_a_change_raises_the_version_and_the_time_of_the_last_change(case: Case) -> None:
    case.source.claims = {**case.source.claims, "roles": ["admin"]}
    with statements() as seen:
        user = case.meet()

    assert user.resource["meta"]["versionId"] == "2"
    assert user.resource["meta"]["lastUpdated"] == "2025-09-25T14:42:28.826592Z"
    assert user.resource["meta"]["extension"] == case.first.resource["meta"]["extension"]
    assert seen == ["SELECT", "UPDATE", "SELECT"]


def test_the_app_is_told_of_a_change_once_and_after_the_commit(case: Case) -> None:
    case.source.claims = {"email": "ann@example.com"}

    user = case.meet()
    case.meet("newer")

    assert case.told == [("updated", user)]
    assert case.told[0][1].resource["email"] == "ann@example.com"


def test_another_mapping_of_what_is_said_is_a_change(case: Case) -> None:
    case.provider = dataclasses.replace(case.provider, to_scim={"email": ["mail"]}, version="2")

    user = case.meet()

    assert (user.resource["mail"], "email" in user.resource) == ("ann@example.org", False)
    assert user.resource["meta"]["versionId"] == "2"


def test_the_verified_address_is_that_of_what_is_said_now(case: Case) -> None:
    case.source.claims = {"email": "ann@example.com", "email_verified": True}
    case.meet()
    assert case.row().verified_email == "ann@example.com"
    case.world.clock.now += HOUR

    case.source.claims = {"email": "ann@example.com", "email_verified": False}
    case.meet("newer")

    assert case.row().verified_email is None


def test_a_row_of_an_earlier_version_is_refreshed_and_learns_its_verified_address(world: World) -> None:
    case = a_case(world)
    case.source.claims = {"email": "ann@example.org", "email_verified": True}
    case.meet()
    case.write("UPDATE foreign_token_identifier SET verified_email = NULL, refreshed_at = NULL")
    case.users.forget_all()

    case.meet("newer")

    assert (case.row().verified_email, case.row().refreshed_at) == ("ann@example.org", world.clock.now)


def test_a_clock_that_was_set_back_refreshes_once_and_goes_on(case: Case) -> None:
    case.world.clock.now -= 10 * HOUR

    for token in ("one", "two"):
        case.meet(token)
        case.world.clock.now += 1

    assert case.source.asked == 2
    assert case.row().refreshed_at == case.world.clock.now - 2


def test_a_clock_that_was_set_back_sets_no_time_of_change_back(case: Case) -> None:
    case.world.clock.now -= 10 * HOUR
    case.source.claims = {"email": "ann@example.com"}

    user = case.meet()

    assert user.resource["meta"]["lastUpdated"] == case.first.resource["meta"]["lastUpdated"]
    assert user.resource["meta"]["versionId"] == "2"


FAILURES = [ProviderUnavailable(), InsufficientScope("openid")]


@pytest.mark.parametrize("failure", FAILURES, ids=["outage", "403"])
def test_what_fails_keeps_what_was_there_and_lets_the_request_through(case: Case, failure: Exception) -> None:
    before = case.row()
    case.source.failure = failure

    assert case.meet().resource == case.first.resource
    assert (case.row(), case.told) == (before, [])


def test_what_fails_is_not_tried_again_for_5_seconds(case: Case) -> None:
    case.source.failure = ProviderUnavailable()
    case.meet("1")
    case.source.failure = None

    case.world.clock.now += 4.9
    case.meet("2")
    assert case.source.asked == 2
    case.world.clock.now += 0.2
    case.meet("3")
    assert case.source.asked == 3


def test_what_fails_for_one_user_rests_for_that_one(case: Case) -> None:
    case.users.meet(a_token("bob"), case.provider, a_credential("of bob"))
    case.world.clock.now += HOUR
    case.source.failure = ProviderUnavailable()
    case.meet()
    case.source.failure = None

    case.users.meet(a_token("bob"), case.provider, a_credential("another of bob"))

    assert case.source.asked == 4


def nested(depth: int) -> object:
    return [nested(depth - 1)] if depth else 1


def test_what_no_database_holds_refuses_the_token_and_keeps_what_was_there(case: Case) -> None:
    before = case.row()
    case.source.claims = {"deep": nested(40)}

    with pytest.raises(InvalidToken, match="nested too deeply"):
        case.meet()

    assert case.row() == before


def test_a_token_that_userinfo_refuses_is_refused_and_all_stays(case: Case) -> None:
    before = case.row()
    case.source.failure = InvalidToken("the provider does not take the token")

    for _ in range(2):
        with pytest.raises(InvalidToken, match="does not take the token"):
            case.meet()

    assert (case.row(), case.told) == (before, [])
    case.source.failure = None
    assert case.meet("another").resource == case.first.resource


def test_a_database_that_cannot_be_written_keeps_what_was_there(file: World, caplog: pytest.LogCaptureFixture) -> None:
    case = a_case(file)
    before = case.row()
    case.source.claims = {"email": "ann@example.com"}

    def fail(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if statement.startswith("UPDATE"):
            raise DatabaseUnavailable

    sa.event.listen(file.engine, "before_cursor_execute", fail)
    with caplog.at_level(logging.WARNING):
        user = case.meet()
    sa.event.remove(file.engine, "before_cursor_execute", fail)

    assert user.resource == case.first.resource
    assert (case.row(), case.told) == (before, [])
    assert "the database cannot be written" in caplog.text


@pytest.fixture
def claims(world: World) -> Callable[..., UserSnapshot]:
    """Brings an hour later a token with those claims."""
    users, provider = world.users(), a_provider(TokenClaims())

    def bring(**said: object) -> UserSnapshot:
        user = users.meet(a_token("ann", **said), provider, a_credential(repr(said)))
        world.clock.now += HOUR
        assert user is not None
        return user

    return bring


def test_claims_that_are_about_the_token_are_no_change(claims: Callable[..., UserSnapshot]) -> None:
    first = claims(exp=1, iat=0, jti="1", scope="a", azp="one")

    second = claims(exp=2, iat=1, jti="2", scope="b", azp="two", auth_time=7)

    assert second.resource == first.resource


def test_claims_that_are_about_the_user_are_a_change(claims: Callable[..., UserSnapshot]) -> None:
    claims(exp=1, roles=["reader"])

    user = claims(exp=2, roles=["admin"])

    assert (user.resource["data"]["roles"], user.resource["data"]["exp"]) == (["admin"], 2)
    assert user.resource["meta"]["versionId"] == "2"
