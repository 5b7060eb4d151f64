"""``POST /auth/test-policy``: a policy that is not stored, tried on a request that nobody made."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from flask_foreign_token.documents import read_yaml
from flask_foreign_token.testing import Issuer

from ..apps import Resource, ask, policy, rows
from ..conftest import MakeApp
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
        {"expected": "ann", "but": "bob", "path": ["link", "user", "id"]}
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
    assert "abc" not in answer.text


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


def linked() -> Resource:
    return policy("linked", {"jwt": {"sub": "ann"}}, link=[{"reference": f"Operation/{ENDPOINT}"}])
