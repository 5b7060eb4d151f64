"""What is read from an app's routes, and what is left open because it cannot be told."""

from __future__ import annotations

import pytest
from flask import Blueprint, Flask
from flask.views import MethodView
from werkzeug.routing import BaseConverter, Rule

from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.cli.routes import routes_of
from flask_foreign_token.diagnosis.routes import Routes

from ..conftest import MakeApp

OPEN = "GET /open (open_to_all)"
"""The one of the usual views that has no guard."""


class OneLetter(BaseConverter):
    regex = "[a-z]"


def answer() -> str:
    return "in"


def of(app: Flask) -> Routes:
    with app.app_context():
        return routes_of(app.extensions["foreign_token"])


def test_a_view_without_a_guard_is_named_with_method_path_and_endpoint(make_app: MakeApp) -> None:
    app = make_app([])
    app.add_url_rule("/both/<int:id>", "both", answer, methods=["GET", "POST"])

    assert of(app).unguarded == (OPEN, "GET|POST /both/<int:id> (both)")


def test_static_files_the_metadata_and_the_operators_endpoints_need_no_guard(make_app: MakeApp) -> None:
    app = make_app(
        [],
        FOREIGN_TOKEN_RESOURCE="https://api.example",
        FOREIGN_TOKEN_ADMIN_URL_PREFIX="/fhir",
        FOREIGN_TOKEN_ADMIN_CLIENT_ID="root",
        FOREIGN_TOKEN_ADMIN_CLIENT_SECRET="sixteen-bytes-or-more",
    )

    assert of(app).unguarded == (OPEN,)


def test_a_protected_app_has_no_open_view(make_app: MakeApp) -> None:
    assert of(make_app([], FOREIGN_TOKEN_PROTECT="all")).unguarded == ()


def test_views_of_a_protected_blueprint_are_guarded(make_app: MakeApp) -> None:
    foreign_token = ForeignToken()
    guarded, bare, inner = (Blueprint(name, __name__, url_prefix=f"/{name}") for name in ("guarded", "bare", "inner"))
    for blueprint in (guarded, bare, inner):
        blueprint.add_url_rule("/view", "view", answer)
    guarded.register_blueprint(inner)
    foreign_token.protect(guarded)
    app = make_app([], foreign_token)
    app.register_blueprint(guarded)
    app.register_blueprint(bare)

    assert of(app).unguarded == (OPEN, "GET /bare/view (bare.view)")


def test_each_method_of_a_class_based_view_counts(make_app: MakeApp) -> None:
    class Beds(MethodView):
        @require_policy
        def get(self) -> str:
            return "in"

        def post(self) -> str:
            return "in"

    app = make_app([])
    app.add_url_rule("/beds", view_func=Beds.as_view("beds"))

    assert of(app).unguarded == (OPEN, "POST /beds (beds)")


def test_a_guard_that_is_not_passed_is_told_from_none(make_app: MakeApp) -> None:
    app = make_app([])

    @require_policy
    @app.get("/above")
    def above() -> str:
        return "in"

    routes = of(app)

    assert (routes.open, routes.unguarded) == (["above"], (OPEN,))


def test_operators_endpoints_are_switched_off_where_they_are_not_mounted(make_app: MakeApp) -> None:
    routes = of(make_app([]))

    assert "foreign_token.read_user" in routes.switched_off
    assert "foreign_token.read_user" not in routes.operations
    assert {"patients", "open_to_all", "static"} <= routes.operations


def test_methods_are_those_that_views_answer(make_app: MakeApp) -> None:
    app = make_app([])
    app.add_url_rule("/a", "a", answer, methods=["PUT", "HEAD"])

    assert of(app).methods == {"get", "put"}


def test_options_counts_where_a_view_answers_it_itself(make_app: MakeApp) -> None:
    app = make_app([])
    app.add_url_rule("/a", "a", answer, methods=["OPTIONS"])

    assert of(app).methods == {"get", "options"}


def test_a_rule_for_any_method_leaves_methods_open(make_app: MakeApp) -> None:
    app = make_app([])
    app.url_map.add(Rule("/any", endpoint="any"))

    assert of(app).methods is None


@pytest.mark.parametrize(
    ("path", "leads"),
    [
        ("/patients", True),
        ("/patients/", False),
        ("/slash", True),
        ("/only-posted", True),
        ("/number/1", True),
        ("/number/x", False),
        ("/nothing", False),
        ("patient s", False),
    ],
    ids=["route", "no slash", "redirect", "another method", "argument", "no argument", "none", "no path"],
)
def test_a_path_leads_somewhere_where_any_method_finds_a_route(make_app: MakeApp, path: str, leads: bool) -> None:
    app = make_app([])
    app.add_url_rule("/slash/", "slash", answer)
    app.add_url_rule("/only-posted", "posted", answer, methods=["POST"])
    app.add_url_rule("/number/<int:id>", "number", answer)

    assert of(app).leads_somewhere(path) is leads


@pytest.mark.parametrize(
    ("method", "path", "answers"),
    [
        ("get", "/patients", True),
        ("delete", "/patients", False),
        ("options", "/patients", False),
        ("options", "/own", True),
        ("get", "/own", False),
        ("get", "/head", True),
        ("put", "/beds", True),
        ("delete", "/beds", False),
        ("get", "/slash", True),
        ("post", "/slash", False),
        ("get", "/nothing", False),
    ],
)
def test_a_view_answers_where_method_and_path_lead_to_it(
    make_app: MakeApp, method: str, path: str, answers: bool
) -> None:
    app = make_app([])
    app.add_url_rule("/own", "own", answer, methods=["OPTIONS"])
    app.add_url_rule("/head", "head", answer, methods=["HEAD"])
    app.add_url_rule("/beds", "read", answer)
    app.add_url_rule("/<name>", "write", answer, methods=["PUT"])
    app.add_url_rule("/slash/", "slash", answer)

    assert of(app).answers(method, path) is answers


def test_a_rule_for_any_method_answers_each(make_app: MakeApp) -> None:
    app = make_app([])
    app.url_map.add(Rule("/any", endpoint="any"))

    assert of(app).answers("delete", "/any")


@pytest.mark.parametrize("case", ["host", "converter", "websocket", "hook"])
def test_where_more_than_method_and_path_counts_any_view_may_answer(make_app: MakeApp, case: str) -> None:
    app = make_app([], SERVER_NAME="clinic.example")
    if case == "host":
        app.add_url_rule("/sub", "sub", answer, subdomain="sub")
    elif case == "converter":
        app.url_map.converters["letter"] = OneLetter
    elif case == "websocket":
        app.url_map.add(Rule("/socket", endpoint="socket", websocket=True))
    else:
        app.before_request(require_policy(lambda: None))

    assert of(app).answers("delete", "/patients")


def test_where_a_converter_is_the_apps_own_every_path_may_lead_somewhere(make_app: MakeApp) -> None:
    app = make_app([])
    app.url_map.converters["letter"] = OneLetter

    assert of(app).leads_somewhere("/nothing")


def test_where_hosts_count_every_path_may_lead_somewhere(make_app: MakeApp) -> None:
    app = make_app([], SERVER_NAME="clinic.example")
    app.add_url_rule("/sub", "sub", answer, subdomain="sub")

    assert of(app).leads_somewhere("/nothing")


def test_where_a_hook_of_the_app_is_guarded_nothing_is_said(make_app: MakeApp) -> None:
    app = make_app([])
    app.before_request(require_policy(lambda: None))

    routes = of(app)

    assert (routes.unguarded, routes.methods, routes.leads_somewhere("/nothing")) == ((), None, True)
