"""What is known of a user, brought up to date."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from ..caching import Rest
from ..errors import REST, DatabaseUnavailable, InsufficientScope, ProviderUnavailable
from ..policies.equality import equal
from ..telling import tell
from .identifier import Identifier
from .models import Models
from .presented import Presented
from .provider import Provider
from .sameness import says_the_same
from .store import UserStore

logger = logging.getLogger(__name__)


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

    def is_due(self, presented: Presented, refreshed_at: float | None, begun: float) -> bool:
        """Whether the provider should be asked.

        :param refreshed_at: when it was last, in seconds since the epoch; none: nobody knows.
        :param begun: when the request began, on the same scale; what was asked since then will do for it.
        """
        now, then = self._clock(), refreshed_at or 0
        if begun <= then <= now or is_fresh(presented.provider, refreshed_at, now):
            return False
        return not self._failed.is_resting(presented.identifier_id)

    def refresh(self, presented: Presented, key: object, before: Identifier) -> bool:
        """Ask about a user, and store what is said.

        :param key: the primary key.
        :param before: the identifier that the token names.
        :return: whether something has changed.
        :raises InvalidToken: userinfo refuses the token, speaks of somebody else, or is nested too deeply.
        """
        try:
            return self._refreshed(presented, key, before)
        except (InsufficientScope, ProviderUnavailable):
            # The source has told of it.
            pass
        except DatabaseUnavailable:
            self._tell("the database cannot be written")
        self._failed.note(presented.identifier_id, ProviderUnavailable())
        return False

    def _refreshed(self, presented: Presented, key: object, before: Identifier) -> bool:
        said = presented.ask(self._clock, max_age=presented.provider.userinfo_refresh)
        if _is_older(said, before):
            return False
        after, changed = _after(before, said)
        unfit = self._store.refresh(key, before, after, self._new_own(before, said) if changed else {})
        for name in unfit or ():
            self._tell(f"the application's model does not take what is said of {name}")
        return unfit is not None and changed

    def _tell(self, reason: str) -> None:
        tell(logger, logging.WARNING, "a user stays as it was, instead of as its provider says: %s", reason)

    def _new_own(self, before: Identifier, said: Identifier) -> Mapping[str, object]:
        """What is to be set of the app's model: what the provider has changed, and nothing that only the app has.

        What a provider says no more becomes null, or what the model gives it, where it has such a value.
        """
        changed = {
            name: said.attributes.get(name, attribute.empty)
            for name, attribute in self._models.own.items()
            if not equal(before.attributes.get(name), said.attributes.get(name))
        }
        kept = [name for name, value in changed.items() if value is None and not self._models.own[name].nullable]
        for name in kept:
            self._tell(f"{name} cannot be null, and has no default")
        return {name: value for name, value in changed.items() if name not in kept}


def _is_older(said: Identifier, before: Identifier) -> bool:
    """Whether it is a token that says it, or an answer, which was issued before what is known."""
    now, then = said.data.get("iat"), before.data.get("iat")
    return isinstance(now, int | float) and isinstance(then, int | float) and now < then


def _after(before: Identifier, said: Identifier) -> tuple[Identifier, bool]:
    """The identifier as it is to be, and whether it says something new."""
    if says_the_same(before.data, said.data) and equal(before.attributes, said.attributes):
        return replace(before, refreshed_at=said.refreshed_at, verified_email=said.verified_email), False
    after = replace(
        before,
        data=said.data,
        attributes=said.attributes,
        version=before.version + 1,
        updated_at=max(said.updated_at, before.updated_at),
        refreshed_at=said.refreshed_at,
        verified_email=said.verified_email,
    )
    return after, True


def is_fresh(provider: Provider, refreshed_at: float | None, now: float) -> bool:
    """Whether what is known of a user is not as old yet as `provider` wants it asked anew.

    :param refreshed_at: see :meth:`Refreshing.is_due`; `now` is on the same scale.
    """
    then = refreshed_at or 0
    # A clock that was set back makes it wait no longer than a right one.
    return then <= now and now - then < provider.userinfo_refresh
