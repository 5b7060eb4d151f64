"""The part of a request that a schema can look at, and no more of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from ..equality import OBJECT
from ..limits import MAX_DEPTH
from ..request import PARTS, RequestView
from .document import TOP, Document, Place
from .pruning import Plain, pruned

_EVERYWHERE: Final = frozenset(
    {
        "additionalProperties",
        "const",
        "enum",
        "maxProperties",
        "minProperties",
        "patternProperties",
        "propertyNames",
    }
)
"""Keywords that look at members which they do not name."""

_LEVELS: Final = 3
"""Objects within each other that are told apart by member: the request, its parts, and what these hold."""

Sight: TypeAlias = "Mapping[str, Sight] | None"
"""The members of an object that are looked at, each with what of it is; none: everything."""


def sight(document: Document) -> Sight:
    """What a schema for the whole request can look at."""
    return _sight(document, [TOP], _LEVELS)


def instance(view: RequestView, seen: Sight) -> dict[str, Plain]:
    """The request as plain JSON without what is empty.

    :param view: a request, or any object in its stead.
    :param seen: what is looked at.
    :raises: what :func:`.pruned` raises, and :exc:`.UnreadablePart`.
    """
    made: dict[str, Plain] = {}
    for name, inner in seen.items() if seen is not None else dict.fromkeys(PARTS.union(view)).items():
        try:
            part = view[name]
        except KeyError:
            continue
        kept = _kept(part, inner, MAX_DEPTH)
        if kept is not None:
            made[name] = kept
    return made


def _kept(value: object, seen: Sight, depth: int) -> Plain:
    if seen is None or not isinstance(value, OBJECT):
        return pruned(value, depth)
    members = ((name, _kept(value[name], inner, depth - 1)) for name, inner in seen.items() if name in value)
    # Whatever else it holds, it is there: only what has nothing at all in it is missing.
    return {name: kept for name, kept in members if kept is not None} or pruned(value, depth)


def _sight(document: Document, places: Sequence[Place], levels: int) -> Sight:
    if not levels:
        return None
    members: dict[str, list[Place]] = {}
    for place in _in_place(document, places):
        keywords = document.keywords(place)
        if not _EVERYWHERE.isdisjoint(keywords):
            return None
        for name in _named(keywords):
            members.setdefault(name, [])
        for member in document.below(place, "properties"):
            members.setdefault(member[-1], []).append(member)
    return {name: _sight(document, schemas, levels - 1) for name, schemas in members.items()}


def _in_place(document: Document, places: Sequence[Place]) -> Iterator[Place]:
    """`places` and all schemas that these ask the same value, each once."""
    waiting = list(reversed(places))
    met: set[Place] = set()
    while waiting:
        place = waiting.pop()
        if place not in met:
            met.add(place)
            waiting.extend(document.in_place(place))
            yield place


def _named(keywords: Mapping[str, object]) -> Iterator[str]:
    """The members whose presence is looked at."""
    lists = [keywords.get("required")]
    dependencies = keywords.get("dependencies")
    if isinstance(dependencies, Mapping):
        lists += [list(dependencies), *dependencies.values()]
    for names in lists:
        yield from (name for name in names if isinstance(name, str)) if isinstance(names, list | tuple) else ()
