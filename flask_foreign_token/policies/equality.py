"""Equality of JSON values: deep and by type.

``1`` is neither ``true`` nor ``"1"``, ``[1]`` not ``[true]``. ``1`` and ``1.0`` are the same number, since JSON has one
kind of numbers. Values are what ``json.loads`` gives; objects may also be mapping proxies, arrays tuples.
"""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Final

OBJECT: Final = (dict, MappingProxyType)
ARRAY: Final = (list, tuple)

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def equal(left: object, right: object) -> bool:
    """Whether two values are equal; takes no longer than the smaller of them allows."""
    if isinstance(left, str):
        return left == right
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, OBJECT):
        return (
            isinstance(right, OBJECT)
            and len(left) == len(right)
            and all(key in right and equal(item, right[key]) for key, item in left.items())
        )
    if isinstance(left, ARRAY):
        return isinstance(right, ARRAY) and len(left) == len(right) and all(map(equal, left, right))
    return left == right


def canonical(value: object) -> str:
    """A text that equal values share and others do not.

    A text and not a hash of the parts: Python salts the hashes of texts only, so that nobody can choose numbers that
    make a set slow.

    :raises TypeError: `value` is no JSON value.
    """
    return _encode(_plain(value))


def _plain(value: object) -> object:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, OBJECT):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, ARRAY):
        return [_plain(item) for item in value]
    return value
