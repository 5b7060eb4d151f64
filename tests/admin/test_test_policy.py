"""``POST /auth/test-policy``: a policy that is not stored, tried on a request that nobody made."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from flask_foreign_token.documents import read_yaml
from flask_foreign_token.testing import Issuer

from ..apps import Resource, ask, policy, rows
from ..conftest import MakeApp
from ..deciding import listening
from ..vectors import cases, read
from .asking import ADMIN, operate, token_header, tutorial

ENDPOINT = "foreign_token.test_policy"
PATH = "/auth/test-policy"
ALLOW = {"engine": "allow"}


def tried(app: Flask, request: object, policy: object) -> dict[str, Any]:
    answer = operate(app, "POST", PATH, {"request": request, "policy": policy})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json
    return told


def result(app: Flask, request: object, policy: object) -> dict[str, Any]:
    found: dict[str, Any] = tried(app, request, policy)["result"]
    return found


def decisions() -> list[pytest.ParameterSet]:
    return [pytest.param(row, id=row["name"]) for row in read("aidbox-policies/decisions.json")]


@pytest.mark.parametrize("row", cases("aidbox-policies/decisions.json", decisions))
def test_a_documented_decision(app: Flask, row: dict[str, Any]) -> None:
    results = [result(app, row["request"], body) for body in row["policies"]]

    assert any(found["eval-result"] for found in results) is row["allowed"]
    assert all(found["eval-result"] is not bool(found["mismatches"]) for found in results)


def test_it_repeats_request_and_policy_with_the_result(app: Flask) -> None:
    body = {"engine": "matcho", "matcho": {"uri": "/a"}}

    told = tried(app, {"uri": "/b"}, body)

    assert told == {
        "request": {"uri": "/b"},
        "policy": body,
        "result": {"eval-result": False, "mismatches": [{"expected": "/a", "but": "/b", "path": ["uri"]}]},
    }


def test_a_policy_that_allows_says_so_and_nothing_more(app: Flask) -> None:
    assert result(app, {}, ALLOW) == {"eval-result": True, "mismatches": []}


def test_nothing_is_stored(app: Flask) -> None:
    result(app, {}, {"resourceType": "AccessPolicy", "id": "mine", **ALLOW})

    assert operate(app, "GET", "/AccessPolicy/mine").status_code == 404
    assert operate(app, "GET", "/AccessPolicy").json["total"] == 0


def test_an_inactive_policy_is_tried_as_well(app: Flask) -> None:
    assert result(app, {}, {**ALLOW, "active": False})["eval-result"]


def test_links_and_roles_count(app: Flask) -> None:
    linked = {**ALLOW, "link": [{"resourceType": "User", "id": "ann"}], "roleName": "nurse"}

    assert result(app, {"user": {"id": "ann", "roles": ["nurse"]}}, linked)["eval-result"]
    assert result(app, {"user": {"id": "bob", "roles": ["nurse"]}}, linked)["mismatches"] == [
        {"expected": {"reference": "User/ann"}, "but": "bob", "path": ["user", "id"]}
    ]
    assert not result(app, {"user": {"id": "ann", "roles": ["clerk"]}}, linked)["eval-result"]


# ---- the token


def bearing(issuer: Issuer, name: str = "authorization", **claims: object) -> dict[str, object]:
    return {"headers": {name: token_header(issuer, **claims)["Authorization"], "accept": "text/html"}}


@pytest.mark.parametrize("name", ["authorization", "Authorization"])
def test_a_token_is_taken_apart_and_not_verified(app: Flask, issuer: Issuer, name: str) -> None:
    asked = bearing(issuer, name, iss="https://nobody.example", sub="ann", azp="web", exp=1)

    told = tried(app, asked, {"engine": "matcho", "matcho": {"jwt": {"sub": "ann"}, "client": {"id": "web"}}})

    assert told["result"] == {"eval-result": True, "mismatches": [], "token-verified": False}
    assert told["request"]["headers"] == {"accept": "text/html"}
    assert told["request"]["jwt"]["iss"] == "https://nobody.example"
    assert asked["headers"][name].split()[1] not in str(told)  # type: ignore[index]


def test_a_client_that_is_given_stands_before_the_tokens(app: Flask, issuer: Issuer) -> None:
    asked = {**bearing(issuer, azp="web"), "client-id": "other"}

    assert tried(app, asked, ALLOW)["request"]["client"] == {"id": "other"}


def test_another_credential_says_nothing_to_policies(app: Flask) -> None:
    told = tried(app, {"headers": {"authorization": "Basic YTpi", "cookie": "a=b"}}, ALLOW)

    assert told["request"] == {"headers": {}}
    assert "token-verified" not in told["result"]


# ---- the user


def test_a_user_is_loaded_by_id(app: Flask) -> None:
    operate(app, "PUT", "/User/ann", {})

    told = tried(app, {"user-id": "ann"}, {"engine": "matcho", "matcho": {"user": {"id": "ann"}}})

    assert told["result"]["eval-result"]
    assert told["request"]["user"]["resourceType"] == "User"
    assert "user-id" not in told["request"]


def test_a_user_can_be_given(app: Flask) -> None:
    assert result(app, {"user": {"id": "x"}}, {"engine": "matcho", "matcho": {"user": {"id": "x"}}})["eval-result"]


def test_trying_makes_no_user(app: Flask, issuer: Issuer) -> None:
    tutorial(app)

    tried(app, bearing(issuer, sub="ann"), ALLOW)
    operate(app, "GET", "/User")

    assert rows(app, "SELECT count(*) FROM foreign_token_user") == [(0,)]


# ---- secrets


def test_secrets_of_the_request_are_not_repeated(app: Flask) -> None:
    asked = {"params": {"access_token": "abc"}, "query-string": "access_token=abc&a=1", "headers": {"x-api-key": "k-1"}}

    told = tried(app, asked, {"engine": "matcho", "matcho": {"headers": {"x-api-key": "k-2"}}})

    assert told["request"] == {
        "params": {"access_token": "********"},
        "query-string": "access_token=********&a=1",
        "headers": {"x-api-key": "********"},
    }
    assert told["result"]["mismatches"] == [
        {"expected": "********", "but": "********", "path": ["headers", "x-api-key"]}
    ]


# ---- what is refused


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({}, ["request", "policy"]),
        ({"request": {}, "policy": ALLOW, "more": 1}, ["more"]),
        ({"request": [], "policy": ALLOW}, ["request"]),
        ({"request": {}, "policy": "allow"}, ["policy"]),
        ({"request": {}, "policy": {}}, ["policy.engine"]),
        ({"request": {}, "policy": {"engine": "nothing"}}, ["policy.engine"]),
        ({"request": {}, "policy": {"engine": "matcho", "matcho": {"jwt": None}}}, ["policy.matcho.jwt"]),
        ({"request": {}, "policy": {**ALLOW, "link": [{"reference": "x"}]}}, ["policy.link.0.reference"]),
        ({"request": {}, "policy": {**ALLOW, "resourceType": "User"}}, ["policy.resourceType"]),
        ({"request": {"user-id": "nobody"}, "policy": ALLOW}, ["request.user-id"]),
        ({"request": {"user-id": 1}, "policy": ALLOW}, ["request.user-id"]),
        ({"request": {"user-id": "a", "user": {}}, "policy": ALLOW}, ["request.user-id"]),
        ({"request": {"client-id": "a", "client": {}}, "policy": ALLOW}, ["request.client-id"]),
        ({"request": {"headers": {"authorization": "Bearer abc"}}, "policy": ALLOW}, ["request.headers.authorization"]),
        (
            {"request": {"headers": {"authorization": "Bearer abc"}, "jwt": {}}, "policy": ALLOW},
            ["request.headers.authorization"],
        ),
        ({"request": {"user-id": "nobody"}, "policy": {"engine": "nothing"}}, ["request.user-id", "policy.engine"]),
    ],
)
def test_what_cannot_be_tried_is_refused_with_its_place(app: Flask, body: object, paths: list[str]) -> None:
    answer = operate(app, "POST", PATH, body)

    assert answer.status_code == 422, answer.text
    assert [issue["path"] for issue in answer.json["issues"]] == paths
    # But for the id of the decision, which may hold anything.
    assert "abc" not in answer.text.replace(answer.json["decision_id"], "")


def test_yaml_goes_in_and_out(app: Flask) -> None:
    body = "request: {uri: /a}\npolicy: {engine: allow}\n"

    answer = operate(app, "POST", PATH, body, headers={"Accept": "text/yaml"})

    told: Any = read_yaml(answer.data)
    assert told["result"]["eval-result"] is True


def test_other_media_types_and_large_bodies_are_refused(app: Flask) -> None:
    assert operate(app, "POST", PATH, "a=1", content_type="text/plain").status_code == 415
    assert operate(app, "POST", PATH, {"request": "x" * (1024 * 1024), "policy": ALLOW}).status_code == 413


def test_a_registry_in_a_file_does_not_matter(make_app: MakeApp) -> None:
    app = make_app([], **ADMIN)

    assert result(app, {}, ALLOW)["eval-result"]


def test_it_is_the_operators(app: Flask, issuer: Issuer) -> None:
    body = {"request": {}, "policy": ALLOW}
    tutorial(app)
    ann = token_header(issuer, sub="ann")

    def status(**headers: Any) -> int:
        return ask(app, None, f"/fhir{PATH}", "POST", json=body, headers=headers).status_code

    assert status() == 401
    assert status(**ann) == 403
    tutorial(app, linked())
    assert status(**ann) == 200
    assert status(**token_header(issuer, sub="bob")) == 403


def linked(endpoint: str = ENDPOINT, **pattern: object) -> Resource:
    operation = endpoint.rpartition(".")[2]
    return policy(
        f"linked-{operation}", {"jwt": {"sub": "ann"}, **pattern}, link=[{"reference": f"Operation/{endpoint}"}]
    )


# ---- what a link to it does not open

READ = "foreign_token.read_user"
STORE = "foreign_token.update_access_policy"
SQL = {"engine": "sql", "sql": {"query": "SELECT {{uri}} = '/a'"}}


@pytest.fixture
def asking(make_app: MakeApp, tmp_path: Path) -> Flask:
    """Somebody with a token may try policies, and the engine sql is on."""
    path = tmp_path / "asked.db"
    sqlite3.connect(path).close()
    app = tutorial(make_app(**ADMIN, FOREIGN_TOKEN_SQL_URI=f"sqlite:///{path}"), linked())
    for name in ("bob", "eve"):
        operate(app, "PUT", f"/User/{name}", {})
    return app


def answer_to_ann(app: Flask, issuer: Issuer, request: object, policy: object) -> TestResponse:
    body = {"request": request, "policy": policy}
    return ask(app, None, f"/fhir{PATH}", "POST", json=body, headers=token_header(issuer, sub="ann"))


def test_a_stored_user_is_shown_to_whoever_may_read_that_very_user(asking: Flask, issuer: Issuer) -> None:
    def status(name: str) -> int:
        read = ask(asking, None, f"/fhir/User/{name}", headers=token_header(issuer, sub="ann")).status_code
        tried = answer_to_ann(asking, issuer, {"user-id": name}, ALLOW)
        assert "identifier" not in tried.text or read == 200
        assert tried.status_code == read or (tried.status_code, read) == (422, 404)
        return tried.status_code

    refused = answer_to_ann(asking, issuer, {"user-id": "bob"}, ALLOW)
    assert (refused.status_code, refused.json["error"]) == (403, "access_denied")
    assert f"Operation/{READ}" in refused.json["error_description"]
    assert status("nobody") == 403

    for pattern, statuses in (
        ({"params": {"id_": "bob"}}, [200, 403, 403]),
        ({"params": {"id_": {"$not": "eve"}}}, [200, 403, 422]),
        ({"uri": "#/User/bob$", "request-method": "get", "body": "nil?"}, [200, 403, 403]),
        ({"operation": {"id": READ}}, [200, 200, 422]),
        ({"jwt": {"sub": "another"}}, [403, 403, 403]),
    ):
        tutorial(asking, linked(READ, **pattern))
        assert [status(name) for name in ("bob", "eve", "nobody")] == statuses


NESTED = {"engine": "complex", "and": [ALLOW, {"engine": "complex", "or": [SQL]}]}


@pytest.mark.parametrize("body", [SQL, NESTED])
def test_the_database_is_asked_for_whoever_may_store_that_very_policy(
    asking: Flask, issuer: Issuer, body: dict[str, Any]
) -> None:
    def status() -> int:
        return answer_to_ann(asking, issuer, {"uri": "/a"}, {"id": "mine", **body}).status_code

    refused = answer_to_ann(asking, issuer, {"uri": "/a"}, body)
    assert (refused.status_code, refused.json["error"]) == (403, "access_denied")
    assert f"Operation/{STORE}" in refused.json["error_description"]

    tutorial(asking, linked(STORE, body={"engine": "matcho"}))
    assert status() == 403
    tutorial(asking, linked(STORE, params={"id_": "mine"}, body={"engine": body["engine"]}))
    assert status() == 200


def test_without_either_other_policies_are_tried_on_what_is_told(asking: Flask, issuer: Issuer) -> None:
    answer = answer_to_ann(asking, issuer, {"user": {"id": "bob"}}, {**ALLOW, "roleName": "nurse"})

    assert answer.status_code == 200


def test_the_operator_may_do_both(asking: Flask) -> None:
    assert tried(asking, {"user-id": "bob", "uri": "/a"}, SQL)["result"]["eval-result"]


def test_a_refusal_is_a_decision_like_every_other(
    asking: Flask, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    with listening(asking, caplog) as told:
        answer = answer_to_ann(asking, issuer, {"user-id": "bob"}, ALLOW)

    assert [decision.allowed for decision in told.signalled] == [True, False]
    assert told.signalled[1].id == answer.json["decision_id"]


def test_a_policy_that_is_tried_and_fails_is_told_and_not_logged(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    found = result(app, {"uri": "x" * 70_000}, {"engine": "matcho", "matcho": {"uri": "#a+b"}})

    assert (found["eval-result"], found["error"]) == (False, "TextTooLong")
    assert "AccessPolicy/policy" not in caplog.text
