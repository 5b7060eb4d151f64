"""``roleName`` against the roles that a provider says its users have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer, Person

from .apps import Resource, ask, policy, trusting
from .conftest import MakeApp

DOCTORS = policy("doctors", roleName="doctor")
ROLES: dict[str, Any] = {
    "ann": ["doctor", "head"],
    "bob": ["nurse"],
    "cyd": "doctor",
    "dan": [{"value": "doctor", "display": "Doctor"}],
    "eve": {"doctor": True},
    "fay": ["Doctor", "doctors", " doctor"],
    "gil": [["doctor"]],
    "hal": [],
    "ida": None,
}
ADMITTED = {"ann", "cyd", "dan"}


@pytest.fixture(scope="module")
def hospital() -> Iterator[Issuer]:
    """A provider whose userinfo says what roles people have; their tokens do not."""
    people = [Person(name, "x", {"roles": roles}) for name, roles in ROLES.items()]
    with Issuer(people=[*people, Person("joe", "x")]) as issuer:
        yield issuer


def app_of(make_app: MakeApp, hospital: Issuer, *policies: Resource, **attributes: object) -> Flask:
    rules = {"toScim": {"roles": ["roles"]}, **attributes}
    asked = {"userinfo-source": "userinfo-endpoint", "userinfo_endpoint": hospital.userinfo_endpoint}
    return make_app(trusting(hospital, *policies, **asked, **rules))


def status(app: Flask, hospital: Issuer, name: str, **more: Any) -> int:
    return ask(app, hospital.token(sub=hospital.people[name].subject, scope="openid"), **more).status_code


@pytest.mark.parametrize("name", [*ROLES, "joe"])
def test_only_who_has_the_very_role_gets_in(make_app: MakeApp, hospital: Issuer, name: str) -> None:
    app = app_of(make_app, hospital, DOCTORS)

    assert status(app, hospital, name) == (200 if name in ADMITTED else 403)


def test_whoever_brings_no_token_has_no_role(make_app: MakeApp, hospital: Issuer) -> None:
    assert ask(app_of(make_app, hospital, DOCTORS)).status_code == 401


def test_the_engine_must_allow_as_well(make_app: MakeApp, hospital: Issuer) -> None:
    reading = policy("reading", {"uri": "/patients"}, roleName="doctor")
    app = app_of(make_app, hospital, reading)

    assert (status(app, hospital, "ann"), status(app, hospital, "bob")) == (200, 403)
    assert status(app, hospital, "ann", path="/me") == 403


def test_links_bind_as_well(make_app: MakeApp, hospital: Issuer) -> None:
    here = policy("here", roleName="doctor", link=[{"reference": "Operation/patients"}])
    app = app_of(make_app, hospital, here)

    assert (status(app, hospital, "ann"), status(app, hospital, "bob")) == (200, 403)
    assert status(app, hospital, "ann", path="/me") == 403


@pytest.mark.parametrize("rules", [{}, {"groups": ["roles"]}, {"roles": ["title"]}])
def test_roles_that_no_rule_of_to_scim_takes_from_userinfo_are_none(
    make_app: MakeApp, hospital: Issuer, rules: dict[str, list[str]]
) -> None:
    assert status(app_of(make_app, hospital, DOCTORS, toScim=rules), hospital, "ann") == 403


def test_roles_of_the_token_itself_count_where_the_token_says_it_all(make_app: MakeApp, hospital: Issuer) -> None:
    rules = {"toScim": {"groups": ["roles"]}, "userinfo-source": "id-token"}
    app = make_app(trusting(hospital, DOCTORS, **rules))

    assert ask(app, hospital.token(sub="kim", groups=["doctor"])).status_code == 200
    assert ask(app, hospital.token(sub="lou", groups=["nurse"])).status_code == 403


def test_what_keycloak_nests_is_no_list_of_roles_and_is_asked_for_with_a_pattern(
    make_app: MakeApp, hospital: Issuer
) -> None:
    rules = {"toScim": {"realm_access": ["roles"]}, "userinfo-source": "id-token"}
    nested = policy("nested", {"jwt": {"realm_access": {"roles": {"$contains": "doctor"}}}})
    access = {"realm_access": {"roles": ["doctor"]}}
    by_role = make_app(trusting(hospital, DOCTORS, **rules))
    by_pattern = make_app(trusting(hospital, nested, **rules))

    assert ask(by_role, hospital.token(sub="kim", **access)).status_code == 403
    assert ask(by_pattern, hospital.token(sub="kim", **access)).status_code == 200


def test_a_role_within_a_complex_policy_is_refused_there_and_taken_beside_it(
    make_app: MakeApp, hospital: Issuer
) -> None:
    conditions = [{"engine": "matcho", "matcho": {"uri": "/patients"}}, {"engine": "allow"}]
    app = app_of(make_app, hospital, policy("both", engine="complex", roleName="doctor", **{"and": conditions}))

    assert (status(app, hospital, "ann"), status(app, hospital, "bob")) == (200, 403)
