"""What is probably not meant in a Matcho pattern, though it says something."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Final, TypeAlias

from ...errors import Issue
from ...printable import shown
from ..anchors import tied_in_front, tied_somewhere
from ..request import HIDDEN_HEADERS, METHODS, OBJECTS, PARTS, TEXTS
from .parse import OPERATORS
from .tree import (
    Contains,
    Enum,
    Every,
    Expression,
    Fields,
    Items,
    Length,
    Literal,
    Node,
    Not,
    OneOf,
    Path,
    Place,
    PresentAll,
    Scalar,
    placed,
)

At: TypeAlias = tuple[str, ...]
"""The part of the request that a node is matched with, ``("headers", "accept")``; below an array it is no longer that
of any part."""

_CLOSED: Final = frozenset({"request-method", "scheme"})
"""The parts of which all values are known, so that an expression without anchors finds nothing else."""

_OPERATORS: Final = frozenset(name.removeprefix("$") for name in OPERATORS)
"""The operators without their ``$``."""

_LIKE_OPERATORS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("or", "any", "any-of", "any_of", "anyOf", "one_of", "oneOf"), "$one-of"),
    **dict.fromkeys(("in", "in-list"), "$enum"),
    **dict.fromkeys(("present_all", "presentAll"), "$present-all"),
}
"""What others call an operator; as an ordinary key none of these has a list."""

_LIKE_AND: Final = frozenset({"and", "all", "all-of", "all_of", "allOf"})

_ELSEWHERE: Final[Mapping[str, str]] = {
    "session": 'is a part of Aidbox\'s requests only; say "user", "jwt" or "token"',
    "role": 'is a part of Aidbox\'s requests only; say roleName beside the engine, or "roles" in "user"',
    **dict.fromkeys(("method", "http-method"), 'is no part of a request; say "request-method"'),
    **dict.fromkeys(("path", "url"), 'is no part of a request; say "uri"'),
    **dict.fromkeys(("query", "query-params", "route-params", "form-params"), 'is no part of a request; say "params"'),
    **dict.fromkeys(("claims", "access-token"), 'is no part of a request; say "jwt", or "token" of opaque tokens'),
}
"""What others call a part of the request."""

_LIKE_EXPRESSION: Final = re.compile(
    r"\^|.+\$\Z|.*(?:\.[*+]|\\[dws](?![A-Za-z0-9])|\\[./$]|\[\^|\[(?:a-z|A-Z|0-9)|\(\?)", re.DOTALL
)


def warnings(pattern: Node) -> Iterator[Issue]:
    """What is probably not meant in a pattern for the whole request, with the path from the top of the policy."""
    for place, reason in _visit(pattern, ("matcho",), ()):
        yield Issue("", ".".join(place), reason)


def _visit(node: Node, place: Place, at: At) -> Iterator[tuple[Place, str]]:
    yield from _of_value(node, place, at)
    for below, pattern in placed(node, place):
        match node:
            case Fields():
                key = below[-1]
                if reason := _of_operator(key, pattern) or _of_member((*at, key)):
                    yield below, reason
                yield from _visit(pattern, below, (*at, key))
            case OneOf() | Not():
                yield from _visit(pattern, below, at)
            case _:
                yield from _visit(pattern, below, (*at, ""))


def _of_operator(key: str, pattern: Node) -> str | None:
    """Whether `key` was probably meant as an operator."""
    if key in _OPERATORS and _could_be_argument(key, pattern):
        return f'is an ordinary key; the operator is "${key}"'
    if isinstance(pattern, Items) and key in _LIKE_OPERATORS:
        return f'is an ordinary key; for a choice say "{_LIKE_OPERATORS[key]}"'
    if isinstance(pattern, Items) and key in _LIKE_AND:
        return "is an ordinary key; what must all hold stands in one object, or in engine: complex under and"
    return None


def _could_be_argument(key: str, pattern: Node) -> bool:
    """Whether an operator would take `pattern`; one that is for an array itself belongs to a key of the data."""
    match key:
        case "length":
            return isinstance(pattern, Literal) and type(pattern.value) is int
        case "enum" | "present-all":
            return isinstance(pattern, Items)
        case "one-of":
            return isinstance(pattern, Items | Path)
        case "reference":
            # FHIR has this key, with a text.
            return isinstance(pattern, Fields)
        case "contains" | "every":
            return not isinstance(pattern, Contains | Every | PresentAll | Length)
        case _:
            return True


def _of_member(at: At) -> str | None:
    """Whether a request never has something there."""
    if len(at) == 1 and at[0] not in PARTS:
        return _ELSEWHERE.get(at[0]) or f"is no part of a request, so it never exists{_nearest(at[0])}"
    if len(at) == 2 and at[0] == "headers":
        return _of_header(at[1])
    return None


def _of_header(name: str) -> str | None:
    if name.lower() in HIDDEN_HEADERS:
        return "is a credential, which policies do not see; look at user, jwt or token"
    if name != name.lower():
        return f"never exists, since names of headers are lower case here; say {_quoted(name.lower())}"
    return None


def _nearest(name: str) -> str:
    found = get_close_matches(name, sorted(PARTS), n=1)
    return f'; did you mean "{found[0]}"?' if found else ""


def _of_value(node: Node, place: Place, at: At) -> Iterator[tuple[Place, str]]:
    """What is odd about `node` itself, given what it is matched with."""
    match node:
        case Literal():
            yield from _placed(place, _of_text(node.value, at) or _of_scalar(node.value, at))
        case Enum():
            for index, value in enumerate(node.values):
                yield from _placed((*place, "$enum", str(index)), _of_scalar(value, at))
        case Expression():
            yield from _placed(place, _of_expression(node, at))
        case Path():
            yield from _placed(place, _of_path(node))
        case Fields() | Items() | Contains() | Every() | PresentAll() | Length() if _is_text(at):
            # The better reason is given for the key.
            if not (isinstance(node, Fields) and any(map(_of_operator, node.keys, node.patterns))):
                yield place, f'{at[0]} is a text, so this never matches; for one of several say {{"$enum": […]}}'
        case _:
            return


def _placed(place: Place, reason: str | None) -> Iterator[tuple[Place, str]]:
    return iter([(place, reason)] if reason else [])


def _of_path(node: Path) -> str | None:
    for at in (node.segments[:1], node.segments[:2]):
        if reason := _of_member(at):
            return f"finds nothing, since {_quoted('.'.join(at))} {reason}"
    return None


def _of_scalar(value: Scalar, at: At) -> str | None:
    """Whether the part of the request is never equal to `value`."""
    if at in OBJECTS:
        return f'{".".join(at)} is an object, so it never equals this; look at its members, or say "present?"'
    if not _is_text(at):
        return None
    if not isinstance(value, str):
        return f"{at[0]} is a text, so it never equals this"
    if at[0] == "request-method":
        return _of_method(value)
    if at[0] == "uri" and not value.startswith("/"):
        return f'a uri is a path and begins with "/", so it never equals {_quoted(value)}'
    return None


def _of_method(text: str) -> str | None:
    lower = text.strip().lower()
    if lower == "head":
        return 'HEAD reads as get, so no request has this method; say "get"'
    if text != lower and lower in METHODS:
        return f'methods are lower case, so no request has {_quoted(text)}; say "{lower}"'
    if text not in METHODS:
        return f'{_quoted(text)} is no method of HTTP; say "get", for instance, or several with {{"$enum": […]}}'
    return None


def _of_text(value: Scalar, at: At) -> str | None:
    """Whether a text was probably meant as an expression. In ``$enum`` that question has been answered."""
    if not isinstance(value, str):
        return None
    if _LIKE_EXPRESSION.match(value):
        said = f'say {_quoted("#" + value)}, or {{"$enum": [{_quoted(value)}]}} for this very text'
        return f"reads like a regular expression, but is compared as it stands; {said}"
    if at == ("uri",) and "*" in value:
        return 'an asterisk is compared as it stands; say a regular expression such as "#^/fhir/.*"'
    return None


def _of_expression(node: Expression, at: At) -> str | None:
    if at == ("request-method",) and not any(map(node.found_in, METHODS)):
        return "is found in no method of HTTP; methods are lower case, and HEAD reads as get"
    if len(at) == 1 and at[0] in _CLOSED:
        return None
    if at == ("uri",):
        loose = "uri; begin each alternative with ^" if not tied_in_front(node.source) else None
    else:
        loose = "text; begin each alternative with ^ or end it with $" if not tied_somewhere(node.source) else None
    return loose and f'is found anywhere in the {loose}, or begin it with "^.*" if that is meant'


def _is_text(at: At) -> bool:
    return len(at) == 1 and at[0] in TEXTS


def _quoted(text: str) -> str:
    return f'"{shown(text)}"'
