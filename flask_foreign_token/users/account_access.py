"""One user of all, found, locked and written for whoever changes users as an operator does."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import StatementError

from ..errors import NotStored, Rejected
from ..printable import shown
from ..registry.edits import Outcome
from ..registry.feed import USER
from ..registry.resources import canonical, digest
from ..transactions import Transactions
from .account_rows import AccountRows, is_of_the_value
from .announced_writes import AnnouncedWrites, Constrained, Writing
from .models import Models
from .primary_keys import key_of
from .snapshot import Event, resource_of, snapshot_of
from .stored_user import StoredUser

_Result = TypeVar("_Result")

NOT_STORED = "is not stored"

_AT_ONCE = 10_000
# Values in one statement: fewer than any database takes.


@dataclass(frozen=True, slots=True)
class ShownUser:
    """A user as an operator sees them.

    :param id: the primary key as a text.
    :param resource: the User resource, see :func:`~.user_resource.user_resource`.
    :param version: changes with whatever is shown.
    """

    id: str
    resource: Mapping[str, object] = field(repr=False)
    version: str


class AccountAccess:
    """What everybody needs who changes users as an operator does. Making one does no I/O.

    :param transactions: of the bind that the users are on.
    :param writes: likewise.
    :param prepare: called before the first transaction; makes the tables.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self,
        models: Models,
        transactions: Transactions,
        writes: AnnouncedWrites,
        *,
        prepare: Callable[[], object],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.models = models
        self.rows = AccountRows(models)
        self.now = clock
        self.key_column: sa.Column[Any] = sa.inspect(models.user).primary_key[0]
        self._transactions = transactions
        self._writes = writes
        self._prepare = prepare
        self._is_prepared = False

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection to read from.

        :raises DatabaseUnavailable: the database cannot be read.
        """
        self._prepare_once()
        with self._transactions.reading() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """A transaction; see :meth:`.AnnouncedWrites.writing`.

        :raises Constrained: a constraint refuses what was written.
        :raises DatabaseUnavailable: the database cannot be written.
        """
        self._prepare_once()
        with self._writes.writing() as writing:
            yield writing

    def carried_out(self, work: Callable[[Writing], _Result]) -> _Result:
        """What `work` returns in a transaction; where a constraint refuses what it wrote, in a second one.

        Somebody else may have stored the same key or identifier meanwhile, whom it meets then.

        :raises Constrained: it was refused again.
        :raises DatabaseUnavailable: the database cannot be written.
        """
        with suppress(Constrained), self.writing() as writing:
            return work(writing)
        with self.writing() as writing:
            return work(writing)

    def find(self, id_: str) -> StoredUser | None:
        """The user whose primary key reads `id_`; none if there is none, or no key could read so.

        :raises DatabaseUnavailable: the database cannot be read.
        """
        with self.reading() as connection:
            return self._looked_up(id_, lambda key: self.rows.get(connection, key))

    def stored_among(self, ids: Collection[str]) -> frozenset[str] | None:
        """Those of `ids` that a primary key reads; none: the database cannot tell. One statement for each 10 000.

        :raises DatabaseUnavailable: the database cannot be read.
        """
        keys = [key for key in (key_of(self.key_column, id_) for id_ in ids) if key is not None]
        found: set[str] = set()
        try:
            with self.reading() as connection:
                for start in range(0, len(keys), _AT_ONCE):
                    stored = sa.select(self.models.key).where(self.models.key.in_(keys[start : start + _AT_ONCE]))
                    found.update(map(str, connection.execute(stored).scalars()))
        except StatementError as error:
            if is_of_the_value(error):
                return None
            raise
        # A collation may have taken another text for one of them.
        return frozenset(found.intersection(ids))

    def locked(self, writing: Writing, id_: str, *, to_delete: bool = False) -> StoredUser | None:
        """As :meth:`find`; nobody else changes the user before the transaction ends.

        :param to_delete: see :meth:`.AccountRows.locked`.
        """

        def look(key: object) -> StoredUser | None:
            with writing.connection.begin_nested():
                return self.rows.locked(writing.connection, key, to_delete=to_delete)

        return self._looked_up(id_, look)

    def stored(self, writing: Writing, id_: str, *, to_delete: bool = False) -> StoredUser:
        """As :meth:`locked`.

        :raises NotStored: there is none.
        """
        user = self.locked(writing, id_, to_delete=to_delete)
        if user is None:
            raise NotStored.at("", NOT_STORED)
        return user

    def write(self, writing: Writing, before: StoredUser, after: StoredUser) -> tuple[Outcome, ShownUser]:
        """Store what differs.

        :param after: `before` itself: nothing.
        :raises Rejected: the app's model does not take it.
        """
        if after is before:
            writing.note_unchanged(before.key)
            return "unchanged", shown_user(before)
        event: Event = "deactivated" if before.active and not after.active else "updated"
        return "updated", self._written(writing, before, after, event)

    def write_new(self, writing: Writing, before: StoredUser, after: StoredUser) -> ShownUser:
        """As :meth:`write`, for a user who was made in this transaction."""
        return self._written(writing, before, after, "created")

    def _written(self, writing: Writing, before: StoredUser, after: StoredUser, event: Event) -> ShownUser:
        """What the database has made of `after`.

        :raises Rejected: the app's own attribute was set and did not stay so.
        """
        self.rows.write(writing.connection, before, after)
        stored = self.rows.get(writing.connection, after.key)
        if stored is None or stored.active != after.active:
            raise Rejected.at("inactive", "was set, and the application's model did not keep it")
        writing.note(event, snapshot_of(stored))
        return shown_user(stored)

    def _looked_up(self, id_: str, look: Callable[[object], StoredUser | None]) -> StoredUser | None:
        key = key_of(self.key_column, id_)
        if key is None:
            return None
        try:
            return if_key_reads(id_, look(key))
        except StatementError as error:
            if is_of_the_value(error):
                return None
            raise

    def _prepare_once(self) -> None:
        if not self._is_prepared:
            self._prepare()
            self._is_prepared = True


@contextmanager
def naming(id_: str | None) -> Iterator[None]:
    """A block in whose refusals the user is named."""
    try:
        yield
    except Rejected as rejected:
        raise rejected.within(name_of(id_)) from None


@contextmanager
def constrained_as(refusal: Rejected) -> Iterator[None]:
    """A block that ends with `refusal` where a constraint of the database refuses what it wrote."""
    try:
        yield
    except Constrained:
        raise refusal from None


def name_of(id_: str | None) -> str:
    """What the user is called in refusals."""
    return USER if id_ is None else f"{USER}/{shown(id_)}"


def if_key_reads(id_: str | None, user: StoredUser | None) -> StoredUser | None:
    """`user`, if their key reads `id_`: a collation may have taken another text for it."""
    return user if user is not None and str(user.key) == id_ else None


def shown_user(user: StoredUser) -> ShownUser:
    """`user` as an operator sees them."""
    resource = resource_of(user)
    return ShownUser(str(user.key), resource, digest(canonical(resource)))


def note_end(writing: Writing, user: StoredUser) -> None:
    """Say that `user` is let in no more, once this is committed, since nothing is left of them."""
    writing.note("deactivated", snapshot_of(replace(user, enabled=False)))
