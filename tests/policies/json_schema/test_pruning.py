from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from flask_foreign_token.policies.json_schema.pruning import TooDeep, pruned
from flask_foreign_token.policies.limits import MAX_DEPTH


@pytest.mark.parametrize(
    ("value", "left"),
    [
        (None, None),
        ("", None),
        ([], None),
        ({}, None),
        (0, 0),
        (0.0, 0.0),
        (False, False),
        (" ", " "),
        ("grüße", "grüße"),
        (10**50, 10**50),
        ({"a": None, "b": "", "c": [], "d": {}, "e": 0, "f": False}, {"e": 0, "f": False}),
        ({"a": {"b": {"c": None}}}, None),
        ({"a": {"b": [{"c": ""}]}, "d": 1}, {"d": 1}),
        ([None, "", [], {}, 0, False, "a"], [0, False, "a"]),
        ([[None], [[]]], None),
        (MappingProxyType({"a": MappingProxyType({"b": (1, None, "")})}), {"a": {"b": [1]}}),
    ],
)
def test_what_is_empty_is_left_out_at_every_depth(value: Any, left: Any) -> None:
    found = pruned(value)

    assert found == left
    assert type(found) is type(left)


def test_a_read_only_value_becomes_plain_json() -> None:
    found = pruned(MappingProxyType({"a": (1, MappingProxyType({"b": 2}))}))

    assert type(found) is dict
    assert type(found["a"]) is list
    assert type(found["a"][1]) is dict


def test_the_value_itself_is_not_changed() -> None:
    value = {"a": [None, 1], "b": {}}

    pruned(value)

    assert value == {"a": [None, 1], "b": {}}


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), "\ud800", {"\ud800": 1}, [{"a": "\udfff"}]]
)
def test_what_no_json_holds_raises(value: Any) -> None:
    with pytest.raises(ValueError, match=r"surrogates|finite"):
        pruned(value)


@pytest.mark.parametrize("value", [{1, 2}, b"x", object(), {1: 2}, [1j]])
def test_what_is_no_json_raises(value: Any) -> None:
    with pytest.raises(TypeError):
        pruned(value)


def nested(depth: int, make: Any) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = make(value)
    return value


@pytest.mark.parametrize("make", [lambda value: [value], lambda value: {"a": value}], ids=["arrays", "objects"])
@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 100_000])
def test_what_nests_too_deep_raises(make: Any, depth: int) -> None:
    assert pruned(nested(MAX_DEPTH, make)) == nested(MAX_DEPTH, make)
    value = nested(depth, make)

    with pytest.raises(TooDeep):
        pruned(value)
