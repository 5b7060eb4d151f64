"""What a user looks like: from what a provider says to the User resource that policies and operators see."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Any, TypeGuard

from ..instants import instant
from ..policies.equality import equal
from ..printable import shown

CREATED_AT = "https://aidbox.app/ex/createdAt"
"""The extension of ``meta`` that says when a user was made."""

MAX_DEPTH = 30
"""How deep objects and lists may be nested in what is stored; MariaDB takes 32 for JSON."""

MAX_RULES = 100
"""Rules of the largest ``toScim``; each is compared with all others."""

MAX_STEPS = 10
"""Names in the longest of its paths."""

MAX_PLACES = 100
"""Items that it can give to a list."""

NOTHING: Mapping[str, object] = MappingProxyType({})

Path = Sequence[str | int]
"""Names, and places in lists, counted from 0."""

RESERVED = frozenset({"resourceType", "id", "identifier", "data", "inactive", "meta"})
"""Members of a User resource that are no attributes."""

MAX_EMAIL = 254
"""Characters of an address (:rfc:`5321#section-4.5.3.1`, erratum 1690)."""

_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+@[^@\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+")

_NOT_OF_THE_USER = (
    "exp iat nbf jti aud azp client_id scope scp typ token_type active ver auth_time nonce acr amr at_hash c_hash sid "
    "session_state uti rh aio"
)
# Claims of a token that are not about its subject, and differ from one token to the next.


@dataclass(frozen=True, slots=True)
class Targets:
    """What of the app's model ``toScim`` can and cannot reach.

    :param closed: attributes that the app has not listed.
    :param plain: those that it has listed, and that take no objects.
    """

    closed: frozenset[str] = frozenset()
    plain: frozenset[str] = frozenset()


NO_MODEL = Targets()


@dataclass(frozen=True, slots=True)
class Identifier:
    """A row of ``foreign_token_identifier``. Times are seconds since the epoch.

    :param issuer: the one that vouched for it first.
    :param data: userinfo, as it came.
    :param attributes: what :func:`to_scim` made of it.
    :param version: raised by every change of what is above it.
    :param refreshed_at: when the provider was last asked; none: nobody knows.
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
    refreshed_at: float | None = None

    @property
    def verified_email(self) -> str | None:
        """The address that the provider says it has verified, in this very document."""
        return verified_email(self.data)


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


def verified_email(userinfo: Mapping[str, object]) -> str | None:
    """The `email` of a document that says of it, with a plain ``true``, that it is verified (OpenID Connect Core 1.0
    section 5.1); none also if it is not one address, with one ``@`` in it.

    It is compared as it is: letter case counts before the ``@`` (:rfc:`5321#section-2.4`), and whoever folds what is
    behind it, or forms of Unicode, may take two people for one.
    """
    email = userinfo.get("email")
    if userinfo.get("email_verified") is not True or not isinstance(email, str) or len(email) > MAX_EMAIL:
        return None
    return email if _EMAIL.fullmatch(email) else None


def says_the_same(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Whether two documents say the same of a user; what they say of a token does not count."""
    return equal(_of_the_user(one), _of_the_user(other))


def _of_the_user(userinfo: Mapping[str, object]) -> dict[str, object]:
    of_the_token = _NOT_OF_THE_USER.split()
    return {name: value for name, value in userinfo.items() if name not in of_the_token}


def is_too_deep(value: object, depth: int = MAX_DEPTH) -> bool:
    """Whether objects and lists in `value`, itself included, are nested more than `depth` deep."""
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return False
    return depth == 0 or any(is_too_deep(inner, depth - 1) for inner in value)


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


def user_resource(
    key: object, identifiers: Sequence[Identifier], *, active: bool, own: Mapping[str, object] = NOTHING
) -> dict[str, object]:
    """The User resource.

    :param identifiers: from the oldest to the newest; what a newer one says stands before what an older one says.
    :param own: attributes of the app's model, which stand before either; one that is none is not shown.
    """
    resource: dict[str, object] = {}
    data: dict[str, object] = {}
    for identifier in identifiers:
        resource.update(identifier.attributes)
        data.update(identifier.data)
    resource.update(own)
    for name in [name for name, value in own.items() if value is None]:
        del resource[name]
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
