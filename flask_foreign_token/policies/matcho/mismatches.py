"""Why a value does not match a Matcho pattern: the places where it does not.

Fields, items and ``$every`` are gone into, and ``$present-all`` is asked for each of its patterns; every other pattern
is asked as a whole, by the very function that decides. So both always agree, and the work has the same bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import singledispatch
from itertools import islice
from typing import TypeAlias

from ..condition import MAX_MISMATCHES, Mismatch
from ..equality import ARRAY, OBJECT
from ..paths import MISSING
from .compile import compile_pattern, entrance
from .tree import (
    Contains,
    Enum,
    Every,
    Expression,
    Fields,
    ItemOf,
    Items,
    Length,
    Literal,
    Node,
    Not,
    OneOf,
    Path,
    PresentAll,
    Reference,
    Word,
)

Place: TypeAlias = tuple[str | int, ...]

Explain: TypeAlias = Callable[[object, object, Place], Iterator[Mismatch]]


def mismatches(node: Node, value: object, root: object) -> list[Mismatch]:
    """The places where `value` does not match, in the order of the pattern; none exactly where it matches.

    :param root: the request, in which paths are looked up.
    :raises: what the compiled pattern raises.
    """
    found: list[Mismatch] = []
    each = islice(_explain(node)(value, root, ()), MAX_MISMATCHES)
    while True:
        try:
            mismatch = next(each, None)
        except Exception:
            # The compiled pattern stops at the first mismatch and does not come to what cannot be told.
            if found:
                return found
            raise
        if mismatch is None:
            return found
        found.append(mismatch)


def _as_a_whole(node: Node) -> Explain:
    matches = compile_pattern(node)

    def explain(value: object, root: object, place: Place) -> Iterator[Mismatch]:
        if not matches(value, root):
            yield _mismatch(place, node, value)

    return explain


@singledispatch
def _explain(node: Node) -> Explain:
    return _as_a_whole(node)


@_explain.register
def _fields(node: Fields) -> Explain:
    fields = tuple(zip(node.keys, map(_explain, node.patterns), strict=True))

    def explain(value: object, root: object, place: Place) -> Iterator[Mismatch]:
        if not isinstance(value, OBJECT):
            yield _mismatch(place, node, value)
            return
        for key, explain_item in fields:
            try:
                item = value[key]
            except KeyError:
                item = MISSING
            yield from explain_item(item, root, (*place, key))

    return explain


@_explain.register
def _items(node: Items) -> Explain:
    each = tuple(map(_explain, node.patterns))

    def explain(value: object, root: object, place: Place) -> Iterator[Mismatch]:
        if not isinstance(value, ARRAY):
            yield _mismatch(place, node, value)
            return
        for index, explain_item in enumerate(each):
            item = value[index] if index < len(value) else MISSING
            yield from explain_item(item, root, (*place, index))

    return explain


@_explain.register
def _every(node: Every) -> Explain:
    explain_item = _explain(node.pattern)
    enter = entrance(node.pattern)

    def explain(value: object, root: object, place: Place) -> Iterator[Mismatch]:
        if not isinstance(value, ARRAY):
            yield _mismatch(place, node, value)
            return
        inside = enter(root)
        for index, item in enumerate(value):
            yield from explain_item(item, inside, (*place, index))

    return explain


@_explain.register
def _present_all(node: PresentAll) -> Explain:
    each = [_as_a_whole(PresentAll((pattern,), None)) for pattern in node.patterns]
    if node.length is not None:
        each.insert(0, _as_a_whole(Length(node.length)))

    def explain(value: object, root: object, place: Place) -> Iterator[Mismatch]:
        if not isinstance(value, ARRAY):
            yield _mismatch(place, node, value)
            return
        for explain_one in each:
            yield from explain_one(value, root, place)

    return explain


def _mismatch(place: Place, node: Node, value: object) -> Mismatch:
    return Mismatch(place, pattern_of(node), None if value is MISSING else value)


def pattern_of(node: Node) -> object:
    """The pattern as it is written: the JSON that :func:`.parse` makes `node` of."""
    match node:
        case Literal():
            return node.value
        case Word():
            return node.name
        case Expression():
            return f"#{node.source}"
        case Path():
            return "".join(f".{segment}" for segment in node.segments)
        case Fields():
            return dict(zip(node.keys, map(pattern_of, node.patterns), strict=True))
        case Items():
            return list(map(pattern_of, node.patterns))
        case PresentAll() if node.length is not None:
            return {"$present-all": list(map(pattern_of, node.patterns)), "$length": node.length}
        case _:
            name, argument = _operator(node)
            return {name: argument}


def _operator(node: Node) -> tuple[str, object]:
    match node:
        case Enum():
            return "$enum", list(node.values)
        case OneOf():
            return "$one-of", list(map(pattern_of, node.patterns))
        case ItemOf():
            return "$one-of", pattern_of(node.path)
        case Contains():
            return "$contains", pattern_of(node.pattern)
        case Every():
            return "$every", pattern_of(node.pattern)
        case Not():
            return "$not", pattern_of(node.pattern)
        case PresentAll():
            return "$present-all", list(map(pattern_of, node.patterns))
        case Length():
            return "$length", node.length
        case Reference():
            return "$reference", pattern_of(node.pattern)
        case _:
            raise TypeError(f"no pattern: {type(node).__name__}")
