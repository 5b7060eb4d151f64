"""From a verified token to its user, who is made when first seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import orm as sa_orm

from ..caching import Cache, SingleFlight
from ..errors import InsufficientScope, InvalidToken
from ..introspection.token import Credential, Token
from ..transactions import Transactions
from .known_users import Known, KnownUsers, Place, place_of
from .models import Models
from .new_user import NewUserHook
from .newcomers import Newcomers
from .presented import Presented
from .provider import Provider
from .refreshing import Refreshing, is_fresh
from .snapshot import Announce, Event, UserSnapshot, resource_of, snapshot_of, tell_nobody
from .store import UserStore, owned_row
from .stored_user import StoredUser, identifier_id

UNKNOWN_TTL = 5.0
"""Seconds, at most, for which a subject that has no user and gets none is not looked up again."""


class Prospect(NamedTuple):
    """What an unknown subject would become.

    :param resource: the User resource, without the id of one who is new.
    :param is_new: there is no such user yet; else it is one who would get one more identifier.
    :param by_app: the app's function for new users has a say.
    """

    resource: Mapping[str, object]
    is_new: bool
    by_app: bool


@dataclass(slots=True)
class _LookUp:
    """One request's search for its user.

    :param begun: seconds since the epoch.
    :param led: whether this request has asked for itself, and for others.
    :param event: what became of the user here, if anything did.
    """

    key: Place
    presented: Presented
    begun: float
    led: bool = False
    event: Event | None = None


class Users:
    """The users of one app in one process. Making one does no I/O.

    :param create_user: whether an unknown subject gets a user, where its provider does not say.
    :param ttl: seconds for which a snapshot serves without a query.
    :param size: how many snapshots are kept.
    :param clock: seconds since the epoch.
    :param hook: the app's word about new users.
    :param announce: told of every user who is made or changed here.
    """

    def __init__(
        self,
        models: Models,
        transactions: Transactions,
        *,
        create_user: bool,
        ttl: float,
        size: int = 10_000,
        clock: Callable[[], float] = time.time,
        hook: NewUserHook | None = None,
        announce: Announce = tell_nobody,
    ) -> None:
        self._models = models
        self._store = UserStore(models, transactions)
        self._hook = hook or NewUserHook()
        self._newcomers = Newcomers(models, self._store, self._hook, size, clock)
        self._refreshing = Refreshing(models, self._store, size, clock)
        self._create_user = create_user
        self._ttl = ttl
        self._clock = clock
        self._announce = announce
        self._known = KnownUsers(size, ttl, clock)
        self._unknown: Cache[bool] = Cache(size, clock)
        self._flights: SingleFlight[Known | None] = SingleFlight()
        # Another object after every call to forget.
        self._era = object()

    def find_or_create(self, token: Token, provider: Provider, credential: Credential) -> UserSnapshot | None:
        """The user whom (`provider.system`, `token.subject`) names; none if there is none and none is to be made, or if
        the token speaks of nobody.

        :param credential: what `token` was verified from; userinfo may be asked with it.
        :raises InvalidToken: the user is inactive, the identifier is another issuer's, the subject cannot be one,
            userinfo refuses the token, or it is nested deeper than :data:`~.nesting.MAX_DEPTH`.
        :raises InsufficientScope: userinfo wants ``openid``.
        :raises ProviderUnavailable: userinfo cannot be had; nothing was stored.
        :raises DatabaseUnavailable: the database cannot be read or written.
        :raises Misconfigured: the app's model refuses a row that has nothing but its key.
        """
        if token.subject is None:
            return None
        known = self._recall_or_find(self._look_up(token, token.subject, provider, credential))
        return None if known is None else _admitted(known, token)

    def recall(self, token: Token, provider: Provider) -> Known | None:
        """What is remembered of the user of `token` at this moment; for as long as that holds, see :class:`.Known`."""
        return None if token.subject is None else self._known.get(place_of(provider, token.subject))

    def meet(self, token: Token, provider: Provider, credential: Credential) -> UserSnapshot | None:
        """As :meth:`find_or_create`, for a token that is new here: what is known of its user is refreshed first, where
        that is older than the provider's ``userinfo_refresh``.

        What fails then leaves all as it was, and the user gets in; but a token that userinfo refuses is refused.
        """
        if token.subject is None:
            return None
        known = self._known.get(place_of(provider, token.subject))
        # What most need: nothing is to be asked of anybody.
        if known is not None and is_fresh(provider, known.refreshed_at, self._clock()):
            return _admitted(known, token)
        look_up = self._look_up(token, token.subject, provider, credential)
        known = self._recall_or_find(look_up)
        if known is None:
            return None
        user = _admitted(known, token)
        if not self._refreshing.is_due(look_up.presented, known.refreshed_at, look_up.begun):
            return user
        # The provider may be slow, and what others have pushed out meanwhile is forgotten only if nobody keeps it.
        del known
        refreshed = self._for_all("refresh", look_up, self._refresh)
        return None if refreshed is None else _admitted(refreshed, token)

    def find(self, token: Token, provider: Provider) -> UserSnapshot | None:
        """As :meth:`find_or_create`, as the database has it now, and without making anybody.

        :raises InvalidToken: the user is inactive, or the identifier is another issuer's.
        :raises DatabaseUnavailable: the database cannot be read.
        """
        if token.subject is None:
            return None
        id_ = identifier_id(provider.system, token.subject)
        found = self._store.find(id_)
        if found is None or found.user is None:
            return None
        return _admitted(Known.of(found.issuer, found.user, id_), token)

    def prospect(self, token: Token, provider: Provider, credential: Credential) -> Prospect:
        """What an unknown subject of a provider that :meth:`creates` would become. Nothing is stored, and the app's
        function for new users is not asked.

        :raises Refusal: as :meth:`find_or_create`.
        """
        presented = Presented(provider, token, credential, token.subject or "")
        user = self._newcomers.foresee(presented)
        resource = resource_of(user, presented.identifier_id)
        if user.key is None:
            del resource["id"]
        return Prospect(resource, is_new=user.key is None, by_app=self._hook.is_set)

    def creates(self, provider: Provider) -> bool:
        """Whether an unknown subject of `provider` gets a user."""
        return self._create_user if provider.create_user is None else provider.create_user

    def snapshot_of(self, key: object) -> UserSnapshot:
        """The user with this primary key as the database has it now.

        :raises DatabaseUnavailable: the database cannot be read.
        """
        return snapshot_of(self._store.get(key))

    def load(self, session: sa_orm.scoped_session[Any], snapshot: UserSnapshot) -> Any | None:
        """The row behind `snapshot`, in the app's session, which is not flushed; one query. None: it is gone, inactive,
        or no longer that of the identifier.

        What the session read first may be all that it sees, as under MariaDB's REPEATABLE READ; then the row of a user
        who was made since, or let in again, is read beside it, with one more query.
        """
        with session.no_autoflush:
            found = session.execute(owned_row(self._models, snapshot)).unique().one_or_none()
        if found is not None and found.active:
            return found[0]
        row = self._store.load(snapshot)
        if row is None:
            return None
        # What the app has changed and not stored yet is not to be lost.
        held = session.identity_map.get(sa_orm.util.identity_key(instance=row))
        if held is not None and sa.inspect(held).modified:
            return held
        return session.merge(row, load=False)

    @property
    def remembered(self) -> int:
        """Of how many subjects the user is remembered."""
        return len(self._known)

    def forget(self, *keys: object) -> None:
        """Look these users up again at their next request.

        :param keys: their primary keys, or the texts of these.
        """
        self._era = object()
        texts = frozenset(map(str, keys))
        self._known.drop_where(lambda known: str(known.user.key) in texts)
        self._unknown.clear()

    def forget_all(self) -> None:
        """Look every user up again at their next request."""
        self._era = object()
        self._known.drop_where(lambda known: True)
        self._unknown.clear()

    def _look_up(self, token: Token, subject: str, provider: Provider, credential: Credential) -> _LookUp:
        presented = Presented(provider, token, credential, subject)
        return _LookUp(place_of(provider, subject), presented, self._clock())

    def _recall_or_find(self, look_up: _LookUp) -> Known | None:
        known = self._known.get(look_up.key)
        if known is not None:
            return known
        if self._unknown.get(look_up.key):
            return None
        return self._for_all("find", look_up, self._find)

    def _for_all(self, purpose: str, look_up: _LookUp, work: Callable[[_LookUp], Known | None]) -> Known | None:
        """What `work` finds: one of those who ask for a subject at the same time asks for all.

        Whoever comes after something was forgotten does not join those who came before it.
        """
        flight = (purpose, look_up.key, self._era)
        try:
            known = self._flights.do(flight, lambda: work(look_up))
        except (InvalidToken, InsufficientScope):
            if look_up.led:
                raise
            # Userinfo refused the token of the one who asked; that says nothing of this one.
            known = self._flights.do((*flight, look_up.presented.credential), lambda: work(look_up))
        if look_up.event is not None and known is not None:
            self._announce(look_up.event, known.user)
        return known

    def _find(self, look_up: _LookUp) -> Known | None:
        look_up.led = True
        # Another may have finished between the miss and now.
        known = self._known.get(look_up.key)
        return self._read(look_up) if known is None else known

    def _read(self, look_up: _LookUp) -> Known | None:
        era, id_ = self._era, look_up.presented.identifier_id
        found = self._store.find(id_)
        known = None
        if found is not None and found.user is not None:
            known = Known.of(found.issuer, found.user, id_)
        elif self.creates(look_up.presented.provider):
            known = self._receive(look_up, orphan=found is not None)
        self._remember(look_up.key, known, era)
        return known

    def _receive(self, look_up: _LookUp, *, orphan: bool) -> Known | None:
        arrival = self._newcomers.receive(look_up.presented, orphan=orphan)
        if arrival is None:
            return None
        look_up.event = arrival.event
        if arrival.event == "updated":
            # What is remembered of the user by other identifiers lacks this one.
            self._drop(arrival.user.key)
        return Known.of(arrival.issuer, arrival.user, look_up.presented.identifier_id)

    def _refresh(self, look_up: _LookUp) -> Known | None:
        look_up.led = True
        found = self._store.find(look_up.presented.identifier_id)
        if found is not None and found.user is not None:
            self._refresh_found(look_up, found.issuer, found.user)
        # Once more, since the provider may have been slow, and the user been deactivated, deleted or linked meanwhile.
        return self._read(look_up)

    def _refresh_found(self, look_up: _LookUp, issuer: str, user: StoredUser) -> None:
        """Refresh a user whom the token leads to, unless another process has done so meanwhile."""
        presented, identifier = look_up.presented, user.identifier(look_up.presented.identifier_id)
        if identifier is None or not user.active or issuer != presented.token.issuer:
            return
        if not self._refreshing.is_due(presented, identifier.refreshed_at, look_up.begun):
            return
        if self._refreshing.refresh(presented, user.key, identifier):
            look_up.event = "updated"
            self._drop(user.key)

    def _remember(self, key: Place, known: Known | None, era: object) -> None:
        # What was read in `era` may be older than what was forgotten meanwhile, before it is put here or after that.
        if self._era is era and known is None:
            self._known.drop(key)
            self._unknown.put(key, True, self._clock() + min(self._ttl, UNKNOWN_TTL))
        elif self._era is era and known is not None:
            self._known.put(key, known)
        if self._era is not era:
            if known is not None:
                known.end()
            self._known.drop(key)
            self._unknown.drop(key)

    def _drop(self, user_key: object) -> None:
        self._known.drop_where(lambda known: bool(known.user.key == user_key))


def _admitted(known: Known, token: Token) -> UserSnapshot:
    if known.issuer != token.issuer:
        raise InvalidToken("the identifier belongs to another issuer")
    if not known.user.active:
        raise InvalidToken("the user is inactive")
    return known.user
