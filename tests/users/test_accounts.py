from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from flask_foreign_token.errors import Conflict, InvalidToken, NotStored
from flask_foreign_token.registry.edits import ANY
from flask_foreign_token.users.stored_user import identifier_id

from .accounts import Desk, a_staff_desk, faults_of, named, without_meta
from .conftest import ISSUER, Says, World, a_credential, a_provider, a_token, closed, statements


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


def seen(desk: Desk, value: str, **claims: object) -> str:
    """The key of a user whose token was seen."""
    user = desk.world.users().find_or_create(a_token(value), a_provider(Says(**claims)), a_credential())
    return str(user.key)


# ---- a new user


def test_a_new_user_is_stored_as_written(desk: Desk) -> None:
    body = {"identifier": named("ann"), "data": {"sub": "ann"}, "email": "ann@example.com"}

    outcome, user = desk.accounts.put(None, body)

    assert outcome == "created"
    assert without_meta(user) == {"resourceType": "User", "id": user.id, **body}
    assert desk.accounts.get(user.id) == user
    assert user.resource["meta"]["versionId"] == "1"
    assert desk.issuers() == {("keycloak", "ann"): ISSUER}


def test_a_new_user_may_have_the_very_id_that_is_asked_for(desk: Desk) -> None:
    assert desk.outcome("ann-1", {"id": "ann-1", "identifier": named("ann")}) == "created"
    assert desk.accounts.get("ann-1").resource["identifier"] == named("ann")


def test_a_token_of_that_issuer_leads_to_the_user_who_was_registered(desk: Desk) -> None:
    user = desk.put(None, identifier=named("ann"), role="nurse")
    says = Says()

    found = desk.world.users(create_user=False).find_or_create(a_token("ann"), a_provider(says), a_credential())

    assert (str(found.key), found.resource["role"], says.asked) == (user.id, "nurse", 0)
    with pytest.raises(InvalidToken):
        desk.world.users().find_or_create(a_token("ann", "https://other.example"), a_provider(says), a_credential())


def test_identifiers_of_a_new_user_keep_their_order(desk: Desk) -> None:
    identifier = [named(value, system=system)[0] for value in "dcba" for system in ("okta", "entra")]

    assert desk.put(None, identifier=identifier).resource["identifier"] == identifier


def test_a_user_without_identifiers_has_no_meta_and_a_version_for_each_state(desk: Desk) -> None:
    user = desk.put(None, inactive=True)

    assert user.resource == {"resourceType": "User", "id": user.id, "identifier": [], "data": {}, "inactive": True}
    assert desk.accounts.set_active([user.id], True)[0][1].version != user.version
    assert desk.accounts.set_active([user.id], False)[0][1].version == user.version


def test_data_needs_an_identifier_to_be_kept_with(desk: Desk) -> None:
    reason = "is kept with an identifier, and the user has none"

    faults = faults_of(desk.put, "7", data={"a": 1}, email="x")

    assert faults == [("User/7", "data", reason), ("User/7", "email", reason)]
    assert desk.world.population == (0, 0)


def test_an_identifier_of_no_introspectors_system_is_refused(desk: Desk) -> None:
    faults = faults_of(desk.put, None, identifier=[*named("ann"), *named("ann", system="unheard")])

    reason = "no provider with an introspector has this system; register it first"
    assert faults == [("User", "identifier.1.system", reason)]
    assert desk.world.population == (0, 0)
    assert desk.announced == desk.forgotten == []


def test_an_identifier_of_somebody_else_is_refused(desk: Desk) -> None:
    desk.put("1", identifier=named("ann"))

    faults = faults_of(desk.put, "2", identifier=named("bob", "ann"))

    assert faults == [("User/2", "identifier.1", "belongs to another user")]
    assert desk.world.population == (1, 1)


