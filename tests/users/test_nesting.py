from __future__ import annotations

from collections.abc import Callable

import pytest

from flask_foreign_token.users.nesting import MAX_DEPTH, MAX_VALUES, has_too_many_values, is_too_deep


@pytest.mark.parametrize("wrap", [lambda value: {"a": 1, "b": value}, lambda value: [1, value]], ids=["object", "list"])
def test_what_is_nested_deeper_than_databases_take_is_too_deep(wrap: Callable[[object], object]) -> None:
    value: object = "text"
    for _ in range(MAX_DEPTH):
        value = wrap(value)

    assert not is_too_deep(value)
    assert is_too_deep(wrap(value))


MANY = {
    "objects": {"sub": "a", "of": [{}] * (MAX_VALUES - 2)},
    "lists": {"sub": "a", "of": [[]] * (MAX_VALUES - 2)},
    "texts": {"sub": "a", "of": ["b"] * (MAX_VALUES - 2)},
    "members": {str(number): number for number in range(MAX_VALUES)},
    "in the deep": {"of": [{"of": [0] * (MAX_VALUES - 3)}]},
    "in several places": {"of": [{"of": [0]}] * ((MAX_VALUES - 1) // 3), "a": 0},
}


@pytest.mark.parametrize("value", MANY.values(), ids=MANY)
def test_the_values_of_objects_and_lists_at_every_depth_are_counted(value: dict[str, object]) -> None:
    assert not has_too_many_values(value)
    assert has_too_many_values({**value, "one": "more"})


@pytest.mark.parametrize("value", ["text" * MAX_VALUES, 10**MAX_VALUES, None], ids=["text", "number", "null"])
def test_what_is_neither_object_nor_list_holds_no_values(value: object) -> None:
    assert not has_too_many_values(value)
