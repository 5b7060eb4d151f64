"""What becomes of a user whom an operator changes; nothing here is stored yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..errors import Issue, Rejected
from ..policies.equality import equal
from .account_body import AccountBody, Pair
from .mapping import RESERVED, Identifier, user_resource
from .stored_user import StoredUser

_STEP = 1e-6
"""Seconds between identifiers that are made together, so that their order is kept; ``meta`` shows no less."""


def pair_of(identifier: Identifier) -> Pair:
    """What names `identifier`."""
    return identifier.system, identifier.value


def planned(
    before: StoredUser, wanted: AccountBody, *, issuers: Mapping[str, str], settable: bool, now: float
) -> StoredUser:
    """What `wanted` makes of a user; `before` itself if that is nothing new.

    :param issuers: who vouches for new identifiers, by their system.
    :param settable: whether the app's own attribute can be written.
    :param now: seconds since the epoch.
    :raises Rejected: there is no place for what is said of the user, or for whether they are active.
    """
    after = replace(before, identifiers=_named(before.identifiers, wanted.identifiers, issuers, now))
    after = _described(after, wanted.data, wanted.attributes)
    after = _admitted(after, active=wanted.active, settable=settable)
    return _versioned(before, after, now)


def admitted(before: StoredUser, *, active: bool, settable: bool, now: float) -> StoredUser:
    """The user made active or inactive; `before` itself if they are that.

    :raises Rejected: as for :func:`planned`.
    """
    return _versioned(before, _admitted(before, active=active, settable=settable), now)


def _named(
    identifiers: Sequence[Identifier], wanted: Sequence[Pair], issuers: Mapping[str, str], now: float
) -> tuple[Identifier, ...]:
    kept = [identifier for identifier in identifiers if pair_of(identifier) in wanted]
    known = set(map(pair_of, kept))
    begin = max([now, *(identifier.created_at + _STEP for identifier in kept)])
    new = [
        Identifier(
            system=system,
            value=value,
            issuer=issuers[system],
            data={},
            attributes={},
            inactive=False,
            version=1,
            created_at=begin + number * _STEP,
            updated_at=begin + number * _STEP,
        )
        for number, (system, value) in enumerate(pair for pair in wanted if pair not in known)
    ]
    return (*kept, *new)


def _described(user: StoredUser, data: Mapping[str, object], attributes: Mapping[str, object]) -> StoredUser:
    """What is said of a user stays where it is, or all of it is said by the newest identifier."""
    shown = user_resource(user.key, user.identifiers, active=True)
    said = {name: value for name, value in shown.items() if name not in RESERVED}
    if equal(shown["data"], data) and equal(said, attributes):
        return user
    if not user.identifiers:
        members = [*(["data"] if data else []), *attributes]
        reason = "is kept with an identifier, and the user has none"
        raise Rejected([Issue("", member, reason) for member in members])
    *others, newest = user.identifiers
    silent = [
        replace(identifier, data={}, attributes={}) if identifier.data or identifier.attributes else identifier
        for identifier in others
    ]
    return replace(user, identifiers=(*silent, replace(newest, data=data, attributes=attributes)))


def _admitted(user: StoredUser, *, active: bool, settable: bool) -> StoredUser:
    if user.active == active:
        return user
    if active:
        if not user.enabled and not settable:
            raise Rejected.at("inactive", "is what the application's own attribute says, which cannot be set here")
        return _all(replace(user, enabled=True), inactive=False)
    if settable:
        return replace(user, enabled=False)
    if not user.identifiers:
        raise Rejected.at(
            "inactive",
            "has no place: the user has no identifier, and the application names no active_attribute that can be set",
        )
    return _all(user, inactive=True)


def _all(user: StoredUser, *, inactive: bool) -> StoredUser:
    identifiers = tuple(
        identifier if identifier.inactive == inactive else replace(identifier, inactive=inactive)
        for identifier in user.identifiers
    )
    return replace(user, identifiers=identifiers)


def _versioned(before: StoredUser, after: StoredUser, now: float) -> StoredUser:
    """`after` with new versions; their sum, which names the version of the user, always grows."""
    old = {pair_of(identifier): identifier for identifier in before.identifiers}
    identifiers = [_next(old.get(pair_of(identifier)), identifier, now) for identifier in after.identifiers]
    removed = len(old.keys() - set(map(pair_of, identifiers)))
    changed = [identifier for identifier in identifiers if identifier is not old.get(pair_of(identifier))]
    if not changed and not removed and before.enabled == after.enabled:
        return before
    grown = _sum(identifiers) - _sum(before.identifiers)
    if identifiers and grown < 1:
        newest = identifiers[-1]
        identifiers[-1] = replace(newest, version=newest.version + 1 - grown, updated_at=max(now, newest.updated_at))
    return replace(after, identifiers=tuple(identifiers))


def _next(old: Identifier | None, identifier: Identifier, now: float) -> Identifier:
    if old is None or identifier is old:
        return identifier
    return replace(identifier, version=old.version + 1, updated_at=max(now, old.updated_at))


def _sum(identifiers: Sequence[Identifier]) -> int:
    return sum(identifier.version for identifier in identifiers)
