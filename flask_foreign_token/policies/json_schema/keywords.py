"""The keywords of JSON Schema draft-07, and what each takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Final, NamedTuple, TypeGuard

DRAFT: Final = "http://json-schema.org/draft-07/schema#"
TYPES: Final = ("array", "boolean", "integer", "null", "number", "object", "string")


class Takes(NamedTuple):
    """What stands behind a keyword.

    :param fits: whether a value does; the schemas within it are looked at elsewhere.
    :param wanted: what does, in words.
    """

    fits: Callable[[object], bool]
    wanted: str


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return _is_number(value) and value >= 0 and value == int(value)


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, list | tuple)


def _is_names(value: object) -> bool:
    return _is_list(value) and all(isinstance(item, str) for item in value) and len(set(value)) == len(value)


def _is_schema(value: object) -> bool:
    return isinstance(value, bool | Mapping)


def _is_schemas(value: object) -> bool:
    return _is_list(value) and bool(value) and all(map(_is_schema, value))


def _is_schemas_by_name(value: object) -> bool:
    return isinstance(value, Mapping) and all(map(_is_schema, value.values()))


def _is_types(value: object) -> bool:
    return value in TYPES if isinstance(value, str) else _is_names(value) and bool(value) and set(value) <= set(TYPES)  # type: ignore[call-overload]


_TEXT: Final = Takes(lambda value: isinstance(value, str), "a text")
_BOOLEAN: Final = Takes(lambda value: isinstance(value, bool), "true or false")
_ANY: Final = Takes(lambda value: True, "any value")
_LIST: Final = Takes(_is_list, "a list of values")
_NUMBER: Final = Takes(_is_number, "a number")
_COUNT: Final = Takes(_is_count, "a whole number from 0")
_SCHEMA: Final = Takes(_is_schema, "a schema: an object of keywords, true or false")
_SCHEMAS: Final = Takes(_is_schemas, "a list with at least one schema")
_BY_NAME: Final = Takes(_is_schemas_by_name, "an object whose values are schemas")

KEYWORDS: Final[Mapping[str, Takes]] = {
    "$comment": _TEXT,
    "$id": _TEXT,
    "$ref": _TEXT,
    "$schema": Takes(lambda value: value in (DRAFT, DRAFT.rstrip("#")), f'"{DRAFT}", the only draft that is read'),
    "additionalItems": _SCHEMA,
    "additionalProperties": _SCHEMA,
    "allOf": _SCHEMAS,
    "anyOf": _SCHEMAS,
    "const": _ANY,
    "contains": _SCHEMA,
    "contentEncoding": _TEXT,
    "contentMediaType": _TEXT,
    "default": _ANY,
    "definitions": _BY_NAME,
    "dependencies": Takes(
        lambda value: isinstance(value, Mapping) and all(_is_schema(one) or _is_names(one) for one in value.values()),
        "an object whose values are schemas or lists of names",
    ),
    "description": _TEXT,
    "else": _SCHEMA,
    "enum": _LIST,
    "examples": _LIST,
    "exclusiveMaximum": _NUMBER,
    "exclusiveMinimum": _NUMBER,
    "format": _TEXT,
    "if": _SCHEMA,
    "items": Takes(lambda value: _is_schema(value) or _is_schemas(value), "a schema, or a list with at least one"),
    "maxItems": _COUNT,
    "maxLength": _COUNT,
    "maxProperties": _COUNT,
    "maximum": _NUMBER,
    "minItems": _COUNT,
    "minLength": _COUNT,
    "minProperties": _COUNT,
    "minimum": _NUMBER,
    "multipleOf": Takes(lambda value: _is_number(value) and value > 0, "a number above 0"),
    "not": _SCHEMA,
    "oneOf": _SCHEMAS,
    "pattern": _TEXT,
    "patternProperties": _BY_NAME,
    "properties": _BY_NAME,
    "propertyNames": _SCHEMA,
    "readOnly": _BOOLEAN,
    "required": Takes(_is_names, "a list of names, each once"),
    "then": _SCHEMA,
    "title": _TEXT,
    "type": Takes(_is_types, f"one of {', '.join(TYPES)}, or a list of them"),
    "uniqueItems": _BOOLEAN,
    "writeOnly": _BOOLEAN,
}

_INSTEAD: Final[Mapping[str, str]] = {
    "$anchor": 'say {"$id": "#name"}',
    "$data": "a schema cannot look up a value of the request; say matcho, where a text such as .user.id does",
    "$defs": "say definitions",
    "constant": "say const",
    "dependentRequired": "say dependencies",
    "dependentSchemas": "say dependencies",
    "equals": "say const",
    "id": "say $id",
    "nullable": "null is removed from a request before the check",
    "optional": "what required does not list is optional",
    "prefixItems": "say items with a list",
    "regex": "say pattern",
    "unevaluatedItems": "say additionalItems",
    "unevaluatedProperties": "say additionalProperties",
    "value": "say const",
    "values": "say enum",
}


def unknown(word: str) -> str:
    """Why `word` cannot stand where a keyword must, and what probably was meant."""
    by_lower = {keyword.lower(): keyword for keyword in KEYWORDS}
    near = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.75)
    instead = _INSTEAD.get(word) or (
        f"say {by_lower[near[0]]}" if near else "the name of a member stands in properties"
    )
    return f"draft-07 has no such keyword, so nothing would be checked; {instead}"
