"""What is said of the registry after a look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter
from types import MappingProxyType
from typing import Final

from ..errors import Issue
from .resources import Key
from .snapshot import RegistrySnapshot


@dataclass(frozen=True, slots=True)
class RegistryState:
    """How things stood with the registry in this process when the last look ended.

    *Reachable* means that registry and database could be read at the last look. *Ready* means that a snapshot is in
    force and the last look did not fail, on the database or unexpectedly; a registry that is rejected, or a file that
    cannot be read, is no failure, since the last good state stays in force. It is neither while a look takes too long.

    :param version: of what is in force; none: nothing is.
    :param resources: how many are held, by type.
    :param out_of_service: what is held and does not serve, and why.
    :param idle: how many resources that is, by type.
    :param is_reachable: whether it is reachable; before the first look nothing says that it is not.
    :param is_ready: whether it is ready.
    :param fault: what was wrong at the last look, or that one does not end, for an operator to read; none: nothing.
    :param looked_at: when the last look was with which nothing was wrong, in seconds since the epoch.
    """

    version: str | None
    resources: Mapping[str, int]
    out_of_service: tuple[Issue, ...]
    idle: Mapping[str, int]
    is_reachable: bool
    is_ready: bool
    fault: str | None
    looked_at: float | None

    def unended(self, seconds: float) -> RegistryState:
        """The same while a look is under way for so long that nothing can be relied on but what is in force."""
        fault = f"the look that began {seconds:.0f} seconds ago has not ended"
        return replace(self, is_reachable=False, is_ready=False, fault=fault)


UNKNOWN: Final = RegistryState(None, MappingProxyType({}), (), MappingProxyType({}), True, False, None, None)
"""Before the first look."""


def by_type(keys: Iterable[Key]) -> Mapping[str, int]:
    """How many there are, by type."""
    return MappingProxyType(dict(Counter(map(itemgetter(0), keys))))


def idle(snapshot: RegistrySnapshot) -> frozenset[Key]:
    """What is held and does not serve, some of which cannot be read at all."""
    names = {issue.resource for issue in snapshot.out_of_service}
    if not names:
        return snapshot.left_out
    return snapshot.left_out.union(key for key, resource in snapshot.resources.items() if resource.name in names)
