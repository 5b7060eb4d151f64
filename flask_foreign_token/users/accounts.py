"""Users as an operator sees and changes them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

from ..errors import Conflict, Issue, NotStored, Rejected
from ..faults import Faults
from ..printable import shown
from ..registry.edits import Outcome, meets
from ..registry.feed import USER
from ..registry.resources import canonical, digest
from ..tables import is_storable
from ..transactions import Transactions
from .account_body import AccountBody, Pair, read_account
from .account_plan import admitted, pair_of, planned
from .account_rows import AccountRows
from .announced_writes import AnnouncedWrites, Writing
from .primary_keys import is_counted, key_of, new_key
from .snapshot import resource_of
from .stored_user import StoredUser

if TYPE_CHECKING:
    from .models import Models

_ATTEMPTS = 2
"""How often a change is tried: the loser of a race must see what the winner has stored."""

_NOT_STORED = "is not stored"
_FORBIDDEN = "cannot be changed: a constraint of the model forbids it"

_LARGEST_OFFSET = 2**62


@dataclass(frozen=True, slots=True)
class ShownUser:
    """A user at one moment.

    :param id: the primary key as a text.
    :param resource: the User resource, see :func:`~.mapping.user_resource`.
    :param version: changes with whatever is shown.
    """

    id: str
    resource: Mapping[str, object] = field(repr=False)
    version: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the users that were searched for.

    :param total: how many there are in all.
    """

    total: int
    users: list[ShownUser]


def read_identifier(text: str) -> tuple[str | None, str]:
    """System and value of ``SYSTEM|VALUE``, for :meth:`Accounts.search`; of a value alone the system is none.

    A value can have a bar in it where the system is there.

    :raises ValueError: it reads otherwise.
    """
    system, bar, value = text.partition("|")
    if bar and system and value:
        return system, value
    if text and not bar:
        return None, text
    raise ValueError("must read SYSTEM|VALUE, or VALUE for any system")


