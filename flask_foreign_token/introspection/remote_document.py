"""A document of a provider: fetched once for all who wait, renewed before its life is over, kept during an outage."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeAlias, TypeVar

from ..errors import REST, ProviderUnavailable
from .background import Begin, in_background
from .freshness import life_of
from .kept_document import DocumentState, Failure, Fetched, Kept
from .shared_document import LOOK, SHORT_WAIT, WAIT, SharedDocument
from .token_bucket import TokenBucket

REFRESH_AHEAD = 0.8
"""The part of its life after which a document is renewed in the background."""
REFRESH_SPREAD = 0.1
"""The part of its life over which many processes spread their renewals."""
PATIENCE = 1.0
"""Seconds from the begin of a call for which those wait who did not make it and need what it brings, each in a thread
of the server: a later document than there is, or what is said of a token. After it they are refused as if the provider
were down, so that a slow provider does not take up every thread."""
YIELD = 300.0
"""Seconds after a fetch that failed for which a worker leaves it to others that are about to do so to find out whether
the provider is back, as long as what it has serves.

So long after a failure can somebody put a renewal off who is no worker and writes claims into the shared cache. With
60 s, a thousand workers that share fetch 2,921 times in an outage of three minutes in which the provider does not
answer; with this 1,187 times, and each for itself 13,120 times."""

D = TypeVar("D")


class Resting(ProviderUnavailable):
    """Nothing was tried, since it failed a moment ago.

    :param at: when it failed, in seconds since the epoch.
    """

    def __init__(self, description: str | None, *, hint: str | None, at: float) -> None:
        super().__init__(description, hint=hint)
        self.at = at


WillDo: TypeAlias = Callable[[Kept[D]], bool]


class RemoteDocument(Generic[D]):
    """A document that is fetched when somebody asks for it, by one thread at a time.

    - It is *absent*, or past its grace: whoever asks waits for a fetch.
    - *Fresh*: whoever asks gets it.
    - *Due*, from :data:`REFRESH_AHEAD` of its life on: the first who asks has it renewed in the background, and
      everybody goes on with what there is.
    - *Over*, where that has not come about: the first who asks renews it, and the others go on, as does everybody while
      no other can be had.

    After a fetch that failed nothing is fetched for :data:`~flask_foreign_token.errors.REST` seconds. A clock that is
    set back to before the fetch ends the life of the document, as it ends a rest, rather than prolonging it.

    Where workers share documents, one that another has fetched later is taken in place of a fetch, for no longer than
    it serves there. While another is about to fetch it, who has nothing that serves waits for :data:`.WAIT` seconds
    at most, and who has for :data:`.SHORT_WAIT`; in a renewal while the provider is down nobody waits.

    Making one asks nobody and begins nothing. Belongs to the process that made it.

    :param name: what the document is called where there is none.
    :param fetch: brings the document; gets the one before it. It raises :class:`.ProviderUnavailable`, having told the
        log.
    :param shared: what other workers fetched.
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
        shared: SharedDocument[D],
        on_change: Callable[[D | None, D], None] = lambda previous, current: None,
        ttl: float,
        grace: float,
        clock: Callable[[], float] = time.time,
        begin: Begin = in_background,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._name = name
        self._fetch = fetch
        self._shared = shared
        self._on_change = on_change
        self._ttl = ttl
        self._grace = grace
        self._clock = clock
        self._begin = begin
        self._jitter = jitter
        # Whoever holds the lock may fetch, and changes what follows. Each is replaced as a whole, so that readers need
        # no lock.
        self._lock = threading.Lock()
        self._kept: Kept[D] | None = None
        self._refresh_at = -math.inf
        # From when until when nobody needs to see to the renewal: the document is fresh, or a renewal was begun in the
        # background, or one was tried in vain a moment ago.
        self._seen_to = (-math.inf, -math.inf)
        self._failure: Failure | None = None
        self._begun = 0
        self._last_answered = 0
        self._fetching_since: float | None = None

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
            refresh_at=self._refresh_at if kept else None,
            expires_at=kept.expires_at if kept else None,
            pending=self._fetching_since is not None,
            last_error=(failure.hint or failure.description) if failure else None,
        )

    def current(self) -> D:
        """The document in force.

        :raises ProviderUnavailable: there is none, and none can be had.
        """
        kept, now = self._kept, self._clock()
        if kept is None or now >= kept.expires_at + self._grace:
            kept = self._first()
        elif not self._is_seen_to(now):
            kept = self._see_to(kept)
        return kept.document

    def fetched_after(self, begun: int, *, unless: Callable[[D], bool], bucket: TokenBucket) -> D:
        """The document that is brought by a fetch that began later than `begun` others, or one that will do as well, as
        one that another worker began to fetch from now on.

        :param begun: how many fetches had begun when something turned up that the document must tell of.
        :param unless: whether a document will do as it is; then none is fetched.
        :param bucket: limits these fetches; while it is empty, the document that is there must do.
        :raises ProviderUnavailable: it cannot be had, or another fetch takes longer than :data:`PATIENCE`.
        """
        came = self._clock()

        def will_do(kept: Kept[D]) -> bool:
            return unless(kept.document) or kept.fetched_at > came

        with self._locked_in_time():
            kept = self._kept
            if kept is not None and (will_do(kept) or self._last_answered > begun):
                return kept.document
            found = self._adopted(self._shared.glance(kept), will_do)
            if found is not None:
                return found.document
            kept = self._kept
            if kept is not None and not self._failed_within(REST) and not bucket.holds_one(self._clock()):
                return kept.document
            obtained = self._obtained(will_do, wait=SHORT_WAIT)
            # Failures are not counted: the rest after them keeps them rare, and an outage must not use up what the
            # first who comes after it needs.
            bucket.take(self._clock())
            return obtained.document

    def _first(self) -> Kept[D]:
        """A document that serves where none did.

        :raises ProviderUnavailable: there is none, and none can be had.
        """
        with self._lock:
            kept = self._serving()
            if kept is not None:
                return kept
            left = self._shared.glance(self._kept, graced=True)
            if left is not None and not left.is_over(self._clock()):
                return self._put_in_force(left)
            # One that others left and whose life is over serves in the end, so that it need not wait for long.
            return self._obtained(wait=WAIT if left is None else SHORT_WAIT)

    def _serving(self) -> Kept[D] | None:
        kept = self._kept
        return kept if kept is not None and self._clock() < kept.expires_at + self._grace else None

    def _see_to(self, kept: Kept[D]) -> Kept[D]:
        """Have `kept` renewed, unless somebody does: here and now if its life is over, else in the background.

        :return: what serves meanwhile.
        """
        if not self._lock.acquire(blocking=False):
            return kept
        try:
            now = self._clock()
            if self._kept is not kept or self._is_seen_to(now):
                return self._kept or kept
            if kept.is_over(now):
                return self._renewed(kept)
            if self._failed_within(REST):
                return kept
            # Where nothing can be begun, or what was begun never runs, it is renewed on request, once its life is over.
            self._seen_to = now, kept.expires_at
        finally:
            self._lock.release()
        self._begin(lambda: self._renew(kept))
        return kept

    def _renew(self, kept: Kept[D]) -> None:
        with self._lock:
            if self._kept is kept:
                self._renewed(kept)

    def _renewed(self, kept: Kept[D]) -> Kept[D]:
        """A later document than `kept`, or that one where none can be had; the caller holds the lock.

        Where another worker is about to fetch it, this one waits for a moment. Only once it has found itself that the
        provider is down does it leave that to others: who writes claims, and is no worker, must not prolong the life of
        what there is.
        """
        if self._clock() < kept.fetched_at:
            # The clock was set back. The grace begins now, or it would be as much longer.
            kept = self._kept = Kept(kept.document, self._clock(), self._clock())
        wait = 0.0 if self._failed_within(YIELD) else SHORT_WAIT
        try:
            return self._adopted(self._shared.glance(kept)) or self._obtained(wait=wait)
        except ProviderUnavailable:
            # In a rest nobody fetches anyway, and whoever asks looks for what others bring.
            now, seconds = self._clock(), 0.0 if self._failed_within(REST) else LOOK
            self._seen_to = now, now + seconds
            return kept

    @contextmanager
    def _locked_in_time(self) -> Iterator[None]:
        """A block in which the lock is the caller's.

        :raises ProviderUnavailable: another fetch takes longer than :data:`PATIENCE`.
        """
        since = self._fetching_since
        # Without a fetch, whoever holds the lock may wait for a worker that was killed while it held a claim.
        waits = PATIENCE + self._shared.held_up if since is None else max(0.0, since + PATIENCE - time.monotonic())
        if not self._lock.acquire(timeout=waits):
            raise ProviderUnavailable(hint=f"{self._name}: a fetch is under way and takes long")
        try:
            yield
        finally:
            self._lock.release()

    def _is_seen_to(self, now: float) -> bool:
        begin, end = self._seen_to
        return begin <= now < end

    def _failed_within(self, seconds: float) -> bool:
        failure = self._failure
        return failure is not None and failure.at <= self._clock() < failure.at + seconds

    def _obtained(self, will_do: WillDo[D] = lambda kept: True, *, wait: float) -> Kept[D]:
        """A later document than there is: the one that another worker is about to bring, if it will do, or else one
        that is fetched; the caller holds the lock.

        :param wait: see :meth:`.SharedDocument.turn`.
        :raises ProviderUnavailable: it cannot be had, could not be had within the last few seconds, or is left to the
            other.
        """
        failure = self._failure
        if failure is not None and self._failed_within(REST):
            raise Resting(failure.description, hint=failure.hint, at=failure.at)
        with self._shared.turn(lambda: self._adopted(self._shared.newer(self._kept), will_do), wait=wait) as found:
            return found or self._fetched(will_do)

    def _fetched(self, will_do: WillDo[D]) -> Kept[D]:
        begun_at = self._clock()
        self._begun += 1
        self._fetching_since = time.monotonic()
        try:
            fetched = self._fetch(self.known)
        except ProviderUnavailable as error:
            return self._brought_instead(error, will_do)
        finally:
            self._fetching_since = None
        self._last_answered = self._begun
        kept = self._put_in_force(Kept(fetched.document, begun_at, begun_at + life_of(fetched.headers, self._ttl)))
        self._shared.leave(fetched.value, kept)
        return kept

    def _brought_instead(self, error: ProviderUnavailable, will_do: WillDo[D]) -> Kept[D]:
        """What other workers have left, as long as its grace lasts, where it can be fetched no more.

        :raises ProviderUnavailable: `error`, where nothing will do.
        """
        at = error.at if isinstance(error, Resting) else self._clock()
        found = self._adopted(self._shared.newer(self._kept, graced=True), will_do)
        self._failure = Failure(error.description, error.hint, at)
        if found is None:
            raise error
        return found

    def _adopted(self, left: Kept[D] | None, will_do: WillDo[D] = lambda kept: True) -> Kept[D] | None:
        """What another worker `left`; none: nothing that will do. It is in force in any case, so that it is read once;
        the caller holds the lock.
        """
        if left is None:
            return None
        self._put_in_force(left)
        return left if will_do(left) else None

    def _put_in_force(self, kept: Kept[D]) -> Kept[D]:
        previous = self.known
        ahead = REFRESH_AHEAD + REFRESH_SPREAD * self._jitter()
        self._kept = kept
        self._refresh_at = kept.fetched_at + (kept.expires_at - kept.fetched_at) * ahead
        self._seen_to = kept.fetched_at, self._refresh_at
        self._failure = None
        self._on_change(previous, kept.document)
        return kept
