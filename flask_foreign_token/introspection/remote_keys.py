"""The keys behind one `jwks_uri`."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..errors import ProviderUnavailable
from ..http import Answer, Http
from ..shared_cache import ALONE, Sharing
from .background import Begin, in_background
from .endpoints import Endpoint
from .kept_document import Fetched
from .key_set import KeySet, SkippedKey, read_key_set
from .keys import ALGORITHMS, VerificationKey, spellings
from .remote_document import RemoteDocument
from .shared_document import SharedDocument
from .token_bucket import TokenBucket

UNKNOWN_KEY_FETCHES = 4
"""Fetches on account of unknown key ids that may follow each other at once: a rotation needs one."""
UNKNOWN_KEY_REFILL = 10.0
"""Seconds after which one more is allowed; so many a flood of invented key ids can cost a rotation."""

log = logging.getLogger(__name__)

_NAMES = frozenset(n for name, spec in ALGORITHMS.items() if spec.key_type != "oct" for n in spellings(name))


@dataclass(frozen=True, slots=True)
class KeySourceState:
    """What an operator wants to know of a key source. Times are seconds since the epoch.

    :param jwks_uri: where the keys come from; `None` as long as that must be discovered first.
    :param fetched_at: when the keys came; `None` before the first.
    :param refresh_at: when they are renewed in the background, once a token asks for them.
    :param expires_at: when their life is over, and a token that asks for them waits for new ones.
    :param pending: whether a fetch is under way.
    :param last_error: why the latest fetch failed; `None` once one succeeds.
    :param keys: those that serve.
    :param skipped: those that do not, each with its reason.
    :param introspectors: ids of those in force that rest on them, or whose users' signed userinfo does.
    """

    jwks_uri: str | None
    fetched_at: float | None
    refresh_at: float | None
    expires_at: float | None
    pending: bool
    last_error: str | None
    keys: tuple[VerificationKey, ...]
    skipped: tuple[SkippedKey, ...]
    introspectors: tuple[str, ...] = ()


class RemoteKeys:
    """A :class:`~flask_foreign_token.introspection.keys.KeySource` that asks the provider.

    Making one asks nobody and begins nothing. Belongs to the process that made it.

    :param endpoint: the `jwks_uri`, located anew for each fetch.
    :param ttl: seconds of the life of the keys, at most; see :func:`.life_of`.
    :param grace: seconds for which keys whose life is over still serve while the provider cannot be reached.
    :param rsa_algorithms: see :func:`~flask_foreign_token.introspection.key_set.read_key_set`.
    :param sharing: where workers leave key sets for each other.
    :param clock: seconds since the epoch.
    :param begin: begins a renewal in the background.
    :param jitter: see :class:`.RemoteDocument`.
    :param sleep: see :class:`.SharedDocument`.
    """

    def __init__(
        self,
        http: Http,
        endpoint: Endpoint,
        *,
        ttl: float,
        grace: float,
        rsa_algorithms: Sequence[str] = ("RS256",),
        sharing: Sharing = ALONE,
        clock: Callable[[], float] = time.time,
        begin: Begin = in_background,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = http
        self._endpoint = endpoint
        self._rsa_algorithms = tuple(rsa_algorithms)
        self._ttl = ttl
        self._key_set = RemoteDocument(
            "the key set",
            self._fetch,
            shared=SharedDocument(
                sharing, "keys", name=self.shared_as, read=self._read, ttl=ttl, grace=grace, clock=clock, sleep=sleep
            ),
            on_change=self._withdraw,
            ttl=ttl,
            grace=grace,
            clock=clock,
            begin=begin,
            jitter=jitter,
        )
        self._bucket = TokenBucket(UNKNOWN_KEY_FETCHES, UNKNOWN_KEY_REFILL)
        self._retired = False

    @property
    def state(self) -> KeySourceState:
        """How things stand at this moment."""
        state = self._key_set.state
        key_set = state.document
        return KeySourceState(
            jwks_uri=self._endpoint.known,
            fetched_at=state.fetched_at,
            refresh_at=state.refresh_at,
            expires_at=state.expires_at,
            pending=state.pending,
            last_error=state.last_error,
            keys=tuple(key_set.keys.values()) if key_set else (),
            skipped=key_set.skipped if key_set else (),
        )

    @property
    def serves_until(self) -> float:
        """When the grace of the keys is over, in seconds since the epoch; past, where there are none."""
        return self._key_set.serves_until

    def find(self, key_id: str | None, algorithm: str) -> Sequence[VerificationKey]:
        """The keys with this `key_id` that serve `algorithm`; an unknown `key_id` may have the keys fetched again.

        :raises ProviderUnavailable: there are no keys, or none of that name and no way to learn whether there is one.
        """
        if algorithm not in _NAMES:
            return ()
        # A fetch that begins after this line answers for this token: its key was published before it was signed with.
        begun = self._key_set.begun
        key_set = self._key_set.current()
        if key_id is not None and not key_set.lists(key_id):
            key_set = self._key_set.fetched_after(begun, unless=lambda new: new.lists(key_id), bucket=self._bucket)
        return key_set.find(key_id, algorithm)

    def shared_as(self) -> str:
        """What key sets are left under for other workers. It names who publishes the address as well, so that nobody
        can leave theirs under the address of another; and what else keys can be had anew by.

        :raises ProviderUnavailable: the address must be discovered, and cannot be.
        """
        endpoint = self._endpoint
        return " ".join([endpoint.place, endpoint.locate(), f"{self._ttl:g}", *self._rsa_algorithms])

    def retire(self) -> None:
        """Withdraw every key, now and later: nobody watches this source any more, so that what rests on it must fall.

        It waits for nothing.
        """
        # In this order, and the reverse where keys come, so that a fetch under way does not slip through.
        self._retired = True
        key_set = self._key_set.known
        if key_set is not None:
            key_set.withdraw_all()

    def _withdraw(self, previous: KeySet | None, current: KeySet) -> None:
        if previous is not None:
            previous.withdraw(current)
        if self._retired:
            current.withdraw_all()

    def _fetch(self, known: KeySet | None) -> Fetched[KeySet]:
        jwks_uri = self._endpoint.locate()
        with self._http.fetching("keys") as fetch:
            answer = self._http.get(jwks_uri)
            try:
                key_set = self._key_set_in(answer, known)
            except ProviderUnavailable as useless:
                # As an exchange it went well, so that nobody has logged it yet.
                log.warning("%s: %s", urlsplit(jwks_uri).hostname, useless.hint)
                raise
            fetch.is_good = True
        return Fetched(key_set, answer.headers, answer.json)

    def _key_set_in(self, answer: Answer, known: KeySet | None) -> KeySet:
        if answer.status != 200:
            raise ProviderUnavailable(hint=f"the key set: status {answer.status}")
        return self._read(answer.json, known)

    def _read(self, value: object, known: KeySet | None) -> KeySet:
        return read_key_set(value, self._rsa_algorithms, known)
