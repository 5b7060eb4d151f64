"""The registry in the database: one row a resource, and the feed that tells of changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    insert,
    select,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import conv

from .. import strict_json
from ..errors import Issue, Rejected
from ..tables import exact
from ..transactions import Transactions
from .edits import Check, Edit, Outcome, State, refuse_unmet, written
from .feed import MAX_REF, USER, Change, ChangeFeed, News
from .registry import Contents, Kept
from .resources import Key, Resource, digest, identify, sharing_texts

_INFO = "foreign_token.registry"


@dataclass(frozen=True, slots=True)
class RegistryTables:
    """The tables of the registry.

    :param resource: `type`, `id`, `version` (id of the change that wrote it), `body` (JSON), `last_updated`.
    :param change: see :class:`~.feed.Change`.
    """

    resource: Table
    change: Table


def tables_for(metadata: MetaData) -> RegistryTables:
    """The registry's tables on `metadata`, made when they are first asked for."""
    tables: RegistryTables | None = metadata.info.get(_INFO)
    if tables is None:
        tables = metadata.info[_INFO] = RegistryTables(_resource_table(metadata), _change_table(metadata))
    return tables


def _resource_table(metadata: MetaData) -> Table:
    return Table(
        "foreign_token_resource",
        metadata,
        Column("type", exact(32), nullable=False),
        Column("id", exact(64), nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("body", Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb"), nullable=False),
        Column("last_updated", Double, nullable=False, comment="seconds since the epoch"),
        PrimaryKeyConstraint("type", "id", name=conv("pk_foreign_token_resource")),
    )


def _change_table(metadata: MetaData) -> Table:
    return Table(
        "foreign_token_change",
        metadata,
        Column("id", BigInteger, autoincrement=False, nullable=False),
        Column("type", exact(32), nullable=False),
        Column("ref", exact(MAX_REF), nullable=False),
        Column("at", Double, nullable=False, comment="seconds since the epoch"),
        PrimaryKeyConstraint("id", name=conv("pk_foreign_token_change")),
    )


class _Row(NamedTuple):
    """A row of the resource table."""

    type: str
    id: str
    version: int
    body: str
    last_updated: float

    @property
    def key(self) -> Key:
        return self.type, self.id


class DatabaseRegistry:
    """Resources in the database.

    :param feed: of the same database.
    """

    def __init__(self, transactions: Transactions, tables: RegistryTables, feed: ChangeFeed) -> None:
        self._transactions = transactions
        self._resource = tables.resource
        self._change = tables.change
        self._feed = feed

    def __str__(self) -> str:
        return "the database"

    def read(self, known: Contents | None = None, news: News | None = None) -> Contents:
        """See :meth:`Registry.read`.

        Asks nothing when `news` names no resource; else one statement, which brings the rows that changed and no
        others. Everything is read when `known` is none, or the feed was interrupted.
        """
        if known is None or (news is not None and news.interrupted):
            return self._read_all()
        if news is not None and all(change.type == USER for change in news.changes):
            return known
        return self._read_since(known)

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

    def _found(self, type_: str | None, id_: str | None) -> list[tuple[_Row, Resource | Rejected]]:
        query = select(self._resource)
        for column, asked in ((self._resource.c.type, type_), (self._resource.c.id, id_)):
            query = query if asked is None else query.where(column == asked)
        with self._transactions.reading() as connection:
            rows = [_Row._make(found) for found in connection.execute(query)]
        return [(row, _entry_of(row)) for row in sorted(rows, key=lambda row: row.key)]

    def edit(self, edit: Edit, *, check: Check) -> dict[Key, Outcome]:
        """See :meth:`Store.edit`. Nobody else writes between the check and the commit.

        A row that cannot be read is mended by writing or deleting it.

        :raises DatabaseUnavailable: as for :meth:`Transactions.writing`.
        """
        with self._feed.writing() as connection:
            stored = {row.key: row for row in self._rows(connection)}
            refuse_unmet(edit, {key: str(row.version) for key, row in stored.items()})
            texts = {key: text for key, (_body, text) in written(edit, lambda key: _body_in(stored.get(key))).items()}
            outcomes = _outcomes(texts, edit.deletes, stored)
            changed = [key for key in texts if outcomes[key] != "unchanged"]
            changes = self._feed.append(connection, [*changed, *edit.deletes])
            # The deletions are announced last; what is left of them writes no row.
            rows = [_Row(*key, change.id, texts[key], change.at) for key, change in zip(changed, changes, strict=False)]
            before = {key: _entry_of(row) for key, row in stored.items()}
            after = before | {row.key: _entry_of(row) for row in rows}
            for key in edit.deletes:
                del after[key]
            check(State.of(sorted(before.items(), key=_by_key)), State.of(sorted(after.items(), key=_by_key)))
            self._delete(connection, [*(key for key in changed if key in stored), *edit.deletes])
            self._insert(connection, rows)
        return outcomes

    def _read_all(self) -> Contents:
        with self._transactions.reading() as connection:
            # The feed first: what is committed in between is then read twice, and not missed.
            position = self._feed.last(connection)
            rows = list(self._rows(connection))
        return _contents(_resources(rows), position)

    def _read_since(self, known: Contents) -> Contents:
        change, row = self._change.c, self._resource.c
        # One statement, so that entries and rows are of one moment and half a commit is never seen.
        query = (
            select(self._change, row.version, row.body, row.last_updated)
            .outerjoin_from(self._change, self._resource, and_(row.type == change.type, row.id == change.ref))
            .where(change.id > known.position.id)
            .order_by(change.id)
        )
        with self._transactions.reading() as connection:
            found = connection.execute(query).all()
        if all(entry.type == USER for entry in found):
            return known
        rows = [_Row(entry.type, entry.ref, *entry[-3:]) for entry in found if entry.body is not None]
        changed = {(entry.type, entry.ref) for entry in found}
        kept = [resource for resource in known.resources if resource.key not in changed]
        new = {resource.key: resource for resource in _resources(rows)}
        return _contents([*kept, *new.values()], Change._make(found[-1][: len(Change._fields)]))

    def _rows(self, connection: Connection) -> Iterator[_Row]:
        return map(_Row._make, connection.execute(select(self._resource)))

    def _delete(self, connection: Connection, keys: Sequence[Key]) -> None:
        if keys:
            row = self._resource.c
            statement = delete(self._resource).where(row.type == bindparam("_type"), row.id == bindparam("_id"))
            connection.execute(statement, [{"_type": type_, "_id": id_} for type_, id_ in keys])

    def _insert(self, connection: Connection, rows: Sequence[_Row]) -> None:
        if rows:
            connection.execute(insert(self._resource), [row._asdict() for row in rows])


def _contents(resources: Iterable[Resource], position: Change) -> Contents:
    """Sorted here, since databases differ in what they think of the order of texts."""
    return Contents.of(sorted(resources, key=lambda resource: resource.key), position)


def _by_key(item: tuple[Key, object]) -> Key:
    return item[0]


def _outcomes(texts: Mapping[Key, str], deletes: Iterable[Key], stored: Mapping[Key, _Row]) -> dict[Key, Outcome]:
    outcomes: dict[Key, Outcome] = {}
    for key, text in texts.items():
        if key not in stored:
            outcomes[key] = "created"
        else:
            outcomes[key] = "unchanged" if stored[key].body == text else "updated"
    return outcomes | dict.fromkeys(deletes, "deleted")


def _resources(rows: Iterable[_Row]) -> list[Resource]:
    """:raises Rejected: names every row that holds no resource."""
    state = State.of((row.key, _entry_of(row)) for row in rows)
    if state.issues:
        raise Rejected(state.issues)
    return sharing_texts(state.resources)


def _entry_of(row: _Row) -> Resource | Rejected:
    try:
        return _resource_of(row)
    except Rejected as rejected:
        return rejected


def _body_in(row: _Row | None) -> object:
    try:
        return None if row is None else strict_json.loads(row.body)
    except ValueError:
        return None


def _resource_of(row: _Row) -> Resource:
    """The resource in `row`. Its version has the body in it: ids come again when a database is restored.

    :raises Rejected: the row was written by hand, and not as a resource.
    """
    name = f"{row.type}/{row.id}"
    try:
        body = strict_json.loads(row.body)
        found = identify(body)
    except ValueError as reason:
        raise Rejected([Issue(name, "", f"the stored body is {reason}")]) from None
    except Rejected as rejected:
        raise rejected.within(name) from None
    if found != row.key:
        raise Rejected([Issue(name, "", f"the stored body is that of {'/'.join(found)}")])
    return Resource(*row.key, f"{row.version}-{digest(row.body)}", cast("Mapping[str, object]", body), row.last_updated)
