from __future__ import annotations

import datetime
from typing import Any

import pytest

from flask_foreign_token.errors import Rejected
from flask_foreign_token.policies.limits import MAX_SIZE
from flask_foreign_token.policies.matcho.parse import parse
from flask_foreign_token.policies.matcho.tree import (
    Contains,
    Enum,
    Every,
    Fields,
    ItemOf,
    Items,
    Length,
    Literal,
    Not,
    OneOf,
    Path,
    PresentAll,
    Reference,
    Word,
)
from flask_foreign_token.policies.patterns import MAX_EXPRESSIONS


def nested(depth: int) -> Any:
    pattern: Any = "x"
    for _ in range(depth):
        pattern = {"a": pattern}
    return pattern


@pytest.mark.parametrize(
    ("pattern", "tree"),
    [
        ("a text", Literal("a text")),
        ("", Literal("")),
        (7, Literal(7)),
        (1.5, Literal(1.5)),
        (True, Literal(True)),
        ("present?", Word("present?")),
        ("nil?", Word("nil?")),
        ("not-blank?", Word("not-blank?")),
        (".user.id", Path(("user", "id"))),
        (".params.resource/id", Path(("params", "resource/id"))),
        ({}, Fields((), ())),
        ({"a": 1, "b": {"c": "d"}}, Fields(("a", "b"), (Literal(1), Fields(("c",), (Literal("d"),))))),
        ([1, [2]], Items((Literal(1), Items((Literal(2),))))),
        ({"$enum": ["#a", ".b", "really?", 1, True]}, Enum(("#a", ".b", "really?", 1, True))),
        ({"$one-of": ["a", {"b": 1}]}, OneOf((Literal("a"), Fields(("b",), (Literal(1),))))),
        ({"$one-of": ".jwt.roles"}, ItemOf(Path(("jwt", "roles")))),
        ({"$contains": "a"}, Contains(Literal("a"))),
        ({"$every": "a"}, Every(Literal("a"))),
        ({"$not": "a"}, Not(Literal("a"))),
        ({"$present-all": ["a"]}, PresentAll((Literal("a"),), None)),
        ({"$length": 2, "$present-all": ["a"]}, PresentAll((Literal("a"),), 2)),
        ({"$length": 0}, Length(0)),
        ({"$reference": {"id": "a"}}, Reference(Fields(("id",), (Literal("a"),)))),
    ],
)
def test_each_row_of_the_pattern_table_has_a_node(pattern: object, tree: object) -> None:
    assert parse(pattern) == tree


@pytest.mark.parametrize("text", ["/search?", "who is it?", "a.b?", "?", "$text", "^/fhir/.*", "nil", "a#b", "a.b"])
def test_a_text_that_only_resembles_a_word_or_an_expression_stands_for_itself(text: str) -> None:
    assert parse(text) == Literal(text)


