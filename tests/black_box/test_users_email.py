"""``match_by: email``: a newcomer is somebody who is known, when both sides have verified the address; else nobody."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from ..apps import ask
from .callers import Operated, operate, run, write
from .people import People, counts, me, raw, sub_of, token, user_of
from .tokens import refused

OTHER = "https://other.example"
ADDRESS = "ada@example.com"
VERIFIED = {"email": ADDRESS, "email_verified": True}


@pytest.fixture
def app(operated: Operated, people: People) -> Flask:
    """The first provider makes users; the second finds them by their address."""
    return operated([*people.resources(), *people.resources("other", OTHER, match_by="email")])


def says(people: People, **claims: dict[str, Any]) -> None:
    """What is said of each subject."""
    people.answers(lambda request: {"sub": sub_of(request), **claims.get(sub_of(request), {})})


def test_an_address_that_both_have_verified_is_the_same_user(app: Flask, people: People):
    says(people, ada=VERIFIED, lovelace=VERIFIED)
    ada = me(app, token("ada"))

    assert me(app, token("lovelace", iss=OTHER)) == ada

    assert counts(app) == (1, 2)
    systems = [pair["system"] for pair in user_of(app)["identifier"]]
    assert sorted(systems) == ["keycloak", "other"]
    assert me(app, token("ada")) == me(app, token("lovelace", iss=OTHER)) == ada


NOT_VERIFIED: dict[str, dict[str, Any]] = {
    "not verified": {"email": ADDRESS, "email_verified": False},
    "not said": {"email": ADDRESS},
    "null": {"email": ADDRESS, "email_verified": None},
    "a text": {"email": ADDRESS, "email_verified": "true"},
    "one": {"email": ADDRESS, "email_verified": 1},
    "a list": {"email": ADDRESS, "email_verified": [True]},
    "no address": {"email_verified": True},
    "another address": {"email": "eve@example.com", "email_verified": True},
    "another case": {"email": "Ada@example.com", "email_verified": True},
    "another case of the host": {"email": "ada@EXAMPLE.com", "email_verified": True},
    "a blank more": {"email": ADDRESS + " ", "email_verified": True},
    "a dot more": {"email": ADDRESS + ".", "email_verified": True},
    "a tag": {"email": "ada+x@example.com", "email_verified": True},
    "a NUL": {"email": ADDRESS + "\0", "email_verified": True},
    "a look-alike": {"email": "ad\u0430@example.com", "email_verified": True},
    "a list of it": {"email": [ADDRESS], "email_verified": True},
    "in another place": {"emails": [ADDRESS], "email_verified": True},
    "nested": {"user": VERIFIED},
}


@pytest.mark.parametrize("claims", NOT_VERIFIED.values(), ids=NOT_VERIFIED.keys())
def test_what_the_newcomer_has_not_verified_makes_a_new_user(app: Flask, people: People, claims: dict[str, Any]):
    says(people, ada=VERIFIED, lovelace=claims)
    ada = me(app, token("ada"))

    answer = ask(app, token("lovelace", iss=OTHER), "/me")

    if answer.status_code == 200:
        assert answer.json["user"] != ada
    else:
        assert answer.status_code in {401, 503}
    assert user_of(app)["identifier"] == [{"system": "keycloak", "value": "ada"}]


@pytest.mark.parametrize("claims", NOT_VERIFIED.values(), ids=NOT_VERIFIED.keys())
def test_what_the_known_side_has_not_verified_makes_a_new_user(app: Flask, people: People, claims: dict[str, Any]):
    says(people, ada=claims, lovelace=VERIFIED)
    answer = ask(app, token("ada"), "/me")
    assert answer.status_code in {200, 401, 503}

    lovelace = me(app, token("lovelace", iss=OTHER))

    assert user_of(app, "lovelace", "other")["id"] == lovelace
    assert user_of(app, "lovelace", "other")["identifier"] == [{"system": "other", "value": "lovelace"}]


@pytest.mark.parametrize("address", ["ada", "a@b@c", "ada@@example.com", "", " ", "a b"])
def test_what_is_no_address_matches_nobody(app: Flask, people: People, address: str):
    claims = {"email": address, "email_verified": True}
    says(people, ada=claims, lovelace=claims)
    ada = me(app, token("ada"))

    assert me(app, token("lovelace", iss=OTHER)) != ada


def test_two_who_match_are_nobody(app: Flask, people: People):
    says(people, ada=VERIFIED, eve=VERIFIED, lovelace=VERIFIED)
    known = {me(app, token("ada")), me(app, token("eve"))}
    assert len(known) == 2

    assert me(app, token("lovelace", iss=OTHER)) not in known

    assert counts(app) == (3, 3)


def test_without_match_by_the_same_address_is_two_users(app: Flask, people: People):
    says(people, ada=VERIFIED, lovelace=VERIFIED)
    lovelace = me(app, token("lovelace", iss=OTHER))

    assert me(app, token("ada")) != lovelace

    assert counts(app) == (2, 2)


def test_who_is_known_from_this_very_provider_is_not_matched(app: Flask, people: People):
    """Two accounts at one provider are two people, whatever their address."""
    says(people, lovelace=VERIFIED, eve=VERIFIED)
    lovelace = me(app, token("lovelace", iss=OTHER))

    assert me(app, token("eve", iss=OTHER)) != lovelace

    assert counts(app) == (2, 2)


def test_who_has_been_matched_already_is_not_matched_to_a_second_account(app: Flask, people: People):
    says(people, ada=VERIFIED, lovelace=VERIFIED, eve=VERIFIED)
    ada = me(app, token("ada"))
    assert me(app, token("lovelace", iss=OTHER)) == ada

    assert me(app, token("eve", iss=OTHER)) != ada

    assert counts(app) == (2, 3)


def test_an_address_that_the_operator_wrote_beside_the_data_is_not_verified(app: Flask, people: People):
    body = {"identifier": [{"system": "keycloak", "value": "ada"}], **VERIFIED}
    assert operate(app, "PUT", "/fhir/User/ada", body).status_code == 201
    says(people, lovelace=VERIFIED)

    assert me(app, token("lovelace", iss=OTHER)) != "ada"


def test_the_two_halves_of_two_documents_are_no_verification(app: Flask, people: People, operated: Operated):
    """The address from one identifier and that it is verified from another."""
    third = "https://third.example"
    from .callers import put_all

    put_all(app, people.resources("third", third))
    says(people, ada={"email": ADDRESS}, augusta={"email_verified": True}, lovelace=VERIFIED)
    ada = str(me(app, token("ada")))
    run(app, "users", "link", ada, "third|augusta")
    me(app, token("augusta", iss=third))

    assert me(app, token("lovelace", iss=OTHER)) != ada


def test_an_inactive_match_is_refused_and_nothing_stored(app: Flask, people: People):
    says(people, ada=VERIFIED, lovelace=VERIFIED)
    ada = str(me(app, token("ada")))
    run(app, "users", "deactivate", ada)

    refused(ask(app, token("lovelace", iss=OTHER)), "the user is inactive")

    assert counts(app) == (1, 1)


def test_userinfo_of_somebody_else_matches_nobody(app: Flask, people: People):
    says(people, ada=VERIFIED)
    me(app, token("ada"))
    people.answers({"sub": "eve", **VERIFIED})

    refused(ask(app, token("lovelace", iss=OTHER)), "userinfo names another subject")

    assert counts(app) == (1, 1)


def test_a_duplicate_member_matches_nobody(app: Flask, people: People):
    says(people, ada=VERIFIED)
    me(app, token("ada"))
    people.answers(raw(f'{{"sub": "lovelace", "email": "{ADDRESS}", "email_verified": false, "email_verified": true}}'))

    assert ask(app, token("lovelace", iss=OTHER)).status_code == 503

    assert counts(app) == (1, 1)


def test_without_create_user_nobody_is_made_where_nobody_matches(operated: Operated, people: People):
    provider = people.resources("other", OTHER, match_by="email", create_user=False)
    app = operated([*people.resources(), *provider])
    says(people, ada=VERIFIED, lovelace={})
    me(app, token("ada"))

    assert me(app, token("lovelace", iss=OTHER)) is None

    assert counts(app) == (1, 1)


@pytest.mark.parametrize("value", ["sub", "Email", "", None, True, ["email"], "email,sub"])
def test_anything_else_to_match_by_is_refused_when_saved(operated: Operated, people: People, value: object):
    app = operated()
    [body, *_] = people.resources(match_by=value)

    answer = operate(app, "PUT", "/fhir/IdentityProvider/keycloak", body)

    assert answer.status_code == 422
    assert [issue["path"] for issue in answer.json["issues"]] == ["match_by"]
    assert operate(app, "GET", "/fhir/IdentityProvider/keycloak").status_code == 404


def test_anything_else_to_match_by_is_refused_at_the_command_line(operated: Operated, people: People, tmp_path):
    app = operated()

    result = run(app, "apply", write(tmp_path, "all.json", people.resources(match_by="sub")), status=1)

    assert "match_by" in result.stderr
    assert operate(app, "GET", "/fhir/IdentityProvider/keycloak").status_code == 404