class Accounts:
    """Users as an operator sees and changes them. Making one does no I/O.

    Each method is one transaction of its own; the app's session has no part in it. A change is in force here at once,
    and for every other worker with its next look at the change feed.

    Whatever changes of a user with identifiers makes ``meta.versionId`` grow, and nothing else does. A user without any
    has no ``meta``, since times and versions are kept with identifiers.

    :param transactions: of the bind that the users are on.
    :param writes: likewise.
    :param issuer_of: the issuer whose tokens lead to identifiers of a system; none: no introspector in force has such
        a provider. Asked before a transaction begins.
    :param prepare: called before the first transaction; makes the tables.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self,
        models: Models,
        transactions: Transactions,
        writes: AnnouncedWrites,
        *,
        issuer_of: Callable[[str], str | None],
        prepare: Callable[[], object],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._models = models
        self._rows = AccountRows(models)
        self._key_column: sa.Column[Any] = sa.inspect(models.user).primary_key[0]
        self._is_counted = is_counted(self._key_column)
        self._transactions = transactions
        self._writes = writes
        self._issuer_of = issuer_of
        self._prepare = prepare
        self._is_prepared = False
        self._clock = clock

    def search(self, *, offset: int = 0, limit: int = 100, identifier: tuple[str | None, str] | None = None) -> Page:
        """Users by primary key, as the database orders those; three statements at most.

        :param offset: how many are left out before the first, 0 or more.
        :param limit: how many there are on the page at most, 0 or more.
        :param identifier: (system, value) that a user must have, byte by byte; a system of none stands for any.
        :raises DatabaseUnavailable: the database cannot be read.
        """
        self._prepare_once()
        if identifier is not None and not all(part is None or is_storable(part) for part in identifier):
            return Page(0, [])
        with self._transactions.reading() as connection:
            ids = None if identifier is None else self._rows.named(connection, *identifier)
            total = self._rows.count(connection, ids)
            users = self._rows.page(connection, ids, min(offset, _LARGEST_OFFSET), limit) if total and limit else []
        return Page(total, list(map(_shown, users)))

    def get(self, id_: str) -> ShownUser | None:
        """The user whose primary key reads `id_`; none if there is none, or no key could read so.

        :raises DatabaseUnavailable: the database cannot be read.
        """
        key = key_of(self._key_column, id_)
        if key is None:
            return None
        self._prepare_once()
        try:
            with self._transactions.reading() as connection:
                user = _called(id_, self._rows.get(connection, key))
        except StatementError as error:
            if _is_of_the_value(error):
                return None
            raise
        return None if user is None else _shown(user)

    def put(
        self, id_: str | None, body: Mapping[str, object], *, expected: str | None = None
    ) -> tuple[Outcome, ShownUser]:
        """Make a user be what `body` says, and nothing else; who is not there yet is made.

        An identifier that `body` leaves out is taken away, all of them if it has no ``identifier``: its tokens lead to
        this user no more. One that stays keeps what it knows. A new one is of the issuer whose introspector is in force
        for its system. Without ``inactive`` the user is active. ``data`` and attributes that are left out are none;
        unless they are what is shown already, they are kept with the newest identifier, where the next userinfo of its
        provider takes their place.

        :param id_: none: a new user, whose key the app's model gives. Where the database counts the keys, no other
            user can be made.
        :param body: a User resource; ``meta`` is not looked at.
        :param expected: the version that the user must be in; or :data:`~..registry.edits.ANY`, or
            :data:`~..registry.edits.ABSENT`.
        :return: ``"created"``, ``"updated"``, or ``"unchanged"``, in which case nothing was written.
        :raises Rejected: names every fault by its path.
        :raises Conflict: the user is not in the version that is expected, or is there and must not be.
        :raises RegistryUnavailable: whose identifiers are meant cannot be told.
        :raises DatabaseUnavailable: the database cannot be written.
        """
        with _named(id_):
            wanted = read_account(body, id_)
            key = None if id_ is None else new_key(self._key_column, id_)
            self._prepare_once()
            issuers = {system: self._issuer_of(system) for system in {system for system, _ in wanted.identifiers}}
            for _ in range(_ATTEMPTS):
                try:
                    with self._writes.writing() as writing:
                        return self._put(writing, id_, key, wanted, issuers, expected)
                except IntegrityError:
                    # Somebody else has stored the same key or identifier meanwhile, or the model wants more.
                    continue
                except StatementError as error:
                    if id_ is not None and _is_of_the_value(error):
                        raise Rejected.at("id", "cannot be a key of the application's model") from None
                    raise
            raise Rejected.at("", self._models.refusal)

    def delete(self, id_: str, *, expected: str | None = None) -> None:
        """Delete a user with their identifiers, and with all that the app's model deletes with it.

        :param expected: as for :meth:`put`.
        :raises NotStored: there is none.
        :raises Rejected: other rows refer to the user.
        :raises Conflict: the user is not in the version that is expected.
        :raises DatabaseUnavailable: the database cannot be written.
        """
        with _named(id_):
            try:
                with self._writing_of(id_) as (writing, user):
                    _refuse_unexpected(id_, user, expected)
                    self._rows.delete(writing.connection, user.key)
                    writing.changed.append(id_)
            # The mapper asserts that no row is left whose own primary key names the user.
            except (IntegrityError, AssertionError):
                raise Rejected.at("", "other rows refer to the user; delete those first, or deactivate it") from None

    def set_active(self, ids: Sequence[str], active: bool) -> list[tuple[Outcome, ShownUser]]:
        """Let users in, or keep them out: all of them or none.

        It is the app's own attribute that is set, where it is one that can be; else every identifier of a user is
        made inactive. Either keeps them out, and both are taken back.

        :return: each user once, in the order of `ids`; ``"unchanged"`` who was so before, else ``"updated"``.
        :raises NotStored: names each of those who are not stored.
        :raises Rejected: names each user of whom the app's attribute cannot be set and says otherwise, or who has
            neither that nor an identifier.
        :raises DatabaseUnavailable: the database cannot be written.
        """
        unique = list(dict.fromkeys(ids))
        self._prepare_once()
        try:
            with self._writes.writing() as writing:
                return self._admit(writing, self._all_locked(writing, unique), active)
        except IntegrityError:
            # It may be a constraint that is looked at when the transaction ends.
            raise Rejected([Issue(USER, "inactive", _FORBIDDEN)]) from None

    def _all_locked(self, writing: Writing, ids: Sequence[str]) -> list[StoredUser]:
        # In one order, whoever asks, so that two do not wait for each other.
        stored = {id_: self._locked(writing, id_) for id_ in sorted(ids)}
        if absent := [Issue(_name_of(id_), "", _NOT_STORED) for id_ in ids if stored[id_] is None]:
            raise NotStored(absent)
        return [user for id_ in ids if (user := stored[id_]) is not None]

    def _admit(self, writing: Writing, users: Sequence[StoredUser], active: bool) -> list[tuple[Outcome, ShownUser]]:
        faults = Faults()
        changed: list[tuple[Outcome, ShownUser]] = []
        for user in users:
            with faults.gathered(), _named(str(user.key)):
                after = admitted(user, active=active, settable=self._rows.settable, now=self._clock())
                try:
                    with writing.connection.begin_nested():
                        changed.append(self._write(writing, user, after))
                except IntegrityError:
                    raise Rejected.at("inactive", _FORBIDDEN) from None
        faults.raise_any()
        return changed

    @contextmanager
    def _writing_of(self, id_: str) -> Iterator[tuple[Writing, StoredUser]]:
        """A transaction on a user whom nobody else changes."""
        self._prepare_once()
        with self._writes.writing() as writing:
            user = self._locked(writing, id_)
            if user is None:
                raise NotStored.at("", _NOT_STORED)
            yield writing, user

    def _locked(self, writing: Writing, id_: str) -> StoredUser | None:
        """The user, whom nobody else changes before the transaction ends; none: there is none."""
        key = key_of(self._key_column, id_)
        if key is None:
            return None
        try:
            with writing.connection.begin_nested():
                return _called(id_, self._rows.locked(writing.connection, key))
        except StatementError as error:
            if _is_of_the_value(error):
                return None
            raise

    def _put(
        self,
        writing: Writing,
        id_: str | None,
        key: object,
        wanted: AccountBody,
        issuers: Mapping[str, str | None],
        expected: str | None,
    ) -> tuple[Outcome, ShownUser]:
        connection = writing.connection
        stored = None if key is None else _called(id_, self._rows.locked(connection, key))
        _refuse_unexpected(id_, stored, expected)
        if stored is None and key is not None and self._is_counted:
            reason = "is not there, and the application's model gives its own ids; POST a user without one"
            raise Rejected.at("id", reason)
        known = {pair_of(identifier) for identifier in stored.identifiers} if stored is not None else set()
        vouching = self._vouching(connection, wanted, known, issuers)
        before = stored or self._rows.insert(connection, key, active=wanted.active)
        after = planned(before, wanted, issuers=vouching, settable=self._rows.settable, now=self._clock())
        if stored is not None:
            return self._write(writing, before, after)
        self._rows.write(connection, before, after)
        return "created", self._written(writing, after)

    def _vouching(
        self,
        connection: sa.Connection,
        wanted: AccountBody,
        known: set[Pair],
        issuers: Mapping[str, str | None],
    ) -> dict[str, str]:
        """The issuer of each system of which there is a new identifier.

        :raises Rejected: somebody else has one, or nobody vouches for it.
        """
        new = {pair: at for at, pair in enumerate(wanted.identifiers) if pair not in known}
        faults = Faults()
        for (system, _), at in new.items():
            if issuers[system] is None:
                reason = "no provider with an introspector has this system; register it first"
                faults.add("", f"identifier.{at}.system", reason)
        owners = self._rows.owners(connection, new) if new else {}
        for pair, owner in owners.items():
            if owner is not None:
                faults.add("", f"identifier.{new[pair]}", "belongs to another user")
        faults.raise_any()
        self._rows.delete_identifiers(connection, owners.keys())
        return {system: issuer for system, issuer in issuers.items() if issuer is not None}

    def _write(self, writing: Writing, before: StoredUser, after: StoredUser) -> tuple[Outcome, ShownUser]:
        if after is before:
            return "unchanged", _shown(before)
        self._rows.write(writing.connection, before, after)
        return "updated", self._written(writing, after)

    def _written(self, writing: Writing, after: StoredUser) -> ShownUser:
        """What the database has made of `after`.

        :raises Rejected: the app's own attribute was set and did not stay so.
        """
        stored = self._rows.get(writing.connection, after.key)
        if stored is None or stored.active != after.active:
            raise Rejected.at("inactive", "was set, and the application's model did not keep it")
        writing.changed.append(str(after.key))
        return _shown(stored)

    def _prepare_once(self) -> None:
        if not self._is_prepared:
            self._prepare()
            self._is_prepared = True


@contextmanager
def _named(id_: str | None) -> Iterator[None]:
    """A block in whose refusals the user is named."""
    try:
        yield
    except Rejected as rejected:
        raise rejected.within(_name_of(id_)) from None


def _name_of(id_: str | None) -> str:
    return USER if id_ is None else f"{USER}/{shown(id_)}"


def _refuse_unexpected(id_: str | None, user: StoredUser | None, expected: str | None) -> None:
    version = None if user is None else _shown(user).version
    if expected is not None and not meets(version, expected):
        raise Conflict((USER, id_ or ""))


def _called(id_: str | None, user: StoredUser | None) -> StoredUser | None:
    """`user`, if their key reads `id_`: a collation may have taken another text for it."""
    return user if user is not None and str(user.key) == id_ else None


def _shown(user: StoredUser) -> ShownUser:
    resource = resource_of(user)
    return ShownUser(str(user.key), resource, digest(canonical(resource)))


def _is_of_the_value(error: StatementError) -> bool:
    """Whether it is the value that a column cannot have."""
    return isinstance(error, DataError) or not isinstance(error, DBAPIError)
