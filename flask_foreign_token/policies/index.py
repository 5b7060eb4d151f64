"""Policies filed by what must be equal in every request that they allow, so that a request looks at few of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, TypeAlias

from .condition import Alternatives, Equality
from .equality import OBJECT
from .matcho.tree import Scalar
from .policy import CompiledPolicy

CROWD: Final = 8
"""Policies that stand under one value before they are filed once more among themselves."""

LEVELS: Final = 3
"""How often policies are filed within each other."""

_SCALAR: Final = (str, int, float)

Entry: TypeAlias = tuple[int, Sequence[Alternatives]]
"""The place of a policy in the order, and what it can be filed under."""


class Index:
    """Policies, and which of them a request may be allowed by.

    A policy stands under the rarest of its equalities, one whose most common value the fewest others carry; one that
    has none is a candidate for every request. Where many stand under the same value, they are filed by their other
    equalities again. A request pays for the paths that policies are filed under, or for the values that it has, of both
    the fewer; not for the number of policies.

    :param policies: in the order in which they are handed out.
    :param filing: of those before a change. Where that made no difference to what they can be filed by, they are not
        filed anew: ten thousand take 25 ms, and 1 ms then.
    """

    __slots__ = ("_filed_under", "_policies", "filing")

    def __init__(self, policies: Iterable[CompiledPolicy], filing: Filing | None = None) -> None:
        self._policies = tuple(policies)
        groups = [policy.equalities for policy in self._policies]
        self.filing = filing if filing is not None and filing.groups == groups else _filing(groups)
        """What each stands under."""
        self._filed_under: dict[str, Alternatives] | None = None

    def __iter__(self) -> Iterator[CompiledPolicy]:
        return iter(self._policies)

    def __len__(self) -> int:
        return len(self._policies)

    def candidates(self, view: Mapping[str, object]) -> list[CompiledPolicy]:
        """The policies that could allow a request, in order: every one that does is among them. Never raises."""
        found: set[int] = set()
        self.filing.shelf.look(view, found)
        policies = self._policies
        return [policies[place] for place in (sorted(found) if len(found) > 1 else found)]

    def filed_under(self, policy_id: str) -> Alternatives:
        """What a request must have one of to have the policy as a candidate; empty: it is one for every request."""
        if self._filed_under is None:
            self._filed_under = {self._policies[place].id: group for place, group in self.filing.chosen.items()}
        return self._filed_under.get(policy_id, ())


@dataclass(slots=True, eq=False)
class _Drawer:
    """What is filed at one place of the request.

    :param inside: drawers for the members of the object that stands there.
    :param under: places, by the scalar that stands there.
    """

    inside: dict[str, _Drawer] = field(default_factory=dict)
    under: dict[Scalar, tuple[int, ...] | _Shelf] = field(default_factory=dict)

    def at(self, path: Iterable[str]) -> _Drawer:
        """The drawer for a path from here, made where there is none."""
        drawer = self
        for key in path:
            below = drawer.inside.get(key)
            if below is None:
                below = drawer.inside[key] = _Drawer()
            drawer = below
        return drawer

    def open(self, value: object, view: Mapping[str, object], found: set[int]) -> None:
        """Add what is filed under `value`, which stands here in a request; nothing for a list or null."""
        if isinstance(value, _SCALAR):
            here = self.under.get(value, ())
            if isinstance(here, _Shelf):
                here.look(view, found)
            else:
                found.update(here)
        elif isinstance(value, OBJECT):
            # As many steps as the smaller has keys: policies may name many claims, or a token have them.
            inside = self.inside
            for key in inside if len(inside) == 1 else inside.keys() & value.keys():
                if key in value:
                    inside[key].open(value[key], view, found)


@dataclass(slots=True, eq=False)
class _Shelf:
    """Policies, filed.

    :param loose: places of those that are filed under nothing.
    :param parts: a drawer for each part of the request.
    """

    loose: tuple[int, ...]
    parts: _Drawer = field(default_factory=_Drawer)

    def look(self, view: Mapping[str, object], found: set[int]) -> None:
        """Add the places of all that a request finds."""
        if self.loose:
            found.update(self.loose)
        for name, drawer in self.parts.inside.items():
            try:
                # Only item access builds a part.
                part = view[name]
            except Exception:  # noqa: BLE001, S112 - whether it is missing or cannot be told, what asks for it is denied
                continue
            drawer.open(part, view, found)


@dataclass(frozen=True, slots=True)
class Filing:
    """How policies are filed.

    :param groups: what each can be filed under.
    :param chosen: what it is, by its place; those that are filed under nothing are left out.
    """

    groups: Sequence[Sequence[Alternatives]]
    chosen: Mapping[int, Alternatives]
    shelf: _Shelf


def _filing(groups: Sequence[Sequence[Alternatives]]) -> Filing:
    entries = list(enumerate(groups))
    chosen = _rarest(entries)
    return Filing(groups, chosen, _shelf(entries, chosen))


def _shelf(entries: Sequence[Entry], chosen: Mapping[int, Alternatives], level: int = 1) -> _Shelf:
    by_path: dict[tuple[str, ...], dict[Scalar, list[Entry]]] = {}
    for entry in entries:
        for path, value in chosen.get(entry[0], ()):
            by_path.setdefault(path, {}).setdefault(value, []).append(entry)
    shelf = _Shelf(tuple([place for place, _ in entries if place not in chosen]))
    for path, by_value in by_path.items():
        drawer = shelf.parts.at(path)
        drawer.under = {value: _among_themselves(under, chosen, level) for value, under in by_value.items()}
    return shelf


def _among_themselves(
    entries: Sequence[Entry], chosen: Mapping[int, Alternatives], level: int
) -> tuple[int, ...] | _Shelf:
    """What stands under one value: policies, or where they are too many for that, a shelf of them."""
    if len(entries) == 1:
        return entries[0][:1]
    places = tuple([place for place, _ in entries])
    if len(places) <= CROWD or level == LEVELS:
        return places
    # Not by alternatives, since a policy would stand under each of them once for each of the value's.
    left = [
        (place, [group for group in groups if len(group) == 1 and group != chosen[place]]) for place, groups in entries
    ]
    chosen_here = _rarest(left)
    if len(set(chosen_here.values())) < 2:
        return places
    return _shelf(left, chosen_here, level + 1)


def _rarest(entries: Sequence[Entry]) -> dict[int, Alternatives]:
    """What each policy is filed under, by its place; those that cannot be are left out."""
    groups_of_each = [groups for _, groups in entries]
    carried = Counter(chain.from_iterable(chain.from_iterable(groups_of_each)))
    return {place: _rarest_of(groups, carried) for place, groups in entries if groups}


def _rarest_of(groups: Sequence[Alternatives], carried: Mapping[Equality, int]) -> Alternatives:
    """The one whose most common equality the fewest carry; the first of several."""
    # A loop, since this runs for every policy whenever one changes, and `min` with a key takes longer.
    if len(groups) == 1:
        return groups[0]
    rarest, fewest = groups[0], 0
    for group in groups:
        number = carried[group[0]] if len(group) == 1 else max(carried[equality] for equality in group)
        if not fewest or number < fewest:
            rarest, fewest = group, number
    return rarest
