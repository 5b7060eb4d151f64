from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest
from flask import Flask, request
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.exceptions import BadRequest

from flask_foreign_token.errors import Rejected
from flask_foreign_token.policies.condition import Condition, Equality, Mismatch
from flask_foreign_token.policies.decisions import Policies
from flask_foreign_token.policies.engines import Engines
from flask_foreign_token.policies.equality import equal
from flask_foreign_token.policies.json_schema.check import validator
from flask_foreign_token.policies.json_schema.pruning import TooDeep, pruned
from flask_foreign_token.policies.patterns import MAX_EXPRESSIONS
from flask_foreign_token.policies.policy import compile_policy
from flask_foreign_token.policies.request import PARTS, RequestView, UnreadablePart
from flask_foreign_token.policies.simulated import simulated

from ..facts import token

ENGINES = Engines()


def condition(schema: Any) -> Condition:
    return ENGINES.parse({"engine": "json-schema", "schema": schema})


def view(parts: dict[str, Any]) -> RequestView:
    """A request of which only `parts` exist."""
    return simulated(parts)


def allows(schema: Any, **parts: Any) -> bool:
    found = condition(schema).compile()(view({name.replace("_", "-"): part for name, part in parts.items()}))
    assert isinstance(found, bool)
    return found


def decides(schema: Any, view: RequestView) -> bool:
    body = {"engine": "json-schema", "schema": schema}
    return Policies([compile_policy("p", "1", body, ENGINES)]).decide(view).allowed


ISSUER: dict[str, Any] = {
    "required": ["jwt"],
    "properties": {"jwt": {"required": ["iss"], "properties": {"iss": {"const": "x"}}}},
}
TYPED_ISSUER = {
    "required": ["jwt"],
    "properties": {"jwt": {"type": "object", "required": ["iss"], "properties": {"iss": {"const": "x"}}}},
}


@pytest.mark.parametrize(
    ("policy", "path", "reason"),
    [
        ({}, "schema", "wants a schema"),
        ({"schema": None}, "schema", "wants a schema"),
        ({"schema": []}, "schema", "wants a schema"),
        ({"schema": "string"}, "schema", "wants a schema"),
        ({"schema": {}}, "schema", "engine: allow"),
        ({"schema": ISSUER, "matcho": {"uri": "/"}}, "matcho", "no such attribute"),
        ({"schema": {"properties": {"jwt": {"constant": 1}}}}, "schema.properties.jwt.constant", "say const"),
    ],
)
def test_a_policy_without_a_schema_that_can_be_used_is_refused(policy: dict[str, Any], path: str, reason: str) -> None:
    with pytest.raises(Rejected) as rejected:
        ENGINES.parse({"engine": "json-schema", **policy})

    (issue,) = rejected.value.issues
    assert issue.path == path
    assert reason in issue.message


@pytest.mark.parametrize(("schema", "allowed"), [(True, True), (False, False), ({"title": "all"}, True)])
def test_a_schema_that_asks_nothing_is_taken_at_its_word_and_warned_of(schema: Any, allowed: bool) -> None:
    condition = ENGINES.parse({"engine": "json-schema", "schema": schema})

    assert condition.compile()(simulated({"uri": "/"})) is allowed
    assert [issue.path for issue in condition.warnings()] == ["schema"]
    assert bool(condition.mismatches(simulated({"uri": "/"}))) is not allowed


def test_a_policy_has_so_many_expressions_and_no_more() -> None:
    properties = {"uri": {"allOf": [{"pattern": f"^{number}"} for number in range(MAX_EXPRESSIONS)]}}
    one_more = {"properties": properties, "patternProperties": {"^x": True}}
    ENGINES.parse({"engine": "json-schema", "schema": {"properties": properties}})

    with pytest.raises(Rejected, match="200 regular expressions"):
        ENGINES.parse({"engine": "json-schema", "schema": one_more})


