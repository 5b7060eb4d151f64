from __future__ import annotations

import random
from types import MappingProxyType
from typing import Any

from flask_foreign_token.policies.matcho import parse
from flask_foreign_token.policies.matcho_compile import compile_pattern

from . import naive_matcho

PAIRS = 10_000
KEYS = ("a", "b", "resource/type", "0")
TEXTS = ("", " ", "a", "b", "Patient/1", "Patient/1/2", "/fhir/Patient", "²", "true", "1")
SCALARS = (*TEXTS, 0, 1, 1.0, 2.5, True, False)
EXPRESSIONS = ("#a", "#^a$", "#Patient", "#(?i)PATIENT", "#[0-9]$")
WORDS = ("present?", "nil?", "not-blank?")


def random_value(dice: random.Random, depth: int = 3) -> Any:
    roll = dice.random()
    if depth == 0 or roll < 0.3:
        return dice.choice((*SCALARS, None))
    if roll < 0.4:
        return {"reference": dice.choice(TEXTS)}
    if roll < 0.7:
        return [random_value(dice, depth - 1) for _ in range(dice.randint(0, 3))]
    return {key: random_value(dice, depth - 1) for key in dice.sample(KEYS, dice.randint(0, 3))}


def random_path(dice: random.Random) -> str:
    return "".join(f".{dice.choice((*KEYS, '1', '²'))}" for _ in range(dice.randint(1, 3)))


def pattern_near(value: Any, dice: random.Random, depth: int = 3) -> Any:
    """A pattern that often, but not always, matches `value`."""
    if dice.random() < 0.1:
        value = random_value(dice, 1)
    if depth and dice.random() < 0.4:
        return random_operator(value, dice, depth - 1)
    if dice.random() < 0.25:
        return dice.choice((*WORDS, *EXPRESSIONS, random_path(dice)))
    if isinstance(value, dict):
        return {key: pattern_near(item, dice, depth) for key, item in value.items() if dice.random() < 0.8}
    if isinstance(value, list):
        return [pattern_near(item, dice, depth) for item in value[: dice.randint(0, 4)]] or [dice.choice(WORDS)]
    return "nil?" if value is None else value


def random_operator(value: Any, dice: random.Random, depth: int) -> Any:
    def near(some: Any) -> Any:
        return pattern_near(some, dice, depth)

    items = value if isinstance(value, list) and value else [value]
    length = len(items) + dice.choice((0, 0, 1))
    each = [near(item) for item in items]
    dice.shuffle(each)
    return dice.choice(
        (
            lambda: {"$enum": [*dice.sample(SCALARS, 3), *([value] if isinstance(value, str | int | float) else [])]},
            lambda: {"$one-of": [near(value), near(random_value(dice))]},
            lambda: {"$one-of": random_path(dice)},
            lambda: {"$not": near(value)},
            lambda: {"$contains": near(dice.choice(items))},
            lambda: {"$every": near(dice.choice(items))},
            lambda: {"$present-all": each},
            lambda: {"$present-all": each, "$length": length},
            lambda: {"$length": length},
            lambda: {"$reference": near({"resourceType": "Patient", "id": "1"})},
        )
    )()


def test_compiled_patterns_agree_with_the_table_read_word_by_word() -> None:
    dice = random.Random(20_260_704)
    matched = 0
    for _ in range(PAIRS):
        value, root = random_value(dice), random_value(dice)
        root = value if dice.random() < 0.5 else root
        pattern = pattern_near(value, dice)
        expected = naive_matcho.matches(pattern, value, root)
        compiled = compile_pattern(parse(pattern))

        assert compiled(value, root) is expected, (pattern, value, root)
        assert compiled(read_only(value), read_only(root)) is expected, ("read-only", pattern, value, root)
        matched += expected
    assert PAIRS * 0.3 < matched < PAIRS * 0.7


def read_only(value: Any) -> Any:
    """The same value as token claims hold it, or as tuples."""
    if isinstance(value, dict):
        return MappingProxyType({key: read_only(item) for key, item in value.items()})
    return tuple(map(read_only, value)) if isinstance(value, list) else value
