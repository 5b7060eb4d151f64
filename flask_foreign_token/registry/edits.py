"""Edits: what is to become of resources, and what must hold before anything is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, Literal, NamedTuple

from .. import strict_json
from ..errors import Conflict, Issue, NotStored, Rejected
from ..faults import Faults
from .resources import Key, Resource, canonical, identify, stored_form
from .secrets import restored

MAX_BODY = 1024 * 1024
"""Bytes of the largest resource, as it is kept."""

ANY: Final = "*"
"""Expected of a resource that must be stored, in whatever version."""

ABSENT: Final = "absent"
"""Expected of a resource that must not be stored; no version reads like that."""

Outcome = Literal["created", "updated", "unchanged", "deleted"]
"""What became of one resource."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to become of resources; all of it or nothing.

    :param upserts: bodies with `resourceType` and `id`; ``meta`` is not kept. A secret that is written as the mask
        stays what it is.
    :param deletes: the key of each.
    :param expected: the version that a resource must be in, as it was shown; or :data:`ANY`, or :data:`ABSENT`.
    :param prune: whether all that is stored and not in `upserts` is deleted.
    """

    upserts: Sequence[Mapping[str, object]] = field(default=(), repr=False)
    deletes: Sequence[Key] = ()
    expected: Mapping[Key, str] = field(default_factory=dict)
    prune: bool = False

    def naming_all(self, stored: Iterable[Key]) -> Edit:
        """The same with every resource named that is deleted.

        :param stored: the keys of all that is.
        """
        if not self.prune:
            return self
        named = {*self.deletes}
        for body in self.upserts:
            with suppress(Rejected):
                named.add(identify(body))
        return replace(self, deletes=[*self.deletes, *sorted(set(stored) - named)], prune=False)


@dataclass(frozen=True, slots=True)
class State:
    """What a registry holds before or after an edit.

    :param resources: those that can be read.
    :param unreadable: the keys of the others.
    :param issues: why those cannot be read.
    """

    resources: tuple[Resource, ...] = field(repr=False)
    unreadable: frozenset[Key] = frozenset()
    issues: tuple[Issue, ...] = ()

    @classmethod
    def of(cls, entries: Iterable[tuple[Key, Resource | Rejected]]) -> State:
        """The state in which there is a resource under each key, or the reason why none can be read there."""
        held = list(entries)
        return cls(
            tuple(entry for _, entry in held if isinstance(entry, Resource)),
            frozenset(key for key, entry in held if isinstance(entry, Rejected)),
            tuple(issue for _, entry in held if isinstance(entry, Rejected) for issue in entry.issues),
        )


Check = Callable[[State, State], object]
"""Called with what a registry holds before an edit and after it; raises what should come of it."""


class Written(NamedTuple):
    """A body as it is to be kept, and its one JSON text."""

    body: dict[str, object]
    text: str


def refuse_unmet(edit: Edit, versions: Mapping[Key, str]) -> None:
    """Compare what `edit` takes for granted with what is stored.

    What cannot be found is not asked for its version (:rfc:`9110#section-13.2.1`).

    :param versions: of all that is stored.
    :raises NotStored: names each resource to delete that is not there.
    :raises Conflict: a resource is not in the version that is expected, or is there and must not be.
    """
    absent = [key for key in edit.deletes if key not in versions]
    if absent:
        raise NotStored([Issue("/".join(key), "", "is not stored, so it cannot be deleted") for key in absent])
    for key, version in edit.expected.items():
        if not meets(versions.get(key), version):
            raise Conflict(key)


def meets(stored: str | None, expected: str) -> bool:
    """Whether what is stored is what was expected of it.

    :param stored: the version; none: nothing is stored.
    :param expected: a version, :data:`ANY` or :data:`ABSENT`.
    """
    if stored is None or expected == ABSENT:
        return stored is None and expected == ABSENT
    return expected in (ANY, stored)


def written(edit: Edit, stored: Callable[[Key], object]) -> dict[Key, Written]:
    """What `edit` writes, with the stored secrets where the mask stands.

    :param stored: the body that is stored for a key; none: nothing that can be read.
    :raises Rejected: names every body that is none, is too large or holds a mask without a secret behind it, and every
        resource that is named twice.
    """
    faults = Faults()
    entries: list[tuple[Key, Written]] = []
    for position, body in enumerate(edit.upserts):
        with faults.gathered():
            entries.append(_entry(body, position, stored))
    counts = Counter([*(key for key, _ in entries), *edit.deletes])
    for key, count in counts.items():
        if count > 1:
            faults.add("/".join(key), "", "is named twice")
    faults.raise_any()
    return dict(entries)


def _entry(body: Mapping[str, object], position: int, stored: Callable[[Key], object]) -> tuple[Key, Written]:
    try:
        key = identify(body)
    except Rejected as rejected:
        raise rejected.within("", str(position)) from None
    try:
        return key, _kept(stored_form(restored(body, stored(key))))
    except Rejected as rejected:
        raise rejected.within("/".join(key)) from None


def _kept(body: dict[str, object]) -> Written:
    text = canonical(body)
    if len(text) > MAX_BODY:
        raise Rejected.at("", f"must not be larger than {MAX_BODY} bytes")
    try:
        # The array around it, in a file or an export, is one level more.
        strict_json.loads(f"[{text}]")
    except ValueError as reason:
        raise Rejected.at("", f"is {reason}") from None
    return Written(body, text)
