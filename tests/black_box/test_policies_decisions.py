"""Every decision has an id, by which the caller's answer, the log and the signal are told to belong together."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token import errors
from flask_foreign_token.signals import access_decided
from flask_foreign_token.testing import Issuer

from ..apps import ask, bearer, policy, trusting
from ..conftest import MakeApp
from .callers import Operated, basic, operate, put
from .judging import DECISION_ID, DECISIONS, add_routes, decisions_in, decisions_of, logged, status


@pytest.fixture
def app(make_app: MakeApp, issuer: Issuer) -> Flask:
    app = make_app(trusting(issuer, policy("ada", {"jwt": {"sub": "ada"}})))
    add_routes(app)
    return app


@pytest.fixture(autouse=True)
def listening(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, DECISIONS)


def asks(issuer: Issuer) -> dict[str, tuple[int, str, dict[str, Any]]]:
    """Requests by what is wrong with them: the status, the error, and how to ask."""
    return {
        "no credential": (401, "unauthorized", {}),
        "malformed header": (400, "invalid_request", {"headers": {"Authorization": "Bearer a b c"}}),
        "too long": (400, "invalid_request", {"headers": bearer("a" * 20_000)}),
        "not a token": (401, "invalid_token", {"token": "nonsense"}),
        "expired": (401, "invalid_token", {"token": issuer.token(lifetime=-600)}),
        "forged": (401, "invalid_token", {"token": issuer.token()[:-4] + "AAAA"}),
        "unknown issuer": (401, "invalid_token", {"token": issuer.token(iss="https://other.example")}),
        "another audience": (401, "invalid_token", {"token": issuer.token(aud="another-api")}),
        "denied": (403, "access_denied", {"token": issuer.token(sub="bob")}),
    }


CASES = [
    "no credential",
    "malformed header",
    "too long",
    "not a token",
    "expired",
    "forged",
    "unknown issuer",
    "another audience",
    "denied",
]


@pytest.mark.parametrize("case", CASES)
def test_a_refusal_has_one_id_in_body_log_and_signal(app: Flask, issuer: Issuer, caplog, case):
    status, error, how = asks(issuer)[case]

    with decisions_of(app) as heard:
        answer = ask(app, **how)

    assert (answer.status_code, answer.json["error"]) == (status, error)
    assert DECISION_ID.match(answer.json["decision_id"])
    [decision] = heard
    [told] = decisions_in(caplog)
    assert decision.id == told["id"] == answer.json["decision_id"]
    assert (decision.allowed, decision.error, decision.status) == (False, error, status)
    assert (told["allowed"], told["error"], told["status"]) == (False, error, status)


def test_an_outage_has_an_id_in_body_log_and_signal(make_app: MakeApp, own_issuer: Issuer, caplog):
    app = make_app(trusting(own_issuer))
    with own_issuer.down(), decisions_of(app) as heard:
        answer = ask(app, own_issuer.token())

    assert answer.status_code == 503
    assert DECISION_ID.match(answer.json["decision_id"])
    assert [decision.id for decision in heard] == [answer.json["decision_id"]]
    assert [told["id"] for told in decisions_in(caplog)] == [answer.json["decision_id"]]
    assert heard[0].status == 503


def test_a_registry_that_cannot_be_read_has_an_id_too(make_app: MakeApp, issuer: Issuer, caplog):
    app = make_app("this is no JSON")
    with decisions_of(app) as heard:
        answer = ask(app, issuer.token())

    assert answer.status_code == 503
    assert [decision.id for decision in heard] == [answer.json["decision_id"]]
    assert [told["id"] for told in decisions_in(caplog)] == [answer.json["decision_id"]]


def test_a_missing_scope_has_an_id_too(make_app: MakeApp, issuer: Issuer, caplog):
    from flask_foreign_token import require_policy

    app = make_app(trusting(issuer))
    app.add_url_rule("/scoped", "scoped", require_policy(scope="patient.read")(lambda: "in"))
    with decisions_of(app) as heard:
        answer = ask(app, issuer.token(), "/scoped")

    assert (answer.status_code, answer.json["error"]) == (403, "insufficient_scope")
    assert heard[-1].id == answer.json["decision_id"]
    assert heard[-1].error == "insufficient_scope"


def test_what_is_allowed_is_a_decision_too(app: Flask, issuer: Issuer, caplog):
    token = issuer.token(sub="ada")
    with decisions_of(app) as heard:
        user = ask(app, token, "/me").json["user"]

    [decision] = heard
    [told] = decisions_in(caplog)
    assert DECISION_ID.match(decision.id)
    assert (decision.allowed, decision.policy, decision.operation) == (True, "ada", "me")
    assert decision.user == user
    assert decision.token == hashlib.sha256(token.encode()).hexdigest()[:16]
    assert told == {
        "id": decision.id,
        "allowed": True,
        "error": None,
        "status": None,
        "operation": "me",
        "policy": "ada",
        "user": user,
        "token": decision.token,
    }


def test_a_refusal_by_policies_says_who_asked_for_what(app: Flask, issuer: Issuer):
    token = issuer.token(sub="bob")
    user = ask(app, token, "/open").json["user"]
    with decisions_of(app) as heard:
        ask(app, token, "/records/1")

    [decision] = heard
    assert (decision.operation, decision.policy, decision.user) == ("record", None, user)
    assert decision.token == hashlib.sha256(token.encode()).hexdigest()[:16]


def test_every_decision_has_another_id(app: Flask, issuer: Issuer):
    token = issuer.token(sub="bob")
    found = {ask(app, token).json["decision_id"] for _ in range(30)}

    assert len(found) == 30


def test_the_log_is_at_info_and_can_be_written_as_json(app: Flask, issuer: Issuer, caplog):
    ask(app, issuer.token(sub="bob"))

    [record] = [record for record in caplog.records if record.name == DECISIONS]
    assert record.levelno == logging.INFO
    assert json.loads(json.dumps(record.decision))["status"] == 403
    assert record.decision["id"] in record.getMessage()
    assert "\n" not in record.getMessage()


def test_a_view_without_a_guard_makes_no_decision(app: Flask, issuer: Issuer, caplog):
    with decisions_of(app) as heard:
        ask(app, issuer.token(), "/open")

    assert heard == []
    assert decisions_in(caplog) == []


def test_at_debug_the_log_says_where_policies_do_not_allow_without_any_value(app: Flask, issuer: Issuer, caplog):
    caplog.set_level(logging.DEBUG, DECISIONS)

    answer = ask(app, issuer.token(sub="a-private-subject", sid="a-private-session"))

    lines = [record.getMessage() for record in caplog.records if record.name == DECISIONS]
    assert all(answer.json["decision_id"] in line for line in lines)
    assert "a-private-subject" not in logged(caplog)
    assert "a-private-session" not in logged(caplog)


def test_at_debug_the_log_names_policy_and_paths(make_app: MakeApp, issuer: Issuer, caplog):
    caplog.set_level(logging.DEBUG, DECISIONS)
    app = make_app(trusting(issuer, policy("far", {"uri": "/patients", "jwt": {"a": {"b": "x"}}})))

    ask(app, issuer.token(a={"b": "a-private-value"}))

    lines = [record.getMessage() for record in caplog.records if record.name == DECISIONS]
    assert any("policy=far" in line and "jwt.a.b" in line for line in lines)
    assert "a-private-value" not in logged(caplog)


def test_at_info_the_log_has_no_such_line(app: Flask, issuer: Issuer, caplog):
    ask(app, issuer.token(sub="bob"))

    assert len([record for record in caplog.records if record.name == DECISIONS]) == 1


HOSTILE = ["a\nb", 'a" b=c', "a b", "a\x00b", "\u202ea", "a\r\nid=0000000000000000 policy=x"]


@pytest.mark.parametrize("path", HOSTILE)
def test_no_caller_can_write_lines_into_the_log(make_app: MakeApp, issuer: Issuer, caplog, path):
    caplog.set_level(logging.DEBUG, DECISIONS)
    app = make_app(trusting(issuer, policy("p", {"uri": "#^/records", "jwt": {"c": {"$every": {path: 1}}}})))
    add_routes(app)

    ask(app, issuer.token(c=[{path: 2}], azp=path, sub=path), "/records/x", headers={"User-Agent": "x"})

    for record in caplog.records:
        if record.name.startswith("flask_foreign_token"):
            assert not set("\n\r\x00\u202e") & set(record.getMessage())


def test_neither_token_nor_secret_reach_log_or_signal(app: Flask, issuer: Issuer, caplog):
    caplog.set_level(logging.DEBUG)
    good, denied, bad = issuer.token(sub="ada"), issuer.token(sub="bob"), issuer.token(lifetime=-600)
    with decisions_of(app) as heard:
        answers = [ask(app, token).get_data(as_text=True) for token in (good, denied, bad)]

    for token in (good, denied, bad):
        for part in (token, *token.split(".")[1:]):
            assert part not in logged(caplog)
            assert part not in repr(heard)
            assert part not in "".join(answers)


def test_a_receiver_that_fails_ends_what_was_allowed(app: Flask, issuer: Issuer):
    def fail(sender: object, **more: object) -> None:
        raise OSError("the audit table is full")

    app.config["PROPAGATE_EXCEPTIONS"] = False
    with access_decided.connected_to(fail, sender=app):
        assert status(app, issuer.token(sub="ada")) == 500
        assert status(app, issuer.token(sub="bob")) == 403
        assert status(app) == 401
    assert status(app, issuer.token(sub="ada")) == 200


def test_an_error_handler_of_the_app_sees_the_id(app: Flask, issuer: Issuer):
    seen: list[str] = []

    @app.errorhandler(errors.AccessDenied)
    def handle(refusal: Any) -> Any:
        response = refusal.get_response()
        seen.append(response.get_json()["decision_id"])
        return response

    with decisions_of(app) as heard:
        answer = ask(app, issuer.token(sub="bob"))

    assert [answer.json["decision_id"]] == seen == [heard[0].id]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [({}, 401), (basic(password="wrong-wrong-wrong"), 401), (bearer("nonsense"), 401), ("denied", 403)],
)
def test_refusals_of_the_operators_endpoints_have_ids(operated: Operated, issuer: Issuer, caplog, headers, expected):
    app = operated(trusting(issuer))
    caplog.clear()
    headers = bearer(issuer.token()) if headers == "denied" else headers
    with decisions_of(app) as heard:
        answer = app.test_client().get("/fhir/AccessPolicy", headers=headers)

    assert answer.status_code == expected
    assert answer.json["decision_id"] == heard[-1].id
    assert answer.json["decision_id"] in [told["id"] for told in decisions_in(caplog)]


def test_what_the_operator_does_is_decided_without_a_policy(operated: Operated, issuer: Issuer):
    app = operated(trusting(issuer))
    with decisions_of(app) as heard:
        operate(app, "GET", "/fhir/AccessPolicy")

    [decision] = heard
    assert (decision.allowed, decision.policy, decision.user, decision.token) == (True, None, None, None)
    assert decision.operation == "foreign_token.search_access_policy"


def test_a_refused_policy_has_an_id(operated: Operated):
    answer = put(operated(), {"resourceType": "AccessPolicy", "id": "p", "engine": "nothing"})

    assert answer.status_code == 422
    assert DECISION_ID.match(answer.json["decision_id"])
