"""Whether the provider's clock and ours agree."""

from __future__ import annotations

from . import remedies
from .findings import Finding

TOLERATED = 5.0
"""Seconds by which clocks may differ before it is said."""


class ClockCheck:
    """Compares the provider's clock with ours, by the first time that it tells.

    :param leeway: seconds by which the introspector lets clocks differ.
    """

    def __init__(self, leeway: float) -> None:
        self._leeway = leeway
        self._found: Finding | None = None

    def told(self, theirs: float, before: float, after: float) -> None:
        """Take a time that the provider tells; see :func:`check_clock`."""
        if self._found is None:
            self._found = check_clock(theirs, before, after, self._leeway)

    def found(self) -> Finding:
        """What there is to say when nothing more will be told."""
        untold = "the provider's answers carry no time; a token of it would tell"
        return self._found or Finding("clock", "skipped", untold)


def check_clock(theirs: float, before: float, after: float, leeway: float) -> Finding:
    """Compare the provider's clock with ours. All in seconds, three of them since the epoch.

    :param theirs: the provider's time, without a fraction.
    :param before: when it was asked.
    :param after: when the answer was there.
    :param leeway: by which the introspector lets clocks differ.
    """
    # Theirs may stand for any moment of that second, and for any between question and answer.
    ahead, behind = theirs - after, before - (theirs + 1)
    apart = max(ahead, behind, 0.0)
    if apart <= TOLERATED and apart <= leeway:
        return Finding(
            "clock", "ok", f"{apart:.0f} s apart from the provider's" if apart else "agrees with the provider's"
        )
    found = f"the provider's is {apart:.0f} s {'ahead' if ahead > 0 else 'behind'}; tokens allow for {leeway:g} s"
    return Finding("clock", "failed" if apart > leeway else "warning", found, remedies.CLOCK)
