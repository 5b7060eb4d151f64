"""The registry in the database: one row a resource, and the feed that tells of changes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter

from sqlalchemy import Connection, LargeBinary, and_, bindparam, delete, insert, select

from .. import strict_json
from ..errors import Issue, Rejected
from ..transactions import Transactions
from .edits import Check, Edit, Outcome, State, refuse_unmet, written
from .feed import USER, Change, ChangeFeed, News, change_of, columns_of_change
from .history import Head, History, PastState, body_of, outcomes_of
from .plan import Draft, Plan
from .registry import UNREADABLE, Archive, Contents, Kept, NoVersion, Past
from .registry_tables import RegistryTables
from .resources import Key, Resource, sharing_texts
from .rows import Row, columns_of, entry_of, octets, row_of

_VERSION = re.compile("[1-9][0-9]{0,17}")

_CHANGE = len(Change._fields)
# Columns of the feed, in a row that has those of a resource too.


class DatabaseRegistry:
    """Resources in the database.

    :param feed: of the same database.
    """

    def __init__(self, transactions: Transactions, tables: RegistryTables, feed: ChangeFeed) -> None:
        self._transactions = transactions
        self._resource = tables.resource
        self._change = tables.change
        self._feed = feed
        self._history = History(tables)
        self._last_read: tuple[Resource, ...] = ()
        """A row that has not changed since is not parsed again."""

    def __str__(self) -> str:
        return "the database"

    def read(self, known: Contents | None = None, news: News | None = None) -> Contents:
        """See :meth:`Registry.read`.

        Asks nothing when `news` names no resource; else one statement, which brings the rows that changed and no
        others. Everything is read when `known` is none, or the feed was interrupted.
        """
        if known is None or (news is not None and news.interrupted):
            contents = self._read_all()
        elif news is not None and all(change.type == USER for change in news.changes):
            return known
        else:
            contents = self._read_since(known)
        self._last_read = contents.resources
        return contents

    def kept(self, type_: str, id_: str | None = None) -> list[Kept]:
        """See :meth:`Store.kept`. Read from the database itself; a row that cannot be read is left out."""
        return [
            Kept(row.key, entry.body, str(row.version), row.last_updated)
            for row, entry in self._found(type_, id_)
            if isinstance(entry, Resource)
        ]

    def unreadable(self, type_: str | None = None, id_: str | None = None) -> list[Issue]:
        """See :meth:`Store.unreadable`. It is the rows that were written by hand, and not as resources."""
        entries = [entry for _, entry in self._found(type_, id_)]
        return [issue for entry in entries if isinstance(entry, Rejected) for issue in entry.issues]

    @property
    def archive(self) -> Archive:
        """See :attr:`Store.archive`."""
        return self

    def history(self, key: Key, *, offset: int = 0, limit: int | None = None) -> list[Past]:
        """See :meth:`Archive.history`. Three statements; only what is asked for is read whole."""
        with self._transactions.reading() as connection:
            row, outcomes = self._outcomes(connection, key)
            end = None if limit is None else offset + limit
            return self._pasts(connection, key, row, outcomes[offset:end])

    def past(self, key: Key, version: str) -> Past | None:
        """See :meth:`Archive.past`. Three statements."""
        with self._transactions.reading() as connection:
            row, outcomes = self._outcomes(connection, key)
            wanted = [(head, outcome) for head, outcome in outcomes if str(head.version) == version]
            pasts = self._pasts(connection, key, row, wanted)
        return pasts[0] if pasts else None

    def versions(self, key: Key) -> int:
        """See :meth:`Archive.versions`. Two statements."""
        with self._transactions.reading() as connection:
            return len(self._outcomes(connection, key)[1])

    def newest(self, limit: int, type_: str | None = None) -> list[Past]:
        """See :meth:`Archive.newest`. One statement."""
        with self._transactions.reading() as connection:
            found = self._history.newest(connection, limit, type_)
        return [Past(key, str(head.version), head.at, head.by, outcome, None) for key, head, outcome in found]

    def back_to(self, version: str) -> Edit:
        """See :meth:`Archive.back_to`. Four statements."""
        number = int(version) if _VERSION.fullmatch(version) else 0
        with self._transactions.reading() as connection:
            if not number or not self._history.knows(connection, number):
                raise NoVersion([Issue("", "versionId", "names no version in the history")])
            states = {state.key: state for state in sorted(self._history.states_at(connection, number))}
            later = self._history.changed_after(connection, number)
            rows = {row.key: row for row in self._rows(connection)}
        kept = {key: state for key, state in states.items() if state.body is not None}
        differing = {key: state for key, state in kept.items() if not _is_kept(str(state.body), rows.get(key))}
        bodies = {key: body_of(key, state.body) for key, state in differing.items()}
        unreadable = [Issue("/".join(key), "versionId", UNREADABLE) for key, body in bodies.items() if body is None]
        if unreadable:
            raise Rejected(unreadable)
        gone = (states.keys() | later) - kept.keys()
        return Edit([body for body in bodies.values() if body is not None], sorted(gone & rows.keys()))

    def _outcomes(self, connection: Connection, key: Key) -> tuple[Row | None, list[tuple[Head, Outcome]]]:
        """What there is now, and what was done each time, the latest first."""
        heads = self._history.heads(connection, key)
        row = next(self._rows(connection, *key), None)
        # A row that was written by hand, or by an earlier version, is not in the history.
        if row is not None and row.version not in {head.version for head in heads}:
            heads.append(Head(row.version, False, row.last_updated, ""))
        return row, outcomes_of(heads)

    def _pasts(
        self, connection: Connection, key: Key, row: Row | None, outcomes: Sequence[tuple[Head, Outcome]]
    ) -> list[Past]:
        versions = [head.version for head, _ in outcomes if not head.is_deletion]
        texts = {} if row is None else {row.version: None if row.fault else row.body}
        texts |= self._history.texts(connection, key, versions)
        return [
            Past(key, str(head.version), head.at, head.by, outcome, body_of(key, texts.get(head.version)))
            for head, outcome in outcomes
        ]

    def plan(self, edit: Edit, *, check: Check) -> Plan:
        """See :meth:`Store.plan`. One statement."""
        with self._transactions.reading() as connection:
            held = _Held(self._rows(connection), self._last_read)
        draft, _ = _checked(edit, held, check)
        return draft.plan()

    def edit(self, edit: Edit, *, check: Check, by: str = "") -> dict[Key, Outcome]:
        """See :meth:`Store.edit`. Nobody else writes between the check and the commit.

        A row that cannot be read is mended by writing or deleting it.

        :raises DatabaseUnavailable: as for :meth:`Transactions.writing`.
        """
        with self._feed.writing() as connection:
            held = _Held(self._rows(connection), self._last_read)
            draft, texts = _checked(edit, held, check)
            changed = [key for key, outcome in draft.outcomes.items() if outcome != "unchanged"]
            if changed:
                self._write(connection, changed, texts, [held.rows[key] for key in changed if key in held.rows], by)
        return dict(draft.outcomes)

    def _write(
        self, connection: Connection, changed: Sequence[Key], texts: Mapping[Key, str], before: Sequence[Row], by: str
    ) -> None:
        # Ids of changes come again once the feed is emptied; the versions of a resource must not.
        above = max([self._history.latest(connection), *(row.version for row in before)])
        changes = self._feed.append(connection, changed, above=above)
        states = [
            PastState(*key, change.id, texts.get(key), change.at, by)
            for key, change in zip(changed, changes, strict=True)
        ]
        self._history.add(connection, list(map(_past, before)), states)
        self._delete(connection, before)
        self._insert(connection, [Row(*state[:3], state.body, state.at) for state in states if state.body is not None])

    def _found(self, type_: str | None, id_: str | None) -> list[tuple[Row, Resource | Rejected]]:
        with self._transactions.reading() as connection:
            rows = list(self._rows(connection, type_, id_))
        return [(row, entry_of(row)) for row in sorted(rows)]

    def _read_all(self) -> Contents:
        with self._transactions.reading() as connection:
            # The feed first: what is committed in between is then read twice, and not missed.
            position = self._feed.last(connection)
            rows = list(self._rows(connection))
        state = _state_of(rows)
        return _contents(sharing_texts(state.resources), position, state.issues)

    def _read_since(self, known: Contents) -> Contents:
        change, row = self._change.c, self._resource.c
        with self._transactions.reading() as connection:
            dialect = connection.dialect.name
            # One statement, so that entries and rows are of one moment and half a commit is never seen.
            query = (
                select(*columns_of_change(self._change, dialect), *columns_of(self._resource, dialect))
                .outerjoin_from(self._change, self._resource, and_(row.type == change.type, row.id == change.ref))
                .where(change.id > known.position.id)
                .order_by(change.id)
            )
            found = [(change_of(entry[:_CHANGE]), entry[_CHANGE:]) for entry in connection.execute(query)]
        if all(change.type == USER for change, _ in found):
            return known
        changed = {(change.type, change.ref) for change, _ in found}
        rows = {row.key: row for row in (row_of(values) for _, values in found if values[0] is not None)}
        names = set(map("/".join, changed))
        state = _state_of(rows.values())
        resources = [resource for resource in known.resources if resource.key not in changed]
        unreadable = [issue for issue in known.unreadable if issue.resource not in names]
        return _contents([*resources, *sharing_texts(state.resources)], found[-1][0], [*unreadable, *state.issues])

    def _rows(self, connection: Connection, type_: str | None = None, id_: str | None = None) -> Iterator[Row]:
        query = select(*columns_of(self._resource, connection.dialect.name))
        for column, asked in ((self._resource.c.type, type_), (self._resource.c.id, id_)):
            query = query if asked is None else query.where(column == asked)
        return map(row_of, connection.execute(query))

    def _delete(self, connection: Connection, rows: Sequence[Row]) -> None:
        row = self._resource.c
        named = delete(self._resource).where(row.type == bindparam("_type"), row.id == bindparam("_id"))
        as_they_are = delete(self._resource).where(
            octets(row.type) == bindparam("_type", type_=LargeBinary),
            octets(row.id) == bindparam("_id", type_=LargeBinary),
        )
        for statement, keys in (
            (named, [row.key for row in rows if not row.fault or row.octets is None]),
            (as_they_are, [row.octets for row in rows if row.fault and row.octets is not None]),
        ):
            if keys:
                connection.execute(statement, [{"_type": type_, "_id": id_} for type_, id_ in keys])

    def _insert(self, connection: Connection, rows: Sequence[Row]) -> None:
        if rows:
            names = [column.name for column in self._resource.c]
            connection.execute(insert(self._resource), [dict(zip(names, row, strict=False)) for row in rows])


class _Held:
    """The rows of a moment, and the resources in them.

    :param known: resources that were read before.
    """

    def __init__(self, rows: Iterable[Row], known: Iterable[Resource]) -> None:
        before = {resource.key: resource for resource in known}
        self.rows = dict(sorted((row.key, row) for row in rows))
        self.entries = {key: entry_of(row, before.get(key)) for key, row in self.rows.items()}

    @property
    def state(self) -> State:
        return State.of(self.entries.items())

    def state_after(self, texts: Mapping[Key, str], deletes: Iterable[Key]) -> State:
        """The state with these bodies stored, and these resources deleted."""
        written = {key: entry_of(Row(*key, 0, text, 0.0)) for key, text in texts.items()}
        left = {**self.entries, **written}
        for key in deletes:
            del left[key]
        return State.of(sorted(left.items(), key=lambda item: item[0]))

    def body(self, key: Key) -> object:
        """What is stored under `key`, also where it is no resource; none: nothing, or no JSON."""
        entry = self.entries.get(key)
        if isinstance(entry, Resource):
            return entry.body
        try:
            return strict_json.loads(self.rows[key].body) if key in self.rows else None
        except ValueError:
            return None


def _checked(edit: Edit, held: _Held, check: Check) -> tuple[Draft, Mapping[Key, str]]:
    """What `edit` does, and the texts that it writes."""
    edit = edit.naming_all(held.rows)
    versions = {key: str(row.version) for key, row in held.rows.items()}
    refuse_unmet(edit, versions)
    forms = written(edit, held.body)
    texts = {key: form.text for key, form in forms.items()}
    # What stays as it is stays under its version, and is not compiled again for the check.
    new = {key: text for key, text in texts.items() if not _is_kept(text, held.rows.get(key))}
    check(held.state, held.state_after(new, edit.deletes))
    draft = Draft(
        edit,
        outcomes=_outcomes(texts, edit.deletes, held.rows),
        before={key: entry.body for key in texts if isinstance(entry := held.entries.get(key), Resource)},
        after={key: form.body for key, form in forms.items()},
        versions=versions,
    )
    return draft, texts


def _past(row: Row) -> PastState:
    """The same as the history has it; who wrote it is not known here."""
    return PastState(row.type, row.id, row.version, row.body, row.last_updated, by="")


def _contents(resources: Iterable[Resource], position: Change, unreadable: Iterable[Issue]) -> Contents:
    """Sorted here, since databases differ in what they think of the order of texts."""
    ordered = sorted(resources, key=attrgetter("type", "id"))
    return Contents.of(ordered, position, sorted(unreadable))


def _outcomes(texts: Mapping[Key, str], deletes: Iterable[Key], stored: Mapping[Key, Row]) -> dict[Key, Outcome]:
    outcomes: dict[Key, Outcome] = {}
    for key, text in texts.items():
        if key not in stored:
            outcomes[key] = "created"
        else:
            outcomes[key] = "unchanged" if _is_kept(text, stored[key]) else "updated"
    return outcomes | dict.fromkeys(deletes, "deleted")


def _is_kept(text: str, row: Row | None) -> bool:
    return row is not None and row.body == text and not row.fault


def _state_of(rows: Iterable[Row]) -> State:
    return State.of((row.key, entry_of(row)) for row in rows)
