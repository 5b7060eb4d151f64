from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from flask_foreign_token.policies.complex import AllOf, AnyOf
from flask_foreign_token.policies.condition import Mismatch
from flask_foreign_token.policies.matcho.compile import compile_pattern
from flask_foreign_token.policies.matcho.engine import Matches
from flask_foreign_token.policies.matcho.mismatches import MAX_MISMATCHES, mismatches, pattern_of
from flask_foreign_token.policies.matcho.parse import parse
from flask_foreign_token.policies.patterns import MAX_TEXT, TextTooLong
from flask_foreign_token.policies.request import RequestView, UnreadablePart

from ... import vectors
from . import naive

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "cases.json").read_text())


def explain(pattern: object, value: object, root: object = None) -> list[Mismatch]:
    return mismatches(parse(pattern), value, root)


def explained(case: dict[str, Any]) -> list[dict[str, Any]]:
    found = explain(case["pattern"], case["value"], case.get("context", case["value"]))
    return [{"path": list(mismatch.path), "expected": mismatch.expected, "but": mismatch.but} for mismatch in found]


def refuse_to_differ(case: dict[str, Any]) -> None:
    found = explained(case)
    assert (not found) is case["matches"]
    if "errors" in case:
        pairs = list(zip(found, case["errors"], strict=True))
        assert [{name: one[name] for name in error} for one, error in pairs] == case["errors"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_documented_case_is_explained(case: dict[str, Any]) -> None:
    refuse_to_differ(case)


def test_documented_cases_say_what_is_amiss() -> None:
    assert sum("errors" in case for case in CASES) == 10


@pytest.mark.parametrize(
    "case",
    vectors.cases(
        "matcho", lambda: [pytest.param(case, id=case["name"]) for case in vectors.read("matcho/cases.json")]
    ),
)
def test_published_case_is_decided_and_explained(case: dict[str, Any]) -> None:
    matches = compile_pattern(parse(case["pattern"]))

    assert matches(case["value"], case.get("context", case["value"])) is case["matches"]
    refuse_to_differ(case)


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": True}, [(("a",), 1, True)]),
        ({"a": {"b": "x"}}, {}, [(("a",), {"b": "x"}, None)]),
        ({"a": {"b": "x"}}, {"a": []}, [(("a",), {"b": "x"}, [])]),
        ({"a": {"b": "x", "c": "y"}}, {"a": {"b": "y"}}, [(("a", "b"), "x", "y"), (("a", "c"), "y", None)]),
        ({"b": 1, "a": 1}, {"a": 2, "b": 2}, [(("b",), 1, 2), (("a",), 1, 2)]),
        ({"a": "present?", "b": "nil?"}, {"b": 0}, [(("a",), "present?", None), (("b",), "nil?", 0)]),
        ({"a": "#^x", "b": "not-blank?"}, {"a": "y", "b": " "}, [(("a",), "#^x", "y"), (("b",), "not-blank?", " ")]),
        ({"a": ".b.c"}, {"a": 1}, [(("a",), ".b.c", 1)]),
        (["a", ["b"]], ["x"], [((0,), "a", "x"), ((1,), ["b"], None)]),
        ({"a": []}, {"a": {}}, [(("a",), [], {})]),
        ({"a": {"$enum": ["x", 1]}}, {"a": "y"}, [(("a",), {"$enum": ["x", 1]}, "y")]),
        ({"$one-of": [{"a": 1}, {"a": 2}]}, {"a": 3}, [((), {"$one-of": [{"a": 1}, {"a": 2}]}, {"a": 3})]),
        ({"a": {"$one-of": ".b"}}, {"a": 1, "b": [2]}, [(("a",), {"$one-of": ".b"}, 1)]),
        ({"a": {"$not": {"b": 1}}}, {"a": {"b": 1}}, [(("a",), {"$not": {"b": 1}}, {"b": 1})]),
        ({"a": {"$contains": {"b": 1}}}, {"a": [{"b": 2}]}, [(("a",), {"$contains": {"b": 1}}, [{"b": 2}])]),
        ({"a": {"$every": {"b": 1}}}, {"a": [{"b": 1}, {"b": 2}, 3]}, [(("a", 1, "b"), 1, 2), (("a", 2), {"b": 1}, 3)]),
        ({"a": {"$every": 1}}, {"a": 1}, [(("a",), {"$every": 1}, 1)]),
        ({"a": {"$every": {"$one-of": ".b"}}}, {"a": [1, 2], "b": [2]}, [(("a", 0), {"$one-of": ".b"}, 1)]),
        ({"a": {"$length": 1}}, {"a": []}, [(("a",), {"$length": 1}, [])]),
        ({"a": {"$present-all": [1, 2, 3]}}, {"a": [2]}, [(("a",), {"$present-all": [n]}, [2]) for n in (1, 3)]),
        (
            {"a": {"$present-all": [1, 2], "$length": 2}},
            {"a": [2]},
            [(("a",), {"$length": 2}, [2]), (("a",), {"$present-all": [1]}, [2])],
        ),
        (
            {"a": {"$present-all": [1], "$length": 2}},
            {"a": "x"},
            [(("a",), {"$present-all": [1], "$length": 2}, "x")],
        ),
        (
            {"a": {"$reference": {"resourceType": "Patient"}}},
            {"a": "Group/1"},
            [(("a",), {"$reference": {"resourceType": "Patient"}}, "Group/1")],
        ),
    ],
)
def test_every_place_that_does_not_match_is_named_with_what_is_expected_and_what_stands_there(
    pattern: object, value: object, expected: list[tuple[Any, ...]]
) -> None:
    assert explain(pattern, value, value) == expected


