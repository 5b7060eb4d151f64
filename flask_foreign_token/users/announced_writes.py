"""Transactions that write users, and say so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection

from ..registry.feed import USER, ChangeFeed
from ..transactions import Transactions


@dataclass(frozen=True, slots=True)
class Writing:
    """One transaction.

    :param changed: the keys of users who are changed in it, as texts.
    """

    connection: Connection
    changed: list[str] = field(default_factory=list)


class AnnouncedWrites:
    """Opens transactions whose changes of users every worker learns of.

    :param apart: of the users' database, where that is another bind than the feed's. What is written there is announced
        right after it was committed. A process that dies in between leaves the other workers with what they remember,
        for as long as they may. On one bind the change and its announcement are one transaction.
    :param forget: called after the commit, with the key of each user as a text.
    """

    def __init__(self, feed: ChangeFeed, apart: Transactions | None, *, forget: Callable[[str], object]) -> None:
        self._feed = feed
        self._apart = apart
        self._forget = forget

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """A transaction that is committed at the end, or rolled back if an exception ends it.

        :raises DatabaseUnavailable: as for :meth:`.Transactions.writing`.
        :raises sqlalchemy.exc.IntegrityError: likewise.
        """
        if self._apart is None:
            with self._feed.writing() as connection:
                writing = Writing(connection)
                yield writing
                self._announce(connection, writing.changed)
            self._forget_all(writing.changed)
            return
        with self._apart.writing() as connection:
            writing = Writing(connection)
            yield writing
        self._forget_all(writing.changed)
        if writing.changed:
            with self._feed.writing() as connection:
                self._announce(connection, writing.changed)

    def _announce(self, connection: Connection, keys: Sequence[str]) -> None:
        self._feed.append(connection, [(USER, key) for key in keys])

    def _forget_all(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._forget(key)
