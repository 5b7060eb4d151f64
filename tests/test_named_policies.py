"""Policies that a guard asks for by name, and what becomes of those that are not in force."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from flask import Flask
from flask.views import MethodView

from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.decorators import policies_of
from flask_foreign_token.errors import Rejected
from flask_foreign_token.testing import Issuer

from .apps import Resource, ask, policy, secret_token, trusting_a_secret
from .conftest import MakeApp

WRONG = policy("wrong", {"uri": None})
OFF = policy("off", active=False)
IN_VAIN = [
    ("none", "which the registry does not hold"),
    ("off", "which is not active"),
    ("wrong", "which is out of service"),
]


class Beds(MethodView):
    decorators = (require_policy("class"),)

    @require_policy("method", scope="read")
    def get(self) -> str:
        return "in"


def asking(make_app: MakeApp, *names: str, more: tuple[Resource, ...] = ()) -> Flask:
    """An app whose view ``/named`` asks for policies by name."""
    app = make_app(trusting_a_secret(policy("all"), OFF, WRONG, *more))
    app.add_url_rule("/named", "named", require_policy(*names)(lambda: "in"))
    return app


def checked(app: Flask) -> list[str]:
    """The lines of what ``check`` refuses."""
    foreign_token = ForeignToken()
    with app.app_context():
        try:
            foreign_token.check()
        except Rejected as rejected:
            return str(rejected).splitlines()
    return []


def doctor(app: Flask, *words: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit status, and what was found about policies in general."""
    result = app.test_cli_runner().invoke(args=["foreign-token", "doctor", *words, "--json"])
    findings = json.loads(result.stdout)
    return result.exit_code, [found for found in findings if (found["check"], found["provider"]) == ("policy", None)]


@pytest.mark.parametrize(("name", "reason"), IN_VAIN)
def test_a_view_that_asks_for_a_policy_that_is_not_in_force_is_closed_and_logged_once(
    make_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture, name: str, reason: str
) -> None:
    app = asking(make_app, name)

    with caplog.at_level(logging.WARNING):
        statuses = [ask(app, secret_token(issuer), "/named").status_code for _ in range(3)]

    [logged] = [record.getMessage() for record in caplog.records if "'named'" in record.getMessage()]
    assert f"view 'named' asks for AccessPolicy/{name}, {reason}; `flask foreign-token apply" in logged
    assert statuses == [403, 403, 403]
    assert ask(app, secret_token(issuer)).status_code == 200


@pytest.mark.parametrize("name", [name for name, _ in IN_VAIN])
def test_another_one_that_is_named_beside_it_still_allows(make_app: MakeApp, issuer: Issuer, name: str) -> None:
    assert ask(asking(make_app, name, "all"), secret_token(issuer), "/named").status_code == 200


@pytest.mark.parametrize(("name", "reason"), IN_VAIN)
def test_check_names_the_view_and_the_policy(make_app: MakeApp, name: str, reason: str) -> None:
    lines = checked(asking(make_app, name, "all"))

    assert f"view 'named': asks for AccessPolicy/{name}, {reason}" in lines


def test_check_names_all_of_them_beside_all_other_faults(make_app: MakeApp) -> None:
    app = asking(make_app, "none", "all", "off")
    app.add_url_rule("/beds", view_func=Beds.as_view("beds"))

    lines = checked(app)

    assert sorted(line for line in lines if line.startswith("view")) == [
        "view 'beds': asks for AccessPolicy/class, which the registry does not hold",
        "view 'beds': asks for AccessPolicy/method, which the registry does not hold",
        "view 'named': asks for AccessPolicy/none, which the registry does not hold",
        "view 'named': asks for AccessPolicy/off, which is not active",
    ]
    assert [line for line in lines if "AccessPolicy/wrong matcho.uri" in line]


def test_check_is_content_once_all_are_in_force(make_app: MakeApp) -> None:
    app = make_app(trusting_a_secret(policy("class"), policy("method"), policy("all")))
    app.add_url_rule("/named", "named", require_policy("all")(lambda: "in"))
    app.add_url_rule("/beds", view_func=Beds.as_view("beds"))

    assert checked(app) == []


def test_a_registry_that_is_refused_as_a_whole_is_what_check_tells_of(make_app: MakeApp) -> None:
    app = make_app([policy("all", activ=True)])
    app.add_url_rule("/named", "named", require_policy("none")(lambda: "in"))

    assert [line for line in checked(app) if "activ" in line]


@pytest.mark.parametrize("words", [(), ("keycloak",)])
def test_doctor_names_them_with_and_without_a_provider_to_look_at(make_app: MakeApp, words: tuple[str, ...]) -> None:
    status, found = doctor(asking(make_app, "none", "off", "all"), *words)

    assert status == 1
    assert [(finding["mark"], finding["found"]) for finding in found] == [
        ("failed", "view 'named': asks for AccessPolicy/none, which the registry does not hold"),
        ("failed", "view 'named': asks for AccessPolicy/off, which is not active"),
    ]
    assert "apply FILE" in found[0]["remedy"][0]


def test_doctor_names_them_where_there_is_no_provider(make_app: MakeApp) -> None:
    app = make_app([policy("all")])
    app.add_url_rule("/named", "named", require_policy("none")(lambda: "in"))

    assert len(doctor(app)[1]) == 1


def test_doctor_prints_them_for_people(make_app: MakeApp) -> None:
    result = asking(make_app, "none").test_cli_runner().invoke(args=["foreign-token", "doctor"])

    assert "asks for AccessPolicy/none, which the registry does" in result.stdout


def test_doctor_says_nothing_of_views_whose_policies_are_in_force(make_app: MakeApp) -> None:
    assert doctor(asking(make_app, "all"))[1] == []


def test_doctor_names_a_policy_in_python_that_hides_a_stored_one(make_app: MakeApp) -> None:
    foreign_token = ForeignToken()
    foreign_token.policy("all")(lambda request: True)
    app = make_app(trusting_a_secret(policy("all")), foreign_token)

    [finding] = doctor(app)[1]

    assert finding["found"].startswith("AccessPolicy/all id: is also a policy in Python")


# ---- where the names are found


def test_the_policies_that_guards_ask_for_are_found_wherever_the_guard_stands() -> None:
    def view() -> str:
        return "in"

    stacked = require_policy("outer")(require_policy("inner", "second")(view))
    views = {
        "bare": require_policy(view),
        "scope": require_policy(scope="read")(view),
        "named": require_policy("one", "two")(view),
        "stacked": stacked,
        "class": Beds.as_view("class"),
        "open": lambda: "in",
    }

    assert policies_of(views) == {
        "class": ["class", "method"],
        "named": ["one", "two"],
        "stacked": ["inner", "outer", "second"],
    }
