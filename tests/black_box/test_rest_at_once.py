"""Several operators at once, and states that come again."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from flask import Flask

from .callers import Operated, ids, operate, run

NAMELESS = "/fhir/User/nameless"
BOB = {"identifier": [{"system": "keycloak", "value": "bob"}]}


def at_once(count: int, call: Callable[[int], int]) -> list[int]:
    """What `call` returned for each number, all called at the same moment."""
    statuses: list[int] = []
    start = threading.Barrier(count)

    def work(number: int) -> None:
        start.wait()
        statuses.append(call(number))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(statuses)


def test_of_many_who_post_the_same_id_one_succeeds(operated: Operated):
    app = operated()

    def post(number: int) -> int:
        body = {"id": "one", "engine": "allow", "description": str(number)}
        return operate(app, "POST", "/fhir/AccessPolicy", body).status_code

    assert at_once(6, post) == [201] + [409] * 5


@pytest.mark.parametrize("name", ["AccessPolicy", "User"])
def test_of_many_who_put_if_nothing_is_there_one_succeeds(trusted: Flask, name):
    def put(number: int) -> int:
        body: dict[str, object] = {"identifier": [{"system": "keycloak", "value": f"bob-{number}"}]}
        if name == "AccessPolicy":
            body = {"engine": "allow", "description": str(number)}
        return operate(trusted, "PUT", f"/fhir/{name}/one", body, headers={"If-None-Match": "*"}).status_code

    assert at_once(6, put) == [201] + [412] * 5


def test_of_many_who_post_a_user_of_the_same_id_one_succeeds(trusted: Flask):
    def post(number: int) -> int:
        body = {"id": "one", "identifier": [{"system": "keycloak", "value": f"bob-{number}"}]}
        return operate(trusted, "POST", "/fhir/User", body).status_code

    assert at_once(6, post) == [201] + [409] * 5


def test_of_many_who_make_a_user_with_the_same_identifier_one_succeeds(trusted: Flask):
    statuses = at_once(6, lambda number: operate(trusted, "POST", "/fhir/User", BOB).status_code)

    assert statuses == [201] + [422] * 5
    assert len(ids(trusted, "User")) == 1


def test_many_who_put_different_resources_all_succeed(operated: Operated):
    app = operated()

    def put(number: int) -> int:
        return operate(app, "PUT", f"/fhir/AccessPolicy/p{number}", {"engine": "allow"}).status_code

    assert at_once(8, put) == [201] * 8
    assert len(ids(app, "AccessPolicy")) == 8


def test_a_put_and_a_delete_with_the_same_etag_do_not_both_succeed(operated: Operated):
    app = operated()
    path = "/fhir/AccessPolicy/one"
    etag = operate(app, "PUT", path, {"engine": "allow"}).headers["ETag"]

    def write(number: int) -> int:
        method, body = [("PUT", {"engine": "allow", "description": "x"}), ("DELETE", None)][number]
        return operate(app, method, path, body, headers={"If-Match": etag}).status_code

    assert at_once(2, write) in ([200, 412], [204, 412])


@pytest.mark.parametrize("name", ["AccessPolicy", "User"])
def test_if_none_match_makes_only_what_is_not_there(trusted: Flask, name):
    body = BOB if name == "User" else {"engine": "allow"}
    unless = {"If-None-Match": "*"}

    first = operate(trusted, "PUT", f"/fhir/{name}/one", body, headers=unless)
    second = operate(trusted, "PUT", f"/fhir/{name}/one", body, headers=unless)

    assert (first.status_code, second.status_code) == (201, 412)


def test_an_etag_of_a_user_that_was_deleted_does_not_overwrite_the_next_of_that_id(trusted: Flask):
    etag = operate(trusted, "PUT", "/fhir/User/bob", BOB).headers["ETag"]
    operate(trusted, "DELETE", "/fhir/User/bob")
    operate(trusted, "PUT", "/fhir/User/bob", {**BOB, "email": "new@example.com"})

    answer = operate(trusted, "PUT", "/fhir/User/bob", BOB, headers={"If-Match": etag})

    assert answer.status_code == 412


def test_an_etag_of_a_policy_that_was_deleted_does_not_overwrite_the_next_of_that_id(operated: Operated):
    app = operated()
    etag = operate(app, "PUT", "/fhir/AccessPolicy/one", {"engine": "allow"}).headers["ETag"]
    operate(app, "DELETE", "/fhir/AccessPolicy/one")
    operate(app, "PUT", "/fhir/AccessPolicy/one", {"engine": "allow", "description": "new"})

    answer = operate(app, "PUT", "/fhir/AccessPolicy/one", {"engine": "allow"}, headers={"If-Match": etag})

    assert answer.status_code == 412


def test_an_old_etag_does_not_overwrite_a_user_without_identifier(trusted: Flask):
    etag = operate(trusted, "PUT", NAMELESS, {}).headers["ETag"]
    assert operate(trusted, "PUT", NAMELESS, {"inactive": True}, headers={"If-Match": etag}).status_code == 200

    answer = operate(trusted, "PUT", NAMELESS, {}, headers={"If-Match": etag})

    assert answer.status_code == 412


def test_deactivation_changes_the_etag_of_a_user_without_identifier(trusted: Flask):
    etag = operate(trusted, "PUT", NAMELESS, {}).headers["ETag"]

    run(trusted, "users", "deactivate", "nameless")

    assert operate(trusted, "GET", NAMELESS, headers={"If-None-Match": etag}).status_code == 200


def test_a_user_that_lost_its_identifier_for_a_while_has_another_etag(trusted: Flask):
    etag = operate(trusted, "PUT", "/fhir/User/bob", BOB).headers["ETag"]
    assert operate(trusted, "PUT", "/fhir/User/bob", {}).status_code == 200

    again = operate(trusted, "PUT", "/fhir/User/bob", {**BOB, "email": "new@example.com"})

    assert again.headers["ETag"] != etag


def test_a_user_with_an_identifier_is_shown_with_meta(trusted: Flask):
    shown = operate(trusted, "PUT", "/fhir/User/bob", BOB).json

    assert {"versionId", "lastUpdated", "extension"} <= set(shown["meta"])
