"""What is refused when a policy's schema is saved.

JSON Schema ignores what it does not know, so a slip such as ``constant`` for ``const`` would let everybody in. Here a
schema says only what is checked, in a document that needs no other, and in a time that no request can stretch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final, Never

from jsonschema_rs import Draft7Validator, Registry, ValidationError

from ...errors import Issue, Rejected
from ..limits import MAX_DEPTH, MAX_SIZE, size_of
from ..patterns import BACK_REFERENCE, LOOK_AROUND, OPTIONS, TOO_MANY, Allowance
from .document import TOP, Document, Place
from .keywords import KEYWORDS, unknown

MAX_STEPS: Final = 10_000
"""Ways on which a schema may ask one value, of whatever is in a request; references are followed."""

MAX_REFERENCES: Final = 256
"""References that lead on from one to the next."""

_MAX_VISITS: Final = 50_000
"""Schemas that are gone through to count these ways, one of them again and again."""

MAX_FAULTS: Final = 100
"""Faults of one schema that are named."""

_TOO_LONG: Final = f"references and schemas lead on at most {MAX_DEPTH} times for one value"


def validator(schema: object, registry: Registry | None = None) -> Draft7Validator:
    """What checks values against `schema`; it fetches nothing, and no pattern takes more than linear time.

    :param schema: one that :func:`check` lets through.
    :param registry: other schemas that it may refer to.
    """
    return Draft7Validator(
        schema,  # type: ignore[arg-type]
        registry=registry,
        retriever=refuse_to_fetch,
        pattern_options=OPTIONS,
        validate_formats=False,
    )


def check(schema: object, expressions: Allowance | None = None) -> Document:
    """Read a schema.

    :param schema: what ``json.loads`` gives.
    :param expressions: how many it may have, and who else takes of them; none: it alone does.
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
    # Before they are compiled, which takes far longer.
    _refuse_many_expressions(document, expressions or Allowance())
    if issues := list(islice(_faults(document), MAX_FAULTS)):
        raise Rejected(issues)
    _refuse_endless(document)
    _Ways(document).refuse_too_many()
    try:
        validator(schema)
    except ValidationError as error:
        raise _rejected(tuple(map(str, error.instance_path)), "this is not what draft-07 takes here") from None
    except ValueError:
        raise Rejected.at("", "this is no schema of draft-07") from None
    return document


def refuse_to_fetch(uri: str, /) -> Never:
    """Stands where a library would fetch a document."""
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


def _refuse_many_expressions(document: Document, expressions: Allowance) -> None:
    for place, schema in document.schemas.items():
        if not isinstance(schema, Mapping):
            continue
        by_name = schema.get("patternProperties")
        found = [(*place, "pattern")] if "pattern" in schema else []
        found += [(*place, "patternProperties", name) for name in by_name] if isinstance(by_name, Mapping) else []
        for expression in found:
            if not expressions.take():
                raise _rejected(expression, TOO_MANY)


def _faults(document: Document) -> Iterator[Issue]:
    names: set[str] = set()
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
        if isinstance(name, str):
            if name in names:
                yield _issue((*place, "$id"), "another schema has this name already")
            names.add(name)


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
    satisfy or fail, and those that lead on too often for one value."""
    measured: dict[Place, int] = {}
    way: list[Place] = []

    def measure(place: Place) -> int:
        if place in measured:
            return measured[place]
        if place in way:
            raise _rejected(way[-1], "this leads back to itself without going into a member or an item")
        if len(way) > MAX_DEPTH:
            raise _rejected(place, _TOO_LONG)
        way.append(place)
        height = max((1 + measure(next_) for next_ in document.in_place(place)), default=0)
        way.pop()
        if height > MAX_DEPTH:
            raise _rejected(place, _TOO_LONG)
        measured[place] = height
        return height

    for place in document.schemas:
        measure(place)


class _Ways:
    """Counts the ways on which a schema leads on to ask one value, and refuses too many of them.

    With two of them at every level, what is twenty levels deep is asked a million times. A way ends where a reference
    leads to one that is being followed: of those, and of no others, the library remembers what it said of a value. From
    each of them further ways begin.
    """

    def __init__(self, document: Document) -> None:
        self._document = document
        self._counted: dict[str, int] = {}
        self._followed: list[str] = []
        self._remembered: dict[str, None] = {}
        self._visits = 0

    def refuse_too_many(self) -> None:
        """
        :raises Rejected: there are more than :data:`MAX_STEPS`.
        """
        ways, _ = self._from(TOP)
        begun: set[str] = set()
        while further := [reference for reference in self._remembered if reference not in begun]:
            for reference in further:
                begun.add(reference)
                more, _ = self._along(TOP, reference)
                ways += more
                self._refuse(ways, self._target(reference))

    def _from(self, place: Place) -> tuple[int, int]:
        """The most ways from `place` that lead to one value; and the first of the references being followed that ended
        one."""
        self._visits += 1
        if self._visits > _MAX_VISITS:
            raise _rejected(place, "schemas refer to each other in too many ways; refer to the same schema less often")
        reference = self._document.keywords(place).get("$ref")
        ways, first = (1, MAX_REFERENCES) if reference is None else self._along(place, str(reference))
        members = 0
        for keyword, inner in self._document.asked(place):
            more, ended = self._from(inner)
            first = min(first, ended)
            if keyword == "properties":
                # Each is asked of another value.
                members = max(members, more)
            else:
                ways += more
        self._refuse(ways + members, place)
        return ways + members, first

    def _along(self, place: Place, reference: str) -> tuple[int, int]:
        if reference in self._counted:
            return self._counted[reference], MAX_REFERENCES
        depth = len(self._followed)
        if reference in self._followed:
            self._remembered[reference] = None
            return 1, self._followed.index(reference)
        if depth == MAX_REFERENCES:
            raise _rejected(place, f"references lead on at most {MAX_REFERENCES} times")
        self._followed.append(reference)
        ways, first = self._from(self._target(reference))
        self._followed.pop()
        if first < depth:
            return ways + 1, first
        self._counted[reference] = ways + 1
        return ways + 1, MAX_REFERENCES

    def _target(self, reference: str) -> Place:
        return self._document.find(reference) or TOP

    def _refuse(self, ways: int, place: Place) -> None:
        if ways > MAX_STEPS:
            reason = (
                f"more than {MAX_STEPS} ways lead on from here to ask one value, so that a request could take seconds"
            )
            raise _rejected(place, f"{reason}; refer to the same schema less often")


def _rejected(place: Place, reason: str) -> Rejected:
    return Rejected.at(".".join(place), reason)


def _issue(place: Place, reason: str) -> Issue:
    return Issue("", ".".join(place), reason)
