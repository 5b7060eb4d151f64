"""The registry's resources as an operator reads and changes them, in a database or in a file."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import zip_longest

from ..errors import Issue, Rejected
from ..instants import instant
from .edits import Edit, Outcome, State
from .plan import Change, Difference, Plan, differences
from .registry import UNREADABLE, Kept, NoVersion, Past, Store
from .resources import Key, Resource, identify
from .secrets import masked


@dataclass(frozen=True, slots=True)
class Shown:
    """A resource as an operator sees it.

    :param body: `resourceType` and `id` first, secrets masked, and ``meta`` where times and versions are kept. In a
        file the text of variables stands as it is.
    :param version: changes with what is shown; no secret has a part in it.
    """

    key: Key
    body: Mapping[str, object] = field(repr=False)
    version: str


class Catalog:
    """Shows resources and changes them. Making one does no I/O.

    What cannot be used can be looked at and mended all the same.

    :param prepare: called first of all; makes the tables, where there are any to make.
    :param faults: everything that is wrong with resources that can be read, taken as a whole; called with those, with
        the keys of what cannot be read, and with the keys of what an edit deletes.
    :param refresh: called after an edit; brings it into force in this process.
    :param lint: what is probably not meant in a body, though nothing is wrong with it.
    """

    def __init__(
        self,
        store: Store,
        *,
        prepare: Callable[[], object],
        faults: Callable[[Iterable[Resource], Iterable[Key], Collection[Key]], Iterable[Issue]],
        refresh: Callable[[], object],
        lint: Callable[[Key, Mapping[str, object]], Iterable[Issue]] = lambda key, body: (),
    ) -> None:
        self._store = store
        self._prepare = prepare
        self._faults = faults
        self._refresh = refresh
        self._lint = lint

    def list(self, type_: str) -> builtins.list[Shown]:
        """The resources of that type, by id; those that cannot be read as resources are left out.

        :raises Rejected: the file cannot be read.
        :raises DatabaseUnavailable: the database cannot be reached, or a table is missing.
        """
        self._prepare()
        return sorted(map(_shown, self._store.kept(type_)), key=lambda shown: shown.key)

    def get(self, key: Key) -> Shown | None:
        """The resource with that key; none: there is none that can be read.

        :raises: as :meth:`list`.
        """
        self._prepare()
        found = self._store.kept(*key)
        return _shown(found[0]) if found else None

    def unreadable(self, type_: str | None = None, id_: str | None = None) -> builtins.list[Issue]:
        """What :meth:`list` and :meth:`get` leave out, and why it cannot be read.

        :param type_: none: of every type.
        :param id_: none: whatever its id.
        :raises: as :meth:`list`.
        """
        self._prepare()
        return self._store.unreadable(type_, id_)

    def warnings(self, bodies: Iterable[Mapping[str, object]]) -> builtins.list[Issue]:
        """What is probably not meant in resources as somebody writes them; each names the resource.

        What is wrong in one is for :meth:`apply` to refuse; of that one nothing is said here.

        :param bodies: with `resourceType` and `id`.
        """
        return [issue for body in bodies for issue in self._warnings_of(identify(body), body)]

    def history(self, key: Key, *, offset: int = 0, limit: int | None = None) -> builtins.list[Past]:
        """What became of the resource with that key, the latest first, secrets masked; none: there never was one.

        :param offset: how many are left out in front.
        :param limit: how many are wanted at most; none: all.
        :raises NoHistory: the registry is a file.
        :raises DatabaseUnavailable: the database cannot be reached, or a table is missing.
        """
        self._prepare()
        return [_shown_past(past) for past in self._store.archive.history(key, offset=offset, limit=limit)]

    def past(self, key: Key, version: str) -> Past | None:
        """What the resource came to be in that version, secrets masked; none: it was never in it.

        :raises: as :meth:`history`.
        """
        self._prepare()
        past = self._store.archive.past(key, version)
        return None if past is None else _shown_past(past)

    def versions(self, key: Key) -> int:
        """In how many versions the resource with that key was; 0: there never was one.

        :raises: as :meth:`history`.
        """
        self._prepare()
        return self._store.archive.versions(key)

    def compared(self, key: Key, *, limit: int | None = None) -> builtins.list[tuple[Past, tuple[Difference, ...]]]:
        """The history, and where each state of it that was made by an update differs from the one before.

        Of two secrets it is seen whether they differ, and nothing else.

        :param limit: how many are wanted at most; none: all.
        :raises: as :meth:`history`.
        """
        self._prepare()
        # One more, for the last to be compared with.
        pasts = self._store.archive.history(key, limit=None if limit is None else limit + 1)
        compared = [(_shown_past(past), _differences(before, past)) for past, before in zip_longest(pasts, pasts[1:])]
        return compared[:limit]

    def newest(self, limit: int, type_: str | None = None) -> builtins.list[Past]:
        """The latest changes of all resources, the latest first, without what they said.

        :param limit: how many at most.
        :param type_: of resources of that type; none: of any.
        :raises: as :meth:`history`.
        """
        self._prepare()
        return self._store.archive.newest(limit, type_)

    def plan(self, edit: Edit, *, strict: bool = False) -> Plan:
        """What :meth:`apply` would do. Nothing is changed.

        :raises: as :meth:`apply`.
        """
        self._prepare()
        return self._store.plan(edit, check=partial(self._check, edit, strict))

    def apply(self, edit: Edit, *, strict: bool = False, by: str = "") -> dict[Key, Outcome]:
        """Change resources, all of them or none. Here the change is in force when this returns.

        What is written must be right, and nothing else may come to be wrong through it. Faults of other resources that
        were there before do not stand in the way, so that a registry can be mended step by step; while there are any,
        what was in force stays so.

        :param strict: whether what is probably not meant is wrong.
        :param by: who does it, see :class:`.Past`.
        :return: what became of each, in the order of `edit`.
        :raises Rejected: names every fault; nothing was changed.
        :raises NotStored: a resource to delete is not there; nothing was changed.
        :raises Conflict: a resource is not in the version that is expected; nothing was changed.
        :raises DatabaseUnavailable: the database cannot be reached, or a table is missing.
        """
        self._prepare()
        outcomes = self._store.edit(edit, check=partial(self._check, edit, strict), by=by)
        self._refresh()
        return outcomes

    def rollback(
        self, key: Key, version: str, *, by: str = "", expected: str | None = None, strict: bool = False
    ) -> Outcome:
        """Make a resource what it was in a version of its history, secrets included; deleted, if it was that.

        It is a change as any other: it is checked, and comes to be in a version of its own.

        :param expected: see :class:`.Edit`; none: whatever is there now.
        :raises NoVersion: there is no such version.
        :raises NoHistory: the registry is a file.
        :raises: as :meth:`apply`.
        """
        outcomes = self.apply(self._back(key, version, expected), strict=strict, by=by)
        return outcomes.get(key, "unchanged")

    def plan_rollback(self, key: Key, version: str, *, strict: bool = False) -> Plan:
        """What :meth:`rollback` would do. Nothing is changed; :meth:`apply` does it with :attr:`.Plan.edit`.

        :raises: as :meth:`rollback`.
        """
        plan = self.plan(self._back(key, version), strict=strict)
        return plan if plan.changes else replace(plan, changes=(Change(key, "unchanged"),))

    def plan_rollback_to(self, version: str, *, strict: bool = False) -> Plan:
        """What it takes to make all resources what they were once that version had been made: those that changed since
        are changed back, those that were deleted come back, and those that were created are deleted.

        What the history does not know stays. Nothing is changed; :meth:`apply` does it with :attr:`.Plan.edit`.

        :raises NoVersion: no resource was ever in that version.
        :raises NoHistory: the registry is a file.
        :raises: as :meth:`apply`.
        """
        self._prepare()
        return self.plan(self._store.archive.back_to(version), strict=strict)

    def _back(self, key: Key, version: str, expected: str | None = None) -> Edit:
        """The edit that makes a resource what it was."""
        self._prepare()
        past = self._store.archive.past(key, version)
        versions = {} if expected is None else {key: expected}
        name = "/".join(key)
        if past is None:
            raise NoVersion([Issue(name, "versionId", "names no version in the history")])
        if past.outcome == "deleted":
            is_there = self._store.kept(*key) or self._store.unreadable(*key)
            return Edit(deletes=[key] if is_there else [], expected=versions)
        if past.body is None:
            raise Rejected([Issue(name, "versionId", UNREADABLE)])
        return Edit([past.body], expected=versions)

    def _check(self, edit: Edit, strict: bool, before: State, after: State) -> None:
        issues = [*self._introduced(edit, before, after), *(self.warnings(edit.upserts) if strict else ())]
        if issues:
            raise Rejected(issues)

    def _introduced(self, edit: Edit, before: State, after: State) -> builtins.list[Issue]:
        found = self._faults_in(after, edit.deletes)
        if not found:
            return []
        names = {f"{body['resourceType']}/{body['id']}" for body in edit.upserts}
        known = set(map(_place, self._faults_in(before)))
        return [issue for issue in found if issue.resource in names or _place(issue) not in known]

    def _warnings_of(self, key: Key, body: Mapping[str, object]) -> Iterable[Issue]:
        try:
            return self._lint(key, body)
        except Rejected:
            return ()

    def _faults_in(self, state: State, deleted: Collection[Key] = ()) -> tuple[Issue, ...]:
        return (*state.issues, *self._faults(state.resources, state.unreadable, deleted))


def _place(issue: Issue) -> tuple[str, str]:
    """Not the reason: it may name another resource, and another one after the edit."""
    return issue.resource, issue.path


def _shown(kept: Kept) -> Shown:
    return Shown(kept.key, _shown_body(kept.key, kept.body, kept.version, kept.last_updated), kept.version)


def _shown_past(past: Past) -> Past:
    if past.body is None:
        return past
    return replace(past, body=_shown_body(past.key, past.body, past.version, past.at))


def _differences(before: Past | None, past: Past) -> tuple[Difference, ...]:
    if before is None or before.body is None or past.body is None:
        return ()
    return tuple(differences(before.body, past.body))


def _shown_body(key: Key, body: Mapping[str, object], version: str, at: float | None) -> dict[str, object]:
    type_, id_ = key
    shown: dict[str, object] = {"resourceType": type_, "id": id_, **masked(body)}
    if at is not None:
        shown["meta"] = {"versionId": version, "lastUpdated": instant(at)}
    return shown