def test_an_identifier_that_outlived_its_user_is_free(desk: Desk) -> None:
    gone = seen(desk, "ann")
    with desk.world.transactions.writing() as connection:
        rows = connection.execute(sa.select(desk.world.models.identifier.__table__)).mappings().all()
        connection.execute(sa.delete(desk.world.models.user.__table__))
        connection.execute(sa.delete(desk.world.models.identifier.__table__))
        connection.execute(sa.insert(desk.world.models.identifier.__table__), [dict(row) for row in rows])

    assert desk.put("new", identifier=named("ann")).resource["meta"]["versionId"] == "1"
    assert desk.put(gone).resource["identifier"] == []


def test_what_outlived_a_user_does_not_come_back_with_the_key(desk: Desk) -> None:
    key = seen(desk, "ann")
    with desk.world.transactions.writing() as connection:
        row = dict(connection.execute(sa.select(desk.world.models.identifier.__table__)).mappings().one())
        connection.execute(sa.delete(desk.world.models.user.__table__))
        row["id"] = identifier_id("keycloak", "ann")
        connection.execute(sa.delete(desk.world.models.identifier.__table__))
        connection.execute(sa.insert(desk.world.models.identifier.__table__), row)

    assert desk.put(key, identifier=named("bob")).resource["identifier"] == named("bob")
    assert desk.world.population == (1, 1)


@pytest.mark.parametrize("id_", ["", " ", "a/b", "a\nb", "x" * 37, "\0", "\ud800"])
def test_an_id_that_cannot_be_a_key_is_refused(desk: Desk, id_: str) -> None:
    [(_, path, _)] = faults_of(desk.put, id_)

    assert path == "id"
    assert desk.accounts.get(id_) is None


# ---- a change


def test_what_was_read_can_be_written_back_and_changes_nothing(desk: Desk) -> None:
    key = seen(desk, "ann", email="ann@example.com", given_name="Ann")
    before = desk.accounts.get(key)
    desk.put("the first one")
    desk.forgotten.clear()

    with statements() as sent:
        outcome, user = desk.accounts.put(key, dict(before.resource))

    assert (outcome, user) == ("unchanged", before)
    assert {*sent} == {"SELECT"}
    assert (desk.announced, desk.forgotten) == ([("User", "the first one")], [])


def test_an_identifier_that_is_left_out_is_taken_away(desk: Desk) -> None:
    key = desk.put(None, identifier=named("ann", "nan")).id

    assert desk.outcome(key, {"identifier": named("nan")}) == "updated"

    assert desk.accounts.get(key).resource["identifier"] == named("nan")
    users = desk.world.users(create_user=False)
    assert users.find_or_create(a_token("ann"), a_provider(Says()), a_credential()) is None
    assert str(users.find_or_create(a_token("nan"), a_provider(Says()), a_credential()).key) == key


def test_without_the_member_identifier_all_of_them_are_taken_away(desk: Desk) -> None:
    key = seen(desk, "ann")

    user = desk.put(key)

    assert user.resource["identifier"] == []
    assert desk.put("other", identifier=named("ann")).resource["identifier"] == named("ann")


def test_an_identifier_that_stays_keeps_what_it_knows(desk: Desk) -> None:
    token = a_token("ann", "https://first.example")
    key = str(desk.world.users().find_or_create(token, a_provider(Says(email="a@b.c")), a_credential()).key)
    before = desk.accounts.get(key).resource
    desk.world.clock.now += 60

    user = desk.put(key, **{**before, "identifier": [*named("new"), *named("ann")]})

    assert user.resource["identifier"] == named("ann", "new")
    assert (user.resource["data"], user.resource["email"]) == (before["data"], "a@b.c")
    assert user.resource["meta"]["extension"] == before["meta"]["extension"]
    assert desk.issuers() == {("keycloak", "ann"): "https://first.example", ("keycloak", "new"): ISSUER}


