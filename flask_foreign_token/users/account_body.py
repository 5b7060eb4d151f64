"""The User resource as an operator writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from marshmallow import ValidationError, fields, validate, validates

from ..errors import Issue, Rejected
from ..introspection.claims import MAX_SUBJECT
from ..printable import shown
from ..registry.edits import MAX_BODY
from ..registry.fields import Flag, Group, Items, Line, Object, StrictSchema, Text, flatten, meaning
from ..tables import is_storable
from .identifier import Pair
from .nesting import MAX_DEPTH, is_too_deep
from .user_resource import RESERVED

MAX_IDENTIFIERS = 100
"""Identifiers that a user may be given."""

Fault = tuple[str, str]
"""A path in the body, and the reason."""

_TOO_DEEP = f"must not be nested more than {MAX_DEPTH} deep"


class IdentifierSchema(StrictSchema):
    """How a provider names a user. The value follows the rules of a token's subject."""

    system = Line(MAX_SUBJECT, required=True, metadata=meaning("the `system` of the provider"))
    value = Line(MAX_SUBJECT, required=True, metadata=meaning("the subject, as the provider's tokens have it"))


class UserSchema(StrictSchema):
    """What a User has beside its attributes, which are every other member."""

    type_name = Line(
        data_key="resourceType",
        validate=validate.Equal("User", error="must be User"),
        metadata=meaning("`User`"),
    )
    id = Text(metadata=meaning("the primary key in the application's model, as a text"))
    identifier = Items(
        Group(IdentifierSchema),
        longest=MAX_IDENTIFIERS,
        load_default=[],
        metadata=meaning("by what providers call the user; what is left out is taken away"),
    )
    inactive = Flag(load_default=False, metadata=meaning("true: every request of the user is refused"))
    data = Object(load_default={}, metadata=meaning("what the provider said, as it came"))
    meta = fields.Raw(allow_none=True, metadata=meaning("as it was read; written back, it changes nothing"))

    @validates("identifier")
    def refuse_repetition(self, identifiers: list[dict[str, str]], **_: Any) -> None:
        repeated = [at for at, identifier in enumerate(identifiers) if identifier in identifiers[:at]]
        if repeated:
            raise ValidationError({at: ["is there already"] for at in repeated})


@dataclass(frozen=True, slots=True)
class AccountBody:
    """What a user is to be.

    :param identifiers: (system, value) of each, no two the same.
    :param data: userinfo.
    :param attributes: the members that are not among :data:`~.user_resource.RESERVED`.
    """

    identifiers: tuple[Pair, ...] = field(repr=False)
    active: bool
    data: Mapping[str, object] = field(repr=False)
    attributes: Mapping[str, object] = field(repr=False)


def read_account(body: object, id_: str | None) -> AccountBody:
    """What `body` says of the user.

    :param body: a User resource, at most 1 MiB of JSON; its objects and lists are nested at most
        :data:`~.nesting.MAX_DEPTH` deep.
    :param id_: which it must have, if it has one; none: it must have none.
    :raises Rejected: names every fault by its path.
    """
    written = _plain(body)
    attributes = {name: value for name, value in written.items() if name not in RESERVED}
    faults = [*_faults_of_id(written, id_), *_faults_of_data(written.get("data")), *_faults_of_attributes(attributes)]
    try:
        loaded: Any = UserSchema().load({name: value for name, value in written.items() if name in RESERVED})
    except ValidationError as error:
        faults += flatten(error.messages)
    if faults:
        raise Rejected([Issue("", path, reason) for path, reason in sorted(faults)])
    return AccountBody(
        identifiers=tuple((identifier["system"], identifier["value"]) for identifier in loaded["identifier"]),
        active=not loaded["inactive"],
        data=loaded["data"],
        attributes=attributes,
    )


def read_pair(pair: Pair) -> Pair:
    """`pair`, if it can name anybody.

    :raises Rejected: names every fault by its path in a User resource with this identifier.
    """
    try:
        IdentifierSchema().load(dict(zip(("system", "value"), pair, strict=True)))
    except ValidationError as error:
        raise Rejected([Issue("", f"identifier.{path}", reason) for path, reason in flatten(error.messages)]) from None
    return pair


def _plain(body: object) -> dict[str, Any]:
    """A copy of `body` that is nothing but JSON."""
    if not isinstance(body, Mapping):
        raise Rejected.at("", "must be an object")
    try:
        text = json.dumps(dict(body), separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise Rejected.at("", "cannot be written as JSON") from None
    if len(text) > MAX_BODY:
        raise Rejected.at("", f"must not be larger than {MAX_BODY} bytes")
    plain: dict[str, Any] = json.loads(text)
    return plain


def _faults_of_id(written: Mapping[str, object], id_: str | None) -> Iterator[Fault]:
    if "id" not in written:
        return
    if id_ is None:
        yield "id", "must be left out where a new one is to be given"
    elif isinstance(written["id"], str) and written["id"] != id_:
        yield "id", "must be the one that the user is kept under"


def _faults_of_data(data: object) -> Iterator[Fault]:
    if is_too_deep(data):
        yield "data", _TOO_DEEP
    else:
        yield from _faults_of_texts(data, ("data",))


def _faults_of_attributes(attributes: Mapping[str, object]) -> Iterator[Fault]:
    for name, value in attributes.items():
        # The object that all of them are kept in is a level of its own.
        if not name:
            yield "", "must not have an attribute whose name is empty"
        elif is_too_deep({name: value}):
            yield shown(name), _TOO_DEEP
        else:
            yield from _faults_of_texts({name: value}, ())


def _faults_of_texts(value: object, path: tuple[str, ...]) -> Iterator[Fault]:
    """A NUL, which PostgreSQL does not take in JSON, and half of a character, which nobody does."""
    if isinstance(value, str):
        if not is_storable(value):
            yield ".".join(path), "must hold neither NUL nor half of a surrogate pair"
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _faults_of_texts(name, (*path, shown(name)))
            yield from _faults_of_texts(inner, (*path, shown(name)))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _faults_of_texts(inner, (*path, str(position)))
