"""What a user looks like: from what a provider says to the User resource that policies and operators see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from ..instants import instant

CREATED_AT = "https://aidbox.app/ex/createdAt"
"""The extension of ``meta`` that says when a user was made."""

MAX_DEPTH = 30
"""How deep objects and lists may be nested in what is stored; MariaDB takes 32 for JSON."""

MAX_RULES = 100
"""Rules of the largest ``toScim``; each is compared with all others."""

MAX_STEPS = 10
"""Names in the longest of its paths."""

RESERVED = frozenset({"resourceType", "id", "identifier", "data", "inactive", "meta"})
"""Members of a User resource that are no attributes."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """A row of ``foreign_token_identifier``. Times are seconds since the epoch.

    :param issuer: the one that vouched for it first.
    :param data: userinfo, as it came.
    :param attributes: what :func:`to_scim` made of it.
    :param version: raised by every change of anything else here.
    """

    system: str
    value: str = field(repr=False)
    issuer: str
    data: Mapping[str, object] = field(repr=False)
    attributes: Mapping[str, object] = field(repr=False)
    inactive: bool
    version: int
    created_at: float
    updated_at: float


def to_scim(userinfo: Mapping[str, object], rules: Mapping[str, Sequence[str]]) -> dict[str, object]:
    """The attributes of a user that `rules` take from `userinfo`; what is missing or null there is left out.

    :param rules: userinfo key → path in the user, as :func:`check_to_scim` lets pass.
    """
    attributes: dict[str, object] = {}
    for key, path in rules.items():
        if userinfo.get(key) is not None:
            _put(attributes, path, userinfo[key])
    return attributes


def is_too_deep(value: object, depth: int = MAX_DEPTH) -> bool:
    """Whether objects and lists in `value`, itself included, are nested more than `depth` deep."""
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return False
    return depth == 0 or any(is_too_deep(inner, depth - 1) for inner in value)


def check_to_scim(rules: Mapping[str, object]) -> list[tuple[str, str]]:
    """What is wrong with the ``toScim`` of a provider: the key of each faulty rule, and the reason.

    :param rules: at most :data:`MAX_RULES`.
    """
    faults: list[tuple[str, str]] = []
    taken: dict[str, list[str]] = {}
    for key, path in rules.items():
        if not _is_path(path):
            faults.append((key, 'must be a list of names, such as ["name", "givenName"]'))
        elif len(path) > MAX_STEPS:
            faults.append((key, f"must not be longer than {MAX_STEPS} names"))
        elif path[0] in RESERVED:
            faults.append((key, f"must not reach {path[0]}, which is not for a provider to say"))
        elif other := next((other for other, place in taken.items() if _overlap(path, place)), None):
            faults.append((key, f"cannot stand beside {other}, which goes to the same place"))
        else:
            taken[key] = path
    return faults


def user_resource(key: object, identifiers: Sequence[Identifier], *, active: bool) -> dict[str, object]:
    """The User resource.

    :param identifiers: from the oldest to the newest; what a newer one says stands before what an older one says.
    """
    resource: dict[str, object] = {}
    data: dict[str, object] = {}
    for identifier in identifiers:
        resource.update(identifier.attributes)
        data.update(identifier.data)
    resource.update(
        resourceType="User",
        id=str(key),
        identifier=[{"system": identifier.system, "value": identifier.value} for identifier in identifiers],
        data=data,
    )
    if not active:
        resource["inactive"] = True
    if identifiers:
        resource["meta"] = _meta(identifiers)
    return resource


def _meta(identifiers: Sequence[Identifier]) -> dict[str, object]:
    created_at = min(identifier.created_at for identifier in identifiers)
    return {
        # The sum changes with each of them; the highest would hide a change of another.
        "versionId": str(sum(identifier.version for identifier in identifiers)),
        "lastUpdated": instant(max(identifier.updated_at for identifier in identifiers)),
        "extension": [{"url": CREATED_AT, "valueInstant": instant(created_at)}],
    }


def _put(attributes: dict[str, Any], path: Sequence[str], value: object) -> None:
    for step in path[:-1]:
        attributes = attributes.setdefault(step, {})
    attributes[path[-1]] = value


def _is_path(path: object) -> TypeGuard[list[str]]:
    return isinstance(path, list) and bool(path) and all(isinstance(name, str) and name for name in path)


def _overlap(one: Sequence[str], other: Sequence[str]) -> bool:
    return all(mine == theirs for mine, theirs in zip(one, other, strict=False))
