"""What a request holds, as plain JSON without what is empty."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, TypeAlias

from ..equality import ARRAY, OBJECT
from ..limits import MAX_DEPTH

Plain: TypeAlias = "str | int | float | bool | list[Plain] | dict[str, Plain] | None"

_AS_THEY_ARE: Final = frozenset({bool, int, type(None)})


class TooDeep(Exception):
    """A value nests more than :data:`~.limits.MAX_DEPTH` objects and arrays, so nothing is known about it."""


def pruned(value: object, depth: int = MAX_DEPTH) -> Plain:
    """A copy of `value` as plain JSON, in which nothing is empty.

    ``null``, ``""``, ``[]`` and ``{}`` are left out of objects and arrays, and so is what becomes empty by that; ``0``
    and ``false`` stay.

    :param value: what ``json.loads`` gives; objects may also be mapping proxies, arrays tuples.
    :param depth: of objects and arrays that may nest.
    :return: none when nothing is left.
    :raises TooDeep: it nests deeper.
    :raises ValueError: it holds a number that is not finite, or a text or name with a lone surrogate.
    :raises TypeError: it is no JSON value.
    """
    kind = type(value)
    if kind is str:
        return _text(value) or None  # type: ignore[arg-type]
    if kind in _AS_THEY_ARE:
        return value  # type: ignore[return-value]
    if isinstance(value, OBJECT):
        return _object(value, depth) or None
    if isinstance(value, ARRAY):
        if not depth:
            raise TooDeep
        items = (pruned(item, depth - 1) for item in value)
        return [item for item in items if item is not None] or None
    if not isinstance(value, float):
        raise TypeError("not a JSON value")
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    return value


def _object(value: Mapping[object, object], depth: int) -> dict[str, Plain]:
    if not depth:
        raise TooDeep
    members: dict[str, Plain] = {}
    for name, item in value.items():
        if type(name) is not str:
            raise TypeError("the name of a member is a text")
        kept = pruned(item, depth - 1)
        if kept is not None:
            members[_text(name)] = kept
    return members


def _text(text: str) -> str:
    # A text that cannot be encoded is unequal to every other, which under a negation would be a yes.
    if not text.isascii():
        text.encode()
    return text
