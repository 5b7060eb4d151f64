"""What is refused when a policy's schema is saved.

JSON Schema ignores what it does not know, so a slip such as ``constant`` for ``const`` would let everybody in. Here a
schema says only what is checked, in a document that needs no other, and in a time that no request can stretch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final, Never

from jsonschema_rs import Draft7Validator, RegexOptions, ValidationError

from ..errors import Issue, Rejected
from .json_schema_document import TOP, Document, Place
from .json_schema_keywords import KEYWORDS, unknown
from .limits import MAX_DEPTH, MAX_SIZE, size_of
from .patterns import BACK_REFERENCE, LOOK_AROUND

MAX_STEPS: Final = 10_000
"""Schemas that are asked of one value, one of them however often it is referred to."""

MAX_FAULTS: Final = 100
"""Faults of one schema that are named."""

_TOO_LONG: Final = f"references and schemas lead on at most {MAX_DEPTH} times for one value"


def validator(schema: object) -> Draft7Validator:
    """What checks values against `schema`; it fetches nothing, and no pattern takes more than linear time.

    :param schema: one that :func:`check` lets through.
    """
    return Draft7Validator(
        schema,  # type: ignore[arg-type]
        retriever=_refuse_to_fetch,
        pattern_options=RegexOptions(),
        validate_formats=False,
    )


def check(schema: object) -> Document:
    """Read a schema.

    :param schema: what ``json.loads`` gives.
    :raises Rejected: it cannot be used; names the first :data:`MAX_FAULTS` faults, with their paths from the top of the
        schema.
    """
    size = size_of(schema)
    if size is not None and size > MAX_SIZE:
        raise Rejected.at("", f"a schema has at most {MAX_SIZE} bytes; make it several policies")
    _refuse_depth(schema, TOP)
    if size is None:
        raise Rejected.at("", "a schema is JSON, of finite numbers and whole characters")
    document = Document(schema)
    if issues := list(islice(_faults(document), MAX_FAULTS)):
        raise Rejected(issues)
    _refuse_endless(document)
    try:
        validator(schema)
    except ValidationError as error:
        raise _rejected(tuple(map(str, error.instance_path)), "this is not what draft-07 takes here") from None
    except ValueError:
        raise Rejected.at("", "this is no schema of draft-07") from None
    return document


def _refuse_to_fetch(uri: str, /) -> Never:
    raise ValueError("a policy's schema needs no other document")


def _refuse_depth(value: object, place: Place) -> None:
    if len(place) > MAX_DEPTH:
        raise _rejected(place, f"a schema is nested at most {MAX_DEPTH} deep")
    if isinstance(value, Mapping):
        for name, item in value.items():
            if not isinstance(name, str):
                raise _rejected(place, "the keys of an object are strings")
            _refuse_depth(item, (*place, name))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _refuse_depth(item, (*place, str(index)))


def _faults(document: Document) -> Iterator[Issue]:
    names: set[object] = set()
    for place, schema in document.schemas.items():
        if not isinstance(schema, Mapping):
            # Any other value is named by the keyword that it stands behind, but for the top.
            if place == TOP and not isinstance(schema, bool):
                yield _issue(TOP, "a schema is an object of keywords")
            continue
        for keyword, value in schema.items():
            takes = KEYWORDS.get(keyword)
            if takes is None:
                yield _issue((*place, keyword), unknown(keyword))
            elif not takes.fits(value):
                yield _issue((*place, keyword), f"say {takes.wanted}")
            elif keyword in _FURTHER:
                yield from _FURTHER[keyword](document, place, value)
        name = schema.get("$id")
        if isinstance(name, str) and name in names:
            yield _issue((*place, "$id"), "another schema has this name already")
        names.add(name if isinstance(name, str) else None)


def _reference(document: Document, place: Place, reference: object) -> Iterator[Issue]:
    if document.find(str(reference)) is not None:
        return
    if str(reference).startswith("#"):
        reason = "there is no schema at that place of this one; a reference leads to one, as in #/definitions/name"
    else:
        reason = "nothing is fetched; put the schema into definitions and say #/definitions/name"
    yield _issue((*place, "$ref"), reason)


def _identifier(document: Document, place: Place, identifier: object) -> Iterator[Issue]:
    text = str(identifier)
    if "$ref" in document.schemas[place]:  # type: ignore[operator]
        yield _issue((*place, "$id"), "beside $ref this counts for nothing; leave it out")
    elif text.startswith("#"):
        if len(text) == 1 or "/" in text or "%" in text:
            yield _issue((*place, "$id"), "say a name such as #address")
    elif place != TOP:
        yield _issue((*place, "$id"), "only the whole schema can be named like this; say a name such as #address")
    elif not text.startswith(("urn:", "file:")) or "#" in text:
        yield _issue((*place, "$id"), "a schema has no address, since nothing is fetched; leave $id out")


def _pattern(document: Document, place: Place, pattern: object) -> Iterator[Issue]:
    if reason := _why_no_expression(str(pattern)):
        yield _issue((*place, "pattern"), reason)


def _pattern_properties(document: Document, place: Place, schemas: object) -> Iterator[Issue]:
    for pattern in schemas if isinstance(schemas, Mapping) else ():
        if reason := _why_no_expression(pattern):
            yield _issue((*place, "patternProperties", pattern), reason)


_FURTHER: Final[Mapping[str, Callable[[Document, Place, object], Iterator[Issue]]]] = {
    "$id": _identifier,
    "$ref": _reference,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
}
"""What is checked of a keyword beside the kind of its value."""


def _why_no_expression(source: str) -> str | None:
    try:
        validator({"pattern": source})
    except ValueError:
        if LOOK_AROUND.search(source):
            return 'look-around cannot be matched in linear time; for "(?!x)" say {"not": {"pattern": "x"}} in an allOf'
        if BACK_REFERENCE.search(source):
            return "back-references cannot be matched in linear time; say the alternatives with anyOf"
        if source.startswith("(?"):
            return "inline flags such as (?i) are not of ECMA-262; write [Aa]"
        return "this is no regular expression, or too large a one"
    return None


def _refuse_endless(document: Document) -> None:
    """Refuse references that lead back to themselves without going into a member or an item, which no value could ever
    satisfy or fail, and those that ask the same value so often that a decision would take seconds."""
    measured: dict[Place, tuple[int, int]] = {}
    way: list[Place] = []

    def measure(place: Place) -> tuple[int, int]:
        if place in measured:
            return measured[place]
        if place in way:
            raise _rejected(way[-1], "this leads back to itself without going into a member or an item")
        if len(way) > MAX_DEPTH:
            raise _rejected(place, _TOO_LONG)
        way.append(place)
        inner = [measure(next_) for next_ in document.in_place(place)]
        way.pop()
        steps = 1 + sum(steps for _, steps in inner)
        height = max((1 + height for height, _ in inner), default=0)
        if height > MAX_DEPTH:
            raise _rejected(place, _TOO_LONG)
        if steps > MAX_STEPS:
            raise _rejected(place, f"at most {MAX_STEPS} schemas are asked of one value")
        measured[place] = height, steps
        return measured[place]

    for place in document.schemas:
        measure(place)


def _rejected(place: Place, reason: str) -> Rejected:
    return Rejected.at(".".join(place), reason)


def _issue(place: Place, reason: str) -> Issue:
    return Issue("", ".".join(place), reason)
