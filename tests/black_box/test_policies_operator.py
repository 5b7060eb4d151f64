"""The operator's endpoints: whom policies let in, and what ``$matcho`` and ``auth/test-policy`` say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import Resource, bearer, policy, trusting
from .callers import operate, put, put_all
from .judging import compared, living, logged, simulated

ENDPOINTS: list[tuple[str, str, str, Any]] = [
    ("search_access_policy", "GET", "AccessPolicy", None),
    ("create_access_policy", "POST", "AccessPolicy", {"id": "sneaked", "engine": "allow"}),
    ("read_access_policy", "GET", "AccessPolicy/known", None),
    ("update_access_policy", "PUT", "AccessPolicy/sneaked", {"engine": "allow"}),
    ("delete_access_policy", "DELETE", "AccessPolicy/sneaked", None),
    ("search_user", "GET", "User", None),
    ("read_token_introspector", "GET", "TokenIntrospector/keycloak-jwt", None),
    ("matcho", "POST", "$matcho", {"matcho": {"a": 1}, "resource": {"a": 1}}),
    ("test_policy", "POST", "auth/test-policy", {"policy": {"engine": "allow"}, "request": {"uri": "/x"}}),
]
each_endpoint = pytest.mark.parametrize(
    ("operation", "method", "path", "body"), ENDPOINTS, ids=[row[0] for row in ENDPOINTS]
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Flask]:
    with living(tmp_path_factory.mktemp("operator")) as app:
        put_all(app, trusting(issuer, policy("known", {"jwt": {"iss": issuer.issuer}})))
        yield app


@pytest.fixture(autouse=True)
def clean(app: Flask) -> Iterator[None]:
    yield
    for name in ("tried", "sneaked"):
        operate(app, "DELETE", f"/fhir/AccessPolicy/{name}")


def call(app: Flask, token: str | None, method: str, path: str, body: object) -> int:
    return app.test_client().open(f"/fhir/{path}", method=method, json=body, headers=bearer(token)).status_code


WIDE: list[Resource] = [
    {"engine": "allow"},
    {"engine": "matcho", "matcho": {"jwt": "present?"}},
    {"engine": "matcho", "matcho": {"uri": "#^/fhir/"}},
    {"engine": "matcho", "matcho": {"operation": {"id": "#^foreign_token"}}},
    {"engine": "allow", "link": [{"reference": "Client/my-client"}]},
    {"engine": "allow", "link": [{"reference": "User/USER"}]},
    {"engine": "allow", "link": [{"reference": "Operation/patients"}, {"reference": "Client/my-client"}]},
    {"engine": "allow", "link": [{"reference": "Operation/foreign_token"}]},
    {"engine": "complex", "or": [{"engine": "allow"}]},
    {"engine": "json-schema", "schema": {"required": ["jwt"]}},
]


@each_endpoint
@pytest.mark.parametrize("wide", WIDE, ids=lambda value: json.dumps(value)[:60])
def test_a_policy_without_a_link_to_that_operation_does_not_open_it(
    app: Flask, issuer: Issuer, wide, operation, method, path, body
):
    token = issuer.token(sub="ada")
    user = app.test_client().get("/open", headers=bearer(token)).json["user"]
    stored = json.loads(json.dumps(wide).replace("USER", user))
    assert operate(app, "PUT", "/fhir/AccessPolicy/tried", stored).status_code == 201

    assert call(app, token, method, path, body) == 403
    assert call(app, None, method, path, body) == 401


@each_endpoint
def test_a_link_to_the_operation_opens_it_and_no_other_to_whoever_signed_in(
    app: Flask, issuer: Issuer, operation, method, path, body
):
    put(app, policy("tried", link=[{"reference": f"Operation/foreign_token.{operation}"}]))

    opened = call(app, issuer.token(), method, path, body)

    assert opened in {200, 201, 204, 404}
    other = next(row for row in ENDPOINTS if row[0] != operation)
    assert call(app, issuer.token(), *other[1:]) == 403


@each_endpoint
@pytest.mark.parametrize("engine", [{"engine": "allow"}, {"engine": "matcho", "matcho": {"jwt": "nil?"}}])
def test_nothing_opens_an_operators_endpoint_to_nobody(
    app: Flask, engine, operation: str, method: str, path: str, body: object
):
    link = [{"reference": f"Operation/foreign_token.{operation}"}]
    put(app, {"resourceType": "AccessPolicy", "id": "tried", **engine, "link": link})

    assert call(app, None, method, path, body) == 401


def test_what_the_policy_of_an_operation_asks_binds(app: Flask, issuer: Issuer):
    link = [{"reference": "Operation/foreign_token.matcho"}]
    put(app, policy("tried", {"jwt": {"sub": "ada"}}, link=link))
    ask = ("POST", "$matcho", {"matcho": {"a": 1}, "resource": {"a": 1}})

    assert call(app, issuer.token(sub="ada"), *ask) == 200
    assert call(app, issuer.token(sub="bob"), *ask) == 403


def test_without_the_setting_there_are_no_such_endpoints(make_app, issuer: Issuer):
    app = make_app(trusting(issuer))

    for path in ("/fhir/$matcho", "/$matcho", "/auth/test-policy", "/fhir/auth/test-policy"):
        assert app.test_client().post(path, json={}).status_code == 404


# $matcho


def test_matcho_answers_what_it_was_asked_and_a_result(app: Flask):
    question = {"matcho": {"a": {"b": 1}}, "resource": {"a": {"b": 2}}, "context": {"c": 3}}

    answer = operate(app, "POST", "/fhir/$matcho", question)

    assert answer.status_code == 200
    assert answer.json["matcho"] == question["matcho"]
    assert answer.json["resource"] == question["resource"]
    assert answer.json["result"] == [{"path": ["a", "b"], "expected": 1, "but": 2}]


@pytest.mark.parametrize("kind", ["application/json", "text/yaml", None])
def test_matcho_takes_json_and_yaml(app: Flask, kind):
    answer = operate(app, "POST", "/fhir/$matcho", '{"matcho": {"a": 1}, "resource": {"a": 1}}', content_type=kind)

    assert answer.status_code == 200
    assert answer.json["result"] == []


@pytest.mark.parametrize("resource", [1, "a", True, None, [], [1], {}])
def test_matcho_compares_with_whatever_json_can_be(app: Flask, resource):
    assert (compared(app, "present?", resource) == []) is (resource is not None)


def test_matcho_without_a_resource_compares_with_nothing(app: Flask):
    answer = operate(app, "POST", "/fhir/$matcho", {"matcho": "present?"})

    assert answer.status_code in {200, 422}
    if answer.status_code == 200:
        assert answer.json["result"]


BAD_QUESTIONS: list[object] = [
    None,
    [],
    "text",
    3,
    {},
    {"resource": {}},
    {"matcho": None, "resource": {}},
    {"matcho": {"a": None}, "resource": {}},
    {"matcho": {"a": {"$or": [1]}}, "resource": {}},
    {"matcho": {"a": "#("}, "resource": {}},
    {"matcho": {"a": 1}, "resource": {}, "unknown": 1},
]


@pytest.mark.parametrize("question", BAD_QUESTIONS, ids=lambda value: json.dumps(value)[:60])
def test_a_question_that_says_nothing_is_refused(app: Flask, question):
    answer = operate(app, "POST", "/fhir/$matcho", json.dumps(question), content_type="application/json")

    assert answer.status_code in {400, 422}
    assert answer.json["error"]


@pytest.mark.parametrize("path", ["$matcho", "auth/test-policy"])
@pytest.mark.parametrize(
    ("data", "kind", "statuses"),
    [
        ("{", "application/json", {400, 422}),
        ("<a/>", "application/xml", {415}),
        (b"\xff\xfe", "application/json", {400, 422}),
        ("a: 1\na: 2", "text/yaml", {400, 422}),
        ("[" * 100_000, "application/json", {400, 422}),
        ("[" * 100_000, "text/yaml", {400, 422}),
        (" " * (2**20 + 1), "application/json", {413}),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(app: Flask, path, data, kind, statuses):
    assert operate(app, "POST", f"/fhir/{path}", data, content_type=kind).status_code in statuses


@pytest.mark.parametrize("path", ["$matcho", "auth/test-policy"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_they_are_posted_to(app: Flask, path, method):
    assert operate(app, method, f"/fhir/{path}").status_code == 405


@pytest.mark.parametrize("depth", [63, 200, 1000, 20_000])
def test_deep_resources_are_compared_or_refused(app: Flask, depth):
    deep = '{"a":' * depth + "1" + "}" * depth
    for pattern in ('{"a": "present?"}', '{"a": {"$not": 1}}', '{"a": {"$one-of": [{"a": 2}]}}'):
        answer = operate(
            app,
            "POST",
            "/fhir/$matcho",
            f'{{"matcho": {pattern}, "resource": {deep}}}',
            content_type="application/json",
        )
        assert answer.status_code in {200, 400, 422}


# auth/test-policy


def test_test_policy_repeats_request_and_policy_with_the_result(app: Flask):
    request, body = {"uri": "/x", "request-method": "get"}, {"engine": "matcho", "matcho": {"uri": "/x"}}

    answer = operate(app, "POST", "/fhir/auth/test-policy", {"request": request, "policy": body})

    assert answer.status_code == 200
    assert answer.json["request"] == request
    assert answer.json["policy"] == body
    assert answer.json["result"]["eval-result"] is True


def test_test_policy_says_where_path_expected_and_found_differ(app: Flask):
    result = simulated(
        app,
        {"engine": "matcho", "matcho": {"user": {"data": {"role": "admin"}}, "uri": "/y"}},
        {"uri": "/x", "user": {"data": {"role": "guest"}}},
    )

    assert result["eval-result"] is False
    assert result["mismatches"] == [
        {"path": ["user", "data", "role"], "expected": "admin", "but": "guest"},
        {"path": ["uri"], "expected": "/y", "but": "/x"},
    ]


def test_a_user_and_a_client_can_be_given_by_id(app: Flask, issuer: Issuer):
    user = app.test_client().get("/open", headers=bearer(issuer.token(sub="given"))).json["user"]
    said = {"engine": "matcho", "matcho": {"user": {"data": {"sub": "given"}}, "client": {"id": "portal"}}}

    assert simulated(app, said, {"user-id": user, "client-id": "portal"})["eval-result"] is True
    assert simulated(app, said, {"user-id": user, "client-id": "other"})["eval-result"] is False


def test_a_user_that_is_not_there_is_said_and_not_invented(app: Flask):
    question = {"request": {"user-id": "nobody-here"}, "policy": {"engine": "matcho", "matcho": {"user": "present?"}}}

    answer = operate(app, "POST", "/fhir/auth/test-policy", question)

    assert answer.status_code in {200, 404, 422}
    if answer.status_code == 200:
        assert answer.json["result"]["eval-result"] is False


def test_a_bearer_token_is_parsed_and_not_verified(app: Flask, issuer: Issuer):
    said = {"engine": "matcho", "matcho": {"jwt": {"sub": "ada", "iss": "https://not-yet-registered.example"}}}

    for lifetime in (300, -600):
        token = issuer.token(sub="ada", iss="https://not-yet-registered.example", lifetime=lifetime)
        for name in ("authorization", "Authorization"):
            assert simulated(app, said, {"headers": {name: f"Bearer {token}"}})["eval-result"] is True
    forged = token[:-6] + "AAAAAA"
    assert simulated(app, said, {"headers": {"authorization": f"Bearer {forged}"}})["eval-result"] is True


@pytest.mark.parametrize("text", ["Bearer nonsense", "Bearer a.b.c", "Bearer ", "Bearer", "Basic b3A6cHc=", "", "x"])
def test_a_bearer_token_that_is_none_is_no_500(app: Flask, text):
    question = {
        "request": {"headers": {"authorization": text}},
        "policy": {"engine": "matcho", "matcho": {"jwt": "present?"}},
    }

    answer = operate(app, "POST", "/fhir/auth/test-policy", question)

    assert answer.status_code in {200, 400, 422}
    if answer.status_code == 200:
        assert answer.json["result"]["eval-result"] is False


def test_no_token_is_shown_or_logged(app: Flask, issuer: Issuer, caplog):
    caplog.set_level("DEBUG")
    token = issuer.token(sub="ada")
    question = {
        "request": {
            "headers": {"authorization": f"Bearer {token}", "x-other": f"Bearer {token}", "cookie": "s=1234567"}
        },
        "policy": {"engine": "matcho", "matcho": {"headers": {"authorization": "nil?", "x-other": "x"}}},
    }

    shown = operate(app, "POST", "/fhir/auth/test-policy", question).get_data(as_text=True)

    for part in (token, *token.split(".")[1:]):
        assert part not in shown
        assert part not in logged(caplog)


def test_test_policy_stores_nothing_and_opens_nothing(app: Flask, issuer: Issuer):
    before = operate(app, "GET", "/fhir/AccessPolicy").json["total"]

    simulated(app, {"resourceType": "AccessPolicy", "id": "sneaked", "engine": "allow"}, {"uri": "/x"})

    assert operate(app, "GET", "/fhir/AccessPolicy").json["total"] == before
    assert app.test_client().get("/patients").status_code == 401


BAD_TRIALS: list[tuple[object, object]] = [
    (None, {"uri": "/x"}),
    ({}, {"uri": "/x"}),
    ([], {"uri": "/x"}),
    ({"engine": "nothing"}, {"uri": "/x"}),
    ({"engine": "matcho", "matcho": {"a": None}}, {"uri": "/x"}),
    ({"engine": "allow", "unknown": 1}, {"uri": "/x"}),
    ({"engine": "sql", "sql": {"query": "SELECT true"}}, {"uri": "/x"}),
    ({"engine": "allow"}, None),
    ({"engine": "allow"}, []),
    ({"engine": "allow"}, "x"),
]


@pytest.mark.parametrize(("said", "request_"), BAD_TRIALS, ids=lambda value: json.dumps(value)[:40])
def test_a_trial_of_what_is_no_policy_or_request_is_refused(app: Flask, said, request_):
    answer = operate(app, "POST", "/fhir/auth/test-policy", {"policy": said, "request": request_})

    assert answer.status_code in {400, 422}


ODD_REQUESTS: list[dict[str, Any]] = [
    {"headers": []},
    {"headers": {"authorization": 3}},
    {"headers": {"authorization": ["Bearer x"]}},
    {"headers": "x"},
    {"user": []},
    {"user": "x"},
    {"user-id": 3},
    {"user-id": []},
    {"user-id": ""},
    {"client-id": {}},
    {"client": "x"},
    {"jwt": "x"},
    {"operation": "x"},
    {"params": [1]},
    {"request-method": 3},
    {"user": {"roles": {"a": [1]}}},
]


@pytest.mark.parametrize("odd", ODD_REQUESTS, ids=lambda value: json.dumps(value)[:40])
@pytest.mark.parametrize(
    "said",
    [
        {"engine": "matcho", "matcho": {"user": {"id": "x"}}},
        {"engine": "allow", "link": [{"reference": "User/x"}, {"reference": "Client/x"}, {"reference": "Operation/x"}]},
        {"engine": "allow", "roleName": "x"},
        {"engine": "json-schema", "schema": {"required": ["nothing"]}},
    ],
    ids=["matcho", "links", "role", "schema"],
)
def test_an_odd_request_is_denied_or_refused(app: Flask, odd, said):
    answer = operate(app, "POST", "/fhir/auth/test-policy", {"policy": said, "request": odd})

    assert answer.status_code in {200, 400, 422}, answer.get_data(as_text=True)
    if answer.status_code == 200:
        assert answer.json["result"]["eval-result"] is False
