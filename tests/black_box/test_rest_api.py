"""What the operator's endpoints do with resources."""

from __future__ import annotations

import threading
from copy import deepcopy

import pytest
import yaml
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import ask, secret_token, trusting, trusting_a_secret, without
from .callers import (
    BODIES,
    CLIENT_SECRET,
    REGISTRY_TYPES,
    SIGNING_SECRET,
    TYPES,
    Operated,
    everything,
    ids,
    operate,
    put,
    read,
)

each_type = pytest.mark.parametrize("name", TYPES)
each_registry_type = pytest.mark.parametrize("name", REGISTRY_TYPES)


def stored(app: Flask, name: str, thing: str = "thing"):
    answer = operate(app, "PUT", f"/fhir/{name}/{thing}", BODIES[name])
    assert answer.status_code == 201, answer.get_data(as_text=True)
    return answer


@each_type
def test_put_answers_201_with_the_resource_and_then_200(trusted: Flask, name):
    first = operate(trusted, "PUT", f"/fhir/{name}/thing", BODIES[name])
    second = operate(trusted, "PUT", f"/fhir/{name}/thing", BODIES[name])

    assert (first.status_code, second.status_code) == (201, 200)
    for answer in (first, second):
        assert (answer.json["resourceType"], answer.json["id"]) == (name, "thing")
        assert answer.json["meta"]["versionId"]
        assert answer.headers["ETag"]


@each_type
@pytest.mark.parametrize("content_type", ["text/yaml", "application/yaml", "application/x.y+yaml", None])
def test_a_yaml_body_is_read_with_and_without_a_content_type(trusted: Flask, name, content_type):
    body = yaml.safe_dump({"resourceType": name, "id": "thing", **BODIES[name]})

    answer = operate(trusted, "PUT", f"/fhir/{name}/thing", body, content_type=content_type)

    assert answer.status_code == 201
    assert {"resourceType": name, "id": "thing"}.items() <= answer.json.items()


@each_type
@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "application/fhir+json", "APPLICATION/JSON"]
)
def test_a_json_body_is_read(trusted: Flask, name, content_type):
    assert operate(trusted, "PUT", f"/fhir/{name}/thing", BODIES[name], content_type=content_type).status_code == 201


@each_type
def test_json_without_a_content_type_is_read(trusted: Flask, name):
    assert operate(trusted, "PUT", f"/fhir/{name}/thing", BODIES[name], content_type=None).status_code == 201


@each_type
def test_what_was_put_is_read_with_the_same_etag(trusted: Flask, name):
    written = stored(trusted, name)

    answer = operate(trusted, "GET", f"/fhir/{name}/thing")

    assert answer.json == written.json
    assert answer.headers["ETag"] == written.headers["ETag"]


@each_type
def test_what_was_read_can_be_put_back_as_it_is_and_changes_nothing(trusted: Flask, name):
    stored(trusted, name)
    before = read(trusted, f"{name}/thing")

    answer = operate(trusted, "PUT", f"/fhir/{name}/thing", before)

    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert without(read(trusted, f"{name}/thing"), "meta") == without(before, "meta")


@each_type
def test_what_was_read_as_yaml_can_be_put_back_as_yaml(trusted: Flask, name):
    stored(trusted, name)
    text = operate(trusted, "GET", f"/fhir/{name}/thing", headers={"Accept": "text/yaml"})
    assert "yaml" in text.headers["Content-Type"]

    answer = operate(trusted, "PUT", f"/fhir/{name}/thing", text.data, content_type="text/yaml")

    assert answer.status_code == 200, answer.get_data(as_text=True)


@each_type
def test_an_entry_of_a_search_can_be_put_back(trusted: Flask, name):
    stored(trusted, name)
    [entry] = [e for e in read(trusted, name)["entry"] if e["resource"]["id"] == "thing"]

    assert put(trusted, entry["resource"]).status_code == 200


@each_type
def test_post_makes_an_id_and_says_where_it_is(trusted: Flask, name):
    answer = operate(trusted, "POST", f"/fhir/{name}", BODIES[name])

    assert answer.status_code == 201
    assert answer.headers["ETag"]
    assert answer.headers["Location"].endswith(f"/fhir/{name}/{answer.json['id']}")
    assert operate(trusted, "GET", answer.headers["Location"]).json == answer.json


@each_type
def test_post_of_an_id_that_is_taken_changes_nothing(trusted: Flask, name):
    stored(trusted, name)
    before = everything(trusted)
    body = {"id": "thing", **BODIES[name], "description" if name == "AccessPolicy" else "title": "another"}

    answer = operate(trusted, "POST", f"/fhir/{name}", body)

    assert answer.status_code in {409, 412, 422}
    assert everything(trusted) == before


