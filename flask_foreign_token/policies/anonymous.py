"""Whether a policy could let in a caller of whom nothing is known.

A pattern is followed as it would be matched with the request of such a caller: ``user``, ``client``, ``jwt`` and
``token`` are missing, and of the rest anything may be so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from .complex import AllOf, AnyOf
from .condition import Condition
from .json_schema import anonymous as of_schema
from .json_schema.engine import Validates
from .matcho.engine import Matches
from .matcho.tree import (
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
    Place,
    PresentAll,
    Reference,
    Word,
    children,
    placed,
    reads,
    walk,
)
from .possible import ALWAYS, EITHER, NEVER, Possible, all_of, any_of, otherwise
from .request import IDENTITY, PARTS

_PINNED: Final = (("uri",), ("operation", "id"))
"""What a route that is meant for everybody is named by."""


class Gap(NamedTuple):
    """Where a policy lets in an anonymous request without saying so.

    :param path: from the top of the policy.
    :param why: that it does, and what to say instead.
    """

    path: str
    why: str


_OF_NOT: Final = (
    "since a missing value matches $not; put the $not further in, or ask for somebody beside it, with "
    '"jwt": "present?" for instance'
)
_OF_EVERY: Final = (
    'since an empty array matches $every; ask for somebody beside it, with "jwt": "present?" for instance'
)
_OF_SCHEMA: Final = (
    "since what it says of user, client, jwt and token holds of a request that has none of them; say "
    '"required": ["jwt"] beside it, for instance, or name the routes that are for everybody, with const or enum'
)


def lets_in(condition: Condition) -> bool:
    """Whether it could allow an anonymous request."""
    match condition:
        case AllOf():
            return all(map(lets_in, condition.conditions))
        case AnyOf():
            return any(map(lets_in, condition.conditions))
        case Matches():
            return _possible(condition.pattern).match
        case Validates():
            return of_schema.lets_in(condition.document)
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
        case Validates():
            return not condition.reads & IDENTITY and of_schema.lets_in(condition.document, elsewhere=True)
        case _:
            is_pinned = any(all(one.path in _PINNED for one in several) for several in condition.equalities())
            return not is_pinned and not (condition.reads | condition.needs) & IDENTITY


def gaps(condition: Condition) -> Iterator[Gap]:
    """Where a look at who asks does not keep out an anonymous request."""
    if not lets_in(condition):
        return
    match condition:
        case AllOf() | AnyOf():
            for inner, path in zip(condition.conditions, condition.paths, strict=True):
                yield from (gap._replace(path=f"{path}.{gap.path}" if path else gap.path) for gap in gaps(inner))
        case Matches():
            for place in _gaps(condition.pattern, ("matcho",)):
                yield Gap(".".join(place), _OF_EVERY if place[-1] == "$every" else _OF_NOT)
        case Validates() if condition.reads & IDENTITY and of_schema.lets_in(condition.document, elsewhere=True):
            yield Gap("schema", _OF_SCHEMA)
        case _:
            return


def _possible(node: Node) -> Possible:
    """What can come of a pattern for the whole request."""
    match node:
        case Fields():
            return all_of(_of_member(key, pattern) for key, pattern in zip(node.keys, node.patterns, strict=True))
        case OneOf():
            return any_of(map(_possible, node.patterns))
        case Not():
            return otherwise(_possible(node.pattern))
        case _:
            return _of_unknown(node)


def _of_member(key: str, pattern: Node) -> Possible:
    return _of_missing(pattern) if _is_missing(key) else _of_unknown(pattern)


def _of_missing(node: Node) -> Possible:
    """What comes of a pattern where nothing stands."""
    match node:
        case Word(name="nil?"):
            return ALWAYS
        case OneOf():
            return any_of(map(_of_missing, node.patterns))
        case Not():
            return otherwise(_of_missing(node.pattern))
        case _:
            return NEVER


def _of_unknown(node: Node) -> Possible:
    """What can come of a pattern where anything may stand."""
    match node:
        case Path():
            return NEVER if _is_missing(node.segments[0]) else EITHER
        case ItemOf():
            return _of_unknown(node.path)
        case OneOf():
            return any_of(map(_of_unknown, node.patterns))
        case Not():
            return otherwise(_of_unknown(node.pattern))
        case Fields() | Items() | PresentAll():
            return Possible(all(_of_unknown(pattern).match for pattern in node.patterns), mismatch=True)
        case Contains() | Reference():
            return Possible(_of_unknown(node.pattern).match, mismatch=True)
        case _:
            return EITHER


def _is_missing(part: str) -> bool:
    return part in IDENTITY or part not in PARTS


def _asks_nobody(node: Node) -> bool:
    match node:
        case OneOf():
            return any(map(_asks_nobody, node.patterns))
        case Fields() if any(map(_pins, node.keys, node.patterns)):
            return False
        case Fields():
            return _possible(node).match and IDENTITY.isdisjoint(node.keys) and all(map(_is_blind, node.patterns))
        case _:
            return _possible(node).match and not reads(node) & IDENTITY


def _is_blind(node: Node) -> bool:
    """Whether a value can match without a look at who asks."""
    match node:
        case OneOf():
            return any(_of_unknown(pattern).match and _is_blind(pattern) for pattern in node.patterns)
        case _:
            return not _looks_at_identity(node) or (
                not isinstance(node, Not | Path) and all(map(_is_blind, children(node)))
            )


def _looks_at_identity(node: Node) -> bool:
    return any(isinstance(below, Path) and below.segments[0] in IDENTITY for below in walk(node))


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
    """Where a value is compared with something of who asks, in a way that nobody passes as well."""
    if not _of_unknown(node).match:
        return
    match node:
        case Not():
            if _looks_at_identity(node.pattern):
                yield (*place, "$not")
        case Every():
            within = list(_gaps_within(node.pattern, (*place, "$every")))
            if within or _looks_at_identity(node.pattern):
                yield from within or [(*place, "$every")]
        case Fields() | Items() | OneOf() | Contains() | PresentAll() | Reference():
            for below, pattern in placed(node, place):
                yield from _gaps_within(pattern, below)
        case _:
            return
