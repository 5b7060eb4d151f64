"""Primary keys of the app's model, and the texts that stand for them."""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa

from ..errors import Rejected
from ..tables import is_storable

_LARGEST = 2**63 - 1
"""What any database takes for an integer."""

_LONGEST = 255
"""Characters of a key that the change feed has room for."""

_CANNOT_BE_TYPED = re.compile(r"[\x00-\x1f\x7f-\x9f/]")


def key_of(column: sa.Column[Any], text: str) -> Any | None:
    """The key that `text` stands for; none if no key does: ``"01"`` is no integer's text.

    What a text may be beyond that is for the database to say.
    """
    kind = _kind(column)
    if kind is None:
        return text if is_storable(text) else None
    try:
        key = kind(text)
    except (TypeError, ValueError, ArithmeticError):
        return None
    if str(key) != text or (isinstance(key, int) and abs(key) > _LARGEST):
        return None
    return key


def new_key(column: sa.Column[Any], text: str) -> Any:
    """The key that `text` stands for, fit for a user who is not there yet.

    :raises Rejected: at `id`.
    """
    key = key_of(column, text)
    if key is None:
        kind = _kind(column)
        raise Rejected.at("id", "cannot be one" if kind is None else f"must be the text of one {kind.__name__}")
    longest = min(getattr(column.type, "length", None) or _LONGEST, _LONGEST)
    if not text.strip() or _CANNOT_BE_TYPED.search(text):
        raise Rejected.at("id", "must not be blank, nor hold a slash or control characters")
    if text in (".", ".."):
        raise Rejected.at("id", "must be neither . nor .., which no address can end with")
    if len(text) > longest:
        raise Rejected.at("id", f"must not be longer than {longest} characters")
    return key


def text_of(model: type[Any], user: object) -> str:
    """The text of a primary key.

    :param model: the app's.
    :param user: one of its rows, or the primary key itself.
    :raises Rejected: it is ``None``, a row of another model, or one that has not been stored.
    """
    if user is None:
        raise Rejected.at("", f"there is no user: None; what works is a stored {model.__name__} or its primary key")
    row = sa.inspect(user, raiseerr=False)
    if row is None:
        return str(user)
    if not isinstance(user, model):
        raise Rejected.at("", f"a {type(user).__name__} is no {model.__name__}, and no primary key of one")
    if not row.identity:
        raise Rejected.at("", f"the {model.__name__} has not been stored yet; commit it first")
    return str(row.identity[0])


def is_counted(column: sa.Column[Any]) -> bool:
    """Whether the database counts the keys up; one that somebody else gives would be in the way of that."""
    if _kind(column) is not int:
        return False
    gives = column.server_default is not None or isinstance(column.default, sa.Sequence)
    return gives or column.table.autoincrement_column is column


def _kind(column: sa.Column[Any]) -> type[Any] | None:
    """The Python type of the keys; none: texts, or what only the column's own type knows to read."""
    try:
        kind = column.type.python_type
    except NotImplementedError:
        return None
    return None if kind in (str, object) else kind
