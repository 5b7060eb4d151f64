"""Whether the provider's clock and ours agree."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from ..errors import ProviderUnavailable
from ..http import Http
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

    def told_by(self, headers: Mapping[str, str], before: float, after: float) -> None:
        """Take the time that an answer carries, if it does.

        :param headers: of the answer, names in lower case.
        """
        theirs = time_of(headers)
        if theirs is not None:
            self.told(theirs, before, after)

    def ask(self, http: Http, url: str) -> None:
        """Take the time of an answer of `url`, unless one was told before."""
        if self._found is not None:
            return
        before = time.time()
        try:
            answer = http.get(url)
        except ProviderUnavailable:
            return
        self.told_by(answer.headers, before, time.time())

    def found(self) -> Finding:
        """What there is to say when nothing more will be told."""
        untold = "the provider's answers carry no time; a token that is taken here would tell"
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
        agrees = round(apart) == 0
        return Finding(
            "clock", "ok", "agrees with the provider's" if agrees else f"{apart:.0f} s apart from the provider's"
        )
    found = f"the provider's is {apart:.0f} s {'ahead' if ahead > 0 else 'behind'}; tokens allow for {leeway:g} s"
    return Finding("clock", "failed" if apart > leeway else "warning", found, remedies.CLOCK)


def time_of(headers: Mapping[str, str]) -> float | None:
    """When an answer was given, in seconds since the epoch (:rfc:`9110#section-6.6.1`); none: it does not tell.

    :param headers: of the answer, names in lower case.
    """
    try:
        # What lay in a cache is that much older (RFC 9111 section 5.1).
        return parsedate_to_datetime(headers["date"]).timestamp() + int(headers.get("age", "0"))
    except (KeyError, ValueError, OverflowError):
        return None
