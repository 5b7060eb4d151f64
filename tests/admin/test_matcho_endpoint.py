"""``POST /$matcho``: a pattern tried on a value."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token.documents import read_yaml
from flask_foreign_token.testing import Issuer

from ..apps import ask, policy
from ..vectors import cases, read
from .asking import operate, token_header, tutorial

ENDPOINT = "foreign_token.matcho"
PATH = "/$matcho"


def matched(app: Flask, matcho: object, resource: object, **context: object) -> Any:
    answer = operate(app, "POST", PATH, {"matcho": matcho, "resource": resource, **context})
    assert answer.status_code == 200, answer.text
    return answer.json["result"]


def rows() -> list[pytest.ParameterSet]:
    return [pytest.param(row, id=row["name"]) for row in read("matcho/cases.json")]


@pytest.mark.parametrize("row", cases("matcho/cases.json", rows))
def test_a_published_case(app: Flask, row: dict[str, Any]) -> None:
    context = {"context": row["context"]} if "context" in row else {}

    result = matched(app, row["pattern"], row["value"], **context)

    assert (result == []) is row["matches"]
    for found, expected in zip(result, row.get("errors", result), strict=False):
        assert expected.items() <= found.items()
    assert len(result) >= len(row.get("errors", []))


def test_it_repeats_what_it_was_asked(app: Flask) -> None:
    asked = {"matcho": {"a": 1}, "resource": {"a": 2, "b": 3}}

    answer = operate(app, "POST", PATH, asked)

    assert answer.json == {**asked, "result": [{"expected": 1, "but": 2, "path": ["a"]}]}
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_path_is_looked_up_in_the_context_or_else_in_the_resource(app: Flask) -> None:
    pattern = {"owner": ".user.id"}

    assert matched(app, pattern, {"owner": "ann"}, context={"user": {"id": "ann"}}) == []
    assert matched(app, pattern, {"owner": "ann", "user": {"id": "ann"}}) == []
    assert matched(app, pattern, {"owner": "ann", "user": {"id": "ann"}}, context={}) == [
        {"expected": ".user.id", "but": "ann", "path": ["owner"]}
    ]


def test_yaml_goes_in_and_out(app: Flask) -> None:
    body = "matcho:\n  a: '#^x'\nresource:\n  a: y\n"

    answer = operate(app, "POST", PATH, body, content_type="text/yaml", headers={"Accept": "application/yaml"})

    assert answer.mimetype == "application/yaml"
    told: Any = read_yaml(answer.data)
    assert told["result"] == [{"expected": "#^x", "but": "y", "path": ["a"]}]


@pytest.mark.parametrize(
    ("body", "path", "reason"),
    [
        ({"resource": 1}, "matcho", "is required"),
        ({"matcho": 1}, "resource", "is required"),
        ({"matcho": {"a": None}, "resource": 1}, "matcho.a", "nil?"),
        ({"matcho": "#(", "resource": 1}, "matcho", "regular expression"),
        ({"matcho": 1, "resource": 1, "contxt": 1}, "contxt", "is none of"),
        ({"matcho": "x" * 70_000, "resource": 1}, "matcho", "64 KiB"),
        ([1], "", "must be an object"),
        ("{", "", "cannot be read"),
    ],
)
def test_what_cannot_be_tried_is_refused_with_its_place(app: Flask, body: object, path: str, reason: str) -> None:
    answer = operate(
        app, "POST", PATH, body if isinstance(body, str) else json.dumps(body), content_type="application/json"
    )

    assert answer.status_code == 422
    (issue,) = answer.json["issues"]
    assert issue["path"] == path
    assert reason in issue["message"] or path == "matcho"


def test_other_media_types_are_refused(app: Flask) -> None:
    assert operate(app, "POST", PATH, "a=1", content_type="application/x-www-form-urlencoded").status_code == 415
    assert operate(app, "POST", PATH, {}, headers={"Accept": "text/html"}).status_code == 406
    assert operate(app, "GET", PATH).status_code == 405


def test_a_body_over_the_limit_is_refused(app: Flask) -> None:
    body = {"matcho": 1, "resource": "x" * (1024 * 1024)}

    assert operate(app, "POST", PATH, body).status_code == 413


def test_it_is_the_operators(app: Flask, issuer: Issuer) -> None:
    body = {"matcho": 1, "resource": 1}
    tutorial(app)
    ann = token_header(issuer, sub="ann")

    assert ask(app, None, "/fhir/$matcho", "POST", json=body).status_code == 401
    assert ask(app, None, "/fhir/$matcho", "POST", json=body, headers=ann).status_code == 403
    tutorial(app, policy("linked", {"jwt": {"sub": "ann"}}, link=[{"reference": f"Operation/{ENDPOINT}"}]))
    assert ask(app, None, "/fhir/$matcho", "POST", json=body, headers=ann).status_code == 200
    assert (
        ask(app, None, "/fhir/$matcho", "POST", json=body, headers=token_header(issuer, sub="bob")).status_code == 403
    )


def test_what_is_large_is_not_repeated_with_each_mismatch(app: Flask) -> None:
    large = {"text": "x" * 9_000, "list": list(range(100_000)), "object": {"a": "x" * 9_000}, "small": "x" * 8_000}
    pattern = dict.fromkeys(large, 1)

    result = matched(app, pattern, large)
    many = operate(app, "POST", PATH, {"matcho": {"$every": ".uri"}, "resource": [large["text"]] * 100})

    shown = {mismatch["path"][0]: mismatch["but"] for mismatch in result}
    assert shown == {"text": "…", "list": ["…"], "object": {"…": "…"}, "small": large["small"]}
    assert [mismatch["but"] for mismatch in many.json["result"]] == ["…"] * 100
    assert len(many.data) < 1_000_000


def test_what_is_expected_of_many_items_is_not_repeated_where_it_is_large(app: Flask) -> None:
    result = matched(app, {"$every": {"$enum": ["x" * 60_000]}}, ["a"] * 200)

    assert [(mismatch["expected"], mismatch["but"]) for mismatch in result] == [({"…": "…"}, "a")] * 100
