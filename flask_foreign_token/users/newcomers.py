"""Subjects whom nobody has seen before, and what becomes of them: a new user, a user who is there already, or none."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy.exc import IntegrityError

from ..errors import InvalidToken, Misconfigured, Rejected
from .mapping import Identifier
from .new_user import NewUser, NewUserHook
from .own_attributes import Unfit
from .presented import Presented
from .snapshot import Event
from .store import UserStore
from .stored_user import StoredUser

if TYPE_CHECKING:
    from .models import Models


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

    :param hook: the app's word about new users.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self, models: Models, store: UserStore, hook: NewUserHook, clock: Callable[[], float] = time.time
    ) -> None:
        self._models = models
        self._store = store
        self._hook = hook
        self._clock = clock

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
        identifier = presented.ask(self._clock())
        try:
            linked = None if orphan else self._linked(presented, identifier)
            if linked is not None:
                return Arrival(linked, identifier.issuer, "updated")
            made = self._made(presented, identifier, orphan=orphan)
            return None if made is None else Arrival(made, identifier.issuer, "created")
        except IntegrityError:
            pass
        except Unfit as unfit:
            raise InvalidToken(f"userinfo does not fit the attribute {unfit.name} of the user") from None
        except Rejected as rejected:
            raise Misconfigured(hint=str(rejected)) from None
        # Out here, lest what the database said stay with what is raised next.
        return self._first(presented)

    def _linked(self, presented: Presented, identifier: Identifier) -> StoredUser | None:
        """The only user whose address another provider has verified as well, now with this identifier."""
        email = identifier.verified_email
        if presented.provider.match_by != "email" or email is None:
            return None
        user = self._store.with_email(email)
        # Another subject of the same provider is somebody else, to whom the address was given later.
        if user is None or any(known.system == identifier.system for known in user.identifiers):
            return None
        if not user.active:
            raise InvalidToken("the user is inactive")
        return self._store.link(user.key, identifier)

    def _made(self, presented: Presented, identifier: Identifier, *, orphan: bool) -> StoredUser | None:
        new = NewUser(
            provider=presented.provider.id,
            system=identifier.system,
            subject=identifier.value,
            userinfo=identifier.data,
            attributes=identifier.attributes,
            token=presented.token,
        )
        user = self._hook.make(self._models, new)
        return None if user is None else self._store.create(user, identifier, orphan=orphan)

    def _first(self, presented: Presented) -> Arrival:
        """Whom another process has made of the same subject a moment ago."""
        found = self._store.find(presented.identifier_id)
        if found is None or found.user is None:
            raise Misconfigured(hint=self._models.refusal)
        return Arrival(found.user, found.issuer, None)
