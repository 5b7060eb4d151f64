"""From a verified token to its user, who is made when first seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy.exc import IntegrityError

from ..caching import Cache, SingleFlight
from ..errors import InsufficientScope, InvalidToken, Misconfigured, Rejected
from ..introspection.token import Credential, Token
from ..transactions import Transactions
from .mapping import Identifier, is_too_deep, to_scim, user_resource
from .store import StoredUser, UserStore, identifier_id
from .userinfo import UserinfoSource

if TYPE_CHECKING:
    from .models import Models

UNKNOWN_TTL = 5.0
"""Seconds, at most, for which a subject that has no user and gets none is not looked up again."""


@dataclass(frozen=True, slots=True)
class Provider:
    """What users need to know of an IdentityProvider.

    :param version: changes whenever anything else here does.
    :param to_scim: rules that :func:`~.mapping.check_to_scim` lets pass.
    :param create_user: none: as the app says.
    """

    id: str
    version: str
    system: str
    to_scim: Mapping[str, Sequence[str]]
    create_user: bool | None
    userinfo: UserinfoSource


@dataclass(frozen=True, slots=True)
class UserSnapshot:
    """A user at one moment.

    :param key: the value of the primary key in the app's model.
    :param resource: the User resource that policies see; not to be changed.
    :param identifier: what `identifier_id` of the store made of the identifier that led here; none if the key did.
    """

    key: Any
    resource: Mapping[str, object] = field(repr=False)
    active: bool
    identifier: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class _Known:
    issuer: str
    user: UserSnapshot


class _Key(NamedTuple):
    """Names a subject; with the version, so that nothing is used that was read under another one."""

    provider: str
    version: str
    identifier: str


@dataclass(slots=True)
class _LookUp:
    """One request's search for its user.

    :param led: whether this request has asked for itself, and for others.
    :param created: the user, if this request made it.
    """

    key: _Key
    subject: str
    token: Token
    provider: Provider
    credential: Credential
    led: bool = False
    created: UserSnapshot | None = None


class Users:
    """The users of one app in one process. Making one does no I/O.

    :param create_user: whether an unknown subject gets a user, where its provider does not say.
    :param ttl: seconds for which a snapshot serves without a query.
    :param size: how many snapshots are kept.
    :param clock: seconds since the epoch.
    :param on_created: called once for every user made here, after the commit, in the thread that made it.
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
        on_created: Callable[[UserSnapshot], object] = lambda user: None,
    ) -> None:
        self._store = UserStore(models, transactions)
        self._models = models
        self._create_user = create_user
        self._ttl = ttl
        self._clock = clock
        self._on_created = on_created
        self._known: Cache[_Known] = Cache(size, clock)
        self._unknown: Cache[bool] = Cache(size, clock)
        self._flights: SingleFlight[_Known | None] = SingleFlight()
        # Another object after every call to forget.
        self._era = object()

    def find_or_create(self, token: Token, provider: Provider, credential: Credential) -> UserSnapshot | None:
        """The user whom (`provider.system`, `token.subject`) names; none if there is none and none is to be made, or if
        the token speaks of nobody.

        :param credential: what `token` was verified from; userinfo may be asked with it.
        :raises InvalidToken: the user is inactive, the identifier is another issuer's, the subject cannot be one,
            userinfo refuses the token, or it is nested deeper than :data:`~.mapping.MAX_DEPTH`.
        :raises InsufficientScope: userinfo wants ``openid``.
        :raises ProviderUnavailable: userinfo cannot be had; nothing was stored.
        :raises DatabaseUnavailable: the database cannot be read or written.
        :raises Misconfigured: the app's model refuses a row that has nothing but its key.
        """
        subject = token.subject
        if subject is None:
            return None
        key = _Key(provider.id, provider.version, identifier_id(provider.system, subject))
        known = self._known.get(key)
        if known is None:
            if self._unknown.get(key):
                return None
            known = self._look_up(_LookUp(key, subject, token, provider, credential))
        return None if known is None else _admitted(known, token)

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
        return _admitted(_Known(found.issuer, _snapshot(found.user, id_)), token)

    def prospect(self, token: Token, provider: Provider, credential: Credential) -> dict[str, object]:
        """The User resource that an unknown subject would get, but for its id; nothing is stored.

        :raises Refusal: as :meth:`find_or_create`, when it asks for userinfo.
        """
        identifier = self._identifier(token.subject or "", token, provider, credential)
        resource = user_resource("", [identifier], active=True)
        del resource["id"]
        return resource

    def creates(self, provider: Provider) -> bool:
        """Whether an unknown subject of `provider` gets a user."""
        return self._create_user if provider.create_user is None else provider.create_user

    def snapshot_of(self, key: object) -> UserSnapshot:
        """The user with this primary key as the database has it now.

        :raises DatabaseUnavailable: the database cannot be read.
        """
        return _snapshot(self._store.get(key))

    def forget(self, key: object) -> None:
        """Look the user up again at their next request.

        :param key: the primary key, or its text.
        """
        self._era = object()
        self._known.drop_where(lambda known: str(known.user.key) == str(key))
        self._unknown.clear()

    def forget_all(self) -> None:
        """Look every user up again at their next request."""
        self._era = object()
        self._known.clear()
        self._unknown.clear()

    def _look_up(self, look_up: _LookUp) -> _Known | None:
        """One of those who look up a subject at the same time does so for all.

        Whoever comes after something was forgotten does not join those who came before it.
        """
        flight = (look_up.key, self._era)
        try:
            known = self._flights.do(flight, lambda: self._find(look_up))
        except (InvalidToken, InsufficientScope):
            if look_up.led:
                raise
            # Userinfo refused the token of the one who did; that says nothing of this one.
            known = self._flights.do((*flight, look_up.credential), lambda: self._find(look_up))
        if look_up.created is not None:
            self._on_created(look_up.created)
        return known

    def _find(self, look_up: _LookUp) -> _Known | None:
        look_up.led = True
        era = self._era
        # Another may have finished between the miss and now.
        known = self._known.get(look_up.key)
        if known is not None:
            return known
        found = self._store.find(look_up.key.identifier)
        if found is not None and found.user is not None:
            known = _Known(found.issuer, _snapshot(found.user, look_up.key.identifier))
        elif self.creates(look_up.provider):
            known = self._create(look_up, orphan=found is not None)
        else:
            known = None
        self._remember(look_up.key, known, era)
        return known

    def _remember(self, key: _Key, known: _Known | None, era: object) -> None:
        # What was read in `era` may be older than what was forgotten meanwhile, before it is put here or after that.
        if self._era is era and known is None:
            self._unknown.put(key, True, self._clock() + min(self._ttl, UNKNOWN_TTL))
        elif self._era is era and known is not None:
            self._known.put(key, known, self._clock() + self._ttl)
        if self._era is not era:
            self._known.drop(key)
            self._unknown.drop(key)

    def _create(self, look_up: _LookUp, *, orphan: bool) -> _Known:
        # Asked before the transaction begins, so that a slow provider holds no lock.
        identifier = self._identifier(look_up.subject, look_up.token, look_up.provider, look_up.credential)
        try:
            user = self._store.create(identifier, orphan=orphan)
        except IntegrityError:
            user = None
        except Rejected as rejected:
            raise Misconfigured(hint=str(rejected)) from None
        # Out here, lest what the database said stay with what is raised next.
        if user is None:
            return self._winner(look_up)
        look_up.created = _snapshot(user, look_up.key.identifier)
        return _Known(look_up.token.issuer, look_up.created)

    def _identifier(self, subject: str, token: Token, provider: Provider, credential: Credential) -> Identifier:
        """What a user is made from, with what the provider says of them."""
        userinfo = provider.userinfo.userinfo(token, credential)
        attributes = to_scim(userinfo, provider.to_scim)
        if is_too_deep(userinfo) or is_too_deep(attributes):
            raise InvalidToken("userinfo is nested too deeply")
        now = self._clock()
        return Identifier(
            system=provider.system,
            value=subject,
            issuer=token.issuer,
            data=dict(userinfo),
            attributes=attributes,
            inactive=False,
            version=1,
            created_at=now,
            updated_at=now,
        )

    def _winner(self, look_up: _LookUp) -> _Known:
        """Whom another process has made from the same identifier a moment ago."""
        found = self._store.find(look_up.key.identifier)
        if found is None or found.user is None:
            raise Misconfigured(hint=self._models.refusal)
        return _Known(found.issuer, _snapshot(found.user, look_up.key.identifier))


def _admitted(known: _Known, token: Token) -> UserSnapshot:
    if known.issuer != token.issuer:
        raise InvalidToken("the identifier belongs to another issuer")
    if not known.user.active:
        raise InvalidToken("the user is inactive")
    return known.user


def _snapshot(user: StoredUser, identifier: str | None = None) -> UserSnapshot:
    resource = user_resource(user.key, user.identifiers, active=user.active)
    return UserSnapshot(user.key, resource, user.active, identifier)