@each_type
def test_what_was_deleted_is_gone(trusted: Flask, name):
    stored(trusted, name)

    answer = operate(trusted, "DELETE", f"/fhir/{name}/thing")

    assert (answer.status_code, answer.data) == (204, b"")
    assert operate(trusted, "GET", f"/fhir/{name}/thing").status_code == 404
    assert "thing" not in ids(trusted, name)


@each_type
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_what_is_not_there_is_answered_404_as_json(trusted: Flask, name, method):
    answer = operate(trusted, method, f"/fhir/{name}/nothing")

    assert answer.status_code == 404
    assert answer.json["error"]


@each_type
def test_what_was_deleted_can_be_made_again_with_another_etag(trusted: Flask, name):
    first = stored(trusted, name)
    operate(trusted, "DELETE", f"/fhir/{name}/thing")

    second = stored(trusted, name)

    assert second.headers["ETag"] != first.headers["ETag"]


@each_type
def test_a_search_is_a_bundle_with_a_total(trusted: Flask, name):
    stored(trusted, name)

    bundle = read(trusted, name)

    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "searchset")
    assert bundle["total"] == len(bundle["entry"])
    assert all(entry["resource"]["resourceType"] == name for entry in bundle["entry"])


def test_a_search_in_pages_shows_everything_once(operated: Operated):
    app = operated()
    for number in range(7):
        operate(app, "PUT", f"/fhir/AccessPolicy/p{number}", {"engine": "allow"})

    seen, path = [], "/fhir/AccessPolicy?_count=3"
    while path:
        bundle = operate(app, "GET", path).json
        assert bundle["total"] == 7
        assert len(bundle["entry"]) <= 3
        seen += [entry["resource"]["id"] for entry in bundle["entry"]]
        path = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)

    assert sorted(seen) == [f"p{number}" for number in range(7)]
    assert len(seen) == 7


def test_users_come_in_pages_too(trusted: Flask):
    for number in range(5):
        body = {"identifier": [{"system": "keycloak", "value": f"u{number}"}]}
        assert operate(trusted, "PUT", f"/fhir/User/u{number}", body).status_code == 201

    pages = [read(trusted, f"User?_count=2&_page={page}") for page in (1, 2, 3, 4)]

    assert [page["total"] for page in pages] == [5, 5, 5, 5]
    assert [len(page["entry"]) for page in pages] == [2, 2, 1, 0]
    assert len({entry["resource"]["id"] for page in pages for entry in page["entry"]}) == 5


@each_type
def test_a_search_by_id_finds_it_alone(trusted: Flask, name):
    stored(trusted, name)

    assert [entry["resource"]["id"] for entry in read(trusted, f"{name}?_id=thing")["entry"]] == ["thing"]
    assert read(trusted, f"{name}?_id=nothing")["total"] == 0


def test_a_count_of_zero_answers_the_total_alone(trusted: Flask):
    bundle = read(trusted, "AccessPolicy?_count=0")

    assert (bundle["total"], bundle["entry"]) == (1, [])


@each_type
def test_a_matching_if_none_match_is_answered_304(trusted: Flask, name):
    etag = stored(trusted, name).headers["ETag"]

    answer = operate(trusted, "GET", f"/fhir/{name}/thing", headers={"If-None-Match": etag})

    assert (answer.status_code, answer.data) == (304, b"")


@each_type
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_the_current_etag_in_if_match_lets_a_write_through(trusted: Flask, name, method):
    etag = stored(trusted, name).headers["ETag"]

    answer = operate(trusted, method, f"/fhir/{name}/thing", BODIES[name], headers={"If-Match": etag})

    assert answer.status_code == (200 if method == "PUT" else 204)


@each_type
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_an_old_etag_in_if_match_is_answered_412_and_changes_nothing(trusted: Flask, name, method):
    old = stored(trusted, name).headers["ETag"]
    changed = {**BODIES[name], **({"inactive": True} if name == "User" else {"active": False})}
    assert operate(trusted, "PUT", f"/fhir/{name}/thing", changed).status_code == 200
    before = everything(trusted)

    answer = operate(trusted, method, f"/fhir/{name}/thing", BODIES[name], headers={"If-Match": old})

    assert answer.status_code == 412
    assert answer.json["error"]
    assert everything(trusted) == before


@each_type
@pytest.mark.parametrize("condition", ["*", '"1"', 'W/"1"'])
def test_if_match_makes_nothing_that_is_not_there(trusted: Flask, name, condition):
    answer = operate(trusted, "PUT", f"/fhir/{name}/thing", BODIES[name], headers={"If-Match": condition})

    assert answer.status_code == 412
    assert "thing" not in ids(trusted, name)


