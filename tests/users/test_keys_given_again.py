"""New users of an app's own model who get the key that a deleted user had, on SQLite, which gives such keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import orm as sa_orm

from flask_foreign_token.users.new_user import NewUser, NewUserHook
from flask_foreign_token.users.provisioning import Users
from flask_foreign_token.users.snapshot import UserSnapshot

from .conftest import Says, World, a_credential, a_provider, a_token, a_world, closed, statements

Migrate = Callable[[World], object]

CREATION = ["SELECT", "INSERT", "INSERT"]


def person(db: SQLAlchemy) -> type:
    columns = {
        "id": sa.Column(sa.Integer, primary_key=True),
        "friend_id": sa.Column(sa.ForeignKey("person.id")),
        "friend": sa_orm.relationship("Person", remote_side="Person.id"),
    }
    return type("Person", (db.Model,), columns)


@pytest.fixture(params=["memory", "file"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    uri = "sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path / 'app.sqlite'}"
    world = a_world(uri, user_class=person)
    yield world
    closed(world)


def arrive(users: Users, sub: str) -> UserSnapshot:
    user = users.find_or_create(a_token(sub), a_provider(Says()), a_credential())
    assert user is not None
    return user


def subjects(user: UserSnapshot) -> list[object]:
    return [identifier["value"] for identifier in user.resource["identifier"]]


def execute(world: World, *commands: str) -> None:
    with world.transactions.writing() as connection:
        for command in commands:
            connection.exec_driver_sql(command)


def drop_trigger(world: World) -> None:
    execute(world, "DROP TRIGGER tr_foreign_token_identifier_user_id")


def rebuild(world: World) -> None:
    """What a batch migration does to the table of users."""
    columns = "(id INTEGER NOT NULL PRIMARY KEY, friend_id INTEGER)"
    execute(
        world,
        f"CREATE TABLE _alembic_tmp_person {columns}",
        "INSERT INTO _alembic_tmp_person SELECT id, friend_id FROM person",
        "DROP TABLE person",
        "ALTER TABLE _alembic_tmp_person RENAME TO person",
    )


def delete_everybody(world: World) -> None:
    execute(world, "DELETE FROM person")


def make_the_table_anew(world: World) -> None:
    """That of users. It brings the trigger, which comes too late for those who were in the former one."""
    world.models.user.__table__.drop(world.engine)
    world.models.user.__table__.create(world.engine)


@pytest.mark.parametrize("migrate", [lambda world: None, drop_trigger, rebuild], ids=["made", "migrated", "rebuilt"])
def test_a_creation_is_three_statements_with_the_trigger_and_without_it(world: World, migrate: Migrate) -> None:
    users = world.users()
    migrate(world)

    for sub in ("ann", "bob"):
        with statements() as seen:
            arrive(users, sub)
        assert seen == CREATION


def test_with_the_trigger_nothing_is_left_behind(world: World) -> None:
    users = world.users()
    ann = arrive(users, "ann")

    delete_everybody(world)
    with statements() as seen:
        bob = arrive(users, "bob")

    assert (bob.key, subjects(bob)) == (ann.key, ["bob"])
    assert seen == CREATION
    assert world.population == (1, 1)


@pytest.mark.parametrize("migrate", [drop_trigger, rebuild], ids=["migrated", "rebuilt"])
def test_without_the_trigger_what_was_left_behind_is_deleted_and_nobody_inherits(
    world: World, migrate: Migrate
) -> None:
    users = world.users()
    ann = arrive(users, "ann")
    migrate(world)
    delete_everybody(world)
    assert world.population == (0, 1)

    with statements() as seen:
        bob = arrive(users, "bob")

    assert seen == [*CREATION, "DELETE", "INSERT"]
    assert (bob.key, subjects(bob)) == (ann.key, ["bob"])
    assert world.population == (1, 1)
    users.forget_all()
    assert arrive(users, "bob") == bob
    assert arrive(users, "ann").key != bob.key


def test_a_trigger_that_came_after_users_had_gone_deletes_nothing_and_nobody_inherits(world: World) -> None:
    users = world.users()
    ann = arrive(users, "ann")
    make_the_table_anew(world)
    assert world.population == (0, 1)

    bob = arrive(users, "bob")

    assert (bob.key, subjects(users.snapshot_of(bob.key))) == (ann.key, ["bob"])
    assert world.population == (1, 1)


def test_the_same_subject_comes_back_as_a_new_user_under_the_same_key(world: World) -> None:
    users = world.users()
    arrive(users, "ann")
    drop_trigger(world)
    delete_everybody(world)
    users.forget_all()

    ann = arrive(users, "ann")

    assert subjects(users.snapshot_of(ann.key)) == ["ann"]
    assert world.population == (1, 1)


def test_whom_the_apps_function_makes_beside_the_new_user_inherits_nothing_either(world: World) -> None:
    def with_a_friend(new: NewUser) -> object:
        return world.models.user(friend=world.models.user())

    hook = NewUserHook()
    hook.set(with_a_friend)
    drop_trigger(world)
    before = [arrive(world.users(), sub) for sub in ("ann", "bob")]
    delete_everybody(world)

    user = arrive(world.users(hook=hook), "eve")

    [friend] = {known.key for known in before} - {user.key}
    assert subjects(world.users().snapshot_of(friend)) == []
    assert world.population == (2, 1)


@pytest.mark.parametrize("migrate", [lambda world: None, drop_trigger, rebuild], ids=["made", "migrated", "rebuilt"])
def test_whom_the_app_stores_itself_inherits_nothing(world: World, migrate: Migrate) -> None:
    ann = arrive(world.users(), "ann")
    migrate(world)
    delete_everybody(world)

    with world.app.app_context():
        world.db.session.add(world.models.user(id=ann.key))
        world.db.session.commit()

    assert subjects(world.users().snapshot_of(ann.key)) == []
    assert world.population == (1, 0)
