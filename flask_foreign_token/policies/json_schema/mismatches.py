"""Why a request is not valid against a schema: the places where it is not.

Each schema is asked as a whole, by a validator of the kind that decides, and only where it says no is it gone into. So
both always agree, and the work has the same bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import quote

from jsonschema_rs import Draft7, Registry

from ..condition import MAX_MISMATCHES, Mismatch
from ..limits import MAX_DEPTH
from .check import refuse_to_fetch, validator
from .document import ANNOTATIONS, APPLICATORS, TOP, Document, Place
from .pruning import Plain

_NOT_ASKED: Final = ANNOTATIONS | {"contentEncoding", "contentMediaType"}
"""Keywords that are not asked one by one; those of the content depend on each other."""

_GONE_INTO: Final = APPLICATORS - {"anyOf", "contains", "else", "not", "oneOf", "propertyNames", "then"}
"""Keywords whose schemas must all let something through; ``then`` and ``else`` belong to ``if``."""

_URI: Final = "urn:policy"

Path: TypeAlias = tuple[str | int, ...]
"""Where in the request."""


class _Asked(NamedTuple):
    """A schema, and a value that is asked whether it is valid against it.

    :param path: where in the request the value stands.
    """

    place: Place
    value: Plain
    path: Path


def mismatches(document: Document, value: Plain) -> list[Mismatch]:
    """The places where `value` is not valid, at most :data:`.MAX_MISMATCHES`; none exactly where it is valid.

    :param document: what :func:`.check` lets through.
    """
    if validator(document.schema).is_valid(value):
        return []
    return list(islice(_Explanation(document).why(_Asked(TOP, value, ()), ()), MAX_MISMATCHES))


class _Explanation:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._uri = document.identifier or _URI
        resources = [(self._uri, document.schema)]
        self._registry = Registry(resources, draft=Draft7, retriever=refuse_to_fetch)  # type: ignore[arg-type]
        self._of_places: dict[Place, Callable[[Plain], bool]] = {}
        self._of_keywords: dict[tuple[Place, str], Callable[[Plain], bool]] = {}
        self._of_patterns: dict[str, Callable[[Plain], bool]] = {}

    def why(self, asked: _Asked, way: tuple[Place, ...]) -> Iterator[Mismatch]:
        """Why the value is not valid, as it is known not to be; at least one reason.

        :param way: the schemas that led here. What leads back to one of them is not gone into again, since such
            references multiply with every level of a value.
        """
        is_told = False
        if asked.place not in way and len(way) < MAX_DEPTH:
            for mismatch in self._within(asked, (*way, asked.place)):
                is_told = True
                yield mismatch
        if not is_told:
            yield Mismatch(asked.path, self._document.schemas[asked.place], asked.value)

    def _within(self, asked: _Asked, way: tuple[Place, ...]) -> Iterator[Mismatch]:
        place, value, path = asked
        if (target := self._document.target(place)) is not None:
            if target not in way:
                yield from self.why(asked._replace(place=target), way)
            return
        for keyword, argument in self._document.keywords(place).items():
            if keyword == "required":
                yield from _missing(argument, value, path)
            elif keyword in ("anyOf", "oneOf"):
                yield from self._of_alternatives(asked, keyword, way)
            elif keyword in _GONE_INTO:
                yield from self._of_inner(asked, keyword, way)
            elif not self._is_satisfied(place, keyword, value):
                yield Mismatch(path, {keyword: argument}, value)

    def _of_alternatives(self, asked: _Asked, keyword: str, way: tuple[Place, ...]) -> Iterator[Mismatch]:
        each = [asked._replace(place=inner) for inner in self._document.below(asked.place, keyword)]
        valid = sum(self._is_valid(inner.place, inner.value) for inner in each)
        if valid == 0:
            for inner in each:
                yield from self.why(inner, way)
        elif keyword == "oneOf" and valid > 1:
            yield Mismatch(asked.path, {keyword: self._document.keywords(asked.place)[keyword]}, asked.value)

    def _of_inner(self, asked: _Asked, keyword: str, way: tuple[Place, ...]) -> Iterator[Mismatch]:
        argument = self._document.keywords(asked.place)[keyword]
        if keyword == "dependencies":
            yield from _missing_beside(argument, asked.value, asked.path)
        for inner in self._inner(asked, keyword):
            if self._is_valid(inner.place, inner.value):
                continue
            if keyword == "additionalProperties":
                # By itself, ``false`` would not say why the member may not be there.
                yield Mismatch(inner.path, {keyword: argument}, inner.value)
            else:
                yield from self.why(inner, way)

    def _is_satisfied(self, place: Place, keyword: str, value: Plain) -> bool:
        """What a keyword says that is asked as a whole."""
        inner = (*place, keyword)
        match keyword:
            case "not":
                return not self._is_valid(inner, value)
            case "contains":
                return not isinstance(value, list) or any(self._is_valid(inner, item) for item in value)
            case "propertyNames":
                return not isinstance(value, dict) or all(self._is_valid(inner, name) for name in value)
            case _ if keyword in APPLICATORS or keyword in _NOT_ASKED:
                return True
            case _:
                return self._holds(place, keyword, value)

    def _inner(self, asked: _Asked, keyword: str) -> Iterator[_Asked]:
        """What must all be valid for `keyword` to be satisfied."""
        place, value, _ = asked
        if keyword == "allOf":
            yield from (asked._replace(place=inner) for inner in self._document.below(place, keyword))
        elif keyword == "if":
            branch = "then" if self._is_valid((*place, "if"), value) else "else"
            yield from (asked._replace(place=inner) for inner in self._document.below(place, branch))
        elif isinstance(value, list):
            yield from self._items(asked, keyword, value)
        elif isinstance(value, dict):
            yield from self._members(asked, keyword, value)

    def _items(self, asked: _Asked, keyword: str, value: list[Plain]) -> Iterator[_Asked]:
        listed = self._document.keywords(asked.place).get("items")
        first = len(listed) if isinstance(listed, list | tuple) else None
        for index, item in enumerate(value):
            step = (*asked.path, index)
            if keyword == "items" and first is None:
                yield _Asked((*asked.place, keyword), item, step)
            elif keyword == "items" and first is not None and index < first:
                yield _Asked((*asked.place, keyword, str(index)), item, step)
            elif keyword == "additionalItems" and first is not None and index >= first:
                yield _Asked((*asked.place, keyword), item, step)

    def _members(self, asked: _Asked, keyword: str, value: dict[str, Plain]) -> Iterator[_Asked]:
        for inner in self._document.below(asked.place, keyword):
            name = inner[-1]
            match keyword:
                case "properties":
                    names = [name] if name in value else []
                case "patternProperties":
                    names = [other for other in value if self._matches(name, other)]
                case "additionalProperties":
                    names = [other for other in value if not self._is_described(asked.place, other)]
                case _:
                    names = []
            yield from (_Asked(inner, value[other], (*asked.path, other)) for other in names)
            if keyword == "dependencies" and name in value:
                yield asked._replace(place=inner)

    def _is_described(self, place: Place, name: str) -> bool:
        """Whether a member is none of those that ``additionalProperties`` is about."""
        keywords = self._document.keywords(place)
        properties, patterns = keywords.get("properties"), keywords.get("patternProperties")
        return (isinstance(properties, Mapping) and name in properties) or (
            isinstance(patterns, Mapping) and any(self._matches(pattern, name) for pattern in patterns)
        )

    def _is_valid(self, place: Place, value: Plain) -> bool:
        """What the schema at `place` says, with whatever it refers to."""
        if place not in self._of_places:
            pointer = "".join(f"/{quote(step.replace('~', '~0').replace('/', '~1'), safe='')}" for step in place)
            self._of_places[place] = validator({"$ref": f"{self._uri}#{pointer}"}, self._registry).is_valid
        return self._of_places[place](value)

    def _matches(self, pattern: str, name: str) -> bool:
        if pattern not in self._of_patterns:
            self._of_patterns[pattern] = validator({"pattern": pattern}).is_valid
        return self._of_patterns[pattern](name)

    def _holds(self, place: Place, keyword: str, value: Plain) -> bool:
        """What `keyword` says by itself, which refers to nothing."""
        key = (place, keyword)
        if key not in self._of_keywords:
            self._of_keywords[key] = validator({keyword: self._document.keywords(place)[keyword]}).is_valid
        return self._of_keywords[key](value)


def _missing(names: object, value: Plain, path: Path) -> Iterator[Mismatch]:
    if isinstance(value, dict) and isinstance(names, list | tuple):
        yield from (Mismatch((*path, name), {"required": [name]}, None) for name in names if name not in value)


def _missing_beside(dependencies: object, value: Plain, path: Path) -> Iterator[Mismatch]:
    if isinstance(value, dict) and isinstance(dependencies, Mapping):
        for name, names in dependencies.items():
            if name in value:
                yield from _missing(names, value, path)
