"""The registry in the database: one row a resource, and the feed that tells of changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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

from .. import strict_json
from ..errors import Issue, Rejected
from ..tables import exact
from ..transactions import Transactions
from .faults import Faults
from .feed import USER, Change, ChangeFeed, News
from .registry import Contents
from .resources import Key, Resource, canonical, digest, identify, stored_form

MAX_BODY = 1024 * 1024
"""Bytes of the largest resource, as it is kept."""

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
        PrimaryKeyConstraint("type", "id", name="pk_foreign_token_resource"),
    )


def _change_table(metadata: MetaData) -> Table:
    return Table(
        "foreign_token_change",
        metadata,
        Column("id", BigInteger, autoincrement=False, nullable=False),
        Column("type", exact(32), nullable=False),
        Column("ref", exact(255), nullable=False),
        Column("at", Double, nullable=False, comment="seconds since the epoch"),
        PrimaryKeyConstraint("id", name="pk_foreign_token_change"),
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

    def apply(
        self,
        upserts: Sequence[Mapping[str, object]],
        deletes: Sequence[Key] = (),
        *,
        check: Callable[[Contents], object],
    ) -> Contents:
        """Write and delete resources, all of them or none.

        A body that is stored already writes nothing. Nobody else writes between the check and the commit. A row that
        cannot be read is mended by writing or deleting it.

        :param upserts: bodies with `resourceType` and `id`; ``meta`` is not kept.
        :param deletes: (type, id) of each.
        :param check: called with what the registry would then hold; raises what should come of it.
        :return: what the registry holds now.
        :raises Rejected: a body is none or over 1 MiB, a resource is named twice, or one to delete is not there; a row
            that is stored and not touched cannot be read; whatever `check` says.
        :raises DatabaseUnavailable: as for :meth:`Transactions.writing`.
        """
        texts = _texts(upserts, deletes)
        with self._feed.writing() as connection:
            stored = {row.key: row for row in self._rows(connection)}
            _refuse_absent(deletes, stored)
            changed = [key for key, text in texts.items() if key not in stored or stored[key].body != text]
            changes = self._feed.append(connection, [*changed, *deletes])
            # The deletions are announced last; what is left of them writes no row.
            rows = [_Row(*key, change.id, texts[key], change.at) for key, change in zip(changed, changes, strict=False)]
            kept = stored.keys() - set(deletes)
            held = {key: stored[key] for key in kept} | {row.key: row for row in rows}
            contents = _contents(_resources(held.values()), self._feed.last(connection))
            check(contents)
            self._delete(connection, [*(key for key in changed if key in stored), *deletes])
            self._insert(connection, rows)
        return contents

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


def _resources(rows: Iterable[_Row]) -> list[Resource]:
    """:raises Rejected: names every row that holds no resource."""
    faults = Faults()
    resources: list[Resource] = []
    for row in rows:
        with faults.gathered():
            resources.append(_resource_of(row))
    faults.raise_any()
    return resources


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


def _texts(upserts: Sequence[Mapping[str, object]], deletes: Sequence[Key]) -> dict[Key, str]:
    """What to store under each key.

    :raises Rejected: names every body that is none, is too large, or whose key is named twice.
    """
    faults = Faults()
    entries: list[tuple[Key, str]] = []
    for position, body in enumerate(upserts):
        with faults.gathered():
            entries.append(_entry(body, position))
    counts = Counter([*(key for key, _ in entries), *deletes])
    for key, count in counts.items():
        if count > 1:
            faults.add("/".join(key), "", "is named twice")
    faults.raise_any()
    return dict(entries)


def _entry(body: Mapping[str, object], position: int) -> tuple[Key, str]:
    try:
        key = identify(body)
    except Rejected as rejected:
        raise rejected.within("", str(position)) from None
    try:
        return key, _text_of(body)
    except Rejected as rejected:
        raise rejected.within("/".join(key)) from None


def _text_of(body: Mapping[str, object]) -> str:
    text = canonical(stored_form(body))
    if len(text) > MAX_BODY:
        raise Rejected.at("", f"must not be larger than {MAX_BODY} bytes")
    try:
        strict_json.loads(text)
    except ValueError as reason:
        raise Rejected.at("", f"is {reason}") from None
    return text


def _refuse_absent(deletes: Sequence[Key], stored: Mapping[Key, _Row]) -> None:
    faults = Faults()
    for key in deletes:
        if key not in stored:
            faults.add("/".join(key), "", "is not stored, so it cannot be deleted")
    faults.raise_any()
