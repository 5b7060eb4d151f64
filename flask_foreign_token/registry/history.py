"""Every state that resources were in: when, through whom, and what they said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from sqlalchemy import Connection, and_, bindparam, func, insert, select, tuple_

from .. import strict_json
from ..errors import Rejected
from ..printable import in_ascii
from ..tables import is_storable
from .edits import Outcome
from .registry_tables import MAX_BY, RegistryTables
from .resources import Key, identify
from .rows import HIGHEST, is_time

_AT_ONCE = 300
# Keys of three values in one statement; SQLite takes 999 values at least.


class PastState(NamedTuple):
    """One row of the history.

    :param body: the JSON text; none: the resource was deleted.
    :param at: seconds since the epoch.
    :param by: who did it; empty: nobody knows.
    """

    type: str
    id: str
    version: int
    body: str | None
    at: float
    by: str

    @property
    def key(self) -> Key:
        return self.type, self.id


class Head(NamedTuple):
    """A state without what it said.

    :param is_deletion: whether the resource was deleted.
    :param at: seconds since the epoch.
    :param by: who did it; empty: nobody knows.
    """

    version: int
    is_deletion: bool
    at: float
    by: str


class History:
    """Reads and writes the history, within a connection of somebody else's."""

    def __init__(self, tables: RegistryTables) -> None:
        self._table = tables.history

    def heads(self, connection: Connection, key: Key) -> list[Head]:
        """Every state of the resource with that key, without what it said."""
        row = self._table.c
        query = select(row.version, row.body.is_(None), row.at, row.by).where(row.type == key[0], row.id == key[1])
        return list(map(_head, connection.execute(query.where(row.version <= HIGHEST))))

    def newest(self, connection: Connection, limit: int, type_: str | None) -> list[tuple[Key, Head, Outcome]]:
        """The latest changes of all resources, the latest first, without what they said. One statement.

        :param type_: of resources of that type; none: of any.
        """
        row, kept, before = self._table.alias("latest").c, self._table.c, self._table.alias("before").c
        # By the index of the table; whether there was something before, once for each that is wanted.
        wanted = select(kept.type, kept.id, kept.version).where(kept.version <= HIGHEST)
        wanted = wanted.order_by(kept.version.desc()).limit(limit)
        named = (wanted if type_ is None else wanted.where(kept.type == type_)).subquery("wanted")
        was_deletion = (
            select(before.body.is_(None))
            .where(before.type == row.type, before.id == row.id, before.version < row.version)
            .order_by(before.version.desc())
            .limit(1)
            .scalar_subquery()
        )
        query = (
            select(row.type, row.id, row.version, row.body.is_(None), row.at, row.by, was_deletion)
            .join(named, and_(named.c.type == row.type, named.c.id == row.id, named.c.version == row.version))
            .order_by(row.version.desc(), row.type, row.id)
        )
        return [
            ((type_, id_), _head(head), _outcome(head[1], was_there=was_deleted == 0))
            for type_, id_, *head, was_deleted in connection.execute(query)
        ]

    def knows(self, connection: Connection, version: int) -> bool:
        """Whether any resource came to be in that version."""
        row = self._table.c
        return connection.execute(select(row.version).where(row.version == version).limit(1)).first() is not None

    def states_at(self, connection: Connection, version: int) -> list[PastState]:
        """What every resource was once that version had been made; those that were deleted by then are among them."""
        row = self._table.c
        latest = (
            select(row.type, row.id, func.max(row.version).label("version"))
            .where(row.version <= version)
            .group_by(row.type, row.id)
            .subquery("latest")
        )
        at_latest = and_(latest.c.type == row.type, latest.c.id == row.id, latest.c.version == row.version)
        query = select(row.type, row.id, row.version, row.body, row.at, row.by).join(latest, at_latest)
        return list(map(PastState._make, connection.execute(query)))

    def changed_after(self, connection: Connection, version: int) -> set[Key]:
        """What came to be in a later version."""
        row = self._table.c
        query = select(row.type, row.id).where(row.version > version).distinct()
        return {(type_, id_) for type_, id_ in connection.execute(query)}

    def texts(self, connection: Connection, key: Key, versions: Iterable[int]) -> dict[int, str | None]:
        """What the resource with that key said in these versions, as JSON."""
        row = self._table.c
        query = select(row.version, row.body).where(
            row.type == key[0], row.id == key[1], row.version.in_(bindparam("versions", expanding=True))
        )
        wanted, found = list(versions), dict[int, str | None]()
        for start in range(0, len(wanted), _AT_ONCE):
            rows = connection.execute(query, {"versions": wanted[start : start + _AT_ONCE]})
            found.update(map(tuple, rows))
        return found

    def latest(self, connection: Connection) -> int:
        """The highest version of all, 0 where there is none; one look at an index."""
        version = self._table.c.version
        # What was put there by hand may be no number in SQLite, or leave no room for another.
        query = select(func.max(version)).where(version <= HIGHEST)
        found: int | None = connection.execute(query).scalar_one()
        return found or 0

    def add(self, connection: Connection, before: Sequence[PastState], now: Sequence[PastState]) -> None:
        """Keep what resources came to say, and before it what they said until then, unless that is kept already.

        It is not where a row was written by hand.
        """
        missing = self._missing(connection, before)
        rows = [state._replace(by=_storable(state.by))._asdict() for state in (*missing, *now)]
        if rows:
            connection.execute(insert(self._table), rows)

    def _missing(self, connection: Connection, states: Sequence[PastState]) -> list[PastState]:
        kept: set[tuple[str, str, int]] = set()
        for start in range(0, len(states), _AT_ONCE):
            kept |= self._kept(connection, states[start : start + _AT_ONCE])
        return [state for state in states if state[:3] not in kept]

    def _kept(self, connection: Connection, states: Iterable[PastState]) -> set[tuple[str, str, int]]:
        row = self._table.c
        named = tuple_(row.type, row.id, row.version).in_([state[:3] for state in states])
        query = select(row.type, row.id, row.version).where(named)
        return {(type_, id_, version) for type_, id_, version in connection.execute(query)}


def _head(columns: Sequence[Any]) -> Head:
    """The state of which these are the columns. A time that somebody put there by hand, and that is none, is 0."""
    version, is_deletion, at, by = columns
    return Head(version, bool(is_deletion), at if is_time(at) else 0.0, str(by))


def _storable(by: str) -> str:
    return (by if is_storable(by) else in_ascii(by))[:MAX_BY]


def outcomes_of(heads: Iterable[Head]) -> list[tuple[Head, Outcome]]:
    """What was done each time, the latest first.

    :param heads: all that there are of one resource.
    """
    outcomes: list[tuple[Head, Outcome]] = []
    was_there = False
    for head in sorted(heads):
        outcomes.append((head, _outcome(head.is_deletion, was_there)))
        was_there = not head.is_deletion
    return outcomes[::-1]


def _outcome(is_deletion: bool, was_there: bool) -> Outcome:
    return "deleted" if is_deletion else "updated" if was_there else "created"


def body_of(key: Key, text: str | None) -> Mapping[str, object] | None:
    """The body of the resource with that key; none: it was deleted, or the text is not that of such a resource."""
    try:
        body = None if text is None else strict_json.loads(text)
        return cast("Mapping[str, object]", body) if body is not None and identify(body) == key else None
    except (ValueError, Rejected):
        return None
