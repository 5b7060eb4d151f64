"""What becomes of a user while the provider is asked about them, and many tokens at once."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from flask_foreign_token.errors import InvalidToken
from flask_foreign_token.introspection.token import Credential, Token
from flask_foreign_token.users.snapshot import UserSnapshot

from .conftest import World, a_credential, a_provider, a_token, at_once
from .refreshed import HOUR, Case, Tells, a_case, meet


@pytest.fixture
def case(world: World) -> Case:
    return a_case(world)


def test_another_process_that_has_refreshed_meanwhile_will_do(case: Case) -> None:
    other = case.world.users()
    case.source.claims = {"email": "ann@example.com"}
    meet(other, case.provider, "of another process")

    user = case.meet()

    assert case.source.asked == 2
    assert user.resource["email"] == "ann@example.com"
    assert case.told == []


def test_another_process_that_has_stored_something_newer_while_it_was_asked_wins(case: Case) -> None:
    other = case.world.users()

    def refresh_elsewhere() -> None:
        case.source.meanwhile = None
        case.source.claims = {"email": "newest@example.org"}
        meet(other, case.provider, "of another process")

    case.source.claims = {"email": "newer@example.org"}
    case.source.meanwhile = refresh_elsewhere

    user = case.meet()

    assert (user.resource["email"], user.resource["meta"]["versionId"]) == ("newest@example.org", "2")
    assert case.told == []


DEACTIVATE = {
    "the user": "UPDATE foreign_token_user SET active = false",
    "the identifier": "UPDATE foreign_token_identifier SET inactive = true",
}


@pytest.mark.parametrize("how", DEACTIVATE)
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_user_who_is_deactivated_stays_so_and_does_not_get_in(case: Case, how: str, when: str) -> None:
    case.source.claims = {"email": "ann@example.com"}
    if when == "before":
        case.write(DEACTIVATE[how])
    else:
        case.source.meanwhile = lambda: case.write(DEACTIVATE[how])

    for _ in range(2):
        with pytest.raises(InvalidToken, match="the user is inactive"):
            case.meet()

    assert case.users.snapshot_of(case.first.key).active is False
    assert case.source.asked == (1 if when == "before" else 2)


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_an_identifier_that_another_issuer_vouches_for_stays_so(case: Case, when: str) -> None:
    rebind = "UPDATE foreign_token_identifier SET issuer = 'https://other.example'"
    case.source.claims = {"email": "ann@example.com"}
    if when == "before":
        case.write(rebind)
    else:
        case.source.meanwhile = lambda: case.write(rebind)

    with pytest.raises(InvalidToken, match="another issuer"):
        case.meet()

    assert (case.row().issuer, case.row().version) == ("https://other.example", 1)
    assert case.told == []


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_user_who_is_deleted_is_not_brought_back(world: World, when: str) -> None:
    case = a_case(world)
    users = world.users(create_user=False, ttl=2 * HOUR)
    assert users.find_or_create(a_token("ann"), case.provider, a_credential()) == case.first

    def delete() -> None:
        case.write("DELETE FROM foreign_token_user")

    if when == "before":
        delete()
    else:
        case.source.meanwhile = delete

    assert meet(users, case.provider) is None
    assert users.find_or_create(a_token("ann"), case.provider, a_credential()) is None
    assert world.population == (0, 0)


def test_a_user_who_is_deleted_meanwhile_is_followed_by_a_new_one(case: Case) -> None:
    def delete() -> None:
        case.source.meanwhile = None
        case.write("DELETE FROM foreign_token_user")

    case.source.meanwhile = delete

    user = case.meet()

    assert user.key != case.first.key
    assert case.world.population == (1, 1)
    assert case.told == [("created", user)]


def test_an_identifier_that_was_given_to_another_user_meanwhile_stays_theirs(case: Case) -> None:
    other = case.users.meet(a_token("bob"), case.provider, a_credential("of bob"))
    assert other is not None
    case.told.clear()
    case.world.clock.now += HOUR
    move = f"UPDATE foreign_token_identifier SET user_id = '{other.key}' WHERE value = 'ann'"
    case.source.claims = {"email": "ann@example.com"}
    case.source.meanwhile = lambda: case.write(move)

    user = case.meet()

    assert user.key == other.key
    assert case.told == []
    assert case.users.snapshot_of(case.first.key).resource["identifier"] == []


def test_who_comes_after_a_user_was_forgotten_does_not_join_a_refresh_from_before(case: Case) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        case.source.meanwhile = None
        asked.set()
        go_on.wait(10)

    case.source.meanwhile = wait
    with ThreadPoolExecutor(1) as pool:
        early = pool.submit(case.meet, "early")
        asked.wait(10)
        case.users.forget("somebody")
        case.write(DEACTIVATE["the user"])
        case.users.forget(case.first.key)

        with pytest.raises(InvalidToken, match="the user is inactive"):
            case.meet("late")

        assert not early.done()
        go_on.set()
        with pytest.raises(InvalidToken, match="the user is inactive"):
            early.result()


def test_what_is_remembered_of_the_user_by_another_identifier_is_read_anew(world: World) -> None:
    said = {"email": "ann@example.org", "email_verified": True}
    keycloak, entra = Tells(**said), Tells(**said)
    users = world.users(ttl=2 * HOUR)
    meet(users, a_provider(keycloak))
    world.clock.now += 1
    meet(users, a_provider(entra, system="entra", match_by="email"))
    world.clock.now += HOUR - 1
    keycloak.claims = {**said, "roles": ["admin"]}

    refreshed = meet(users, a_provider(keycloak), "newer")

    other = users.find_or_create(a_token("ann"), a_provider(entra, system="entra"), a_credential())
    assert refreshed is not None
    assert other is not None
    assert other.resource["meta"] == refreshed.resource["meta"]
    assert (other.resource["data"], refreshed.resource["data"]["roles"]) == ({"sub": "ann", **said}, ["admin"])


def test_threads_with_new_tokens_at_once_ask_once(case: Case) -> None:
    case.source.claims = {"email": "ann@example.com"}

    found = at_once(16, lambda number: case.meet(f"new {number}"))

    assert case.source.asked == 2
    assert found == [found[0]] * 16
    assert [event for event, _ in case.told] == ["updated"]
    assert case.row().version == 2


def test_a_token_that_userinfo_refuses_does_not_refuse_those_that_waited_for_it(case: Case) -> None:
    asked, go_on = threading.Event(), threading.Event()

    class Refuses(Tells):
        def userinfo(self, token: Token, credential: Credential) -> Mapping[str, object]:
            if credential.token != "revoked":
                return super().userinfo(token, credential)
            asked.set()
            go_on.wait(10)
            raise InvalidToken("revoked")

    source = Refuses(email="ann@example.com")
    case.provider = dataclasses.replace(case.provider, userinfo=source)

    def bring(number: int) -> object:
        if number == 0:
            return case.meet("revoked")
        asked.wait(10)
        threading.Timer(0.05, go_on.set).start()
        return case.meet("good")

    revoked, *good = at_once(3, bring)

    assert isinstance(revoked, InvalidToken)
    assert [user.resource["email"] for user in good if isinstance(user, UserSnapshot)] == ["ann@example.com"] * 2
    assert source.asked == 1
