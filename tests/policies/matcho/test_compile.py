from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from flask_foreign_token.policies.matcho.compile import compile_pattern, compile_request
from flask_foreign_token.policies.matcho.parse import parse
from flask_foreign_token.policies.patterns import MAX_TEXT, TextTooLong

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "cases.json").read_text())

WAYS_TO_SAY_A_LITERAL: list[tuple[Callable[[Any], Any], Callable[[Any], Any]]] = [
    (lambda literal: literal, lambda value: value),
    (lambda literal: {"a": literal}, lambda value: {"a": value}),
    (lambda literal: {"a": literal, "b": "nil?"}, lambda value: {"a": value}),
    (lambda literal: [literal], lambda value: [value]),
    (lambda literal: {"$enum": [literal, "other"]}, lambda value: value),
    (lambda literal: {"$one-of": [literal, "other"]}, lambda value: value),
    (lambda literal: {"$one-of": [literal, {"other": 1}]}, lambda value: value),
    (lambda literal: {"$contains": literal}, lambda value: [value]),
]


def match(pattern: object, value: object, root: object = None) -> bool:
    return compile_pattern(parse(pattern))(value, root)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_documented_case(case: dict[str, Any]) -> None:
    assert match(case["pattern"], case["value"], case.get("context", case["value"])) is case["matches"]


def test_all_documented_cases_ran() -> None:
    assert len(CASES) == 105


@pytest.mark.parametrize(
    ("pattern", "equal", "unequal"),
    [
        (1, [1, 1.0], [True, "1", 2, None, [1], {}]),
        (0, [0, 0.0, -0.0], [False, "", None, [], {}]),
        (1.5, [1.5], ["1.5", 1]),
        (True, [True], [1, 1.0, "true", None]),
        (False, [False], [0, "", None, []]),
        ("1", ["1"], [1, True, ["1"]]),
        ("", [""], [None, False, 0, [], {}]),
        (2**63, [2**63, float(2**63)], [2**63 + 1]),
    ],
)
def test_a_literal_matches_the_equal_value_of_its_own_type(
    pattern: object, equal: list[object], unequal: list[object]
) -> None:
    for say, hold in WAYS_TO_SAY_A_LITERAL:
        assert [value for value in equal if not match(say(pattern), hold(value))] == []
        assert [value for value in unequal if match(say(pattern), hold(value))] == []


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        (1, "1", False),
        ([1], [1], True),
        ([1], [True], False),
        ([1], (1,), True),
        ([1], [1, 2], False),
        ([1, 2], [2, 1], False),
        ([None], [None], True),
        ([None], [0], False),
        ({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": None}, {"b": None}, False),
        ({}, [], False),
        ([], {}, False),
        ("a", "a", True),
        ("a", ["a"], False),
        (False, None, False),
        (0, None, False),
        ({"a": 1}, MappingProxyType({"a": 1}), True),
    ],
)
def test_a_path_is_compared_deeply_and_by_type(left: object, right: object, equal: bool) -> None:
    root = {"other": right, "others": [["another"], right]}

    assert match({"value": ".other"}, {"value": left}, root) is equal
    assert match({"value": {"$one-of": ".others"}}, {"value": left}, root) is equal


@pytest.mark.parametrize("path", [".there.null", ".there.absent", ".absent.deeper", ".text.0", ".list.2", ".list.x"])
def test_a_path_to_null_or_to_nothing_matches_nothing(path: str) -> None:
    root = {"there": {"null": None}, "text": "abc", "list": ["a", "b"]}

    for value in ({"v": None}, {}, {"v": ""}, {"v": False}, {"v": "a"}):
        assert not match({"v": path}, value, root)
        assert not match({"v": {"$one-of": path}}, value, root)


def test_digits_in_a_path_index_an_array_and_name_a_key_of_an_object() -> None:
    root = {"list": ["a", {"b": "c"}], "object": {"0": "d"}}

    assert match(".list.0", "a", root)
    assert match(".list.1.b", "c", root)
    assert match(".object.0", "d", root)
    assert not match(".list.-1", "a", root)
    assert not match(".list." + "9" * 5_000, "a", root)