def test_a_change_of_data_is_kept_with_the_newest_identifier_and_replaces_everything(desk: Desk) -> None:
    key = seen(desk, "ann", email="old@example.com", given_name="Ann")
    desk.world.clock.now += 60
    desk.put(key, **{**desk.accounts.get(key).resource, "identifier": named("ann", "new")})

    user = desk.put(key, identifier=named("ann", "new"), data={"n": 1}, email="new@example.com")

    assert without_meta(user) == {
        "resourceType": "User",
        "id": key,
        "identifier": named("ann", "new"),
        "data": {"n": 1},
        "email": "new@example.com",
    }
    assert desk.put(key, identifier=named("ann")).resource["data"] == {}


def test_data_and_attributes_that_are_left_out_are_none(desk: Desk) -> None:
    key = seen(desk, "ann", email="ann@example.com")

    user = desk.put(key, identifier=named("ann"))

    assert without_meta(user) == {"resourceType": "User", "id": key, "identifier": named("ann"), "data": {}}


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (0, False), ("1", 1), ([], {}), (None, 0), ({"a": 1}, {"a": True})]
)
def test_values_that_python_takes_for_equal_are_told_apart(desk: Desk, one: object, other: object) -> None:
    desk.put("7", identifier=named("ann"), data={"x": one}, y=one)

    assert desk.outcome("7", {"identifier": named("ann"), "data": {"x": other}, "y": other}) == "updated"
    stored = desk.accounts.get("7").resource
    assert [type(stored["data"]["x"]), type(stored["y"])] == [type(other)] * 2


def test_the_version_grows_with_every_change_and_with_nothing_else(desk: Desk) -> None:
    bodies: list[dict[str, Any]] = [
        {"identifier": named("a", "b", "c")},
        {"identifier": named("b", "c")},
        {"identifier": named("b", "c", "a")},
        {"identifier": named("c")},
        {"identifier": named("d")},
        {"identifier": named("d"), "inactive": True},
        {"identifier": named("d")},
        {"identifier": named("d"), "data": {"x": 1}},
        {"identifier": named("d"), "data": {"x": 1}, "y": 2},
        {"identifier": named("d")},
    ]
    versions = []
    for body in bodies:
        desk.world.clock.now += 1
        changed = desk.put("7", **body)
        again = desk.accounts.put("7", dict(changed.resource))
        assert again == ("unchanged", changed)
        versions.append(int(changed.resource["meta"]["versionId"]))

    assert versions == sorted(set(versions))


def test_the_time_of_a_change_is_shown(desk: Desk) -> None:
    before = desk.put("7", identifier=named("ann"))
    desk.world.clock.now += 60

    [(_, after)] = desk.accounts.set_active(["7"], False)

    assert after.resource["meta"]["lastUpdated"] > before.resource["meta"]["lastUpdated"]
    assert after.resource["meta"]["extension"] == before.resource["meta"]["extension"]


@pytest.mark.parametrize("any_", [True, False])
def test_a_user_in_the_expected_version_is_changed(desk: Desk, any_: bool) -> None:
    before = desk.put("7", identifier=named("ann"))
    expected = ANY if any_ else before.version

    assert desk.accounts.put("7", {"identifier": named("ann"), "x": 1}, expected=expected)[0] == "updated"


def test_who_has_the_id_of_a_deleted_user_is_in_another_version(desk: Desk) -> None:
    before = desk.put("7", identifier=named("ann"))
    desk.accounts.delete("7")
    desk.world.clock.now += 1

    assert desk.put("7", identifier=named("ann")).version != before.version


@pytest.mark.parametrize(
    "change",
    [lambda desk: desk.accounts.put("7", {}, expected="2"), lambda desk: desk.accounts.delete("7", expected="2")],
    ids=["put", "delete"],
)
def test_a_user_in_another_version_is_left_alone(desk: Desk, change: Callable[[Desk], object]) -> None:
    before = desk.put("7", identifier=named("ann"))

    with pytest.raises(Conflict) as caught:
        change(desk)

    assert caught.value.key == ("User", "7")
    assert desk.accounts.get("7") == before
    assert desk.announced == [("User", "7")]


@pytest.mark.parametrize("id_", ["7", None])
@pytest.mark.parametrize("expected", ["*", "1"])
def test_who_is_expected_and_not_there_is_not_made(desk: Desk, id_: str | None, expected: str) -> None:
    with pytest.raises(Conflict):
        desk.accounts.put(id_, {}, expected=expected)

    assert desk.world.population == (0, 0)


