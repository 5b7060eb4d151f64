"""What an operator does to users, on the databases that apps have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import orm as sa_orm

from flask_foreign_token.errors import Conflict, DatabaseUnavailable, InvalidToken, Rejected
from flask_foreign_token.registry.edits import ABSENT
from flask_foreign_token.tables import create_missing
from flask_foreign_token.users.account_access import ShownUser
from flask_foreign_token.users.nesting import MAX_DEPTH

from ..users.accounts import SYSTEMS, Desk, a_staff_desk, faults_of, named
from ..users.conftest import LOOK_ALIKES, Says, World, a_credential, a_provider, a_token, a_world, at_once, closed
from .servers import SERVERS

SHORT = 300
"""Milliseconds that an operator waits; MariaDB knows whole seconds only."""


@pytest.fixture(scope="module", params=SERVERS)
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    with SERVERS[request.param]() as url:
        yield url


@pytest.fixture
def world(server_url: str) -> Iterator[World]:
    """An app with our model of users; each test has its own table of them."""
    world = a_world(server_url, create_all=False)
    create_missing(world.transactions, world.models.tables)
    yield world
    with world.app.app_context():
        world.db.drop_all()
    closed(world)


class Staff:
    """An app with a model of its own, to which others refer."""

    def __init__(self, url: str) -> None:
        self.notes: list[type] = []
        self.world = a_world(url, user_class=self._person, active_attribute="is_active")

    def _person(self, db: SQLAlchemy) -> type:
        columns: dict[str, Any] = {
            "id": sa.Column(sa.Integer, primary_key=True),
            "is_active": sa.Column(sa.Boolean, nullable=False, default=True),
        }
        person = type("Person", (db.Model,), columns)
        note = {
            "id": sa.Column(sa.Integer, primary_key=True),
            "author_id": sa.Column(sa.ForeignKey("person.id"), nullable=False),
            "author": sa_orm.relationship("Person"),
        }
        self.notes.append(type("Note", (db.Model,), note))
        return person


@pytest.fixture
def staff(server_url: str) -> Iterator[Staff]:
    staff = Staff(server_url)
    yield staff
    with staff.world.app.app_context():
        staff.world.db.drop_all()
    closed(staff.world)


@contextmanager
def own_transaction(staff: Staff) -> Iterator[sa_orm.Session]:
    """One of the app's, which is not committed."""
    with staff.world.app.app_context():
        try:
            yield staff.world.db.session
        finally:
            staff.world.db.session.rollback()


def nested(depth: int) -> Any:
    value: Any = "leaf \u0001 \U0001f600"
    for _ in range(depth):
        value = [value]
    return value


def test_what_is_written_is_read_and_can_be_written_back(world: World) -> None:
    desk = Desk(world)
    body = {
        "identifier": named("ann", "nan"),
        "inactive": True,
        "data": {"deep": nested(MAX_DEPTH - 1), "n": [1, 1.0, 1e300, 2**70, None, True]},
        "name": {"givenName": "Ánn \U0001f600"},
        "large": "x" * 900_000,
    }

    outcome, user = desk.accounts.put("ann", body)

    assert outcome == "created"
    assert {name: user.resource[name] for name in body} == body
    assert desk.accounts.get("ann") == user
    assert desk.accounts.put("ann", dict(user.resource)) == ("unchanged", user)


def test_look_alikes_are_told_apart(world: World) -> None:
    desk = Desk(world)
    for pair in LOOK_ALIKES:
        desk.put("0", identifier=named(pair[0]))
        desk.put("1", identifier=named(pair[1]))

        for number, value in enumerate(pair):
            for system in ("keycloak", None):
                found = desk.accounts.search(identifier=(system, value))
                assert [user.id for user in found.users] == [str(number)]
        desk.accounts.delete("0")
        desk.accounts.delete("1")


def test_users_are_found_by_their_addresses_and_by_whether_they_are_let_in(world: World) -> None:
    desk = Desk(world)
    said = {"email": "B@example.com", "email_verified": True}
    written = desk.put("ann", identifier=named("ann"), email="a@example.com").id
    verified = str(desk.world.users().find_or_create(a_token("bob"), a_provider(Says(**said)), a_credential()).key)
    desk.put("eve", identifier=named("eve"), inactive=True, email="a@example.com ")

    def found(**sought: Any) -> list[str]:
        return [user.id for user in desk.accounts.search(**sought).users]

    assert found(email="a@example.com") == [written]
    assert found(email="B@example.com") == [verified]
    assert found(email="b@example.com") == found(email="A@example.com") == []
    assert found(active=False) == found(email="a@example.com ") == ["eve"]
    assert sorted(found(active=True)) == sorted([written, verified])


