"""A user who is about to be made, and the app's word about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import inspect

from ..errors import ConfigError, Misconfigured
from ..introspection.token import Token
from .models import Models


@dataclass(frozen=True, slots=True)
class NewUser:
    """Somebody who is seen for the first time, and is not stored yet.

    :param provider: the id of the IdentityProvider.
    :param system: its identifier system.
    :param subject: how the provider names them.
    :param userinfo: what it says of them, as it came; not to be changed.
    :param attributes: what its ``toScim`` made of that; not to be changed.
    :param token: the token that brought them here, verified.
    """

    provider: str
    system: str
    subject: str = field(repr=False)
    userinfo: Mapping[str, Any] = field(repr=False)
    attributes: Mapping[str, Any] = field(repr=False)
    token: Token = field(repr=False)


NewUserFunction = Callable[[NewUser], Any]
"""Makes an instance of the app's model, which is not added to any session; ``None``: nobody is to be made."""


class NewUserHook:
    """The function that an app has given to make users of its model, if it has."""

    def __init__(self) -> None:
        self._function: NewUserFunction | None = None

    @property
    def is_set(self) -> bool:
        """Whether the app has given one."""
        return self._function is not None

    def set(self, function: NewUserFunction) -> None:
        """:raises ConfigError: there is one already."""
        if self._function is not None:
            raise ConfigError("there is a function for new users already; one is what works")
        self._function = function

    def make(self, models: Models, new: NewUser) -> Any | None:
        """A row that is not stored yet; none: the app wants no such user.

        What ``toScim`` says of the model's listed attributes is set in any case.

        :raises Unfit: a listed attribute does not take what is said of it.
        :raises Rejected: the model cannot be made without more.
        :raises Misconfigured: the function returned what is none of the model's new rows.
        :raises Exception: whatever the function raises.
        """
        if self._function is None:
            return models.make(new.attributes)
        user = self._function(new)
        if user is None:
            return None
        if not isinstance(user, models.user) or not _is_new(user):
            name = models.user.__name__
            raise Misconfigured(
                hint=f"the function for new users must return a new {name}, or None; neither it nor what goes with it "
                "may be in a session. Somebody who is there already is linked (foreign_token.link), not made"
            )
        models.set_own(user, new.attributes)
        return user


def _is_new(user: object) -> bool:
    """Whether `user` is not stored, and in no session, nor is anything that would be stored along with it."""
    state = inspect(user)
    if not state.transient:
        return False
    return all(along.session is None for _, _, along, _ in state.mapper.cascade_iterator("save-update", state))
