"""Reading, writing and deleting one resource."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import SECRET, SECRET_ISSUER, ask, introspector, policy, provider, secret_token, trusting_a_secret
from .asking import BODIES, operate, token_header, tutorial

each_type = pytest.mark.parametrize("type_", list(BODIES))


def shown(resource: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name != "meta"}


def issues(answer: Any, status: int = 422, error: str = "unprocessable") -> dict[str, str]:
    assert (answer.status_code, answer.json["error"]) == (status, error)
    return {issue["path"]: issue["message"] for issue in answer.json["issues"]}


@each_type
def test_a_resource_is_made_read_changed_and_deleted(app: Flask, type_: str) -> None:
    path = f"/{type_}/other"

    made = operate(app, "PUT", path, BODIES[type_])
    again = operate(app, "PUT", path, BODIES[type_])
    read = operate(app, "GET", path)
    deleted = operate(app, "DELETE", path)

    assert [made.status_code, again.status_code, read.status_code, deleted.status_code] == [201, 200, 200, 204]
    assert made.headers["Location"] == f"http://localhost/fhir{path}"
    assert "Location" not in again.headers
    assert made.json == again.json == read.json
    assert read.json["resourceType"] == type_
    assert read.json["id"] == "other"
    assert (deleted.data, deleted.headers["Cache-Control"]) == (b"", "no-store")
    assert [operate(app, method, path).status_code for method in ("GET", "DELETE")] == [404, 404]


@each_type
def test_what_is_not_there_is_404(app: Flask, type_: str) -> None:
    for id_ in ("absent", "not%20an%20id!", "ä", "x" * 300):
        answer = operate(app, "GET", f"/{type_}/{id_}")

        assert (answer.status_code, answer.json["error"]) == (404, "not_found")
        assert operate(app, "DELETE", f"/{type_}/{id_}").status_code == 404


@each_type
def test_a_body_may_leave_out_what_the_path_says(app: Flask, type_: str) -> None:
    body = {name: value for name, value in BODIES[type_].items() if name not in ("resourceType", "id")}

    answer = operate(app, "PUT", f"/{type_}/other", body)

    assert (answer.status_code, answer.json["resourceType"], answer.json["id"]) == (201, type_, "other")


@each_type
@pytest.mark.parametrize(
    ("name", "value"),
    [("id", "another"), ("id", None), ("id", 7), ("resourceType", "Patient"), ("resourceType", None)],
)
def test_a_body_must_not_say_otherwise_than_the_path(app: Flask, type_: str, name: str, value: object) -> None:
    answer = operate(app, "PUT", f"/{type_}/other", {**BODIES[type_], name: value})

    assert "as in the path" in issues(answer)[name]
    assert operate(app, "GET", f"/{type_}/other").status_code == 404


@each_type
def test_what_was_read_can_be_written_back(app: Flask, type_: str) -> None:
    path = f"/{type_}/other"
    operate(app, "PUT", path, BODIES[type_])
    read = operate(app, "GET", path)

    answer = operate(app, "PUT", path, read.json, headers={"If-Match": read.headers["ETag"]})

    assert (answer.status_code, answer.json, answer.headers["ETag"]) == (200, read.json, read.headers["ETag"])


# ---- POST


@each_type
def test_post_makes_a_resource_under_an_id_of_its_own(app: Flask, type_: str) -> None:
    body = {name: value for name, value in BODIES[type_].items() if name != "id"}

    answer = operate(app, "POST", f"/{type_}", body)

    assert answer.status_code == 201
    assert str(uuid.UUID(answer.json["id"])) == answer.json["id"]
    assert answer.headers["Location"] == f"http://localhost/fhir/{type_}/{answer.json['id']}"
    assert operate(app, "GET", f"/{type_}/{answer.json['id']}").json == answer.json


@each_type
def test_post_takes_an_id_that_is_free_and_no_other(app: Flask, type_: str) -> None:
    made = operate(app, "POST", f"/{type_}", BODIES[type_])
    again = operate(app, "POST", f"/{type_}", BODIES[type_])

    assert (made.status_code, made.json["id"]) == (201, "other")
    assert "is taken" in issues(again, 409, "conflict")["id"]


@pytest.mark.parametrize("id_", ["", 7, None])
@each_type
def test_post_takes_no_id_that_is_none(app: Flask, type_: str, id_: object) -> None:
    answer = operate(app, "POST", f"/{type_}", {**BODIES[type_], "id": id_})

    assert (answer.status_code, operate(app, "GET", f"/{type_}").json["total"]) == (422, 0)


# ---- versions


@each_type
def test_a_version_that_is_known_is_not_sent_again(app: Flask, type_: str) -> None:
    path = f"/{type_}/other"
    tag = operate(app, "PUT", path, BODIES[type_]).headers["ETag"]

    known = operate(app, "GET", path, headers={"If-None-Match": f'"x", {tag}'})
    other = operate(app, "GET", path, headers={"If-None-Match": '"x"'})

    assert tag.startswith('W/"')
    assert (known.status_code, known.data, known.headers["ETag"]) == (304, b"", tag)
    assert (other.status_code, other.headers["ETag"]) == (200, tag)


@pytest.mark.parametrize("form", ["{}", "*", 'W/"x", {}', '"{.3}'])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_what_is_in_the_expected_version_is_changed(app: Flask, method: str, form: str) -> None:
    tag = operate(app, "PUT", "/AccessPolicy/other", BODIES["AccessPolicy"]).headers["ETag"]
    expected = form.replace("{}", tag).replace('"{.3}', tag.removeprefix("W/"))

    answer = operate(
        app, method, "/AccessPolicy/other", policy("other") if method == "PUT" else None, headers={"If-Match": expected}
    )

    assert answer.status_code in (200, 204)


@each_type
@pytest.mark.parametrize("expected", ['W/"no such version"', '"x", "y"', ""])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_what_is_in_another_version_is_not(app: Flask, type_: str, method: str, expected: str) -> None:
    path = f"/{type_}/other"
    before = operate(app, "PUT", path, BODIES[type_]).json

    answer = operate(app, method, path, BODIES[type_] if method == "PUT" else None, headers={"If-Match": expected})

    assert (answer.status_code, answer.json["error"]) == (412, "precondition_failed")
    assert operate(app, "GET", path).json == before


@each_type
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_what_is_absent_is_in_no_version(app: Flask, type_: str, method: str) -> None:
    body = BODIES[type_] if method == "PUT" else None

    for expected in ("*", 'W/"1"'):
        assert operate(app, method, f"/{type_}/other", body, headers={"If-Match": expected}).status_code == 412
    assert operate(app, "GET", f"/{type_}/other").status_code == 404


@each_type
def test_what_must_be_new_is_made_once(app: Flask, type_: str) -> None:
    headers = {"If-None-Match": "*"}

    answers = [operate(app, "PUT", f"/{type_}/other", BODIES[type_], headers=headers) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 412]


def test_two_who_read_the_same_do_not_write_over_each_other(app: Flask) -> None:
    tag = operate(app, "PUT", "/AccessPolicy/other", BODIES["AccessPolicy"]).headers["ETag"]

    first = operate(app, "PUT", "/AccessPolicy/other", policy("other", {"jwt": "present?"}), headers={"If-Match": tag})
    second = operate(app, "PUT", "/AccessPolicy/other", policy("other"), headers={"If-Match": tag})

    assert (first.status_code, second.status_code) == (200, 412)
    assert first.headers["ETag"] != tag
    assert operate(app, "GET", "/AccessPolicy/other").json == first.json


# ---- what is refused


@pytest.mark.parametrize(
    ("path", "body", "wrong"),
    [
        ("/IdentityProvider/x", {"title": 7}, {"title", "system", "userinfo_endpoint"}),
        ("/TokenIntrospector/x", {"type": "jwt", "jwt": {"iss": "a", "leway": 1}}, {"jwt.leway"}),
        ("/AccessPolicy/x", {"engine": "alow"}, {"engine"}),
        ("/AccessPolicy/x", {"engine": "matcho", "matcho": {"jwt": {"sub": "#["}}}, {"matcho.jwt.sub"}),
        ("/AccessPolicy/no%20spaces", {"engine": "allow"}, {"id"}),
        ("/User/x", {"identifier": [{"system": 1, "value": "a"}]}, {"identifier.0.system"}),
    ],
)
def test_a_refusal_names_path_and_reason_and_changes_nothing(
    app: Flask, path: str, body: object, wrong: set[str]
) -> None:
    answer = operate(app, "PUT", path, body)

    found = issues(answer)
    assert found.keys() >= wrong
    assert all(found.values())
    assert all("resource" not in issue for issue in answer.json["issues"])
    assert answer.headers["Cache-Control"] == "no-store"
    assert operate(app, "GET", path).status_code == 404


def test_what_others_rest_on_is_not_deleted_and_they_are_named(app: Flask) -> None:
    tutorial(app)

    answer = operate(app, "DELETE", "/IdentityProvider/keycloak")

    assert (answer.status_code, answer.json["error"]) == (409, "conflict")
    [issue] = answer.json["issues"]
    assert issue["resource"] == "TokenIntrospector/secret"
    assert issue["message"] == "still refers to IdentityProvider/keycloak; delete or change that first"
    assert operate(app, "GET", "/IdentityProvider/keycloak").status_code == 200


def test_a_type_that_is_none_of_ours_is_the_apps(app: Flask) -> None:
    assert operate(app, "GET", "/Patient").status_code == 404
    assert operate(app, "PATCH", "/User/x").status_code == 405


# ---- secrets


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_secret_is_never_read_back(app: Flask, method: str) -> None:
    tutorial(app)
    body = trusting_a_secret()[1] if method == "PUT" else None

    answer = operate(app, method, "/TokenIntrospector/secret", body)

    assert answer.json["jwt"]["secret"] == "********"
    assert SECRET.encode() not in answer.data
    assert SECRET.encode() not in operate(app, "GET", "/TokenIntrospector").data


def test_the_mask_that_is_written_back_keeps_the_secret(app: Flask, issuer: Issuer) -> None:
    tutorial(app)
    read = operate(app, "GET", "/TokenIntrospector/secret").json
    read["jwt"]["leeway"] = 60

    answer = operate(app, "PUT", "/TokenIntrospector/secret", read)

    assert (answer.status_code, answer.json["jwt"]["leeway"]) == (200, 60)
    assert ask(app, secret_token(issuer)).status_code == 200


def test_a_mask_with_nothing_behind_it_is_refused(app: Flask) -> None:
    body = introspector("other", None, jwt={"iss": SECRET_ISSUER, "secret": "********"})

    assert "jwt.secret" in issues(operate(app, "PUT", "/TokenIntrospector/other", body))


def test_no_refusal_shows_a_secret(app: Flask) -> None:
    body = introspector("other", None, jwt={"iss": 7, "secret": SECRET, SECRET: SECRET})

    answer = operate(app, "PUT", "/TokenIntrospector/other", {**body, "jwks_uri": "https://keys.example"})

    assert answer.status_code == 422


# ---- in force


def test_what_is_written_is_in_force_with_the_next_request(app: Flask, issuer: Issuer) -> None:
    token = secret_token(issuer, sub="ann")
    statuses = [ask(app, token).status_code]
    for body in trusting_a_secret():
        assert operate(app, "PUT", f"/{body['resourceType']}/{body['id']}", body).status_code == 201
        statuses.append(ask(app, token).status_code)
    operate(app, "PUT", "/AccessPolicy/known-issuer", policy("known-issuer", {"jwt": {"sub": "bob"}}))
    statuses.append(ask(app, token).status_code)
    operate(app, "DELETE", "/TokenIntrospector/secret")
    statuses.append(ask(app, token).status_code)

    assert statuses == [401, 401, 403, 200, 403, 401]


def test_a_user_who_is_made_inactive_is_out_with_the_next_request(app: Flask, issuer: Issuer) -> None:
    tutorial(app)
    token = secret_token(issuer, sub="ann")
    assert ask(app, token).status_code == 200
    (entry,) = operate(app, "GET", "/User").json["entry"]

    answer = operate(app, "PUT", f"/User/{entry['resource']['id']}", {**entry["resource"], "inactive": True})

    assert (answer.status_code, answer.json["inactive"]) == (200, True)
    assert ask(app, token).status_code == 401


def test_a_user_who_has_come_is_shown_as_the_tutorial_shows_one(app: Flask, issuer: Issuer) -> None:
    tutorial(app)
    ask(app, None, headers=token_header(issuer, sub="ann"))

    (entry,) = operate(app, "GET", "/User").json["entry"]

    user = entry["resource"]
    assert set(user) == {"data", "identifier", "id", "resourceType", "meta"}
    assert user["identifier"] == [{"system": "keycloak", "value": "ann"}]
    assert set(user["meta"]) == {"lastUpdated", "versionId", "extension"}
    assert entry["fullUrl"] == f"http://localhost/fhir/User/{user['id']}"


def test_a_provider_without_anything_else_can_be_stored(app: Flask) -> None:
    assert shown(operate(app, "PUT", "/IdentityProvider/other", provider("other")).json) == provider("other")
