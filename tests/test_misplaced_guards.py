"""Guards that would not hold: found, and closed."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from flask import Blueprint, Flask, g

from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.errors import ConfigError
from flask_foreign_token.testing import Issuer

from .apps import ask, policy, secret_token, trusting_a_secret
from .conftest import MakeApp
from .test_guards import ANN, GUARDED, statuses, wrapped


def view() -> str:
    return "in"


def above_the_route(app: Flask) -> None:
    @require_policy
    @app.get("/inside-out")
    def inside_out() -> str:
        return "in"


def above_the_route_with_a_scope(app: Flask) -> None:
    @require_policy(scope="patient.read")
    @app.get("/inside-out")
    def inside_out() -> str:
        return "in"


def above_the_route_of_a_blueprint(app: Flask) -> None:
    blueprint = Blueprint("inside_out", __name__)

    @require_policy
    @blueprint.get("/inside-out")
    def inside_out() -> str:
        return "in"

    app.register_blueprint(blueprint)


def between_two_routes(app: Flask) -> None:
    @app.get("/elsewhere", endpoint="elsewhere")
    @require_policy
    @app.get("/inside-out", endpoint="inside_out")
    def inside_out() -> str:
        return "in"


def above_a_wrapped_route(app: Flask) -> None:
    @require_policy
    @wrapped
    @app.get("/inside-out")
    def inside_out() -> str:
        return "in"


MISTAKES = [
    above_the_route,
    above_the_route_with_a_scope,
    above_the_route_of_a_blueprint,
    between_two_routes,
    above_a_wrapped_route,
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_guard_above_the_route_closes_the_app_and_names_the_view(
    make_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture, mistake: Callable[[Flask], None]
) -> None:
    app = make_app(trusting_a_secret(ANN))
    mistake(app)
    token = secret_token(issuer, sub="ann")

    with caplog.at_level(logging.WARNING):
        answers = [ask(app, token, path) for path in ("/inside-out", "/open", "/patients", "/inside-out")]

    assert [answer.status_code for answer in answers] == [500] * 4
    assert sum("inside_out" in record.getMessage() for record in caplog.records) >= 1
    assert all(answer.text != "in" for answer in answers)


def test_a_guarded_view_of_another_app_is_no_mistake_here(make_app: MakeApp, bare_app: MakeApp, issuer: Issuer) -> None:
    elsewhere = bare_app()
    elsewhere.add_url_rule("/elsewhere", "elsewhere", require_policy(view))
    app = make_app(trusting_a_secret(ANN))

    assert statuses(app, issuer, "/patients") == GUARDED


@pytest.mark.parametrize("guard", [require_policy, require_policy("ann"), require_policy(scope="read")])
def test_a_guarded_view_in_an_app_without_the_extension_is_closed(
    bare_app: MakeApp, guard: Callable[..., Callable[[], str]]
) -> None:
    app = bare_app()
    app.add_url_rule("/patients", "patients", guard(lambda: "in"))

    answer = ask(app)

    assert (answer.status_code, answer.text == "in") == (500, False)


def test_a_guard_that_is_misplaced_after_check_is_found_all_the_same(make_app: MakeApp, issuer: Issuer) -> None:
    foreign_token = ForeignToken()
    app = make_app(trusting_a_secret(ANN), foreign_token)
    foreign_token.check(app)
    above_the_route(app)

    with pytest.raises(ConfigError, match="inside_out"):
        foreign_token.check(app)
    assert ask(app, None, "/inside-out").status_code == 500


def test_another_apps_context_opens_no_view(make_app: MakeApp, bare_app: MakeApp, issuer: Issuer) -> None:
    trusting = make_app(trusting_a_secret(policy("all")))
    app = bare_app()

    @app.before_request
    def look_around() -> None:
        with trusting.app_context():
            assert "user" not in g

    app.add_url_rule("/patients", "patients", require_policy(lambda: "in"))

    assert ask(app, secret_token(issuer)).status_code == 500


def test_protect_stands_before_the_hooks_that_were_there(make_app: MakeApp) -> None:
    foreign_token = ForeignToken()
    blueprint = Blueprint("reports", __name__)
    blueprint.before_request(lambda: "cached")
    blueprint.add_url_rule("/reports", "reports", lambda: "in")
    foreign_token.protect(blueprint)
    app = make_app(trusting_a_secret(ANN), foreign_token)
    app.register_blueprint(blueprint)

    assert ask(app, None, "/reports").status_code == 401


def test_a_static_view_that_the_app_guards_is_a_view_like_any_other(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(policy("all", {"jwt": "present?"})))
    app.view_functions["static"] = require_policy(app.view_functions["static"])

    assert ask(app, None, "/static/file").status_code == 401
    assert ask(app, secret_token(issuer), "/static/file").status_code == 404
