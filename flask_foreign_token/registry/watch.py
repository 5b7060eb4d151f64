"""Who looks when, and who waits for whom."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from ..introspection.background import Begin

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Looks(Generic[Found]):
    """How it stands with looks at one moment.

    :param last: what came of the last one that ended; none: none has.
    :param ended: how many have.
    :param due: when the next one is, by the clock of the watch.
    :param since: when the one began that is under way; none: none is.
    """

    last: Found | None
    ended: int
    due: float
    since: float | None


class Watch(Generic[Found]):
    """Has something looked at once in a while, by one thread at a time.

    Whoever finds that a look is due has it made in the background and goes on. Where that does not come about in time,
    since the process slept or has no threads, whoever asks looks, and the others wait for that look a little. A look
    that does not come to an end keeps nobody for longer than they are willing to wait.

    :param look: looks; called with the time, and returns what came of it and when the next look is due. What it raises
        goes to whoever has it made, and the look is due as before.
    :param tell: told what came of each look, once everybody sees that; raises nothing.
    :param begin: begins what happens in the background.
    :param clock: seconds that only go forward.
    """

    def __init__(
        self,
        look: Callable[[float], tuple[Found, float]],
        *,
        tell: Callable[[Found], None],
        begin: Begin,
        clock: Callable[[], float],
    ) -> None:
        self._look = look
        self._tell = tell
        self._begin = begin
        self._clock = clock
        # Whoever holds it looks. Readers need none: what they read is replaced as a whole.
        self._looking = threading.Lock()
        self._looks: Looks[Found] = Looks(None, 0, 0.0, None)
        self._claiming = threading.Lock()
        self._claimed: int | None = None
        """After how many looks somebody saw to it that there be one more."""
        self.due = 0.0
        """When the next look is, by the clock; each request compares it, and that is all it costs while none is due."""

    @property
    def looks(self) -> Looks[Found]:
        """How it stands with looks; all of it is of one moment."""
        return self._looks

    def renew(self, *, slack: float, patience: float) -> None:
        """See to it that a look is made, where one is due.

        :param slack: seconds for which it may be due without anybody waiting for it.
        :param patience: seconds from the begin of a look for which it is waited for; see :meth:`look`.
        """
        looks = self._looks
        late = self._clock() - looks.due
        if late < 0:
            return
        if late < slack:
            self._have_looked(looks.ended)
        elif self._acquire(patience):
            self._look_and_release(unless_after=looks.ended)

    def look(self, patience: float) -> Found | None:
        """Look now, due or not, and after whoever is looking.

        :param patience: seconds for which that one is waited for, from the begin of that look.
        :return: what came of it; none: the other look has not ended, and none was made.
        """
        return self._look_and_release() if self._acquire(patience) else None

    def _have_looked(self, ended: int) -> None:
        """Have somebody look in the background, unless that has been seen to.

        :param ended: how many looks had ended when it was due.
        """
        if self._claimed == ended or not self._claiming.acquire(blocking=False):
            return
        try:
            if self._claimed == ended:
                return
            # It stays claimed where nothing can be begun, or what was begun never runs: then whoever asks looks, once
            # the slack is over.
            self._claimed = ended
        finally:
            self._claiming.release()
        self._begin(lambda: self._look_after(ended))

    def _look_after(self, ended: int) -> None:
        self._looking.acquire()
        self._look_and_release(unless_after=ended)

    def _acquire(self, patience: float) -> bool:
        since = self._looks.since
        left = patience if since is None else max(0.0, since + patience - self._clock())
        return self._looking.acquire(timeout=left)

    def _look_and_release(self, unless_after: int | None = None) -> Found | None:
        """Look; the caller holds the lock, and is rid of it then.

        :param unless_after: how many looks had ended when this one was due; where it is more by now, none is needed.
        """
        try:
            if unless_after is not None and self._looks.ended != unless_after:
                return None
            return self._looked()
        finally:
            self._looking.release()

    def _looked(self) -> Found:
        before, began = self._looks, self._clock()
        self._looks = replace(before, since=began)
        after = before
        try:
            found, due = self._look(began)
            after = Looks(found, before.ended + 1, due, None)
        finally:
            self._looks, self.due, self._claimed = after, after.due, None
        self._tell(found)
        return found
