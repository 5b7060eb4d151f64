"""Subjects whom nobody has seen before, and what becomes of them: a new user, a user who is there already, or none."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from sqlalchemy.exc import DataError, IntegrityError

from ..caching import Rest
from ..errors import REST, InvalidToken, Misconfigured, Refusal, Rejected
from ..transactions import Deadlock
from .identifier import Identifier
from .models import Models
from .new_user import NewUser, NewUserHook
from .own_attributes import Unfit
from .presented import Presented
from .snapshot import Event
from .store import UserStore
from .stored_user import StoredUser

Fitted = TypeVar("Fitted")


class Arrival(NamedTuple):
    """What became of a newcomer.

    :param issuer: who vouches for the identifier.
    :param event: what happened to `user` here; none: another process was first.
    """

    user: StoredUser
    issuer: str
    event: Event | None


class Newcomers:
    """Takes in subjects who are not known yet. The provider is asked first, so that it holds no lock while it is slow.
    With a token that was refused for what it said it is not asked again for :data:`~..errors.REST` seconds.

    :param hook: the app's word about new users.
    :param size: tokens of which that is remembered.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self,
        models: Models,
        store: UserStore,
        hook: NewUserHook,
        size: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._models = models
        self._store = store
        self._hook = hook
        self._clock = clock
        self._refused = Rest(REST, size, clock)

    def receive(self, presented: Presented, *, orphan: bool) -> Arrival | None:
        """Link a newcomer to the user who matches, or make a new user; none: the app wants none.

        :param orphan: as for :meth:`.UserStore.create`.
        :raises InvalidToken: as :meth:`.Presented.ask`; the user who matches is inactive, or what is said does not fit
            the app's model.
        :raises InsufficientScope: as :meth:`.Presented.ask`.
        :raises ProviderUnavailable: likewise; nothing was stored.
        :raises DatabaseUnavailable: the database cannot be read or written.
        :raises Misconfigured: the app's model refuses the row.
        :raises Exception: whatever the app's function for new users raises.
        """
        self._refused.raise_if_resting(presented.digest)
        identifier = presented.ask(self._clock)
        try:
            return self._received(presented, identifier, orphan=orphan)
        except Refusal as refusal:
            # Lest every request asks the provider again, to the same end.
            self._refused.note(presented.digest, refusal)
            raise

    def foresee(self, presented: Presented) -> StoredUser:
        """The user that :meth:`receive` would lead to; the key of one who would be new is none. Nothing is stored, and
        the app's function for new users is not asked.

        :raises Refusal: as :meth:`receive`.
        """
        identifier = presented.ask(self._clock)
        key = self._match(presented, identifier)
        user = None if key is None else self._store.get(key)
        if user is not None and _is_meant(user, identifier):
            return replace(user, identifiers=(*user.identifiers, identifier))
        own = _fitted(lambda: self._models.fitting(identifier.attributes))
        return StoredUser(None, enabled=True, identifiers=(identifier,), own=own)

    def _received(self, presented: Presented, identifier: Identifier, *, orphan: bool) -> Arrival | None:
        linked = None if orphan else self._linked(presented, identifier)
        if linked is not None:
            return linked
        try:
            return self._made(presented, identifier, orphan=orphan)
        except Deadlock:
            # One of those who were first has been stopped, and the others wait for each other.
            return self._made(presented, identifier, orphan=orphan)

    def _made(self, presented: Presented, identifier: Identifier, *, orphan: bool) -> Arrival | None:
        user = self._new_row(presented, identifier)
        return None if user is None else self._stored(presented, user, identifier, orphan=orphan)

    def _match(self, presented: Presented, identifier: Identifier) -> Any | None:
        """The primary key of the only user whose address another provider has verified as well."""
        email = identifier.verified_email
        if presented.provider.match_by != "email" or email is None:
            return None
        return self._store.with_email(email)

    def _linked(self, presented: Presented, identifier: Identifier) -> Arrival | None:
        key = self._match(presented, identifier)
        if key is None:
            return None
        try:
            user = self._store.link(key, identifier, lambda user: _is_meant(user, identifier))
        except IntegrityError:
            pass
        else:
            return None if user is None else Arrival(user, identifier.issuer, "updated")
        return self._winner(presented)

    def _new_row(self, presented: Presented, identifier: Identifier) -> Any | None:
        new = NewUser(
            provider=presented.provider.id,
            system=identifier.system,
            subject=identifier.value,
            userinfo=identifier.data,
            attributes=identifier.attributes,
            token=presented.token,
        )
        return _fitted(lambda: self._hook.make(self._models, new))

    def _stored(self, presented: Presented, user: Any, identifier: Identifier, *, orphan: bool) -> Arrival:
        try:
            made = _fitted(lambda: self._store.create(user, identifier, orphan=orphan))
        except (DataError, IntegrityError) as error:
            may_be_second = isinstance(error, IntegrityError)
        else:
            return Arrival(made, identifier.issuer, "created")
        # Out here, lest what the database said stay with what is raised next.
        winner = self._winner(presented) if may_be_second else None
        if winner is None:
            raise self._refusal(user, identifier)
        return winner

    def _winner(self, presented: Presented) -> Arrival | None:
        """Whom another process has made of the same subject a moment ago."""
        found = self._store.find(presented.identifier_id)
        if found is None or found.user is None:
            return None
        return Arrival(found.user, found.issuer, None)

    def _refusal(self, user: Any, identifier: Identifier) -> Refusal:
        """Why the database does not take the row of a new user."""
        name = self._models.user.__name__
        if lacking := self._models.lacking(user):
            made_by_app = f"the function for new users leaves {', '.join(lacking)} of {name} without a value"
            return Misconfigured(hint=made_by_app if self._hook.is_set else self._models.refusal)
        if not self._hook.is_set and not self._models.own.keys() & identifier.attributes.keys():
            return Misconfigured(hint=self._models.refusal)
        return InvalidToken(
            "userinfo does not fit the user",
            hint=f"a constraint of {name} refuses a new row. If another user has a value that must be unique, and is "
            "the same person, `flask foreign-token users link ID SYSTEM|VALUE` says so",
        )


def _is_meant(user: StoredUser, identifier: Identifier) -> bool:
    """Whether `user` is whom the newcomer's verified address names.

    :raises InvalidToken: the user is inactive.
    """
    # Another subject of the same provider is somebody else, to whom the address was given later.
    if any(known.system == identifier.system for known in user.identifiers):
        return False
    if all(known.verified_email != identifier.verified_email for known in user.identifiers):
        return False
    if not user.active:
        raise InvalidToken("the user is inactive")
    return True


def _fitted(work: Callable[[], Fitted]) -> Fitted:
    """What `work` returns.

    :raises InvalidToken: an attribute of the app's model does not take what is said of it.
    :raises Misconfigured: the app's model cannot be made.
    """
    refusal: Refusal
    try:
        return work()
    except Unfit as unfit:
        refusal = InvalidToken(f"userinfo does not fit the attribute {unfit.name} of the user")
    except Rejected as rejected:
        refusal = Misconfigured(hint=str(rejected))
    # Out here, lest what was said stay with what is raised.
    raise refusal
