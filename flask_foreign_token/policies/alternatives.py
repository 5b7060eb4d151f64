"""Equalities of conditions of which any one may hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .condition import Alternatives, Equality
from .index import CHEAP


def of_any(of_each: Sequence[Sequence[Alternatives]]) -> list[Alternatives]:
    """What must be equal wherever at least one of several conditions holds.

    A group for each path that all of them pin, since a request finds it by one look; and the smallest group of each
    together, which may be rarer.

    :param of_each: for each condition, at least one of them, what must be equal where it holds.
    """
    if not all(of_each):
        return []
    first, *others = map(_smallest_by_path, of_each)
    common = [path for path in first if all(path in groups for groups in others)]
    on_one_path = [_together([groups[path] for groups in (first, *others)]) for path in common]
    mixed = _together([min(groups, key=_dearness) for groups in of_each])
    return list(dict.fromkeys([*on_one_path, mixed]))


def _smallest_by_path(groups: Sequence[Alternatives]) -> dict[tuple[str, ...], Alternatives]:
    smallest: dict[tuple[str, ...], Alternatives] = {}
    for group in groups:
        path = group[0].path
        if any(equality.path != path for equality in group):
            continue
        if path not in smallest or len(group) < len(smallest[path]):
            smallest[path] = group
    return smallest


def _dearness(group: Alternatives) -> tuple[bool, int]:
    # A group with one path that nothing is filed under is of no use to the index.
    return any(equality.path[0] not in CHEAP for equality in group), len(group)


def _together(groups: Iterable[Alternatives]) -> Alternatives:
    # By type too: 1 is not true, though Python finds one where it looks for the other.
    each: dict[object, Equality] = {}
    for group in groups:
        for equality in group:
            each.setdefault((equality, type(equality.value) is bool), equality)
    return tuple(each.values())
