"""The registry as it stands now: the snapshot in force, and the look at what changed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ..errors import REST, DatabaseUnavailable, Issue, RegistryUnavailable, Rejected
from ..introspection.background import Begin, in_background
from ..telling import tell
from .feed import EVERYBODY, USER, Change, ChangeFeed, News
from .registry import Contents, Registry
from .snapshot import RegistrySnapshot, SnapshotBuilder
from .standing import UNKNOWN, RegistryState, by_type, idle
from .watch import Watch

logger = logging.getLogger(__name__)

SLACK = 0.5
"""Seconds, at most, for which a look that is due may be on its way before it is waited for."""

PATIENCE = 1.0
"""Seconds from the begin of a look for which others wait for it; then they go on with what is in force, so that a
database that hangs does not take up every thread."""

FIRST_PATIENCE = 10.0
"""The same where nothing is in force yet, so that there is nothing to go on with: a refusal is all that is left."""

PATIENCE_AFTER_EDIT = 15.0
"""The same for whoever wants a look to be made now: they have just changed something, or want to know what is wrong."""

OVERDUE = 3.0
"""Seconds that a look takes before it counts as one that hangs; loading ten thousand policies takes one."""


class Look(NamedTuple):
    """What came of a look at the registry.

    :param result: ``"unavailable"`` where it could not be read, ``"rejected"`` where it must not be used; what was in
        force stays so.
    :param seconds: that it took.
    """

    result: Literal["unchanged", "changed", "rejected", "unavailable"]
    seconds: float


class _Found(NamedTuple):
    """What a look found wrong.

    :param fault: why the registry could not be read, or must not be used; none: it can be.
    :param feed_fault: why the feed could not be read, where a registry in a file may be read all the same.
    :param is_read: whether the registry could be read.
    """

    fault: Exception | None
    feed_fault: DatabaseUnavailable | None
    is_read: bool

    @property
    def has_failed(self) -> bool:
        """Whether the look was none, since the database did not answer or something broke."""
        return self.feed_fault is not None or not isinstance(self.fault, Rejected | None)

    @property
    def reason(self) -> str | None:
        """What is wrong, for an operator to read."""
        fault = self.fault or self.feed_fault
        return None if fault is None else _reason(fault)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What there is to say after a look.

    :param fault: what was wrong with the registry, for those who are refused because of it.
    :param snapshot: what was in force then.
    """

    look: Look
    state: RegistryState
    fault: Exception | None
    snapshot: RegistrySnapshot | None


