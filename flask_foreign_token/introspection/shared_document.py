"""A document of a provider that one worker fetches for all of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

from ..errors import ProviderUnavailable
from ..fetches import Kind
from ..shared_cache import ALONE, CLAIM, Shared, Sharing
from .kept_document import Kept

LOOK = 1.0
"""Seconds between two looks for what other workers have fetched, where nothing waits for it."""
WAIT = 5.0
"""Seconds for which a worker that has nothing waits while others fetch the same; then it fetches itself.

Longer than :data:`~flask_foreign_token.shared_cache.CLAIM`, so that those who wait for one that is slow or was killed
take its claim over one by one, rather than all ask at once when they have waited long enough: of a thousand workers
that begin at once and whose provider takes 2 s, two ask it. The price: where nobody brings anything, all have waited so
long in vain."""
SHORT_WAIT = 0.3
"""The same for a worker that has something which serves. Most fetches take less; and where somebody claims who is no
worker, those who wait within this one, for a second, are not refused for it."""

_FIRST_PAUSE, _LAST_PAUSE = 0.01, 0.1

D = TypeVar("D")
T = TypeVar("T")


class SharedDocument(Generic[D]):
    """What workers leave each other of one document. Within a process, for one thread at a time.

    :param name: where it is fetched; raises :class:`.ProviderUnavailable` where nobody knows.
    :param read: the document that another worker left, checked like one that was fetched; gets the one before it.
        Raises :class:`.ProviderUnavailable` where it is of no use.
    :param ttl: seconds of its life, at most.
    :param grace: seconds for which it is wanted after its life, where nobody can fetch another.
    :param clock: seconds since the epoch.
    :param sleep: waits for so many seconds.
    """

    def __init__(
        self,
        sharing: Sharing,
        kind: Kind,
        *,
        name: Callable[[], str],
        read: Callable[[object, D | None], D],
        ttl: float,
        grace: float,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sharing = sharing
        self._kind = kind
        self._name = name
        self._read = read
        self._ttl = ttl
        self._grace = grace
        self._clock = clock
        self._sleep = sleep
        self._looked_at = -math.inf

    @property
    def held_up(self) -> float:
        """Seconds for which somebody who was killed can keep others from a fetch."""
        return 0.0 if self._sharing is ALONE else CLAIM

    def glance(self, known: Kept[D] | None, *, graced: bool = False) -> Kept[D] | None:
        """As :meth:`newer`, once in :data:`LOOK` seconds; none in between."""
        if self._looked_at <= self._clock() < self._looked_at + LOOK:
            return None
        return self.newer(known, graced=graced)

    def newer(self, known: Kept[D] | None, *, graced: bool = False) -> Kept[D] | None:
        """What another worker fetched, later than `known` was.

        :param graced: also where its life is over, within the grace.
        """
        self._looked_at = now = self._clock()
        place = self._place()
        if place is None:
            return None
        found = self._sharing.find(self._kind, place, grace=self._grace if graced else 0.0)
        if found is None or (known is not None and found.at <= known.fetched_at):
            return None
        try:
            document = self._read(found.value, known.document if known else None)
        except ProviderUnavailable:
            return None
        kept = Kept(document, found.at, min(found.until, found.at + self._ttl))
        return kept if graced or not kept.is_over(now) else None

    def leave(self, value: object, fetched: Kept[D]) -> None:
        """Let others have what was fetched.

        :param value: what it was read from.
        """
        place = self._place()
        if place is not None:
            shared = Shared(value, fetched.fetched_at, fetched.expires_at)
            self._sharing.leave(self._kind, place, shared, grace=self._grace)

    @contextmanager
    def turn(self, look: Callable[[], T | None], *, wait: float) -> Iterator[T | None]:
        """A block in which it is the caller's to fetch, unless it gets what another worker brought in place of that.

        :param look: what another brought that would do; asked after each attempt to claim.
        :param wait: seconds after which it is the caller's, although another is about to fetch it; zero: it is not.
        :raises ProviderUnavailable: it is left to the other.
        """
        place = self._place()
        if place is None:
            yield None
            return
        found, mark = self._awaited(place, look, wait)
        if found is None and mark is None and not wait:
            raise ProviderUnavailable(hint="another worker is about to fetch it")
        try:
            yield found
        finally:
            if mark is not None:
                self._sharing.release(self._kind, place, mark)

    def _place(self) -> str | None:
        """Under what it is shared; none: it is not."""
        if self._sharing is ALONE:
            return None
        with suppress(ProviderUnavailable):
            return self._name()
        return None

    def _awaited(self, place: str, look: Callable[[], T | None], wait: float) -> tuple[T | None, str | None]:
        """What `look` found, and the mark of the claim if it is the caller's."""
        waited, pause = 0.0, _FIRST_PAUSE
        while True:
            mark = self._sharing.claim(self._kind, place)
            found = look()
            if mark is not None or found is not None or waited >= wait:
                return found, mark
            self._sleep(pause)
            waited, pause = waited + pause, min(pause * 1.5, _LAST_PAUSE)
