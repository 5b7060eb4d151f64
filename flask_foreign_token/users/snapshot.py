"""A user at one moment, as policies see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from ..interning import with_interned_texts
from .stored_user import StoredUser
from .user_resource import user_resource

Event = Literal["created", "updated", "deactivated"]
"""What can become of a user; one that is deleted is deactivated."""


@dataclass(frozen=True, slots=True)
class UserSnapshot:
    """A user at one moment.

    :param key: the value of the primary key in the app's model.
    :param resource: the User resource that policies see; not to be changed. Where an identifier led here, its ``data``
        is what that one's provider says, and no other's; what it says of attributes stands before what others say.
    :param identifier: the key of the row of ``foreign_token_identifier`` that led here; none if that of the user did.
    """

    key: Any
    resource: Mapping[str, object] = field(repr=False)
    active: bool
    identifier: str | None = field(default=None, repr=False)


Announce = Callable[[Event, UserSnapshot], object]
"""Told of what became of a user, once, after the commit, in the thread that did it."""


def tell_nobody(event: Event, user: UserSnapshot) -> None:
    """An :data:`Announce` for where nobody listens."""


def snapshot_of(user: StoredUser, identifier: str | None = None) -> UserSnapshot:
    """
    :param identifier: as for :class:`UserSnapshot`.
    """
    resource = cast("dict[str, object]", with_interned_texts(resource_of(user, identifier)))
    return UserSnapshot(user.key, resource, user.active, identifier)


def resource_of(user: StoredUser, identifier: str | None = None) -> dict[str, object]:
    """The User resource of a stored user.

    :param identifier: as policies see the user whom a token of that one names; none: what all providers say, as
        operators see it.
    """
    named = None if identifier is None else user.identifier(identifier)
    return user_resource(user.key, user.identifiers, active=user.active, own=user.own, named=named)
