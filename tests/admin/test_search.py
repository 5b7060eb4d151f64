"""Searches: Bundles, their pages, and what can be asked for."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import ask, policy, secret_token, store
from .asking import BODIES, operate, tutorial


def ids(answer: Any) -> list[str]:
    assert (answer.status_code, answer.json["resourceType"], answer.json["type"]) == (200, "Bundle", "searchset")
    return [entry["resource"]["id"] for entry in answer.json["entry"]]


def links(answer: Any) -> dict[str, str]:
    return {link["relation"]: link["url"].removeprefix("http://localhost/fhir") for link in answer.json["link"]}


def filled(app: Flask, type_: str, count: int) -> Flask:
    """`app` with resources ``r0``, ``r1`` and so on."""
    for number in range(count):
        operate(app, "PUT", f"/{type_}/r{number}", policy(f"r{number}") if type_ == "AccessPolicy" else {})
    return app


each_paged = pytest.mark.parametrize("type_", ["AccessPolicy", "User"])


@pytest.mark.parametrize("type_", list(BODIES))
def test_a_search_shows_all_there_are_of_a_type(app: Flask, type_: str) -> None:
    assert ids(operate(app, "GET", f"/{type_}")) == []
    made = operate(app, "PUT", f"/{type_}/other", BODIES[type_]).json

    answer = operate(app, "GET", f"/{type_}")

    assert answer.json == {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 1,
        "link": [{"relation": "self", "url": f"http://localhost/fhir/{type_}"}],
        "entry": [{"fullUrl": f"http://localhost/fhir/{type_}/other", "resource": made}],
    }
    assert answer.headers["Cache-Control"] == "no-store"


@each_paged
def test_pages_are_led_through_by_links(app: Flask, type_: str) -> None:
    filled(app, type_, 5)
    found: list[list[str]] = []
    relations: list[list[str]] = []
    path = f"/{type_}?_count=2"
    while path:
        answer = operate(app, "GET", path)
        assert answer.json["total"] == 5
        found.append(ids(answer))
        relations.append(list(links(answer)))
        path = links(answer).get("next", "")

    assert found == [["r0", "r1"], ["r2", "r3"], ["r4"]]
    assert relations == [["self", "next"], ["self", "next", "previous"], ["self", "previous"]]


@each_paged
def test_the_link_back_leads_back(app: Flask, type_: str) -> None:
    answer = operate(filled(app, type_, 3), "GET", f"/{type_}?_count=1&_page=3")

    assert ids(answer) == ["r2"]
    assert ids(operate(app, "GET", links(answer)["previous"])) == ["r1"]
    assert ids(operate(app, "GET", links(answer)["self"])) == ["r2"]


@each_paged
def test_a_page_beyond_the_last_is_empty(app: Flask, type_: str) -> None:
    answer = operate(filled(app, type_, 1), "GET", f"/{type_}?_page=1000000000")

    assert (ids(answer), answer.json["total"]) == ([], 1)


@each_paged
def test_a_count_of_zero_asks_for_the_number_alone(app: Flask, type_: str) -> None:
    answer = operate(filled(app, type_, 3), "GET", f"/{type_}?_count=0")

    assert (ids(answer), answer.json["total"], list(links(answer))) == ([], 3, ["self"])


def test_a_page_has_a_hundred_resources_unless_told_otherwise(app: Flask) -> None:
    store(app, [policy(f"r{number:03}") for number in range(101)])

    assert len(ids(operate(app, "GET", "/AccessPolicy"))) == 100
    assert len(ids(operate(app, "GET", "/AccessPolicy?_count=1000"))) == 101


@each_paged
def test_one_is_found_by_its_id(app: Flask, type_: str) -> None:
    filled(app, type_, 3)

    assert ids(operate(app, "GET", f"/{type_}?_id=r1")) == ["r1"]
    assert ids(operate(app, "GET", f"/{type_}?_id=r9")) == []
    assert operate(app, "GET", f"/{type_}?_id=r1&_count=0").json["total"] == 1
    assert ids(operate(app, "GET", f"/{type_}?_id=r1&_page=2")) == []


@pytest.mark.parametrize(
    ("identifier", "found"),
    [
        ("keycloak|ann", True),
        ("ann", True),
        ("other|ann", False),
        ("ANN", False),
        ("keycloak|ann|more", False),
    ],
)
def test_a_user_is_found_by_an_identifier(app: Flask, issuer: Issuer, identifier: str, found: bool) -> None:
    tutorial(app)
    for name in ("ann", "bob"):
        ask(app, secret_token(issuer, sub=name))

    answer = operate(app, "GET", "/User", query_string={"identifier": identifier})

    assert [entry["resource"]["data"]["sub"] for entry in answer.json["entry"]] == (["ann"] if found else [])
    assert answer.json["total"] == int(found)


def test_an_identifier_may_have_a_bar_in_its_value(app: Flask, issuer: Issuer) -> None:
    tutorial(app)
    ask(app, secret_token(issuer, sub="auth0|123"))

    assert operate(app, "GET", "/User?identifier=keycloak|auth0|123").json["total"] == 1


def test_an_id_and_an_identifier_must_both_be_right(app: Flask, issuer: Issuer) -> None:
    tutorial(app)
    for name in ("ann", "bob"):
        ask(app, secret_token(issuer, sub=name))
    (entry,) = operate(app, "GET", "/User?identifier=ann").json["entry"]
    id_ = entry["resource"]["id"]

    assert operate(app, "GET", f"/User?_id={id_}&identifier=keycloak|ann").json["total"] == 1
    assert operate(app, "GET", f"/User?_id={id_}&identifier=bob").json["total"] == 0


@pytest.mark.parametrize(
    ("type_", "query", "wrong"),
    [
        ("User", "_count=1001", ["_count"]),
        ("User", "_count=-1", ["_count"]),
        ("User", "_count=ten", ["_count"]),
        ("User", "_count=", ["_count"]),
        ("User", "_count=1.0", ["_count"]),
        ("User", "_count=%D9%A1", ["_count"]),
        ("User", "_count=" + "9" * 5000, ["_count"]),
        ("User", "_page=0", ["_page"]),
        ("User", "_page=1000000001", ["_page"]),
        ("User", "_count=1&_count=2", ["_count"]),
        ("User", "name=ann", ["name"]),
        ("User", "name=ann&_count=x&_page=x", ["name", "_count", "_page"]),
        ("User", "identifier=", ["identifier"]),
        ("User", "identifier=|ann", ["identifier"]),
        ("User", "identifier=keycloak|", ["identifier"]),
        ("User", "identifier=|&_count=x", ["_count", "identifier"]),
        ("AccessPolicy", "identifier=ann", ["identifier"]),
        ("AccessPolicy", "matcho.user=x", ["matcho.user"]),
        ("AccessPolicy", "id=other", ["id"]),
        ("AccessPolicy", "engine=allow&engine=sql", ["engine"]),
        ("AccessPolicy", "active=yes", ["active"]),
        ("AccessPolicy", "link=ann", ["link"]),
        ("TokenIntrospector", "type=saml", ["type"]),
        ("TokenIntrospector", "cache_ttl=0", ["cache_ttl"]),
        ("TokenIntrospector", "cache_ttl=1.0", ["cache_ttl"]),
        ("TokenIntrospector", "jwt.secret=x", ["jwt.secret"]),
        ("TokenIntrospector", "jwt.keys.k=x", ["jwt.keys.k"]),
        ("User", "email=%20", ["email"]),
    ],
)
def test_a_parameter_that_is_unknown_or_wrong_is_named(app: Flask, type_: str, query: str, wrong: list[str]) -> None:
    answer = operate(app, "GET", f"/{type_}?{query}")

    assert answer.status_code == 422
    assert [issue["path"] for issue in answer.json["issues"]] == wrong
    assert all(len(issue["message"]) < 100 for issue in answer.json["issues"])
