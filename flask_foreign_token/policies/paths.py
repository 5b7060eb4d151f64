"""What stands at a path of the request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from .equality import ARRAY, OBJECT

MISSING: Final = object()
"""Stands for a value that is not there."""


def look_up(path: Sequence[str]) -> Callable[[object], object]:
    """What stands at a path as policies write it, as a function of the request: :data:`MISSING` where nothing does.

    :param path: in an array, decimal digits are an index counted from 0.
    """
    steps = tuple((segment, _index(segment)) for segment in path)

    def standing_there(request: object) -> object:
        value = request
        for key, index in steps:
            if isinstance(value, OBJECT):
                try:
                    value = value[key]
                except KeyError:
                    return MISSING
            elif index is not None and isinstance(value, ARRAY) and index < len(value):
                value = value[index]
            else:
                return MISSING
        return value

    return standing_there


def standing_at(value: object, path: Sequence[str | int]) -> object:
    """What stands at `path` of `value`, the items of an array by their index as a number; none where nothing does."""
    try:
        for step in path:
            if isinstance(step, str):
                value = value[step] if isinstance(value, OBJECT) else None
            else:
                value = value[step] if isinstance(value, ARRAY) else None
    except (KeyError, IndexError):
        return None
    return value


def _index(segment: str) -> int | None:
    # A longer number is no index of an array that fits into memory, and int() refuses enormous ones.
    return int(segment) if segment.isascii() and segment.isdigit() and len(segment) < 10 else None