@each_type
def test_of_two_who_put_with_the_same_etag_at_once_one_gets_412(trusted: Flask, name):
    etag = stored(trusted, name).headers["ETag"]
    statuses: list[int] = []
    start = threading.Barrier(2)

    def write(mark: str) -> None:
        changed = {**BODIES[name], **({"nickname": mark} if name == "User" else {})}
        if name == "AccessPolicy":
            changed["description"] = mark
        elif name == "IdentityProvider":
            changed["title"] = mark
        elif name == "TokenIntrospector":
            changed["cache_ttl"] = 100 + len(mark)
        start.wait()
        statuses.append(operate(trusted, "PUT", f"/fhir/{name}/thing", changed, headers={"If-Match": etag}).status_code)

    threads = [threading.Thread(target=write, args=(mark,)) for mark in ("one", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [200, 412]


@each_registry_type
def test_a_change_gives_another_etag(trusted: Flask, name):
    first = stored(trusted, name).headers["ETag"]

    second = operate(trusted, "PUT", f"/fhir/{name}/thing", {**BODIES[name], "active": False}).headers["ETag"]

    assert first != second


@pytest.mark.parametrize(
    ("name", "at", "secret"),
    [
        ("IdentityProvider", ("client", "secret"), CLIENT_SECRET),
        ("TokenIntrospector", ("jwt", "secret"), SIGNING_SECRET),
    ],
)
def test_a_secret_is_masked_wherever_it_is_answered(trusted: Flask, name, at, secret):
    answers = [
        stored(trusted, name),
        operate(trusted, "PUT", f"/fhir/{name}/thing", BODIES[name]),
        operate(trusted, "GET", f"/fhir/{name}/thing"),
        operate(trusted, "GET", f"/fhir/{name}/thing", headers={"Accept": "text/yaml"}),
        operate(trusted, "GET", f"/fhir/{name}"),
        operate(trusted, "PUT", f"/fhir/{name}/thing", {**BODIES[name], "active": 3}),
    ]

    for answer in answers:
        assert secret not in answer.get_data(as_text=True)
    assert answers[2].json[at[0]][at[1]] == "********"


def test_a_masked_secret_that_is_put_back_goes_on_verifying_tokens(operated: Operated, issuer: Issuer):
    app = operated(trusting_a_secret())
    before = read(app, "TokenIntrospector/secret")
    assert before["jwt"]["secret"] == "********"

    assert put(app, {**before, "cache_ttl": 60}).status_code == 200

    assert ask(app, secret_token(issuer)).status_code == 200


def test_a_mask_where_no_secret_is_stored_is_refused(operated: Operated):
    body = deepcopy(dict(BODIES["TokenIntrospector"]))
    body["jwt"]["secret"] = "********"
    app = operated()

    answer = operate(app, "PUT", "/fhir/TokenIntrospector/new", body)

    assert answer.status_code == 422
    assert answer.json["issues"][0]["path"] == "jwt.secret"
    assert ids(app, "TokenIntrospector") == []


def test_a_token_is_refused_at_once_when_its_introspector_is_deleted(trusted: Flask, issuer: Issuer):
    token = issuer.token(sub="alice")
    assert ask(trusted, token).status_code == 200

    assert operate(trusted, "DELETE", "/fhir/TokenIntrospector/keycloak-jwt").status_code == 204

    assert ask(trusted, token).status_code == 401


def test_a_token_is_refused_at_once_when_its_introspector_is_put_inactive(trusted: Flask, issuer: Issuer):
    token = issuer.token(sub="alice")
    assert ask(trusted, token).status_code == 200

    put(trusted, {**read(trusted, "TokenIntrospector/keycloak-jwt"), "active": False})

    assert ask(trusted, token).status_code == 401


def test_a_request_is_denied_at_once_when_its_policy_is_deleted(trusted: Flask, issuer: Issuer):
    token = issuer.token(sub="alice")
    assert ask(trusted, token).status_code == 200

    assert operate(trusted, "DELETE", "/fhir/AccessPolicy/known-issuer").status_code == 204

    assert ask(trusted, token).status_code == 403


def test_a_provider_that_an_introspector_names_is_not_deleted(trusted: Flask, issuer: Issuer):
    before = everything(trusted)

    answer = operate(trusted, "DELETE", "/fhir/IdentityProvider/keycloak")

    assert answer.status_code in {409, 422}
    assert everything(trusted) == before
    assert ask(trusted, issuer.token()).status_code == 200


def test_the_tutorials_bodies_are_taken_in_the_tutorials_order(operated: Operated, issuer: Issuer):
    app = operated(FOREIGN_TOKEN_REQUIRE_AUDIENCE=False)
    for resource in trusting(issuer):
        jwt = {"jwt": {"iss": issuer.issuer}} if resource["resourceType"] == "TokenIntrospector" else {}
        body = yaml.safe_dump({**resource, **jwt}, sort_keys=False)
        answer = operate(app, "PUT", f"/fhir/{resource['resourceType']}/{resource['id']}", body)
        assert answer.status_code == 201

    assert ask(app, issuer.token()).status_code == 200
