"""Whom a policy lets in without having meant to."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_foreign_token.policies.anonymous import asks_nobody, gaps, lets_in
from flask_foreign_token.policies.condition import Condition, Equality
from flask_foreign_token.policies.engines import Engines
from flask_foreign_token.policies.lint import lint
from flask_foreign_token.policies.matcho.compile import compile_pattern
from flask_foreign_token.policies.matcho.engine import Matches
from flask_foreign_token.policies.matcho.parse import parse
from flask_foreign_token.policies.request import IDENTITY
from flask_foreign_token.policies.simulated import simulated

from .matcho.test_property import pattern_near, random_value, value_near

ENGINES = Engines()
GET = {"engine": "matcho", "matcho": {"request-method": "get"}}
A_TOKEN = {"engine": "matcho", "matcho": {"jwt": "present?"}}
A_ROUTE = {"engine": "matcho", "matcho": {"uri": "/metadata"}}
ALLOW = {"engine": "allow"}
NOT_A_GUEST = {"engine": "matcho", "matcho": {"user": {"$not": {"data": {"role": "guest"}}}}}

OPERATION = {"reference": "Operation/metadata"}
USER = {"reference": "User/a"}
CLIENT = {"reference": "Client/a"}


def warned(body: dict[str, Any]) -> list[tuple[str, str]]:
    return [(issue.path, issue.message) for issue in lint("p", body, ENGINES)]


def complex_(name: str, *conditions: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    return {"engine": "complex", name: list(conditions), **attributes}


def matcho(pattern: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    return {"engine": "matcho", "matcho": pattern, **attributes}


def schema(**keywords: Any) -> dict[str, Any]:
    return {"engine": "json-schema", "schema": {"type": "object", **keywords}}


NOT_BANNED = schema(
    **{
        "not": {
            "required": ["user"],
            "properties": {"user": {"required": ["banned"], "properties": {"banned": {"const": True}}}},
        }
    }
)

OPEN: list[dict[str, Any]] = [
    GET,
    matcho({"uri": "#^/fhir/.*"}),
    matcho({"uri": {"$one-of": ["/a", "#^/b/"]}}),
    matcho({"uri": {"$not": "/admin"}}),
    matcho({"$not": {"uri": "/admin"}}),
    matcho({"$one-of": [{"user": "present?"}, {"request-method": "get"}]}),
    matcho({"$one-of": [{"uri": "/a"}, {"request-method": "get"}]}),
    matcho({"params": {"owner": {"$one-of": [".user.id", "public"]}}}),
    matcho({"body": {"owner": {"$one-of": [{"id": ".user.id"}, {"$one-of": [{"id": ".jwt.sub"}, "nil?"]}]}}}),
    matcho({"operation": "present?"}),
    matcho({"operation": {"id": "#^fhir"}}),
    matcho({"params": {"type": {"$not": "Binary"}}}),
    complex_("and", GET, ALLOW),
    complex_("or", A_TOKEN, GET),
    complex_("or", A_ROUTE, ALLOW),
    schema(required=["uri"], properties={"uri": {"pattern": "^/fhir/"}}),
    schema(properties={"uri": {"not": {"const": "/admin"}}}),
    schema(anyOf=[{"required": ["params"]}, {"properties": {"uri": {"const": "/a"}}}]),
]

MEANT: list[dict[str, Any]] = [
    A_TOKEN,
    A_ROUTE,
    matcho({"uri": {"$enum": ["/a", "/b"]}}),
    matcho({"uri": {"$one-of": ["/a", "/b"]}, "request-method": "get"}),
    matcho({"operation": {"id": "metadata"}}),
    matcho({"operation": {"$one-of": [{"id": "a"}, {"resourceType": "Operation", "id": "b"}]}}),
    matcho({"$one-of": [{"uri": "/a"}, {"uri": "/b", "request-method": "get"}]}),
    matcho({"$one-of": [{"uri": "/a"}, {"jwt": "present?"}]}),
    matcho({"$one-of": [{"user": "present?"}, {"jwt": "present?"}]}),
    matcho({"$one-of": [{"user": {"id": "a"}}, {"client": {"id": "b"}}, {"token": "present?"}]}),
    matcho({"request-method": "get", "params": {"owner": ".user.id"}}),
    matcho({"params": {"owner": {"$one-of": ".user.owners"}}}),
    matcho({"params": {"owner": {"$one-of": [".user.id", ".jwt.sub"]}}}),
    matcho({"params": {"owner": {"$one-of": [".user.id", "public"]}}, "jwt": "present?"}),
    matcho({"params": {"owner": {"$one-of": [".user.id", "public"]}}, "uri": "/a"}),
    matcho({"request-method": "get"}, link=[OPERATION]),
    matcho({"request-method": "get"}, link=[USER, CLIENT]),
    matcho({"request-method": "get"}, roleName="doctor"),
    matcho({"user": "nil?", "uri": "#^/register"}),
    matcho({"jwt": {"$one-of": ["nil?", {"iss": "x"}]}, "uri": "#^/a"}),
    complex_("and", GET, A_TOKEN),
    complex_("and", GET, complex_("or", A_TOKEN, A_ROUTE)),
    complex_("or", A_TOKEN, A_ROUTE),
    complex_("or", GET, ALLOW, link=[CLIENT]),
    {"engine": "allow", "link": [USER]},
    {"engine": "allow", "link": [OPERATION]},
    {"engine": "allow", "roleName": "doctor"},
    schema(required=["jwt"], properties={"jwt": {"type": "object"}}),
    schema(anyOf=[{"required": ["user"]}, {"required": ["client"]}]),
    schema(oneOf=[{"required": ["user"]}, {"required": ["client"]}]),
    schema(properties={"uri": {"enum": ["/a", "/b"]}}),
    schema(
        properties={"operation": {"required": ["id"], "properties": {"id": {"const": "a"}}}}, required=["operation"]
    ),
    schema(allOf=[{"required": ["operation"]}, {"properties": {"operation": {"const": {"id": "a"}}}}]),
    schema(anyOf=[{"properties": {"uri": {"const": "/a"}}}, {"required": ["jwt"]}]),
    {
        "engine": "json-schema",
        "schema": {"if": {"properties": {"uri": {"const": "/a"}}}, "then": {}, "else": {"required": ["user"]}},
    },
    schema(dependencies={"uri": ["jwt"]}),
    schema(allOf=[{"$ref": "#/definitions/a"}], definitions={"a": {"allOf": [{"required": ["user"]}]}}),
    schema(required=["user"], **{"not": {"required": ["jwt"]}}),
    schema(required=["user"], maxProperties=20),
]


@pytest.mark.parametrize("body", OPEN, ids=json.dumps)
def test_a_policy_that_asks_for_nobody_and_no_route_lets_everybody_in(body: dict[str, Any]) -> None:
    assert ["lets everybody in" in message for path, message in warned(body) if not path] == [True]


@pytest.mark.parametrize("body", MEANT, ids=json.dumps)
def test_a_policy_that_asks_for_somebody_or_names_its_routes_does_what_is_meant(body: dict[str, Any]) -> None:
    assert warned(body) == []


def test_allow_by_itself_lets_everybody_into_every_view() -> None:
    (warning,) = warned(ALLOW)

    assert (warning[0], "every view" in warning[1]) == ("engine", True)


GAPS: list[tuple[dict[str, Any], str]] = [
    (NOT_A_GUEST, "matcho.user.$not"),
    (matcho({"client": {"$not": {"id": "a"}}}), "matcho.client.$not"),
    (matcho({"jwt": {"$not": {"iss": "a"}}}), "matcho.jwt.$not"),
    (matcho({"token": {"$not": {"active": False}}}), "matcho.token.$not"),
    (matcho({"user": {"$one-of": [{"$not": {"id": "a"}}]}}), "matcho.user.$one-of.0.$not"),
    (matcho({"$not": {"user": {"id": "a"}}}), "matcho.$not"),
    (matcho({"$not": {"user": {"id": "a"}, "uri": "/a"}}), "matcho.$not"),
    (matcho({"uri": "/a", "body": {"owner": {"$not": ".user.id"}}}), "matcho.body.owner.$not"),
    (matcho({"body": {"owners": {"$every": {"$not": ".user.id"}}}}), "matcho.body.owners.$every.$not"),
    (matcho({"body": {"tags": {"$every": ".user.id"}}}), "matcho.body.tags.$every"),
    (matcho({"body": {"tags": {"$every": {"owner": ".jwt.sub"}}}}), "matcho.body.tags.$every"),
    (matcho({"body": {"tags": {"$every": {"$one-of": ".user.ids"}}}}), "matcho.body.tags.$every"),
    (
        matcho({"uri": "/a", "body": {"$one-of": [".jwt.a", {"a": {"$every": ".token.a"}}]}}),
        "matcho.body.$one-of.1.a.$every",
    ),
    (matcho({"$one-of": [{"uri": "/a"}, {"user": {"$not": {"id": "a"}}}]}), "matcho.$one-of.1.user.$not"),
    ({**NOT_A_GUEST, "link": [OPERATION]}, "matcho.user.$not"),
    (matcho({"uri": "/a", "user": {"$not": {"id": "a"}}}), "matcho.user.$not"),
    (complex_("and", GET, NOT_A_GUEST), "and.1.matcho.user.$not"),
    (complex_("or", A_TOKEN, complex_("and", NOT_A_GUEST)), "or.1.and.0.matcho.user.$not"),
    (NOT_BANNED, "schema"),
    (complex_("and", GET, NOT_BANNED), "and.1.schema"),
    ({"engine": "json-schema", "schema": {"if": {"required": ["user"]}, "then": {"required": ["client"]}}}, "schema"),
    (schema(dependencies={"user": {"required": ["client"]}}), "schema"),
    (schema(dependencies={"user": ["client"]}), "schema"),
    (schema(anyOf=[{"required": ["user"]}, {"not": {"required": ["jwt"]}}]), "schema"),
    (schema(oneOf=[{"required": ["user"]}, {"maxProperties": 20}]), "schema"),
    (schema(maxProperties=20), "schema"),
    (schema(propertyNames={"enum": ["jwt", "uri", "request-method"]}), "schema"),
    (schema(properties={"uri": {"pattern": "^/fhir/"}}, **{"not": {"required": ["client"]}}), "schema"),
    (schema(allOf=[{"$ref": "#/definitions/a"}], definitions={"a": {"not": {"required": ["user"]}}}), "schema"),
]

GUARDED: list[dict[str, Any]] = [
    matcho({"user": {"data": {"role": {"$not": "guest"}}}}),
    matcho({"jwt": "present?", "user": {"$not": {"id": "a"}}}),
    matcho({"user": {"$not": "nil?"}}),
    matcho({"$not": {"user": "nil?"}}),
    matcho({"uri": "/a", "body": {"owner": {"$not": ".params.id"}}}),
    matcho({"user": "present?", "body": {"owner": {"$not": ".user.id"}}}),
    matcho({"$one-of": [{"uri": "/a"}, {"jwt": "present?", "user": {"$not": {"id": "a"}}}]}),
    matcho({"$one-of": [{"uri": "/a"}, {"user": "present?", "body": {"owner": {"$not": ".user.id"}}}]}),
    {**NOT_A_GUEST, "link": [CLIENT]},
    {**NOT_A_GUEST, "roleName": "doctor"},
    matcho({"jwt": "present?", "body": {"tags": {"$every": ".user.id"}}}),
    matcho({"uri": "/a", "body": {"tags": {"$every": ".params.tag"}}}),
    matcho({"user": {"tags": {"$every": ".jwt.tag"}}}),
    {**NOT_BANNED, "link": [CLIENT]},
    complex_("and", A_TOKEN, NOT_BANNED),
    schema(properties={"uri": {"const": "/a"}}, **{"not": {"required": ["client"]}}),
    complex_("and", A_TOKEN, NOT_A_GUEST),
    complex_("or", A_ROUTE, complex_("and", A_TOKEN, NOT_A_GUEST)),
]


@pytest.mark.parametrize(("body", "path"), GAPS, ids=json.dumps)
def test_what_lets_anonymous_requests_in_unseen_is_said_with_its_place(body: dict[str, Any], path: str) -> None:
    ((found, message),) = warned(body)

    assert (found, "lets anonymous requests in" in message) == (path, True)


@pytest.mark.parametrize("body", GUARDED, ids=json.dumps)
def test_a_not_beside_which_somebody_is_asked_for_is_left_alone(body: dict[str, Any]) -> None:
    assert warned(body) == []


def test_links_are_alternatives_so_that_an_operation_beside_a_client_is_open_to_everybody() -> None:
    ((path, message),) = warned({"engine": "allow", "link": [CLIENT, OPERATION]})

    assert (path, "links are alternatives" in message) == ("link", True)
    assert warned({**A_TOKEN, "link": [CLIENT, OPERATION]}) == []
    either = schema(anyOf=[{"required": ["user"]}, {"required": ["jwt"]}])
    assert warned({**either, "link": [CLIENT, OPERATION]}) == []


class Foreign(Condition):
    """Of an engine of another package: what it says of itself is all that is known."""

    def __init__(self, reads: set[str], needs: set[str], *equalities: tuple[str, ...]) -> None:
        self._reads, self._needs, self._equalities = frozenset(reads), frozenset(needs), equalities

    @property
    def reads(self) -> frozenset[str]:
        return self._reads

    @property
    def needs(self) -> frozenset[str]:
        return self._needs

    def equalities(self) -> Any:
        return [(Equality(path, "x"),) for path in self._equalities]

    def compile(self) -> Any:
        return lambda view: False


class Untold(Condition):
    def compile(self) -> Any:
        return lambda view: False


FOREIGN = [
    (Foreign({"uri"}, set()), True),
    (Foreign({"uri"}, set(), ("request-method",)), True),
    (Foreign({"uri"}, set(), ("uri",)), False),
    (Foreign({"operation"}, set(), ("operation", "id")), False),
    (Foreign({"uri", "jwt"}, {"jwt"}), False),
    # It may well ask for somebody; that cannot be told from here.
    (Foreign({"uri", "jwt"}, set()), False),
    (Untold(), False),
]


@pytest.mark.parametrize(("condition", "is_open"), FOREIGN)
def test_an_engine_of_another_package_is_warned_of_where_it_says_enough(condition: Condition, is_open: bool) -> None:
    class Engine:
        def parse(self, policy: object, context: object) -> Condition:
            return condition

    engines = Engines(others={"foreign": Engine()})

    assert bool(lint("p", {"engine": "foreign", "foreign": {}}, engines)) is is_open


PARTS = ("user", "jwt", "client", "uri", "params", "body")


def random_pattern(like: dict[str, Any], dice: random.Random) -> Any:
    fields = {part: pattern_near(value, dice) for part, value in like.items() if dice.random() < 0.7}
    if dice.random() < 0.3:
        fields["body"] = dice.choice([".user.a", {"$not": ".jwt.a"}, {"a": {"$one-of": ".client.a"}}, "nil?"])
    if dice.random() < 0.2:
        fields[dice.choice(PARTS[:3])] = "nil?"
    if dice.random() < 0.2:
        return {"$not": fields}
    return {"$one-of": [fields, random_pattern(like, dice)]} if dice.random() < 0.2 else fields


def test_no_pattern_that_is_taken_to_ask_for_somebody_lets_an_anonymous_request_in() -> None:
    seen: Counter[tuple[bool, bool]] = Counter()

    @settings(max_examples=3_000, derandomize=True, database=None, deadline=None)
    @given(dice=st.randoms(use_true_random=True))
    def holds(dice: random.Random) -> None:
        like = {part: random_value(dice) for part in PARTS}
        condition = Matches(parse(random_pattern(like, dice)))
        matches = compile_pattern(condition.pattern)
        for _ in range(5):
            request = {part: value_near(value, dice) for part, value in like.items() if part not in IDENTITY}
            is_allowed = matches(request, request)
            seen[lets_in(condition), is_allowed] += 1
            assert lets_in(condition) or not is_allowed, (condition, request)

    holds()

    assert all(seen[row] > 200 for row in ((True, True), (True, False), (False, False))), seen


NAMES = st.sampled_from(["user", "jwt", "uri", "params", "operation", "id", "body"])


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    names = st.lists(NAMES, max_size=2, unique=True)
    return st.fixed_dictionaries(
        {},
        optional={
            "required": names,
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "dependencies": st.dictionaries(NAMES, names | inner, max_size=2),
            "allOf": several,
            "anyOf": several,
            "oneOf": several,
            "not": inner,
            "if": inner,
            "then": inner,
            "else": inner,
            "additionalProperties": inner,
            "type": st.sampled_from(["object", "string", ["array", "string"]]),
        },
    )


ASKED = st.recursive(
    st.sampled_from([True, False, {"const": "/a"}, {"enum": ["/a", "x"]}, {"pattern": "^/"}, {"maxProperties": 4}])
    | st.builds(lambda name: {"required": [name]}, NAMES),
    _schemas,
    max_leaves=8,
)
SOMETHING = st.sampled_from([1, "x", {"id": "x"}, {"user": 1, "uri": "/b"}, ["x"]])
OF_NOBODY = st.fixed_dictionaries({}, optional={"params": st.just({"id": "x"}), "body": SOMETHING})
UNNAMED = {"uri": "/elsewhere", "request-method": "get", "scheme": "https"}


@settings(max_examples=1_500, deadline=None)
@given(asked=ASKED, request=OF_NOBODY, name=st.sampled_from(["/a", "x"]))
def test_no_schema_that_is_taken_to_ask_for_somebody_lets_an_anonymous_request_in(
    asked: Any, request: dict[str, Any], name: str
) -> None:
    condition = ENGINES.parse({"engine": "json-schema", "schema": {"allOf": [asked, {"required": ["scheme"]}]}})
    allows = condition.compile()
    named = {**request, **UNNAMED, "uri": name, "operation": {"id": name}}
    elsewhere = {**request, **UNNAMED, "operation": {"id": "elsewhere"}}

    assert lets_in(condition) or not any(allows(simulated(parts)) for parts in (named, elsewhere))
    if allows(simulated(elsewhere)):
        assert list(gaps(condition)) or asks_nobody(condition)