def test_a_request_is_allowed_where_it_is_valid() -> None:
    assert allows(ISSUER, jwt={"iss": "x", "sub": "alice"})
    assert not allows(ISSUER, jwt={"iss": "y"})
    assert not allows(ISSUER, jwt={"sub": "alice"})
    assert not allows(ISSUER)


@pytest.mark.parametrize("empty", [None, "", [], {}, [None], {"a": {"b": []}}, ()])
def test_what_is_empty_is_missing(empty: Any) -> None:
    assert not allows({"required": ["jwt"]}, jwt=empty)
    assert not allows({"required": ["jwt"], "properties": {"jwt": {"required": ["a"]}}}, jwt={"a": empty, "b": 1})
    assert allows({"not": {"required": ["jwt"]}}, jwt=empty)


@pytest.mark.parametrize("value", [0, False, 0.0, " ", [0], {"a": False}])
def test_zero_false_and_blanks_are_not_empty(value: Any) -> None:
    assert allows({"required": ["jwt"]}, jwt=value)
    assert allows({"required": ["jwt"], "properties": {"jwt": {"required": ["a"]}}}, jwt={"a": value})


def test_empty_items_are_not_counted() -> None:
    schema = {"required": ["params"], "properties": {"params": {"properties": {"x": {"maxItems": 1}}}}}

    assert allows(schema, params={"x": [None, "a", ""]})
    assert not allows(schema, params={"x": ["a", "b"]})


def test_a_part_with_other_members_than_those_looked_at_is_there() -> None:
    schema = {"required": ["jwt"], "properties": {"jwt": {"properties": {"iss": {"const": "x"}}}}}

    assert allows(schema, jwt={"sub": "alice"})
    assert allows(schema, jwt={"iss": None, "sub": "alice"})
    assert not allows(schema, jwt={"iss": None, "sub": ""})


@pytest.mark.parametrize(
    ("const", "value", "is_equal"),
    [
        (1, 1.0, True),
        (1.0, 1, True),
        (1, True, False),
        (0, False, False),
        (1, "1", False),
        (10**50, 10**50, True),
        (10**50, 10**50 + 1, False),
        (2**53 + 1, float(2**53), False),
    ],
)
def test_values_are_compared_by_type_and_in_full(const: Any, value: Any, is_equal: bool) -> None:
    schema = {"required": ["jwt"], "properties": {"jwt": {"required": ["n"], "properties": {"n": {"const": const}}}}}

    assert allows(schema, jwt={"n": value}) is is_equal


def test_claims_are_read_as_they_are_kept() -> None:
    schema = {
        "required": ["jwt"],
        "properties": {"jwt": {"required": ["roles"], "properties": {"roles": {"contains": {"const": "admin"}}}}},
    }

    assert allows(schema, jwt=MappingProxyType({"roles": ("user", "admin")}))
    assert not allows(schema, jwt=MappingProxyType({"roles": ("user",)}))


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


TREE = {
    "properties": {"body": {"$ref": "#/definitions/tree"}},
    "definitions": {"tree": {"properties": {"a": {"$ref": "#/definitions/tree"}}}},
}


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), "\ud800", {"\ud800": 1}, nested(65), nested(100_000), b""]
)
@pytest.mark.parametrize(
    "schema", [{"not": {"required": ["uri"]}, "properties": {"body": {"not": {"const": 1}}}}, TREE]
)
def test_what_cannot_be_told_denies(schema: Any, value: Any) -> None:
    assert decides(schema, view({"body": {"a": 1}}))
    assert not decides(schema, view({"body": {"a": value}}))


def test_a_value_that_nests_as_deep_as_a_token_may_is_looked_at() -> None:
    assert allows(TREE, body=nested(64))
    with pytest.raises(TooDeep):
        allows(TREE, body=nested(65))


