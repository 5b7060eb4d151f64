"""A limit on how often something happens that allows short bursts."""

from __future__ import annotations


class TokenBucket:
    """Holds up to `capacity` tokens and starts full. Not synchronised.

    :param capacity: how many may be taken at once.
    :param refill: seconds in which one token is added.
    """

    def __init__(self, capacity: int, refill: float) -> None:
        self._capacity = capacity
        self._refill = refill
        self._level = float(capacity)
        self._at: float | None = None

    def holds_one(self, now: float) -> bool:
        """Whether a token could be taken at `now`, in seconds."""
        return self._level_at(now) >= 1

    def take(self, now: float) -> None:
        """Take a token at `now`, in seconds, which :meth:`holds_one` has said is there."""
        self._level = self._level_at(now) - 1
        self._at = now

    def _level_at(self, now: float) -> float:
        if self._at is None:
            return self._level
        # A clock that was set back gives nothing, and from here on refills as before.
        self._at = min(self._at, now)
        return min(self._capacity, self._level + (now - self._at) / self._refill)
