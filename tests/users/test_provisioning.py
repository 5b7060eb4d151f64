from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from flask_foreign_token.errors import (
    InsufficientScope,
    InvalidToken,
    ProviderUnavailable,
)
from flask_foreign_token.introspection.token import Credential, Token
from flask_foreign_token.users.nesting import MAX_DEPTH
from flask_foreign_token.users.provisioning import UNKNOWN_TTL
from flask_foreign_token.users.snapshot import UserSnapshot
from flask_foreign_token.users.stored_user import identifier_id
from flask_foreign_token.users.userinfo import TokenClaims, UserinfoSource

from .conftest import (
    ISSUER,
    LOOK_ALIKES,
    Says,
    World,
    a_credential,
    a_provider,
    a_token,
    statements,
)


def set_inactive(world: World) -> None:
    identifiers = world.models.identifier.__table__
    with world.transactions.writing() as connection:
        connection.execute(sa.update(identifiers).values(inactive=True))


def set_not_active(world: World) -> None:
    with world.transactions.writing() as connection:
        connection.execute(sa.update(world.models.user.__table__).values(active=False))


def test_an_unknown_subject_becomes_a_user_in_a_select_and_two_inserts(world: World) -> None:
    users, says = world.users(), Says(email="a@example.org")

    with statements() as seen:
        user = users.find_or_create(a_token(), a_provider(says), a_credential())

    assert seen == ["SELECT", "INSERT", "INSERT"]
    assert says.asked == 1
    assert world.population == (1, 1)
    assert user == UserSnapshot(
        key=user.key,
        resource={
            "resourceType": "User",
            "id": user.key,
            "identifier": [{"system": "keycloak", "value": "74ae9aaf"}],
            "data": {"sub": "74ae9aaf", "email": "a@example.org"},
            "email": "a@example.org",
            "meta": {
                "versionId": "1",
                "lastUpdated": "2025-09-25T13:42:28.826592Z",
                "extension": [
                    {"url": "https://aidbox.app/ex/createdAt", "valueInstant": "2025-09-25T13:42:28.826592Z"}
                ],
            },
        },
        active=True,
        identifier=identifier_id("keycloak", "74ae9aaf"),
    )


def test_a_user_that_is_read_back_looks_as_it_did_when_it_was_made(world: World) -> None:
    says = Says(email="a@example.org", given_name="Ada", nested={"list": [1, 2.5, None, "é"]})
    made = world.users().find_or_create(a_token(), a_provider(says), a_credential())

    with statements() as seen:
        read = world.users().find_or_create(a_token(), a_provider(says), a_credential())

    assert read == made
    assert seen == ["SELECT"]
    assert says.asked == 1


def test_the_tokens_own_claims_will_do_for_userinfo(world: World) -> None:
    token = a_token(email="a@example.org")

    user = world.users().find_or_create(token, a_provider(TokenClaims()), a_credential())

    assert user.resource["data"] == token.claims


def test_a_snapshot_serves_without_a_query_until_it_is_too_old(world: World) -> None:
    users, provider = world.users(ttl=30), a_provider(Says())
    user = users.find_or_create(a_token(), provider, a_credential())

    with statements() as seen:
        world.clock.now += 29.9
        assert users.find_or_create(a_token(), provider, a_credential()) is user
        assert seen == []
        world.clock.now += 0.2
        assert users.find_or_create(a_token(), provider, a_credential()) == user
        assert seen == ["SELECT"]


def test_a_new_version_of_the_provider_reads_anew(world: World) -> None:
    users, says = world.users(), Says()
    user = users.find_or_create(a_token(), a_provider(says), a_credential())
    newer = a_provider(says, version="2")

    with statements() as seen:
        assert users.find_or_create(a_token(), newer, a_credential()) == user

    assert seen == ["SELECT"]


@pytest.mark.requirement("OIDC Core", "5.7")
@pytest.mark.parametrize("pair", LOOK_ALIKES)
def test_subjects_are_kept_apart_byte_by_byte(memory: World, pair: tuple[str, str]) -> None:
    users, provider = memory.users(), a_provider(Says())

    one, other = (users.find_or_create(a_token(sub), provider, a_credential()) for sub in pair)

    assert one.key != other.key
    assert memory.population == (2, 2)
    assert [user.resource["identifier"][0]["value"] for user in (one, other)] == list(pair)


@pytest.mark.requirement("OIDC Core", "5.7")
def test_the_same_subject_of_two_systems_is_two_users(world: World) -> None:
    users = world.users()

    one = users.find_or_create(a_token(), a_provider(Says()), a_credential())
    other = users.find_or_create(a_token(), a_provider(Says(), system="entra"), a_credential())

    assert one.key != other.key


