"""Claims that nobody can change: one verified token serves many requests."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Never


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
    """A read-only copy of `claims`, at every depth; arrays become tuples.

    :param claims: what a JSON object is parsed to, at most 64 levels deep.
    """
    return FrozenObject({name: _frozen(value) for name, value in claims.items()})


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
        return freeze(value)
    if isinstance(value, list):
        return tuple(map(_frozen, value))
    return value
