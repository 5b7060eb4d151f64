"""How resources become what they were before."""

from __future__ import annotations

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import SECRET, ask, introspector, policy, provider
from .asking import operate, token_header, tutorial
from .histories import A, authors, back, body, history, made_changed_and_deleted


@pytest.fixture
def three(app: Flask) -> Flask:
    return made_changed_and_deleted(app)


def test_a_resource_becomes_what_it_was(three: Flask) -> None:
    created = back(three, A, "1")
    updated = back(three, A, "2")

    assert (created.status_code, body(created)) == (201, policy("a", {"user": "present?"}))
    assert created.headers["Location"] == f"http://localhost/fhir{A}"
    assert (created.headers["ETag"], created.json["meta"]["versionId"]) == ('W/"4"', "4")
    assert (updated.status_code, body(updated)) == (200, policy("a", {"jwt": "present?"}))
    assert operate(three, "GET", A).json == updated.json
    assert authors(three, A)[0] == "operator:operator"


def test_back_to_a_deletion_deletes(three: Flask) -> None:
    back(three, A, "1")

    answer = back(three, A, "3")

    assert (answer.status_code, answer.data) == (204, b"")
    assert operate(three, "GET", A).status_code == 404
    assert len(history(three, A)) == 5


@pytest.mark.parametrize(("version", "status"), [("3", 204), ("1", 200)])
def test_back_to_what_is_there_changes_nothing(three: Flask, version: str, status: int) -> None:
    back(three, A, version)
    before = history(three, A)

    assert back(three, A, version).status_code == status
    assert history(three, A) == before


def test_the_body_may_be_yaml(three: Flask) -> None:
    answer = operate(three, "POST", f"{A}/$rollback", 'versionId: "1"', headers={"Content-Type": "text/yaml"})

    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("sent", "path"),
    [
        ({}, "versionId"),
        ({"versionId": 1}, "versionId"),
        ({"versionId": ""}, "versionId"),
        ({"versionId": None}, "versionId"),
        ({"versionId": "77"}, "versionId"),
        ({"versionId": "1", "versionid": "2"}, "versionid"),
        ([], ""),
        ("{", ""),
    ],
    ids=range(8),
)
def test_what_cannot_be_done_is_refused_with_path_and_reason(three: Flask, sent: object, path: str) -> None:
    answer = operate(three, "POST", f"{A}/$rollback", sent)

    assert (answer.status_code, answer.json["error"]) == (422, "unprocessable")
    [issue] = answer.json["issues"]
    assert issue["path"] == path
    assert issue["message"]
    assert "resource" not in issue
    assert len(history(three, A)) == 3


def test_what_is_neither_json_nor_yaml_is_415(three: Flask) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    assert operate(three, "POST", f"{A}/$rollback", "versionId=1", headers=headers).status_code == 415


@pytest.mark.parametrize(
    ("sent", "headers"),
    [
        ({"versionId": "1"}, {}),
        ({"versionId": "1"}, {"If-Match": "*"}),
        ({}, {}),
        ("<a/>", {"Content-Type": "text/xml"}),
    ],
    ids=range(4),
)
def test_what_never_was_cannot_come_back_whatever_is_sent(three: Flask, sent: object, headers: dict[str, str]) -> None:
    answer = operate(three, "POST", "/AccessPolicy/b/$rollback", sent, headers=headers)

    assert (answer.status_code, answer.json["error"]) == (404, "not_found")


def test_what_would_be_refused_today_is_refused(app: Flask) -> None:
    operate(app, "PUT", "/IdentityProvider/keycloak", provider())
    linked = introspector("i", jwt={"iss": "https://idp.example", "secret": SECRET})
    operate(app, "PUT", "/TokenIntrospector/i", linked)
    operate(app, "DELETE", "/TokenIntrospector/i")
    operate(app, "DELETE", "/IdentityProvider/keycloak")

    answer = back(app, "/TokenIntrospector/i", "2")

    assert answer.status_code == 422
    assert [issue["path"] for issue in answer.json["issues"]] == ["identity_provider.reference"]
    assert SECRET not in answer.text
    assert operate(app, "GET", "/TokenIntrospector/i").status_code == 404
    assert len(history(app, "/TokenIntrospector/i")) == 2


def test_what_is_probably_not_meant_is_warned_of_or_refused_as_the_caller_likes(app: Flask) -> None:
    operate(app, "PUT", A, policy("a", {"user": "present?", "request-method": "PUT"}))
    operate(app, "PUT", A, policy("a", {"user": "present?"}))

    strict = back(app, A, "1", headers={"Prefer": "handling=strict"})
    lenient = back(app, A, "1")

    assert (strict.status_code, strict.headers["Preference-Applied"]) == (422, "handling=strict")
    assert [issue["path"] for issue in strict.json["issues"]] == ["matcho.request-method"]
    assert lenient.status_code == 200
    assert "matcho.request-method" in lenient.headers["Warning"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Match": 'W/"2"'}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": 'W/"1"'}, 412),
        ({"If-None-Match": "*"}, 412),
    ],
    ids=range(4),
)
def test_what_is_not_as_expected_stays(app: Flask, headers: dict[str, str], status: int) -> None:
    operate(app, "PUT", A, policy("a", {"user": "present?"}))
    operate(app, "PUT", A, policy("a", {"jwt": "present?"}))

    assert back(app, A, "1", headers=headers).status_code == status
    assert len(history(app, A)) == (3 if status == 200 else 2)


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"If-Match": "*"}, 412), ({"If-Match": 'W/"3"'}, 412), ({"If-None-Match": "*"}, 201)],
    ids=range(3),
)
def test_what_is_deleted_is_in_no_version(three: Flask, headers: dict[str, str], status: int) -> None:
    assert back(three, A, "1", headers=headers).status_code == status


def test_it_is_in_force_with_the_next_request(app: Flask, issuer: Issuer) -> None:
    tutorial(app)
    before = ask(app, None, headers=token_header(issuer)).status_code
    operate(app, "PUT", "/AccessPolicy/known-issuer", policy("known-issuer", {"jwt": {"sub": "nobody"}}))
    between = ask(app, None, headers=token_header(issuer)).status_code

    back(app, "/AccessPolicy/known-issuer", "3")

    assert [before, between, ask(app, None, headers=token_header(issuer)).status_code] == [200, 403, 200]
