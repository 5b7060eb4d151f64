"""The registry's resources as an operator reads and changes them, in a database or in a file."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from ..errors import Issue, Rejected
from ..instants import instant
from .edits import Edit, Outcome, State
from .registry import Kept, Store
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
    :param lint: what is probably not meant in the body of a policy with that id, though nothing is wrong with it.
    """

    def __init__(
        self,
        store: Store,
        *,
        prepare: Callable[[], object],
        faults: Callable[[Iterable[Resource], Iterable[Key], Collection[Key]], Iterable[Issue]],
        refresh: Callable[[], object],
        lint: Callable[[str, Mapping[str, object]], Iterable[Issue]] = lambda id_, body: (),
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
        return [issue for body in bodies for issue in self._warnings_of(*identify(body), body)]

    def apply(self, edit: Edit, *, strict: bool = False) -> dict[Key, Outcome]:
        """Change resources, all of them or none. Here the change is in force when this returns.

        What is written must be right, and nothing else may come to be wrong through it. Faults of other resources that
        were there before do not stand in the way, so that a registry can be mended step by step; while there are any,
        what was in force stays so.

        :param strict: whether what is probably not meant is wrong.
        :return: what became of each, in the order of `edit`.
        :raises Rejected: names every fault; nothing was changed.
        :raises NotStored: a resource to delete is not there; nothing was changed.
        :raises Conflict: a resource is not in the version that is expected; nothing was changed.
        :raises DatabaseUnavailable: the database cannot be reached, or a table is missing.
        """
        self._prepare()
        outcomes = self._store.edit(edit, check=partial(self._check, edit, strict))
        self._refresh()
        return outcomes

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

    def _warnings_of(self, type_: str, id_: str, body: Mapping[str, object]) -> Iterable[Issue]:
        try:
            return self._lint(id_, body) if type_ == "AccessPolicy" else ()
        except Rejected:
            return ()

    def _faults_in(self, state: State, deleted: Collection[Key] = ()) -> tuple[Issue, ...]:
        return (*state.issues, *self._faults(state.resources, state.unreadable, deleted))


def _place(issue: Issue) -> tuple[str, str]:
    """Not the reason: it may name another resource, and another one after the edit."""
    return issue.resource, issue.path


def _shown(kept: Kept) -> Shown:
    type_, id_ = kept.key
    body: dict[str, object] = {"resourceType": type_, "id": id_}
    body |= masked(kept.body)
    if kept.last_updated is not None:
        body["meta"] = {"versionId": kept.version, "lastUpdated": instant(kept.last_updated)}
    return Shown(kept.key, body, kept.version)
