"""What the workers of an app share: fetched by one of them, used by all, and done without where that fails."""

from __future__ import annotations

import logging
import math
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, TypeAlias, TypeVar
from urllib.parse import quote

from .errors import REST
from .fetches import Kind
from .sealing import BrokenSeal, Seal
from .telling import tell

SKEW = 60.0
"""Seconds by which the clocks of two workers may differ. What seems to have been fetched later than that from now was
written by somebody whose clock is wrong, and is left aside."""
CLAIM = 1.0
"""Seconds for which a worker that fetches something may keep others from it, unless it is done before.

Longer than most fetches, and no longer: where one is slow or was killed, each time that so much has passed one more
worker fetches."""

_VERSION = 1

T = TypeVar("T")

Result: TypeAlias = Literal["hit", "miss", "refused", "failed"]
OnAsked: TypeAlias = Callable[[Kind, Result], None]
"""Told of every look into the cache: what for, and what came of it. Refused: there was something that none of the
workers wrote there."""

logger = logging.getLogger(__name__)


class Shared(NamedTuple):
    """What one worker fetched.

    :param value: what JSON can hold, as it came.
    :param at: when it was asked for, in seconds since the epoch.
    :param until: when its life is over.
    """

    value: object
    at: float
    until: float


class Sharing(Protocol):
    """Where workers leave for each other what they fetched. Nothing here raises anything or waits for long."""

    def find(self, kind: Kind, name: str, *, grace: float = 0.0) -> Shared | None:
        """What a worker left there.

        :param name: all that the answer depends on.
        :param grace: seconds for which it is wanted after its life.
        """

    def leave(self, kind: Kind, name: str, shared: Shared, *, grace: float = 0.0) -> None:
        """Leave something there for the others, in place of what there was."""

    def claim(self, kind: Kind, name: str) -> str | None:
        """The mark of a claim, if it is the caller's to fetch; none: another worker is about to. See :data:`CLAIM`."""

    def release(self, kind: Kind, name: str, mark: str) -> None:
        """Let others fetch it, if the claim of that mark still keeps them from it."""


class Alone:
    """A :class:`Sharing` for a worker that shares nothing."""

    def find(self, kind: Kind, name: str, *, grace: float = 0.0) -> Shared | None:
        """Nothing."""
        return None

    def leave(self, kind: Kind, name: str, shared: Shared, *, grace: float = 0.0) -> None:
        """Nothing is left."""

    def claim(self, kind: Kind, name: str) -> str | None:
        """Always granted."""
        return ""

    def release(self, kind: Kind, name: str, mark: str) -> None:
        """There is nothing to release."""


ALONE = Alone()


class Store(Protocol):
    """The part of cachelib's caches that is used."""

    def get(self, key: str) -> object:
        """What is kept under `key`, unsealed; ``None``: nothing."""

    def set(self, key: str, value: object, timeout: int) -> object:
        """Keep `value` for so many seconds."""

    def add(self, key: str, value: object, timeout: int) -> object:
        """The same, unless something is kept there; whether it is kept now."""

    def delete(self, key: str) -> object:
        """Keep nothing there."""


