"""Secrets that are lists of keys, and answers in other types."""

from __future__ import annotations

from copy import deepcopy

import pytest

from .callers import Operated, ids, operate, read, run

KEYS = [
    {"kty": "OCT", "alg": "HS256", "format": "plain", "k": "first-key-" * 6},
    {"kty": "OCT", "alg": "HS384", "format": "plain", "k": "other-key-" * 6},
]
BODY = {"type": "jwt", "jwt": {"iss": "https://acme.example", "aud": "account", "keys": KEYS}}
PATH = "/fhir/TokenIntrospector/acme"


@pytest.fixture
def app(operated: Operated):
    app = operated()
    assert operate(app, "PUT", PATH, BODY).status_code == 201
    return app


def test_every_key_is_masked(app):
    shown = read(app, "TokenIntrospector/acme")

    assert [key["k"] for key in shown["jwt"]["keys"]] == ["********"] * 2
    for words in [("get", "TokenIntrospector", "acme"), ("export",), ("list", "TokenIntrospector", "--json")]:
        assert "-key-" not in run(app, *words).output


def test_masked_keys_can_be_put_back(app):
    shown = read(app, "TokenIntrospector/acme")

    answer = operate(app, "PUT", PATH, {**shown, "cache_ttl": 60})

    assert (answer.status_code, answer.json["cache_ttl"]) == (200, 60)


@pytest.mark.parametrize("kept", [[1], [1, 0], [0, 1, 1], [0, 1, 0]], ids=str)
def test_a_mask_never_stands_for_another_key(app, kept):
    body = deepcopy(BODY)
    body["jwt"]["keys"] = [{**KEYS[number], "k": "********"} for number in kept]

    answer = operate(app, "PUT", PATH, body)

    assert answer.status_code == 422
    assert answer.json["issues"][0]["path"].startswith("jwt.keys.")


def test_one_key_is_replaced_while_the_other_stays_masked(app):
    body = deepcopy(BODY)
    body["jwt"]["keys"] = [{**KEYS[0], "k": "********"}, {**KEYS[1], "k": "third-key-" * 6}]

    assert operate(app, "PUT", PATH, body).status_code == 200


@pytest.mark.parametrize("secret", ["", " ", "*" * 7, "********", None, 3, {"env": 3}, ["x"]], ids=repr)
def test_a_secret_that_can_be_none_is_refused_with_its_path(operated: Operated, secret):
    app = operated()
    body = {"type": "jwt", "jwt": {"iss": "https://acme.example", "aud": "account", "secret": secret}}

    answer = operate(app, "PUT", PATH, body)

    assert answer.status_code == 422
    assert any(issue["path"].startswith("jwt.secret") for issue in answer.json["issues"])
    assert ids(app, "TokenIntrospector") == []


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, "json"),
        ("*/*", "json"),
        ("application/json", "json"),
        ("text/html,*/*;q=0.8", "json"),
        ("text/yaml", "yaml"),
        ("application/yaml", "yaml"),
        ("application/json;q=0.5, text/yaml", "yaml"),
    ],
)
def test_answers_come_in_the_type_that_is_asked_for(app, accept, content_type):
    answer = operate(app, "GET", PATH, headers={} if accept is None else {"Accept": accept})

    assert answer.status_code == 200
    assert content_type in answer.headers["Content-Type"]


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_a_type_that_cannot_be_answered_changes_nothing(app, method):
    path = "/fhir/AccessPolicy" if method == "POST" else PATH
    before = read(app, "TokenIntrospector/acme")

    answer = operate(app, method, path, {"engine": "allow"}, headers={"Accept": "application/xml"})

    if answer.status_code >= 400:
        assert read(app, "TokenIntrospector/acme") == before
        assert ids(app, "AccessPolicy") == []