def test_a_refused_change_changes_nothing(desk: Desk) -> None:
    before = desk.put("7", identifier=named("ann"), data={"x": 1})
    desk.put("8", identifier=named("bob"))

    faults_of(desk.put, "7", identifier=named("new", "bob"), inactive=True)

    assert desk.accounts.get("7") == before
    assert desk.announced == [("User", "7"), ("User", "8")]


# ---- who learns of it


def test_every_change_is_announced_and_forgotten_once(desk: Desk) -> None:
    desk.put("7", identifier=named("ann"))
    desk.put("7", identifier=named("ann"), x=1)
    desk.put("7", identifier=named("ann"), x=1)
    desk.accounts.set_active(["7"], False)
    desk.accounts.set_active(["7"], False)
    desk.accounts.delete("7")

    assert desk.announced == [("User", "7")] * 4
    assert desk.forgotten == ["7"] * 4


def test_the_tables_are_prepared_before_the_first_look(desk: Desk) -> None:
    desk.accounts.search()
    desk.accounts.get("7")
    desk.put("7")

    assert desk.prepared == 1


def test_the_session_of_the_app_has_no_part_in_it(memory: World) -> None:
    desk = Desk(memory)
    with memory.app.app_context():
        session, model = memory.db.session, memory.models.user
        session.add(model(id="pending"))

        desk.put("7", identifier=named("ann"))
        desk.accounts.search()
        desk.accounts.delete("7")

        assert [user.id for user in session.new] == ["pending"]
        session.rollback()
    assert memory.population == (0, 0)


@pytest.mark.parametrize("before", [True, False])
def test_who_is_inactive_must_not_lose_all_identifiers(desk: Desk, before: bool) -> None:
    user = desk.put("7", identifier=named("ann", "nan"), inactive=before)

    for body in ({}, {"identifier": []}):
        [(resource, path, reason)] = faults_of(desk.put, "7", inactive=True, **body)
        assert (resource, path) == ("User/7", "identifier")
        assert "would make a new user" in reason

    assert desk.accounts.get("7") == user
    assert desk.outcome("7", {"identifier": named("nan"), "inactive": True}) == "updated"
    assert desk.outcome("7", {}) == "updated"
    assert desk.outcome("7", {"inactive": True}) == "updated"


@pytest.mark.parametrize(("length", "announced"), [(255, "k" * 255), (256, "")], ids=["longest", "too long"])
def test_a_change_of_a_user_whose_key_is_too_long_for_the_feed_is_one_of_everybody(length: int, announced: str) -> None:
    columns = {
        "id": sa.Column(sa.String(400), primary_key=True, default=lambda: "k" * length),
        "is_active": sa.Column(sa.Boolean, default=True),
    }
    desk = a_staff_desk("sqlite://", active_attribute="is_active", **columns)

    desk.accounts.set_active([desk.meet("ann")], False)

    assert (desk.announced, desk.forgotten) == ([("User", announced)], ["k" * length])
    closed(desk.world)


# ---- to delete


def test_a_deleted_user_is_gone_with_the_identifiers(desk: Desk) -> None:
    key = seen(desk, "ann")

    desk.accounts.delete(key, expected=desk.accounts.get(key).version)

    assert desk.accounts.get(key) is None
    assert desk.world.population == (0, 0)


@pytest.mark.parametrize("id_", ["7", "", "\0", "\ud800", "x" * 300])
def test_who_is_not_stored_can_be_neither_deleted_nor_changed(desk: Desk, id_: str) -> None:
    for work in (desk.accounts.delete, lambda id_: desk.accounts.set_active([id_], True)):
        with pytest.raises(NotStored) as caught:
            work(id_)
        [issue] = caught.value.issues
        assert issue.resource.startswith("User/")
        assert issue.message == "is not stored"
    assert desk.accounts.get(id_) is None
