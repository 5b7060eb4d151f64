"""Users as the operator sees and changes them over HTTP."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import ask, secret_token, trusting, trusting_a_secret, without
from .callers import Operated, as_token, ids, linked, operate, put, put_all, read


@pytest.fixture
def alice(trusted: Flask, issuer: Issuer) -> tuple[Flask, str, Callable[[], int]]:
    """An app that knows one user, the user's id, and how the user's next request ends."""
    token = issuer.token(sub="alice")

    def visit() -> int:
        return ask(trusted, token).status_code

    assert visit() == 200
    [user] = ids(trusted, "User")
    return trusted, user, visit


def test_a_user_that_a_token_made_is_shown_as_the_tutorial_shows_it(alice):
    app, user, _ = alice

    shown = read(app, f"User/{user}")

    assert shown["resourceType"] == "User"
    assert shown["identifier"] == [{"system": "keycloak", "value": "alice"}]
    assert shown["data"]["sub"] == "alice"
    assert shown["meta"]["versionId"]
    assert shown["meta"]["extension"][0]["url"] == "https://aidbox.app/ex/createdAt"
    assert "inactive" not in shown


def test_a_user_that_was_read_can_be_put_back_and_stays_the_same(alice):
    app, user, visit = alice
    before = read(app, f"User/{user}")

    answer = put(app, before)

    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert without(read(app, f"User/{user}"), "meta") == without(before, "meta")
    assert read(app, f"User/{user}")["meta"]["extension"] == before["meta"]["extension"]
    assert visit() == 200
    assert ids(app, "User") == [user]


def test_an_inactive_user_is_refused_at_the_next_request_and_let_in_again(alice):
    app, user, visit = alice

    assert put(app, {**read(app, f"User/{user}"), "inactive": True}).status_code == 200
    assert visit() == 401
    assert read(app, f"User/{user}")["inactive"] is True

    assert put(app, without(read(app, f"User/{user}"), "inactive")).status_code == 200
    assert visit() == 200
    assert "inactive" not in read(app, f"User/{user}")


def test_inactive_false_is_the_same_as_none(alice):
    app, user, visit = alice

    answer = put(app, {**read(app, f"User/{user}"), "inactive": False})

    assert answer.status_code == 200
    assert "inactive" not in answer.json
    assert visit() == 200


def test_an_inactive_user_is_refused_at_the_operators_endpoints_too(operated: Operated, issuer: Issuer):
    app = operated([*trusting(issuer), linked("opens", "Operation/foreign_token.search_user")])
    token = issuer.token(sub="alice")
    assert as_token(app, token, "GET", "/fhir/User").status_code == 200
    [user] = ids(app, "User")

    put(app, {**read(app, f"User/{user}"), "inactive": True})

    assert as_token(app, token, "GET", "/fhir/User").status_code == 401


def test_an_inactive_user_is_refused_with_invalid_token(alice, issuer: Issuer):
    app, user, _ = alice
    put(app, {**read(app, f"User/{user}"), "inactive": True})

    answer = ask(app, issuer.token(sub="alice"))

    assert (answer.status_code, answer.json["error"]) == (401, "invalid_token")


def test_a_deleted_user_is_not_the_same_user_when_the_token_comes_again(alice):
    app, user, visit = alice

    assert operate(app, "DELETE", f"/fhir/User/{user}").status_code == 204

    assert operate(app, "GET", f"/fhir/User/{user}").status_code == 404
    assert visit() in {200, 401}
    assert user not in ids(app, "User")


def test_a_user_is_found_by_identifier(alice):
    app, user, _ = alice

    for query, total in [
        ("identifier=keycloak|alice", 1),
        ("identifier=alice", 1),
        ("identifier=keycloak%7Calice", 1),
        ("identifier=keycloak|bob", 0),
        ("identifier=other|alice", 0),
        ("identifier=ALICE", 0),
        ("identifier=ali", 0),
        ("identifier=alice%25", 0),
        (f"_id={user}", 1),
    ]:
        assert read(app, f"User?{query}")["total"] == total, query


def test_a_user_that_the_operator_made_is_found_by_the_first_token(trusted: Flask, issuer: Issuer):
    body = {"identifier": [{"system": "keycloak", "value": "bob"}], "name": {"givenName": "Bob"}}
    assert operate(trusted, "PUT", "/fhir/User/bob", body).status_code == 201

    assert ask(trusted, issuer.token(sub="bob"), "/patients").status_code == 200

    assert ids(trusted, "User") == ["bob"]
    assert read(trusted, "User/bob")["name"]["givenName"] == "Bob"


def test_a_user_that_the_operator_made_inactive_is_refused(trusted: Flask, issuer: Issuer):
    body = {"identifier": [{"system": "keycloak", "value": "bob"}], "inactive": True}
    assert operate(trusted, "PUT", "/fhir/User/bob", body).status_code == 201

    assert ask(trusted, issuer.token(sub="bob")).status_code == 401


def test_a_second_user_with_the_same_identifier_is_refused(alice):
    app, user, _ = alice

    answer = operate(app, "PUT", "/fhir/User/thief", {"identifier": [{"system": "keycloak", "value": "alice"}]})

    assert answer.status_code == 422
    assert answer.json["issues"][0]["path"].startswith("identifier")
    assert ids(app, "User") == [user]


def test_an_identifier_cannot_be_moved_to_another_user_while_it_is_taken(alice, issuer: Issuer):
    app, user, _ = alice
    ask(app, issuer.token(sub="bob"))
    [bob] = [other for other in ids(app, "User") if other != user]
    before = read(app, f"User/{bob}")

    answer = put(app, {**before, "identifier": [{"system": "keycloak", "value": "alice"}]})

    assert answer.status_code == 422
    assert read(app, f"User/{bob}") == before


def test_an_identifier_that_is_taken_away_no_longer_leads_to_the_user(alice):
    app, user, visit = alice
    renamed = {**read(app, f"User/{user}"), "identifier": [{"system": "keycloak", "value": "renamed"}]}

    assert put(app, renamed).status_code == 200
    visit()

    assert read(app, f"User/{user}")["identifier"] == [{"system": "keycloak", "value": "renamed"}]
    assert read(app, "User?identifier=keycloak|renamed")["entry"][0]["resource"]["id"] == user
    found = read(app, "User?identifier=keycloak|alice")["entry"]
    assert user not in [entry["resource"]["id"] for entry in found]


def test_the_same_identifier_twice_is_refused_or_kept_once(trusted: Flask):
    body = {"identifier": [{"system": "keycloak", "value": "bob"}] * 2}

    answer = operate(trusted, "PUT", "/fhir/User/bob", body)

    assert answer.status_code in {201, 422}
    if answer.status_code == 201:
        assert len(answer.json["identifier"]) == 1


def test_what_the_operator_writes_is_what_policies_see(operated: Operated, issuer: Issuer):
    from ..apps import policy

    app = operated(trusting(issuer, policy("doctors", {"user": {"data": {"role": "doctor"}}})))
    token = issuer.token(sub="alice")
    assert ask(app, token).status_code == 403
    [user] = ids(app, "User")
    before = read(app, f"User/{user}")

    put(app, {**before, "data": {**before["data"], "role": "doctor"}})
    assert ask(app, token).status_code == 200

    put(app, before)
    assert ask(app, token).status_code == 403


def test_a_user_stays_writable_after_its_provider_was_deleted(operated: Operated, issuer: Issuer):
    app = operated(trusting_a_secret())
    assert ask(app, secret_token(issuer, sub="alice")).status_code == 200
    [user] = ids(app, "User")
    for path in ("TokenIntrospector/secret", "IdentityProvider/keycloak"):
        assert operate(app, "DELETE", f"/fhir/{path}").status_code == 204

    answer = put(app, {**read(app, f"User/{user}"), "inactive": True})

    assert answer.status_code == 200, answer.get_data(as_text=True)


def test_a_user_of_an_inactive_provider_stays_writable(operated: Operated, issuer: Issuer):
    app = operated(trusting_a_secret())
    assert ask(app, secret_token(issuer, sub="alice")).status_code == 200
    [user] = ids(app, "User")
    put(app, {**read(app, "IdentityProvider/keycloak"), "active": False})

    assert put(app, {**read(app, f"User/{user}"), "inactive": True}).status_code == 200


def test_users_are_written_with_a_file_registry_too(make_app, issuer: Issuer):
    from .callers import OPERATOR_SETTINGS

    app = make_app(trusting(issuer), **OPERATOR_SETTINGS)
    token = issuer.token(sub="alice")
    assert ask(app, token).status_code == 200
    [user] = ids(app, "User")

    assert put(app, {**read(app, f"User/{user}"), "inactive": True}).status_code == 200

    assert ask(app, token).status_code == 401


@pytest.mark.parametrize("members", [{"email": "a@example.com"}, {"name": {"givenName": "A"}}, {"x": [1, {"y": None}]}])
def test_members_of_any_kind_are_kept_as_written(trusted: Flask, members):
    body = {"identifier": [{"system": "keycloak", "value": "bob"}], **members}

    operate(trusted, "PUT", "/fhir/User/bob", body)

    assert members.items() <= read(trusted, "User/bob").items()


def test_put_replaces_the_user_as_a_whole(trusted: Flask):
    identifier = [{"system": "keycloak", "value": "bob"}]
    operate(trusted, "PUT", "/fhir/User/bob", {"identifier": identifier, "email": "b@example.com", "data": {"a": 1}})

    operate(trusted, "PUT", "/fhir/User/bob", {"identifier": identifier})

    shown = read(trusted, "User/bob")
    assert "email" not in shown
    assert shown.get("data", {}) == {}


def test_a_policy_linked_to_a_deleted_user_can_still_be_read_and_deleted(alice):
    app, user, _ = alice
    put_all(app, [linked("mine", f"User/{user}")])

    operate(app, "DELETE", f"/fhir/User/{user}")

    assert read(app, "AccessPolicy/mine")["link"] == [{"reference": f"User/{user}"}]
    assert operate(app, "DELETE", "/fhir/AccessPolicy/mine").status_code == 204
