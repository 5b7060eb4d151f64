"""The keys behind one `jwks_uri`: fetched once for all who wait, renewed when due, kept while the provider is down."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..errors import REST, ProviderUnavailable
from ..http import Answer, Http
from .key_set import KeySet, SkippedKey, read_key_set
from .keys import ALGORITHMS, VerificationKey, spellings
from .token_bucket import TokenBucket

UNKNOWN_KEY_FETCHES = 4
"""Fetches on account of unknown key ids that may follow each other at once: a rotation needs one."""
UNKNOWN_KEY_REFILL = 10.0
"""Seconds after which one more is allowed; so many a flood of invented key ids can cost a rotation."""
PATIENCE = 1.0
"""Seconds from the begin of a fetch for which tokens under unknown key ids wait for it, each in a thread of the server;
after it they are refused as if the provider were down, so that a slow provider does not take up every thread."""

log = logging.getLogger(__name__)

_NAMES = frozenset(n for name, spec in ALGORITHMS.items() if spec.key_type != "oct" for n in spellings(name))


@dataclass(frozen=True, slots=True)
class KeySourceState:
    """What an operator wants to know of a key source. Times are seconds since the epoch.

    :param fetched_at: when the keys came; `None` before the first.
    :param refresh_at: when they are due for renewal.
    :param pending: whether a fetch is under way.
    :param last_error: why the latest fetch failed; `None` once one succeeds.
    :param keys: those that serve.
    :param skipped: those that do not, each with its reason.
    """

    jwks_uri: str
    fetched_at: float | None
    refresh_at: float | None
    pending: bool
    last_error: str | None
    keys: tuple[VerificationKey, ...]
    skipped: tuple[SkippedKey, ...]


@dataclass(frozen=True, slots=True)
class _Fetched:
    key_set: KeySet
    at: float


@dataclass(frozen=True, slots=True)
class _Failure:
    description: str | None
    hint: str | None
    at: float


class RemoteKeys:
    """A :class:`~flask_foreign_token.introspection.keys.KeySource` that asks the provider.

    Making one does no I/O. Belongs to the process that made it.

    :param ttl: seconds after which the keys are fetched again.
    :param grace: seconds for which keys that are due still serve while the provider cannot be reached.
    :param rsa_algorithms: see :func:`~flask_foreign_token.introspection.key_set.read_key_set`.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self,
        http: Http,
        jwks_uri: str,
        *,
        ttl: float,
        grace: float,
        rsa_algorithms: Collection[str] = ("RS256",),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._http = http
        self._jwks_uri = jwks_uri
        self._ttl = ttl
        self._grace = grace
        self._rsa_algorithms = frozenset(rsa_algorithms)
        self._clock = clock
        # Whoever holds the lock may fetch. What it guards is replaced as a whole, so that readers need no lock.
        self._lock = threading.Lock()
        self._fetched: _Fetched | None = None
        self._failure: _Failure | None = None
        self._bucket = TokenBucket(UNKNOWN_KEY_FETCHES, UNKNOWN_KEY_REFILL)
        self._fetches_begun = 0
        self._last_answered = 0
        self._fetching_since: float | None = None
        self._retired = False

    @property
    def state(self) -> KeySourceState:
        """How things stand at this moment."""
        fetched, failure = self._fetched, self._failure
        return KeySourceState(
            jwks_uri=self._jwks_uri,
            fetched_at=fetched.at if fetched else None,
            refresh_at=fetched.at + self._ttl if fetched else None,
            pending=self._lock.locked(),
            last_error=(failure.hint or failure.description) if failure else None,
            keys=tuple(fetched.key_set.keys.values()) if fetched else (),
            skipped=fetched.key_set.skipped if fetched else (),
        )

    def find(self, key_id: str | None, algorithm: str) -> Sequence[VerificationKey]:
        """The keys with this `key_id` that serve `algorithm`; an unknown `key_id` may have the keys fetched again.

        :raises ProviderUnavailable: there are no keys, or none of that name and no way to learn whether there is one.
        """
        if algorithm not in _NAMES:
            return ()
        # A fetch that begins after this line answers for this token: its key was published before it was signed with.
        begun = self._fetches_begun
        key_set = self._in_force()
        if key_id is not None and not key_set.lists(key_id):
            key_set = self._look_again(key_id, begun)
        return key_set.find(key_id, algorithm)

    def retire(self) -> None:
        """Withdraw every key, now and later: nobody watches this source any more, so that what rests on it must fall.

        It waits for nothing.
        """
        # In this order, and the reverse in `_fetch`, so that a fetch under way does not slip through.
        self._retired = True
        fetched = self._fetched
        if fetched is not None:
            fetched.key_set.withdraw_all()

    def _in_force(self) -> KeySet:
        fetched = self._serving()
        if fetched is None:
            return self._wait_for_keys()
        if self._is_due(fetched):
            self._renew_unless_another_does()
            return (self._fetched or fetched).key_set
        return fetched.key_set

    def _serving(self) -> _Fetched | None:
        fetched = self._fetched
        if fetched is None or self._clock() >= fetched.at + self._ttl + self._grace:
            return None
        return fetched

    def _is_due(self, fetched: _Fetched | None) -> bool:
        return fetched is None or self._clock() >= fetched.at + self._ttl

    def _wait_for_keys(self) -> KeySet:
        with self._lock:
            return (self._serving() or self._fetch()).key_set

    def _renew_unless_another_does(self) -> None:
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._is_due(self._fetched):
                self._fetch()
        except ProviderUnavailable:
            pass  # the keys there are serve through the grace; the state tells
        finally:
            self._lock.release()

    def _look_again(self, key_id: str, begun: int) -> KeySet:
        with self._turn():
            known = self._fetched
            if known is not None and self._needs_no_fetch(known.key_set, key_id, begun):
                return known.key_set
            fetched = self._fetch()
            # Failures are not counted: the rest after them keeps them rare, and an outage must not use up what the
            # first token after it needs.
            self._bucket.take(fetched.at)
            return fetched.key_set

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Hold the lock.

        :raises ProviderUnavailable: another fetch takes longer than :data:`PATIENCE`.
        """
        since = self._fetching_since
        patience = PATIENCE if since is None else max(0.0, since + PATIENCE - time.monotonic())
        if not self._lock.acquire(timeout=patience):
            raise ProviderUnavailable(hint="the key set: a fetch is under way and takes long")
        try:
            yield
        finally:
            self._lock.release()

    def _needs_no_fetch(self, key_set: KeySet, key_id: str, begun: int) -> bool:
        if key_set.lists(key_id) or self._last_answered > begun:
            return True
        return not self._rests() and not self._bucket.holds_one(self._clock())

    def _rests(self) -> bool:
        return self._failure is not None and self._clock() < self._failure.at + REST

    def _fetch(self) -> _Fetched:
        """Fetch the keys; the caller holds the lock.

        :raises ProviderUnavailable: they cannot be had, or could not be had within the last few seconds.
        """
        if self._failure is not None and self._rests():
            raise ProviderUnavailable(self._failure.description, hint=self._failure.hint)
        self._fetches_begun += 1
        self._fetching_since = time.monotonic()
        try:
            key_set = self._download()
        except ProviderUnavailable as error:
            self._failure = _Failure(error.description, error.hint, self._clock())
            raise
        finally:
            self._fetching_since = None
        previous = self._fetched
        self._fetched = fetched = _Fetched(key_set, self._clock())
        self._failure = None
        self._last_answered = self._fetches_begun
        if previous is not None:
            previous.key_set.withdraw(key_set)
        if self._retired:
            key_set.withdraw_all()
        return fetched

    def _download(self) -> KeySet:
        answer = self._http.get(self._jwks_uri)
        try:
            return self._read(answer)
        except ProviderUnavailable as useless:
            # As an exchange it went well, so that nobody has logged it yet.
            log.warning("%s: %s", urlsplit(self._jwks_uri).hostname, useless.hint)
            raise

    def _read(self, answer: Answer) -> KeySet:
        if answer.status != 200:
            raise ProviderUnavailable(hint=f"the key set: status {answer.status}")
        known = self._fetched.key_set if self._fetched else None
        return read_key_set(answer.json, self._rsa_algorithms, known)
