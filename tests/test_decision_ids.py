"""Every refusal has an id, which its body, the log and the signal share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from flask import Blueprint, Flask, abort, g
from werkzeug.test import TestResponse

from flask_foreign_token import ForeignToken, errors, require_policy
from flask_foreign_token.admin import refusals
from flask_foreign_token.signals import access_decided
from flask_foreign_token.testing import Issuer

from .admin.asking import ADMIN, basic, operate, token_header, tutorial
from .apps import ask, deactivate, policy, registry_of, secret_token, trusting, trusting_a_secret
from .conftest import MakeApp
from .deciding import listening

ANN = policy("ann", {"jwt": {"sub": "ann"}})
Ask = Callable[[Flask, Issuer], TestResponse]


def guarded(make_app: MakeApp, **config: object) -> Flask:
    app = make_app(trusting_a_secret(ANN), **config)
    app.add_url_rule("/scope", "scope", require_policy(scope="patient.read")(lambda: "in"))
    return app


def assert_told_once(app: Flask, caplog: pytest.LogCaptureFixture, make: Callable[[], TestResponse]) -> TestResponse:
    """Ask, and see that body, log and signal say the same of the one refusal."""
    with listening(app, caplog) as told:
        answer = make()

    (signalled,) = [decision for decision in told.signalled if not decision.allowed]
    (logged,) = [decision for decision in told.logged if not decision["allowed"]]
    assert logged == signalled.as_dict()
    assert (signalled.id, signalled.error) == (answer.json["decision_id"], answer.json["error"])
    assert signalled.status == answer.status_code
    assert signalled.policy is None
    return answer


REFUSED: list[tuple[str, int, str, Ask]] = [
    ("no credential", 401, "unauthorized", lambda app, issuer: ask(app)),
    ("a malformed header", 400, "invalid_request", lambda app, issuer: ask(app, "a b")),
    ("a malformed header at an open view", 400, "invalid_request", lambda app, issuer: ask(app, "a b", "/open")),
    (
        "two tokens",
        400,
        "invalid_request",
        lambda app, issuer: ask(app, secret_token(issuer), "/patients?access_token=a"),
    ),
    ("a wrong token", 401, "invalid_token", lambda app, issuer: ask(app, "wr.on.g")),
    ("a wrong token at an open view", 401, "invalid_token", lambda app, issuer: ask(app, "wr.on.g", "/open")),
    ("an expired token", 401, "invalid_token", lambda app, issuer: ask(app, secret_token(issuer, lifetime=-90))),
    (
        "an unknown issuer",
        401,
        "invalid_token",
        lambda app, issuer: ask(app, secret_token(issuer, iss="https://elsewhere.example")),
    ),
    ("denied by policies", 403, "access_denied", lambda app, issuer: ask(app, secret_token(issuer, sub="bob"))),
    (
        "a missing scope",
        403,
        "insufficient_scope",
        lambda app, issuer: ask(app, secret_token(issuer, sub="ann"), "/scope"),
    ),
]


@pytest.mark.parametrize(("status", "error", "make"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_body_log_and_signal_share_the_id_of_a_refusal(
    make_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture, status: int, error: str, make: Ask
) -> None:
    app = guarded(make_app)

    answer = assert_told_once(app, caplog, lambda: make(app, issuer))

    assert (answer.status_code, answer.json["error"]) == (status, error)


def test_a_registry_that_cannot_be_read_is_a_decision_too(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    app = guarded(make_app)
    registry_of(app).unlink()

    answer = assert_told_once(app, caplog, lambda: ask(app))

    assert answer.status_code == 503


def test_a_database_that_cannot_be_reached_is_a_decision_too(
    make_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture, tmp_path: Any
) -> None:
    app = guarded(make_app, SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/no/such/folder/app.db")

    answer = assert_told_once(app, caplog, lambda: ask(app, secret_token(issuer)))

    assert answer.status_code == 503


def test_an_app_whose_guard_is_misplaced_is_a_decision_too(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    app = guarded(make_app)
    require_policy(app.get("/misplaced")(lambda: "in"))

    answer = assert_told_once(app, caplog, lambda: ask(app, path="/open"))

    assert (answer.status_code, answer.json["error"]) == (500, "server_error")


def test_a_guard_without_the_extension_is_a_decision_too(bare_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    app = bare_app()
    app.add_url_rule("/patients", "patients", require_policy(lambda: "in"))

    answer = assert_told_once(app, caplog, lambda: ask(app))

    assert (answer.status_code, answer.json["error"]) == (500, "server_error")


def test_a_protected_blueprint_without_the_extension_is_a_decision_too(
    bare_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    app, blueprint = bare_app(), Blueprint("clinic", __name__)
    blueprint.add_url_rule("/patients", "patients", lambda: "in")
    ForeignToken().protect(blueprint)
    app.register_blueprint(blueprint)

    answer = assert_told_once(app, caplog, lambda: ask(app))

    assert (answer.status_code, answer.json["error"]) == (500, "server_error")


def test_metadata_that_cannot_be_served_is_a_decision_too(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    app = guarded(make_app, FOREIGN_TOKEN_RESOURCE="https://api.example")
    registry_of(app).unlink()

    answer = assert_told_once(app, caplog, lambda: ask(app, path="/.well-known/oauth-protected-resource"))

    assert answer.status_code == 503


def test_a_view_that_asks_for_the_key_sources_in_vain_is_a_decision_too(
    bare_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    app, extension = bare_app(FOREIGN_TOKEN_REGISTRY="absent.json"), ForeignToken()
    extension.init_app(app)
    app.add_url_rule("/keys", "keys", lambda: {"keys": len(extension.key_sources())})

    answer = assert_told_once(app, caplog, lambda: ask(app, path="/keys"))

    assert answer.status_code == 503


def test_key_sources_that_are_asked_for_outside_a_request_are_no_decision(
    bare_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    app, extension = bare_app(FOREIGN_TOKEN_REGISTRY="absent.json"), ForeignToken()
    extension.init_app(app)

    with listening(app, caplog) as told, pytest.raises(errors.RegistryUnavailable) as caught:
        extension.key_sources()

    assert (told.signalled, told.logged, caught.value.decision_id) == ([], [], None)


def test_a_user_who_is_inactive_when_touched_is_a_decision_and_is_named(
    make_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(trusting_a_secret(policy("all")))
    token = secret_token(issuer, sub="ann")
    user = ask(app, token, "/me").json["user"]
    deactivate(app, user)

    with listening(app, caplog) as told:
        answer = ask(app, token, "/me")

    allowed, refused = told.signalled
    assert (answer.status_code, answer.json["decision_id"]) == (401, refused.id)
    assert (allowed.allowed, allowed.user, refused.error, refused.user) == (True, user, "invalid_token", user)


# ---- the operator's endpoints

OF_OPERATORS: list[tuple[type[errors.Refusal], Ask]] = [
    (refusals.OperatorRequired, lambda app, issuer: ask(app, None, "/fhir/User")),
    (refusals.OperatorRequired, lambda app, issuer: ask(app, None, "/fhir/User", headers=basic(password="wrong"))),
    (errors.AccessDenied, lambda app, issuer: ask(app, None, "/fhir/User", headers=token_header(issuer))),
    (errors.InvalidToken, lambda app, issuer: ask(app, "wrong", "/fhir/User")),
    (refusals.CrossSite, lambda app, issuer: operate(app, "GET", "/User", headers={"Origin": "https://evil.example"})),
    (refusals.Absent, lambda app, issuer: operate(app, "GET", "/User/nobody")),
    (refusals.NoneAcceptable, lambda app, issuer: operate(app, "GET", "/User", headers={"Accept": "text/html"})),
    (refusals.UnknownMediaType, lambda app, issuer: operate(app, "POST", "/User", "a", content_type="text/plain")),
    (refusals.Unprocessable, lambda app, issuer: operate(app, "PUT", "/AccessPolicy/a", {"engine": "mathco"})),
    (
        refusals.Changed,
        lambda app, issuer: operate(app, "PUT", "/AccessPolicy/a", policy("a"), headers={"If-Match": 'W/"no"'}),
    ),
]


@pytest.mark.parametrize(
    ("refusal", "make"), OF_OPERATORS, ids=[f"{row[0].__name__}-{number}" for number, row in enumerate(OF_OPERATORS)]
)
@pytest.mark.parametrize("optional", [False, True])
def test_what_the_operators_endpoints_refuse_is_told_once(
    make_app: MakeApp,
    issuer: Issuer,
    caplog: pytest.LogCaptureFixture,
    refusal: type[errors.Refusal],
    make: Ask,
    optional: bool,
) -> None:
    app = tutorial(make_app(**ADMIN, FOREIGN_TOKEN_OPTIONAL=optional))

    answer = assert_told_once(app, caplog, lambda: make(app, issuer))

    assert (answer.status_code, answer.json["error"]) == (refusal.code, refusal.error)


def test_too_many_attempts_are_told_too(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    app = make_app(**ADMIN)
    for _ in range(5):
        ask(app, None, "/fhir/User", headers=basic(password="wrong"))

    answer = assert_told_once(app, caplog, lambda: operate(app, "GET", "/User"))

    assert answer.status_code == 429


def test_the_operators_endpoints_of_another_app_are_a_decision_too(
    make_app: MakeApp, bare_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    ours, other = make_app(**ADMIN), bare_app()
    other.add_url_rule("/users", "users", ours.view_functions["foreign_token.search_user"])

    answer = assert_told_once(other, caplog, lambda: ask(other, None, "/users"))

    assert (answer.status_code, answer.json["error"]) == (500, "server_error")


# ---- once


@pytest.mark.parametrize("path", ["/open", "/patients"])
def test_a_token_that_is_passed_over_is_told_once(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    app = guarded(make_app, FOREIGN_TOKEN_OPTIONAL=True)

    with listening(app, caplog) as told:
        answer = ask(app, "wr.on.g", path)

    (refused,) = told.signalled
    assert (refused.error, len(told.logged)) == ("invalid_token", 1)
    assert answer.json.get("decision_id") == (refused.id if path == "/patients" else None)


def test_a_guard_that_is_asked_again_tells_again_only_what_is_new(
    make_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    app = guarded(make_app)
    inner = require_policy(lambda: "in")

    @app.errorhandler(403)
    def sorry(error: Any) -> Any:
        app.extensions["foreign_token"].refused(error)
        return error.get_response()

    with listening(app, caplog) as told:
        with app.test_request_context("/patients", headers=token_header(issuer, sub="bob")):
            for _ in range(2):
                with pytest.raises(errors.AccessDenied):
                    inner()
        answer = ask(app, secret_token(issuer, sub="bob"))

    # Two of a request that tries twice, one of the request whose handler hands it in again.
    assert len({decision.id for decision in told.signalled}) == len(told.logged) == 3
    assert answer.json["decision_id"] == told.signalled[-1].id


def test_ids_are_unlike(make_app: MakeApp) -> None:
    app = guarded(make_app)

    ids = [ask(app).json["decision_id"] for _ in range(50)]

    assert len(set(ids)) == 50
    assert {len(id_) for id_ in ids} == {16}


def test_a_failure_that_is_remembered_has_an_id_for_each_request(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(trusting(own_issuer))
    token = own_issuer.token()

    with own_issuer.fail("jwks", 503):
        answers = [ask(app, token) for _ in range(5)]

    assert [answer.status_code for answer in answers] == [503] * 5
    assert own_issuer.requests["jwks"] == 1
    assert len({answer.json["decision_id"] for answer in answers}) == 5


def test_there_is_an_id_where_nobody_listens(make_app: MakeApp) -> None:
    assert not access_decided.receivers
    assert not logging.getLogger("flask_foreign_token.decisions").isEnabledFor(logging.INFO)

    assert ask(guarded(make_app)).json["decision_id"]


# ---- what is left to the app


def test_a_handler_of_the_app_knows_the_id(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    app = guarded(make_app)

    @app.errorhandler(errors.Refusal)
    def sorry(error: errors.Refusal) -> tuple[dict[str, object], int]:
        return {"error": error.error, "decision_id": error.decision_id, "page": "sorry"}, error.code or 500

    answer = assert_told_once(app, caplog, lambda: ask(app))

    assert answer.json["page"] == "sorry"


def test_what_the_app_refuses_by_itself_has_no_id(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    app = guarded(make_app)
    app.add_url_rule("/own", "own", lambda: abort(errors.AccessDenied("not on Sundays").get_response()))

    with listening(app, caplog) as told:
        answer = ask(app, path="/own")

    assert (answer.json, told.signalled) == (
        {"error": "access_denied", "error_description": "not on Sundays"},
        [],
    )


def test_an_app_called_within_another_has_decisions_of_its_own(
    make_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    inner, outer = guarded(make_app), guarded(make_app)
    outer.add_url_rule("/asks", "asks", require_policy(lambda: ask(inner, "wr.on.g").json | {"me": g.token.subject}))

    with listening(inner, caplog) as told:
        answer = ask(outer, secret_token(issuer, sub="ann"), "/asks")

    (refused,) = told.signalled
    assert (answer.json["decision_id"], answer.json["me"]) == (refused.id, "ann")


def test_views_without_a_guard_are_no_decision(
    make_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    app = guarded(make_app)
    with listening(app, caplog) as told:
        for token in (None, secret_token(issuer, sub="bob")):
            assert ask(app, token, "/open").status_code == 200

    assert (told.signalled, told.logged) == ([], [])
