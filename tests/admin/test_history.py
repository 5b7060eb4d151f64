"""What resources were before, and who changed them."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import SECRET, ask, policy, rows, users_in
from ..conftest import MakeApp
from .asking import ADMIN, BODIES, NOUNS, basic, operate, token_header, tutorial
from .histories import A, authors, back, body, history, made_changed_and_deleted

TYPES = [type_ for type_ in BODIES if type_ != "User"]
BY = "urn:flask-foreign-token:by"

each_type = pytest.mark.parametrize("type_", TYPES)


@pytest.fixture
def three(app: Flask) -> Flask:
    return made_changed_and_deleted(app)


# ---- the history


def test_every_version_is_an_entry_the_latest_first(three: Flask) -> None:
    answer = operate(three, "GET", f"{A}/_history")

    assert (answer.json["resourceType"], answer.json["type"], answer.json["total"]) == ("Bundle", "history", 3)
    deleted, updated, created = answer.json["entry"]
    assert deleted["request"] == {"method": "DELETE", "url": "AccessPolicy/a"}
    assert updated["request"] == {"method": "PUT", "url": "AccessPolicy/a"}
    assert created["request"] == {"method": "POST", "url": "AccessPolicy"}
    assert [entry["response"]["status"] for entry in answer.json["entry"]] == ["204", "200", "201"]
    assert [entry["response"]["etag"] for entry in answer.json["entry"]] == ['W/"3"', 'W/"2"', 'W/"1"']
    assert {entry["fullUrl"] for entry in answer.json["entry"]} == {f"http://localhost/fhir{A}"}
    assert "resource" not in deleted
    assert created["resource"]["matcho"] == {"user": "present?"}
    assert created["resource"]["meta"] == {"versionId": "1", "lastUpdated": created["response"]["lastModified"]}


def test_every_entry_says_where_its_version_is(three: Flask) -> None:
    for entry in history(three, A):
        path = entry["response"]["location"].removeprefix("http://localhost/fhir")

        assert operate(three, "GET", path).json.get("matcho") == entry.get("resource", {}).get("matcho")


@each_type
def test_a_resource_of_each_type_has_one(app: Flask, type_: str) -> None:
    operate(app, "PUT", f"/{type_}/other", BODIES[type_])

    [entry] = history(app, f"/{type_}/other")

    assert entry["resource"] == operate(app, "GET", f"/{type_}/other").json


def test_a_user_has_none(app: Flask) -> None:
    operate(app, "PUT", "/User/other", BODIES["User"])

    assert operate(app, "GET", "/User/other/_history").status_code == 404
    assert operate(app, "POST", "/User/other/$rollback", {"versionId": "1"}).status_code == 404


def test_it_comes_in_pages_with_links_to_those_around(three: Flask) -> None:
    answer = operate(three, "GET", f"{A}/_history?_count=1&_page=2")

    assert [entry["response"]["etag"] for entry in answer.json["entry"]] == ['W/"2"']
    assert answer.json["total"] == 3
    links = {link["relation"]: link["url"] for link in answer.json["link"]}
    assert links == {
        "self": f"http://localhost/fhir{A}/_history?_count=1&_page=2",
        "next": f"http://localhost/fhir{A}/_history?_count=1&_page=3",
        "previous": f"http://localhost/fhir{A}/_history?_count=1&_page=1",
    }
    assert operate(three, "GET", f"{A}/_history?_count=0").json["entry"] == []
    assert history(three, A, "?_page=9") == []


@pytest.mark.parametrize("query", ["_count=x", "_page=0", "_id=a", "_since=2024", "_count=1&_count=2"])
def test_a_parameter_that_is_unknown_or_wrong_is_named(three: Flask, query: str) -> None:
    answer = operate(three, "GET", f"{A}/_history?{query}")

    assert answer.status_code == 422
    assert [issue["path"] for issue in answer.json["issues"]] == [query.partition("=")[0]]


@pytest.mark.parametrize("rest", ["/_history", "/_history/1"])
def test_what_never_was_has_no_history(three: Flask, rest: str) -> None:
    for id_ in ("b", "ä", "x" * 300):
        answer = operate(three, "GET", f"/AccessPolicy/{id_}{rest}")

        assert (answer.status_code, answer.json["error"]) == (404, "not_found")


def test_it_is_yaml_where_that_is_asked_for(three: Flask) -> None:
    answer = operate(three, "GET", f"{A}/_history", headers={"Accept": "text/yaml"})

    assert answer.text.startswith("resourceType: Bundle\ntype: history\n")
    assert operate(three, "GET", f"{A}/_history", headers={"Accept": "text/html"}).status_code == 406


def test_secrets_are_masked(app: Flask) -> None:
    tutorial(app)

    for rest in ("/_history", "/_history/2"):
        answer = operate(app, "GET", f"/TokenIntrospector/secret{rest}")

        assert answer.status_code == 200
        assert SECRET not in answer.text
        assert '"secret": "********"' in answer.text


# ---- one version


def test_a_version_is_the_resource_as_it_was(three: Flask) -> None:
    answer = operate(three, "GET", f"{A}/_history/2")

    assert (answer.status_code, answer.headers["ETag"]) == (200, 'W/"2"')
    assert body(answer) == policy("a", {"jwt": "present?"})
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_latest_version_is_the_resource_as_it_is(app: Flask) -> None:
    made = operate(app, "PUT", A, policy("a", {"user": "present?"}))

    assert operate(app, "GET", f"{A}/_history/1").json == made.json


def test_a_version_that_is_known_is_not_sent_again(three: Flask) -> None:
    path = f"{A}/_history/2"

    assert operate(three, "GET", path, headers={"If-None-Match": 'W/"2"'}).status_code == 304
    assert operate(three, "GET", path, headers={"If-None-Match": 'W/"1"'}).status_code == 200


def test_a_version_in_which_it_is_deleted_is_gone(three: Flask) -> None:
    answer = operate(three, "GET", f"{A}/_history/3")

    assert (answer.status_code, answer.json["error"]) == (410, "gone")


@pytest.mark.parametrize("version", ["4", "0", "02", "latest", "%20", "ä"])
def test_a_version_that_never_was_is_not_found(three: Flask, version: str) -> None:
    answer = operate(three, "GET", f"{A}/_history/{version}")

    assert (answer.status_code, answer.json["error_description"]) == (404, "there is no such version of the resource")


def test_a_version_that_cannot_be_read_is_not_shown(app: Flask) -> None:
    operate(app, "PUT", A, policy("a", {"user": "present?"}))
    rows(app, "UPDATE foreign_token_history SET body = '{' RETURNING id")

    answer = operate(app, "GET", f"{A}/_history/1")

    assert (answer.status_code, answer.json["error"]) == (404, "not_found")
    assert "cannot be read" in answer.json["error_description"]
    assert "resource" not in history(app, A)[0]
    assert back(app, A, "1").status_code == 422


# ---- who


def test_the_operator_is_named(three: Flask) -> None:
    assert authors(three, A) == ["operator:operator"] * 3
    assert history(three, A)[0]["extension"][0]["url"] == BY


def may_write(*verbs: str) -> dict[str, Any]:
    links = [{"reference": f"Operation/foreign_token.{verb}_access_policy"} for verb in verbs]
    return policy("linked", link=links)


def write(app: Flask, headers: dict[str, str]) -> None:
    """Make a policy, change it, change it back and delete it."""

    def send(method: str, path: str, sent: object = None) -> Any:
        answer = ask(app, None, f"/fhir{path}", method, headers=headers, json=sent)
        assert answer.status_code in (200, 201, 204), answer.text
        return answer.json

    first = send("POST", "/AccessPolicy", policy("a", {"user": "present?"}))["meta"]["versionId"]
    send("PUT", A, policy("a", {"jwt": "present?"}))
    send("POST", f"{A}/$rollback", {"versionId": first})
    send("DELETE", A)


def test_the_local_user_behind_a_token_is_named(app: Flask, issuer: Issuer) -> None:
    tutorial(app, may_write("create", "update", "delete", "rollback"))

    write(app, token_header(issuer, sub="ann", azp="backend"))

    assert users_in(app) == 1
    [(key,)] = rows(app, "SELECT id FROM foreign_token_user")
    assert authors(app, A) == [f"user:{key}"] * 4


@pytest.mark.parametrize(
    ("claims", "by"),
    [({"azp": "backend"}, "client:backend"), ({"client_id": "other"}, "client:other"), ({}, "token")],
    ids=["azp", "client_id", "neither"],
)
def test_a_token_without_a_user_names_its_client(
    make_app: MakeApp, issuer: Issuer, claims: dict[str, str], by: str
) -> None:
    app = make_app(**ADMIN, FOREIGN_TOKEN_CREATE_USER=False)
    tutorial(app, may_write("create", "update", "delete", "rollback"))

    write(app, token_header(issuer, **{"azp": None, **claims}))

    assert authors(app, A) == [by] * 4


def test_where_nobody_is_known_nobody_is_named(app: Flask) -> None:
    tutorial(app)

    assert authors(app, "/AccessPolicy/known-issuer") == [None]


# ---- a file


def test_a_file_has_no_history_and_the_reason_says_what_has(make_app: MakeApp) -> None:
    app = make_app([policy("a", {"user": "present?"})], **ADMIN)

    for path in (f"{A}/_history", f"{A}/_history/1"):
        answer = operate(app, "GET", path)
        assert (answer.status_code, answer.json["error"]) == (404, "not_found")
        assert "keep it under version control" in answer.json["error_description"]
    answer = back(app, A, "1")
    assert (answer.status_code, answer.json["error"]) == (405, "method_not_allowed")


# ---- who gets in

OPERATIONS = [
    (f"foreign_token.{verb}_{NOUNS[type_]}", method, f"/fhir/{type_}/other/{rest}")
    for type_ in TYPES
    for verb, method, rest in (
        ("history", "GET", "_history"),
        ("version", "GET", "_history/1"),
        ("rollback", "POST", "$rollback"),
    )
]


def perform(app: Flask, operation: tuple[str, str, str], headers: dict[str, str]) -> int:
    """The status of an operation, which says 404 to whoever may ask."""
    _, method, path = operation
    sent = {"versionId": "1"} if method == "POST" else None
    return ask(app, None, path, method, headers=headers, json=sent).status_code


@pytest.mark.parametrize("operation", OPERATIONS, ids=[name for name, *_ in OPERATIONS])
def test_a_link_opens_one_operation_and_no_other(app: Flask, issuer: Issuer, operation: tuple[str, str, str]) -> None:
    tutorial(app, policy("everyone"), policy("linked", link=[{"reference": f"Operation/{operation[0]}"}]))

    assert [perform(app, other, token_header(issuer)) for other in OPERATIONS] == [
        404 if other == operation else 403 for other in OPERATIONS
    ]
    assert {perform(app, other, {}) for other in OPERATIONS} == {401}
    assert {perform(app, other, basic()) for other in OPERATIONS} == {404}


@pytest.mark.parametrize("verb", ["read", "update", "create", "delete", "search"])
def test_who_may_do_something_else_may_not_go_back(app: Flask, issuer: Issuer, verb: str) -> None:
    tutorial(app, may_write(verb))
    operate(app, "PUT", A, policy("a", {"user": "present?"}))

    answer = ask(app, None, f"/fhir{A}/$rollback", "POST", headers=token_header(issuer), json={"versionId": "1"})

    assert answer.status_code == 403
