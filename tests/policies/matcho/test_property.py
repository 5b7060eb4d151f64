from __future__ import annotations

import random
from collections import Counter
from types import MappingProxyType
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flask_foreign_token.policies.condition import Equality, Mismatch
from flask_foreign_token.policies.matcho.compile import compile_pattern, compile_request
from flask_foreign_token.policies.matcho.facts import equalities, needs
from flask_foreign_token.policies.matcho.mismatches import mismatches, pattern_of
from flask_foreign_token.policies.matcho.parse import parse

from . import naive

PATTERNS = 5_000
VALUES = 20
"""For each pattern."""

KEYS = ("a", "b", "resource/type", "0")
TEXTS = ("", " ", "a", "b", "Patient/1", "Patient/1/2", "/fhir/Patient", "²", "true", "1", "#a", ".a", "b?")
SCALARS = (*TEXTS, 0, 1, 1.0, 2.5, True, False)
EXPRESSIONS = ("#a", "#^a$", "#^Pat", "#nt$", "#^/fhir/.*", r"#\/1", "#(?i)PATIENT", "#[0-9]$", "#^[^a]")
WORDS = ("present?", "nil?", "not-blank?")

ANY_SCALAR = (
    st.sampled_from((*SCALARS, None))
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
)
ANY_KEY = st.sampled_from(KEYS) | st.text(max_size=3)
ANY_VALUE = st.recursive(
    ANY_SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_KEY, inner, max_size=3), max_leaves=8
)
ANY_OBJECT = st.dictionaries(ANY_KEY, ANY_SCALAR | ANY_VALUE, min_size=1, max_size=4)


def random_value(dice: random.Random, depth: int = 3) -> Any:
    roll = dice.random()
    if depth == 0 or roll < 0.3:
        return dice.choice((*SCALARS, None))
    if roll < 0.4:
        return {"reference": dice.choice(TEXTS)}
    if roll < 0.7:
        return [random_value(dice, depth - 1) for _ in range(dice.randint(0, 3))]
    return {key: random_value(dice, depth - 1) for key in dice.sample(KEYS, dice.randint(0, 3))}


def value_near(value: Any, dice: random.Random) -> Any:
    """`value`, or one that differs from it in places."""
    if dice.random() < 0.05:
        return random_value(dice, 2)
    if isinstance(value, dict):
        return {key: value_near(item, dice) for key, item in value.items() if dice.random() < 0.97}
    if isinstance(value, list):
        items = [value_near(item, dice) for item in value if dice.random() < 0.97]
        return dice.sample(items, len(items)) if dice.random() < 0.1 else items
    return value


def random_path(dice: random.Random) -> str:
    return "".join(f".{dice.choice((*KEYS, '1', '²'))}" for _ in range(dice.randint(1, 3)))


def pattern_near(value: Any, dice: random.Random, depth: int = 3) -> Any:
    """A pattern that often, but not always, matches `value`."""
    if dice.random() < 0.03:
        value = random_value(dice, 1)
    if depth and dice.random() < 0.35:
        return random_operator(value, dice, depth - 1)
    if dice.random() < 0.1:
        return dice.choice((*WORDS, *EXPRESSIONS, random_path(dice)))
    if isinstance(value, dict):
        items = [(key, item) for key, item in value.items() if not key.startswith("$")]
        return {key: pattern_near(item, dice, depth) for key, item in items if dice.random() < 0.8}
    if isinstance(value, list):
        return [pattern_near(item, dice, depth) for item in value[: dice.randint(0, 4)]] or [dice.choice(WORDS)]
    if isinstance(value, str) and (value[:1] in ("#", ".") or value.endswith("?")):
        return {"$enum": [value]}
    return "nil?" if value is None else value