@pytest.mark.parametrize(
    ("schema", "reads"),
    [
        (ISSUER, {"jwt"}),
        ({"required": ["user"], "properties": {"uri": {"const": "/"}}}, {"user", "uri"}),
        ({"allOf": [{"required": ["user"]}, {"not": {"required": ["client"]}}]}, {"user", "client"}),
        ({"anyOf": [{"required": ["user"]}], "oneOf": [{"required": ["jwt"]}]}, {"user", "jwt"}),
        ({"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"required": ["c"]}}, {"a", "b", "c"}),
        ({"dependencies": {"a": ["b"], "c": {"required": ["d"]}}}, {"a", "b", "c", "d"}),
        ({"$ref": "#/definitions/a", "definitions": {"a": {"required": ["user"]}}}, {"user"}),
        ({"$ref": "#/definitions/a", "required": ["x"], "definitions": {"a": {"required": ["user"]}}}, {"user"}),
        ({"type": "object"}, set()),
        ({"properties": {"jwt": {"additionalProperties": False}}}, {"jwt"}),
        ({"additionalProperties": False}, PARTS),
        ({"patternProperties": {"^u": {}}}, PARTS),
        ({"propertyNames": {"maxLength": 3}}, PARTS),
        ({"minProperties": 1}, PARTS),
        ({"maxProperties": 1}, PARTS),
        ({"const": {}}, PARTS),
        ({"enum": [{}]}, PARTS),
        ({"not": {"anyOf": [{"additionalProperties": False}]}}, PARTS),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else ",".join(sorted(value)),
)
def test_a_schema_reads_the_parts_that_it_can_look_at(schema: Any, reads: Any) -> None:
    assert condition(schema).reads == reads


@pytest.mark.parametrize(
    "schema", [{"properties": {"body": {"const": 1}}}, {"maxProperties": 99}, {"required": ["resource"]}]
)
def test_a_body_that_cannot_be_read_denies_where_a_schema_looks_at_it(schema: Any) -> None:
    with Flask(__name__).test_request_context("/", method="POST", data="{", content_type="application/json"):
        unreadable = RequestView(request._get_current_object(), None, None)  # type: ignore[attr-defined]

        assert not decides(schema, unreadable)
        with pytest.raises((UnreadablePart, BadRequest)):
            condition(schema).compile()(unreadable)


def test_a_body_is_not_parsed_where_no_schema_looks_at_it() -> None:
    with Flask(__name__).test_request_context("/", method="POST", data="{", content_type="application/json"):
        unreadable = RequestView(request._get_current_object(), token({"iss": "x"}), None)  # type: ignore[attr-defined]

        assert condition(ISSUER).compile()(unreadable) is True
        assert unreadable.keys() == {"jwt"}


def test_a_schema_that_looks_everywhere_sees_every_part() -> None:
    schema = {"propertyNames": {"enum": ["request-method", "scheme", "uri", "headers", "operation"]}}
    app = Flask(__name__)
    app.add_url_rule("/x", "x", lambda: "")

    with app.test_request_context("/x"):
        assert decides(schema, RequestView(request._get_current_object(), None, None))  # type: ignore[attr-defined]
    with app.test_request_context("/x?a=1"):
        assert not decides(schema, RequestView(request._get_current_object(), None, None))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("schema", "needs"),
    [
        (ISSUER, ["jwt"]),
        (
            {"allOf": [{"required": ["user"]}, {"allOf": [{"required": ["uri"]}]}], "required": ["jwt"]},
            ["user", "uri", "jwt"],
        ),
        ({"properties": {"jwt": {"required": ["iss"]}}}, []),
        ({"anyOf": [{"required": ["user"]}]}, []),
        ({"not": {"required": ["user"]}}, []),
        ({"$ref": "#/definitions/a", "required": ["jwt"], "definitions": {"a": {"required": ["user"]}}}, ["user"]),
    ],
    ids=repr,
)
def test_a_schema_needs_what_it_requires(schema: Any, needs: Any) -> None:
    assert condition(schema).needs == set(needs)


def test_a_schema_always_gives_the_same_answer() -> None:
    assert condition(ISSUER).deterministic


@pytest.mark.parametrize(
    ("schema", "equalities"),
    [
        (ISSUER, [(Equality(("jwt", "iss"), "x"),)]),
        ({"required": ["uri"], "properties": {"uri": {"const": "/"}}}, [(Equality(("uri",), "/"),)]),
        (
            {"required": ["uri"], "properties": {"uri": {"enum": ["/a", "/b"]}}},
            [(Equality(("uri",), "/a"), Equality(("uri",), "/b"))],
        ),
        (
            {"allOf": [{"required": ["uri"]}, {"properties": {"uri": {"allOf": [{"const": "/"}]}}}]},
            [(Equality(("uri",), "/"),)],
        ),
        # What need not be there need not be equal.
        ({"properties": {"uri": {"const": "/"}}}, []),
        ({"required": ["jwt"], "properties": {"jwt": {"properties": {"iss": {"const": "x"}}}}}, []),
        ({"anyOf": [ISSUER]}, []),
        ({"not": ISSUER}, []),
        # What is no scalar cannot be looked up.
        ({"required": ["uri"], "properties": {"uri": {"const": None}}}, []),
        ({"required": ["uri"], "properties": {"uri": {"enum": ["/", []]}}}, []),
        ({"required": ["uri"], "properties": {"uri": {"enum": []}}}, []),
        # A claim that is no object has no members to be unequal, so it passes.
        ({"required": ["jwt"], "properties": {"jwt": ISSUER}}, []),
        ({"required": ["jwt"], "properties": {"jwt": TYPED_ISSUER}}, [(Equality(("jwt", "jwt", "iss"), "x"),)]),
        ({"$ref": "#/definitions/a", "definitions": {"a": ISSUER}}, [(Equality(("jwt", "iss"), "x"),)]),
    ],
    ids=repr,
)
def test_a_schema_is_filed_under_what_must_be_equal(schema: Any, equalities: Any) -> None:
    assert condition(schema).equalities() == equalities


@pytest.mark.parametrize(
    ("schema", "parts", "mismatches"),
    [
        (ISSUER, {"jwt": {"iss": "x"}}, []),
        (ISSUER, {"jwt": {"iss": "y"}}, [Mismatch(("jwt", "iss"), {"const": "x"}, "y")]),
        (ISSUER, {"jwt": {"sub": "y"}}, [Mismatch(("jwt", "iss"), {"required": ["iss"]}, None)]),
        (ISSUER, {}, [Mismatch(("jwt",), {"required": ["jwt"]}, None)]),
        ({"properties": {"uri": {"pattern": "^/a"}}}, {"uri": "/b"}, [Mismatch(("uri",), {"pattern": "^/a"}, "/b")]),
        ({"properties": {"uri": {"enum": [1, 2]}}}, {"uri": "/b"}, [Mismatch(("uri",), {"enum": [1, 2]}, "/b")]),
        ({"properties": {"uri": {"type": "null"}}}, {"uri": "/b"}, [Mismatch(("uri",), {"type": "null"}, "/b")]),
        ({"properties": {"uri": False}}, {"uri": "/b"}, [Mismatch(("uri",), False, "/b")]),
        ({"additionalProperties": False}, {"uri": "/b"}, [Mismatch(("uri",), {"additionalProperties": False}, "/b")]),
        (
            {"properties": {"params": {"properties": {"c": {}}, "additionalProperties": False}}},
            {"params": {"a": 1, "b": 2, "c": 3}},
            [
                Mismatch(("params", "a"), {"additionalProperties": False}, 1),
                Mismatch(("params", "b"), {"additionalProperties": False}, 2),
            ],
        ),
        (
            {"properties": {"params": {"properties": {"a": {"items": {"const": 1}}}}}},
            {"params": {"a": [None, 1, 2]}},
            [Mismatch(("params", "a", 1), {"const": 1}, 2)],
        ),
        (
            {"anyOf": [{"required": ["user"]}, {"properties": {"uri": {"const": "/a"}}}]},
            {"uri": "/b"},
            [Mismatch(("user",), {"required": ["user"]}, None), Mismatch(("uri",), {"const": "/a"}, "/b")],
        ),
        (
            {"oneOf": [{"required": ["uri"]}, {"required": ["uri"]}]},
            {"uri": "/"},
            [Mismatch((), {"oneOf": [{"required": ["uri"]}, {"required": ["uri"]}]}, {"uri": "/"})],
        ),
        (
            {"not": {"required": ["uri"]}},
            {"uri": "/"},
            [Mismatch((), {"not": {"required": ["uri"]}}, {"uri": "/"})],
        ),
        (
            {"properties": {"uri": {"$ref": "#/definitions/a"}}, "definitions": {"a": {"const": "/"}}},
            {"uri": "/b"},
            [Mismatch(("uri",), {"const": "/"}, "/b")],
        ),
        ({"dependencies": {"uri": ["user"]}}, {"uri": "/"}, [Mismatch(("user",), {"required": ["user"]}, None)]),
    ],
    ids=repr,
)
def test_each_reason_is_told_with_its_place(schema: Any, parts: Any, mismatches: Any) -> None:
    found = condition(schema).mismatches(view(parts))

    assert sorted(found, key=repr) == sorted(mismatches, key=repr)


def test_what_cannot_be_told_is_not_explained_either() -> None:
    with pytest.raises(TooDeep):
        condition(TREE).mismatches(view({"body": nested(65)}))


NAMES = st.sampled_from(["jwt", "user", "a"])
SCALARS = st.sampled_from([0, 1, True, "", "x", None])
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3))
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=3)
REQUESTS = st.fixed_dictionaries({}, optional={"jwt": OBJECTS, "user": OBJECTS, "uri": SCALARS})


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=2)
    by_name = st.dictionaries(NAMES, inner, max_size=2)
    names = st.lists(NAMES, max_size=2, unique=True)
    return st.fixed_dictionaries(
        {},
        optional={
            "required": names,
            "properties": by_name,
            "allOf": several,
            "anyOf": several,
            "not": inner,
            "if": inner,
            "then": inner,
            "items": inner,
            "contains": inner,
            "dependencies": st.dictionaries(NAMES, names | inner, max_size=2),
            "additionalProperties": inner,
            "propertyNames": inner,
            "minProperties": st.integers(0, 2),
            "type": st.sampled_from(["object", "array"]),
            "$ref": st.sampled_from(["#/definitions/d", "#/definitions/e"]),
        },
    ) | _mostly(by_name, names)


