from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from flask_foreign_token.errors import InvalidToken, NotStored, Rejected
from flask_foreign_token.users.account_body import MAX_IDENTIFIERS
from flask_foreign_token.users.store import UserStore

from .accounts import SYSTEMS, Desk, a_staff_desk, faults_of, named
from .conftest import LOOK_ALIKES, Says, World, a_credential, a_provider, a_token, at_once, closed, statements

ANN, NAN = ("keycloak", "ann"), ("keycloak", "nan")


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


@pytest.fixture
def staff() -> Iterator[Desk]:
    """A desk at users of a model that does not say who is active."""
    desk = a_staff_desk("sqlite://")
    yield desk
    closed(desk.world)


def owner_of(desk: Desk, value: str, system: str = "keycloak") -> str | None:
    users = desk.world.users(create_user=False)
    found = users.find_or_create(a_token(value, SYSTEMS[system]), a_provider(Says(), system=system), a_credential())
    return None if found is None else str(found.key)


# ---- to link


def test_a_linked_identifier_leads_to_the_user(desk: Desk) -> None:
    desk.put("7", identifier=named("ann"))
    desk.world.clock.now += 60

    outcome, user = desk.links.link("7", ("entra", "a1"))

    assert outcome == "updated"
    assert desk.accounts.get("7") == user
    assert user.resource["identifier"] == [*named("ann"), *named("a1", system="entra")]
    assert user.resource["meta"]["versionId"] == "2"
    assert (owner_of(desk, "ann"), owner_of(desk, "a1", "entra")) == ("7", "7")
    assert desk.issuers()["entra", "a1"] == SYSTEMS["entra"]
    assert desk.events == [("created", "7"), ("updated", "7")]
    assert (desk.announced, desk.forgotten) == ([("User", "7")] * 2, ["7"] * 2)


def test_what_is_known_of_the_user_stays(desk: Desk) -> None:
    key = desk.meet("ann", email="ann@example.com")
    before = desk.accounts.get(key).resource

    after = desk.links.link(key, ("entra", "a1"))[1].resource

    assert (after["data"], after["email"]) == (before["data"], before["email"])


def test_one_that_the_user_has_already_changes_nothing(desk: Desk) -> None:
    before = desk.put("7", identifier=named("ann"))
    desk.told.clear()

    with statements() as sent:
        assert desk.links.link("7", ANN) == ("unchanged", before)

    assert {*sent} == {"SELECT"}
    assert (desk.told, desk.announced) == ([], [("User", "7")])


def test_one_of_somebody_else_is_refused(desk: Desk) -> None:
    desk.put("7", identifier=named("ann"))
    before = desk.put("8", identifier=named("bob"))

    assert faults_of(desk.links.link, "8", ANN) == [("User/8", "identifier", "belongs to another user")]
    assert desk.accounts.get("8") == before
    assert len(desk.told) == 2


def test_one_that_outlived_its_user_is_free(desk: Desk) -> None:
    desk.meet("ann")
    table = desk.world.models.identifier.__table__
    with desk.world.transactions.writing() as connection:
        row = dict(connection.execute(sa.select(table)).mappings().one())
        connection.execute(sa.delete(desk.world.models.user.__table__))
        connection.execute(sa.delete(table))
        connection.execute(sa.insert(table), row)
    desk.put("7")

    assert desk.links.link("7", ANN)[1].resource["identifier"] == named("ann")
    assert desk.world.population == (1, 1)


def test_one_of_no_introspectors_system_is_refused(desk: Desk) -> None:
    desk.put("7")

    reason = "no provider with an introspector has this system; register it first"
    assert faults_of(desk.links.link, "7", ("unheard", "ann")) == [("User/7", "identifier.system", reason)]


@pytest.mark.parametrize(
    ("pair", "path"),
    [
        (("keycloak", ""), "identifier.value"),
        (("keycloak", " "), "identifier.value"),
        (("keycloak", "a\nb"), "identifier.value"),
        (("keycloak", "\0"), "identifier.value"),
        (("keycloak", "\ud800"), "identifier.value"),
        (("keycloak", "x" * 256), "identifier.value"),
        (("", "ann"), "identifier.system"),
        (("s" * 256, "ann"), "identifier.system"),
    ],
)
def test_what_cannot_be_one_is_refused(desk: Desk, pair: tuple[str, str], path: str) -> None:
    desk.put("7")

    assert [issue[1] for issue in faults_of(desk.links.link, "7", pair)] == [path]
    assert desk.world.population == (1, 0)


@pytest.mark.parametrize("pair", LOOK_ALIKES)
def test_look_alikes_are_different_ones(desk: Desk, pair: tuple[str, str]) -> None:
    for number, value in enumerate(pair):
        desk.put(f"of {number}")
        desk.links.link(f"of {number}", ("keycloak", value))

    assert [owner_of(desk, value) for value in pair] == ["of 0", "of 1"]


def test_no_user_gets_more_than_there_may_be(desk: Desk) -> None:
    before = desk.put("7", identifier=named(*map(str, range(MAX_IDENTIFIERS))))

    assert faults_of(desk.links.link, "7", ANN) == [("User/7", "identifier", "must not hold more than 100")]
    assert desk.links.link("7", ("keycloak", "0")) == ("unchanged", before)


