"""What becomes of a user whom an operator changes; nothing here is stored yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..errors import Issue, Rejected
from ..policies.equality import equal
from .account_body import AccountBody
from .identifier import Identifier, Pair
from .own_attributes import OwnAttribute
from .own_members import own_members
from .stored_user import StoredUser
from .user_resource import said_of, user_resource, written_of

_STEP = 1e-6
"""Seconds between identifiers that are made together, so that their order is kept; ``meta`` shows no less."""


def planned(
    before: StoredUser,
    wanted: AccountBody,
    *,
    own: Mapping[str, OwnAttribute],
    issuers: Mapping[str, str],
    settable: bool,
    now: float,
) -> StoredUser:
    """What `wanted` makes of a user; `before` itself if that is nothing new.

    :param own: the app's own attributes, by name.
    :param issuers: who vouches for new identifiers, by their system.
    :param settable: whether `active_attribute` can be written.
    :param now: seconds since the epoch.
    :raises Rejected: there is no place for what is said of the user, or for whether they are active; or they are to be
        kept out, and would be let in again as somebody new.
    """
    if before.identifiers and not wanted.identifiers and not wanted.active:
        reason = "must not be left out of a user who is to be inactive: the next token of the same person would make a "
        raise Rejected.at("identifier", reason + "new user, who is active; write the identifiers back")
    after = replace(
        before,
        identifiers=_identifiers(before.identifiers, wanted.identifiers, issuers, now),
        own=own_members(own, before.own, wanted.attributes),
    )
    after = _described(after, wanted.data, _others(wanted.attributes, own))
    after = _admitted(after, active=wanted.active, settable=settable)
    return _versioned(before, after, now)


def linked(before: StoredUser, pair: Pair, issuer: str, *, now: float) -> StoredUser:
    """The user with one more identifier.

    :param issuer: the one that vouches for it.
    """
    pairs = [*(identifier.pair for identifier in before.identifiers), pair]
    after = replace(before, identifiers=_identifiers(before.identifiers, pairs, {pair[0]: issuer}, now))
    return _versioned(before, after, now)


def unlinked(before: StoredUser, pair: Pair, *, settable: bool, now: float) -> StoredUser:
    """The user without one of their identifiers, active only if they were.

    :raises Rejected: that they are inactive has no place any more.
    """
    pairs = [identifier.pair for identifier in before.identifiers if identifier.pair != pair]
    after = replace(before, identifiers=_identifiers(before.identifiers, pairs, {}, now))
    if after.identifiers:
        *others, newest = after.identifiers
        kept = _with(newest, None, written_of(before.identifiers))
        after = replace(after, identifiers=(*(_with(one, None, {}) for one in others), kept))
    return _versioned(before, _admitted(after, active=before.active, settable=settable), now)


def taken_back(before: StoredUser, pair: Pair) -> dict[str, object]:
    """What the app's own attributes are to be that hold what an identifier's provider says of them, when that
    identifier goes: what the others say, or none.
    """
    [going] = [identifier for identifier in before.identifiers if identifier.pair == pair]
    said = said_of([identifier for identifier in before.identifiers if identifier.pair != pair])
    held = {name: value for name, value in before.own.items() if value is not None}
    return {
        name: said.get(name)
        for name, value in held.items()
        if equal(going.attributes.get(name), value) and not equal(said.get(name), value)
    }


def admitted(before: StoredUser, *, active: bool, settable: bool, now: float) -> StoredUser:
    """The user made active or inactive; `before` itself if they are that.

    :raises Rejected: as for :func:`planned`.
    """
    return _versioned(before, _admitted(before, active=active, settable=settable), now)


def _identifiers(
    identifiers: Sequence[Identifier], wanted: Sequence[Pair], issuers: Mapping[str, str], now: float
) -> tuple[Identifier, ...]:
    kept = [identifier for identifier in identifiers if identifier.pair in wanted]
    known = {identifier.pair for identifier in kept}
    # A new one is no way around.
    inactive = any(identifier.inactive for identifier in identifiers)
    begin = max([now, *(identifier.created_at + _STEP for identifier in kept)])
    new = [
        Identifier(
            system=system,
            value=value,
            issuer=issuers[system],
            data={},
            attributes={},
            inactive=inactive,
            version=1,
            created_at=begin + number * _STEP,
            updated_at=begin + number * _STEP,
        )
        for number, (system, value) in enumerate(pair for pair in wanted if pair not in known)
    ]
    return (*kept, *new)


def _described(user: StoredUser, data: Mapping[str, object], attributes: Mapping[str, object]) -> StoredUser:
    """What providers say stays with each identifier, so that a refresh can compare with it. What is to be shown beside
    that, or in place of it, is kept with the newest.

    :param data: what is to be shown as it; all of it is said by the newest, until its provider is asked again.
    :param attributes: those that are no attributes of the app's model.
    """
    said = _others(said_of(user.identifiers), user.own)
    both = {**said, **attributes}
    written = {name: attributes.get(name) for name in both if not equal(said.get(name), attributes.get(name))}
    is_shown = equal(user_resource(user.key, user.identifiers, active=True)["data"], data)
    is_written = equal(written_of(user.identifiers), written)
    if is_shown and is_written:
        return user
    if not user.identifiers:
        members = [*(["data"] if data else []), *attributes]
        reason = "is kept with an identifier, and the user has none"
        raise Rejected([Issue("", member, reason) for member in members])
    *others, newest = user.identifiers
    after = [_with(identifier, None if is_shown else {}, {}) for identifier in others]
    return replace(user, identifiers=(*after, _with(newest, None if is_shown else data, written)))


def _with(identifier: Identifier, data: Mapping[str, object] | None, written: Mapping[str, object]) -> Identifier:
    """
    :param data: none: as it is.
    """
    if data is not None and not equal(identifier.data, data):
        # Of these the provider has verified nothing.
        identifier = replace(identifier, data=data, verified_email=None)
    return identifier if equal(identifier.written, written) else replace(identifier, written=written)


def _others(members: Mapping[str, object], own: Mapping[str, object]) -> dict[str, object]:
    """Those of `members` that are none of the app's own attributes."""
    return {name: value for name, value in members.items() if name not in own}


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
    old = {identifier.pair: identifier for identifier in before.identifiers}
    identifiers = [_next(old.get(identifier.pair), identifier, now) for identifier in after.identifiers]
    removed = len(old.keys() - {identifier.pair for identifier in identifiers})
    changed = [identifier for identifier in identifiers if identifier is not old.get(identifier.pair)]
    if not changed and not removed and before.enabled == after.enabled and equal(before.own, after.own):
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
