"""Regular expressions that are matched in time linear in the text, whoever wrote either."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from jsonschema_rs import Draft202012Validator, RegexOptions

MAX_TEXT: Final = 64 * 1024
"""Characters of the longest text that is searched."""

MAX_EXPRESSIONS: Final = 200
"""Expressions of one policy."""

TOO_MANY: Final = (
    f"a policy has at most {MAX_EXPRESSIONS} regular expressions; join some with |, or make it several policies"
)

OPTIONS: Final = RegexOptions(size_limit=512 * 1024, dfa_size_limit=512 * 1024)
"""Bytes that one expression may come to, compiled, and those that it may use beside while it searches. An identifier or
a date takes 3 KB, ``^[^\\s]{1,200}$`` 430 KB, ``\\p{L}{1,60}`` 2.5 MB; it takes 3 ms to find that one is too large."""

_SHORT: Final = 256
"""Characters of the longest text that Python searches: in longer ones the engine is faster, 1.5 µs against 28 µs for
60 000, and refuses the too long and the lone surrogates itself."""

_ANCHORED_TEXT: Final = re.compile(r"(\^?)((?:[^\\^$.*+?()\[\]{}|]|\\[\\^$.*+?()\[\]{}|/-])*)(\$|\.\*)?")
"""What has no meaning of its own, and escapes of what would have. A last ``.*`` before no ``$`` asks for nothing."""

LOOK_AROUND: Final = re.compile(r"(?<!\\)(?:\\\\)*\(\?<?[=!]")
BACK_REFERENCE: Final = re.compile(r"(?<!\\)(?:\\\\)*(?:\\[1-9k]|\(\?P=)")


class TextTooLong(Exception):
    """A text to be searched has more than :data:`MAX_TEXT` characters, so whether it matches is not known."""


@dataclass(slots=True)
class Allowance:
    """What is left of the expressions that one policy may have, whichever of its conditions has them."""

    left: int = MAX_EXPRESSIONS

    def take(self) -> bool:
        """Take one; false: none is left."""
        self.left -= 1
        return self.left >= 0


def compile_expression(source: str) -> Callable[[str], bool]:
    """Whether `source` is found anywhere in a text, as a function of the text; ``^`` and ``$`` anchor it.

    The function raises :class:`TextTooLong`, and ``UnicodeEncodeError`` for a text with lone surrogates: it does not
    answer no, since under a negation that would be a yes.

    :param source: ECMA-262 without look-around and back-references, which no linear-time engine has; inline flags
        such as ``(?i)`` are understood, ``\\d`` and ``\\w`` are ASCII.
    :raises ValueError: `source` is not such an expression, or empty; the text is the reason and what to say instead.
    """
    if not source:
        raise ValueError('an empty regular expression matches every string; say "present?" or "not-blank?"')
    try:
        # The keyword holds of everything that is no string, which is why the function takes nothing else.
        is_valid = Draft202012Validator({"pattern": source}, pattern_options=OPTIONS).is_valid
    except ValueError:
        raise ValueError(_why_not(source)) from None

    def found_in(text: str) -> bool:
        if len(text) > MAX_TEXT:
            raise TextTooLong
        return is_valid(text)

    return _without_engine(source, found_in) or found_in


def _without_engine(source: str, found_in: Callable[[str], bool]) -> Callable[[str], bool] | None:
    """The same answers as those of `found_in` for an expression that is a text with its anchors, none for another."""
    written = _ANCHORED_TEXT.fullmatch(source)
    if written is None:
        return None
    start, escaped, end = written.groups()
    literal = re.sub(r"\\(.)", r"\1", escaped)
    if start:
        return _equal_to(literal, found_in) if end == "$" else _begins_with(literal, found_in)
    return _ends_with(literal, found_in) if end == "$" else _contains(literal, found_in)


# Python 3.11, nanoseconds here and by the engine: "^/fhir$" 44 and 78, "fhir" 46 and 88, "fhir$" 78 and 90, "^/fhir/"
# 80 and 80. The functions are four, each with the same guard, because one more call would take what is gained.


def _equal_to(literal: str, by_engine: Callable[[str], bool]) -> Callable[[str], bool]:
    def found_in(text: str) -> bool:
        return text == literal if text.isascii() and len(text) <= _SHORT else by_engine(text)

    return found_in


def _begins_with(literal: str, by_engine: Callable[[str], bool]) -> Callable[[str], bool]:
    def found_in(text: str) -> bool:
        return text.startswith(literal) if text.isascii() and len(text) <= _SHORT else by_engine(text)

    return found_in


def _ends_with(literal: str, by_engine: Callable[[str], bool]) -> Callable[[str], bool]:
    def found_in(text: str) -> bool:
        return text.endswith(literal) if text.isascii() and len(text) <= _SHORT else by_engine(text)

    return found_in


def _contains(literal: str, by_engine: Callable[[str], bool]) -> Callable[[str], bool]:
    def found_in(text: str) -> bool:
        return literal in text if text.isascii() and len(text) <= _SHORT else by_engine(text)

    return found_in


def _why_not(source: str) -> str:
    if LOOK_AROUND.search(source):
        return 'look-around cannot be matched in linear time; for "(?!x)" say {"$not": "#x"} in a pattern of its own'
    if BACK_REFERENCE.search(source):
        return 'back-references cannot be matched in linear time; say the alternatives with {"$one-of": […]}'
    return (
        "this is no regular expression, or too large a one, such as a class of many characters repeated many times; "
        'a text that begins with # is said {"$enum": ["#…"]}'
    )
