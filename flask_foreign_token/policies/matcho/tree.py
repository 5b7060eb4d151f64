"""What a Matcho pattern says, as a tree of small values.

:mod:`.matcho.parse` reads a pattern into this tree once; whatever else is made of a pattern is made from the tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal as OneOfThese
from typing import TypeAlias

Scalar: TypeAlias = str | int | float | bool

Place: TypeAlias = tuple[str, ...]
"""The way from the top of a pattern as it is written, ``("jwt", "$one-of", "0")``."""


@dataclass(frozen=True, slots=True)
class Literal:
    """The equal value; no conversion between types."""

    value: Scalar


@dataclass(frozen=True, slots=True)
class Word:
    """``"present?"``: not null. ``"nil?"``: null or missing. ``"not-blank?"``: a string with more than blanks in it."""

    name: OneOfThese["present?", "nil?", "not-blank?"]


@dataclass(frozen=True, slots=True)
class Expression:
    """A string in which the regular expression is found.

    :param source: without the ``#``.
    :param found_in: the compiled expression, see :func:`.patterns.compile_expression`.
    """

    source: str
    found_in: Callable[[str], bool] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Path:
    """The value equal to what stands at this path of the request.

    :param segments: at least one, none empty. In an array, decimal digits are an index counted from 0.
    """

    segments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fields:
    """An object in which each of `keys` matches the pattern in the same place of `patterns`; more keys may follow."""

    keys: tuple[str, ...]
    patterns: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Items:
    """An array whose first items match `patterns` in order; more may follow."""

    patterns: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Enum:
    """``$enum``: a value equal to one of these scalars."""

    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class OneOf:
    """``$one-of``: a value that matches one of `patterns`."""

    patterns: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class ItemOf:
    """``$one-of`` with a path: a value equal to one of the items of the array at `path` of the request."""

    path: Path


@dataclass(frozen=True, slots=True)
class Contains:
    """``$contains``: an array with at least one item that matches."""

    pattern: Node


@dataclass(frozen=True, slots=True)
class Every:
    """``$every``: an array all of whose items match; an empty one does."""

    pattern: Node


@dataclass(frozen=True, slots=True)
class Not:
    """``$not``: whatever `pattern` does not match, a missing value among it."""

    pattern: Node


@dataclass(frozen=True, slots=True)
class PresentAll:
    """``$present-all``: an array in which each of `patterns` finds a match, in any order; one item may serve several.

    :param length: what ``$length`` beside it says, if it stands there.
    """

    patterns: tuple[Node, ...]
    length: int | None


@dataclass(frozen=True, slots=True)
class Length:
    """``$length``: an array of that many items."""

    length: int


@dataclass(frozen=True, slots=True)
class Reference:
    """``$reference``: ``{"reference": "Patient/1"}`` or ``"Patient/1"``, matched as ``{"resourceType", "id"}``."""

    pattern: Node


Node: TypeAlias = (
    Literal
    | Word
    | Expression
    | Path
    | Fields
    | Items
    | Enum
    | OneOf
    | ItemOf
    | Contains
    | Every
    | Not
    | PresentAll
    | Length
    | Reference
)


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below `node`, in the order in which they are written."""
    match node:
        case Fields() | Items() | OneOf() | PresentAll():
            return node.patterns
        case Contains() | Every() | Not() | Reference():
            return (node.pattern,)
        case ItemOf():
            return (node.path,)
        case _:
            return ()


def placed(node: Node, place: Place) -> Iterator[tuple[Place, Node]]:
    """As :func:`children`, each with its place.

    :param place: that of `node`.
    """
    match node:
        case Fields():
            yield from (((*place, key), pattern) for key, pattern in zip(node.keys, node.patterns, strict=True))
        case Items():
            yield from _numbered(node.patterns, place)
        case OneOf():
            yield from _numbered(node.patterns, (*place, "$one-of"))
        case PresentAll():
            yield from _numbered(node.patterns, (*place, "$present-all"))
        case Contains():
            yield (*place, "$contains"), node.pattern
        case Every():
            yield (*place, "$every"), node.pattern
        case Not():
            yield (*place, "$not"), node.pattern
        case Reference():
            yield (*place, "$reference"), node.pattern
        case ItemOf():
            yield (*place, "$one-of"), node.path
        case _:
            pass


def _numbered(patterns: tuple[Node, ...], place: Place) -> Iterator[tuple[Place, Node]]:
    return (((*place, str(index)), pattern) for index, pattern in enumerate(patterns))


def walk(node: Node) -> Iterator[Node]:
    """`node` and every node below it."""
    yield node
    for child in children(node):
        yield from walk(child)


def reads(node: Node) -> frozenset[str]:
    """The members of the request that a pattern for the whole request can look at."""
    by_path = {below.segments[0] for below in walk(node) if isinstance(below, Path)}
    return _matched_members(node) | by_path


def _matched_members(node: Node) -> frozenset[str]:
    match node:
        case Fields():
            return frozenset(node.keys)
        case OneOf() | Not():
            return frozenset[str]().union(*map(_matched_members, children(node)))
        case _:
            return frozenset()
