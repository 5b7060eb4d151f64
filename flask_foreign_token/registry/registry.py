"""What a registry is: the place where resources are kept, and the seam to it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from .feed import BEGINNING, Change, News
from .resources import Resource


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything that a registry holds at one moment; not checked yet.

    :param version: changes whenever any of the resources does; the same wherever the same resources are read.
    :param position: the entry of the change feed up to which they are current; the beginning where there is no feed.
    """

    version: str
    resources: tuple[Resource, ...] = field(repr=False)
    position: Change = BEGINNING

    @classmethod
    def of(cls, resources: Iterable[Resource], position: Change = BEGINNING) -> Contents:
        """The contents that consist of `resources`."""
        held = tuple(resources)
        names = "\n".join([f"{resource.type}/{resource.id} {resource.version}" for resource in held])
        return cls(hashlib.sha256(names.encode()).hexdigest()[:16], held, position)


class Registry(Protocol):
    """Keeps resources; ``str()`` of it names the place for an operator."""

    def read(self, known: Contents | None = None, news: News | None = None) -> Contents:
        """What is kept now, or `known` itself when nothing changed since.

        :param known: what the last call returned; none: read everything.
        :param news: what the change feed has said since `known` was read, for those who have just asked it, so that
            an unchanged registry costs nothing more; none: look again.
        :raises Rejected: what is kept cannot be read as resources; names the place and every fault.
        :raises DatabaseUnavailable: the database cannot be reached.
        """
