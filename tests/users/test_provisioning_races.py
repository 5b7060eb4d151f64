from __future__ import annotations

import threading
from collections.abc import Mapping

import pytest
import sqlalchemy as sa

from flask_foreign_token.errors import (
    DatabaseUnavailable,
    InvalidToken,
)
from flask_foreign_token.introspection.token import Credential, Token
from flask_foreign_token.users.snapshot import UserSnapshot

from .conftest import (
    Says,
    World,
    a_credential,
    a_provider,
    a_token,
    at_once,
)


def test_64_threads_see_one_subject_first_and_make_one_user(world: World) -> None:
    created: list[UserSnapshot] = []
    users, says = world.users(announce=lambda event, user: created.append(user)), Says()
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
    processes = [world.users(announce=lambda event, user: created.append(user)) for _ in range(4)]
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
