"""A document of a provider that one worker fetches for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Generic, NamedTuple, TypeVar

from ..errors import ProviderUnavailable
from ..fetches import Kind
from ..shared_cache import ALONE, CLAIM, Shared, Sharing

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


class Obtained(NamedTuple, Generic[D]):
    """A document, by whomever it was fetched.

    :param at: when the fetch began, in seconds since the epoch.
    :param until: when its life is over.
    """

    document: D
    at: float
    until: float


class Turn(NamedTuple, Generic[T]):
    """What becomes of a wish to fetch something.

    :param found: what another worker brought in place of it.
    :param is_granted: whether nobody else is about to fetch it.
    """

    found: T | None
    is_granted: bool


class SharedDocument(Generic[D]):
    """What workers leave each other of one document.

    :param name: where it is fetched; raises :class:`.ProviderUnavailable` where nobody knows.
    :param read: the document that another worker left, checked like one that was fetched; gets the one before it.
        Raises :class:`.ProviderUnavailable` where it is of no use.
    :param grace: seconds for which it is wanted after its life, where nobody can fetch another.
    :param sleep: waits for so many seconds.
    """

    def __init__(
        self,
        sharing: Sharing,
        kind: Kind,
        *,
        name: Callable[[], str],
        read: Callable[[object, D | None], D],
        grace: float,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sharing = sharing
        self._kind = kind
        self._name = name
        self._read = read
        self._grace = grace
        self._sleep = sleep

    @property
    def held_up(self) -> float:
        """Seconds for which somebody who was killed can keep others from a fetch."""
        return 0.0 if self._sharing is ALONE else CLAIM

    def newer(self, known: Obtained[D] | None, *, graced: bool = False) -> Obtained[D] | None:
        """What another worker fetched, later than `known` was.

        :param graced: also where its life is over, within the grace.
        """
        if self._sharing is ALONE:
            return None
        with suppress(ProviderUnavailable):
            found = self._sharing.find(self._kind, self._name(), grace=self._grace if graced else 0.0)
            if found is not None and (known is None or found.at > known.at):
                return Obtained(self._read(found.value, known and known.document), found.at, found.until)
        return None

    def leave(self, value: object, obtained: Obtained[D]) -> None:
        """Let others have what was fetched.

        :param value: what it was read from.
        """
        if self._sharing is not ALONE:
            shared = Shared(value, obtained.at, obtained.until)
            with suppress(ProviderUnavailable):
                self._sharing.leave(self._kind, self._name(), shared, grace=self._grace)

    @contextmanager
    def turn(self, look: Callable[[], T | None], *, wait: float) -> Iterator[Turn[T]]:
        """A block in which it is the caller's to fetch, unless another worker brings what `look` finds.

        :param look: what would do; asked after each attempt to claim.
        :param wait: seconds after which no more is attempted; zero: after the first.
        """
        name = self._claimable()
        if name is None:
            yield Turn(None, is_granted=True)
            return
        found, mark = self._awaited(name, look, wait)
        try:
            yield Turn(found, is_granted=mark is not None)
        finally:
            if mark is not None:
                self._sharing.release(self._kind, name, mark)

    def _claimable(self) -> str | None:
        if self._sharing is ALONE:
            return None
        with suppress(ProviderUnavailable):
            return self._name()
        return None

    def _awaited(self, name: str, look: Callable[[], T | None], wait: float) -> tuple[T | None, str | None]:
        """What `look` found, and the mark of the claim if it is the caller's."""
        waited, pause = 0.0, _FIRST_PAUSE
        while True:
            mark = self._sharing.claim(self._kind, name)
            found = look()
            if mark is not None or found is not None or waited >= wait:
                return found, mark
            self._sleep(pause)
            waited, pause = waited + pause, min(pause * 1.5, _LAST_PAUSE)