def test_a_subject_of_255_characters_of_four_bytes_fits(world: World) -> None:
    sub = "\U0001f600" * 255

    user = world.users().find_or_create(a_token(sub), a_provider(Says()), a_credential())

    assert world.users().find_or_create(a_token(sub), a_provider(Says()), a_credential()) == user


@pytest.mark.requirement("OIDC Core", "5.7")
@pytest.mark.parametrize("hot", [True, False])
def test_an_identifier_is_never_handed_to_another_issuer(world: World, hot: bool) -> None:
    users, provider = world.users(), a_provider(Says())
    users.find_or_create(a_token(), provider, a_credential())
    if not hot:
        users = world.users()

    with pytest.raises(InvalidToken, match="the identifier belongs to another issuer"):
        users.find_or_create(a_token(issuer="https://elsewhere.example"), provider, a_credential())

    assert users.find_or_create(a_token(issuer=ISSUER), provider, a_credential()) is not None
    assert world.population == (1, 1)


@pytest.mark.parametrize("deactivate", [set_inactive, set_not_active])
def test_an_inactive_user_does_not_get_in(world: World, deactivate: Callable[[World], None]) -> None:
    users, provider = world.users(), a_provider(Says())
    user = users.find_or_create(a_token(), provider, a_credential())
    deactivate(world)
    assert users.find_or_create(a_token(), provider, a_credential()) is user

    users.forget(user.key)

    for _ in range(2):
        with pytest.raises(InvalidToken, match="the user is inactive"):
            users.find_or_create(a_token(), provider, a_credential())
    assert users.snapshot_of(user.key).resource["inactive"] is True
    assert users.snapshot_of(user.key).active is False


def test_forgetting_one_user_leaves_the_others(world: World) -> None:
    users, provider = world.users(), a_provider(Says())
    one, other = (users.find_or_create(a_token(sub), provider, a_credential()) for sub in ("1", "2"))

    users.forget(str(one.key))

    with statements() as seen:
        users.find_or_create(a_token("2"), provider, a_credential())
        assert seen == []
        users.find_or_create(a_token("1"), provider, a_credential())
        assert seen == ["SELECT"]
    assert other.key != one.key


def test_what_was_read_before_a_user_was_forgotten_is_not_kept(world: World) -> None:
    users = world.users()

    class Forgets(Says):
        def userinfo(self, token: Token, credential: Credential) -> Mapping[str, object]:
            users.forget("somebody")
            return super().userinfo(token, credential)

    users.find_or_create(a_token(), a_provider(Forgets()), a_credential())

    with statements() as seen:
        users.find_or_create(a_token(), a_provider(Says()), a_credential())
    assert seen == ["SELECT"]


def test_who_comes_after_a_user_was_forgotten_does_not_join_a_look_up_from_before(world: World) -> None:
    class Slow(Says):
        asked_early, go_on = threading.Event(), threading.Event()

        def userinfo(self, token: Token, credential: Credential) -> Mapping[str, object]:
            if credential.token == "early":
                self.asked_early.set()
                self.go_on.wait(10)
            return super().userinfo(token, credential)

    users, says = world.users(), Slow()
    provider = a_provider(says)
    with ThreadPoolExecutor(1) as pool:
        early = pool.submit(users.find_or_create, a_token(), provider, a_credential("early"))
        says.asked_early.wait(10)
        users.forget("somebody")

        late = users.find_or_create(a_token(), provider, a_credential("late"))

        assert not early.done()
        says.go_on.set()
        assert early.result().key == late.key
    assert world.population == (1, 1)


@pytest.mark.parametrize(
    ("rules", "depth"), [({}, MAX_DEPTH), ({"deep": ["a", "b", "c"]}, MAX_DEPTH - 2)], ids=["userinfo", "toScim"]
)
def test_userinfo_that_is_nested_too_deeply_is_refused_before_anything_is_stored(
    world: World, rules: dict[str, list[str]], depth: int
) -> None:
    deep: list[object] = []
    for _ in range(depth - 2):
        deep = [deep]
    users = world.users()

    def find(sub: str, value: object) -> UserSnapshot | None:
        provider = dataclasses.replace(a_provider(Says(deep=value)), to_scim=rules)
        return users.find_or_create(a_token(sub), provider, a_credential())

    with pytest.raises(InvalidToken, match="userinfo is nested too deeply"):
        find("1", [deep])

    assert world.population == (0, 0)
    assert find("1", deep) is not None


@pytest.mark.parametrize(("app", "provider"), [(False, None), (True, False)])
def test_an_unknown_subject_stays_without_a_user_where_none_are_made(
    world: World, app: bool, provider: bool | None
) -> None:
    users, says = world.users(create_user=app), Says()

    assert users.find_or_create(a_token(), a_provider(says, create_user=provider), a_credential()) is None

    assert says.asked == 0
    assert world.population == (0, 0)


