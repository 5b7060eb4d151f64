from __future__ import annotations

import dataclasses
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import orm as sa_orm
from sqlalchemy.ext.hybrid import hybrid_property

from flask_foreign_token.errors import (
    DatabaseUnavailable,
    InsufficientScope,
    InvalidToken,
    Misconfigured,
    ProviderUnavailable,
    Refusal,
)
from flask_foreign_token.introspection.token import Credential, Token
from flask_foreign_token.users.mapping import MAX_DEPTH
from flask_foreign_token.users.provisioning import UNKNOWN_TTL, UserSnapshot
from flask_foreign_token.users.store import identifier_id
from flask_foreign_token.users.userinfo import TokenClaims

from .conftest import (
    ISSUER,
    LOOK_ALIKES,
    Says,
    World,
    a_credential,
    a_provider,
    a_token,
    a_world,
    closed,
    statements,
)


def set_inactive(world: World) -> None:
    identifiers = world.models.identifier.__table__
    with world.transactions.writing() as connection:
        connection.execute(sa.update(identifiers).values(inactive=True))


def set_not_active(world: World) -> None:
    with world.transactions.writing() as connection:
        connection.execute(sa.update(world.models.user.__table__).values(active=False))


def at_once(number: int, work: Callable[[int], object]) -> list[object]:
    """What `work` returns or raises in each of as many threads that start together."""
    start = threading.Barrier(number)
    results: list[object] = [None] * number

    def run(index: int) -> None:
        start.wait()
        try:
            results[index] = work(index)
        except Refusal as refusal:
            results[index] = refusal

    threads = [threading.Thread(target=run, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


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
    newer = a_provider(says)
    object.__setattr__(newer, "version", "2")

    with statements() as seen:
        assert users.find_or_create(a_token(), newer, a_credential()) == user

    assert seen == ["SELECT"]


@pytest.mark.parametrize("pair", LOOK_ALIKES)
def test_subjects_are_kept_apart_byte_by_byte(memory: World, pair: tuple[str, str]) -> None:
    users, provider = memory.users(), a_provider(Says())

    one, other = (users.find_or_create(a_token(sub), provider, a_credential()) for sub in pair)

    assert one.key != other.key
    assert memory.population == (2, 2)
    assert [user.resource["identifier"][0]["value"] for user in (one, other)] == list(pair)


def test_the_same_subject_of_two_systems_is_two_users(world: World) -> None:
    users = world.users()

    one = users.find_or_create(a_token(), a_provider(Says()), a_credential())
    other = users.find_or_create(a_token(), a_provider(Says(), system="entra"), a_credential())

    assert one.key != other.key


def test_a_subject_of_255_characters_of_four_bytes_fits(world: World) -> None:
    sub = "\U0001f600" * 255

    user = world.users().find_or_create(a_token(sub), a_provider(Says()), a_credential())

    assert world.users().find_or_create(a_token(sub), a_provider(Says()), a_credential()) == user


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
    class Fails:
        def userinfo(self, token: Token, credential: Credential) -> Mapping[str, object]:
            raise error

    created: list[UserSnapshot] = []
    users = world.users(on_created=created.append)

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
    users = file.users(on_created=lambda user: seen.append((user, file.count(file.models.user))))

    user = users.find_or_create(a_token(), a_provider(Says()), a_credential())
    users.find_or_create(a_token(), a_provider(Says()), a_credential())

    assert seen == [(user, 1)]


def test_64_threads_see_one_subject_first_and_make_one_user(world: World) -> None:
    created: list[UserSnapshot] = []
    users, says = world.users(on_created=created.append), Says()
    provider = a_provider(says)

    found = at_once(64, lambda _: users.find_or_create(a_token(), provider, a_credential()))

    assert world.population == (1, 1)
    assert says.asked == 1
    assert len(created) == 1
    assert found == created * 64


def test_many_subjects_at_once_are_as_many_users(world: World) -> None:
    users = world.users()
    provider = a_provider(Says())

    found = at_once(32, lambda number: users.find_or_create(a_token(str(number)), provider, a_credential()))

    assert world.population == (32, 32)
    assert len({user.key for user in found}) == 32


class Together(Says):
    """Answers nobody before everybody has asked."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.barrier = threading.Barrier(number)

    def userinfo(self, token: Token, credential: Credential) -> Mapping[str, object]:
        self.barrier.wait(10)
        return super().userinfo(token, credential)


def test_processes_that_race_for_a_subject_make_one_user(world: World) -> None:
    created: list[UserSnapshot] = []
    processes = [world.users(on_created=created.append) for _ in range(4)]
    provider = a_provider(Together(4))

    found = at_once(4, lambda number: processes[number].find_or_create(a_token(), provider, a_credential()))

    assert world.population == (1, 1)
    assert len(created) == 1
    assert found == created * 4


def test_a_loser_of_the_race_still_refuses_another_issuers_identifier(world: World) -> None:
    processes = [world.users(), world.users()]
    provider = a_provider(Together(2))
    tokens = [a_token(), a_token(issuer="https://elsewhere.example")]

    found = at_once(2, lambda number: processes[number].find_or_create(tokens[number], provider, a_credential()))

    assert sorted(type(result).__name__ for result in found) == ["InvalidToken", "UserSnapshot"]
    assert world.population == (1, 1)


def test_a_token_that_userinfo_refuses_does_not_fail_the_others(world: World) -> None:
    class Refuses(Says):
        asked_first, refuse = threading.Event(), threading.Event()

        def userinfo(self, token: Token, credential: Credential) -> Mapping[str, object]:
            if credential.token == "good":
                return super().userinfo(token, credential)
            self.asked_first.set()
            self.refuse.wait(10)
            raise InvalidToken("revoked")

    users, says = world.users(), Refuses()
    provider = a_provider(says)

    def bring(number: int) -> object:
        if number == 0:
            return users.find_or_create(a_token(), provider, a_credential("revoked"))
        says.asked_first.wait(10)
        threading.Timer(0.05, says.refuse.set).start()
        return users.find_or_create(a_token(), provider, a_credential("good"))

    revoked, *good = at_once(3, bring)

    assert isinstance(revoked, InvalidToken)
    assert good[0] == good[1]
    assert says.asked == 1
    assert world.population == (1, 1)


def test_rows_that_the_app_has_pending_stay_pending(memory: World) -> None:
    users, provider = memory.users(), a_provider(Says())
    with memory.app.app_context():
        session, model = memory.db.session, memory.models.user
        session.add(model(id="pending"))
        session.flush()

        made = users.find_or_create(a_token(), provider, a_credential())
        users.forget(made.key)
        again = users.find_or_create(a_token(), provider, a_credential())

        assert again == made
        assert session.get(model, made.key).data == {"sub": "74ae9aaf"}
        assert memory.engine.pool.connection.dbapi_connection.in_transaction
        session.rollback()
        assert session.get(model, "pending") is None


def delete_users_of_migrated_tables(world: World) -> None:
    """A migration makes no triggers, and SQLite does not cascade by itself."""
    with world.transactions.writing() as connection:
        connection.exec_driver_sql("DROP TRIGGER tr_foreign_token_identifier_user_id")
        connection.execute(sa.delete(world.models.user.__table__))


def test_a_user_who_is_deleted_takes_the_identifiers_along_however_it_is_done(world: World) -> None:
    world.users().find_or_create(a_token(), a_provider(Says()), a_credential())

    with world.transactions.writing() as connection:
        connection.exec_driver_sql("DELETE FROM foreign_token_user")

    assert world.population == (0, 0)


def test_an_identifier_that_outlived_its_user_gets_a_new_one(world: World) -> None:
    gone = world.users().find_or_create(a_token(), a_provider(Says()), a_credential())
    delete_users_of_migrated_tables(world)
    assert world.population == (0, 1)

    user = world.users().find_or_create(a_token(), a_provider(Says()), a_credential())

    assert user.key != gone.key
    assert world.population == (1, 1)


def test_an_identifier_that_outlived_its_user_names_nobody_where_none_are_made(world: World) -> None:
    world.users().find_or_create(a_token(), a_provider(Says()), a_credential())
    delete_users_of_migrated_tables(world)

    assert world.users(create_user=False).find_or_create(a_token(), a_provider(Says()), a_credential()) is None


def test_processes_that_race_for_an_orphaned_identifier_make_one_user(world: World) -> None:
    world.users().find_or_create(a_token(), a_provider(Says()), a_credential())
    delete_users_of_migrated_tables(world)
    processes = [world.users() for _ in range(4)]
    provider = a_provider(Together(4))

    found = at_once(4, lambda number: processes[number].find_or_create(a_token(), provider, a_credential()))

    assert world.population == (1, 1)
    assert len({user.key for user in found}) == 1


def test_without_the_tables_the_database_is_unavailable(world: World) -> None:
    with world.app.app_context():
        world.db.drop_all()

    with pytest.raises(DatabaseUnavailable):
        world.users().find_or_create(a_token(), a_provider(Says()), a_credential())


@pytest.fixture
def people(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Makes a world with an integer-keyed model of the app's own, on a bind."""
    worlds: list[World] = []

    def make(active_attribute: str | None = None, **columns: sa.Column[object]) -> World:
        def person(db: SQLAlchemy) -> type:
            id_ = sa.Column(sa.Integer, primary_key=True)
            return type("Person", (db.Model,), {"__bind_key__": "people", "id": id_, **columns})

        binds = {"people": f"sqlite:///{tmp_path / 'people.sqlite'}"}
        worlds.append(a_world("sqlite://", binds=binds, user_class=person, active_attribute=active_attribute))
        return worlds[-1]

    yield make
    for world in worlds:
        closed(world)


def test_the_apps_own_model_is_filled_by_its_own_defaults(people: Callable[..., World]) -> None:
    world = people(nickname=sa.Column(sa.String(20), nullable=False, default="new"))

    user = world.users().find_or_create(a_token(), a_provider(Says()), a_credential())

    assert (user.key, user.resource["id"]) == (1, "1")
    assert world.population == (1, 1)
    with world.app.app_context():
        assert world.db.session.get(world.models.user, user.key).nickname == "new"


def test_a_model_that_refuses_the_row_is_named_and_nothing_is_stored(people: Callable[..., World]) -> None:
    world = people(nickname=sa.Column(sa.String(20), nullable=False))

    with pytest.raises(Misconfigured) as caught:
        world.users().find_or_create(a_token(), a_provider(Says()), a_credential())

    assert "Person" in caught.value.hint
    assert caught.value.__context__ is None
    assert world.population == (0, 0)


@pytest.mark.parametrize(
    ("column", "active"),
    [
        (sa.Column(sa.Boolean, default=True), True),
        (sa.Column(sa.Boolean, default=False), False),
        (sa.Column(sa.Boolean, server_default=sa.true()), True),
        (sa.Column(sa.Boolean, server_default=sa.false()), False),
        (sa.Column(sa.Boolean), False),
    ],
    ids=["true", "false", "true of the server", "false of the server", "null"],
)
def test_the_apps_active_attribute_decides_from_the_first_moment(
    people: Callable[..., World], column: sa.Column[bool], active: bool
) -> None:
    world = people("is_active", is_active=column)

    for _ in range(2):
        [outcome] = at_once(1, lambda _: world.users().find_or_create(a_token(), a_provider(Says()), a_credential()))
        assert isinstance(outcome, UserSnapshot if active else InvalidToken)
    assert world.population == (1, 1)


@pytest.mark.parametrize("state", ["active", "blocked"])
def test_a_hybrid_property_decides_as_a_column_does(people: Callable[..., World], state: str) -> None:
    is_active = hybrid_property(lambda self: self.state == "active")
    world = people("is_active", state=sa.Column(sa.String(10), default=state), is_active=is_active)

    for _ in range(2):
        [outcome] = at_once(1, lambda _: world.users().find_or_create(a_token(), a_provider(Says()), a_credential()))
        assert isinstance(outcome, UserSnapshot if state == "active" else InvalidToken)


def test_a_dataclass_with_a_generated_key_in_a_hierarchy_is_made_by_its_mapper(tmp_path: Path) -> None:
    class Base(sa_orm.DeclarativeBaseNoMeta):
        pass

    def employee(db: SQLAlchemy) -> type:
        class Person(sa_orm.MappedAsDataclass, db.Model):
            __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}  # noqa: RUF012
            id: sa_orm.Mapped[uuid.UUID] = sa_orm.mapped_column(
                primary_key=True, init=False, default_factory=uuid.uuid4
            )
            kind: sa_orm.Mapped[str] = sa_orm.mapped_column(sa.String(10), init=False)

        class Employee(Person):
            __mapper_args__ = {"polymorphic_identity": "employee"}  # noqa: RUF012
            id: sa_orm.Mapped[uuid.UUID] = sa_orm.mapped_column(
                sa.ForeignKey("person.id"), primary_key=True, init=False, default_factory=uuid.uuid4
            )
            desk: sa_orm.Mapped[int] = sa_orm.mapped_column(default=3)

        return Employee

    world = a_world(f"sqlite:///{tmp_path / 'app.sqlite'}", model_class=Base, user_class=employee)

    made = world.users().find_or_create(a_token(), a_provider(Says()), a_credential())

    assert isinstance(made.key, uuid.UUID)
    assert made.resource["id"] == str(made.key)
    assert world.users().find_or_create(a_token(), a_provider(Says()), a_credential()) == made
    with world.app.app_context():
        assert world.db.session.get(world.models.user, made.key).desk == 3
    closed(world)


def test_a_person_whom_no_provider_knows_has_a_snapshot(people: Callable[..., World]) -> None:
    world = people()
    with world.app.app_context():
        world.db.session.add(world.models.user())
        world.db.session.commit()

    assert world.users().snapshot_of(1).resource == {
        "resourceType": "User",
        "id": "1",
        "identifier": [],
        "data": {},
    }


def test_a_row_that_is_not_committed_yet_has_a_snapshot(people: Callable[..., World]) -> None:
    assert people("is_active", is_active=sa.Column(sa.Boolean)).users().snapshot_of(5) == UserSnapshot(
        5, {"resourceType": "User", "id": "5", "identifier": [], "data": {}}, active=True
    )


def test_a_deleted_persons_identifier_is_not_inherited_with_the_key(people: Callable[..., World]) -> None:
    world = people()
    provider = a_provider(Says())
    gone = world.users().find_or_create(a_token("gone"), provider, a_credential())
    with world.app.app_context():
        world.db.session.delete(world.db.session.get(world.models.user, gone.key))
        world.db.session.commit()
    heir = world.users().find_or_create(a_token("heir"), provider, a_credential())
    assert heir.key == gone.key

    back = world.users().find_or_create(a_token("gone"), provider, a_credential())

    assert back.key != heir.key