def test_a_null_in_the_list_at_a_path_lets_no_missing_value_in() -> None:
    root = {"allowed": [None, "a"]}

    assert match({"v": {"$one-of": ".allowed"}}, {"v": "a"}, root)
    assert not match({"v": {"$one-of": ".allowed"}}, {"v": None}, root)
    assert not match({"v": {"$one-of": ".allowed"}}, {}, root)


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ({}, [{}, {"a": 1}, MappingProxyType({})], [[], "", None, 0]),
        ({"a": {}}, [{"a": {}}], [{}, {"a": []}]),
        ({"a": "nil?"}, [{}, {"a": None}], ["a", [], None, {"a": ""}]),
        ({"a": {"b": "nil?"}}, [{"a": {}}], [{}, {"a": None}, {"a": "text"}]),
        ([], [[], [1], ()], [{}, "", None]),
        ([1], [[1], [1, 2], (1,)], [[], [2, 1], {"0": 1}, "1"]),
        (["present?", "nil?"], [["a"], ["a", None]], [[], ["a", "b"]]),
        ("not-blank?", ["a", " a "], ["", " ", "\t\n\u00a0", 1, None, ["a"]]),
        ("present?", ["", 0, False, [], {}], [None]),
        ("nil?", [None], ["", 0, False, [], {}]),
        ("#1", ["1", "a1"], [1, ["1"], None, "a"]),
        ({"$enum": ["a", 1]}, ["a", 1, 1.0], [True, "1", ["a"], {"a": 1}, None]),
        ({"$enum": ["#a", ".a", "really?"]}, ["#a", ".a", "really?"], ["a"]),
        ({"$one-of": ["a", ["b"]]}, ["a", ["b", "c"]], ["b", []]),
        ({"$one-of": ["a", "b"]}, ["a", "b"], ["c", ["a"], {"a": "b"}]),
        ({"$contains": "a"}, [["b", "a"], ("a",)], [[], ["b"], "a", {"a": "a"}, None]),
        ({"$contains": "nil?"}, [[None]], [[], None]),
        ({"$every": "a"}, [["a", "a"], []], [["a", "b"], "a", {}, None]),
        ({"$not": "a"}, ["b", None, ["a"]], ["a"]),
        ({"$not": {"$not": "a"}}, ["a"], ["b"]),
        ({"$present-all": ["a", "b"]}, [["b", "c", "a"]], [["a"], [], "ab", None]),
        ({"$present-all": ["a", "#a"]}, [["a"]], [["b"]]),
        ({"$present-all": ["a", "b"], "$length": 2}, [["b", "a"]], [["a", "b", "c"], ["a", "a"]]),
        ({"$length": 0}, [[], ()], [{}, "", None, [1]]),
        ({"$length": 2}, [[1, 2]], ["ab", {"a": 1, "b": 2}]),
        (
            {"$reference": {"resourceType": "Patient", "id": "1"}},
            ["Patient/1", {"reference": "Patient/1"}, {"reference": "Patient/1", "display": "x"}],
            ["Patient/2", "Patient", "Patient/", "/1", "Patient/1/_history/1", "http://a/Patient/1", {}, None, 1],
        ),
        ({"$reference": {"$not": {"id": "1"}}}, ["Patient/2"], ["Patient/1", "Patient", None, {"id": "2"}]),
    ],
)
def test_each_row_of_the_pattern_table(pattern: object, matching: list[object], others: list[object]) -> None:
    assert [value for value in matching if not match(pattern, value)] == []
    assert [value for value in others if match(pattern, value)] == []


def test_an_operator_may_stand_at_the_top() -> None:
    assert match({"$one-of": [{"a": 1}, {"b": 1}]}, {"b": 1})
    assert match({"$not": {"a": 1}}, {"b": 1})


def test_a_text_too_long_to_search_is_not_answered_even_under_a_negation() -> None:
    matches = compile_pattern(parse({"a": {"$not": "#b"}}))

    assert matches({"a": "a" * MAX_TEXT}, None)
    with pytest.raises(TextTooLong):
        matches({"a": "a" * (MAX_TEXT + 1)}, None)


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ({"$every": {"$one-of": ".allowed"}}, True),
        ({"$contains": {"$one-of": ".absent"}}, False),
        ({"$contains": {"$one-of": ".text"}}, False),
        ({"$contains": {"v": {"$one-of": ".allowed"}}}, False),
        ({"$present-all": [{"$one-of": ".allowed"}, {"$one-of": ".others"}]}, True),
        ({"$contains": {"$contains": {"$one-of": ".others"}}}, True),
        ({"$contains": {"$one-of": [".text", {"$one-of": ".others"}]}}, True),
        ({"$contains": {"$not": {"$one-of": ".allowed"}}}, False),
    ],
)
def test_the_items_of_an_array_are_looked_for_in_a_list_at_a_path(pattern: object, matches: bool) -> None:
    root = {"allowed": [["a", 1], "b", None, True], "others": ["a", True, {"x": 1.0}], "text": "b"}

    assert match(pattern, [["a", 1.0], "b", True], root) is matches


def test_a_null_among_the_items_is_in_no_list() -> None:
    assert not match({"$contains": {"$one-of": ".allowed"}}, [None], {"allowed": [None]})


@pytest.mark.parametrize("make", [str, float, lambda n: n * (2**61 - 1), lambda n: {"x": n}, lambda n: [n]])
def test_two_long_lists_of_a_request_are_not_compared_each_with_each(make: Callable[[int], object]) -> None:
    here, there = [make(n) for n in range(20_000)], [make(-1 - n) for n in range(20_000)]
    pattern = {"body": {"a": {"$contains": {"$one-of": ".body.b"}}}}
    started = time.perf_counter()

    for root in ({"body": {"a": here, "b": there}}, {"body": {"a": [here], "b": there}}):
        assert not match(pattern, root, root)

    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("pattern", [{"a": "x"}, {"a": "nil?"}, {"a": "x", "b": "nil?"}, {"$not": {"a": "x"}}])
def test_a_key_that_cannot_be_read_is_not_a_missing_one(pattern: object) -> None:
    class Unreadable(dict[str, object]):
        def __missing__(self, key: str) -> object:
            raise TypeError

    with pytest.raises(TypeError):
        match(pattern, Unreadable())
    with pytest.raises(TypeError):
        compile_request(parse({"a": {"b": "x"}}))(Unreadable(a=Unreadable()))


@pytest.mark.parametrize(
    ("request_", "matches"),
    [
        ({"jwt": {"iss": "x"}}, True),
        (MappingProxyType({"jwt": MappingProxyType({"iss": "x", "sub": "y"})}), True),
        ({"jwt": {"iss": "y"}}, False),
        ({"jwt": {"iss": None}}, False),
        ({"jwt": {"iss": ["x"]}}, False),
        ({"jwt": {}}, False),
        ({"jwt": ["iss"]}, False),
        ({"jwt": None}, False),
        ({}, False),
        ([], False),
    ],
)
def test_the_pattern_of_one_claim_matches_as_every_other(request_: object, matches: bool) -> None:
    pattern = parse({"jwt": {"iss": "x"}})

    assert compile_request(pattern)(request_) is matches
    assert compile_pattern(pattern)(request_, request_) is matches
