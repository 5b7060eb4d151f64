from __future__ import annotations

from itertools import product
from types import MappingProxyType

import pytest

from flask_foreign_token.policies.equality import canonical, equal

CLASSES: list[list[object]] = [
    [None],
    [True],
    [False],
    [0, 0.0, -0.0],
    [1, 1.0],
    [0.5],
    [2**53 + 1],
    [2**53, float(2**53)],
    [""],
    ["1"],
    ["true"],
    ["null"],
    ['"'],
    ["é"],
    ["[1]"],
    [[], ()],
    [[1], (1,), [1.0]],
    [[True]],
    [["1"]],
    [[1, 2]],
    [[2, 1]],
    [[[1]]],
    [[None]],
    [{}, MappingProxyType({})],
    [{"a": 1, "b": [True]}, {"b": (True,), "a": 1.0}, MappingProxyType({"a": 1, "b": [True]})],
    [{"a": 1, "b": [1]}],
    [{"a": 1}],
    [{"a": None}],
    [{"b": None}],
]


@pytest.mark.parametrize("compare", [equal, lambda left, right: canonical(left) == canonical(right)])
def test_values_are_equal_within_a_class_and_unequal_across(compare: object) -> None:
    assert callable(compare)
    for (i, lefts), (j, rights) in product(enumerate(CLASSES), repeat=2):
        for left, right in product(lefts, rights):
            assert compare(left, right) is (i == j), (left, right)


def test_what_is_no_json_value_has_no_canonical_form() -> None:
    with pytest.raises(TypeError):
        canonical(object())
