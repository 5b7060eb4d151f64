"""Attributes of the app's model that ``toScim`` may set."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm as sa_orm

from ..errors import ConfigError
from ..tables import is_storable
from .user_resource import RESERVED

KINDS: Mapping[type, str] = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}
"""What an attribute may hold that holds no JSON, and what people call that."""

_INTEGERS: tuple[tuple[type[sa.types.TypeEngine[Any]], int], ...] = (
    (sa.SmallInteger, 15),
    (sa.BigInteger, 63),
    (sa.Integer, 31),
)
# The first that fits; the others are kinds of Integer. Bits, without that of the sign.


class Unfit(Exception):
    """An attribute does not take what it is to be set to.

    :param name: of the attribute.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} does not take what is said of it")
        self.name = name


@dataclass(frozen=True, slots=True)
class OwnAttribute:
    """An attribute of the app's model that ``toScim`` may set.

    :param kind: of its values; none: any JSON.
    :param longest: characters of a text; none: any number of them.
    :param bits: of a whole number, without its sign.
    :param nullable: whether it can be none.
    :param make_default: makes what the model gives it; none: nothing, or what only the database knows to make.
    """

    name: str
    kind: type | None
    longest: int | None
    bits: int
    nullable: bool
    make_default: Callable[[], object] | None = field(default=None, compare=False)

    @property
    def empty(self) -> object:
        """What it is when nothing is said of it; none also where it cannot be null and the model gives nothing."""
        return None if self.nullable or self.make_default is None else self.make_default()

    @property
    def is_json(self) -> bool:
        """Whether it takes objects and lists."""
        return self.kind is None

    def takes(self, value: object) -> bool:
        """Whether `value`, a part of JSON, fits."""
        if value is None:
            return self.nullable
        if self.kind is None:
            return True
        if self.kind is float:
            return type(value) is float or (type(value) is int and abs(value) <= sys.float_info.max)
        if type(value) is not self.kind:
            return False
        if isinstance(value, str):
            return is_storable(value) and (self.longest is None or len(value) <= self.longest)
        return not isinstance(value, int) or -(2**self.bits) <= value < 2**self.bits


def own_attributes(user: type[Any], names: Iterable[str]) -> dict[str, OwnAttribute]:
    """Those of `user` that an app lists, by name.

    :raises ConfigError: one is no column that can hold texts, numbers, truth values or JSON, is the key, or has a name
        that a User resource uses for something else.
    """
    if isinstance(names, str):
        raise ConfigError(f"user_attributes: is a text; a list of names works, such as [{names!r}]")
    return {name: _own_attribute(user, name) for name in names}


def _own_attribute(user: type[Any], name: str) -> OwnAttribute:
    stored = sa.inspect(user).attrs.get(name)
    column = stored.columns[0] if isinstance(stored, sa_orm.ColumnProperty) else None
    if not isinstance(column, sa.Column):
        raise ConfigError(f"user_attributes: {user.__name__} has no column {name!r}")
    if name in RESERVED or column.primary_key:
        raise ConfigError(f"user_attributes: {name!r} is not for a provider to say")
    kind = _kind(column.type)
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"user_attributes: {user.__name__}.{name} holds no texts, numbers, truth values or JSON")
    return OwnAttribute(
        name=name,
        kind=kind,
        longest=getattr(column.type, "length", None),
        bits=next((bits for type_, bits in _INTEGERS if isinstance(column.type, type_)), 63),
        nullable=bool(column.nullable),
        make_default=_default_of(column, kind),
    )


def _default_of(column: sa.Column[Any], kind: type | None) -> Callable[[], object] | None:
    default, server_default = column.default, column.server_default
    if isinstance(default, sa.ColumnDefault) and default.is_callable:
        # SQLAlchemy has wrapped it so that it takes a context, which hardly any looks at.
        return partial(default.arg, None)
    if isinstance(default, sa.ColumnDefault) and default.is_scalar:
        return lambda: default.arg
    if kind is str and isinstance(server_default, sa.DefaultClause) and isinstance(server_default.arg, str):
        text = server_default.arg
        return lambda: text
    return None


def _kind(type_: sa.types.TypeEngine[Any]) -> type | None:
    """The Python type of the values; none: any JSON; ``object``: something else."""
    if isinstance(type_, sa.JSON):
        return None
    if isinstance(type_, sa.Enum) or type(type_).__module__.partition(".")[0] != "sqlalchemy":
        return object
    try:
        return type_.python_type
    except NotImplementedError:
        return object