def test_pages_are_counted_and_put_together(world: World) -> None:
    desk = Desk(world)
    for id_ in "cadb":
        desk.put(id_, identifier=named(f"{id_}1", f"{id_}2"), x=id_)

    pages = [desk.accounts.search(offset=offset, limit=2) for offset in (0, 2, 4)]

    assert [(page.total, [user.id for user in page.users]) for page in pages] == [
        (4, ["a", "b"]),
        (4, ["c", "d"]),
        (4, []),
    ]
    assert [user.resource["x"] for user in pages[0].users] == ["a", "b"]
    assert desk.accounts.search(offset=10**30).users == []


def test_of_many_who_register_one_subject_one_succeeds(world: World) -> None:
    desks = [Desk(world) for _ in range(8)]

    def register(number: int) -> object:
        try:
            return desks[number].put(None, identifier=named("ann"))
        except Rejected as rejected:
            return str(rejected)

    results = at_once(8, register)

    assert sum(isinstance(result, ShownUser) for result in results) == 1
    assert {result for result in results if isinstance(result, str)} == {"User identifier.0: belongs to another user"}
    assert world.population == (1, 1)


def test_of_many_who_expect_one_version_one_succeeds(world: World) -> None:
    desks = [Desk(world) for _ in range(8)]
    before = desks[0].put("7", identifier=named("ann"))

    def change(number: int) -> str:
        try:
            body = {"identifier": named("ann"), "n": number}
            return desks[number].accounts.put("7", body, expected=before.version)[0]
        except Conflict:
            return "conflict"

    assert sorted(at_once(8, change)) == ["conflict"] * 7 + ["updated"]


def test_an_identifier_that_is_first_seen_while_it_is_registered_belongs_to_one_user(world: World) -> None:
    desk, provider = Desk(world), a_provider(Says())

    def act(number: int) -> object:
        if number:
            return world.users().find_or_create(a_token("ann"), provider, a_credential())
        try:
            return desk.put(None, identifier=named("ann"))
        except Rejected as rejected:
            return str(rejected)

    at_once(8, act)

    assert world.population == (1, 1)


def test_no_key_that_is_given_stands_in_the_way_of_those_that_are_counted(staff: Staff) -> None:
    desk = Desk(staff.world)

    for id_ in ("2", str(2**31 - 1)):
        [(_, path, reason)] = faults_of(desk.put, id_, identifier=named("ann"))
        assert (path, "gives its own ids" in reason) == ("id", True)

    keys = [desk.put(None).id for _ in range(3)]
    assert len(set(keys)) == 3
    assert desk.outcome(keys[0], {"identifier": named("ann")}) == "updated"


@pytest.mark.parametrize("own_ids", [True, False])
def test_of_many_who_create_one_user_one_succeeds(world: World, own_ids: bool) -> None:
    desks = [Desk(world) for _ in range(8)]

    def create(number: int) -> str:
        body = {"identifier": named(str(number))} if own_ids else {}
        try:
            return desks[number].accounts.put("7", body, expected=ABSENT)[0]
        except Conflict:
            return "conflict"

    assert sorted(at_once(8, create)) == ["conflict"] * 7 + ["created"]


def test_one_of_several_who_cannot_be_made_inactive_leaves_all_as_they_were(staff: Staff) -> None:
    desk = Desk(staff.world)
    ann, bob = desk.put(None, identifier=named("ann")), desk.put(None, identifier=named("bob"))

    for stranger in ("999", str(2**40), "nobody"):
        assert faults_of(desk.accounts.set_active, [ann.id, stranger, bob.id], False) == [
            (f"User/{stranger}", "", "is not stored")
        ]

    assert [desk.accounts.get(user.id) for user in (ann, bob)] == [ann, bob]
    assert [user.resource["inactive"] for _, user in desk.accounts.set_active([ann.id, bob.id], False)] == [True, True]


@pytest.mark.parametrize("id_", [str(2**31), str(2**62), "ann", "1.0"])
def test_what_is_no_key_of_that_column_is_nobodys(staff: Staff, id_: str) -> None:
    desk = Desk(staff.world)

    assert desk.accounts.get(id_) is None
    assert [path for _, path, _ in faults_of(desk.put, id_)] == ["id"]
    assert faults_of(desk.accounts.delete, id_) == [(f"User/{id_}", "", "is not stored")]


def test_the_apps_own_attribute_keeps_a_user_out(staff: Staff) -> None:
    desk, provider = Desk(staff.world), a_provider(Says())
    key = desk.put(None, identifier=named("ann")).id

    desk.accounts.set_active([key], False)

    with pytest.raises(InvalidToken):
        staff.world.users().find_or_create(a_token("ann"), provider, a_credential())
    desk.put(key, identifier=named("ann"))
    assert str(staff.world.users().find_or_create(a_token("ann"), provider, a_credential()).key) == key


