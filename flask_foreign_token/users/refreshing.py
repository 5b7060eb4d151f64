"""What is known of a user, brought up to date."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy.exc import IntegrityError

from ..caching import Rest
from ..errors import REST, InsufficientScope, ProviderUnavailable
from ..policies.equality import equal
from ..telling import tell
from .mapping import Identifier, says_the_same
from .own_attributes import Unfit
from .presented import Presented
from .store import UserStore
from .stored_user import StoredUser

if TYPE_CHECKING:
    from .models import Models

logger = logging.getLogger(__name__)


class Refreshed(NamedTuple):
    """A user after it was tried.

    :param changed: whether the provider said something new.
    """

    user: StoredUser
    changed: bool


class Refreshing:
    """Asks providers anew about users who are known. What fails leaves everything as it was, and is not tried again for
    :data:`~..errors.REST` seconds.

    :param size: users of whom that is remembered.
    :param clock: seconds since the epoch.
    """

    def __init__(self, models: Models, store: UserStore, size: int, clock: Callable[[], float] = time.time) -> None:
        self._models = models
        self._store = store
        self._clock = clock
        self._failed = Rest(REST, size, clock)

    def is_due(self, presented: Presented, refreshed_at: float | None) -> bool:
        """Whether the provider should be asked.

        :param refreshed_at: when it was last, in seconds since the epoch; none: nobody knows.
        """
        age = self._clock() - (refreshed_at or 0)
        # A clock that was set back makes it wait no longer than a right one.
        if 0 <= age < presented.provider.userinfo_refresh:
            return False
        return not self._failed.is_resting(presented.identifier_id)

    def refresh(self, presented: Presented, user: StoredUser, before: Identifier) -> Refreshed:
        """Ask about a user, and store what has changed.

        :param before: the identifier that the token names.
        :raises InvalidToken: userinfo refuses the token, or speaks of somebody else.
        :raises DatabaseUnavailable: the database cannot be written.
        """
        try:
            said = presented.ask(self._clock())
            after, changed = self._after(before, said)
            own = self._new_own(before, said) if changed else {}
            stored = self._store.refresh(user, before, after, own)
        except (InsufficientScope, ProviderUnavailable) as failure:
            self._failed.note(presented.identifier_id, failure)
            return Refreshed(user, changed=False)
        except (Unfit, IntegrityError) as failure:
            self._failed.note(presented.identifier_id, ProviderUnavailable())
            text = "a user stays as it was, since the application's model does not take what its provider says: %s"
            tell(logger, logging.WARNING, text, failure if isinstance(failure, Unfit) else "a constraint refuses it")
            return Refreshed(user, changed=False)
        return Refreshed(user, changed=False) if stored is None else Refreshed(stored, changed)

    def _after(self, before: Identifier, said: Identifier) -> tuple[Identifier, bool]:
        """The identifier as it is to be, and whether it says something new."""
        now = self._clock()
        if says_the_same(before.data, said.data) and equal(before.attributes, said.attributes):
            return replace(before, refreshed_at=now), False
        after = replace(
            before,
            data=said.data,
            attributes=said.attributes,
            version=before.version + 1,
            updated_at=max(now, before.updated_at),
            refreshed_at=now,
        )
        return after, True

    def _new_own(self, before: Identifier, said: Identifier) -> Mapping[str, object]:
        """What is to be set of the app's model: what the provider has changed, and nothing that only the app has."""
        return {
            name: said.attributes.get(name)
            for name, attribute in self._models.own.items()
            if not equal(before.attributes.get(name), said.attributes.get(name))
            and (said.attributes.get(name) is not None or attribute.nullable)
        }