class LiveRegistry:
    """Hands out the snapshot in force, and has it looked for changes once in a while.

    Who looks when is left to a :class:`.Watch`: most often somebody in the background, while everybody goes on with
    what is in force. What is refused, or fails, never replaces that. Made once a process.

    :param prepare: called before the first look; makes the tables.
    :param on_user_change: called, once a look, with the keys as texts of users of whom the feed says that they changed;
        with ``None`` when nothing that is remembered of any user may be used.
    :param poll: seconds from the begin of a look after which the next one is due.
    :param tolerant: whether a resource with a fault is left out; else the registry is refused because of it.
    :param on_look: told of every look. What it raises is logged by its class, once, and changes nothing.
    :param begin: begins what happens in the background.
    :param clock: seconds that only go forward.
    :param wall_clock: seconds since the epoch.
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
        tolerant: bool = False,
        on_look: Callable[[Look], None] = lambda look: None,
        begin: Begin = in_background,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._registry = registry
        self._feed = feed
        self._builder = builder
        self._prepare = prepare
        self._on_user_change = on_user_change
        self._poll = poll
        self._slack = min(SLACK, poll / 2)
        self._tolerant = tolerant
        self._on_look = on_look
        self._clock = clock
        self._wall_clock = wall_clock
        self._watch: Watch[_Outcome] = Watch(self._look, tell=self._tell, begin=begin, clock=clock)
        self._deaf: set[str] = set()
        """The classes of what `on_look` raised."""
        self._position: Change | None = None
        self._contents: Contents | None = None
        self._served: Contents | None = None
        """Those of the snapshot in force."""
        self._snapshot: RegistrySnapshot | None = None
        self._rejected: Rejected | None = None
        """Why a snapshot of the contents must not be used."""

    @property
    def in_force(self) -> RegistrySnapshot | None:
        """The snapshot in force, whether a look is due or not; none: nothing was ever loaded."""
        return self._snapshot

    @property
    def is_ready(self) -> bool:
        """Whether it is ready: see :class:`RegistryState`."""
        return self.state.is_ready

    @property
    def state(self) -> RegistryState:
        """How things stood when the last look ended. All of it is of that look, also while another one is made, until
        that takes too long."""
        looks = self._watch.looks
        state = _state_of(looks.last)
        taken = 0.0 if looks.since is None else self._clock() - looks.since
        return state if taken < OVERDUE else state.unended(taken)

    def current(self) -> RegistrySnapshot:
        """The snapshot in force.

        :raises RegistryUnavailable: none was ever built; the hint says why.
        :raises DatabaseUnavailable: nor could the database be asked.
        """
        snapshot = self._snapshot
        if snapshot is not None and self._clock() < self._watch.due:
            return snapshot
        if snapshot is None:
            self._watch.renew(slack=0, patience=FIRST_PATIENCE)
        else:
            self._watch.renew(slack=self._slack, patience=PATIENCE)
        snapshot = self._snapshot
        if snapshot is None:
            raise self._refusal()
        return snapshot

    def load(self) -> RegistrySnapshot:
        """Look now, and say what is wrong.

        :raises Rejected: what the registry holds must not be used, in which case what was in force stays so, or some of
            it is out of service; names every fault.
        :raises DatabaseUnavailable: the database cannot be reached, a table is missing, or another look does not end.
        """
        outcome = self._look_now()
        snapshot = outcome.snapshot
        if outcome.fault is not None or snapshot is None:
            raise outcome.fault or self._refusal()
        if snapshot.out_of_service:
            raise self._placed(snapshot.out_of_service)
        return snapshot

    def refresh(self) -> None:
        """Look now, for somebody who has just changed something. What is wrong with the registry is logged.

        :raises DatabaseUnavailable: the registry cannot be reached, or another look has not ended
            :data:`PATIENCE_AFTER_EDIT` seconds after it began, so that what is in force may be old.
        """
        fault = self._look_now("; what was changed before is stored, and comes into force with a look that ends").fault
        if fault is not None and not isinstance(fault, Rejected):
            raise fault

    def _look_now(self, advice: str = "") -> _Outcome:
        outcome = self._watch.look(PATIENCE_AFTER_EDIT)
        if outcome is None:
            hint = f"a look at the registry has not ended within {PATIENCE_AFTER_EDIT:.0f} seconds{advice}"
            raise DatabaseUnavailable(hint=hint)
        return outcome

    def _look(self, began: float) -> tuple[_Outcome, float]:
        """What comes of a look, and when the next one is due; the watch sees to it that there is one at a time."""
        before = self._snapshot
        found = self._read()
        self._report(found)
        now = self._clock()
        look = Look(self._result(found, before), now - began)
        due = now + max(self._poll, REST) if found.has_failed else began + self._poll
        return _Outcome(look, self._state_after(found), found.fault, self._snapshot), due

    def _tell(self, outcome: _Outcome) -> None:
        try:
            self._on_look(outcome.look)
        except Exception as error:  # noqa: BLE001 - what is trusted must not depend on who is told of it
            name = type(error).__name__
            if name not in self._deaf:
                self._deaf.add(name)
                tell(logger, logging.ERROR, "who is told of looks at the registry raised %s", name)

    def _result(
        self, found: _Found, before: RegistrySnapshot | None
    ) -> Literal["unchanged", "changed", "rejected", "unavailable"]:
        if found.has_failed:
            return "unavailable"
        if found.fault is not None:
            return "rejected"
        return "unchanged" if self._snapshot is before else "changed"

    def _state_after(self, found: _Found) -> RegistryState:
        snapshot, reason = self._snapshot, found.reason
        last = self._watch.looks.last
        state = _state_of(last)
        # Counted once a snapshot: without a poll every request looks.
        is_counted = snapshot is None or (last is not None and last.snapshot is snapshot)
        return RegistryState(
            version=None if snapshot is None else snapshot.version,
            resources=state.resources if snapshot is None or is_counted else by_type(snapshot.resources),
            out_of_service=() if snapshot is None else snapshot.out_of_service,
            idle=state.idle if snapshot is None or is_counted else by_type(idle(snapshot)),
            is_reachable=found.is_read and found.feed_fault is None,
            is_ready=snapshot is not None and not found.has_failed,
            fault=reason,
            looked_at=self._wall_clock() if reason is None else state.looked_at,
        )

    def _read(self) -> _Found:
        """Take what changed, whatever goes wrong; then what is in force serves on until the next look."""
        feed_fault, is_read = None, False
        try:
            self._follow_secrets()
            news, feed_fault = self._news()
            contents = self._registry.read(self._contents, news)
            is_read = True
            if contents is not self._contents:
                self._build(contents)
            if news is not None:
                # Only now: had the registry not answered, or the look been stopped, the same would be needed again.
                self._position = news.position
        except Exception as error:  # noqa: BLE001 - see above
            return _Found(error, feed_fault, is_read)
        return _Found(self._rejected, feed_fault, is_read)

    def _follow_secrets(self) -> None:
        """Build what is in force anew where a secret changed that it rests on. First of all, so that an old secret ends
        while the registry cannot be read, or holds what must not be used.
        """
        if self._snapshot is not None and self._served is not None and not self._builder.is_current(self._snapshot):
            self._serve(self._served)

    def _build(self, contents: Contents) -> None:
        rejection = None
        try:
            self._serve(contents)
        except Rejected as rejected:
            rejection = self._placed(rejected.issues)
        self._contents, self._rejected = contents, rejection

    def _serve(self, contents: Contents) -> None:
        """
        :raises Rejected: they must not be used; what was in force stays so.
        """
        previous = self._snapshot
        snapshot = self._builder.build(
            contents.resources,
            contents.version,
            previous,
            tolerant=self._tolerant,
            unreadable=contents.unreadable,
        )
        self._snapshot, self._served = snapshot, contents
        known = () if previous is None else previous.out_of_service
        for issue in snapshot.out_of_service:
            if issue not in known:
                tell(logger, logging.ERROR, "%s, out of service: %s", self._registry, issue)
        names = {issue.resource for issue in snapshot.out_of_service}
        # As loud as what was wrong by default, or its end would be missed where nobody set up a log.
        for name in dict.fromkeys(issue.resource for issue in known if issue.resource not in names):
            tell(logger, logging.WARNING, "%s, no longer out of service: %s", self._registry, name)

    def _placed(self, issues: Sequence[Issue]) -> Rejected:
        """`issues` with the place where the resources are kept."""
        return Rejected([issue._replace(resource=f"{self._registry} {issue.resource}") for issue in issues])

    def _news(self) -> tuple[News | None, DatabaseUnavailable | None]:
        """What the feed says, or why the database does not answer, since a file can be read all the same."""
        try:
            news = self._heard()
        except DatabaseUnavailable as unavailable:
            return None, unavailable
        users = {change.ref for change in news.changes if change.type == USER}
        if news.interrupted or EVERYBODY in users:
            self._on_user_change(None)
        elif users:
            self._on_user_change(users)
        return news, None

    def _heard(self) -> News:
        if self._position is None:
            self._prepare()
            return News(self._feed.latest())
        return self._feed.read(self._position)

    def _report(self, found: _Found) -> None:
        """Log what is wrong, where it differs from what was wrong before, and that nothing is any more."""
        reason, before = found.reason, _state_of(self._watch.looks.last).fault
        if reason == before:
            return
        if reason is None:
            tell(logger, logging.WARNING, "the registry can be used again")
            return
        state = "nothing is in force" if self._snapshot is None else "what was in force stays so"
        tell(logger, logging.ERROR, "the registry cannot be used, %s: %s", state, reason)

    def _refusal(self) -> RegistryUnavailable | DatabaseUnavailable:
        last = self._watch.looks.last
        fault = None if last is None else last.fault
        if isinstance(fault, DatabaseUnavailable):
            return DatabaseUnavailable(hint=fault.hint)
        if fault is None:
            return RegistryUnavailable(hint="the registry is still being read")
        rejected = isinstance(fault, Rejected)
        reason = f"was rejected: {fault}" if rejected else f"cannot be read: {_reason(fault)}"
        return RegistryUnavailable(hint=f"the registry {reason}")


def _state_of(outcome: _Outcome | None) -> RegistryState:
    return UNKNOWN if outcome is None else outcome.state


def _reason(fault: Exception) -> str:
    if isinstance(fault, Rejected):
        return str(fault)
    if isinstance(fault, DatabaseUnavailable):
        return f"{fault.description} ({fault.hint or type(fault.__cause__).__name__})"
    # Only the class: the text may hold what a resource does.
    return f"an unexpected {type(fault).__name__}"