@pytest.mark.parametrize("change", ["link", "unlink"])
@pytest.mark.parametrize("id_", ["7", "", "\0"])
def test_who_is_not_stored_is_named(desk: Desk, change: str, id_: str) -> None:
    with pytest.raises(NotStored, match="is not stored"):
        getattr(desk.links, change)(id_, ANN)

    assert desk.told == []


# ---- to unlink


def test_an_unlinked_identifier_leads_nowhere(desk: Desk) -> None:
    desk.put("7", identifier=named("ann", "nan"))

    outcome, user = desk.links.unlink("7", ANN)

    assert (outcome, user.resource["identifier"]) == ("updated", named("nan"))
    assert user.resource["meta"]["versionId"] == "3"
    assert (owner_of(desk, "ann"), owner_of(desk, "nan")) == (None, "7")
    assert desk.events == [("created", "7"), ("updated", "7")]
    assert desk.announced == [("User", "7")] * 2


def test_with_it_goes_what_its_provider_said(desk: Desk) -> None:
    key = desk.meet("ann", email="ann@example.com")
    desk.links.link(key, ("entra", "a1"))

    resource = desk.links.unlink(key, ANN)[1].resource

    assert (resource["data"], "email" in resource) == ({}, False)


def test_the_last_one_may_go_and_the_next_token_makes_a_new_user(desk: Desk) -> None:
    key = desk.meet("ann")

    user = desk.links.unlink(key, ANN)[1]

    assert user.resource == {"resourceType": "User", "id": key, "identifier": [], "data": {}}
    assert desk.meet("ann") != key
    assert desk.world.population == (2, 1)


@pytest.mark.parametrize("pair", [("keycloak", "bob"), ("keycloak", "Ann"), ("entra", "ann"), ("keycloak", "\0")])
def test_what_is_not_the_users_cannot_be_taken(desk: Desk, pair: tuple[str, str]) -> None:
    before = desk.put("7", identifier=named("ann"))
    desk.put("8", identifier=named("bob"))

    assert faults_of(desk.links.unlink, "7", pair) == [("User/7", "identifier", "is not the user's")]
    assert desk.accounts.get("7") == before
    assert len(desk.told) == 2


# ---- who is inactive stays so


def test_one_more_identifier_is_no_way_around(staff: Desk) -> None:
    id_ = staff.put(None, identifier=named("ann"), inactive=True).id

    assert staff.links.link(id_, NAN)[1].resource["inactive"] is True
    assert staff.links.unlink(id_, ANN)[1].resource["inactive"] is True
    with pytest.raises(InvalidToken, match="inactive"):
        owner_of(staff, "nan")
    assert "inactive" not in staff.accounts.set_active([id_], True)[0][1].resource


def test_nor_is_one_less(staff: Desk) -> None:
    id_ = staff.put(None, identifier=named("ann", "nan")).id
    table = staff.world.models.identifier.__table__
    with staff.world.transactions.writing() as connection:
        connection.execute(sa.update(table).where(table.c.value == "ann").values(inactive=True))

    assert staff.links.unlink(id_, ANN)[1].resource["inactive"] is True


def test_the_last_identifier_stays_where_it_alone_says_so(staff: Desk) -> None:
    before = staff.accounts.get(staff.put(None, identifier=named("ann"), inactive=True).id)

    [(_, path, reason)] = faults_of(staff.links.unlink, before.id, ANN)

    assert (path, "has no place" in reason) == ("inactive", True)
    assert staff.accounts.get(before.id) == before


def test_where_the_model_can_say_it_the_last_one_may_go(desk: Desk) -> None:
    desk.put("7", identifier=named("ann"), inactive=True)

    assert desk.links.unlink("7", ANN)[1].resource["inactive"] is True


# ---- to rebind


