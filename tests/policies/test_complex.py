"""Conditions of any engine, joined by ``and`` or ``or``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from flask_foreign_token.errors import Rejected
from flask_foreign_token.policies.complex import MAX_CONDITIONS
from flask_foreign_token.policies.condition import Condition, Decide, Mismatch
from flask_foreign_token.policies.engine import EngineContext
from flask_foreign_token.policies.engines import MAX_NESTING, Engines
from flask_foreign_token.policies.limits import MAX_SIZE
from flask_foreign_token.policies.patterns import MAX_EXPRESSIONS, TextTooLong
from flask_foreign_token.policies.request import RequestView

from .facts import view_of

GET = {"engine": "matcho", "matcho": {"request-method": "get"}}
USER = {"engine": "matcho", "matcho": {"user": "present?"}}
UNKNOWN = {"engine": "matcho", "matcho": {"uri": "#a+b"}}
"""Raises for a very long uri."""
LONG = "x" * 70_000


@dataclass(frozen=True, slots=True)
class Asked(Condition):
    """An engine that has to ask somebody, and counts how often it did."""

    calls: list[str] = field(default_factory=list)

    def compile(self) -> Decide:
        def allows(view: RequestView) -> bool:
            self.calls.append("asked")
            return True

        return allows


@dataclass(frozen=True, slots=True)
class AskingEngine:
    condition: Asked = field(default_factory=Asked)

    def parse(self, policy: Mapping[str, object], context: EngineContext) -> Condition:
        return self.condition


def joined(name: str, *conditions: object) -> Condition:
    return Engines().parse({"engine": "complex", name: list(conditions)})


def nested(depth: int) -> dict[str, Any]:
    return {"engine": "complex", "and": [nested(depth - 1)]} if depth else GET


def allows(condition: Condition, **parts: object) -> bool:
    return condition.compile()(view_of({name.replace("_", "-"): part for name, part in parts.items()}))


@pytest.mark.parametrize(
    ("name", "parts", "allowed"),
    [
        ("and", {"request_method": "get", "user": {}}, True),
        ("and", {"request_method": "get"}, False),
        ("and", {"user": {}}, False),
        ("or", {"request_method": "get"}, True),
        ("or", {"user": {}}, True),
        ("or", {"request_method": "put"}, False),
    ],
)
def test_and_wants_all_of_them_and_or_one(name: str, parts: dict[str, Any], allowed: bool) -> None:
    assert allows(joined(name, GET, USER), **parts) is allowed


@pytest.mark.parametrize(("name", "parts"), [("and", {"request_method": "put"}), ("or", {"request_method": "get"})])
def test_what_is_decided_is_asked_no_further(name: str, parts: dict[str, Any]) -> None:
    engine = AskingEngine()
    condition = Engines(others={"asking": engine}).parse({"engine": "complex", name: [GET, {"engine": "asking"}]})

    allows(condition, **parts)

    assert engine.condition.calls == []


@pytest.mark.parametrize("name", ["and", "or"])
def test_one_that_cannot_tell_decides_nothing(name: str) -> None:
    condition = joined(name, UNKNOWN, GET)

    with pytest.raises(TextTooLong):
        allows(condition, uri=LONG, request_method="get")


@pytest.mark.parametrize(
    ("written", "path", "reason"),
    [
        ({}, "and", "wants and, or or"),
        ({"and": [GET], "or": [GET]}, "and", "say either and or or"),
        ({"and": []}, "and", "at least one"),
        ({"or": {}}, "or", "at least one"),
        ({"and": None}, "and", "at least one"),
        ({"and": [GET, "x"]}, "and.1", "is an object"),
        ({"and": [{}]}, "and.0.engine", "no such engine"),
        ({"or": [{"engine": "matcho", "matcho": {"uri": None}}]}, "or.0.matcho.uri", '"nil?"'),
        ({"or": [{**GET, "link": []}]}, "or.0.link", "no such attribute"),
        ({"or": [{**GET, "roleName": "nurse"}]}, "or.0.roleName", "no such attribute"),
        ({"and": [GET], "not": [GET]}, "not", "no such attribute"),
        ({"and": [GET] * (MAX_CONDITIONS + 1)}, "and", f"at most {MAX_CONDITIONS}"),
        ({"and": [{"engine": "matcho", "matcho": {"uri": "/" + "x" * MAX_SIZE}}]}, "", f"at most {MAX_SIZE}"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(written: dict[str, Any], path: str, reason: str) -> None:
    with pytest.raises(Rejected) as rejected:
        Engines().parse({"engine": "complex", **written})

    (issue,) = rejected.value.issues
    assert issue.path == path
    assert reason in issue.message


def test_every_fault_is_named() -> None:
    with pytest.raises(Rejected) as rejected:
        joined("and", {"engine": "x"}, GET, {"engine": "complex", "or": [{"engine": "allow", "matcho": {}}]})

    assert [issue.path for issue in rejected.value.issues] == ["and.0.engine", "and.2.or.0.matcho"]


def test_conditions_nest_so_deep_and_no_deeper() -> None:
    assert allows(Engines().parse(nested(MAX_NESTING)), request_method="get")
    with pytest.raises(Rejected, match=f"at most {MAX_NESTING} deep"):
        Engines().parse(nested(MAX_NESTING + 1))


def test_a_thousand_levels_are_refused_and_not_followed() -> None:
    deep: dict[str, Any] = GET
    for _ in range(1000):
        deep = {"engine": "complex", "and": [deep]}

    with pytest.raises(Rejected):
        Engines().parse(deep)


def test_and_needs_what_each_needs_and_or_what_all_need() -> None:
    both = {"engine": "matcho", "matcho": {"user": "present?", "jwt": "present?"}}

    assert joined("and", USER, GET).needs == {"user", "request-method"}
    assert joined("or", USER, both).needs == {"user"}
    assert joined("or", USER, GET).needs == frozenset()


def test_and_must_equal_what_each_must_and_or_one_of_them() -> None:
    put = {"engine": "matcho", "matcho": {"request-method": "put"}}

    assert [set(group) for group in joined("and", GET, put).equalities()] == [
        {(("request-method",), "get")},
        {(("request-method",), "put")},
    ]
    assert [set(group) for group in joined("or", GET, put).equalities()] == [
        {(("request-method",), "get"), (("request-method",), "put")}
    ]
    assert list(joined("or", GET, USER).equalities()) == []


def test_it_is_as_deterministic_as_all_of_them() -> None:
    engines = Engines(others={"asking": AskingEngine()})

    assert joined("and", GET, USER).deterministic
    assert not engines.parse({"engine": "complex", "and": [GET, {"engine": "asking"}]}).deterministic


def test_and_tells_what_each_misses() -> None:
    found = joined("and", GET, USER).mismatches(view_of({"request-method": "put"}))

    assert found == [Mismatch(("request-method",), "get", "put"), Mismatch(("user",), "present?", None)]


def test_or_tells_what_all_miss_and_nothing_where_one_misses_nothing() -> None:
    condition = joined("or", GET, USER)

    assert [mismatch.path for mismatch in condition.mismatches(view_of({}))] == [("request-method",), ("user",)]
    assert condition.mismatches(view_of({"user": {}})) == []


def test_for_an_answer_that_is_known_nobody_is_asked() -> None:
    engine = AskingEngine()
    condition = Engines(others={"asking": engine}).parse({"engine": "complex", "and": [GET, {"engine": "asking"}]})

    assert condition.mismatches(view_of({})) == [Mismatch(("request-method",), "get", None)]
    assert engine.condition.calls == []


def test_one_that_cannot_tell_ends_what_is_told_and_hides_nothing() -> None:
    found = joined("and", USER, UNKNOWN).mismatches(view_of({"uri": LONG}))

    assert [mismatch.path for mismatch in found] == [("user",)]
    with pytest.raises(TextTooLong):
        joined("and", UNKNOWN, USER).mismatches(view_of({"uri": LONG}))


def test_a_warning_has_the_place_of_its_condition() -> None:
    upper = {"engine": "matcho", "matcho": {"request-method": "GET"}}

    assert [issue.path for issue in joined("or", GET, upper).warnings()] == ["or.1.matcho.request-method"]


def test_the_expressions_of_all_conditions_count_together() -> None:
    some = [{"engine": "matcho", "matcho": {"uri": f"#a{number}"}} for number in range(50)]
    many = {
        "engine": "matcho",
        "matcho": {"uri": {"$one-of": [f"#b{number}" for number in range(MAX_EXPRESSIONS - 50)]}},
    }
    joined("or", *some, many)

    with pytest.raises(Rejected, match="200 regular expressions") as rejected:
        joined("or", *some, many, {"engine": "matcho", "matcho": {"uri": "#c+"}})

    assert [issue.path for issue in rejected.value.issues] == ["or.51.matcho.uri"]
