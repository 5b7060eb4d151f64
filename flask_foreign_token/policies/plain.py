"""Mismatches as all rely on who show them, whatever an engine of another package calls one."""

from __future__ import annotations

from typing import Final

from .condition import Mismatch
from .equality import ARRAY, OBJECT
from .redaction import MAX_DEPTH

MAX_SHOWN: Final = 8 * 1024
"""Characters of what is shown of one mismatch, of what is expected and of what is found each; a policy has many of
them, and each could hold the whole request."""

UNTOLD: Final = Mismatch((), "that the policy allows it", None)
"""Of what cannot say what it wants: a function, or an engine that goes by more than the request."""

_MORE: Final = "…"
_OF_A_SIGN: Final = 4
# Characters that a value counts beside those of its text.
_LARGEST: Final = 2**1024
# A number beyond it is no number to most who read JSON, and Python does not write the longest.


def plain(found: object) -> Mismatch:
    """`found` with a path of texts and numbers, and values of JSON; what is larger than :data:`MAX_SHOWN` is left out,
    ``"…"`` in its place, but for whether it is an object, an array or a text."""
    if not isinstance(found, Mismatch):
        return UNTOLD
    path = tuple(map(_step, found.path)) if isinstance(found.path, ARRAY) else ()
    return Mismatch(path, _brief(found.expected), _brief(found.but))


def _step(step: object) -> str | int:
    return step if type(step) is int or type(step) is str else str(step)


def _brief(value: object) -> object:
    try:
        return _Copy().of(value, MAX_DEPTH)
    except _TooLarge:
        if isinstance(value, OBJECT):
            return {_MORE: _MORE}
        return [_MORE] if isinstance(value, ARRAY) else _MORE


class _TooLarge(Exception):
    """What is shown would be too much."""


class _Copy:
    """A copy of a value that JSON can hold."""

    def __init__(self) -> None:
        self._left = MAX_SHOWN

    def of(self, value: object, depth: int) -> object:
        if isinstance(value, str):
            self._take(len(value))
            return str(value)
        self._take(0)
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int) and -_LARGEST < value < _LARGEST:
            return value
        if depth == 0:
            return _MORE
        if isinstance(value, OBJECT):
            return {self._name(name): self.of(item, depth - 1) for name, item in value.items()}
        if isinstance(value, ARRAY):
            return [self.of(item, depth - 1) for item in value]
        return f"({type(value).__name__})"

    def _name(self, name: object) -> str:
        text = str(name)
        self._take(len(text))
        return text

    def _take(self, characters: int) -> None:
        self._left -= characters + _OF_A_SIGN
        if self._left < 0:
            raise _TooLarge
