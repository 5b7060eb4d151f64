"""Searches by what resources say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token.admin.searching import ATTRIBUTES, PARAMETERS
from flask_foreign_token.testing import Issuer

from ..apps import ask, policy, provider, rows, secret_token, store, trusting_a_secret, write_registry
from ..conftest import MakeApp
from .asking import ADMIN, operate, tutorial

KEY = {"kty": "OCT", "alg": "HS256", "format": "plain", "k": "k" * 40}
RESOURCES = [
    provider("acme", title="Acme", scopes=["openid", "email"], client={"id": "clinic"}, userinfo_refresh=60),
    provider("other", active=False),
    {
        "resourceType": "TokenIntrospector",
        "id": "one",
        "type": "jwt",
        "identity_provider": {"resourceType": "IdentityProvider", "id": "acme"},
        "jwt": {"iss": "https://one.example", "aud": "account", "keys": [KEY]},
    },
    {
        "resourceType": "TokenIntrospector",
        "id": "two",
        "type": "jwt",
        "cache_ttl": 60,
        "jwt": {"iss": "https://two.example", "aud": ["account", "api"], "secret": "s" * 40, "leeway": 0},
    },
    policy("all"),
    policy("nurses", roleName="nurse", link=[{"reference": "Client/a"}, {"resourceType": "User", "id": "b"}]),
    policy("readers", {"request-method": "get"}, active=False, description="Whoever reads"),
]


@pytest.fixture
def filled(app: Flask) -> Flask:
    store(app, RESOURCES)
    return app


def found(app: Flask, type_: str, **query: str) -> list[str]:
    answer = operate(app, "GET", f"/{type_}", query_string=query)
    assert answer.status_code == 200, answer.text
    assert answer.json["total"] == len(answer.json["entry"])
    return [entry["resource"]["id"] for entry in answer.json["entry"]]


@pytest.mark.parametrize(
    ("type_", "name", "value", "expected"),
    [
        ("IdentityProvider", "title", "Acme", ["acme"]),
        ("IdentityProvider", "title", "acme", []),
        ("IdentityProvider", "scopes", "email", ["acme"]),
        ("IdentityProvider", "client.id", "clinic", ["acme"]),
        ("IdentityProvider", "active", "true", ["acme"]),
        ("IdentityProvider", "active", "false", ["other"]),
        ("IdentityProvider", "userinfo_refresh", "60", ["acme"]),
        ("IdentityProvider", "userinfo_refresh", "3600", ["other"]),
        ("IdentityProvider", "userinfo-source", "id-token", ["acme", "other"]),
        ("IdentityProvider", "subject_claim", "sub", ["acme", "other"]),
        ("TokenIntrospector", "identity_provider", "IdentityProvider/acme", ["one"]),
        ("TokenIntrospector", "jwt.iss", "https://two.example", ["two"]),
        ("TokenIntrospector", "jwt.aud", "account", ["one", "two"]),
        ("TokenIntrospector", "jwt.aud", "api", ["two"]),
        ("TokenIntrospector", "jwt.keys.kty", "OCT", ["one"]),
        ("TokenIntrospector", "jwt.leeway", "0", ["two"]),
        ("TokenIntrospector", "jwt.leeway", "30", ["one"]),
        ("TokenIntrospector", "cache_ttl", "300", ["one"]),
        ("AccessPolicy", "engine", "allow", ["all", "nurses"]),
        ("AccessPolicy", "link", "Client/a", ["nurses"]),
        ("AccessPolicy", "link", "User/b", ["nurses"]),
        ("AccessPolicy", "roleName", "nurse", ["nurses"]),
        ("AccessPolicy", "description", "Whoever reads", ["readers"]),
        ("AccessPolicy", "active", "true", ["all", "nurses"]),
    ],
)
def test_those_are_found_whose_attribute_reads_so(
    filled: Flask, type_: str, name: str, value: str, expected: list[str]
) -> None:
    assert found(filled, type_, **{name: value}) == expected


def test_all_that_is_asked_for_must_be_so(filled: Flask) -> None:
    assert found(filled, "AccessPolicy", engine="allow", roleName="nurse") == ["nurses"]
    assert found(filled, "AccessPolicy", engine="allow", _id="readers") == []


def test_a_page_is_of_what_was_found(filled: Flask) -> None:
    answer = operate(filled, "GET", "/AccessPolicy?engine=allow&_count=1&_page=2")

    assert [entry["resource"]["id"] for entry in answer.json["entry"]] == ["nurses"]
    assert answer.json["total"] == 2
    assert {"engine=allow" in link["url"] for link in answer.json["link"]} == {True}


def test_a_registry_file_is_searched_as_well(make_app: MakeApp) -> None:
    app = make_app(RESOURCES, **ADMIN)

    assert found(app, "TokenIntrospector", identity_provider="IdentityProvider/acme") == ["one"]


def test_what_a_file_leaves_to_a_variable_is_found_as_it_stands(make_app: MakeApp, monkeypatch: Any) -> None:
    monkeypatch.setenv("TITLE", "Acme")
    app = make_app([provider(title="${TITLE}")], **ADMIN)

    assert found(app, "IdentityProvider", title="${TITLE}") == ["keycloak"]
    assert found(app, "IdentityProvider", title="Acme") == []


def test_what_is_stored_and_wrong_is_found_by_what_it_says(filled: Flask) -> None:
    write = "UPDATE foreign_token_resource SET body = :body WHERE id = 'all' RETURNING id"
    said = {"resourceType": "AccessPolicy", "id": "all", "engine": "allow", "active": "yes", "link": [7, {"id": 1}]}
    rows(filled, write, body=json.dumps(said))

    assert found(filled, "AccessPolicy", engine="allow") == ["all", "nurses"]
    assert found(filled, "AccessPolicy", active="true") == ["nurses"]
    assert found(filled, "AccessPolicy", link="User/b") == ["nurses"]


def test_users_are_found_by_state_and_address(app: Flask, issuer: Issuer) -> None:
    tutorial(app)
    ask(app, secret_token(issuer, sub="ann"))
    [ann] = found(app, "User")
    body = {"identifier": [{"system": "keycloak", "value": "bob"}], "email": "bob@example.com", "inactive": True}
    assert operate(app, "PUT", "/User/bob", body).status_code == 201

    assert (found(app, "User", active="true"), found(app, "User", active="false")) == ([ann], ["bob"])
    assert found(app, "User", email="bob@example.com") == ["bob"]
    assert found(app, "User", email="bob@example.com", _id=ann) == []


@pytest.mark.parametrize("type_", list(ATTRIBUTES))
def test_no_secret_can_be_searched_for_nor_what_an_engine_reads(type_: str) -> None:
    names = set(PARAMETERS[type_])

    assert not {"client.secret", "jwt.secret", "jwt.keys.k", "matcho", "schema", "sql", "and", "or", "toScim"} & names
    assert not {name for name in names if name.endswith(("secret", "authorization", "meta"))}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("engin=allow", "is no parameter; did you mean engine?"),
        ("x=1", "is no parameter, only _id, _count, _page, active, description, engine, roleName, link"),
        ("link=ann", "must read Type/id"),
        ("active=1", "must be true or false"),
    ],
)
def test_a_refusal_says_what_works(app: Flask, query: str, message: str) -> None:
    [issue] = operate(app, "GET", f"/AccessPolicy?{query}").json["issues"]

    assert issue["message"] == message


def test_of_very_many_unknown_parameters_the_first_are_named(app: Flask) -> None:
    answer = operate(app, "GET", "/AccessPolicy?" + "&".join(f"x{number}=1" for number in range(500)))

    assert [issue["path"] for issue in answer.json["issues"]] == [*(f"x{number}" for number in range(10)), ""]
    assert answer.json["issues"][-1]["message"] == "and 490 more are none"


def test_a_file_that_cannot_be_read_is_503(make_app: MakeApp) -> None:
    app = make_app(trusting_a_secret(), **ADMIN)
    write_registry(app.extensions["foreign_token"].registry_file, "[")

    assert operate(app, "GET", "/AccessPolicy?engine=allow").status_code == 503
