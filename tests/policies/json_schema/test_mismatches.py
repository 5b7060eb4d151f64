"""Why a request is not valid against a schema, in a time that no request can stretch."""

from __future__ import annotations

from typing import Any

import pytest

from flask_foreign_token.policies.condition import MAX_MISMATCHES, Mismatch
from flask_foreign_token.policies.json_schema.check import check
from flask_foreign_token.policies.json_schema.mismatches import mismatches
from flask_foreign_token.policies.limits import MAX_DEPTH


def found(schema: Any, value: Any) -> list[tuple[tuple[str | int, ...], Any]]:
    return [(path, expected) for path, expected, _ in mismatches(check(schema), value)]


A: dict[str, Any] = {"const": "a"}

ROWS: list[tuple[Any, Any, list[tuple[tuple[str | int, ...], Any]]]] = [
    # Gone into.
    ({"items": A}, ["a", "b", "c"], [((1,), A), ((2,), A)]),
    ({"items": [A, A]}, ["b", "a", "b"], [((0,), A)]),
    ({"items": [A], "additionalItems": A}, ["a", "b"], [((1,), A)]),
    ({"additionalItems": False, "items": A}, ["b"], [((0,), A)]),
    ({"patternProperties": {"^x": A}}, {"x1": "b", "y": "b"}, [(("x1",), A)]),
    (
        {"properties": {"x": A}, "additionalProperties": A},
        {"x": "a", "y": "b"},
        [(("y",), {"additionalProperties": A})],
    ),
    (
        {"patternProperties": {"^x": {}}, "additionalProperties": False},
        {"x": 1, "y": 1},
        [(("y",), {"additionalProperties": False})],
    ),
    ({"allOf": [A, {"enum": ["a", "c"]}]}, "b", [((), A), ((), {"enum": ["a", "c"]})]),
    ({"anyOf": [A, {"type": "number"}]}, "b", [((), A), ((), {"type": "number"})]),
    ({"oneOf": [A, {"type": "number"}]}, "b", [((), A), ((), {"type": "number"})]),
    ({"if": {"type": "string"}, "then": A, "else": {"const": 1}}, "b", [((), A)]),
    ({"if": {"type": "string"}, "then": A, "else": {"const": 1}}, 2, [((), {"const": 1})]),
    ({"dependencies": {"x": ["y", "z"], "u": ["v"]}}, {"x": 1, "y": 1}, [(("z",), {"required": ["z"]})]),
    ({"dependencies": {"x": {"properties": {"y": A}}}}, {"x": 1, "y": 1}, [(("y",), A)]),
    ({"required": ["x", "y", "z"]}, {"y": 1}, [(("x",), {"required": ["x"]}), (("z",), {"required": ["z"]})]),
    ({"definitions": {"a": {"$id": "#a", **A}}, "items": {"$ref": "#a"}}, ["b"], [((0,), A)]),
    ({"$id": "urn:x", "definitions": {"a": A}, "items": {"$ref": "urn:x#/definitions/a"}}, ["b"], [((0,), A)]),
    ({"properties": {"~/ %ä": A}, "not": {"$ref": "#/properties/~0~1%20%25%C3%A4"}}, {"~/ %ä": 1}, [(("~/ %ä",), A)]),
    # Asked as a whole.
    ({"oneOf": [A, {"type": "string"}]}, "a", [((), {"oneOf": [A, {"type": "string"}]})]),
    ({"not": A}, "a", [((), {"not": A})]),
    ({"contains": A}, ["b"], [((), {"contains": A})]),
    ({"propertyNames": {"maxLength": 1}}, {"xy": 1}, [((), {"propertyNames": {"maxLength": 1}})]),
    ({"type": "string", "minLength": 2, "pattern": "^a"}, "b", [((), {"minLength": 2}), ((), {"pattern": "^a"})]),
    ({"uniqueItems": True, "maxItems": 1}, [1, 1], [((), {"uniqueItems": True}), ((), {"maxItems": 1})]),
    ({"properties": {"x": False}}, {"x": 1}, [(("x",), False)]),
]


@pytest.mark.parametrize(("schema", "value", "expected"), ROWS, ids=repr)
def test_each_keyword_is_told_with_its_place(schema: Any, value: Any, expected: Any) -> None:
    assert found(schema, value) == expected


def test_keywords_that_depend_on_each_other_are_told_together() -> None:
    schema = {"contentMediaType": "application/json", "contentEncoding": "base64"}

    assert found(schema, "e30=") == []
    assert found(schema, "e30") == [((), schema)]


def test_what_is_valid_has_no_mismatch() -> None:
    assert mismatches(check({"items": A}), ["a", "a"]) == []


EXPRESSION = {
    "oneOf": [
        {
            "type": "object",
            "required": ["op", "args"],
            "properties": {"op": {"const": op}, "args": {"type": "array", "items": {"$ref": "#/definitions/e"}}},
        }
        for op in ("and", "or")
    ]
    + [{"type": "object", "required": ["field"]}]
}


@pytest.mark.parametrize("depth", [1, 13, MAX_DEPTH // 2])
def test_a_schema_that_refers_to_itself_is_followed_once(depth: int) -> None:
    value: Any = {"fild": "a"}
    for _ in range(depth):
        value = {"op": "and", "args": [value]}

    told = found(
        {"definitions": {"e": EXPRESSION}, "properties": {"body": {"$ref": "#/definitions/e"}}}, {"body": value}
    )

    # Of three alternatives; with each followed to the end, there would be more than 2 ** depth.
    assert [path for path, _ in told] == [
        ("body", "args", 0),
        ("body", "op"),
        ("body", "args", 0),
        ("body", "field"),
    ]


def test_the_first_mismatches_of_many_are_told() -> None:
    told = mismatches(check({"items": {"type": "string"}}), [1] * 10_000)

    assert told == [Mismatch((index,), {"type": "string"}, 1) for index in range(MAX_MISMATCHES)]


def test_schemas_that_lead_far_in_are_told_as_a_whole_from_there() -> None:
    links = {str(index): {"items": {"$ref": f"#/definitions/{index + 1}"}} for index in range(40)}
    schema = {"definitions": {**links, "40": A}, "items": {"$ref": "#/definitions/0"}}
    value: Any = "b"
    for _ in range(41):
        value = [value]

    ((path, expected),) = found(schema, value)

    assert 10 < len(path) < 41
    assert expected in links.values()
