"""Who gets in, and who does not."""

from __future__ import annotations

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer, acting_as

from ..apps import ask, policy, rows, store
from ..conftest import MakeApp
from .asking import ADMIN, BODIES, OPERATIONS, basic, operate, perform, succeeded, token_header, tutorial

Operation = tuple[str, str, str, str]

each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=[name for name, *_ in OPERATIONS])


def link(*operations: str, **attributes: object) -> dict[str, object]:
    return policy("linked", link=[{"reference": f"Operation/{name}"} for name in operations], **attributes)


@each_operation
def test_the_operator_may_do_everything(app: Flask, operation: Operation) -> None:
    assert perform(app, operation, basic()) in succeeded(operation)


@each_operation
def test_nobody_anonymous_may_do_anything(app: Flask, operation: Operation) -> None:
    endpoint = operation[0]
    tutorial(app, policy("everyone"), link(endpoint), policy("by-name", {"operation": {"id": endpoint}}))
    before = rows(app, "SELECT type, id FROM foreign_token_resource ORDER BY 1, 2")

    assert perform(app, operation, {}) == 401
    assert rows(app, "SELECT type, id FROM foreign_token_resource ORDER BY 1, 2") == before


@each_operation
def test_a_token_that_the_tutorials_policy_lets_in_may_do_nothing(
    app: Flask, issuer: Issuer, operation: Operation
) -> None:
    tutorial(app, policy("everyone"), policy("by-name", {"operation": {"id": operation[0]}}))

    assert ask(app, None, "/patients", headers=token_header(issuer)).status_code == 200
    assert perform(app, operation, token_header(issuer)) == 403


@each_operation
def test_a_link_opens_one_operation_and_no_other(app: Flask, issuer: Issuer, operation: Operation) -> None:
    tutorial(app, link(operation[0]))

    opened = [other[0] for other in OPERATIONS if perform(app, other, token_header(issuer)) in succeeded(other)]

    assert opened == [operation[0]]


def test_what_a_linked_policy_says_must_hold_as_well(app: Flask, issuer: Issuer) -> None:
    administrators = {"engine": "matcho", "matcho": {"jwt": {"role": "administrator"}}}
    tutorial(app, link("foreign_token.search_user", **administrators))

    assert ask(app, None, "/fhir/User", headers=token_header(issuer)).status_code == 403
    assert ask(app, None, "/fhir/User", headers=token_header(issuer, role="administrator")).status_code == 200


def test_links_are_alternatives(app: Flask, issuer: Issuer) -> None:
    references = ("User/somebody", "Operation/foreign_token.search_user", "Client/another")
    tutorial(app, policy("linked", link=[{"reference": reference} for reference in references]))

    assert ask(app, None, "/fhir/User", headers=token_header(issuer)).status_code == 200
    assert ask(app, None, "/fhir/AccessPolicy", headers=token_header(issuer)).status_code == 403


def test_a_link_to_the_callers_own_client_opens_nothing(app: Flask, issuer: Issuer) -> None:
    tutorial(app, policy("linked", link=[{"reference": "Client/my-client"}]))

    assert ask(app, None, "/fhir/User", headers=token_header(issuer, azp="my-client")).status_code == 403


def test_an_inactive_policy_opens_nothing(app: Flask, issuer: Issuer) -> None:
    tutorial(app, link("foreign_token.search_user", active=False))

    assert ask(app, None, "/fhir/User", headers=token_header(issuer)).status_code == 403


def test_a_user_of_the_tests_choice_needs_a_link_too(app: Flask) -> None:
    store(app, [link("foreign_token.search_user", engine="matcho", matcho={"jwt": {"role": "administrator"}})])

    with acting_as(app, None, role="administrator"):
        assert ask(app, None, "/fhir/User").status_code == 200
    with acting_as(app, None):
        assert ask(app, None, "/fhir/User").status_code == 403


def test_the_challenge_names_both_ways_in(app: Flask) -> None:
    answer = ask(app, None, "/fhir/User")

    assert answer.headers.getlist("WWW-Authenticate") == [
        'Bearer realm="clinic"',
        'Basic realm="clinic", charset="UTF-8"',
    ]
    assert answer.json["error"] == "unauthorized"
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_token_without_permission_is_told_no_error_code(app: Flask, issuer: Issuer) -> None:
    answer = ask(tutorial(app), None, "/fhir/User", headers=token_header(issuer))

    assert answer.json["error"] == "access_denied"
    assert answer.headers.getlist("WWW-Authenticate") == ['Bearer realm="clinic"']


@pytest.mark.parametrize("optional", [False, True])
def test_a_wrong_token_is_refused(make_app: MakeApp, optional: bool) -> None:
    app = make_app(**ADMIN, FOREIGN_TOKEN_OPTIONAL=optional)
    tutorial(app)

    answer = ask(app, "wrong", "/fhir/User")

    assert (answer.status_code, answer.json["error"]) == (401, "invalid_token")


