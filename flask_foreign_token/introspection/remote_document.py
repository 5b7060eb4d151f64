"""A document of a provider: fetched once for all who wait, renewed before its life is over, kept during an outage."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Generic, TypeAlias, TypeVar

from ..errors import REST, ProviderUnavailable
from .background import Begin, in_background
from .freshness import life_of
from .kept_document import DocumentState, Failure, Fetched, Kept
from .shared_document import SHORT_WAIT, WAIT, Obtained, SharedDocument
from .token_bucket import TokenBucket

REFRESH_AHEAD = 0.8
"""The part of its life after which a document is renewed in the background."""
REFRESH_SPREAD = 0.1
"""The part of its life over which many processes spread their renewals."""
PATIENCE = 1.0
"""Seconds from the begin of a call for which those wait who did not make it and need what it brings, each in a thread
of the server: a later document than there is, or what is said of a token. After it they are refused as if the provider
were down, so that a slow provider does not take up every thread."""

LOOK = 1.0
"""Seconds between two looks for what other workers have fetched, where nothing waits for it."""
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

    From :data:`REFRESH_AHEAD` of its life on, the first who asks has it renewed in the background and everybody goes on
    with what there is. Where that does not come about, the first who asks after its life is over renews it, and the
    others go on. After a fetch that failed nothing is tried for :data:`~flask_foreign_token.errors.REST` seconds.

    A clock that is set back to before the fetch ends the life of the document, rather than prolonging it.

    Where workers share documents, one that another has fetched later is taken in place of a fetch, for no longer than
    it serves there. While another is about to fetch it, who has nothing that serves waits for :data:`.WAIT` seconds
    at most, and who has for :data:`.SHORT_WAIT`; in a renewal while the provider is down nobody waits.

    Making one asks nobody and begins nothing. Belongs to the process that made it.

    :param name: what the document is called where there is none.
    :param fetch: brings the document; gets the one before it. It raises :class:`.ProviderUnavailable`, having told the
        log.
    :param shared: what other workers fetched; none: nothing is shared.
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
        shared: SharedDocument[D] | None = None,
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
        # Whoever holds the lock may fetch. What it guards is replaced as a whole, so that readers need no lock.
        self._lock = threading.Lock()
        self._kept: Kept[D] | None = None
        self._failure: Failure | None = None
        self._begun = 0
        self._last_answered = 0
        self._fetching_since: float | None = None
        self._claiming = threading.Lock()
        self._claimed: Kept[D] | None = None
        self._looked_at = self._yielded_at = -math.inf

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
        kept = self._serving() or self._first()
        now = self._clock()
        if kept.is_over(now):
            self._renew_unless_another_does()
            return (self._kept or kept).document
        if now >= kept.refresh_at:
            self._have_renewed(kept)
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

        with self._turn():
            kept = self._kept
            if kept is not None and (will_do(kept) or self._last_answered > begun):
                return kept.document
            self._glance(will_do)
            kept = self._kept
            if kept is not None and will_do(kept):
                return kept.document
            if kept is not None and not self._resting() and not bucket.holds_one(self._clock()):
                return kept.document
            replaced = self._replace(will_do, wait=SHORT_WAIT)
            # Failures are not counted: the rest after them keeps them rare, and an outage must not use up what the
            # first who comes after it needs.
            bucket.take(self._clock())
            return replaced.document

    def _serving(self) -> Kept[D] | None:
        kept = self._kept
        return kept if kept is not None and self._clock() < kept.expires_at + self._grace else None

    def _first(self) -> Kept[D]:
        """A document that serves where none did.

        :raises ProviderUnavailable: there is none, and none can be had.
        """
        with self._lock:
            kept = self._serving() or self._glance(self._is_fresh)
            if kept is not None:
                return kept
            # Where others have left one within its grace, which serves in the end, there is no need to wait for long.
            is_graced = not self._resting() and self._shared is not None and self._shared.newer(None, graced=True)
            try:
                return self._replace(self._is_fresh, wait=SHORT_WAIT if is_graced else WAIT)
            except ProviderUnavailable:
                kept = self._serving()
                if kept is None:
                    raise
                return kept

    def _renew_unless_another_does(self) -> None:
        if self._is_lately(self._yielded_at, LOOK) or not self._lock.acquire(blocking=False):
            return
        try:
            kept = self._kept
            if kept is None or kept.is_over(self._clock()):
                self._renewed()
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
            self._kept = Kept(kept.document, now, now, now)

    def _have_renewed(self, kept: Kept[D]) -> None:
        """Have `kept` renewed in the background, unless somebody has seen to that already."""
        if self._claimed is kept or self._resting() or self._is_lately(self._yielded_at, LOOK):
            return
        if not self._claiming.acquire(blocking=False):
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

    def _renew(self, kept: Kept[D]) -> None:
        with self._lock:
            if self._kept is not kept:
                return
            # Whoever asks after the rest begins anew.
            with suppress(ProviderUnavailable):
                self._renewed()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        since = self._fetching_since
        if since is None:
            # Whoever holds the lock may wait for a worker that was killed while it held a claim.
            patience = PATIENCE + (0.0 if self._shared is None else self._shared.held_up)
        else:
            patience = max(0.0, since + PATIENCE - time.monotonic())
        if not self._lock.acquire(timeout=patience):
            raise ProviderUnavailable(hint=f"{self._name}: a fetch is under way and takes long")
        try:
            yield
        finally:
            self._lock.release()

    def _resting(self) -> bool:
        failure = self._failure
        return failure is not None and self._is_lately(failure.at, REST)

    def _is_fresh(self, kept: Kept[D]) -> bool:
        return not kept.is_over(self._clock())

    def _is_lately(self, at: float, seconds: float) -> bool:
        """Whether less than so many seconds have passed; a clock that was set back prolongs nothing."""
        return at <= self._clock() < at + seconds

    def _renewed(self) -> Kept[D]:
        """A later document than there is; the caller holds the lock.

        Where another worker is about to fetch it, this one waits for a moment. Only once it has found itself that the
        provider is down does it leave that to others: who writes claims, and is no worker, must not prolong the life of
        what there is.

        :raises ProviderUnavailable: it cannot be had, or is left to another.
        """
        failure = self._failure
        is_down = failure is not None and self._is_lately(failure.at, YIELD)
        return self._glance(self._is_fresh) or self._replace(self._is_fresh, wait=0.0 if is_down else SHORT_WAIT)

    def _glance(self, will_do: WillDo[D]) -> Kept[D] | None:
        """As :meth:`_adopted`, once in :data:`LOOK` seconds."""
        return None if self._is_lately(self._looked_at, LOOK) else self._adopted(will_do)

    def _adopted(self, will_do: WillDo[D], *, graced: bool = False) -> Kept[D] | None:
        """What another worker has fetched later; none: nothing that will do. It is in force in any case, so that it is
        read once. The caller holds the lock.

        :param graced: also where its life is over, within the grace.
        """
        if self._shared is None:
            return None
        kept, self._looked_at = self._kept, self._clock()
        obtained = self._shared.newer(None if kept is None else kept.obtained, graced=graced)
        if obtained is None:
            return None
        kept = self._put_in_force(obtained)
        return kept if will_do(kept) else None

    def _replace(self, will_do: WillDo[D], *, wait: float) -> Kept[D]:
        """Fetch the document, unless another worker is about to bring one that will do; the caller holds the lock.

        :param wait: seconds to wait for the other, and then to fetch nevertheless; zero: leave it to the other.
        :raises ProviderUnavailable: it cannot be had, could not be had within the last few seconds, or is left to the
            other.
        """
        if self._failure is not None and self._resting():
            raise Resting(self._failure.description, hint=self._failure.hint, at=self._failure.at)
        if self._shared is None:
            return self._fetched(will_do)
        with self._shared.turn(lambda: self._adopted(will_do), wait=wait) as turn:
            if turn.found is not None:
                return turn.found
            if not turn.is_granted and not wait:
                self._yielded_at, self._claimed = self._clock(), None
                raise ProviderUnavailable(hint=f"{self._name}: another worker is about to fetch it")
            return self._fetched(will_do)

    def _fetched(self, will_do: WillDo[D]) -> Kept[D]:
        previous, begun_at = self._kept, self._clock()
        self._begun += 1
        self._fetching_since = time.monotonic()
        try:
            fetched = self._fetch(previous.document if previous else None)
        except ProviderUnavailable as error:
            return self._put_in_force_instead(error, will_do)
        finally:
            self._fetching_since = None
        obtained = Obtained(fetched.document, begun_at, begun_at + life_of(fetched.headers, self._ttl))
        self._last_answered = self._begun
        kept = self._put_in_force(obtained)
        if self._shared is not None:
            self._shared.leave(fetched.value, obtained)
        return kept

    def _put_in_force_instead(self, error: ProviderUnavailable, will_do: WillDo[D]) -> Kept[D]:
        """What another worker has left, where it can be fetched no more.

        :raises ProviderUnavailable: `error`, where there is nothing.
        """
        at = error.at if isinstance(error, Resting) else self._clock()
        kept = self._adopted(will_do, graced=True)
        self._failure = Failure(error.description, error.hint, at)
        self._claimed = None
        if kept is None:
            raise error
        return kept

    def _put_in_force(self, obtained: Obtained[D]) -> Kept[D]:
        previous = self._kept
        until = min(obtained.until, obtained.at + self._ttl)
        ahead = REFRESH_AHEAD + REFRESH_SPREAD * self._jitter()
        kept = Kept(obtained.document, obtained.at, obtained.at + (until - obtained.at) * ahead, until)
        self._kept = kept
        self._failure = self._claimed = None
        self._on_change(previous.document if previous else None, kept.document)
        return kept
