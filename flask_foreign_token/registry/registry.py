"""What a registry is: the place where resources are kept, and the seams to it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ..errors import Issue
from .edits import Check, Edit, Outcome
from .feed import BEGINNING, Change, News
from .resources import Key, Resource


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


@dataclass(frozen=True, slots=True)
class Kept:
    """A resource as it is kept, for those who read and change it.

    :param body: secrets included, and in a file with the text of variables.
    :param version: for :attr:`.Edit.expected`; no secret has a part in it.
    :param last_updated: seconds since the epoch; unknown in a file.
    """

    key: Key
    body: Mapping[str, object] = field(repr=False)
    version: str
    last_updated: float | None = None


class Store(Protocol):
    """The side of a registry that operators read and change. What is kept need not be fit for use."""

    def kept(self, type_: str, id_: str | None = None) -> list[Kept]:
        """The resources of that type, or the one with that id, that can be read, in no particular order.

        :raises Rejected: the place itself cannot be read.
        :raises DatabaseUnavailable: the database cannot be reached.
        """

    def unreadable(self, type_: str | None = None, id_: str | None = None) -> list[Issue]:
        """Why there is more than :meth:`kept` finds: what is wrong with what cannot be read as a resource.

        :param type_: only with what is kept as one of that type; none: of any, or of none that is known.
        :param id_: only with what is kept under that id.
        :raises: as :meth:`kept`.
        """

    def edit(self, edit: Edit, *, check: Check) -> dict[Key, Outcome]:
        """Write and delete resources, all of them or none. A body that is kept already writes nothing.

        :param check: called before anything is written.
        :raises Rejected: see :func:`~.edits.written`; whatever `check` says; the place cannot be written.
        :raises NotStored: a resource to delete is not there.
        :raises Conflict: a resource is not in the version that is expected.
        :raises DatabaseUnavailable: the database cannot be reached.
        """