@pytest.mark.parametrize(
    ("pattern", "path", "what_to_say"),
    [
        (None, "", '"nil?"'),
        ({"a": [1, None]}, "a.1", '"nil?"'),
        ({"$not": None}, "$not", '"nil?"'),
        ({"$one-of": ["a", None]}, "$one-of.1", '"nil?"'),
        ({"$enum": ["a", None]}, "$enum.1", '"nil?"'),
        ({"$enum": ["a", ["b"]]}, "$enum.1", "$one-of"),
        ({"$enum": [{"a": 1}]}, "$enum.0", "$one-of"),
        ({"$enum": []}, "$enum", "at least one"),
        ({"$enum": "a"}, "$enum", "list"),
        ({"a": {"$one-of": []}}, "a.$one-of", "at least one"),
        ({"$one-of": "jwt.roles"}, "$one-of", '".a.b"'),
        ({"$one-of": {"a": 1}}, "$one-of", "list"),
        ({"$one-of": ".a..b"}, "$one-of", "empty part"),
        ({"$present-all": []}, "$present-all", "at least one"),
        ({"$present-all": {"a": 1}}, "$present-all", "list"),
        ({"$length": -1}, "$length", "whole number"),
        ({"$length": 1.0}, "$length", "whole number"),
        ({"$length": True}, "$length", "whole number"),
        ({"$length": "1"}, "$length", "whole number"),
        ({"$present-all": ["a"], "$length": "1"}, "$length", "whole number"),
        ({"user": "really?"}, "user", '"not-blank?"'),
        ({"user": "Present?"}, "user", '"present?"'),
        ({"user": "not_blank?"}, "user", '"not-blank?"'),
        (".", "", '".user.id"'),
        (".a.", "", '".user.id"'),
        ("..a", "", '".user.id"'),
        ({"$or": [{"a": 1}]}, "$or", "$one-of"),
        ({"a": {"$contain": 1}}, "a.$contain", "$contains"),
        ({"a": 1, "$one-of": [{"b": 1}]}, "", "only key"),
        ({"a": {"$one-of": [1], "b": 1}}, "a", "only key"),
        ({"$contains": 1, "$length": 1}, "", "only key"),
        ({"$present-all": [1], "$length": 1, "a": 1}, "", "only key"),
        ({"$present-all": [1], "$every": 1}, "", "only key"),
        ({"uri": "#"}, "uri", '"present?"'),
        ({"uri": "#["}, "uri", "$enum"),
        ({"uri": "#a(?=b)"}, "uri", "$not"),
        ({"uri": "#(a)\\1"}, "uri", "$one-of"),
        ({"a": {1: "b"}}, "a", "strings"),
        ({"a": datetime.date(2026, 1, 1)}, "a", "JSON"),
        ({"a": float("nan")}, "", "JSON"),
        ({"a": float("inf")}, "", "JSON"),
        ({"a": "\ud800"}, "", "JSON"),
        ({"a": {1, 2}}, "a", "JSON"),
        ({"a": 10**5_000}, "", "JSON"),
    ],
)
def test_what_the_table_does_not_decide_is_refused_with_the_way_to_say_it(
    pattern: object, path: str, what_to_say: str
) -> None:
    with pytest.raises(Rejected) as rejected:
        parse(pattern)

    (issue,) = rejected.value.issues
    assert issue.path == path
    assert what_to_say in issue.message


def test_a_pattern_is_nested_at_most_64_deep() -> None:
    parse(nested(64))

    with pytest.raises(Rejected, match="64 deep"):
        parse(nested(65))


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_a_pattern_nested_beyond_what_python_can_recurse_is_refused(depth: int) -> None:
    with pytest.raises(Rejected, match="64 deep"):
        parse(nested(depth))


def test_a_pattern_has_at_most_64_kib() -> None:
    quotes = len('""')
    parse("é" * ((MAX_SIZE - quotes) // 2))

    with pytest.raises(Rejected, match="65536 bytes"):
        parse("é" * (MAX_SIZE // 2))


def test_a_pattern_has_at_most_200_expressions_and_the_one_too_many_is_named() -> None:
    expressions = [f"#a{number}" for number in range(MAX_EXPRESSIONS)]
    parse({"uri": {"$one-of": expressions}})

    with pytest.raises(Rejected, match="200 regular expressions") as rejected:
        parse({"uri": {"$one-of": [*expressions, "#b"]}})

    assert [issue.path for issue in rejected.value.issues] == ["uri.$one-of.200"]


def test_a_text_of_an_enum_is_no_expression_whatever_it_begins_with() -> None:
    texts = tuple(f"#{number}" for number in range(MAX_EXPRESSIONS + 1))

    assert parse({"$enum": list(texts)}) == Enum(texts)


def test_expressions_that_would_take_gigabytes_are_refused_at_once() -> None:
    with pytest.raises(Rejected, match="too large"):
        parse({"$one-of": [rf"#\p{{L}}{{1,60}}{number}" for number in range(MAX_EXPRESSIONS)]})


def test_every_fault_of_a_pattern_is_named() -> None:
    with pytest.raises(Rejected) as rejected:
        parse({"a": None, "b": {"$one-of": ["x", {"$or": [1]}, {"c": "sure?"}]}, "d": [1, None], "e": "ok"})

    assert [issue.path for issue in rejected.value.issues] == ["a", "b.$one-of.1.$or", "b.$one-of.2.c", "d.1"]