def test_a_token_that_speaks_of_nobody_has_no_user_and_asks_nothing(world: World) -> None:
    says = Says()
    token = dataclasses.replace(a_token(), subject=None, kind="opaque")

    with statements() as sent:
        user = world.users().find_or_create(token, a_provider(says), a_credential())

    assert (user, sent, says.asked, world.population) == (None, [], 0, (0, 0))


def test_a_provider_may_have_users_made_where_the_app_makes_none(world: World) -> None:
    users = world.users(create_user=False)

    assert users.find_or_create(a_token(), a_provider(Says(), create_user=True), a_credential()) is not None


def test_a_known_subject_is_found_where_none_are_made(world: World) -> None:
    user = world.users().find_or_create(a_token(), a_provider(Says()), a_credential())

    found = world.users(create_user=False).find_or_create(a_token(), a_provider(Says()), a_credential())

    assert found == user


def test_a_subject_without_a_user_is_looked_up_again_after_a_few_seconds(world: World) -> None:
    users, provider = world.users(create_user=False), a_provider(Says())

    with statements() as seen:
        for _ in range(3):
            assert users.find_or_create(a_token(), provider, a_credential()) is None
        assert seen == ["SELECT"]
        world.clock.now += UNKNOWN_TTL
        assert users.find_or_create(a_token(), provider, a_credential()) is None
        assert seen == ["SELECT"] * 2
        users.forget("anybody")
        assert users.find_or_create(a_token(), provider, a_credential()) is None
        assert seen == ["SELECT"] * 3


@pytest.mark.parametrize("error", [InvalidToken("no"), InsufficientScope("openid"), ProviderUnavailable()])
def test_when_userinfo_fails_nothing_is_left_half_made(world: World, error: Exception) -> None:
    class Fails(UserinfoSource):
        def userinfo(self, token: Token, credential: Credential) -> Mapping[str, object]:
            raise error

    created: list[UserSnapshot] = []
    users = world.users(announce=lambda event, user: created.append(user))

    with pytest.raises(type(error)):
        users.find_or_create(a_token(), a_provider(Fails()), a_credential())

    assert world.population == (0, 0)
    assert created == []
    assert users.find_or_create(a_token(), a_provider(Says()), a_credential()) is not None


def test_userinfo_is_asked_outside_any_transaction(file: World) -> None:
    class Writes(Says):
        def userinfo(self, token: Token, credential: Credential) -> Mapping[str, object]:
            with file.engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA busy_timeout = 0")
                connection.exec_driver_sql("CREATE TABLE meanwhile (id INTEGER)")
                connection.commit()
            return super().userinfo(token, credential)

    assert file.users().find_or_create(a_token(), a_provider(Writes()), a_credential()) is not None


def test_who_makes_a_user_is_told_so_after_the_commit(file: World) -> None:
    seen: list[tuple[UserSnapshot, int]] = []
    users = file.users(announce=lambda event, user: seen.append((user, file.count(file.models.user))))

    user = users.find_or_create(a_token(), a_provider(Says()), a_credential())
    users.find_or_create(a_token(), a_provider(Says()), a_credential())

    assert seen == [(user, 1)]


def test_finding_makes_nobody_and_shows_who_would_be_made(world: World) -> None:
    users, provider = world.users(), a_provider(Says(email="a@example.org"))

    with statements() as seen:
        found = users.find(a_token(), provider)
        prospect = users.prospect(a_token(), provider, a_credential())

    assert (found, seen, world.population) == (None, ["SELECT"], (0, 0))
    made = users.find_or_create(a_token(), provider, a_credential())
    assert made is not None
    assert (prospect.is_new, {**prospect.resource, "id": made.key}) == (True, made.resource)
    assert users.find(a_token(), provider) == made


@pytest.mark.parametrize("deactivate", [set_inactive, set_not_active])
def test_finding_refuses_whom_a_request_would_be_refused_for(world: World, deactivate: Callable[[World], None]) -> None:
    users, provider = world.users(), a_provider(Says())
    users.find_or_create(a_token(), provider, a_credential())
    deactivate(world)

    with pytest.raises(InvalidToken, match="inactive"):
        users.find(a_token(), provider)
    with pytest.raises(InvalidToken, match="another issuer"):
        users.find(a_token(issuer="https://other.example"), provider)


def test_many_users_are_forgotten_in_one_pass(world: World) -> None:
    users, provider = world.users(), a_provider(Says())
    keys = [users.find_or_create(a_token(sub), provider, a_credential()).key for sub in "123"]

    users.forget(keys[0], str(keys[2]))

    with statements() as seen:
        for sub in "123":
            users.find_or_create(a_token(sub), provider, a_credential())
    assert seen == ["SELECT"] * 2
