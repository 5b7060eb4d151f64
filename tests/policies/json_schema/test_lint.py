from __future__ import annotations

from typing import Any

import pytest

from flask_foreign_token.policies.engines import Engines

ENGINES = Engines()


def warnings_of(schema: Any) -> list[tuple[str, str]]:
    read = ENGINES.parse({"engine": "json-schema", "schema": schema})
    return [(issue.path, issue.message) for issue in read.warnings()]


def within(member: str, schema: Any) -> Any:
    """A schema that asks `schema` of a member that is there."""
    return {"required": [member], "properties": {member: schema}}


WARNED: list[tuple[Any, str, str]] = [
    # A check that a request escapes by leaving something out.
    ({"properties": {"params": {"required": ["a"]}}}, "schema.properties.params", '"required": ["params"]'),
    (
        within("jwt", {"properties": {"iss": {"const": "x"}}}),
        "schema.properties.jwt.properties.iss",
        '"required": ["iss"]',
    ),
    (
        {"allOf": [{"properties": {"jwt": {"required": ["a"]}}}]},
        "schema.allOf.0.properties.jwt",
        '"required": ["jwt"]',
    ),
    (
        {"anyOf": [{"properties": {"jwt": {"required": ["a"]}}}]},
        "schema.anyOf.0.properties.jwt",
        '"required": ["jwt"]',
    ),
    (
        {"if": {"required": ["uri"]}, "then": {"properties": {"jwt": {"required": ["a"]}}}},
        "schema.then.properties.jwt",
        '"required": ["jwt"]',
    ),
    (
        {"dependencies": {"jwt": {"properties": {"user": {"required": ["a"]}}}}},
        "schema.dependencies.jwt.properties.user",
        '"required": ["user"]',
    ),
    (
        {"$ref": "#/definitions/a", "definitions": {"a": {"properties": {"jwt": {"required": ["a"]}}}}},
        "schema.definitions.a.properties.jwt",
        '"required": ["jwt"]',
    ),
    (
        within("user", within("a", {"type": "array", "items": {"type": "object", "properties": {"b": {"const": 1}}}})),
        "schema.properties.user.properties.a.items.properties.b",
        '"required": ["b"]',
    ),
    # A check that a value escapes by being of another type.
    (within("body", {"required": ["a"]}), "schema.properties.body", '"type": "object"'),
    (within("params", within("a", {"pattern": "^a"})), "schema.properties.params.properties.a", '"type": "string"'),
    (within("params", within("a", {"minLength": 1})), "schema.properties.params.properties.a", '"type": "string"'),
    (within("jwt", within("a", {"contains": {"const": 1}})), "schema.properties.jwt.properties.a", '"type": "array"'),
    (within("jwt", within("a", {"maximum": 3})), "schema.properties.jwt.properties.a", '"type": "number"'),
    (
        within("jwt", within("a", {"anyOf": [{"required": ["b"]}]})),
        "schema.properties.jwt.properties.a.anyOf.0",
        '"type": "object"',
    ),
    # Remarks.
    (within("jwt", within("a", {"format": "email"})), "schema.properties.jwt.properties.a.format", "say pattern"),
    ({"not": within("jwt", {"format": "email"})}, "schema.not.properties.jwt.format", "say pattern"),
    (
        {"$ref": "#/definitions/a", "required": ["user"], "definitions": {"a": {"required": ["jwt"]}}},
        "schema.required",
        "beside $ref",
    ),
    # What is not there.
    (within("session", {"type": "object"}), "schema.properties.session", "a request has no session"),
    # Patterns that are found anywhere.
    (within("uri", {"pattern": "/fhir/"}), "schema.properties.uri.pattern", "begin with ^"),
    (within("uri", {"pattern": "^/a|/b"}), "schema.properties.uri.pattern", "begin with ^"),
    # Methods as they are never written.
    (within("request-method", {"const": "GET"}), "schema.properties.request-method.const", "lower case"),
    (within("request-method", {"enum": ["get", "head"]}), "schema.properties.request-method.enum", "get"),
    # Nothing at all.
    ({"type": "object"}, "schema", "engine: allow"),
    ({"title": "to be done"}, "schema", "engine: allow"),
]


@pytest.mark.parametrize(("schema", "path", "reason"), WARNED, ids=[repr(row[0])[:90] for row in WARNED])
def test_what_is_probably_not_meant_is_warned_of(schema: Any, path: str, reason: str) -> None:
    ((found, message),) = warnings_of(schema)

    assert found == path
    assert reason in message


@pytest.mark.parametrize(
    "schema",
    [
        within("jwt", within("iss", {"const": "x"})),
        within("client", within("id", {"pattern": "^web-"})),
        within("headers", within("x-api-version", {"pattern": "^v1$"})),
        within("body", {"type": "object", **within("resourceType", {"const": "Patient"})}),
        within("user", within("data", within("roles", {"type": "array", "contains": {"const": "admin"}}))),
        # What every request has.
        {"properties": {"uri": {"pattern": "^/fhir/"}, "request-method": {"enum": ["get", "post"]}}},
        {"properties": {"scheme": {"const": "https"}}},
        # Required elsewhere, for the same value.
        {"required": ["jwt"], "allOf": [{"properties": {"jwt": {"required": ["iss"]}}}]},
        {"properties": {"jwt": {"required": ["iss"]}}, "allOf": [{"allOf": [{"required": ["jwt"]}]}]},
        {"if": {"required": ["jwt"]}, "then": {"properties": {"jwt": {"required": ["iss"]}}}},
        {"dependencies": {"jwt": {"properties": {"jwt": {"required": ["iss"]}}}}},
        within("jwt", within("a", {"allOf": [{"type": "object"}, {"required": ["b"]}]})),
        within("jwt", within("a", {"type": "object", "anyOf": [{"required": ["b"]}, {"required": ["c"]}]})),
        # What must not be there, or asks nothing.
        {"required": ["jwt"], "properties": {"user": False, "client": {"title": "x"}, "params": True}},
        # What narrows where it is left out.
        {"required": ["uri"], "not": {"properties": {"jwt": {"required": ["a"]}, "body": {"required": ["a"]}}}},
        {"required": ["uri"], "if": {"properties": {"jwt": {"required": ["a"]}}}, "then": {"required": ["user"]}},
        # Beside a reference, what is for people and what is referred to.
        {"$ref": "#/definitions/a", "title": "x", "definitions": {"a": {"required": ["jwt"]}}},
        # A schema that refers to itself.
        within("body", {"$ref": "#/definitions/tree"})
        | {"definitions": {"tree": {"type": "object", **within("a", {"$ref": "#/definitions/tree"})}}},
    ],
    ids=lambda schema: repr(schema)[:90],
)
def test_what_is_said_in_full_is_not_warned_of(schema: Any) -> None:
    assert warnings_of(schema) == []


def test_each_warning_comes_once() -> None:
    lax = {"properties": {"iss": {"const": "x"}}}
    schema = {"required": ["jwt"], "properties": {"jwt": {"$ref": "#/definitions/a"}}, "definitions": {"a": lax}}

    assert len(warnings_of({**schema, "allOf": [{"properties": {"jwt": {"$ref": "#/definitions/a"}}}]})) == 1


def test_a_schema_of_many_members_that_refer_to_it_is_soon_read() -> None:
    again = {"$ref": "#/definitions/a"}
    tree = {"type": "object", "properties": {f"m{index}": again for index in range(500)}}

    assert len(warnings_of({"required": ["jwt"], "properties": {"jwt": again}, "definitions": {"a": tree}})) == 500