@pytest.mark.parametrize("pattern", [case["pattern"] for case in CASES])
def test_a_pattern_is_told_as_it_was_written(pattern: object) -> None:
    assert naive.same(pattern_of(parse(pattern)), pattern)


def test_no_more_than_a_hundred_places_are_named() -> None:
    started = time.perf_counter()

    found = explain({"$every": "a"}, ["b"] * 5_000_000)

    assert [mismatch.path for mismatch in found] == [(index,) for index in range(MAX_MISMATCHES)]
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    ("pattern", "raised"),
    [
        ({"long": "#b"}, TextTooLong),
        ({"long": {"$not": "#b"}}, TextTooLong),
        ({"surrogate": "#b"}, UnicodeEncodeError),
        ({"list": {"$every": {"$not": "#b"}}}, TextTooLong),
        ({"a": 1, "unreadable": "nil?"}, UnreadablePart),
        ({"unreadable": "nil?", "a": 2}, UnreadablePart),
    ],
)
def test_what_cannot_be_told_is_not_explained(pattern: object, raised: type[Exception]) -> None:
    request = Unreadable(a=1, long="a" * (MAX_TEXT + 1), surrogate="\ud800", list=["a", "a" * (MAX_TEXT + 1)])

    with pytest.raises(raised):
        compile_pattern(parse(pattern))(request, request)
    with pytest.raises(raised):
        explain(pattern, request, request)


def test_what_cannot_be_told_ends_an_explanation_that_has_begun() -> None:
    request = Unreadable(a=1)
    pattern = {"a": 2, "b": 1, "unreadable": "present?", "c": 1}

    assert not compile_pattern(parse(pattern))(request, request)
    assert explain(pattern, request, request) == [(("a",), 2, 1), (("b",), 1, None)]


class Unreadable(dict[str, object]):
    def __missing__(self, key: str) -> object:
        raise UnreadablePart(key) if key == "unreadable" else KeyError(key)


def test_two_long_lists_of_a_request_are_not_compared_each_with_each() -> None:
    request = {"a": [[n] for n in range(20_000)], "b": [[-n] for n in range(20_000)]}
    started = time.perf_counter()

    for pattern in ({"$every": {"$not": {"$one-of": ".b"}}}, {"$every": [{"$every": {"$not": {"$one-of": ".b"}}}]}):
        explain({"a": pattern}, request, request)

    assert time.perf_counter() - started < 5


def test_a_pattern_nested_as_deep_as_it_may_be_takes_one_walk_through_the_value() -> None:
    pattern: Any = {"$not": "b"}
    value: Any = ["a"] * 100_000
    for _ in range(62):
        pattern, value = {"$every": pattern}, [value]
    started = time.perf_counter()

    assert explain({"$every": pattern}, value) == []

    assert time.perf_counter() - started < 5


def test_conditions_that_are_joined_name_what_is_amiss_in_each() -> None:
    view = RequestView(None, None, None)
    view["jwt"] = {"iss": "a"}
    first, second, good = (Matches(parse({"jwt": {"iss": iss}})) for iss in ("b", "c", "a"))

    assert [mismatch.expected for mismatch in AllOf((good, first, second), ("", "", "")).mismatches(view)] == ["b", "c"]
    assert [mismatch.expected for mismatch in AnyOf((first, second), ("", "")).mismatches(view)] == ["b", "c"]
    assert AnyOf((first, good), ("", "")).mismatches(view) == []
