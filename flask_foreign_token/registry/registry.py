"""What a registry is: the place where resources are kept, and the seams to it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from ..errors import Issue, NotStored, Rejected
from .edits import Check, Edit, Outcome
from .feed import BEGINNING, Change, News
from .plan import Plan
from .resources import Key, Resource


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything that a registry holds at one moment; not checked yet.

    :param version: changes whenever any of the resources does; the same wherever the same resources are read.
    :param position: the entry of the change feed up to which they are current; the beginning where there is no feed.
    :param unreadable: why there is more than these resources: what is wrong with what cannot be read as one.
    """

    version: str
    resources: tuple[Resource, ...] = field(repr=False)
    position: Change = BEGINNING
    unreadable: tuple[Issue, ...] = ()

    @classmethod
    def of(
        cls, resources: Iterable[Resource], position: Change = BEGINNING, unreadable: Iterable[Issue] = ()
    ) -> Contents:
        """The contents that consist of `resources`, apart from what cannot be read."""
        held, issues = tuple(resources), tuple(unreadable)
        names = [f"{resource.type}/{resource.id} {resource.version}" for resource in held]
        text = "\n".join([*names, *map(str, issues)])
        return cls(hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:16], held, position, issues)


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


@dataclass(frozen=True, slots=True)
class Past:
    """What became of a resource at some time.

    :param version: of the state that it came to be in.
    :param at: seconds since the epoch.
    :param by: who did it: ``operator:NAME``; ``user:KEY``; ``client:ID``, of a token without a user who is known;
        ``token``, of one that names no client either; ``cli:NAME@HOST``; empty: nobody knows.
    :param outcome: what was done.
    :param body: what it said; none: it was deleted, or what is kept cannot be read.
    """

    key: Key
    version: str
    at: float
    by: str
    outcome: Outcome
    body: Mapping[str, object] | None = field(repr=False)


class NoHistory(Rejected):
    """The place does not keep what it held before."""


class NoVersion(NotStored):
    """A resource was never in that version."""


UNREADABLE: Final = "names a version that cannot be read as the resource"
"""Why a resource cannot become again what it was."""


class Archive(Protocol):
    """What a registry held before."""

    def history(self, key: Key, *, offset: int = 0, limit: int | None = None) -> list[Past]:
        """What became of the resource with that key, the latest first; none: there never was one.

        :param offset: how many are left out in front.
        :param limit: how many are wanted at most; none: all.
        :raises DatabaseUnavailable: the database cannot be reached.
        """

    def past(self, key: Key, version: str) -> Past | None:
        """What the resource came to be in that version; none: it was never in it.

        :raises: as :meth:`history`.
        """

    def versions(self, key: Key) -> int:
        """In how many versions the resource was.

        :raises: as :meth:`history`.
        """

    def newest(self, limit: int, type_: str | None = None) -> list[Past]:
        """The latest changes of all resources, the latest first, without bodies.

        :param limit: how many at most.
        :param type_: of resources of that type; none: of any.
        :raises: as :meth:`history`.
        """

    def back_to(self, version: str) -> Edit:
        """What makes all resources what they were once that version had been made.

        It names those that are something else now. What the history does not know is not among them.

        :raises NoVersion: no resource was ever in that version.
        :raises Rejected: what one of them said then cannot be read.
        :raises: as :meth:`history`.
        """


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

    @property
    def archive(self) -> Archive:
        """What was kept before.

        :raises NoHistory: the place does not keep that.
        """

    def plan(self, edit: Edit, *, check: Check) -> Plan:
        """What :meth:`edit` would do, without doing it.

        :raises: as :meth:`edit`.
        """

    def edit(self, edit: Edit, *, check: Check, by: str = "") -> dict[Key, Outcome]:
        """Write and delete resources, all of them or none. A body that is kept already writes nothing.

        :param check: called before anything is written.
        :param by: who does it, see :class:`Past`.
        :raises Rejected: see :func:`~.edits.written`; whatever `check` says; the place cannot be written.
        :raises NotStored: a resource to delete is not there.
        :raises Conflict: a resource is not in the version that is expected.
        :raises DatabaseUnavailable: the database cannot be reached.
        """
