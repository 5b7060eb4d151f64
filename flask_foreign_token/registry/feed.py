"""The change feed: what every worker must learn at once, in the order in which it was committed.

An entry says that something changed, not how; a reader looks at what is there now. Ids are given out under a lock that
is held until the commit, so whoever has read up to an id has missed nothing before it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, insert, select
from sqlalchemy.exc import IntegrityError

from ..transactions import Transactions
from .rows import octets, read_text

if TYPE_CHECKING:
    from .registry_tables import RegistryTables

USER = "User"
"""The type of a change that concerns a user; its `ref` is the user's key as a text, or :data:`EVERYBODY`."""

EVERYBODY = ""
"""The `ref` of a change that concerns all users: nothing that is remembered of any may be used."""

MAX_REF = 255
"""Characters of a `ref`."""


class Change(NamedTuple):
    """One entry of the feed.

    :param id: its place in the feed, from 1.
    :param type: of the resource that changed, or :data:`USER`.
    :param ref: the resource's id, or the user's key as a text; :data:`EVERYBODY` stands for all of them.
    :param at: when, in seconds since the epoch, to the millisecond.
    """

    id: int
    type: str
    ref: str
    at: float


BEGINNING = Change(0, "", "", 0.0)
"""What stands before the first change. It is stored too, as the row that writers lock."""


def columns_of_change(table: Table, dialect: str) -> Sequence[ColumnElement[Any]]:
    """What to select of the feed for :func:`change_of`.

    :param dialect: the database's name; see :func:`.columns_of`.
    """
    row = table.c
    if dialect != "sqlite":
        return row.id, row.type, row.ref, row.at
    return row.id, octets(row.type), octets(row.ref), row.at


def change_of(values: Sequence[Any]) -> Change:
    """The entry of which these are the columns. What was put there by hand names nothing that there is, and is no more
    than that."""
    id_, type_, ref, at = values
    return Change(id_, read_text(type_)[0], read_text(ref)[0], at)


def user_ref(key: str | None) -> str:
    """The `ref` of a change of a user.

    :param key: as a text; none: of all users. There is no place for one that is longer than :data:`MAX_REF`, so that
        everybody is meant.
    """
    return EVERYBODY if key is None or len(key) > MAX_REF else key


@dataclass(frozen=True, slots=True)
class News:
    """What the feed says to somebody who had read it up to some entry.

    :param position: the last entry there is; where to go on from.
    :param changes: those since, oldest first.
    :param interrupted: the entry is not in the feed any more, since the database was restored or emptied. What changed
        is not known, so nothing that is remembered may be used.
    """

    position: Change
    changes: tuple[Change, ...] = ()
    interrupted: bool = False


class ChangeFeed:
    """Reads and writes the feed.

    :param clock: seconds since the epoch.
    """

    def __init__(
        self, transactions: Transactions, tables: RegistryTables, clock: Callable[[], float] = time.time
    ) -> None:
        self._transactions = transactions
        self._table = tables.change
        self._clock = clock

    def latest(self) -> Change:
        """The last entry: where somebody starts who is about to read everything else. One query.

        :raises DatabaseUnavailable: as for :meth:`Transactions.reading`.
        """
        with self._transactions.reading() as connection:
            return self.last(connection)

    def read(self, since: Change) -> News:
        """What came after `since`, an entry that was read before. One query, by primary key.

        :raises DatabaseUnavailable: as for :meth:`Transactions.reading`.
        """
        with self._transactions.reading() as connection:
            query = select(*columns_of_change(self._table, connection.dialect.name))
            found = connection.execute(query.where(self._table.c.id >= since.id).order_by(self._table.c.id))
            changes = tuple(map(change_of, found))
        if since.id and since not in changes[:1]:
            return News(self.latest(), interrupted=True)
        changes = tuple(change for change in changes if change.id > since.id)
        return News(changes[-1] if changes else since, changes)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that may :meth:`append`; there is one at a time, on all machines.

        What must hold together with the feed is read and written in it. It should be short, and everybody else waits
        for as long as it does for a lock of the application's: it is a bounded one.

        :raises DatabaseUnavailable: as for :meth:`Transactions.writing`.
        """
        self._ensure_beginning()
        beginning = select(self._table.c.id).where(self._table.c.id == BEGINNING.id)
        with self._transactions.writing(bounded=True) as connection:
            # Nothing is read before this, so what is read after it is what the last writer left. SQLite knows no
            # FOR UPDATE; there the transaction has been the only writer's since it began.
            connection.execute(beginning.with_for_update(key_share=True))
            yield connection

    def append(
        self, connection: Connection, subjects: Sequence[tuple[str, str]], *, above: int = 0
    ) -> tuple[Change, ...]:
        """Announce, as one moment, that `subjects` changed.

        :param connection: of :meth:`writing`.
        :param subjects: `type` and `ref` of each; see :class:`Change`.
        :param above: what each id must be higher than, beside those that are there.
        """
        if not subjects:
            return ()
        first = max(self.last(connection).id, above) + 1
        at = round(self._clock(), 3)
        changes = tuple(Change(id_, *subject, at) for id_, subject in enumerate(subjects, first))
        connection.execute(insert(self._table), [change._asdict() for change in changes])
        return changes

    def last(self, connection: Connection) -> Change:
        """The last entry, as `connection` sees it."""
        query = select(*columns_of_change(self._table, connection.dialect.name))
        row = connection.execute(query.order_by(self._table.c.id.desc()).limit(1)).one_or_none()
        return BEGINNING if row is None else change_of(row)

    def _ensure_beginning(self) -> None:
        beginning = select(self._table.c.id).where(self._table.c.id == BEGINNING.id)
        with self._transactions.reading() as connection:
            if connection.execute(beginning).one_or_none():
                return
        # In a transaction of its own: somebody who inserts it at the same moment ends the one that comes second.
        with suppress(IntegrityError), self._transactions.writing() as connection:
            connection.execute(insert(self._table), BEGINNING._asdict())
