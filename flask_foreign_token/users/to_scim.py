"""``toScim``: from what a provider says of a user to the attributes of a User resource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeGuard

from ..printable import shown
from .user_resource import RESERVED

MAX_RULES = 100
"""Rules of the largest ``toScim``; each is compared with all others."""

MAX_STEPS = 10
"""Names in the longest of its paths."""

MAX_PLACES = 100
"""Items that it can give to a list."""

Path = Sequence[str | int]
"""Names, and places in lists, counted from 0."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What of the app's model ``toScim`` can and cannot reach.

    :param closed: attributes that the app has not listed.
    :param plain: those that it has listed, and that take no objects.
    """

    closed: frozenset[str] = frozenset()
    plain: frozenset[str] = frozenset()


NO_MODEL = Targets()


class _Places(dict[Any, Any]):
    """A list that is being made: its items by their places."""


def to_scim(userinfo: Mapping[str, object], rules: Mapping[str, Path]) -> dict[str, object]:
    """The attributes of a user that `rules` take from `userinfo`; what is missing or null there is left out.

    :param rules: a userinfo key → path in the user, as :func:`check_to_scim` lets pass. A key that userinfo does not
        have is read as a path, its names and places in lists with a dot between them. Places in a list of the user
        that stay empty are left out.
    """
    attributes: dict[str, Any] = {}
    for key, path in rules.items():
        value = _found(userinfo, key)
        if value is not None:
            _put(attributes, path, value)
    return {name: _with_lists(value) for name, value in attributes.items()}


def check_to_scim(rules: Mapping[str, object], targets: Targets = NO_MODEL) -> list[tuple[str, str]]:
    """What is wrong with the ``toScim`` of a provider: the key of each faulty rule, and the reason.

    :param rules: at most :data:`MAX_RULES`.
    """
    faults: list[tuple[str, str]] = []
    taken: dict[str, Path] = {}
    for key, path in rules.items():
        if not _is_path(path):
            example = '["name", "givenName"] or ["emails", 0, "value"]'
            faults.append((key, f"must be a list that begins with a name, such as {example}"))
        elif (reason := _out_of_reach(path, targets)) is not None:
            faults.append((key, reason))
        elif other := next((other for other, place in taken.items() if _are_at_odds(path, place)), None):
            faults.append((key, f"cannot stand beside {shown(other)}, which goes to the same place"))
        else:
            taken[key] = path
    return faults


def _out_of_reach(path: Path, targets: Targets) -> str | None:
    """Why `path` must not be written."""
    first = path[0]
    if len(path) > MAX_STEPS:
        return f"must not be longer than {MAX_STEPS} names"
    if first in RESERVED:
        return f"must not reach {first}, which is not for a provider to say"
    if first in targets.closed:
        return f"must not reach {first}, an attribute of the application's model that is not among its user_attributes"
    if first in targets.plain and len(path) > 1:
        return f"must not go below {first}, an attribute of the application's model that holds no objects"
    return None


def _found(userinfo: Mapping[str, object], key: str) -> object:
    # Names with dots in them are common, ``https://app.example/roles`` for one.
    if key in userinfo:
        return userinfo[key]
    found: Any = userinfo
    for step in key.split("."):
        if isinstance(found, Mapping):
            found = found.get(step)
        elif isinstance(found, Sequence) and not isinstance(found, str) and _is_place(step, len(found)):
            found = found[int(step)]
        else:
            return None
    return found


def _is_place(step: str, length: int) -> bool:
    return step.isascii() and step.isdigit() and len(step) < 5 and int(step) < length


def _put(attributes: dict[Any, Any], path: Path, value: object) -> None:
    for step, following in pairwise(path):
        attributes = attributes.setdefault(step, _Places() if isinstance(following, int) else {})
    attributes[path[-1]] = value


def _with_lists(value: Any) -> Any:
    if isinstance(value, _Places):
        return [_with_lists(value[place]) for place in sorted(value)]
    if isinstance(value, dict):
        return {name: _with_lists(inner) for name, inner in value.items()}
    return value


def _is_path(path: object) -> TypeGuard[list[str | int]]:
    if not isinstance(path, list) or not path or not isinstance(path[0], str):
        return False
    return all(_is_name(step) or (type(step) is int and 0 <= step < MAX_PLACES) for step in path)


def _is_name(step: object) -> bool:
    return isinstance(step, str) and bool(step)


def _are_at_odds(one: Path, other: Path) -> bool:
    """Whether one is the begin of the other, or both go through one place, which is a list only to one of them."""
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            return type(mine) is not type(theirs)
    return True
