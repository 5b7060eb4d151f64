"""What is known of the requests that a Matcho pattern matches, without matching any."""

from __future__ import annotations

from collections.abc import Iterable

from ..alternatives import of_any
from ..condition import Alternatives, Equality
from .tree import (
    Contains,
    Enum,
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
    children,
)


def needs(node: Node) -> frozenset[str]:
    """The members without which a pattern for the whole request matches none."""
    match node:
        case Fields():
            fields = zip(node.keys, node.patterns, strict=True)
            return _paths(node) | {key for key, pattern in fields if not _matches_missing(pattern)}
        case OneOf():
            return _in_all(map(needs, node.patterns))
        case _:
            return _paths(node)


def _paths(node: Node) -> frozenset[str]:
    """The members in which something must stand at a path, for any value at all to match."""
    match node:
        case Path():
            return frozenset(node.segments[:1])
        case Fields() | Items() | Contains() | PresentAll() | Reference() | ItemOf():
            return frozenset[str]().union(*map(_paths, children(node)))
        case OneOf():
            return _in_all(map(_paths, node.patterns))
        case _:
            # Not can match because nothing stands there, and Every because the array is empty.
            return frozenset()


def _in_all(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    first, *others = sets
    return first.intersection(*others)


def _matches_missing(node: Node) -> bool:
    match node:
        case Word():
            return node.name == "nil?"
        case Not():
            return not _matches_missing(node.pattern)
        case OneOf():
            return any(map(_matches_missing, node.patterns))
        case _:
            return False


def equalities(node: Node) -> list[Alternatives]:
    """What must be equal in every request that a pattern for the whole request matches; see
    :meth:`.Condition.equalities`."""
    return _equalities(node, ())


def _equalities(node: Node, path: tuple[str, ...]) -> list[Alternatives]:
    match node:
        case Fields():
            fields = zip(node.keys, node.patterns, strict=True)
            return [group for key, pattern in fields for group in _equalities(pattern, (*path, key))]
        case OneOf():
            return of_any([_equalities(pattern, path) for pattern in node.patterns])
        case Literal() if path:
            return [(Equality(path, node.value),)]
        case Enum() if path:
            return [tuple(Equality(path, value) for value in node.values)]
        case _:
            return []
