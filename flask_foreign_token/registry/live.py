"""The registry as it stands now: the snapshot in force, and the look at what changed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence

from ..errors import REST, DatabaseUnavailable, Issue, RegistryUnavailable, Rejected
from ..telling import tell
from .feed import EVERYBODY, USER, Change, ChangeFeed, News
from .registry import Contents, Registry
from .snapshot import RegistrySnapshot, SnapshotBuilder

logger = logging.getLogger(__name__)

Fault = Rejected | DatabaseUnavailable | None


class LiveRegistry:
    """Hands out the snapshot in force, and looks for changes at most once in a while.

    One thread looks while the rest go on with what is in force. What is refused never replaces what is in force.
    Before the first snapshot everybody waits for the one that loads it. Made once a process.

    :param prepare: called before the first look; makes the tables.
    :param on_user_change: called, once a look, with the keys as texts of users of whom the feed says that they changed;
        with ``None`` when nothing that is remembered of any user may be used.
    :param poll: seconds between two looks.
    :param clock: seconds that only go forward.
    """

    def __init__(
        self,
        registry: Registry,
        feed: ChangeFeed,
        builder: SnapshotBuilder,
        *,
        prepare: Callable[[], None],
        on_user_change: Callable[[Collection[str] | None], None],
        poll: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._feed = feed
        self._builder = builder
        self._prepare = prepare
        self._on_user_change = on_user_change
        self._poll = poll
        self._clock = clock
        self._looking = threading.Lock()
        self._next_look = 0.0
        self._position: Change | None = None
        self._contents: Contents | None = None
        self._snapshot: RegistrySnapshot | None = None
        self._rejected: Rejected | None = None
        """Why a snapshot of the contents must not be used."""
        self._fault: Fault = None
        """What was wrong when the registry was last looked at."""
        self._feed_fault: Fault = None
        self._reported: str | None = None

    def current(self) -> RegistrySnapshot:
        """The snapshot in force.

        :raises RegistryUnavailable: none was ever built; the hint says why.
        :raises DatabaseUnavailable: nor could the database be asked.
        """
        if self._clock() >= self._next_look and self._looking.acquire(blocking=self._snapshot is None):
            try:
                if self._clock() >= self._next_look:
                    self._look()
            finally:
                self._looking.release()
        if self._snapshot is None:
            raise self._refusal()
        return self._snapshot

    def load(self) -> RegistrySnapshot:
        """Look now, and say what is wrong.

        :raises Rejected: what the registry holds must not be used, in which case what was in force stays so, or an
            introspector or a policy is out of service; names every fault.
        :raises DatabaseUnavailable: the database cannot be reached, or a table is missing.
        """
        with self._looking:
            self._look()
            if self._fault is not None:
                raise self._fault
        snapshot = self.current()
        if snapshot.out_of_service:
            raise self._placed(snapshot.out_of_service)
        return snapshot

    def refresh(self) -> None:
        """Look now, for somebody who has just changed something. What is wrong with the registry is logged.

        :raises DatabaseUnavailable: the registry cannot be reached, so that what is in force may be old.
        """
        with self._looking:
            self._look()
            if isinstance(self._fault, DatabaseUnavailable):
                raise self._fault

    def _look(self) -> None:
        fault: Fault
        try:
            self._read()
            fault = self._rejected
        except (Rejected, DatabaseUnavailable) as error:
            fault = error
        self._fault = fault
        self._report(fault or self._feed_fault)
        unavailable = isinstance(fault, DatabaseUnavailable) or self._feed_fault is not None
        self._next_look = self._clock() + (max(self._poll, REST) if unavailable else self._poll)

    def _read(self) -> None:
        news = self._news()
        contents = self._registry.read(self._contents, news)
        if contents is not self._contents:
            self._build(contents)
        if news is not None:
            # Only now: had the registry not answered, or whoever asked been stopped, the same would be needed again.
            self._position = news.position

    def _build(self, contents: Contents) -> None:
        try:
            snapshot = self._builder.build(contents.resources, contents.version, self._snapshot)
        except Rejected as rejected:
            self._contents, self._rejected = contents, self._placed(rejected.issues)
        else:
            self._contents, self._rejected, self._snapshot = contents, None, snapshot
            for issue in snapshot.out_of_service:
                tell(logger, logging.ERROR, "%s, out of service: %s", self._registry, issue)

    def _placed(self, issues: Sequence[Issue]) -> Rejected:
        """`issues` with the place where the resources are kept."""
        return Rejected([issue._replace(resource=f"{self._registry} {issue.resource}") for issue in issues])

    def _news(self) -> News | None:
        """What the feed says; nothing where the database does not answer, since a file can be read all the same."""
        try:
            news = self._heard()
        except DatabaseUnavailable as unavailable:
            self._feed_fault = unavailable
            return None
        self._feed_fault = None
        users = {change.ref for change in news.changes if change.type == USER}
        if news.interrupted or EVERYBODY in users:
            self._on_user_change(None)
        elif users:
            self._on_user_change(users)
        return news

    def _heard(self) -> News:
        if self._position is None:
            self._prepare()
            return News(self._feed.latest())
        return self._feed.read(self._position)

    def _report(self, fault: Fault) -> None:
        """Log what is wrong, where it differs from what was wrong before."""
        reason = None if fault is None else _reason(fault)
        if reason is not None and reason != self._reported:
            state = "nothing is in force" if self._snapshot is None else "what was in force stays so"
            tell(logger, logging.ERROR, "the registry cannot be used, %s: %s", state, reason)
        self._reported = reason

    def _refusal(self) -> RegistryUnavailable | DatabaseUnavailable:
        if isinstance(self._fault, DatabaseUnavailable):
            return DatabaseUnavailable(hint=self._fault.hint)
        return RegistryUnavailable(hint=f"the registry was rejected: {self._fault}")


def _reason(fault: Rejected | DatabaseUnavailable) -> str:
    if isinstance(fault, Rejected):
        return str(fault)
    cause = type(fault.__cause__).__name__
    return f"{fault.description} ({fault.hint or cause})"
