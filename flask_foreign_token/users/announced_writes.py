"""Transactions that write users, and say so."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from ..registry.feed import USER, ChangeFeed, user_ref
from ..tables import alone
from ..transactions import Transactions
from .snapshot import Announce, Event, UserSnapshot


class Constrained(Exception):
    """A constraint of the database refuses what was written; nothing is stored."""


@dataclass(frozen=True, slots=True)
class Writing:
    """One transaction, and whom it changes.

    :param is_apart: whether it is announced in another one, after it.
    :param changed: the keys of users as texts; none: everybody.
    :param events: what becomes of them.
    """

    connection: Connection
    is_apart: bool = False
    changed: list[str | None] = field(default_factory=list)
    events: list[tuple[Event, UserSnapshot]] = field(default_factory=list, repr=False)

    def note(self, event: Event, user: UserSnapshot) -> None:
        """Say what becomes of a user once this is committed."""
        self.changed.append(str(user.key))
        self.events.append((event, user))

    def note_unchanged(self, key: object) -> None:
        """Say that a user is as is wanted, and may have become so in a transaction whose announcement failed."""
        if self.is_apart:
            self.changed.append(str(key))

    def note_everybody(self) -> None:
        """Say that nothing that is remembered of any user may be used once this is committed."""
        self.changed.append(None)


class AnnouncedWrites:
    """Opens transactions whose changes of users every worker learns of.

    :param apart: of the users' database, where that is another bind than the feed's. What is written there is announced
        right after it was committed. A process that dies in between leaves the other workers with what they remember,
        for as long as they may. On one bind the change and its announcement are one transaction.
    :param forget: called after the commit, with the keys of the users as texts; with ``None`` for everybody.
    :param announce: told last of what became of each.
    """

    def __init__(
        self,
        feed: ChangeFeed,
        apart: Transactions | None,
        *,
        forget: Callable[[Collection[str] | None], object],
        announce: Announce,
    ) -> None:
        self._feed = feed
        self._apart = apart
        self._forget = forget
        self._announce = announce

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """A transaction that is committed at the end, or rolled back if an exception ends it.

        :raises DatabaseUnavailable: as for :meth:`.Transactions.writing`.
        :raises Constrained: in place of SQLAlchemy's ``IntegrityError``, which whoever is told of events may raise too.
        :raises Exception: whatever these raise. All of them are told, and everything is stored.
        """
        try:
            if self._apart is None:
                with self._feed.writing() as connection:
                    writing = Writing(connection)
                    yield writing
                    self._append(connection, writing)
            else:
                # One at a time, as the feed sees to on its own bind, so that no two wait for each other.
                with self._apart.writing(bounded=True) as connection, alone(connection):
                    writing = Writing(connection, is_apart=True)
                    yield writing
        except IntegrityError:
            raise Constrained from None
        self._tell(writing)

    def _tell(self, writing: Writing) -> None:
        with ExitStack() as last:
            for event, user in reversed(writing.events):
                last.callback(self._announce, event, user)
            if writing.changed:
                keys = [key for key in writing.changed if key is not None]
                self._forget(keys if len(keys) == len(writing.changed) else None)
            if self._apart is not None and writing.changed:
                with self._feed.writing() as connection:
                    self._append(connection, writing)

    def _append(self, connection: Connection, writing: Writing) -> None:
        self._feed.append(connection, [(USER, user_ref(key)) for key in writing.changed])
