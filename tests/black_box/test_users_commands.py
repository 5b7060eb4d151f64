"""Users at the command line: seen, kept out, and let in again."""

from __future__ import annotations

import re

import pytest
import yaml
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import ask, trusting
from ..conftest import MakeApp
from .callers import parsed, run


@pytest.fixture(params=["database", "file"])
def app(request: pytest.FixtureRequest, make_app: MakeApp, issuer: Issuer) -> Flask:
    """An app with two users, on either registry."""
    import json

    app = make_app(trusting(issuer) if request.param == "file" else None)
    if request.param == "database":
        run(app, "apply", "-", stdin=json.dumps(trusting(issuer)))
    for subject in ("alice", "bob"):
        assert ask(app, issuer.token(sub=subject)).status_code == 200
    return app


def id_of(app: Flask, subject: str) -> str:
    [user] = parsed(app, "users", "list", "--identifier", f"keycloak|{subject}")
    return str(user["id"])


def test_list_shows_who_they_are_to_their_provider(app: Flask):
    said = run(app, "users", "list").stdout

    assert "keycloak|alice" in said
    assert "keycloak|bob" in said
    assert id_of(app, "alice") in said


def test_list_as_json_is_an_array_of_users(app: Flask):
    users = parsed(app, "users", "list")

    assert {user["identifier"][0]["value"] for user in users} == {"alice", "bob"}
    assert {user["resourceType"] for user in users} == {"User"}


def test_list_can_be_cut_into_parts(app: Flask):
    parts = [parsed(app, "users", "list", "--limit", "1", "--offset", str(n)) for n in range(3)]

    assert [len(part) for part in parts] == [1, 1, 0]
    assert parts[0] != parts[1]


@pytest.mark.parametrize(
    ("identifier", "found"), [("keycloak|alice", 1), ("alice", 1), ("other|alice", 0), ("keycloak|ali", 0), ("%", 0)]
)
def test_list_finds_by_identifier(app: Flask, identifier, found):
    assert len(parsed(app, "users", "list", "--identifier", identifier)) == found


def test_show_prints_the_user_as_yaml_and_json_of_the_same(app: Flask):
    user = id_of(app, "alice")

    as_json = parsed(app, "users", "show", user)

    assert yaml.safe_load(run(app, "users", "show", user).stdout) == as_json
    assert as_json["identifier"] == [{"system": "keycloak", "value": "alice"}]
    assert as_json["data"]["sub"] == "alice"


def test_a_deactivated_user_is_refused_at_the_next_request_and_the_other_is_not(app: Flask, issuer: Issuer):
    run(app, "users", "deactivate", id_of(app, "alice"))

    answer = ask(app, issuer.token(sub="alice"))
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_token")
    assert ask(app, issuer.token(sub="bob")).status_code == 200


def test_a_token_that_is_known_already_is_refused_too(app: Flask, issuer: Issuer):
    token = issuer.token(sub="alice")
    assert ask(app, token).status_code == 200

    run(app, "users", "deactivate", id_of(app, "alice"))

    assert ask(app, token).status_code == 401
    assert ask(app, token, "/open").status_code == 401


def test_an_activated_user_is_let_in_again(app: Flask, issuer: Issuer):
    user, token = id_of(app, "alice"), issuer.token(sub="alice")
    run(app, "users", "deactivate", user)
    assert ask(app, token).status_code == 401

    run(app, "users", "activate", user)

    assert ask(app, token).status_code == 200
    assert id_of(app, "alice") == user
    assert "inactive" not in parsed(app, "users", "show", user)


def test_a_deactivated_user_is_shown_as_such(app: Flask):
    user = id_of(app, "alice")

    run(app, "users", "deactivate", user)

    assert parsed(app, "users", "show", user)["inactive"] is True
    [line] = [line for line in run(app, "users", "list").stdout.splitlines() if user in line]
    assert re.search(r"\bno\b", line)


def test_several_are_deactivated_at_once(app: Flask, issuer: Issuer):
    run(app, "users", "deactivate", id_of(app, "alice"), id_of(app, "bob"))

    assert [ask(app, issuer.token(sub=subject)).status_code for subject in ("alice", "bob")] == [401, 401]


@pytest.mark.parametrize("verb", ["deactivate", "activate"])
def test_one_unknown_id_changes_nothing(app: Flask, issuer: Issuer, verb):
    user = id_of(app, "alice")
    if verb == "activate":
        run(app, "users", "deactivate", user)
    before = parsed(app, "users", "show", user)

    result = run(app, "users", verb, user, "nobody", status=1)

    assert "nobody" in result.stderr
    assert parsed(app, "users", "show", user) == before


@pytest.mark.parametrize("verb", ["deactivate", "activate"])
def test_twice_is_as_good_as_once(app: Flask, verb):
    user = id_of(app, "alice")

    for _ in range(2):
        run(app, "users", verb, user)
        said = parsed(app, "users", verb, user)
        assert said[0]["id"] == user


@pytest.mark.parametrize("verb", ["deactivate", "activate"])
def test_without_an_id_it_is_refused(app: Flask, verb):
    assert "Missing argument" in run(app, "users", verb, status=1).stderr


def test_deactivation_is_a_new_version(app: Flask):
    user = id_of(app, "alice")
    before = parsed(app, "users", "show", user)["meta"]

    run(app, "users", "deactivate", user)

    after = parsed(app, "users", "show", user)["meta"]
    assert after["versionId"] != before["versionId"]
    assert after["extension"] == before["extension"]