class SharedCache:
    """A :class:`Sharing` in a cache of cachelib's whose serializer is a :class:`.Seal`.

    An entry names what it is, under the seal: it counts under no other name. Where it fails, this process does without
    it for :data:`~.errors.REST` seconds, after which one caller tries it, and the others still do without.

    :param store: whatever it raises counts as a failure.
    :param app: the app's name, so that others keep theirs apart.
    :param clock: seconds since the epoch.
    :param on_asked: see :data:`OnAsked`.
    """

    def __init__(
        self,
        store: Store,
        seal: Seal,
        *,
        app: str,
        clock: Callable[[], float] = time.time,
        on_asked: OnAsked = lambda kind, result: None,
    ) -> None:
        self._store = store
        self._seal = seal
        # Workers with another secret, as while it is changed, keep theirs apart.
        self._prefix = f"foreign-token:{_VERSION}:{seal.name_of('')[:8]}:{quote(app, safe='')}"
        self._app = app
        self._clock = clock
        self._on_asked = on_asked
        self._outage = _Outage(clock)

    def find(self, kind: Kind, name: str, *, grace: float = 0.0) -> Shared | None:
        """See :meth:`Sharing.find`."""
        key = self._key(kind, name)
        looked = self._attempt(lambda: self._look(key))
        if looked is None:
            self._on_asked(kind, "failed")
            return None
        shared, now = looked.entry, self._clock()
        if shared is None or not now < shared.until + grace:
            self._on_asked(kind, "refused" if looked.is_foreign else "miss")
            return None
        self._on_asked(kind, "hit")
        # By a clock that is ahead: when it was asked for cannot be told, so that it counts as old.
        return shared if shared.at <= now else shared._replace(at=now - SKEW)

    def leave(self, kind: Kind, name: str, shared: Shared, *, grace: float = 0.0) -> None:
        """See :meth:`Sharing.leave`."""
        key = self._key(kind, name)
        seconds = math.ceil(shared.until + grace - self._clock())
        if seconds > 0:
            self._attempt(lambda: self._store.set(key, [key, *shared], seconds))

    def claim(self, kind: Kind, name: str) -> str | None:
        """See :meth:`Sharing.claim`. Where it cannot be told, everybody may."""
        key, mark = self._key(kind, name) + ":claim", secrets.token_hex(8)
        return None if self._attempt(lambda: self._is_claimed(key, mark)) is False else mark

    def release(self, kind: Kind, name: str, mark: str) -> None:
        """See :meth:`Sharing.release`."""
        key = self._key(kind, name) + ":claim"
        self._attempt(lambda: self._end_claim(key, mark))

    def fault(self) -> str | None:
        """Why it cannot be used at this moment, for an operator; ``None``: it can. The log is not told."""
        key, now = f"{self._prefix}:probe", self._clock()
        try:
            self._store.set(key, [key, None, now, now], 1)
            is_kept = self._look(key).entry is not None
        except Exception as error:  # noqa: BLE001 - as in `_attempt`
            return f"it fails ({type(error).__name__})"
        return None if is_kept else "it does not keep what is written to it"

    def _key(self, kind: Kind, name: str) -> str:
        return f"{self._prefix}:{kind}:{self._seal.name_of(f'{self._app} {kind} {name}')}"

    def _is_claimed(self, key: str, mark: str) -> bool:
        now = self._clock()
        if self._store.add(key, [key, mark, now, now + CLAIM], math.ceil(CLAIM)):
            return True
        held = self._look(key)
        if held.is_foreign:
            # No worker's. Whoever keeps writing such things keeps nobody from fetching.
            self._store.delete(key)
            return True
        if held.entry is not None and now >= held.entry.until + SKEW:
            # A worker's claim ends by itself. It is not granted at once, since others may see the same at this moment.
            self._store.delete(key)
        return False

    def _end_claim(self, key: str, mark: str) -> None:
        held = self._look(key).entry
        if held is not None and held.value == mark:
            # Should it end between these two commands and another worker claim, that claim ends here: it costs a fetch.
            self._store.delete(key)

    def _look(self, key: str) -> _Looked:
        try:
            content = self._store.get(key)
        except BrokenSeal:
            return _Looked(None, is_foreign=True)
        except Exception as error:
            # Somebody put there what is no text.
            if str(error).startswith("WRONGTYPE"):
                return _Looked(None, is_foreign=True)
            raise
        if content is None:
            return _Looked(None)
        shared = self._read(key, content)
        return _Looked(shared, is_foreign=shared is None)

    def _read(self, key: str, content: object) -> Shared | None:
        """The entry that `content` is, if it is the one of `key`."""
        if not isinstance(content, list) or len(content) != 4 or content[0] != key:
            return None
        shared = Shared(*content[1:])
        return shared if shared.at <= self._clock() + SKEW else None

    def _attempt(self, operation: Callable[[], T]) -> T | None:
        """What `operation` returns; none: it fails, or is not tried since it failed a moment ago."""
        if not self._outage.lets_try():
            return None
        try:
            result = operation()
        except Exception as error:  # noqa: BLE001 - whatever is the matter with it, the app must go on without it
            self._outage.begin(error)
            return None
        self._outage.end()
        return result


@dataclass(frozen=True, slots=True)
class _Looked:
    """
    :param is_foreign: whether something is there that no worker wrote.
    """

    entry: Shared | None
    is_foreign: bool = False


@dataclass(slots=True)
class _Outage:
    """Whether the cache is down, as far as this process knows; the log is told of its begin and its end."""

    clock: Callable[[], float]
    _tried_at: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def lets_try(self) -> bool:
        """Whether the caller may try it: while it is down, one caller in :data:`~.errors.REST` seconds may."""
        if self._tried_at is None:
            return True
        with self._lock:
            now = self.clock()
            # A clock that was set back prolongs no rest.
            if self._tried_at is not None and self._tried_at <= now < self._tried_at + REST:
                return False
            if self._tried_at is not None:
                self._tried_at = now
            return True

    def begin(self, error: Exception) -> None:
        with self._lock:
            is_news, self._tried_at = self._tried_at is None, self.clock()
        if is_news:
            # Only the class: the text may hold the address, and that a password.
            text = "the shared cache fails (%s); this worker goes on alone, and tries again every %.0f seconds"
            tell(logger, logging.WARNING, text, type(error).__name__, REST)

    def end(self) -> None:
        if self._tried_at is None:
            return
        with self._lock:
            is_news, self._tried_at = self._tried_at is not None, None
        if is_news:
            tell(logger, logging.WARNING, "the shared cache can be used again")
