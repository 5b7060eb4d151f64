"""What ``DEV_MODE`` shows, and that nothing is shown without it."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from flask import Blueprint, Flask, request
from flask.views import MethodView

from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.testing import Issuer

from .admin.asking import ADMIN, basic
from .apps import ask, policy, registry_of, secret_token, trusting_a_secret
from .conftest import MakeApp
from .deciding import listening

DEV = {"FOREIGN_TOKEN_DEV_MODE": True}
ANN = policy("ann", {"jwt": {"sub": "ann"}})
LOG = "flask_foreign_token.policies"
WATCHED = {"headers": {"X-Debug": "policy"}}


def debugged(app: Flask, token: str | None = None, path: str = "/patients", **more: Any) -> Any:
    answer = ask(app, token, f"{path}?__debug=policy", **more)
    assert answer.status_code == 200, answer.text
    assert answer.mimetype == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.json


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(trusting_a_secret(ANN), **DEV)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == LOG]


# ---- off


def test_without_dev_mode_both_are_ignored(make_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    app = make_app(trusting_a_secret(ANN))

    ann, bob = (secret_token(issuer, sub=name) for name in ("ann", "bob"))

    assert ask(app, ann, "/patients?__debug=policy", **WATCHED).json == {"subject": "ann"}
    assert ask(app, bob, "/patients?__debug=policy", **WATCHED).status_code == 403
    assert lines(caplog) == []


def test_init_says_that_it_is_on(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    make_app([])
    assert lines(caplog) == []

    make_app([], **DEV)

    (line,) = lines(caplog)
    assert "FOREIGN_TOKEN_DEV_MODE is on" in line


# ---- ?__debug=policy


def test_it_answers_with_the_request_and_every_policy(app: Flask, issuer: Issuer) -> None:
    told = debugged(app, secret_token(issuer, sub="bob"))

    assert told["request"]["uri"] == "/patients"
    assert told["request"]["operation"] == {"id": "patients"}
    assert told["request"]["jwt"]["sub"] == "bob"
    assert told["guards"] == [{"policies": [], "scopes": [], "missing-scopes": [], "allowed": False, "policy": None}]
    assert told["decision"] == {"allowed": False, "policy": None}
    (report,) = told["policies"]
    assert (report["id"], report["engine"], report["allowed"], report["candidate"]) == ("ann", "matcho", False, False)
    assert report["mismatches"] == [{"expected": "ann", "but": "bob", "path": ["jwt", "sub"]}]


def test_an_allowed_request_is_explained_as_well_and_the_view_does_not_run(app: Flask, issuer: Issuer) -> None:
    told = debugged(app, secret_token(issuer, sub="ann"))

    assert told["decision"] == {"allowed": True, "policy": "ann"}
    assert "subject" not in told


def test_anonymous_requests_and_unguarded_views_are_explained(app: Flask) -> None:
    assert debugged(app)["decision"] == {"allowed": False, "policy": None}
    assert debugged(app, path="/open")["guards"] == []


def test_another_word_is_not_meant(app: Flask) -> None:
    assert ask(app, None, "/open?__debug=other").json == {"user": None, "subject": None}


@pytest.mark.parametrize("optional", [False, True])
def test_a_wrong_token_is_refused_as_ever(make_app: MakeApp, issuer: Issuer, optional: bool) -> None:
    app = make_app(trusting_a_secret(ANN), **DEV, FOREIGN_TOKEN_OPTIONAL=optional)

    answer = ask(app, secret_token(issuer, secret="x" * 40), "/open?__debug=policy")

    assert answer.status_code == 401
    assert answer.json["error"] == "invalid_token"


def test_under_protect_a_denied_request_is_explained(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(ANN), **DEV, FOREIGN_TOKEN_PROTECT="all")

    told = debugged(app, secret_token(issuer, sub="bob"), "/open")

    assert [guard["allowed"] for guard in told["guards"]] == [False]


def test_every_guard_is_told(make_app: MakeApp, issuer: Issuer) -> None:
    foreign_token = ForeignToken()
    app = make_app(trusting_a_secret(ANN, policy("bob", {"jwt": {"sub": "bob"}})), foreign_token, **DEV)
    wards = Blueprint("wards", __name__)
    foreign_token.protect(wards)

    @wards.get("/ward")
    @require_policy("bob", "own", scope="wards.read")
    def ward() -> str:
        return "in"

    @foreign_token.policy("own")
    def own(request: dict[str, Any]) -> bool:
        return bool(request["jwt"]["sub"] == "cy")

    app.register_blueprint(wards)

    told = debugged(app, secret_token(issuer, sub="ann", scope="patients.read"), "/ward")

    assert told["guards"] == [
        {"policies": [], "scopes": [], "missing-scopes": [], "allowed": True, "policy": "ann"},
        {
            "policies": ["bob", "own"],
            "scopes": ["wards.read"],
            "missing-scopes": ["wards.read"],
            "allowed": False,
            "policy": None,
        },
    ]
    assert told["decision"] == {"allowed": False, "policy": None}
    assert [(report["id"], report["engine"], report["allowed"]) for report in told["policies"]] == [
        ("ann", "matcho", True),
        ("bob", "matcho", False),
        ("own", "python", False),
    ]


@pytest.mark.parametrize(("scope", "allowed"), [("wards.read", True), ("patients.read", False)])
def test_the_decision_is_what_the_guards_make_of_it(
    make_app: MakeApp, issuer: Issuer, scope: str, allowed: bool
) -> None:
    app = make_app(trusting_a_secret(ANN, policy("cy", {"jwt": {"scope": "present?"}})), **DEV)
    app.add_url_rule("/ward", "ward", require_policy("cy", scope="wards.read")(lambda: "in"))
    token = secret_token(issuer, sub="bob", scope=scope)

    told = debugged(app, token, "/ward")

    assert told["decision"] == {"allowed": allowed, "policy": "cy" if allowed else None}
    assert (ask(app, token, "/ward").status_code == 200) is allowed


def test_the_guards_of_a_class_are_those_of_the_method(make_app: MakeApp) -> None:
    class Beds(MethodView):
        @require_policy("readers")
        def get(self) -> str:
            return "in"

        @require_policy("writers")
        def post(self) -> str:
            return "in"

    app = make_app(trusting_a_secret(), **DEV)
    app.add_url_rule("/beds", view_func=Beds.as_view("beds"))

    asked = [debugged(app, path="/beds", method=method)["guards"] for method in ("GET", "POST")]

    assert [[guard["policies"] for guard in guards] for guards in asked] == [[["readers"]], [["writers"]]]


def test_no_token_or_secret_is_shown(app: Flask, issuer: Issuer) -> None:
    token = secret_token(issuer, sub="bob")
    headers = {"X-Api-Key": "hidden-1", "Cookie": "session=hidden-2", "Referer": f"https://a.example/?t={token}"}

    answer = ask(app, token, "/patients?__debug=policy&password=hidden-3", headers=headers)

    assert answer.status_code == 200
    assert token not in answer.text
    assert "hidden-" not in answer.text
    assert answer.json["request"]["params"]["password"] == "********"


def test_a_body_that_cannot_be_read_is_named(app: Flask) -> None:
    @app.post("/notes")
    def notes() -> str:
        return "in"

    told = debugged(app, path="/notes", method="POST", data="{", content_type="application/json")

    assert told["unreadable"] == ["body", "resource"]


def test_a_body_is_shown(app: Flask) -> None:
    @app.post("/notes")
    def notes() -> str:
        return "in"

    told = debugged(app, path="/notes", method="POST", json={"text": "x", "token": "abc"})

    assert told["request"]["body"] == {"text": "x", "token": "********"}


# ---- the operator's endpoints


@pytest.fixture
def admin_app(make_app: MakeApp) -> Flask:
    return make_app(trusting_a_secret(ANN), **ADMIN, **DEV)


def test_the_operators_endpoints_are_explained_to_the_operator_alone(admin_app: Flask, issuer: Issuer) -> None:
    path = "/fhir/User?__debug=policy"

    assert ask(admin_app, None, path).status_code == 401
    assert ask(admin_app, secret_token(issuer, sub="ann"), path).status_code == 403
    assert ask(admin_app, None, path, headers=basic(password="wrong")).status_code == 401
    assert ask(admin_app, None, path, headers=basic()).json["request"]["uri"] == "/fhir/User"


# ---- X-Debug: policy


def test_the_evaluation_is_logged_and_the_request_goes_on(
    app: Flask, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()

    assert ask(app, secret_token(issuer, sub="ann"), **WATCHED).json == {"subject": "ann"}

    assert lines(caplog) == ["GET /patients: AccessPolicy/ann allows it", "AccessPolicy/ann allows it"]
    assert {record.levelno for record in caplog.records if record.name == LOG} == {logging.WARNING}


def test_what_is_logged_has_no_value_of_the_request(
    make_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(
        trusting_a_secret(
            policy("p", {"params": {"page": "7"}, "jwt": {"email": "#@clinic"}, "headers": {"x-api-key": "k-1"}})
        ),
        **DEV,
    )
    caplog.clear()
    headers = {**WATCHED["headers"], "X-Api-Key": "k-2"}

    answer = ask(app, secret_token(issuer, email="bob@home.example"), "/patients?page=hidden", headers=headers)

    amiss = [
        'params.page: expected "7", found a text',
        'jwt.email: expected "#@clinic", found a text',
        'headers.x-api-key: expected "********", found a text',
    ]
    assert answer.status_code == 403
    assert lines(caplog) == [
        "GET /patients: no policy allows it; 1 could have",
        "AccessPolicy/p does not: " + "; ".join(amiss),
    ]


def test_a_policy_that_fails_is_logged_by_its_error(
    app: Flask, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    @app.post("/notes")
    @require_policy("own")
    def notes() -> str:
        return request.get_data(as_text=True)

    app.extensions["foreign_token"].policies.add("own", lambda request: request["nothing"])
    caplog.clear()

    ask(app, secret_token(issuer, sub="bob"), "/notes", "POST", **WATCHED, data="x")

    assert "AccessPolicy/own cannot be evaluated: KeyError" in lines(caplog)


def test_no_control_character_of_a_path_reaches_the_log(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    @app.get("/files/<path:name>")
    def files(name: str) -> str:
        return "in"

    caplog.clear()

    ask(app, None, "/files/a%1Bb", **WATCHED)

    assert lines(caplog)[0] == "GET /files/a\\x1bb: no policy allows it; 0 could have"


# ---- where the registry cannot be read


@pytest.fixture
def broken(make_app: MakeApp) -> Flask:
    app = make_app(trusting_a_secret(ANN), **DEV)
    registry_of(app).write_text("{")
    return app


def test_what_cannot_be_explained_is_refused_as_any_request(broken: Flask, caplog: pytest.LogCaptureFixture) -> None:
    with listening(broken, caplog) as told:
        answer = ask(broken, None, "/open?__debug=policy")

    assert (answer.status_code, answer.json["error"]) == (503, "temporarily_unavailable")
    assert [record["id"] for record in told.logged] == [answer.json["decision_id"]]


def test_x_debug_refuses_nothing_that_would_be_answered(broken: Flask, caplog: pytest.LogCaptureFixture) -> None:
    caplog.clear()

    assert ask(broken, None, "/open", **WATCHED).json == {"user": None, "subject": None}
    assert ask(broken, None, "/patients", **WATCHED).status_code == 503

    assert lines(caplog)[0] == "GET /open: the registry cannot be read"
