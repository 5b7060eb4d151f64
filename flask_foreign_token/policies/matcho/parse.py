"""Matcho, the pattern language of policies: from JSON to the tree of :mod:`.matcho.tree`.

A pattern is refused here unless it says one clear thing; what is refused comes with the way to say it.

* A text is read by its first character: ``#`` begins a regular expression, ``.`` a path. A text of letters, digits,
  ``_`` and ``-`` that ends in ``?`` is a word, and an unknown word is refused; ``"/search?"`` or ``"who is it?"`` are
  plain texts. Any text at all can be said with ``{"$enum": ["…"]}``, where nothing is interpreted.
* A key that begins with ``$`` is an operator, at every level.
* At most :data:`~.limits.MAX_SIZE` bytes of JSON, nested at most :data:`~.limits.MAX_DEPTH` deep, with at most
  :data:`~.patterns.MAX_EXPRESSIONS` regular expressions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from ...errors import Issue, Rejected
from ..limits import MAX_DEPTH, MAX_SIZE, size_of
from ..patterns import TOO_MANY, Allowance, compile_expression
from .tree import (
    Contains,
    Enum,
    Every,
    Expression,
    Fields,
    ItemOf,
    Items,
    Length,
    Literal,
    Node,
    Not,
    OneOf,
    Path,
    Place,
    PresentAll,
    Reference,
    Scalar,
    Word,
)

_WORD: Final = re.compile(r"[\w-]+\?")


def parse(pattern: object, expressions: Allowance | None = None) -> Node:
    """Read a pattern.

    :param pattern: what ``json.loads`` gives.
    :param expressions: how many it may have, and who else takes of them; none: it alone does.
    :raises Rejected: it is none; names each part that is wrong, with its path from the top of the pattern.
    """
    size = size_of(pattern)
    # Before its expressions are compiled, which takes far longer.
    if size is not None and size > MAX_SIZE:
        raise _rejected((), f"a pattern has at most {MAX_SIZE} bytes; make it several policies")
    allowance = expressions or Allowance()
    for place in _expressions(pattern, ()):
        if not allowance.take():
            raise _rejected(place, TOO_MANY)
    tree = _parse(pattern, ())
    if size is None:
        raise _rejected((), "a pattern is JSON, of finite numbers and whole characters")
    return tree


def _expressions(pattern: object, place: Place) -> Iterator[Place]:
    """Where regular expressions stand, as far as the pattern is nested as deep as one may be."""
    match pattern:
        case str() if pattern.startswith("#"):
            yield place
        case dict() if len(place) < MAX_DEPTH:
            for key, item in pattern.items():
                # Its texts are plain.
                if key != "$enum":
                    yield from _expressions(item, (*place, str(key)))
        case list() | tuple() if len(place) < MAX_DEPTH:
            for index, item in enumerate(pattern):
                yield from _expressions(item, (*place, str(index)))


def _parse(pattern: object, place: Place) -> Node:
    if len(place) > MAX_DEPTH:
        raise _rejected(place, f"a pattern is nested at most {MAX_DEPTH} deep")
    match pattern:
        case None:
            raise _rejected(place, 'null matches nothing; say "nil?", and in YAML quote a text that begins with #')
        case str():
            return _text(pattern, place)
        case bool() | int() | float():
            return Literal(pattern)
        case dict():
            return _object(pattern, place)
        case list() | tuple():
            return Items(_patterns(pattern, place))
        case _:
            raise _rejected(place, "a pattern is a JSON value")


def _patterns(patterns: Sequence[object], place: Place) -> tuple[Node, ...]:
    return _each(((str(index), item) for index, item in enumerate(patterns)), place)


def _each(members: Iterable[tuple[str, object]], place: Place) -> tuple[Node, ...]:
    """:raises Rejected: names what is wrong in any of them."""
    nodes: list[Node] = []
    issues: list[Issue] = []
    for name, pattern in members:
        try:
            nodes.append(_parse(pattern, (*place, name)))
        except Rejected as rejected:
            issues += rejected.issues
    if issues:
        raise Rejected(issues)
    return tuple(nodes)


def _text(text: str, place: Place) -> Node:
    if text.startswith("#"):
        return _expression(text[1:], place)
    if text.startswith("."):
        return _path(text, place)
    if _WORD.fullmatch(text):
        return _word(text, place)
    return Literal(text)


def _expression(source: str, place: Place) -> Expression:
    try:
        return Expression(source, compile_expression(source))
    except ValueError as error:
        raise _rejected(place, str(error)) from None


def _path(text: str, place: Place) -> Path:
    segments = tuple(text[1:].split("."))
    if not all(segments):
        raise _rejected(
            place,
            'a path is written ".user.id", with no empty part; a text that begins with . is said {"$enum": [".…"]}',
        )
    return Path(segments)


def _word(text: str, place: Place) -> Word:
    match text:
        case "present?" | "nil?" | "not-blank?":
            return Word(text)
        case _:
            raise _rejected(
                place,
                'there is no such word, only "present?", "nil?" and "not-blank?"; '
                'a text that ends in ? is said {"$enum": ["…?"]}',
            )


def _object(pattern: Mapping[object, object], place: Place) -> Node:
    keys = [key for key in pattern if isinstance(key, str)]
    if len(keys) != len(pattern):
        raise _rejected(place, "the keys of an object are strings")
    operators = [key for key in keys if key.startswith("$")]
    if not operators:
        return Fields(tuple(keys), _each(((key, pattern[key]) for key in keys), place))
    for name in operators:
        if name not in OPERATORS:
            raise _rejected((*place, name), f"there is no such operator, only {', '.join(OPERATORS)}")
    if set(keys) == {"$present-all", "$length"}:
        length = _length(pattern["$length"], (*place, "$length"))
        return PresentAll(_all_of(pattern["$present-all"], (*place, "$present-all")), length.length)
    if len(keys) > 1:
        raise _rejected(
            place,
            f"{operators[0]} is the only key of its object ($present-all with $length apart); "
            "repeat the other keys in each alternative of a $one-of",
        )
    return OPERATORS[operators[0]](pattern[operators[0]], (*place, operators[0]))


def _enum(argument: object, place: Place) -> Enum:
    values = _filled_list(argument, place)
    return Enum(tuple(_scalar(value, (*place, str(index))) for index, value in enumerate(values)))


def _scalar(value: object, place: Place) -> Scalar:
    match value:
        case None:
            raise _rejected(place, 'null is no scalar to compare with; say {"$one-of": ["nil?", {"$enum": […]}]}')
        case str() | bool() | int() | float():
            return value
        case _:
            raise _rejected(place, "$enum lists strings, numbers and booleans; say $one-of for other patterns")


def _one_of(argument: object, place: Place) -> Node:
    if not isinstance(argument, str):
        return OneOf(_patterns(_filled_list(argument, place), place))
    if not argument.startswith("."):
        raise _rejected(place, 'say a list of patterns, or a path ".a.b" to an array of the request')
    return ItemOf(_path(argument, place))


def _all_of(argument: object, place: Place) -> tuple[Node, ...]:
    return _patterns(_filled_list(argument, place), place)


def _length(argument: object, place: Place) -> Length:
    if isinstance(argument, bool) or not isinstance(argument, int) or argument < 0:
        raise _rejected(place, "a length is a whole number from 0")
    return Length(argument)


def _filled_list(argument: object, place: Place) -> Sequence[object]:
    if not isinstance(argument, list | tuple) or not argument:
        raise _rejected(place, "say a list with at least one item")
    return argument


OPERATORS: Final[Mapping[str, Callable[[object, Place], Node]]] = {
    "$enum": _enum,
    "$one-of": _one_of,
    "$contains": lambda argument, place: Contains(_parse(argument, place)),
    "$every": lambda argument, place: Every(_parse(argument, place)),
    "$not": lambda argument, place: Not(_parse(argument, place)),
    "$present-all": lambda argument, place: PresentAll(_all_of(argument, place), None),
    "$length": _length,
    "$reference": lambda argument, place: Reference(_parse(argument, place)),
}
"""How the argument of each operator is read."""


def _rejected(place: Place, reason: str) -> Rejected:
    return Rejected.at(".".join(place), reason)
