"""What resources can be searched by: the attributes that their schemas have, and a few of users."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, missing

from ..registry.fields import Flag, Group, Items, Line, Seconds, Secret, Text
from ..registry.schemas import SCHEMAS, ReferenceSchema
from ..users.accounts import read_identifier
from .route import USER

_NOT_SEARCHED: Final = frozenset({"resourceType", "id"})
_TRUTH: Final = {"true": True, "false": False}
_LONGEST_NUMBER: Final = 18


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something that a search can ask for.

    :param name: as it is written: ``"jwt.iss"``.
    :param meaning: what the documentation says of it, on one line of Markdown.
    :param field: what reads a value, as the resource has it.
    """

    name: str
    meaning: str
    field: fields.Field[Any]

    def read(self, text: str) -> object:
        """The value that `text` asks for.

        :raises marshmallow.ValidationError: no resource could have it.
        """
        if isinstance(self.field, Flag):
            return self.field.deserialize(_TRUTH.get(text, text))
        if isinstance(self.field, Seconds):
            return self.field.deserialize(int(text) if _is_number(text) else text)
        if isinstance(self.field, Group):
            self.field.deserialize({"reference": text})
            return text
        return self.field.deserialize(text)


@dataclass(frozen=True, slots=True)
class Attribute(Parameter):
    """An attribute of a resource.

    :param path: the names that lead to it.
    """

    path: tuple[str, ...]

    def is_of(self, body: Mapping[str, object], wanted: object) -> bool:
        """Whether it is `wanted` in a resource, or one of its items is; what is not said is what stands for it."""
        found = list(_values(body, self.path))
        if not found and self.field.load_default is not missing:
            found = [self.field.load_default]
        return any(value == wanted and type(value) is type(wanted) for value in map(_shown, found))


class IdentifierText(Text):
    """``SYSTEM|VALUE`` or ``VALUE``; loads to a pair, in which a system of none stands for any."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        try:
            return read_identifier(super()._deserialize(value, attr, data, **kwargs))
        except ValueError as reason:
            raise ValidationError(str(reason)) from None


_OF_USERS: Final = (
    Parameter("identifier", "`SYSTEM|VALUE`, or `VALUE` of any system", IdentifierText()),
    Parameter("active", "false: who is shut out, `inactive`", Flag()),
    Parameter("email", "the attribute `email`, or an address that a provider says it has verified, as it is", Line()),
)


def _attributes(schema: Schema, above: tuple[str, ...] = ()) -> Iterator[Attribute]:
    """Those of an object that hold texts, numbers, truth values or references, and no secret."""
    for name, field in schema.load_fields.items():
        path = (*above, field.data_key or name)
        inner = field.inner if isinstance(field, Items) else field
        if isinstance(inner, Group) and not isinstance(inner.schema, ReferenceSchema):
            yield from _attributes(inner.schema, path)
        elif isinstance(inner, Flag | Seconds | Text | Group) and not isinstance(inner, Secret):
            yield Attribute(".".join(path), str(field.metadata["description"]), inner, path)


ATTRIBUTES: Final[Mapping[str, Mapping[str, Attribute]]] = {
    type_: {one.name: one for one in _attributes(schema) if one.name not in _NOT_SEARCHED}
    for type_, schema in SCHEMAS.items()
}
"""What the registry's types of resource can be searched by, by name, beside their ids."""

PARAMETERS: Final[Mapping[str, Mapping[str, Parameter]]] = {**ATTRIBUTES, USER: {one.name: one for one in _OF_USERS}}
"""The same for all types; users are looked for in the database."""


def _values(value: object, path: tuple[str, ...]) -> Iterator[object]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _values(item, path)
    elif not path:
        yield value
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _values(value[path[0]], path[1:])


def _shown(value: object) -> object:
    """A reference as it is asked for; whatever else as it is."""
    if not isinstance(value, Mapping):
        return value
    return value.get("reference", f"{value.get('resourceType')}/{value.get('id')}")


def _is_number(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= _LONGEST_NUMBER
