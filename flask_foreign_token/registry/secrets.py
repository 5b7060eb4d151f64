"""Secrets in the bodies of resources: shown as a mask, and kept where the mask is written back.

A reference to a secret is none: it is shown as it is, and the mask does not stand for it. Where secrets are is what the
schemas say. What an object with secrets holds beyond its schema is masked too, since it may be a secret with its name
misspelt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from marshmallow import Schema, fields

from ..faults import Faults
from ..introspection.addresses import origin_of
from ..printable import shown
from .fields import MASK, Path, Secret, SecretReference, reference_in
from .schemas import SCHEMAS, SECRET_ADDRESSES


def masked(body: Mapping[str, object]) -> dict[str, object]:
    """`body` with :data:`~.fields.MASK` in place of every secret, whatever is written there but a reference.

    Of a type that is not known only the names of the members are shown.
    """
    members = _members_of(body)
    return dict(body) if members is None else _masked_members(members, body)


def restored(body: Mapping[str, object], stored: object) -> dict[str, object]:
    """`body` with the secrets of `stored` where the mask is written.

    An item of a list is the stored one at the same position, and that only while nothing but secrets differs. What a
    secret is bound to (:class:`~.fields.Secret`) must not differ either. But where there was no address, one below the
    stored `issuer` may be added: whoever answers there is who issues the tokens.

    :param stored: the body that is stored; anything else: none is.
    :raises Rejected: names every mask that stands for nothing that is stored.
    """
    members = _members_of(body)
    if members is None:
        return dict(body)
    before = stored if isinstance(stored, Mapping) else {}
    restoration = _Restoration(body, before)
    kept = restoration.members(members, body, before, ())
    restoration.faults.raise_any()
    return kept


def has_secrets(type_: str) -> bool:
    """Whether there are secrets in resources of that type."""
    return _MEMBERS.get(type_) is not None


def references_in(body: Mapping[str, object]) -> dict[str, SecretReference]:
    """The references to secrets in a resource that are well-formed, by their paths."""
    found = {path: reference_in(value) for path, value in _secrets_in(body)}
    return {path: reference for path, reference in found.items() if reference is not None}


def plain_secrets_in(body: Mapping[str, object]) -> list[str]:
    """The paths of the secrets that are written out in a resource; not of masks."""
    return [path for path, value in _secrets_in(body) if isinstance(value, str) and value != MASK]


@dataclass(frozen=True, slots=True)
class _Secret:
    """The place of a secret.

    :param bound_to: see :class:`~.fields.Secret`.
    """

    bound_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Unknown:
    """The place of something that no schema knows, which may be a secret with its name misspelt."""


@dataclass(frozen=True, slots=True)
class _Object:
    """The place of an object with secrets in it.

    :param members: by the names that are written; none: there are no secrets there.
    """

    members: Mapping[str, _Place | None]


@dataclass(frozen=True, slots=True)
class _List:
    """The place of a list with secrets in its items."""

    item: _Place


_Place = _Secret | _Unknown | _Object | _List
_Members = Mapping[str, _Place | None]

_PLAIN = re.compile(r"[A-Za-z0-9._~/-]*")
_UNKNOWN = _Unknown()
_UNKNOWN_TYPE: _Members = {"resourceType": None, "id": None}


class _Nothing(Enum):
    """What there is to restore a secret from, where there is none; the value is the reason to give."""

    STORED = "is the mask that stands for a secret, and none is stored"
    REFERENCE = "is the mask that stands for a secret, and a reference is stored; write that, which is shown as it is"
    ALIKE = "is the mask that stands for a secret, and what is stored at this position is another; write the key again"


def _place(field: fields.Field[object]) -> _Place | None:
    if isinstance(field, Secret):
        return _Secret(field.bound_to)
    if isinstance(field, fields.Nested):
        members = _members(field.schema)
        return _Object(members) if members is not None else None
    if isinstance(field, fields.List):
        item = _place(field.inner)
        return _List(item) if item is not None else None
    return None


def _members(schema: Schema) -> _Members | None:
    """The places in an object of `schema`; none when it holds no secret."""
    members = {field.data_key or name: _place(field) for name, field in schema.fields.items()}
    return members if any(members.values()) else None


_MEMBERS = {type_: _members(schema) for type_, schema in SCHEMAS.items()}


def _members_of(body: Mapping[str, object]) -> _Members | None:
    type_ = body.get("resourceType")
    return _MEMBERS.get(type_, _UNKNOWN_TYPE) if isinstance(type_, str) else _UNKNOWN_TYPE


def _masked_members(members: _Members, value: Mapping[str, object]) -> dict[str, object]:
    return {name: _masked(members.get(name, _UNKNOWN), inner) for name, inner in value.items()}


def _masked(place: _Place | None, value: object) -> object:
    match place, value:
        case None, _:
            return value
        case _Object(members), Mapping():
            return _masked_members(members, value)
        case _List(item), list():
            return [_masked(item, inner) for inner in value]
        case _Secret(), Mapping() if reference_in(value) is not None:
            return value
        case _:
            return MASK


def _secrets_in(body: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """What stands where a secret belongs, by its path; not what is only masked in case it is one."""
    members = _members_of(body)
    return iter(()) if members is None else _walked(_Object(members), body, ())


def _walked(place: _Place, value: object, path: Path) -> Iterator[tuple[str, object]]:
    match place, value:
        case _Object(members), Mapping():
            for name, inner in members.items():
                if inner is not None and name in value:
                    yield from _walked(inner, value[name], (*path, name))
        case _List(item), list():
            for position, inner_value in enumerate(value):
                yield from _walked(item, inner_value, (*path, str(position)))
        case _Secret(), _:
            yield ".".join(path), value


class _Restoration:
    """Goes through a body beside the stored one, and notes the masks that stand for nothing."""

    def __init__(self, body: Mapping[str, object], stored: Mapping[str, object]) -> None:
        self._body = body
        self._stored = stored
        self.faults = Faults()

    def members(self, members: _Members, value: Mapping[str, object], stored: object, path: Path) -> dict[str, object]:
        return {
            name: self._value(members.get(name, _UNKNOWN), inner, _member(stored, name), (*path, shown(name)))
            for name, inner in value.items()
        }

    def _value(self, place: _Place | None, value: object, stored: object, path: Path) -> object:
        match place, value:
            case None, _:
                return value
            case _, str() if value == MASK:
                return self._secret(place, stored, path)
            case _Object(members), Mapping():
                return self.members(members, value, stored, path)
            case _List(item), list():
                return self._items(item, value, stored, path)
            case _:
                return value

    def _secret(self, place: _Place, stored: object, path: Path) -> object:
        if isinstance(stored, _Nothing):
            self.faults.add("", ".".join(path), stored.value)
        elif isinstance(place, _Secret) and reference_in(stored) is not None:
            self.faults.add("", ".".join(path), _Nothing.REFERENCE.value)
        elif _masked(place, stored) != MASK:
            self.faults.add("", ".".join(path), _Nothing.STORED.value)
        elif isinstance(place, _Secret) and (changed := self._changed(place)):
            reason = f"must be written again, since {', '.join(changed)} changed; the mask does not stand for it there"
            self.faults.add("", ".".join(path), reason)
        return stored

    def _changed(self, place: _Secret) -> list[str]:
        changed = [path for path in place.bound_to if _at(self._body, path) != _at(self._stored, path)]
        return [path for path in changed if not self._is_added_below_the_issuer(path)]

    def _is_added_below_the_issuer(self, path: str) -> bool:
        if path not in SECRET_ADDRESSES or _at(self._stored, path) is not None:
            return False
        return _is_below(_at(self._body, path), _at(self._stored, "issuer"))

    def _items(self, place: _Place, value: Sequence[object], stored: object, path: Path) -> list[object]:
        items: list[object] = []
        for position, item in enumerate(value):
            there = stored[position] if isinstance(stored, list) and position < len(stored) else _Nothing.STORED
            if not isinstance(there, _Nothing) and _masked(place, item) != _masked(place, there):
                there = _Nothing.ALIKE
            items.append(self._value(place, item, there, (*path, str(position))))
        return items


def _is_below(address: object, issuer: object) -> bool:
    """Whether `address` is at the origin of `issuer`, and its path below the path there.

    An origin alone may have others' addresses too: the realms of one Keycloak, say. What is not plain counts as
    elsewhere, since it depends on who reads it where that leads.
    """
    if not isinstance(address, str) or not isinstance(issuer, str):
        return False
    if not origin_of(issuer) or origin_of(address) != origin_of(issuer):
        return False
    path, above = urlsplit(address).path, urlsplit(issuer).path.rstrip("/") + "/"
    below = path.removeprefix(above)
    return path.startswith(above) and _PLAIN.fullmatch(below) is not None and {".", ".."}.isdisjoint(below.split("/"))


def _at(value: object, path: str) -> object:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _member(stored: object, name: str) -> object:
    if isinstance(stored, _Nothing):
        return stored
    return stored.get(name, _Nothing.STORED) if isinstance(stored, Mapping) else _Nothing.STORED
