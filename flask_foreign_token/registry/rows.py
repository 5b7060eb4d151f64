"""Rows of resources as the database gives them: whatever somebody wrote there by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, LargeBinary, Table, and_, cast, func

from .. import strict_json
from ..errors import Issue, Rejected
from .resources import Key, Resource, digest, identify

LATEST: Final = 253_402_300_799
"""The last second that can be written as a date, that of the year 9999; seconds since the epoch."""

HIGHEST: Final = 2**62
"""The highest version that counts: there is room above it for as many changes as anybody makes."""


class Row(NamedTuple):
    """A row of the resource table.

    :param fault: why it cannot be one, whatever the body says; empty: nothing is wrong.
    :param octets: what stands for type and id in SQLite, where that need not be text.
    """

    type: str
    id: str
    version: int
    body: str
    last_updated: float
    fault: str = ""
    octets: tuple[object, object] | None = None

    @property
    def key(self) -> Key:
        return self.type, self.id


def columns_of(table: Table, dialect: str) -> Sequence[ColumnElement[Any]]:
    """What to select of the resource table for :func:`row_of`.

    :param dialect: the database's name. SQLite puts anything into any column, and gives no row at all where a text is
        not UTF-8; so octets are asked for, and whether they were text.
    """
    row = table.c
    if dialect != "sqlite":
        return row.type, row.id, row.version, row.body, row.last_updated
    is_text = and_(func.typeof(row.type) == "text", func.typeof(row.id) == "text").label("is_text")
    return octets(row.type), octets(row.id), row.version, octets(row.body), row.last_updated, is_text


def octets(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """What stands in a column of SQLite, whatever it is."""
    return cast(column, LargeBinary).label(str(column.key))


def row_of(values: Sequence[object]) -> Row:
    """The row of which these are the columns of :func:`columns_of`."""
    type_, id_, version, body, last_updated, *keys = values
    has_text_keys = bool(keys[0]) if keys else True
    texts = {name: read_text(value) for name, value in (("type", type_), ("id", id_), ("body", body))}
    fitness = {
        "type or id": has_text_keys,
        **{name: is_fit for name, (_, is_fit) in texts.items()},
        "version": is_version(version),
        "last_updated": is_time(last_updated),
    }
    unfit = [name for name, is_fit in fitness.items() if not is_fit]
    return Row(
        texts["type"][0],
        texts["id"][0],
        version if isinstance(version, int) and is_version(version) else 0,
        texts["body"][0],
        float(last_updated) if isinstance(last_updated, int | float) and is_time(last_updated) else 0.0,
        f"{', '.join(unfit)} of the row hold what cannot be there" if unfit else "",
        (type_, id_) if keys else None,
    )


def is_version(value: object) -> bool:
    """Whether `value` can be the number of a change."""
    return isinstance(value, int) and 0 <= value <= HIGHEST


def is_time(value: object) -> bool:
    """Whether `value` is a point in time, in seconds since the epoch."""
    return isinstance(value, int | float) and 0 <= value <= LATEST


def entry_of(row: Row, known: Resource | None = None) -> Resource | Rejected:
    """The resource in `row`, or why there is none.

    :param known: what was in it before; it is taken where that is the same.
    """
    # The body is a part of the version, since ids come again when a database is restored.
    version = f"{row.version}-{digest(row.body)}"
    if known is not None and known.version == version and not row.fault:
        return known
    try:
        return _resource_of(row, version)
    except Rejected as rejected:
        return rejected


def _resource_of(row: Row, version: str) -> Resource:
    """
    :raises Rejected: the row was written by hand, and not as a resource.
    """
    name = f"{row.type}/{row.id}"
    if row.fault:
        raise Rejected([Issue(name, "", row.fault)])
    try:
        body: Any = strict_json.loads(row.body)
        found = identify(body)
    except ValueError as reason:
        raise Rejected([Issue(name, "", f"the stored body is {reason}")]) from None
    except Rejected as rejected:
        raise rejected.within(name) from None
    if found != row.key:
        raise Rejected([Issue(name, "", f"the stored body is that of {'/'.join(found)}")])
    return Resource(*row.key, version, body, row.last_updated)


def read_text(value: object) -> tuple[str, bool]:
    """`value` as a text, and whether it is one."""
    if isinstance(value, bytes):
        try:
            return value.decode(), True
        except UnicodeDecodeError:
            return value.decode(errors="backslashreplace"), False
    return (value, True) if isinstance(value, str) else (str(value), False)
