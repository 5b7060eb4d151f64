from __future__ import annotations

import dataclasses

import pytest
import sqlalchemy as sa

from flask_foreign_token.users.snapshot import UserSnapshot
from flask_foreign_token.users.store import owned_row
from flask_foreign_token.users.stored_user import identifier_id

from .conftest import Says, World, a_credential, a_provider, a_token


@pytest.fixture
def found(memory: World) -> UserSnapshot:
    return memory.users().find_or_create(a_token("ann"), a_provider(Says()), a_credential())


def row_of(world: World, snapshot: UserSnapshot) -> tuple[object, ...] | None:
    """The key and whether the database calls it active."""
    with world.app.app_context():
        row = world.db.session.execute(owned_row(world.models, snapshot)).unique().one_or_none()
        return row and (row[0].id, row[1])


def test_the_row_that_was_found_by_an_identifier_is_selected_while_it_has_it(
    memory: World, found: UserSnapshot
) -> None:
    assert found.identifier == identifier_id("keycloak", "ann")
    assert row_of(memory, found) == (found.key, True)


def test_a_row_that_another_identifier_leads_to_is_not(memory: World, found: UserSnapshot) -> None:
    other = dataclasses.replace(found, identifier=identifier_id("keycloak", "bob"))

    assert row_of(memory, other) is None


def test_a_row_whose_identifier_was_made_inactive_is_not(memory: World, found: UserSnapshot) -> None:
    with memory.transactions.writing() as connection:
        connection.execute(sa.update(memory.models.identifier.__table__).values(inactive=True))

    assert row_of(memory, found) is None


def test_without_an_identifier_the_key_will_do(memory: World, found: UserSnapshot) -> None:
    assert row_of(memory, UserSnapshot(found.key, {}, active=True)) == (found.key, True)
    assert row_of(memory, UserSnapshot("nobody", {}, active=True)) is None
