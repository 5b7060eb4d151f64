"""Newcomers who are taken for a user who is there already, by an address that both sides have verified."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy

from flask_foreign_token.errors import InvalidToken
from flask_foreign_token.introspection.token import Credential, Token
from flask_foreign_token.users.provider import Provider
from flask_foreign_token.users.provisioning import Users
from flask_foreign_token.users.snapshot import UserSnapshot

from .accounts import SYSTEMS, Desk
from .conftest import Says, World, a_credential, a_provider, a_token, a_world, at_once, closed, statements

ANN = {"email": "ann@example.org", "email_verified": True}

Event = tuple[str, UserSnapshot]


def keycloak(**said: object) -> Provider:
    """The provider of those who were there first."""
    return a_provider(Says(**said))


def entra(source: Says | None = None, **more: Any) -> Provider:
    """The provider of newcomers."""
    return a_provider(source or Says(**ANN), **{"system": "entra", "match_by": "email", **more})


def arrive(users: Users, provider: Provider, sub: str = "ann") -> UserSnapshot:
    user = users.meet(a_token(sub), provider, a_credential())
    assert user is not None
    return user


def systems(user: UserSnapshot) -> list[object]:
    return [identifier["system"] for identifier in user.resource["identifier"]]


def test_a_newcomer_whose_verified_address_one_user_has_becomes_that_user(world: World) -> None:
    first = arrive(world.users(), keycloak(**ANN))
    world.clock.now += 1

    second = arrive(world.users(), entra(), "a-7")

    assert second.key == first.key
    assert systems(second) == ["keycloak", "entra"]
    assert second.resource["meta"]["versionId"] == "2"
    assert world.population == (1, 2)
    assert arrive(world.users(), entra(), "a-7") == second
    assert arrive(world.users(), keycloak(**ANN)).resource == {**second.resource, "data": {"sub": "ann", **ANN}}


def test_linking_takes_four_statements_more_than_looking_for_a_match(world: World) -> None:
    arrive(world.users(), keycloak(**ANN))

    with statements() as seen:
        arrive(world.users(), entra(), "a-7")

    assert seen == ["SELECT", "SELECT", "SELECT", "SELECT", "INSERT", "SELECT"]


def test_without_a_match_one_statement_more_is_needed(world: World) -> None:
    with statements() as seen:
        arrive(world.users(), entra(), "a-7")

    assert seen == ["SELECT", "SELECT", "INSERT", "INSERT"]


def test_by_default_nobody_is_taken_for_somebody_else(world: World) -> None:
    first = arrive(world.users(), keycloak(**ANN))

    with statements() as seen:
        second = arrive(world.users(), entra(match_by=None), "a-7")

    assert second.key != first.key
    assert seen == ["SELECT", "INSERT", "INSERT"]


def test_it_is_the_newcomers_provider_that_decides(world: World) -> None:
    first = arrive(world.users(), a_provider(Says(**ANN), match_by="email"))

    assert arrive(world.users(), entra(match_by=None), "a-7").key != first.key


@pytest.mark.parametrize(
    "said",
    [
        {"email": "ann@example.org"},
        {"email": "ann@example.org", "email_verified": False},
        {"email": "ann@example.org", "email_verified": "true"},
        {"email": "ann@example.org", "email_verified": 1},
        {"email_verified": True},
        {"email": "ann@example.org", "claims": {"email_verified": True}},
    ],
    ids=repr,
)
@pytest.mark.parametrize("side", ["newcomer", "known"])
def test_an_address_that_one_side_has_not_verified_is_not_enough(
    world: World, said: dict[str, object], side: str
) -> None:
    first = arrive(world.users(), keycloak(**(said if side == "known" else ANN)))

    second = arrive(world.users(), entra(Says(**(said if side == "newcomer" else ANN))), "a-7")

    assert second.key != first.key
    assert world.population == (2, 2)


@pytest.mark.parametrize(
    "email",
    [
        "Ann@example.org",
        "ann@EXAMPLE.org",
        "ann@example.org ",
        "änn@example.org",
        "ann@example.com",
        "ann+x@example.org",
    ],
)
def test_addresses_are_compared_character_by_character(world: World, email: str) -> None:
    first = arrive(world.users(), keycloak(**ANN))

    assert arrive(world.users(), entra(Says(email=email, email_verified=True)), "a-7").key != first.key


def test_what_to_scim_makes_of_the_address_does_not_matter(world: World) -> None:
    first = arrive(world.users(), keycloak(mail="ann@example.org", email="other@example.org", email_verified=True))
    provider = dataclasses.replace(entra(), to_scim={"email": ["mail"]})

    assert arrive(world.users(), provider, "a-7").key != first.key


def test_another_subject_of_the_same_system_is_somebody_else(world: World) -> None:
    first = arrive(world.users(), entra())

    second = arrive(world.users(), entra(), "a-7")

    assert second.key != first.key
    assert world.population == (2, 2)


def test_a_user_who_has_an_identifier_of_the_system_by_another_address_is_somebody_else(world: World) -> None:
    first = arrive(world.users(), keycloak(**ANN))
    arrive(world.users(), entra(), "a-7")

    assert arrive(world.users(), entra(), "a-8").key != first.key


def test_where_several_users_match_none_does(world: World) -> None:
    known = [arrive(world.users(), a_provider(Says(**ANN), system=system)).key for system in ("keycloak", "okta")]

    second = arrive(world.users(), entra(), "a-7")

    assert second.key not in known
    assert world.population == (3, 3)


def test_a_user_who_matches_by_two_identifiers_is_one(world: World) -> None:
    first = arrive(world.users(), keycloak(**ANN))
    arrive(world.users(), a_provider(Says(**ANN), system="okta", match_by="email"))

    assert arrive(world.users(), entra(), "a-7").key == first.key


def make_inactive(world: World) -> None:
    with world.transactions.writing() as connection:
        connection.execute(sa.update(world.models.user.__table__).values(active=False))


def make_identifiers_inactive(world: World) -> None:
    with world.transactions.writing() as connection:
        connection.execute(sa.update(world.models.identifier.__table__).values(inactive=True))


@pytest.mark.parametrize("deactivate", [make_inactive, make_identifiers_inactive])
def test_an_inactive_match_refuses_the_newcomer_and_stores_nothing(
    world: World, deactivate: Callable[[World], None]
) -> None:
    arrive(world.users(), keycloak(**ANN))
    deactivate(world)

    for _ in range(2):
        with pytest.raises(InvalidToken, match="the user is inactive"):
            arrive(world.users(), entra(), "a-7")

    assert world.population == (1, 1)


def test_where_nobody_is_made_nobody_is_linked(world: World) -> None:
    arrive(world.users(), keycloak(**ANN))

    assert world.users().meet(a_token("a-7"), entra(create_user=False), a_credential()) is None
    assert world.population == (1, 1)


def test_the_app_is_told_of_an_update_once_and_after_the_commit(world: World) -> None:
    arrive(world.users(), keycloak(**ANN))
    told: list[tuple[str, UserSnapshot, tuple[int, int]]] = []
    users = world.users(announce=lambda event, user: told.append((event, user, world.population)))

    user = arrive(users, entra(), "a-7")
    arrive(users, entra(), "a-7")

    assert told == [("updated", user, (1, 2))]


def test_what_is_remembered_of_the_user_by_another_identifier_is_read_anew(world: World) -> None:
    users, first = world.users(), keycloak(**ANN)
    arrive(users, first)
    world.clock.now += 1

    arrive(users, entra(), "a-7")

    assert systems(arrive(users, first)) == ["keycloak", "entra"]


def test_the_identifier_remembers_its_own_issuer(world: World) -> None:
    arrive(world.users(), keycloak(**ANN))
    users = world.users()
    users.meet(a_token("a-7", issuer="https://entra.example"), entra(), a_credential())

    with pytest.raises(InvalidToken, match="another issuer"):
        users.meet(a_token("a-7"), entra(), a_credential())
    assert users.meet(a_token("a-7", issuer="https://entra.example"), entra(), a_credential()) is not None


class Together(Says):
    """Answers nobody before everybody has asked."""

    def __init__(self, number: int, **claims: object) -> None:
        super().__init__(**claims)
        self.barrier = threading.Barrier(number)

    def userinfo(self, token: Token, credential: Credential) -> Mapping[str, object]:
        self.barrier.wait(10)
        return super().userinfo(token, credential)


@pytest.mark.parametrize("workers", [1, 2])
def test_of_two_newcomers_of_one_system_with_one_address_the_first_is_linked(world: World, workers: int) -> None:
    first = arrive(world.users(), keycloak(**ANN))
    told: list[str] = []
    processes = [world.users(announce=lambda event, user: told.append(event)) for _ in range(workers)]
    provider = entra(Together(2, **ANN))

    found = at_once(2, lambda number: arrive(processes[number % workers], provider, f"a-{number}"))

    assert len({user.key for user in found}) == 2
    assert first.key in {user.key for user in found}
    assert sorted(told) == ["created", "updated"]
    assert world.population == (2, 3)


def test_processes_that_race_to_link_one_subject_link_it_once(world: World) -> None:
    first = arrive(world.users(), keycloak(**ANN))
    told: list[str] = []
    processes = [world.users(announce=lambda event, user: told.append(event)) for _ in range(4)]
    provider = entra(Together(4, **ANN))

    found = at_once(4, lambda number: arrive(processes[number], provider, "a-7"))

    assert {user.key for user in found} == {first.key}
    assert told == ["updated"]
    assert world.population == (1, 2)


def test_threads_that_race_to_link_one_subject_ask_once(world: World) -> None:
    first = arrive(world.users(), keycloak(**ANN))
    users, says = world.users(), Says(**ANN)
    provider = entra(says)

    found = at_once(16, lambda _: arrive(users, provider, "a-7"))

    assert {user.key for user in found} == {first.key}
    assert says.asked == 1


@pytest.mark.parametrize(
    ("meanwhile", "outcome"),
    [
        ("UPDATE foreign_token_user SET active = false", "InvalidToken"),
        ("UPDATE foreign_token_identifier SET verified_email = NULL", "somebody else"),
        ("DELETE FROM foreign_token_user", "somebody else"),
    ],
    ids=["deactivated", "address given up", "deleted"],
)
def test_what_becomes_of_the_match_before_the_link_counts(file: World, meanwhile: str, outcome: str) -> None:
    """Between the look for a match and the transaction that links it."""
    first = arrive(file.users(), keycloak(**ANN))
    changes = [meanwhile]

    def change(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if statement == "BEGIN IMMEDIATE" and changes:
            change = changes.pop()
            with file.transactions.writing() as other:
                other.exec_driver_sql(change)

    sa.event.listen(file.engine, "before_cursor_execute", change)
    [result] = at_once(1, lambda _: arrive(file.users(), entra(), "a-7"))
    sa.event.remove(file.engine, "before_cursor_execute", change)

    assert changes == []
    if outcome == "InvalidToken":
        assert (type(result).__name__, file.count(file.models.identifier)) == (outcome, 1)
    else:
        assert isinstance(result, UserSnapshot)
        assert result.key != first.key


def test_a_model_in_a_hierarchy_is_matched_as_any_other() -> None:
    def employee(db: SQLAlchemy) -> type:
        person = type("Person", (db.Model,), {"__tablename__": "person", "id": sa.Column(sa.Integer, primary_key=True)})
        id_ = sa.Column(sa.ForeignKey("person.id"), primary_key=True)
        columns = {"id": id_, "email": sa.Column(sa.String(60))}
        return type("Employee", (person,), {"__tablename__": "employee", **columns})

    world = a_world("sqlite://", user_class=employee, user_attributes=("email",))
    arrive(world.users(), keycloak(**ANN), "somebody before")
    with world.transactions.writing() as connection:
        connection.execute(sa.delete(world.models.identifier.__table__))
    first = arrive(world.users(), keycloak(**ANN))

    second = arrive(world.users(), entra(), "a-7")

    assert (second.key, second.resource["email"]) == (first.key, "ann@example.org")
    closed(world)


def test_a_prospect_is_the_user_who_would_be_linked_and_nothing_is_stored(world: World) -> None:
    first = arrive(world.users(), keycloak(**ANN))
    users = world.users()
    world.clock.now += 1

    prospect = users.prospect(a_token("a-7"), entra(), a_credential())

    assert not prospect.is_new
    assert world.population == (1, 1)
    assert prospect.resource == arrive(users, entra(), "a-7").resource
    assert prospect.resource["id"] == first.key


def test_a_prospect_who_matches_nobody_is_new(world: World) -> None:
    arrive(world.users(), entra())

    prospect = world.users().prospect(a_token("a-7"), entra(), a_credential())

    assert prospect.is_new
    assert "id" not in prospect.resource


def test_a_prospect_who_matches_an_inactive_user_is_refused(world: World) -> None:
    arrive(world.users(), keycloak(**ANN))
    make_inactive(world)

    with pytest.raises(InvalidToken, match="the user is inactive"):
        world.users().prospect(a_token("a-7"), entra(), a_credential())


def test_what_two_providers_said_makes_no_verified_address_when_an_operator_writes_it_back(world: World) -> None:
    desk = Desk(world)
    eve = arrive(world.users(), keycloak(email="eve@example.net", email_verified=True))
    desk.links.link(str(eve.key), ("okta", "eve"))
    world.clock.now += 2 * 3600
    okta = a_provider(Says(email=ANN["email"]), system="okta")
    world.users().meet(a_token("eve", SYSTEMS["okta"]), okta, a_credential())
    shown = desk.accounts.get(str(eve.key)).resource
    assert shown["data"].items() >= ANN.items()

    desk.put(str(eve.key), **{**shown, "data": {**shown["data"], "ticket": 4711}})

    assert arrive(world.users(), entra(), "a-7").key != eve.key
