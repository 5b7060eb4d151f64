"""From marshmallow's fields to JSON Schema: what ours are stricter in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema, fields, validate

from ...registry.fields import Group, Items, Line, Object, OneOrSeveral, Secret, SecretReferenceSchema
from ...registry.schemas import ID
from ..searching import IdentifierText

Json = dict[str, Any]
"""A part of the document."""

VERSION: Final = "3.1.0"
"""Of OpenAPI."""

_CONTROLS: Final = r"\x00-\x1f\x7f-\x9f"
_LINE: Final = rf"^[^{_CONTROLS}]*[^\s{_CONTROLS}][^{_CONTROLS}]*$"
_LONGEST_ID: Final = 64
_REFERENCE: Final = rf"^[^/{_CONTROLS}]+/[^{_CONTROLS}]+$"
_IDENTIFIER: Final = r"^[^|]+(\|[\s\S]+)?$"


def name_of(schema: Schema | type[Schema] | str) -> str:
    """What the document calls the objects of `schema`."""
    if isinstance(schema, str):
        return schema
    kind = schema if isinstance(schema, type) else type(schema)
    return kind.__name__.removesuffix("Schema")


class Attributes:
    """Turns marshmallow's schemas and fields into JSON Schema.

    Objects within objects become components of their own.
    """

    def __init__(self) -> None:
        plugin = MarshmallowPlugin(schema_name_resolver=name_of)
        self._spec = APISpec("", "", VERSION, plugins=[plugin])
        assert plugin.converter is not None  # noqa: S101 - apispec made it just now
        self._converter = plugin.converter
        self._converter.add_attribute_function(_narrowed)  # type: ignore[no-untyped-call]  # apispec's own
        self.add(SecretReferenceSchema())

    def add(self, schema: Schema) -> None:
        """Let `schema` be a component, and every object in it."""
        self._spec.components.schema(name_of(schema), schema=schema)

    def components(self) -> dict[str, Json]:
        """What was added, by name; objects that need not be kept."""
        found: dict[str, Json] = self._spec.to_dict()["components"]["schemas"]
        return found

    def of_parameter(self, field: fields.Field[Any]) -> Json:
        """The schema of what a search asks of an attribute, which has neither a default nor a meaning of its own."""
        if isinstance(field, Group):
            return {"type": "string", "pattern": _REFERENCE, "maxLength": 2048}
        made: Json = self._converter.field2property(field)
        return {name: value for name, value in made.items() if name not in ("default", "description")}


def pattern_of(expression: str) -> str:
    """An expression that :func:`re.match` matches and that says where it ends, as JSON Schema has it."""
    return "^" + expression.replace(r"\Z", "$")


def without(names: Collection[str], schema: Mapping[str, Any]) -> Json:
    """`schema` of an object that has no attributes with these names."""
    properties = {name: value for name, value in schema["properties"].items() if name not in names}
    required = [name for name in schema.get("required", ()) if name not in names]
    return {**schema, "properties": properties, "required": required}


def requiring(names: Collection[str], schema: Mapping[str, Any]) -> Json:
    """`schema` of an object that has these attributes."""
    return {**schema, "required": sorted({*schema.get("required", ()), *names})}


def with_attributes(schema: Mapping[str, Any], /, **attributes: Json) -> Json:
    """`schema` of an object some of whose attributes are as is said here; their meaning stays."""
    properties = dict(schema["properties"])
    for name, attribute in attributes.items():
        told = {key: value for key, value in properties.get(name, {}).items() if key == "description"}
        properties[name] = {**attribute, **told}
    return {**schema, "properties": properties}


def _narrowed(self: Any, field: fields.Field[Any], ret: Json, **_: Any) -> Json:
    """What apispec cannot know of `field`, our own kind of one."""
    if isinstance(field, Secret):
        return _secret(ret)
    if isinstance(field, IdentifierText):
        return {"pattern": _IDENTIFIER}
    if isinstance(field, Line):
        return _line(field)
    if isinstance(field, OneOrSeveral):
        return _one_or_several(field, ret)
    if isinstance(field, Items):
        return {"maxItems": field.longest}
    if isinstance(field, Object):
        return {"additionalProperties": True}
    return {}


def _line(field: Line) -> Json:
    pattern = _pattern(field) or _LINE
    longest = _LONGEST_ID if pattern == pattern_of(ID) else field.longest
    return {"minLength": 1, "maxLength": longest, "pattern": pattern}


def _pattern(field: fields.Field[Any]) -> str | None:
    found = [str(check.regex.pattern) for check in field.validators if isinstance(check, validate.Regexp)]
    return pattern_of(found[0]) if found else None


def _secret(ret: Json) -> Json:
    ret.pop("type")
    return {"anyOf": [{"type": "string", "writeOnly": True}, {"$ref": "#/components/schemas/SecretReference"}]}


def _one_or_several(field: OneOrSeveral, ret: Json) -> Json:
    several = {name: ret.pop(name) for name in ("type", "items", "minItems") if name in ret}
    return {"anyOf": [several["items"], {**several, "maxItems": field.longest}]}
