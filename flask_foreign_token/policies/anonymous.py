"""Whether a policy could let in a caller of whom nothing is known.

A pattern is followed as it would be matched with the request of such a caller: ``user``, ``client``, ``jwt`` and
``token`` are missing, and of the rest anything may be so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from .complex import AllOf, AnyOf
from .condition import Condition
from .matcho import Place
from .matcho_engine import Matches
from .matcho_lint import placed
from .matcho_tree import (
    Contains,
    Enum,
    Every,
    Fields,
    ItemOf,
    Items,
    Literal,
    Node,
    Not,
    OneOf,
    Path,
    PresentAll,
    Reference,
    Word,
    reads,
    walk,
)
from .request import PARTS

IDENTITY: Final = frozenset({"user", "client", "jwt", "token"})
"""The parts of a request that say who asks."""

_PINNED: Final = (("uri",), ("operation", "id"))
"""What a route that is meant for everybody is named by."""


class Possible(NamedTuple):
    """What can come of a pattern."""

    match: bool
    mismatch: bool


_ALWAYS: Final = Possible(match=True, mismatch=False)
_NEVER: Final = Possible(match=False, mismatch=True)
_EITHER: Final = Possible(match=True, mismatch=True)


def lets_in(condition: Condition) -> bool:
    """Whether it could allow an anonymous request."""
    match condition:
        case AllOf():
            return all(map(lets_in, condition.conditions))
        case AnyOf():
            return any(map(lets_in, condition.conditions))
        case Matches():
            return _possible(condition.pattern).match
        case _:
            return not condition.needs & IDENTITY


def asks_nobody(condition: Condition) -> bool:
    """Whether it could allow a request without a look at who asks, nor naming the route."""
    match condition:
        case AllOf():
            return all(map(asks_nobody, condition.conditions))
        case AnyOf():
            return any(map(asks_nobody, condition.conditions))
        case Matches():
            return _asks_nobody(condition.pattern)
        case _:
            is_pinned = any(all(one.path in _PINNED for one in several) for several in condition.equalities())
            return not is_pinned and not (condition.reads | condition.needs) & IDENTITY


def gaps(condition: Condition) -> Iterator[str]:
    """Where a ``$not`` lets in an anonymous request; paths from the top of the policy."""
    if not lets_in(condition):
        return
    match condition:
        case AllOf() | AnyOf():
            for inner, path in zip(condition.conditions, condition.paths, strict=True):
                yield from (f"{path}.{gap}" if path else gap for gap in gaps(inner))
        case Matches():
            yield from map(".".join, _gaps(condition.pattern, ("matcho",)))
        case _:
            return


def _possible(node: Node) -> Possible:
    """What can come of a pattern for the whole request."""
    match node:
        case Fields():
            return _all_of(_of_member(key, pattern) for key, pattern in zip(node.keys, node.patterns, strict=True))
        case OneOf():
            return _any_of(map(_possible, node.patterns))
        case Not():
            return _otherwise(_possible(node.pattern))
        case _:
            return _of_unknown(node)


def _of_member(key: str, pattern: Node) -> Possible:
    return _of_missing(pattern) if _is_missing(key) else _of_unknown(pattern)


def _of_missing(node: Node) -> Possible:
    """What comes of a pattern where nothing stands."""
    match node:
        case Word(name="nil?"):
            return _ALWAYS
        case OneOf():
            return _any_of(map(_of_missing, node.patterns))
        case Not():
            return _otherwise(_of_missing(node.pattern))
        case _:
            return _NEVER


def _of_unknown(node: Node) -> Possible:
    """What can come of a pattern where anything may stand."""
    match node:
        case Path():
            return _NEVER if _is_missing(node.segments[0]) else _EITHER
        case ItemOf():
            return _of_unknown(node.path)
        case OneOf():
            return _any_of(map(_of_unknown, node.patterns))
        case Not():
            return _otherwise(_of_unknown(node.pattern))
        case Fields() | Items() | PresentAll():
            return Possible(all(_of_unknown(pattern).match for pattern in node.patterns), mismatch=True)
        case Contains() | Reference():
            return Possible(_of_unknown(node.pattern).match, mismatch=True)
        case _:
            return _EITHER


def _is_missing(part: str) -> bool:
    return part in IDENTITY or part not in PARTS


def _all_of(each: Iterable[Possible]) -> Possible:
    several = list(each)
    return Possible(all(one.match for one in several), any(one.mismatch for one in several))


def _any_of(each: Iterable[Possible]) -> Possible:
    several = list(each)
    return Possible(any(one.match for one in several), all(one.mismatch for one in several))


def _otherwise(possible: Possible) -> Possible:
    return Possible(possible.mismatch, possible.match)


def _asks_nobody(node: Node) -> bool:
    match node:
        case OneOf():
            return any(map(_asks_nobody, node.patterns))
        case Fields() if any(map(_pins, node.keys, node.patterns)):
            return False
        case _:
            return _possible(node).match and not reads(node) & IDENTITY


def _pins(key: str, pattern: Node) -> bool:
    """Whether a member of the request names routes one by one."""
    if key == "operation" and isinstance(pattern, OneOf):
        return all(_pins(key, alternative) for alternative in pattern.patterns)
    if key == "operation" and isinstance(pattern, Fields):
        return any(
            inner == "id" and _is_literal(below) for inner, below in zip(pattern.keys, pattern.patterns, strict=True)
        )
    return key == "uri" and _is_literal(pattern)


def _is_literal(node: Node) -> bool:
    return isinstance(node, Literal | Enum) or (isinstance(node, OneOf) and all(map(_is_literal, node.patterns)))


def _gaps(node: Node, place: Place) -> Iterator[Place]:
    if not _possible(node).match:
        return
    match node:
        case Fields():
            for below, pattern in placed(node, place):
                yield from _gaps_of_missing(pattern, below) if below[-1] in IDENTITY else _gaps_within(pattern, below)
        case OneOf():
            for below, pattern in placed(node, place):
                yield from _gaps(pattern, below)
        case Not() if reads(node.pattern) & IDENTITY:
            yield (*place, "$not")
        case _:
            return


def _gaps_of_missing(node: Node, place: Place) -> Iterator[Place]:
    match node:
        case Not() if _of_missing(node).match:
            yield (*place, "$not")
        case OneOf():
            for below, pattern in placed(node, place):
                yield from _gaps_of_missing(pattern, below)
        case _:
            return


def _gaps_within(node: Node, place: Place) -> Iterator[Place]:
    """Where a value must not equal something of who asks."""
    if not _of_unknown(node).match:
        return
    match node:
        case Not():
            if any(isinstance(below, Path) and below.segments[0] in IDENTITY for below in walk(node.pattern)):
                yield (*place, "$not")
        case Fields() | Items() | OneOf() | Contains() | Every() | PresentAll() | Reference():
            for below, pattern in placed(node, place):
                yield from _gaps_within(pattern, below)
        case _:
            return
