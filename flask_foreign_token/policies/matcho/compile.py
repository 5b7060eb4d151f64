"""From the tree of a Matcho pattern to a function that decides.

A function takes the value and the whole request, in which paths are looked up, and answers whether the value matches.
Values are compared as :mod:`.equality` says. A key that is not there gives :data:`MISSING`, which only ``nil?`` and
``$not`` can match. Null equals null inside of what is compared, but a path that ends in null never matches, just as one
that ends nowhere does not.

What cannot be told raises instead of answering no, since under a ``$not`` a no is a yes: see
:func:`.patterns.compile_expression` and :class:`.request.RequestView`.

The work is at most the size of the pattern times that of the request, however the two are made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import singledispatch
from typing import TypeAlias

from ..equality import ARRAY, OBJECT, canonical, equal
from ..paths import MISSING, look_up
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
    walk,
)

Matches: TypeAlias = Callable[[object, object], bool]


def compile_request(pattern: Node) -> Callable[[object], bool]:
    """Whether a request matches `pattern`, as a function of the request."""
    match pattern:
        case Fields((key,), (Fields((inner,), (Literal(str(wanted)),)),)):
            return _text_of_part(key, inner, wanted)
    matches = compile_pattern(pattern)
    return lambda request: matches(request, request)


def _text_of_part(key: str, inner: str, wanted: str) -> Callable[[object], bool]:
    # The tutorial's pattern as one function: 70 ns where three take 105, and two bare look-ups 17.
    def matches(request: object) -> bool:
        if not isinstance(request, OBJECT):
            return False
        try:
            part: object = request[key]
            if not isinstance(part, OBJECT):
                return False
            item: object = part[inner]
        except KeyError:
            return False
        return item == wanted

    return matches


@singledispatch
def compile_pattern(node: Node) -> Matches:
    """Whether a value matches, as a function of the value and the request around it."""
    raise TypeError(f"no pattern: {type(node).__name__}")


@compile_pattern.register
def _literal(node: Literal) -> Matches:
    wanted = node.value
    if isinstance(wanted, bool):
        return lambda value, root: value is wanted
    if isinstance(wanted, str):
        return lambda value, root: value == wanted
    return lambda value, root: value == wanted and not isinstance(value, bool)


@compile_pattern.register
def _word(node: Word) -> Matches:
    match node.name:
        case "present?":
            return lambda value, root: value is not None and value is not MISSING
        case "nil?":
            return lambda value, root: value is None or value is MISSING
        case "not-blank?":
            return lambda value, root: isinstance(value, str) and bool(value.strip())


@compile_pattern.register
def _expression(node: Expression) -> Matches:
    found_in = node.found_in
    return lambda value, root: isinstance(value, str) and found_in(value)


@compile_pattern.register
def _path(node: Path) -> Matches:
    standing_there = look_up(node.segments)

    def matches(value: object, root: object) -> bool:
        if value is None or value is MISSING:
            return False
        return equal(value, standing_there(root.root if isinstance(root, _Loop) else root))

    return matches


@compile_pattern.register
def _fields(node: Fields) -> Matches:
    if len(node.keys) == 1:
        return _field(node.keys[0], node.patterns[0])
    # A text is compared here: a call less for each.
    wanted = [pattern.value if isinstance(pattern, Literal) else None for pattern in node.patterns]
    texts = [value if isinstance(value, str) else None for value in wanted]
    fields = tuple(zip(node.keys, texts, map(compile_pattern, node.patterns), strict=True))

    def matches(value: object, root: object) -> bool:
        if not isinstance(value, OBJECT):
            return False
        for key, text, item_matches in fields:
            try:
                item = value[key]
            except KeyError:
                item = MISSING
            if not item_matches(item, root) if text is None else item != text:
                return False
        return True

    return matches


def _field(key: str, pattern: Node) -> Matches:
    if isinstance(pattern, Literal) and isinstance(pattern.value, str):
        return _text_field(key, pattern.value)
    item_matches = compile_pattern(pattern)
    when_missing = item_matches(MISSING, None)

    def matches(value: object, root: object) -> bool:
        if not isinstance(value, OBJECT):
            return False
        try:
            item = value[key]
        except KeyError:
            return when_missing
        return item_matches(item, root)

    return matches


def _text_field(key: str, wanted: str) -> Matches:
    # Where most patterns end; a call less is a fifth of what the tutorial's pattern costs.
    def matches(value: object, root: object) -> bool:
        if not isinstance(value, OBJECT):
            return False
        try:
            item: object = value[key]
        except KeyError:
            return False
        return item == wanted

    return matches


@compile_pattern.register
def _items(node: Items) -> Matches:
    patterns = tuple(map(compile_pattern, node.patterns))

    def matches(value: object, root: object) -> bool:
        if not isinstance(value, ARRAY):
            return False
        length = len(value)
        return all(
            item_matches(value[index] if index < length else MISSING, root)
            for index, item_matches in enumerate(patterns)
        )

    return matches


@compile_pattern.register
def _enum(node: Enum) -> Matches:
    texts = frozenset(value for value in node.values if isinstance(value, str))
    others = tuple(compile_pattern(Literal(value)) for value in node.values if not isinstance(value, str))

    def matches(value: object, root: object) -> bool:
        if isinstance(value, str):
            return value in texts
        return any(equals(value, root) for equals in others)

    return matches


@compile_pattern.register
def _one_of(node: OneOf) -> Matches:
    if len(node.patterns) == 1:
        return compile_pattern(node.patterns[0])
    literals = tuple(pattern.value for pattern in node.patterns if isinstance(pattern, Literal))
    if len(literals) == len(node.patterns):
        return _enum(Enum(literals))
    alternatives = tuple(map(compile_pattern, node.patterns))
    return lambda value, root: any(matches(value, root) for matches in alternatives)


@compile_pattern.register
def _item_of(node: ItemOf) -> Matches:
    segments = node.path.segments
    standing_there = look_up(segments)

    def matches(value: object, root: object) -> bool:
        if value is None or value is MISSING:
            return False
        if isinstance(root, _Loop):
            return canonical(value) in root.texts_at(segments, standing_there)
        allowed = standing_there(root)
        return isinstance(allowed, ARRAY) and any(equal(value, item) for item in allowed)

    return matches


@compile_pattern.register
def _contains(node: Contains) -> Matches:
    return _over_items(node.pattern, any)


@compile_pattern.register
def _every(node: Every) -> Matches:
    return _over_items(node.pattern, all)


def _over_items(pattern: Node, combine: Callable[[Iterator[bool]], bool]) -> Matches:
    item_matches = compile_pattern(pattern)
    enter = entrance(pattern)

    def matches(value: object, root: object) -> bool:
        if not isinstance(value, ARRAY):
            return False
        inside = enter(root)
        return combine(item_matches(item, inside) for item in value)

    return matches


@compile_pattern.register
def _not(node: Not) -> Matches:
    matches = compile_pattern(node.pattern)
    return lambda value, root: not matches(value, root)


@compile_pattern.register
def _present_all(node: PresentAll) -> Matches:
    each = tuple(_contains(Contains(pattern)) for pattern in node.patterns)
    if node.length is not None:
        each = (_length(Length(node.length)), *each)
    return lambda value, root: all(matches(value, root) for matches in each)


@compile_pattern.register
def _length(node: Length) -> Matches:
    length = node.length
    return lambda value, root: isinstance(value, ARRAY) and len(value) == length


@compile_pattern.register
def _reference(node: Reference) -> Matches:
    target_matches = compile_pattern(node.pattern)

    def matches(value: object, root: object) -> bool:
        text = value.get("reference") if isinstance(value, OBJECT) else value
        if not isinstance(text, str):
            return False
        resource_type, _, identifier = text.partition("/")
        if not resource_type or not identifier or "/" in identifier:
            return False
        return target_matches({"resourceType": resource_type, "id": identifier}, root)

    return matches


class _Loop:
    """The request as seen while an array is gone through.

    What ``$one-of`` finds at a path is prepared once for all items; else two long lists in a request would be compared
    each with each.
    """

    __slots__ = ("_texts", "root")

    def __init__(self, root: object) -> None:
        self.root = root
        self._texts: dict[tuple[str, ...], frozenset[str]] = {}

    def texts_at(self, segments: tuple[str, ...], standing_there: Callable[[object], object]) -> frozenset[str]:
        """The items of the array at a path, in canonical form; none where there is no array."""
        texts = self._texts.get(segments)
        if texts is None:
            allowed = standing_there(self.root)
            texts = frozenset(map(canonical, allowed)) if isinstance(allowed, ARRAY) else frozenset()
            self._texts[segments] = texts
        return texts


def entrance(pattern: Node) -> Callable[[object], object]:
    """What turns the request into what the items of an array are matched within."""
    if not any(isinstance(below, ItemOf) for below in walk(pattern)):
        return lambda root: root
    return lambda root: root if isinstance(root, _Loop) else _Loop(root)
