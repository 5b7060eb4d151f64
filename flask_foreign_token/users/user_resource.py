"""The User resource, which policies and operators see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ..instants import instant
from .identifier import Identifier

CREATED_AT = "https://aidbox.app/ex/createdAt"
"""The extension of ``meta`` that says when a user was made."""

RESERVED = frozenset({"resourceType", "id", "identifier", "data", "inactive", "meta"})
"""Members of a User resource that are no attributes."""

_NOTHING: Mapping[str, object] = MappingProxyType({})


def user_resource(
    key: object,
    identifiers: Sequence[Identifier],
    *,
    active: bool,
    own: Mapping[str, object] = _NOTHING,
    named: Identifier | None = None,
) -> dict[str, object]:
    """The User resource.

    :param identifiers: from the oldest to the newest; what a newer one says stands before what an older one says, and
        before both what an operator wrote.
    :param own: attributes of the app's model, which stand before all of that; one that is none is not shown.
    :param named: the one of `identifiers` that a token names. Its ``data`` alone is shown, and its attributes stand
        before those of the others; so what another provider says is not taken for what this one says.
    """
    above = {**written_of(identifiers), **own}
    said = said_of(identifiers if named is None else [*identifiers, named])
    resource = {name: value for name, value in said.items() if name not in above}
    resource.update((name, value) for name, value in above.items() if value is not None)
    resource.update(
        resourceType="User",
        id=str(key),
        identifier=[{"system": identifier.system, "value": identifier.value} for identifier in identifiers],
        data=_data(identifiers if named is None else [named]),
    )
    if not active:
        resource["inactive"] = True
    if identifiers:
        resource["meta"] = _meta(identifiers)
    return resource


def said_of(identifiers: Sequence[Identifier]) -> dict[str, object]:
    """The attributes that providers say."""
    return {name: value for identifier in identifiers for name, value in identifier.attributes.items()}


def written_of(identifiers: Sequence[Identifier]) -> dict[str, object]:
    """The attributes that an operator wrote; none for one that is hidden."""
    return {name: value for identifier in identifiers for name, value in identifier.written.items()}


def _data(identifiers: Sequence[Identifier]) -> dict[str, object]:
    return {name: value for identifier in identifiers for name, value in identifier.data.items()}


def _meta(identifiers: Sequence[Identifier]) -> dict[str, object]:
    created_at = min(identifier.created_at for identifier in identifiers)
    return {
        # The sum changes with each of them; the highest would hide a change of another.
        "versionId": str(sum(identifier.version for identifier in identifiers)),
        "lastUpdated": instant(max(identifier.updated_at for identifier in identifiers)),
        "extension": [{"url": CREATED_AT, "valueInstant": instant(created_at)}],
    }
