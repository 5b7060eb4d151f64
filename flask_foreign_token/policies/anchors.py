"""Where a regular expression is tied to the beginning or the end of a text.

It need not be read in full for that: what cannot be told counts as not tied.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_TOKEN: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?[a-zA-Z-]+\)|\(\?(?:P?<\w+>|[a-zA-Z-]*:)|.", re.DOTALL)
# An escape, a class, flags, the beginning of a group that is more than a bracket, or a character.
_FLAGS: Final = re.compile(r"\(\?[a-zA-Z-]+\)")
_FRONT: Final = ("^", r"\A")
_SOMEWHERE: Final = (*_FRONT, "$", r"\z", r"\Z", r"\b")
_OPTIONAL: Final = ("?", "*", "{")


def tied_in_front(source: str) -> bool:
    """Whether every alternative begins at the beginning of the text."""
    return _tied_in_front(_TOKEN.findall(source))


def tied_somewhere(source: str) -> bool:
    """Whether every alternative names the beginning or the end of the text, or of a word."""
    return all(any(token in _SOMEWHERE for token in tokens) for tokens in _alternatives(_TOKEN.findall(source)))


def _tied_in_front(tokens: Sequence[str]) -> bool:
    return all(map(_begins_in_front, _alternatives(tokens)))


def _begins_in_front(tokens: Sequence[str]) -> bool:
    rest = [token for token in tokens if not _FLAGS.fullmatch(token)]
    if not rest:
        return False
    if not _opens(rest[0]):
        return rest[0] in _FRONT
    end = _end_of_group(rest)
    is_optional = rest[end + 1 : end + 2] != [] and rest[end + 1] in _OPTIONAL
    return not is_optional and _tied_in_front(rest[1:end])


def _alternatives(tokens: Sequence[str]) -> list[Sequence[str]]:
    """What stands between the bars that are in no group."""
    found: list[Sequence[str]] = []
    depth = begin = 0
    for index, sign in enumerate(tokens):
        depth += _depth_of(sign)
        if sign == "|" and depth == 0:
            found.append(tokens[begin:index])
            begin = index + 1
    return [*found, tokens[begin:]]


def _end_of_group(tokens: Sequence[str]) -> int:
    """The index of the bracket that closes the group with which `tokens` begin."""
    depth = 0
    for index, sign in enumerate(tokens):
        depth += _depth_of(sign)
        if depth == 0:
            return index
    return len(tokens)


def _depth_of(sign: str) -> int:
    """How much deeper the brackets are behind it."""
    return 1 if _opens(sign) else -int(sign == ")")


def _opens(sign: str) -> bool:
    return sign.startswith("(") and not _FLAGS.fullmatch(sign)
