"""What is known of a document of a provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

D = TypeVar("D")


@dataclass(frozen=True, slots=True)
class Fetched(Generic[D]):
    """What a fetch brings.

    :param headers: of the answer, names in lower case.
    :param value: what `document` was read from, for others who read it; what JSON can hold.
    """

    document: D
    headers: Mapping[str, str] = field(repr=False)
    value: object = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class DocumentState(Generic[D]):
    """How things stand with a document. Times are seconds since the epoch.

    :param document: the one that is kept, if there is one; its life may be over.
    :param fetched_at: when the fetch that brought it began.
    :param refresh_at: when it is renewed, if somebody asks for it.
    :param expires_at: when its life is over.
    :param pending: whether a fetch is under way.
    :param last_error: why the latest fetch failed; `None` once one succeeds.
    """

    document: D | None
    fetched_at: float | None
    refresh_at: float | None
    expires_at: float | None
    pending: bool
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Kept(Generic[D]):
    """A document, by whichever worker it was fetched, and its life, in seconds since the epoch.

    :param fetched_at: when the fetch that brought it began.
    """

    document: D
    fetched_at: float
    expires_at: float

    def is_over(self, now: float) -> bool:
        """Whether its life is over; it is as well where the clock was set back to before its begin."""
        return not self.fetched_at <= now < self.expires_at


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a fetch failed.

    :param at: when, in seconds since the epoch.
    """

    description: str | None
    hint: str | None
    at: float