def test_a_user_to_whom_other_rows_refer_is_not_deleted_before_those_are(staff: Staff) -> None:
    desk = Desk(staff.world)
    key = desk.put(None, identifier=named("ann")).id
    with staff.world.transactions.writing() as connection:
        connection.execute(sa.insert(staff.notes[0].__table__).values(author_id=int(key)))

    [(_, _, reason)] = faults_of(desk.accounts.delete, key)

    assert "other rows refer to the user" in reason
    assert staff.world.population == (1, 1)
    with staff.world.transactions.writing() as connection:
        connection.execute(sa.delete(staff.notes[0].__table__))
    desk.accounts.delete(key)
    assert staff.world.population == (0, 0)


def test_all_identifiers_of_a_system_are_rebound_byte_by_byte(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(world)
    for number, system in enumerate(("keycloak", "Keycloak", "keycloak ")):
        monkeypatch.setitem(SYSTEMS, system, "https://idp.example/A")
        desk.put(f"of {number}", identifier=named("ann", system=system))
    monkeypatch.setitem(SYSTEMS, "keycloak", "https://idp.example/a")

    assert desk.links.rebind("keycloak", "https://idp.example/a") == 1
    assert desk.links.rebind("keycloak", "https://idp.example/a") == 0

    assert {system: issuer[-1] for (system, _), issuer in desk.issuers().items()} == {
        "keycloak": "a",
        "Keycloak": "A",
        "keycloak ": "A",
    }


def test_a_user_is_linked_unlinked_and_forgotten(world: World) -> None:
    desk = Desk(world)
    key = desk.meet("ann", email="ann@example.com")

    desk.links.link(key, ("entra", "a1"))
    desk.links.unlink(key, ("entra", "a1"))
    desk.personal_data.forget(key)

    assert desk.events == [("updated", key), ("updated", key), ("deactivated", key)]
    assert world.population == (0, 0)


def test_a_row_that_refers_to_a_user_holds_up_who_deletes_them_and_others_on_mariadb_only(staff: Staff) -> None:
    desk = Desk(staff.world, wait=SHORT)
    key = desk.meet("ann")

    with own_transaction(staff) as session:
        session.add(staff.notes[0](author_id=int(key)))
        session.flush()
        if staff.world.engine.dialect.name == "postgresql":
            desk.accounts.set_active([key], False)
            desk.links.link(key, ("entra", "a1"))
        else:
            with pytest.raises(DatabaseUnavailable):
                desk.accounts.set_active([key], False)
        with pytest.raises(DatabaseUnavailable):
            desk.accounts.delete(key)

    desk.accounts.set_active([key], False)
    assert desk.accounts.get(key).resource["inactive"] is True


def test_what_the_app_has_changed_and_not_committed_holds_up_an_operator_for_a_while(staff: Staff) -> None:
    desk = Desk(staff.world, wait=SHORT)
    ann, bob = desk.meet("ann"), desk.meet("bob")

    with own_transaction(staff) as session:
        session.get(staff.world.models.user, int(ann)).is_active = False
        session.flush()
        with pytest.raises(DatabaseUnavailable):
            desk.accounts.set_active([ann], False)
        desk.accounts.set_active([bob], False)

    assert desk.events == [("deactivated", bob)]
    desk.accounts.set_active([ann], False)


def test_how_long_the_app_itself_waits_stays_as_it_was(staff: Staff) -> None:
    with staff.world.engine.connect() as connection:
        setting = {"postgresql": "SHOW lock_timeout", "mariadb": "SELECT @@innodb_lock_wait_timeout"}
        ask = setting["postgresql" if connection.dialect.name == "postgresql" else "mariadb"]
        before = connection.exec_driver_sql(ask).scalar_one()
    with staff.world.transactions.writing(bounded=True) as connection:
        meanwhile = connection.exec_driver_sql(ask).scalar_one()
        process = connection.connection.driver_connection

    with staff.world.engine.connect() as connection:
        assert connection.connection.driver_connection is process
        assert connection.exec_driver_sql(ask).scalar_one() == before
    assert str(meanwhile) in {"15", "15s"}


def test_a_user_whose_key_is_too_long_for_the_feed_can_be_kept_out(server_url: str) -> None:
    columns = {
        "id": sa.Column(sa.String(400), primary_key=True, default=lambda: "k" * 300),
        "is_active": sa.Column(sa.Boolean, default=True),
    }
    desk = a_staff_desk(server_url, active_attribute="is_active", **columns)

    desk.accounts.set_active([desk.meet("ann")], False)

    assert desk.announced == [("User", "")]
    with desk.world.app.app_context():
        desk.world.db.drop_all()
    closed(desk.world)
