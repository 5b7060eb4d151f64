"""What can come of a question about a request of which not everything is known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple


class Possible(NamedTuple):
    """Which answers there can be: yes, no, or either."""

    match: bool
    mismatch: bool


ALWAYS: Final = Possible(match=True, mismatch=False)
NEVER: Final = Possible(match=False, mismatch=True)
EITHER: Final = Possible(match=True, mismatch=True)


def all_of(each: Iterable[Possible]) -> Possible:
    several = list(each)
    return Possible(all(one.match for one in several), any(one.mismatch for one in several))


def any_of(each: Iterable[Possible]) -> Possible:
    several = list(each)
    return Possible(any(one.match for one in several), all(one.mismatch for one in several))


def one_of(each: Iterable[Possible]) -> Possible:
    """Of exactly one."""
    several = list(each)
    certain = sum(not one.mismatch for one in several)
    matching = [one for one in several if one.match]
    return Possible(any(certain == (not one.mismatch) for one in matching), certain == 0 or len(matching) > 1)


def otherwise(possible: Possible) -> Possible:
    return Possible(possible.mismatch, possible.match)


def if_there(presence: Possible, asked: Possible) -> Possible:
    """Of what is asked only of something that is there."""
    return any_of([otherwise(presence), asked])
