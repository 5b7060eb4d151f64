"""Claims that nobody can change: one verified token serves many requests."""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Never

from ..interning import LONGEST, OF_ONE_PERSON, Interned, interned, texts

_COMPOUND: Final = (dict, list)

_values: Final[Interned[bytes, object]] = Interned()
"""Objects and arrays, frozen, by their encoding: what Python holds for equal need not be (1, 1.0 and true)."""

_LONGEST_VALUE: Final = 1024
"""Bytes of the encoding of an object or an array that is kept."""

_PLAIN: Final = 2
"""The latest version of :mod:`marshal` that encodes by value alone, whatever objects that value is made of."""


class FrozenObject(dict[str, Any]):
    """A JSON object that refuses to be changed and is otherwise a dictionary, so that it can be written as JSON.

    What is copied or pickled from it is a plain dictionary.
    """

    __slots__ = ()

    def _refuse(self, *arguments: object, **members: object) -> Never:
        raise TypeError("the claims of a token cannot be changed; thaw() makes a copy that can")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return dict, (dict(self),)


def freeze(claims: Mapping[str, object]) -> FrozenObject:
    """A read-only copy of `claims`, at every depth; arrays become tuples. What repeats from token to token is the same
    object in all of them, so only what is verified may come here.

    :param claims: what a JSON object is parsed to, at most 64 levels deep.
    """
    texts.make_room()
    _values.make_room()
    first = texts.first
    frozen: dict[str, object] = {}
    # A token of Keycloak's takes 5 µs here, and 6 where nobody looks for what repeats: that need not be frozen again.
    for name, value in claims.items():
        if type(value) is str:
            if name not in OF_ONE_PERSON and len(value) <= LONGEST:
                value = first(value, value)
        elif isinstance(value, _COMPOUND):
            value = _frozen(value) if name in OF_ONE_PERSON else _repeated(value)
        frozen[first(name, name) if len(name) <= LONGEST else name] = value
    return FrozenObject(frozen)


def thaw(claims: Mapping[str, object]) -> dict[str, object]:
    """A copy of `claims` in dictionaries and lists, which is the caller's own."""
    return {name: thawed(value) for name, value in claims.items()}


def thawed(value: object) -> object:
    """As :func:`thaw`, of any JSON value, read-only or not."""
    if isinstance(value, dict | MappingProxyType):
        return thaw(value)
    if isinstance(value, list | tuple):
        return list(map(thawed, value))
    return value


def _frozen(value: object) -> object:
    if isinstance(value, dict):
        return FrozenObject({interned(name): _frozen(member) for name, member in value.items()})
    if isinstance(value, list):
        return tuple(map(_frozen, value))
    return value


def _repeated(value: dict[str, object] | list[object]) -> object:
    """As :func:`_frozen`; the object that stands for all that equal `value`."""
    try:
        key = marshal.dumps(value, _PLAIN)
    except ValueError:
        # It holds something that no JSON text is parsed to.
        return _frozen(value)
    known = _values.find(key)
    if known is not None:
        return known
    frozen = _members_repeated(value)
    return _values.first(key, frozen) if len(key) <= _LONGEST_VALUE else frozen


def _members_repeated(value: dict[str, object] | list[object]) -> object:
    if isinstance(value, dict):
        return FrozenObject({interned(name): _member_repeated(member) for name, member in value.items()})
    return tuple(map(_member_repeated, value))


def _member_repeated(value: object) -> object:
    if type(value) is str:
        return interned(value)
    return _repeated(value) if isinstance(value, _COMPOUND) else value