def test_protecting_every_view_asks_the_operator_for_no_policy(make_app: MakeApp, issuer: Issuer) -> None:
    app = tutorial(make_app(**ADMIN, FOREIGN_TOKEN_PROTECT="all"))

    assert operate(app, "GET", "/User").status_code == 200
    assert ask(app, None, "/fhir/User").status_code == 401
    assert ask(app, None, "/fhir/User", headers=token_header(issuer)).status_code == 403
    assert ask(app, None, "/open").status_code == 401
    assert ask(app, None, "/open", headers=basic()).status_code == 401


def test_the_operator_is_nobody_elsewhere(app: Flask) -> None:
    assert ask(app, None, "/patients", headers=basic()).status_code == 401
    assert ask(app, None, "/open", headers=basic()).json == {"user": None, "subject": None}


def test_without_a_prefix_there_is_no_api(make_app: MakeApp) -> None:
    app = make_app(**{name: value for name, value in ADMIN.items() if "PREFIX" not in name})

    assert operate(app, "GET", "/User").status_code == 404


def test_without_an_operator_only_policies_let_in(make_app: MakeApp, issuer: Issuer) -> None:
    app = tutorial(
        make_app(FOREIGN_TOKEN_ADMIN_URL_PREFIX="/fhir", FOREIGN_TOKEN_REGISTRY_POLL=0),
        link("foreign_token.search_user"),
    )

    assert [
        operate(app, "GET", "/User").status_code,
        ask(app, None, "/fhir/User", headers=basic("", "")).status_code,
    ] == [
        401,
        401,
    ]
    assert ask(app, None, "/fhir/User", headers=token_header(issuer)).status_code == 200


def test_head_needs_what_get_needs(app: Flask) -> None:
    assert operate(app, "HEAD", "/User").status_code == 200
    assert ask(app, None, "/fhir/User", "HEAD").status_code == 401


def test_the_options_that_flask_answers_tell_anybody_the_methods(app: Flask) -> None:
    answer = ask(app, None, "/fhir/User/x", "OPTIONS")

    assert (answer.status_code, set(answer.allow)) == (200, {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic ",
        "Basic öäü",
        "Basic ====",
        "basic b3BlcmF0b3I=",
        "Basic " + "A" * 10_000,
        "BASIC b3BlcmF0b3I6d3Jvbmc=",
        "Digest username=operator",
        "Basically yes",
        "",
    ],
)
def test_what_is_no_sign_in_is_401(app: Flask, header: str) -> None:
    assert ask(app, None, "/fhir/User", headers={"Authorization": header}).status_code == 401


def test_the_sixth_wrong_password_in_a_minute_is_429_and_so_is_the_right_one_then(app: Flask) -> None:
    wrong = [ask(app, None, "/fhir/User", headers=basic(password="wrong")) for _ in range(6)]
    right = operate(app, "GET", "/User")
    elsewhere = operate(app, "GET", "/User", environ_overrides={"REMOTE_ADDR": "192.0.2.7"})

    assert [answer.status_code for answer in wrong] == [401] * 5 + [429]
    assert right.status_code == 429
    assert 1 <= int(right.headers["Retry-After"]) <= 60
    assert right.json["error"] == "too_many_requests"
    assert f"none is looked at for {right.headers['Retry-After']} seconds" in right.json["error_description"]
    assert elsewhere.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:81"},
        {"Origin": "https://localhost"},
        {"Origin": "http://[localhost"},
        {"Origin": ""},
    ],
)
def test_a_page_of_another_site_may_not_use_the_operators_password(app: Flask, headers: dict[str, str]) -> None:
    answer = operate(app, "PUT", "/AccessPolicy/other", BODIES["AccessPolicy"], headers=headers)

    assert (answer.status_code, answer.json["error"]) == (403, "access_denied")
    assert operate(app, "GET", "/AccessPolicy/other").status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://localhost"},
        {"Origin": "http://LOCALHOST:80"},
    ],
)
def test_a_page_of_the_apps_own_may(app: Flask, headers: dict[str, str]) -> None:
    assert operate(app, "PUT", "/AccessPolicy/other", BODIES["AccessPolicy"], headers=headers).status_code == 201


def test_a_page_of_another_site_may_bring_a_token(app: Flask, issuer: Issuer) -> None:
    tutorial(app, link("foreign_token.search_user"))
    headers = {"Origin": "https://console.example", "Sec-Fetch-Site": "cross-site", **token_header(issuer)}

    assert ask(app, None, "/fhir/User", headers=headers).status_code == 200


def test_without_an_operator_the_hint_says_what_makes_one(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    app = make_app(FOREIGN_TOKEN_ADMIN_URL_PREFIX="/fhir")
    app.debug = True

    refused = ask(app, None, "/fhir/User", headers=basic())

    assert refused.status_code == 401
    assert "FOREIGN_TOKEN_ADMIN_CLIENT_SECRET say who is" in refused.json["hint"]
    assert refused.json["hint"] in caplog.text
