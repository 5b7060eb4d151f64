"""The query of a policy: from text to pieces of SQL with placeholders between them.

``{{path}}`` is a value of the request, sent beside the statement and never written into it; ``{{!path}}`` is the name
of a table. What a database might read otherwise than this module is refused, with the way to say it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

from ...errors import Rejected
from ..limits import MAX_SIZE, size_of
from ..request import PARTS
from .server import Kind

Path: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bound:
    """``{{path}}``: the value at `path` of the request, as a parameter of the statement."""

    path: Path

    def __str__(self) -> str:
        return f"{{{{{'.'.join(self.path)}}}}}"


@dataclass(frozen=True, slots=True)
class Named:
    """``{{!path}}``: the text at `path` of the request in lower case, as the quoted name of a table that exists."""

    path: Path

    def __str__(self) -> str:
        return f"{{{{!{'.'.join(self.path)}}}}}"


Piece: TypeAlias = str | Bound | Named


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement.

    :param pieces: what stands in it, in order; texts are SQL.
    """

    pieces: tuple[Piece, ...]

    @property
    def placeholders(self) -> tuple[Bound | Named, ...]:
        """In the order in which they are written; one path may stand in several."""
        return tuple(piece for piece in self.pieces if not isinstance(piece, str))

    def __str__(self) -> str:
        return "".join(map(str, self.pieces))


def parse(query: object, kind: Kind) -> Statement:
    """Read a query.

    :param query: as it stands in the policy.
    :param kind: of the database that will be asked.
    :raises Rejected: it is none, or might not be read by the database as it is here.
    """
    if not isinstance(query, str) or not query.strip():
        raise _rejected("say a query, such as SELECT active FROM staff WHERE id = {{user.id}}")
    size = size_of(query)
    if size is None or size > MAX_SIZE:
        raise _rejected(f"a query has at most {MAX_SIZE} bytes of whole characters")
    if _CONTROL.search(query):
        raise _rejected("has a control character; a line ends with LF or CR LF")
    pieces = _pieces(query, kind)
    if not pieces or not _FIRST_WORD.match(str(pieces[0]).lstrip()):
        raise _rejected("a query begins with SELECT or WITH, and only reads")
    return Statement(pieces)


_FIRST_WORD: Final = re.compile(r"(?:select|with)(?![\w$])", re.IGNORECASE)

_CONTROL: Final = re.compile(r"\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

_PLACEHOLDER: Final = re.compile(r"\{\{(!?)([^{}]*)\}\}")

_APART: Final = re.compile(rf"""(?<![\w$'"`}}])(?<![uU]&){_PLACEHOLDER.pattern}(?![\w$'"`{{])""")
"""One that runs together with nothing, as ``$1`` would with a digit, or a quoted name with another."""

_QUOTE: Final = re.compile(r"""'[^']*'|"[^"]*"|`[^`]*`""")
_DOLLAR_QUOTE: Final = re.compile(r"\$((?:[^\W\d]\w*)?)\$.*?\$\1\$", re.DOTALL)
_DASHES: Final = re.compile(r"--(?:[ \t\r][^\n]*)?(?=\n|\Z)")
_BLOCK: Final = re.compile(r"/\*(?!!|M!|\+)(?:(?!/\*).)*?\*/", re.DOTALL)
_LINE: Final = re.compile(r"#[^\n]*")

_PLAIN: Final = re.compile(r"[^\W\d][\w$]*|\d\w*|\s+|[^\w\s]")
"""A name, a number, blanks, or one sign."""

_PARAMETER: Final = "is a parameter in this database; say {{path}} for a value of the request"
_SESSION: Final = "is a variable of the session, which outlives the request; say {{path}} for a value of the request"

_REFUSED: Final[Mapping[Kind, Mapping[str, str]]] = MappingProxyType(
    {
        "sqlite": {**dict.fromkeys("?:@$", _PARAMETER), "[": "quotes a name in this database; say double quotes"},
        "postgresql": {"$": _PARAMETER, "`": "quotes nothing in this database; say double quotes"},
        "mariadb": {"?": _PARAMETER, **dict.fromkeys("@:", _SESSION)},
    }
)
"""What must not stand outside of quotes, and why."""


def _pieces(query: str, kind: Kind) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    text, position = "", 0
    while position < len(query):
        if query[position] == ";":
            if query[position + 1 :].strip():
                raise _rejected("is one statement; nothing follows a semicolon")
            break
        if found := _APART.match(query, position):
            pieces += [text, _placeholder(found)] if text else [_placeholder(found)]
            text, position = "", found.end()
        elif comment := _comment(query, position, kind):
            # Where a comment stands, a database reads a blank.
            text, position = f"{text} ", position + len(comment)
        else:
            token = _token(query, position, kind)
            text, position = text + token, position + len(token)
    return (*pieces, text) if text else tuple(pieces)


def _comment(query: str, position: int, kind: Kind) -> str | None:
    """The comment that begins at a position; none begins there."""
    if query.startswith("--", position):
        return _whole(_DASHES, query, position, "a comment begins with two dashes and a blank; say - - for two signs")
    if query.startswith("/*", position):
        return _whole(_BLOCK, query, position, "a comment between /* and */ has no other in it, and gives no hints")
    if kind == "mariadb" and query.startswith("#", position):
        return _whole(_LINE, query, position, "")
    return None


def _token(query: str, position: int, kind: Kind) -> str:
    sign = query[position]
    if sign == "$" and kind == "postgresql" and (dollars := _DOLLAR_QUOTE.match(query, position)):
        return _quoted(dollars.group())
    if reason := _REFUSED[kind].get(sign):
        raise _rejected(f"{sign} {reason}")
    if sign in "'\"`":
        return _quoted(_whole(_QUOTE, query, position, f"the quote {sign} is not closed"))
    if sign in "{}":
        raise _rejected(
            "a placeholder is written {{user.id}}, or {{!params.type}} for the name of a table, and stands apart from "
            "names, numbers, quotes and other placeholders"
        )
    return _whole(_PLAIN, query, position, "")


def _whole(expression: re.Pattern[str], query: str, position: int, otherwise: str) -> str:
    found = expression.match(query, position)
    if found is None:
        raise _rejected(otherwise)
    return found.group()


def _quoted(text: str) -> str:
    if placeholder := _PLACEHOLDER.search(text):
        written = placeholder.group()
        raise _rejected(f"{written} stands in quotes, where it is a text; write {written} without quotes")
    if text[-2:-1] == "\\":
        # Some databases take the quote for a part of the text then, others for its end.
        raise _rejected("a backslash stands before a quote; write the quote twice, or choose another ESCAPE")
    return text


def _placeholder(found: re.Match[str]) -> Bound | Named:
    written = found.group(2).strip()
    path = tuple(written.split("."))
    if not all(path) or not written.isprintable() or any(sign in written for sign in "'\"`"):
        raise _rejected(f"{found.group()} is no placeholder; a path is written {{{{user.id}}}}, with no empty part")
    if path[0] not in PARTS:
        raise _rejected(f"{found.group()}: a request has no {path[0]}, only {', '.join(sorted(PARTS))}")
    return Named(path) if found.group(1) else Bound(path)


def _rejected(reason: str) -> Rejected:
    return Rejected.at("query", reason)
