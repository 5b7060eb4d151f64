"""Searching users by what the database knows of them: whether they are let in, and their address."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.hybrid import hybrid_property

from .accounts import Desk, a_staff_desk, named
from .conftest import World, closed, statements

VERIFIED = {"email": "bob@example.com", "email_verified": True}


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


@pytest.fixture
def staff() -> Iterator[Desk]:
    """A desk at users whose `email` is a column of the app's own model, which keeps whether they are let in as a
    number."""
    desk = a_staff_desk(
        "sqlite://",
        "email",
        active_attribute="enabled",
        email=sa.Column(sa.String(80), index=True),
        enabled=sa.Column(sa.Integer, nullable=True, default=1),
    )
    yield desk
    closed(desk.world)


def found(desk: Desk, **sought: object) -> list[str]:
    page = desk.accounts.search(**sought)  # type: ignore[arg-type]  # what a test asks for
    assert page.total == len(page.users)
    return [user.id for user in page.users]


def test_who_is_let_in_is_told_from_who_is_not(desk: Desk) -> None:
    desk.put("in", identifier=named("in"))
    desk.put("out", identifier=named("out"), inactive=True)
    desk.put("nobody")

    assert found(desk, active=True) == ["in", "nobody"]
    assert found(desk, active=False) == ["out"]


def test_an_inactive_identifier_keeps_its_user_out(desk: Desk) -> None:
    desk.put("ann", identifier=named("a", "b"))
    table = desk.world.models.identifier.__table__
    with desk.world.transactions.writing() as connection:
        connection.execute(sa.update(table).where(table.c.value == "a").values(inactive=True))

    assert found(desk, active=True) == []
    assert found(desk, active=False) == ["ann"]


@pytest.mark.parametrize(("enabled", "active"), [(1, True), (7, True), (0, False), (None, False)])
def test_a_number_of_the_apps_own_is_read_as_everywhere(staff: Desk, enabled: int | None, active: bool) -> None:
    user = staff.put(None, identifier=named("ann"))
    with staff.world.transactions.writing() as connection:
        connection.execute(sa.update(staff.world.models.user.__table__).values(enabled=enabled))

    assert found(staff, active=active) == [user.id]
    assert found(staff, active=not active) == []


def test_a_hybrid_of_the_apps_own_is_asked_in_the_database() -> None:
    desk = a_staff_desk(
        "sqlite://",
        active_attribute="is_active",
        state=sa.Column(sa.String(10), nullable=False, default="hired"),
        is_active=hybrid_property(lambda self: self.state == "hired"),
    )
    ids = [desk.put(None).id for _ in range(2)]
    table = desk.world.models.user.__table__
    with desk.world.transactions.writing() as connection:
        connection.execute(sa.update(table).where(table.c.id == int(ids[1])).values(state="gone"))

    assert (found(desk, active=True), found(desk, active=False)) == (ids[:1], ids[1:])
    closed(desk.world)


def test_without_an_attribute_of_the_apps_the_identifiers_say_it() -> None:
    desk = a_staff_desk("sqlite://")
    kept_out = desk.put(None, identifier=named("out"), inactive=True).id
    let_in = desk.put(None).id

    assert (found(desk, active=True), found(desk, active=False)) == ([let_in], [kept_out])
    closed(desk.world)


def test_an_address_that_an_operator_wrote_is_found(desk: Desk) -> None:
    desk.put("ann", identifier=named("ann"), email="ann@example.com")
    desk.put("bob", identifier=named("bob"), mail="ann@example.com", data={"email": "ann@example.com"})

    assert found(desk, email="ann@example.com") == ["ann"]
    assert found(desk, email="ANN@example.com") == found(desk, email="ann") == found(desk, email="%") == []


def test_an_address_that_a_provider_says_is_found(desk: Desk) -> None:
    eve = desk.meet("eve", email="eve@example.com", email_verified=False)

    assert found(desk, email="eve@example.com") == [eve]


def test_an_address_that_a_provider_has_verified_is_found_by_it_also_where_another_is_shown(desk: Desk) -> None:
    bob = desk.meet("bob", **VERIFIED)
    shown = desk.accounts.get(bob)
    assert shown is not None
    desk.put(bob, **{**shown.resource, "email": "robert@example.com"})

    assert found(desk, email="bob@example.com") == found(desk, email="robert@example.com") == [bob]


def test_a_column_of_the_apps_is_where_its_addresses_are_looked_for(staff: Desk) -> None:
    ann = staff.put(None, identifier=named("ann"), email="ann@example.com")
    bob = staff.meet("bob", **VERIFIED)

    assert found(staff, email="ann@example.com") == [ann.id]
    assert found(staff, email="bob@example.com") == [bob]


def test_all_that_is_asked_for_must_be_so(desk: Desk) -> None:
    desk.put("ann", identifier=named("ann"), email="a@example.com")
    desk.put("bob", identifier=named("bob"), email="a@example.com", inactive=True)

    assert found(desk, email="a@example.com", active=True) == ["ann"]
    assert found(desk, email="a@example.com", active=True, identifier=(None, "bob")) == []
    assert found(desk, email="a@example.com", id_="bob") == ["bob"]
    assert found(desk, active=True, id_="bob") == found(desk, id_="eve") == []


def test_a_search_takes_as_many_statements_however_many_users_there_are(desk: Desk) -> None:
    for number in range(20):
        desk.put(str(number), identifier=named(str(number)), email="a@example.com")

    with statements() as sent:
        assert len(desk.accounts.search(email="a@example.com", active=True).users) == 20

    assert len(sent) == 2


def test_an_address_that_no_database_can_hold_is_nobodys(desk: Desk) -> None:
    desk.put("ann", identifier=named("ann"))

    assert found(desk, email="a\0") == found(desk, email="\ud800") == found(desk, id_="\0") == []
