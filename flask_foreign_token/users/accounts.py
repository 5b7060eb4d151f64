"""Users as an operator sees and changes them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.exc import IntegrityError, StatementError

from ..errors import Conflict, Issue, NotStored, Rejected
from ..faults import Faults
from ..registry.edits import Outcome, meets
from ..registry.feed import USER
from ..tables import is_storable
from .account_access import (
    NOT_STORED,
    AccountAccess,
    ShownUser,
    constrained_as,
    if_key_reads,
    name_of,
    naming,
    note_end,
    shown_user,
)
from .account_body import AccountBody, read_account
from .account_plan import admitted, planned
from .account_rows import Sought, is_of_the_value
from .announced_writes import Constrained, Writing
from .own_members import refuse_unfit
from .primary_keys import is_counted, new_key
from .stored_user import StoredUser
from .vouching import Vouching

_FORBIDDEN = "cannot be changed: a constraint of the model forbids it"
_REFERRED = "other rows refer to the user; delete those first, or deactivate it"

_LARGEST_OFFSET = 2**62


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

    :param issuer_of: see :class:`.Vouching`.
    """

    def __init__(self, access: AccountAccess, issuer_of: Callable[[str], str | None]) -> None:
        self._access = access
        self._rows = access.rows
        self._is_counted = is_counted(access.key_column)
        self._vouching = Vouching(access.rows, issuer_of)

    def search(
        self,
        *,
        offset: int = 0,
        limit: int = 100,
        id_: str | None = None,
        identifier: tuple[str | None, str] | None = None,
        active: bool | None = None,
        email: str | None = None,
    ) -> Page:
        """Users by primary key, as the database orders those; four statements at most. All that is asked for must be
        so of a user.

        :param offset: how many are left out before the first, 0 or more.
        :param limit: how many there are on the page at most, 0 or more.
        :param id_: what the primary key reads.
        :param identifier: (system, value) that a user must have, byte by byte; a system of none stands for any.
        :param active: whether a user is let in.
        :param email: the attribute of that name, as an operator wrote it, as one of the user's providers says it or as
            the app's own model has it; or an address that a provider has verified. It is compared as it is.
        :raises DatabaseUnavailable: the database cannot be read.
        """
        if not all(part is None or is_storable(part) for part in (id_, email, *(identifier or ()))):
            return Page(0, [])
        user = None if id_ is None else self._access.find(id_)
        if id_ is not None and user is None:
            return Page(0, [])
        with self._access.reading() as connection:
            ids = None if identifier is None else self._rows.identifier_ids(connection, *identifier)
            sought = Sought(ids, key=user and user.key, active=active, email=email)
            total = self._rows.count(connection, sought)
            users = self._rows.page(connection, sought, min(offset, _LARGEST_OFFSET), limit) if total and limit else []
        return Page(total, list(map(shown_user, users)))

    def get(self, id_: str) -> ShownUser | None:
        """The user whose primary key reads `id_`; none if there is none, or no key could read so.

        :raises DatabaseUnavailable: the database cannot be read.
        """
        user = self._access.find(id_)
        return None if user is None else shown_user(user)

    def stored_among(self, ids: Collection[str]) -> Collection[str] | None:
        """See :meth:`.AccountAccess.stored_among`."""
        return self._access.stored_among(ids)

    def put(
        self, id_: str | None, body: Mapping[str, object], *, expected: str | None = None
    ) -> tuple[Outcome, ShownUser]:
        """Make a user be what `body` says, and nothing else; who is not there yet is made.

        An identifier that `body` leaves out is taken away, all of them if it has no ``identifier``: its tokens lead to
        this user no more, so that who is to be inactive must not lose them all. One that stays keeps what it knows. A
        new one is of the issuer whose introspector is in force for its system. Without ``inactive`` the user is active.
        ``data`` and attributes that are left out are none; unless it is what is shown already, ``data`` is kept with
        the newest identifier, where the next userinfo of its provider takes its place; no address in it counts as
        verified. Attributes stand before what providers say, now and later, where they differ from it.

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
        with naming(id_):
            wanted = read_account(body, id_)
            key = None if id_ is None else new_key(self._access.key_column, id_)
            issuers = self._vouching.issuers(wanted.identifiers)

            def work(writing: Writing) -> tuple[Outcome, ShownUser]:
                stored = None if key is None else self._locked(writing, id_, key)
                _refuse_unexpected(id_, stored, expected)
                if stored is None:
                    return "created", self._make(writing, key, wanted, issuers)
                return self._access.write(writing, stored, self._planned(writing, stored, wanted, issuers))

            try:
                return self._access.carried_out(work)
            except Constrained:
                raise self._rows.refusal(self._written_of_own(wanted)) from None

    def delete(self, id_: str, *, expected: str | None = None) -> None:
        """Delete a user with their identifiers, and with all that the app's model deletes with it.

        :param expected: as for :meth:`put`.
        :raises NotStored: there is none.
        :raises Rejected: other rows refer to the user.
        :raises Conflict: the user is not in the version that is expected.
        :raises DatabaseUnavailable: the database cannot be written.
        """
        referred = Rejected.at("", _REFERRED)
        with naming(id_), constrained_as(referred), self._access.writing() as writing:
            user = self._access.stored(writing, id_, to_delete=True)
            _refuse_unexpected(id_, user, expected)
            if not self._rows.delete(writing.connection, user.key):
                raise referred
            note_end(writing, user)

    def set_active(self, ids: Sequence[str], active: bool) -> list[tuple[Outcome, ShownUser]]:
        """Let users in, or keep them out: all of them or none.

        It is the app's active attribute that is set, where it is one that can be; else every identifier of a user is
        made inactive. Either keeps them out, and both are taken back.

        :return: each user once, in the order of `ids`; ``"unchanged"`` who was so before, else ``"updated"``.
        :raises NotStored: names each of those who are not stored.
        :raises Rejected: names each user of whom the app's attribute cannot be set and says otherwise, or who has
            neither that nor an identifier.
        :raises DatabaseUnavailable: the database cannot be written.
        """
        unique = list(dict.fromkeys(ids))
        # It may be a constraint that is looked at when the transaction ends.
        forbidden = Rejected([Issue(USER, "inactive", _FORBIDDEN)])
        with constrained_as(forbidden), self._access.writing() as writing:
            return self._admit(writing, self._all_locked(writing, unique), active)

    def _all_locked(self, writing: Writing, ids: Sequence[str]) -> list[StoredUser]:
        # In one order, whoever asks, so that two do not wait for each other.
        stored = {id_: self._access.locked(writing, id_) for id_ in sorted(ids)}
        if absent := [Issue(name_of(id_), "", NOT_STORED) for id_ in ids if stored[id_] is None]:
            raise NotStored(absent)
        return [user for id_ in ids if (user := stored[id_]) is not None]

    def _admit(self, writing: Writing, users: Sequence[StoredUser], active: bool) -> list[tuple[Outcome, ShownUser]]:
        faults = Faults()
        changed: list[tuple[Outcome, ShownUser]] = []
        for user in users:
            with faults.gathered(), naming(str(user.key)):
                after = admitted(user, active=active, settable=self._rows.settable, now=self._access.now())
                try:
                    with writing.connection.begin_nested():
                        changed.append(self._access.write(writing, user, after))
                except IntegrityError:
                    raise Rejected.at("inactive", _FORBIDDEN) from None
        faults.raise_any()
        return changed

    def _locked(self, writing: Writing, id_: str | None, key: object) -> StoredUser | None:
        try:
            return if_key_reads(id_, self._rows.locked(writing.connection, key))
        except StatementError as error:
            if is_of_the_value(error):
                raise Rejected.at("id", "cannot be a key of the application's model") from None
            raise

    def _make(self, writing: Writing, key: object, wanted: AccountBody, issuers: Mapping[str, str | None]) -> ShownUser:
        if key is not None and self._is_counted:
            reason = "is not there, and the application's model gives its own ids; POST a user without one"
            raise Rejected.at("id", reason)
        own = self._written_of_own(wanted)
        refuse_unfit(self._access.models.own, own)
        made = self._rows.insert(writing.connection, key, active=wanted.active, own=own)
        if key is None:
            # What is left out is as the model makes it.
            said = {name: value for name, value in made.own.items() if value is not None}
            wanted = replace(wanted, attributes={**said, **wanted.attributes})
        return self._access.write_new(writing, made, self._planned(writing, made, wanted, issuers))

    def _planned(
        self, writing: Writing, before: StoredUser, wanted: AccountBody, issuers: Mapping[str, str | None]
    ) -> StoredUser:
        known = {identifier.pair for identifier in before.identifiers}
        new = {pair: f"identifier.{at}" for at, pair in enumerate(wanted.identifiers) if pair not in known}
        return planned(
            before,
            wanted,
            own=self._access.models.own,
            issuers=self._vouching.vouched(writing.connection, new, issuers),
            settable=self._rows.settable,
            now=self._access.now(),
        )

    def _written_of_own(self, wanted: AccountBody) -> dict[str, object]:
        """What is written of the app's own attributes."""
        own = self._access.models.own
        return {name: value for name, value in wanted.attributes.items() if name in own and value is not None}


def _refuse_unexpected(id_: str | None, user: StoredUser | None, expected: str | None) -> None:
    version = None if user is None else shown_user(user).version
    if expected is not None and not meets(version, expected):
        raise Conflict((USER, id_ or ""))
