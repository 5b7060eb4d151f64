"""A document of a provider: fetched once for all who wait, renewed before its life is over, kept during an outage."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ..errors import REST, ProviderUnavailable
from .background import Begin, in_background
from .freshness import life_of
from .token_bucket import TokenBucket

REFRESH_AHEAD = 0.8
"""The part of its life after which a document is renewed in the background."""
REFRESH_SPREAD = 0.1
"""The part of its life over which many processes spread their renewals."""
PATIENCE = 1.0
"""Seconds from the begin of a call for which those wait who did not make it and need what it brings, each in a thread
of the server: a later document than there is, or what is said of a token. After it they are refused as if the provider
were down, so that a slow provider does not take up every thread."""

D = TypeVar("D")


class Resting(ProviderUnavailable):
    """Nothing was tried, since it failed a moment ago.

    :param at: when it failed, in seconds since the epoch.
    """

    def __init__(self, description: str | None, *, hint: str | None, at: float) -> None:
        super().__init__(description, hint=hint)
        self.at = at


@dataclass(frozen=True, slots=True)
class Fetched(Generic[D]):
    """What a fetch brings.

    :param headers: of the answer, names in lower case.
    """

    document: D
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class DocumentState(Generic[D]):
    """How things stand with a document. Times are seconds since the epoch.

    :param document: the one that is kept, if there is one; its life may be over.
    :param fetched_at: when it came.
    :param refresh_at: when it is renewed, if somebody asks for it.
    :param expires_at: when its life is over.
    :param pending: whether a fetch is under way.
    :param last_error: why the latest fetch failed; `None` once one succeeds.
    """

    document: D | None
    fetched_at: float | None
    refresh_at: float | None
    expires_at: float | None
    pending: bool
    last_error: str | None


@dataclass(frozen=True, slots=True)
class _Kept(Generic[D]):
    document: D
    fetched_at: float
    refresh_at: float
    expires_at: float

    def is_over(self, now: float) -> bool:
        return not self.fetched_at <= now < self.expires_at


@dataclass(frozen=True, slots=True)
class _Failure:
    description: str | None
    hint: str | None
    at: float


class RemoteDocument(Generic[D]):
    """A document that is fetched when somebody asks for it, by one thread at a time.

    From :data:`REFRESH_AHEAD` of its life on, the first who asks has it renewed in the background and everybody goes on
    with what there is. Where that does not come about, the first who asks after its life is over renews it, and the
    others go on. After a fetch that failed nothing is tried for :data:`~flask_foreign_token.errors.REST` seconds.

    A clock that is set back to before the fetch ends the life of the document, rather than prolonging it.

    Making one asks nobody and begins nothing. Belongs to the process that made it.

    :param name: what the document is called where there is none.
    :param fetch: brings the document; gets the one before it. It raises :class:`.ProviderUnavailable`, having told the
        log.
    :param on_change: told, once it is in force, which document came, and which one before it there was.
    :param ttl: seconds of its life, at most; see :func:`.life_of`.
    :param grace: seconds for which it is kept after its life, while there is no other.
    :param clock: seconds since the epoch.
    :param begin: begins what happens in the background.
    :param jitter: between 0 and 1: where in :data:`REFRESH_SPREAD` the renewal of the next document falls.
    """

    def __init__(
        self,
        name: str,
        fetch: Callable[[D | None], Fetched[D]],
        *,
        on_change: Callable[[D | None, D], None] = lambda previous, current: None,
        ttl: float,
        grace: float,
        clock: Callable[[], float] = time.time,
        begin: Begin = in_background,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._name = name
        self._fetch = fetch
        self._on_change = on_change
        self._ttl = ttl
        self._grace = grace
        self._clock = clock
        self._begin = begin
        self._jitter = jitter
        # Whoever holds the lock may fetch. What it guards is replaced as a whole, so that readers need no lock.
        self._lock = threading.Lock()
        self._kept: _Kept[D] | None = None
        self._failure: _Failure | None = None
        self._begun = 0
        self._last_answered = 0
        self._fetching_since: float | None = None
        self._claiming = threading.Lock()
        self._claimed: _Kept[D] | None = None

    @property
    def known(self) -> D | None:
        """The document that is kept, if there is one; its life may be over."""
        kept = self._kept
        return kept.document if kept else None

    @property
    def serves_until(self) -> float:
        """When the document that is kept serves no more, in seconds since the epoch; past, where there is none."""
        kept = self._kept
        return kept.expires_at + self._grace if kept else -math.inf

    @property
    def begun(self) -> int:
        """How many fetches have begun; see :meth:`fetched_after`."""
        return self._begun

    @property
    def state(self) -> DocumentState[D]:
        """How things stand at this moment."""
        kept, failure = self._kept, self._failure
        return DocumentState(
            document=kept.document if kept else None,
            fetched_at=kept.fetched_at if kept else None,
            refresh_at=kept.refresh_at if kept else None,
            expires_at=kept.expires_at if kept else None,
            pending=self._fetching_since is not None,
            last_error=(failure.hint or failure.description) if failure else None,
        )

    def current(self) -> D:
        """The document in force.

        :raises ProviderUnavailable: there is none, and none can be had.
        """
        kept = self._kept
        now = self._clock()
        if kept is None or now >= kept.expires_at + self._grace:
            return self._wait_for_one()
        if kept.is_over(now):
            self._renew_unless_another_does()
            return (self._kept or kept).document
        if now >= kept.refresh_at:
            self._have_renewed(kept)
        return kept.document

    def fetched_after(self, begun: int, *, unless: Callable[[D], bool], bucket: TokenBucket) -> D:
        """The document that is brought by a fetch that began later than `begun` others, or one that will do as well.

        :param begun: how many fetches had begun when something turned up that the document must tell of.
        :param unless: whether a document will do as it is; then none is fetched.
        :param bucket: limits these fetches; while it is empty, the document that is there must do.
        :raises ProviderUnavailable: it cannot be had, or another fetch takes longer than :data:`PATIENCE`.
        """
        with self._turn():
            kept = self._kept
            if kept is not None and (unless(kept.document) or self._last_answered > begun):
                return kept.document
            if kept is not None and not self._resting() and not bucket.holds_one(self._clock()):
                return kept.document
            fetched = self._replace()
            # Failures are not counted: the rest after them keeps them rare, and an outage must not use up what the
            # first who comes after it needs.
            bucket.take(fetched.fetched_at)
            return fetched.document

    def _wait_for_one(self) -> D:
        with self._lock:
            kept = self._kept
            if kept is None or self._clock() >= kept.expires_at + self._grace:
                kept = self._replace()
            return kept.document

    def _renew_unless_another_does(self) -> None:
        if not self._lock.acquire(blocking=False):
            return
        try:
            kept = self._kept
            if kept is None or kept.is_over(self._clock()):
                self._replace()
        except ProviderUnavailable:
            # What there is serves through the grace; the state tells.
            self._hold_to_the_clock()
        finally:
            self._lock.release()

    def _hold_to_the_clock(self) -> None:
        """Let the grace begin now where the clock was set back, or it would be as much longer; the caller holds the
        lock.
        """
        kept, now = self._kept, self._clock()
        if kept is not None and now < kept.fetched_at:
            self._kept = _Kept(kept.document, now, now, now)

    def _have_renewed(self, kept: _Kept[D]) -> None:
        """Have `kept` renewed in the background, unless somebody has seen to that already."""
        if self._claimed is kept or self._resting() or not self._claiming.acquire(blocking=False):
            return
        try:
            if self._claimed is kept or self._kept is not kept:
                return
            # It stays claimed until a fetch has ended, even where nothing can be begun or what was begun never runs:
            # then it is renewed on request, once its life is over.
            self._claimed = kept
        finally:
            self._claiming.release()
        self._begin(lambda: self._renew(kept))

    def _renew(self, kept: _Kept[D]) -> None:
        with self._lock:
            if self._kept is not kept:
                return
            # Whoever asks after the rest begins anew.
            with suppress(ProviderUnavailable):
                self._replace()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        since = self._fetching_since
        patience = PATIENCE if since is None else max(0.0, since + PATIENCE - time.monotonic())
        if not self._lock.acquire(timeout=patience):
            raise ProviderUnavailable(hint=f"{self._name}: a fetch is under way and takes long")
        try:
            yield
        finally:
            self._lock.release()

    def _resting(self) -> bool:
        failure = self._failure
        # A clock that was set back prolongs no rest.
        return failure is not None and failure.at <= self._clock() < failure.at + REST

    def _replace(self) -> _Kept[D]:
        """Fetch the document; the caller holds the lock.

        :raises ProviderUnavailable: it cannot be had, or could not be had within the last few seconds.
        """
        if self._failure is not None and self._resting():
            raise Resting(self._failure.description, hint=self._failure.hint, at=self._failure.at)
        previous = self._kept
        self._begun += 1
        self._fetching_since = time.monotonic()
        try:
            fetched = self._fetch(previous.document if previous else None)
        except ProviderUnavailable as error:
            at = error.at if isinstance(error, Resting) else self._clock()
            self._failure = _Failure(error.description, error.hint, at)
            self._claimed = None
            raise
        finally:
            self._fetching_since = None
        self._kept = kept = self._beginning_now(fetched)
        self._failure = self._claimed = None
        self._last_answered = self._begun
        self._on_change(previous.document if previous else None, kept.document)
        return kept

    def _beginning_now(self, fetched: Fetched[D]) -> _Kept[D]:
        now = self._clock()
        life = life_of(fetched.headers, self._ttl)
        ahead = REFRESH_AHEAD + REFRESH_SPREAD * self._jitter()
        return _Kept(fetched.document, now, now + life * ahead, now + life)
