"""Regular expressions that are matched in time linear in the text, whoever wrote either."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from jsonschema_rs import Draft202012Validator, RegexOptions

MAX_TEXT: Final = 64 * 1024
"""Characters of the longest text that is searched."""

_LOOK_AROUND: Final = re.compile(r"(?<!\\)(?:\\\\)*\(\?<?[=!]")
_BACK_REFERENCE: Final = re.compile(r"(?<!\\)(?:\\\\)*(?:\\[1-9k]|\(\?P=)")


class TextTooLong(Exception):
    """A text to be searched has more than :data:`MAX_TEXT` characters, so whether it matches is not known."""


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
        is_valid = Draft202012Validator({"pattern": source}, pattern_options=RegexOptions()).is_valid
    except ValueError:
        raise ValueError(_why_not(source)) from None

    def found_in(text: str) -> bool:
        if len(text) > MAX_TEXT:
            raise TextTooLong
        return is_valid(text)

    return found_in


def _why_not(source: str) -> str:
    if _LOOK_AROUND.search(source):
        return 'look-around cannot be matched in linear time; for "(?!x)" say {"$not": "#x"} in a pattern of its own'
    if _BACK_REFERENCE.search(source):
        return 'back-references cannot be matched in linear time; say the alternatives with {"$one-of": […]}'
    return 'this is no regular expression, or too large a one; a text that begins with # is said {"$enum": ["#…"]}'
