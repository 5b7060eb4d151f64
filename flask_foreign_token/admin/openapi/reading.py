"""The document as a page tells it: by what operations are about, with every attribute in one table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .attributes import Json

_SHORT: Final = 60


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value may be.

    :param name: of the component that says it; ``""``: none.
    :param text: in words, before the component.
    """

    text: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """An attribute or a parameter.

    :param place: where a parameter stands; ``""`` of an attribute.
    :param needed: ``"yes"``, ``"no"``, or with what it is needed.
    :param only: with what it can be there; ``""``: always.
    """

    name: str
    kinds: Sequence[Kind]
    needed: str
    meaning: str
    place: str = ""
    only: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a status means.

    :param body: the component that its body is; ``""``: there is none, or no component.
    """

    status: str
    meaning: str
    headers: Sequence[str]
    body: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One endpoint.

    :param body: the component that is sent; ``""``: nothing is.
    :param examples: bodies by their names, in JSON.
    """

    id: str
    method: str
    path: str
    summary: str
    description: str
    is_public: bool
    parameters: Sequence[Row]
    body: str
    types: Sequence[str]
    examples: Mapping[str, str]
    answers: Sequence[Answer]


@dataclass(frozen=True, slots=True)
class Thing:
    """A component: an object with its attributes, or something else.

    :param kinds: what it is, where it has no attributes.
    """

    name: str
    meaning: str
    rows: Sequence[Row]
    kinds: Sequence[Kind]


@dataclass(frozen=True, slots=True)
class Section:
    """What there is to say of one tag, or of the components."""

    name: str
    meaning: str
    operations: Sequence[Operation]
    things: Sequence[Thing]

    @property
    def anchor(self) -> str:
        return self.name.lower().replace(" ", "-")


def sections(document: Json) -> list[Section]:
    """What the page says, in order; the objects come last."""
    reader = _Reader(document)
    found = [
        Section(tag["name"], tag["description"], list(reader.operations(tag["name"])), ()) for tag in document["tags"]
    ]
    return [*found, Section("Objects", "What is sent and answered", (), list(reader.things()))]


class _Reader:
    """Goes through a document."""

    def __init__(self, document: Json) -> None:
        self._document = document
        self._schemas: Mapping[str, Json] = document["components"]["schemas"]

    def operations(self, tag: str) -> Iterator[Operation]:
        for path, methods in self._document["paths"].items():
            for method, operation in methods.items():
                if tag in operation["tags"]:
                    yield self._operation(method, path, operation)

    def things(self) -> Iterator[Thing]:
        inner = {
            name
            for schema in self._schemas.values()
            for alternative in schema.get("oneOf", ())
            if (name := _name_in(alternative))
        }
        for name, schema in self._schemas.items():
            if name not in inner:
                rows = list(self._attributes(schema))
                yield Thing(name, schema.get("description", ""), rows, () if rows else self._kinds(schema))

    def _operation(self, method: str, path: str, operation: Json) -> Operation:
        content = operation.get("requestBody", {}).get("content", {})
        first: Json = next(iter(content.values()), {"schema": {}, "examples": {}})
        return Operation(
            id=operation["operationId"],
            method=method.upper(),
            path=path,
            summary=operation["summary"],
            description=operation.get("description", ""),
            is_public=operation.get("security") == [],
            parameters=[self._parameter(parameter) for parameter in operation["parameters"]],
            body=_name_in(first["schema"]),
            types=list(content),
            examples={name: _json(example["value"]) for name, example in first["examples"].items()},
            answers=[self._answer(status, answer) for status, answer in operation["responses"].items()],
        )

    def _parameter(self, parameter: Json) -> Row:
        needed = "yes" if parameter.get("required") else "no"
        return Row(
            parameter["name"], self._kinds(parameter["schema"]), needed, parameter["description"], parameter["in"]
        )

    def _answer(self, status: str, answer: Json) -> Answer:
        told = self._resolved(answer)
        content: Json = next(iter(told.get("content", {}).values()), {"schema": {}})
        headers = [name for name in told.get("headers", {}) if name != "Cache-Control"]
        return Answer(status, told["description"], headers, _name_in(content["schema"]))

    def _attributes(self, schema: Json) -> Iterator[Row]:
        """Those of an object; where it is one of several, those of all of them."""
        variants = [self._resolved(variant) for variant in schema.get("oneOf", [schema])]
        if not all("properties" in variant for variant in variants):
            return
        labels = [_label(variant) for variant in variants]
        for name in dict.fromkeys(name for variant in variants for name in variant["properties"]):
            having = [at for at, variant in enumerate(variants) if name in variant["properties"]]
            needing = [at for at in having if name in variants[at].get("required", ())]
            attribute = next(variants[at]["properties"][name] for at in having)
            yield Row(
                name=name,
                kinds=self._kinds_in([variants[at]["properties"][name] for at in having]),
                needed=_needed(having, needing, labels),
                meaning=attribute.get("description", ""),
                only="" if len(having) == len(variants) else _listed([labels[at] for at in having]),
            )

    def _kinds_in(self, schemas: Sequence[Json]) -> list[Kind]:
        return list(dict.fromkeys(kind for schema in schemas for kind in self._kinds(schema)))

    def _kinds(self, schema: Json) -> list[Kind]:
        if "$ref" in schema:
            return [Kind("", _name_in(schema))]
        for several in ("anyOf", "oneOf", "allOf"):
            if several in schema and "properties" not in schema:
                return self._kinds_in(schema[several])
        if "allOf" in schema:
            return self._kinds_in(schema["allOf"])
        if schema.get("type") == "array" and "items" in schema:
            return [Kind(f"list of {kind.text}".strip(), kind.name) for kind in self._kinds(schema["items"])]
        return [Kind(_in_words(schema))]

    def _resolved(self, part: Json) -> Json:
        if "$ref" not in part:
            return part
        found: Any = self._document
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        resolved: Json = found
        return resolved


def _name_in(schema: Json) -> str:
    """The component that `schema` is."""
    if "allOf" in schema:
        return _name_in(schema["allOf"][0])
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _label(variant: Json) -> str:
    """What tells an object from its alternatives: ``type: jwt``."""
    told = [
        f"{name}: {schema['const']}"
        for name, schema in variant["properties"].items()
        if "const" in schema and name != "resourceType"
    ]
    if kinds := variant["properties"].get("kty", {}).get("enum"):
        told.append(f"kty: {' or '.join(kinds)}")
    return told[0] if told else f"{', '.join(variant.get('required', ()))}"


def _needed(having: Sequence[int], needing: Sequence[int], labels: Sequence[str]) -> str:
    if not needing:
        return "no"
    return "yes" if len(needing) == len(having) else f"with {_listed([labels[at] for at in needing])}"


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(labels))


def _in_words(schema: Json) -> str:
    if "const" in schema:
        return _json(schema["const"])
    if "enum" in schema:
        text = " | ".join(map(_json, schema["enum"]))
        return text if len(text) <= _SHORT * 10 else f"{text[:_SHORT]}…"
    types = schema.get("type", "anything")
    kind = " or ".join(types) if isinstance(types, list) else str(types)
    return f"{kind}{_limits(schema)}"


def _limits(schema: Json) -> str:
    if "minimum" in schema and "maximum" in schema:
        return f", {schema['minimum']} to {schema['maximum']}"
    if "maxLength" in schema:
        return f", at most {schema['maxLength']} characters"
    return ""


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2 if isinstance(value, dict) else None)