@pytest.fixture
def moved(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk at users whose provider has moved to another issuer."""
    for value in ("ann", "bob"):
        desk.meet(value)
    desk.put("7", identifier=[*named("ann", system="entra"), *named("a1", system="okta")])
    desk.told.clear()
    desk.forgotten.clear()
    monkeypatch.setitem(SYSTEMS, "keycloak", "https://new.example")
    return desk


def test_all_identifiers_of_a_system_are_the_new_issuers(moved: Desk) -> None:
    before = [moved.accounts.get(user.id) for user in moved.accounts.search().users]
    announced = len(moved.announced)
    with pytest.raises(InvalidToken, match="another issuer"):
        owner_of(moved, "ann")

    with statements() as sent:
        assert moved.links.rebind("keycloak", "https://new.example") == 2

    assert [word for word in sent if word != "SELECT"] == ["UPDATE", "INSERT"]
    assert moved.issuers() == {
        ("keycloak", "ann"): "https://new.example",
        ("keycloak", "bob"): "https://new.example",
        ("entra", "ann"): SYSTEMS["entra"],
        ("okta", "a1"): SYSTEMS["okta"],
    }
    assert owner_of(moved, "ann") is not None
    assert [moved.accounts.get(user.id) for user in before] == before
    assert (moved.told, moved.forgotten) == ([], [None])
    assert moved.announced[announced:] == [("User", "")]


def test_addresses_that_the_former_issuer_had_verified_match_nobody(moved: Desk) -> None:
    moved.meet("eve", email="boss@example.org", email_verified=True)
    store = UserStore(moved.world.models, moved.world.transactions)
    assert store.with_email("boss@example.org") is not None

    moved.links.rebind("keycloak", "https://new.example")

    assert store.with_email("boss@example.org") is None


def test_tokens_of_the_former_issuer_lead_nowhere(moved: Desk) -> None:
    moved.links.rebind("keycloak", "https://new.example")

    with pytest.raises(InvalidToken, match="another issuer"):
        moved.meet("ann")


def test_what_the_issuer_vouches_for_already_is_not_announced(moved: Desk) -> None:
    moved.links.rebind("keycloak", "https://new.example")
    announced = moved.announced

    assert moved.links.rebind("keycloak", "https://new.example") == 0
    assert (moved.announced, moved.forgotten) == (announced, [None])


@pytest.mark.parametrize(
    "issuer", ["https://idp.example/realms/myrealm", "https://new.example/", "HTTPS://new.example", ""]
)
def test_an_issuer_that_is_not_in_force_is_refused_and_the_one_that_is_named(moved: Desk, issuer: str) -> None:
    before = moved.issuers()

    assert faults_of(moved.links.rebind, "keycloak", issuer) == [
        ("", "issuer", "must be https://new.example, which the introspector in force names for the system")
    ]
    assert moved.issuers() == before


@pytest.mark.parametrize("system", ["unheard", "Keycloak", "keycloak ", "", "\0"])
def test_a_system_that_nobody_vouches_for_is_refused(moved: Desk, system: str) -> None:
    assert faults_of(moved.links.rebind, system, "https://new.example") == [
        ("", "system", "no introspector in force names an issuer for it; register that first")
    ]


# ---- at once


def test_of_many_who_link_one_identifier_one_succeeds(file: World) -> None:
    desks = [Desk(file) for _ in range(4)]
    for number in range(4):
        desks[0].put(str(number))

    def link(number: int) -> Any:
        try:
            return desks[number].links.link(str(number), ANN)[0]
        except Rejected as rejected:
            return rejected.issues[0].message

    results = at_once(4, link)

    assert sorted(results) == [*["belongs to another user"] * 3, "updated"]
    assert file.population == (4, 1)
    assert sum(desk.events.count(("updated", str(number))) for number, desk in enumerate(desks)) == 1


def test_of_many_who_link_it_to_the_same_user_one_changes_something(file: World) -> None:
    desks = [Desk(file) for _ in range(4)]
    desks[0].put("7")

    outcomes = at_once(4, lambda number: desks[number].links.link("7", ANN)[0])

    assert sorted(outcomes) == ["unchanged", "unchanged", "unchanged", "updated"]
    assert file.population == (1, 1)


def test_one_that_is_first_seen_while_it_is_linked_belongs_to_one_user(world: World) -> None:
    desk = Desk(world)
    desk.put("7")
    desk.on_issuer = lambda: desk.meet("ann")

    assert faults_of(desk.links.link, "7", ANN) == [("User/7", "identifier", "belongs to another user")]
    assert world.population == (2, 1)


def test_one_that_is_linked_while_it_is_first_seen_belongs_to_one_user(world: World) -> None:
    desk = Desk(world)
    desk.put("7")
    says = Says()
    userinfo = says.userinfo

    def link_and_then_say(token: Any, credential: Any) -> Any:
        desk.links.link("7", ANN)
        return userinfo(token, credential)

    says.userinfo = link_and_then_say  # type: ignore[method-assign]

    found = world.users().find_or_create(a_token("ann"), a_provider(says), a_credential())

    assert found.key == "7"
    assert world.population == (1, 1)


def test_linked_and_first_seen_at_the_same_moment_it_belongs_to_one_user(file: World) -> None:
    desks = [Desk(file) for _ in range(4)]
    desks[0].put("7")

    def act(number: int) -> object:
        if number % 2:
            return desks[number].meet("ann")
        try:
            desks[number].links.link("7", ANN)
        except Rejected as rejected:
            return rejected.issues[0].message
        return "7"

    results = at_once(4, act)

    [owner] = {result for result in results if result != "belongs to another user"}
    assert owner == owner_of(desks[0], "ann")
    assert file.count(file.models.identifier) == 1


def test_users_on_a_bind_of_their_own_are_rebound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = a_staff_desk("sqlite://", binds={"people": f"sqlite:///{tmp_path / 'p.sqlite'}"}, __bind_key__="people")
    desk.put(None, identifier=named("ann"))
    monkeypatch.setitem(SYSTEMS, "keycloak", "https://new.example")

    assert desk.links.rebind("keycloak", "https://new.example") == 1
    assert desk.announced == [("User", "1"), ("User", "")]
    closed(desk.world)
