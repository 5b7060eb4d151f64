"""What must be equal in every request that is allowed, and what of it policies can be filed by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from .condition import Alternatives, Equality

CHEAP: Final = frozenset(
    {"jwt", "token", "user", "client", "operation", "uri", "request-method", "scheme", "remote-addr"}
)
"""The parts by which policies are filed: every request pays for them, so that they must cost next to nothing."""

_SCALAR: Final = (str, int, float, bool)


def of_any(of_each: Sequence[Sequence[Alternatives]]) -> list[Alternatives]:
    """What must be equal wherever at least one of several conditions holds.

    A group for each path that all of them pin, since a request finds it by one look; and the smallest group of each
    together, which may be rarer.

    :param of_each: for each condition, at least one of them, what must be equal where it holds.
    """
    # As tuples, whatever an engine of another package makes of them.
    of_each = [tuple(map(tuple, groups)) for groups in of_each]
    if not all(of_each):
        return []
    first, *others = map(_smallest_by_path, of_each)
    common = [path for path in first if all(path in groups for groups in others)]
    on_one_path = [_together([groups[path] for groups in (first, *others)]) for path in common]
    mixed = _together([min(groups, key=_dearness) for groups in of_each])
    return list(dict.fromkeys([*on_one_path, mixed]))


def fileable(equalities: Iterable[Alternatives]) -> tuple[Alternatives, ...]:
    """Those of `equalities` that a policy can be filed under.

    :raises Exception: where they are of an engine of another package, and no groups; all that is returned can be hashed
        and compared.
    """
    # As tuples first: a generator could be gone through once.
    groups = (group for group in map(tuple, equalities) if group and all(map(_is_fileable, group)))
    # By type, since 1 and true are equal to Python.
    return tuple(_shared(group) if all(type(value) is str for _, value in group) else group for group in groups)


@lru_cache(maxsize=1024)
def _shared(group: Alternatives) -> Alternatives:
    """One group in place of all that are equal: thousands of policies may name the same issuer."""
    return group


def _is_fileable(equality: Equality) -> bool:
    # Engines of other packages say what they like, and nothing of it may keep a registry from being loaded. By type,
    # since a class of theirs could not be hashed, or be equal to anything.
    if type(equality) is not Equality or type(equality.path) is not tuple or not equality.path:
        return False
    path, value = equality
    return all(type(step) is str for step in path) and path[0] in CHEAP and type(value) in _SCALAR


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
