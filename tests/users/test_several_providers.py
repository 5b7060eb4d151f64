"""What one of a user's providers says, beside what another one does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm as sa_orm

from .accounts import SYSTEMS, Desk, a_staff_desk, named
from .conftest import Says, World, a_credential, a_provider, a_token, closed


def test_what_another_provider_says_is_not_taken_for_what_the_tokens_own_says(world: World) -> None:
    desk, users = Desk(world), world.users()
    to_scim = {"roles": ["roles"]}
    corp = a_provider(Says(roles=["guest"]), system="keycloak", to_scim=to_scim)
    social = a_provider(Says(roles=["admin"]), system="entra", to_scim=to_scim)
    eve = users.meet(a_token("eve"), corp, a_credential("1"))
    assert eve is not None
    world.clock.now += 1
    desk.links.link(str(eve.key), ("entra", "e-1"))
    world.clock.now += 7200

    by_social = users.meet(a_token("e-1", SYSTEMS["entra"]), social, a_credential("2"))
    by_corp = users.meet(a_token("eve"), corp, a_credential("3"))

    assert by_corp is not None
    assert by_social is not None
    assert by_corp.key == by_social.key
    assert (by_corp.resource["data"], by_corp.resource["roles"]) == ({"sub": "eve", "roles": ["guest"]}, ["guest"])
    assert (by_social.resource["data"], by_social.resource["roles"]) == ({"sub": "e-1", "roles": ["admin"]}, ["admin"])
    operators = desk.accounts.get(str(eve.key))
    assert operators is not None
    assert operators.resource == users.snapshot_of(eve.key).resource
    assert operators.resource["data"] == {"sub": "e-1", "roles": ["admin"]}


# ---- columns of the app's model, when an identifier goes


def a_desk_with_columns() -> Desk:
    """A desk at a user of two providers, of whom the second says something else of each column."""

    def refuse_none(self: object, key: str, value: object) -> object:
        if value is None:
            raise ValueError
        return value

    columns = {
        "role": sa.Column(sa.String(9)),
        "team": sa.Column(sa.String(9)),
        "rank": sa.Column(sa.String(9), nullable=False, default="none"),
        "desk": sa.Column(sa.String(9)),
        "refuse": sa_orm.validates("desk")(refuse_none),
    }
    desk = a_staff_desk("sqlite://", "role", "team", "rank", "desk", **columns)
    to_scim = {name: [name] for name in ("role", "team", "rank", "desk")}
    keycloak = a_provider(Says(role="guest"), to_scim=to_scim)
    entra = a_provider(Says(role="admin", team="a", rank="b", desk="c"), system="entra", to_scim=to_scim)
    desk.world.users().meet(a_token("ann"), keycloak, a_credential())
    desk.links.link("1", ("entra", "a1"))
    desk.world.clock.now += 7200
    desk.world.users().meet(a_token("a1", SYSTEMS["entra"]), entra, a_credential())
    return desk


def columns_of(resource: Mapping[str, Any]) -> list[object]:
    return [resource.get(name) for name in ("role", "team", "rank", "desk")]


def test_what_its_provider_said_leaves_the_columns_of_the_apps_model_too() -> None:
    desk = a_desk_with_columns()
    assert columns_of(desk.accounts.get("1").resource) == ["admin", "a", "b", "c"]

    user = desk.links.unlink("1", ("entra", "a1"))[1]

    # The last is one that the model does not let go of.
    assert columns_of(user.resource) == ["guest", None, "none", "c"]
    assert desk.accounts.get("1") == user
    assert columns_of(desk.told[-1][1].resource) == ["guest", None, "none", "c"]
    closed(desk.world)


def test_what_the_app_has_put_into_a_column_stays() -> None:
    desk = a_desk_with_columns()
    with desk.world.transactions.writing() as connection:
        connection.execute(sa.update(desk.world.models.user.__table__).values(role="boss", team="z"))

    user = desk.links.unlink("1", ("entra", "a1"))[1]

    assert columns_of(user.resource)[:2] == ["boss", "z"]
    closed(desk.world)


def test_what_the_other_provider_said_stays_when_the_first_goes() -> None:
    desk = a_desk_with_columns()

    assert columns_of(desk.links.unlink("1", ("keycloak", "ann"))[1].resource) == ["admin", "a", "b", "c"]
    closed(desk.world)


def test_a_column_has_what_is_written_when_an_identifier_is_left_out_and_nothing_else() -> None:
    desk = a_desk_with_columns()

    user = desk.put("1", identifier=named("ann"), team="a", rank="x", desk="y")

    assert columns_of(user.resource) == [None, "a", "x", "y"]
    closed(desk.world)