def random_operator(value: Any, dice: random.Random, depth: int) -> Any:
    def near(some: Any) -> Any:
        return pattern_near(some, dice, depth)

    items = value if isinstance(value, list) and value else [value]
    length = len(items) + dice.choice((0, 0, 1))
    each = [near(item) for item in items]
    dice.shuffle(each)
    array = isinstance(value, list)
    return dice.choice(
        (
            lambda: {"$enum": [*dice.sample(SCALARS, 3), *([value] if isinstance(value, str | int | float) else [])]},
            lambda: {"$one-of": [near(value), near(value_near(value, dice))]},
            lambda: {"$one-of": [near(random_value(dice)), near(value)]},
            lambda: {"$one-of": random_path(dice)},
            lambda: {"$not": near(random_value(dice, 1))},
            lambda: {"$not": near(value)},
            lambda: {"$contains": near(dice.choice(items))} if array else near(value),
            lambda: {"$every": near(dice.choice(items))} if array else near(value),
            lambda: {"$present-all": each} if array else near(value),
            lambda: {"$present-all": each, "$length": length},
            lambda: {"$length": length},
            lambda: {"$reference": near({"resourceType": "Patient", "id": "1"})},
        )
    )()


def test_all_that_is_made_of_a_pattern_agrees_with_the_table_read_word_by_word() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=PATTERNS, derandomize=True, database=None, deadline=None)
    @given(
        like=ANY_VALUE | ANY_OBJECT | st.dictionaries(ANY_KEY, ANY_OBJECT, min_size=1, max_size=3),
        seed=st.integers(0, 2**32),
    )
    def agrees(like: Any, seed: int) -> None:
        dice = random.Random(seed)
        pattern = pattern_near(like, dice)
        tree = parse(pattern)
        compiled, of_request = compile_pattern(tree), compile_request(tree)
        assert pattern_of(tree) == pattern
        groups, parts = equalities(tree), needs(tree)
        for _ in range(VALUES):
            value = value_near(like, dice)
            root = value if dice.random() < 0.7 else random_value(dice)
            frozen_value = read_only(value)
            frozen_root = frozen_value if root is value else read_only(root)
            told = (pattern, value, root)
            expected = naive.matches(pattern, value, root)
            found = mismatches(tree, value, root)

            assert compiled(value, root) is expected, told
            assert compiled(frozen_value, frozen_root) is expected, ("read-only", *told)
            assert (not found) is expected, told
            assert places(mismatches(tree, frozen_value, frozen_root)) == places(found), told
            assert all(is_amiss(mismatch, value, root) for mismatch in found), told
            if root is value:
                assert of_request(value) is expected, told
            if root is value and isinstance(value, dict) and expected:
                assert all(any(holds(equality, value) for equality in group) for group in groups), told
                assert parts <= value.keys(), told
                seen.update(equalities=len(groups), needs=len(parts))
            seen.update(pairs=1, matches=expected)

    agrees()

    assert seen["pairs"] >= PATTERNS * VALUES
    assert 0.3 < seen["matches"] / seen["pairs"] < 0.7
    assert seen["equalities"] > 5_000
    assert seen["needs"] > 5_000


def places(found: list[Mismatch]) -> list[tuple[object, object]]:
    return [(mismatch.path, mismatch.expected) for mismatch in found]


def is_amiss(mismatch: Mismatch, value: Any, root: Any) -> bool:
    """Whether what is said to stand there does, and does not match what is said to be expected."""
    stands_there = mismatch.but is standing_at(mismatch.path, value)
    return stands_there and not naive.matches(mismatch.expected, mismatch.but, root)


def holds(equality: Equality, request: Any) -> bool:
    return naive.same(standing_at(equality.path, request), equality.value)


def standing_at(path: tuple[str | int, ...], value: Any) -> Any:
    for key in path:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            return None
    return value


def read_only(value: Any) -> Any:
    """The same value as token claims hold it, or as tuples."""
    if isinstance(value, dict):
        return MappingProxyType({key: read_only(item) for key, item in value.items()})
    return tuple(map(read_only, value)) if isinstance(value, list) else value
