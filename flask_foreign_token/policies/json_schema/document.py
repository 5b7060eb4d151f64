"""A JSON Schema of draft-07 as a document: where schemas stand in it, and where its references lead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias
from urllib.parse import unquote

Place: TypeAlias = tuple[str, ...]
"""The way from the top of the document, ``("properties", "jwt")``; items of a list by their index."""

LISTS_IN_PLACE: Final = ("allOf", "anyOf", "oneOf")
IN_PLACE: Final = ("not", "if", "then", "else")
BELOW: Final = ("additionalItems", "additionalProperties", "contains", "propertyNames")
MEMBERS: Final = ("properties", "patternProperties")
APPLICATORS: Final = frozenset({*LISTS_IN_PLACE, *IN_PLACE, *BELOW, *MEMBERS, "dependencies", "items"})
"""Keywords that ask schemas of a value, or of what is in it."""

TOP: Final[Place] = ()


class Document:
    """A schema with all the schemas in it.

    What stands where a schema must stand is listed even if it is none; what is data, in ``const`` for instance, is not.

    :param schema: no deeper than :data:`~.limits.MAX_DEPTH`, with texts as keys.
    :ivar identifier: the name of the whole, without ``#``; empty: it has none.
    """

    def __init__(self, schema: object) -> None:
        self.schema = schema
        self.schemas: dict[Place, object] = dict(_walk(schema, TOP))
        identifier = _text_at(schema, "$id")
        self.identifier = "" if identifier.startswith("#") else identifier
        self._names = {
            name[1:]: place for place, found in self.schemas.items() if (name := _text_at(found, "$id")).startswith("#")
        }

    def keywords(self, place: Place) -> Mapping[str, object]:
        """What the schema at `place` says; beside ``$ref`` nothing else counts."""
        keywords = _keywords(self.schemas[place])
        return {"$ref": keywords["$ref"]} if "$ref" in keywords else keywords

    def find(self, reference: str) -> Place | None:
        """Where a reference leads; none: to no schema of this document."""
        if self.identifier and reference.startswith(self.identifier):
            reference = reference.removeprefix(self.identifier)
        if reference in ("", "#"):
            return TOP
        if not reference.startswith("#"):
            return None
        fragment = unquote(reference[1:])
        if not fragment.startswith("/"):
            return self._names.get(fragment)
        place = tuple(part.replace("~1", "/").replace("~0", "~") for part in fragment[1:].split("/"))
        return place if place in self.schemas else None

    def target(self, place: Place) -> Place | None:
        """Where the schema at `place` refers to; none: it does not."""
        reference = self.keywords(place).get("$ref")
        return self.find(reference) if isinstance(reference, str) else None

    def below(self, place: Place, keyword: str) -> Iterator[Place]:
        """The schemas that stand behind `keyword` in the schema at `place`."""
        keywords = self.keywords(place)
        if keyword in keywords:
            yield from ((*place, keyword, *rest) for rest, _ in _schemas_of(keyword, keywords[keyword]))

    def in_place(self, place: Place) -> Iterator[Place]:
        """The schemas that the schema at `place` asks the very value that it is asked of."""
        if (target := self.target(place)) is not None:
            yield target
        for keyword in (*LISTS_IN_PLACE, *IN_PLACE, "dependencies"):
            yield from self.below(place, keyword)

    def asked(self, place: Place) -> Iterator[tuple[str, Place]]:
        """The schemas that the one at `place` asks of a value or of what is in it, with their keywords; not the one it
        refers to."""
        for keyword in self.keywords(place):
            if keyword in APPLICATORS:
                yield from ((keyword, inner) for inner in self.below(place, keyword))

    def conjuncts(self, place: Place) -> list[Place]:
        """The schemas that must all hold where the one at `place` does, itself first, each once."""
        waiting = [place]
        met: dict[Place, None] = {}
        while waiting:
            here = waiting.pop()
            if here not in met:
                met[here] = None
                target = self.target(here)
                waiting.extend(self.below(here, "allOf") if target is None else [target])
        return list(met)

    def required(self, place: Place) -> frozenset[str]:
        """The members that an object must have."""
        lists = (self.keywords(conjunct).get("required") for conjunct in self.conjuncts(place))
        return frozenset(name for names in lists for name in _list(names) if isinstance(name, str))

    def members(self, place: Place) -> Iterator[tuple[str, Place]]:
        """The schemas of members by name, as ``properties`` says."""
        for conjunct in self.conjuncts(place):
            yield from ((member[-1], member) for member in self.below(conjunct, "properties"))


def asks(schema: object) -> bool:
    """Whether a schema can answer no."""
    return schema is False or any(keyword not in ANNOTATIONS for keyword in _keywords(schema))


ANNOTATIONS: Final = frozenset(
    {
        "$comment",
        "$id",
        "$schema",
        "default",
        "definitions",
        "description",
        "examples",
        "format",
        "readOnly",
        "title",
        "writeOnly",
    }
)
"""Keywords that no value is checked against."""


def _walk(schema: object, place: Place) -> Iterator[tuple[Place, object]]:
    yield place, schema
    for keyword, value in _keywords(schema).items():
        for below, inner in _schemas_of(keyword, value):
            yield from _walk(inner, (*place, keyword, *below))


def _schemas_of(keyword: str, value: object) -> Iterator[tuple[Place, object]]:
    if keyword in IN_PLACE or keyword in BELOW or (keyword == "items" and not isinstance(value, list | tuple)):
        yield (), value
    elif keyword in (*LISTS_IN_PLACE, "items"):
        yield from (((str(index),), item) for index, item in enumerate(_list(value)))
    elif keyword in (*MEMBERS, "definitions", "dependencies"):
        for name, inner in _keywords(value).items():
            if keyword != "dependencies" or not isinstance(inner, list | tuple):
                yield (name,), inner


def _keywords(schema: object) -> Mapping[str, object]:
    return schema if isinstance(schema, Mapping) else {}


def _list(value: object) -> list[object] | tuple[object, ...]:
    return value if isinstance(value, list | tuple) else ()


def _text_at(schema: object, keyword: str) -> str:
    value = _keywords(schema).get(keyword)
    return value if isinstance(value, str) else ""
