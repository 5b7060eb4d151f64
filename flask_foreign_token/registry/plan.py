"""What an edit would do, said before it is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from ..printable import shown
from .edits import ABSENT, Edit, Outcome
from .fields import Path
from .resources import Key
from .secrets import masked


class Missing(Enum):
    """What stands at a place where there is nothing."""

    MISSING = "nothing"


MISSING: Final = Missing.MISSING

Body = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Difference:
    """A place at which two states of a resource differ; secrets are masked on both sides.

    :param path: ``jwt.aud.0``; empty: the resource as a whole.
    :param before: :data:`MISSING` where there was nothing.
    :param after: :data:`MISSING` where there is nothing any more.
    """

    path: str
    before: object
    after: object


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one resource.

    :param differences: of one that is updated; there are none where what is stored cannot be read.
    """

    key: Key
    outcome: Outcome
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of resources.

    :param changes: those that are written in the order of the edit, then those that are deleted.
    :param edit: does just this, and nothing where any of the resources has changed since.
    """

    changes: tuple[Change, ...]
    edit: Edit

    @property
    def outcomes(self) -> dict[Key, Outcome]:
        """What becomes of each."""
        return {change.key: change.outcome for change in self.changes}

    @property
    def changes_anything(self) -> bool:
        """Whether anything will be written or deleted."""
        return any(change.outcome != "unchanged" for change in self.changes)


@dataclass(frozen=True, slots=True)
class Draft:
    """An edit held against what is stored.

    :param edit: without ``prune``, every resource to delete named.
    :param outcomes: of each resource that it names.
    :param before: the stored bodies; what cannot be read is left out.
    :param after: the bodies to store.
    :param versions: of what is stored under those keys.
    """

    edit: Edit
    outcomes: Mapping[Key, Outcome]
    before: Mapping[Key, Body] = field(repr=False)
    after: Mapping[Key, Body] = field(repr=False)
    versions: Mapping[Key, str]

    def plan(self) -> Plan:
        """What it does, for people."""
        expected = {key: self.versions.get(key, ABSENT) for key in self.outcomes}
        changes = [Change(key, outcome, self._differences(key, outcome)) for key, outcome in self.outcomes.items()]
        return Plan(tuple(changes), replace(self.edit, expected=expected))

    def _differences(self, key: Key, outcome: Outcome) -> tuple[Difference, ...]:
        if outcome != "updated" or key not in self.before:
            return ()
        return tuple(differences(self.before[key], self.after[key]))


def differences(before: Body, after: Body) -> Iterator[Difference]:
    """Where two states of a resource differ, in the order in which the later one says it."""
    return _differences((before, masked(before)), (after, masked(after)), ())


_Sides = tuple[object, object]
# A value as it is, by which it is compared, and as it is shown.


def _differences(before: _Sides, after: _Sides, path: Path) -> Iterator[Difference]:
    match before[1], after[1]:
        case Mapping(), Mapping():
            for name in _names(before[1], after[1]):
                yield from _differences(_member(before, name), _member(after, name), (*path, shown(name)))
        case list(), list():
            for position in range(max(len(before[1]), len(after[1]))):
                yield from _differences(_item(before, position), _item(after, position), (*path, str(position)))
        case _ if before[0] != after[0] or type(before[0]) is not type(after[0]):
            yield Difference(".".join(path), before[1], after[1])


def _names(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    return [*after, *(name for name in before if name not in after)]


def _member(sides: _Sides, name: str) -> _Sides:
    value, seen = sides
    if isinstance(value, Mapping) and isinstance(seen, Mapping) and name in value:
        return value[name], seen[name]
    return MISSING, MISSING


def _item(sides: _Sides, position: int) -> _Sides:
    value, seen = sides
    if isinstance(value, Sequence) and isinstance(seen, Sequence) and position < len(value):
        return value[position], seen[position]
    return MISSING, MISSING