def _mostly(by_name: st.SearchStrategy[Any], names: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Schemas of the usual kind, for which there is something to be filed under."""
    return st.fixed_dictionaries(
        {"properties": by_name, "required": names}, optional={"type": st.sampled_from(["object", "array"])}
    )


LEAVES = st.booleans() | st.fixed_dictionaries(
    {}, optional={"const": VALUES, "enum": st.lists(SCALARS, max_size=2), "minLength": st.just(1)}
)
SCHEMAS = st.recursive(LEAVES, _schemas, max_leaves=8)


@settings(max_examples=300, deadline=None)
@given(SCHEMAS, SCHEMAS, LEAVES, REQUESTS)
def test_what_is_known_of_a_schema_agrees_with_what_it_decides(
    schema: Any, definition: Any, other: Any, parts: dict[str, Any]
) -> None:
    asked = schema if isinstance(schema, dict) and schema else {"not": schema}
    written = {**asked, "definitions": {"d": definition, "e": other}}
    try:
        read = condition(written)
    except Rejected:
        return  # References that lead back to themselves.

    allowed = read.compile()(view(parts))

    assert allowed is validator(written).is_valid(pruned(parts) or {})
    assert (not read.mismatches(view(parts))) is allowed
    assert list(read.warnings()) is not None
    if allowed:
        assert all(pruned(parts.get(name)) is not None for name in read.needs)
        for alternatives in read.equalities():
            assert any(equal(_at(parts, equality.path), equality.value) for equality in alternatives)


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value[name]
    return value
