"""What in a policy's schema is probably not meant: where it lets through what nobody had in mind.

Everything in JSON Schema asks only of what is there and of what is of its type. Under ``not``, and in ``if``, that
narrows a policy rather than widens it, so nothing is said about it there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from ...errors import Issue
from ...printable import shown
from ..anchors import tied_in_front, tied_somewhere
from ..request import METHODS, OBJECTS, PARTS, TEXTS
from .document import ANNOTATIONS, LISTS_IN_PLACE, TOP, Document, Place, asks

_TEXTS: Final = frozenset(
    {*((part,) for part in TEXTS), ("headers", "*"), ("client", "id"), ("operation", "id"), ("user", "id")}
)
"""Paths of the request at which nothing but a text can stand."""

_ALWAYS_THERE: Final = frozenset({("request-method",), ("scheme",), ("uri",)})

_ANYWHERE: Final = ("*",)
_MAX_VISITS: Final = 10_000

_TYPE_OF: Final[Mapping[str, str]] = {
    "additionalItems": "array",
    "additionalProperties": "object",
    "contains": "array",
    "contentEncoding": "string",
    "contentMediaType": "string",
    "dependencies": "object",
    "exclusiveMaximum": "number",
    "exclusiveMinimum": "number",
    "items": "array",
    "maxItems": "array",
    "maxLength": "string",
    "maxProperties": "object",
    "maximum": "number",
    "minItems": "array",
    "minLength": "string",
    "minProperties": "object",
    "minimum": "number",
    "multipleOf": "number",
    "pattern": "string",
    "patternProperties": "object",
    "properties": "object",
    "propertyNames": "object",
    "required": "object",
    "uniqueItems": "array",
}
"""The type of the values that a keyword asks of; it lets every other value through."""


class _Known(NamedTuple):
    """What else is asked of the value that a schema is asked of.

    :param path: where in the request, :data:`_ANYWHERE` where nothing is known of what stands there.
    :param required: members that it has if it is an object.
    :param is_typed: that its type is asked for.
    """

    path: tuple[str, ...]
    required: frozenset[str] = frozenset()
    is_typed: bool = False


def warnings(document: Document) -> Iterator[Issue]:
    """Each with its path from the top of the schema."""
    seen: set[tuple[Place, _Known]] = set()
    told: dict[Issue, None] = {}
    waiting = [(TOP, _Known((), is_typed=True))]
    while waiting and len(seen) < _MAX_VISITS:
        place, outer = waiting.pop()
        if (place, outer) in seen:
            continue
        seen.add((place, outer))
        known = _known(document, place, outer)
        told.update(dict.fromkeys(_of_schema(document, place, known)))
        waiting.extend(reversed(list(_inner(document, place, known))))
    for place, schema in document.schemas.items():
        told.update(dict.fromkeys(_anywhere(place, schema)))
    return iter(told)


def _known(document: Document, place: Place, outer: _Known) -> _Known:
    conjuncts = [document.keywords(conjunct) for conjunct in document.conjuncts(place)]
    is_typed = any(not keywords.keys().isdisjoint(("type", "const", "enum")) for keywords in conjuncts)
    return outer._replace(
        required=outer.required | document.required(place),
        is_typed=outer.is_typed or is_typed or outer.path in OBJECTS | _TEXTS,
    )


def _of_schema(document: Document, place: Place, known: _Known) -> Iterator[Issue]:
    keywords = document.keywords(place)
    yield from _of_type(keywords, place, known)
    yield from _of_members(keywords, place, known)
    yield from _of_pattern(keywords, place, known)
    if known.path == ("request-method",):
        yield from _of_methods(keywords, place)


def _of_type(keywords: Mapping[str, object], place: Place, known: _Known) -> Iterator[Issue]:
    typed = next((keyword for keyword in keywords if keyword in _TYPE_OF), None)
    if typed is not None and not known.is_typed:
        type_ = _TYPE_OF[typed]
        yield _issue(place, f'{typed} lets through what is no {type_}; say "type": "{type_}" beside it')


def _of_members(keywords: Mapping[str, object], place: Place, known: _Known) -> Iterator[Issue]:
    properties = keywords.get("properties")
    for name, schema in properties.items() if isinstance(properties, Mapping) else ():
        at = (*place, "properties", name)
        is_there = name in known.required or (*known.path, name) in _ALWAYS_THERE
        if schema is not False and asks(schema) and not is_there:
            reason = f"what has no {shown(name)} passes, since required does not list it"
            yield _issue(at, f'{reason}; say "required": ["{shown(name)}"] beside properties')
        if not known.path and name not in PARTS:
            yield _issue(at, f"a request has no {shown(name)}, only {', '.join(sorted(PARTS))}")


def _of_pattern(keywords: Mapping[str, object], place: Place, known: _Known) -> Iterator[Issue]:
    pattern = keywords.get("pattern")
    is_tied = tied_in_front if known.path == ("uri",) else tied_somewhere
    if isinstance(pattern, str) and not is_tied(pattern):
        yield _issue(
            (*place, "pattern"), "this is found anywhere in a text; begin with ^, and end with $ if nothing may follow"
        )


def _of_methods(keywords: Mapping[str, object], place: Place) -> Iterator[Issue]:
    for keyword in ("const", "enum"):
        if keyword in keywords and not METHODS.issuperset(_values(keywords[keyword])):
            reason = "methods are lower case here, and HEAD reads as get; say get, for instance"
            yield _issue((*place, keyword), reason)


def _inner(document: Document, place: Place, known: _Known) -> Iterator[tuple[Place, _Known]]:
    """The schemas that a value must be valid against for the one at `place` to let it through, wholly or in parts."""
    keywords = document.keywords(place)
    if (target := document.target(place)) is not None:
        yield target, known
        return
    for keyword in (*LISTS_IN_PLACE, "else"):
        yield from ((inner, known) for inner in document.below(place, keyword))
    if "if" in keywords:
        condition = document.required((*place, "if"))
        yield from (
            (inner, known._replace(required=known.required | condition)) for inner in document.below(place, "then")
        )
    for inner in document.below(place, "dependencies"):
        yield inner, known._replace(required=known.required | {inner[-1]})
    for inner in document.below(place, "properties"):
        yield inner, _Known(_below(known.path, inner[-1]))
    for keyword in ("patternProperties", "additionalProperties", "items", "additionalItems", "contains"):
        yield from ((inner, _Known(_ANYWHERE)) for inner in document.below(place, keyword))


def _below(path: tuple[str, ...], name: str) -> tuple[str, ...]:
    """The path of a member; one of few, so that a schema that refers to itself is soon looked at in full."""
    if path == ("headers",):
        return (*path, "*")
    below = (*path, name)
    return below if below in OBJECTS | _TEXTS else _ANYWHERE


def _values(value: object) -> Iterator[str]:
    return map(str, value if isinstance(value, list | tuple) else [value])


def _anywhere(place: Place, schema: object) -> Iterator[Issue]:
    if not isinstance(schema, Mapping):
        return
    if "format" in schema:
        yield _issue((*place, "format"), "format is a remark, and no value is checked against it; say pattern")
    if "$ref" in schema:
        for keyword in schema.keys() - ANNOTATIONS - {"$ref"}:
            yield _issue((*place, keyword), "beside $ref this counts for nothing; put both into an allOf")


def _issue(place: Place, reason: str) -> Issue:
    return Issue("", ".".join(place), reason)
