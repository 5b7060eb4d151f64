"""The tables of the registry."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Double, Index, MetaData, PrimaryKeyConstraint, Table, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import conv
from sqlalchemy.types import TypeEngine

from ..tables import exact
from .feed import MAX_REF

MAX_BY = 255
"""Characters of the name of whoever made a change."""

_INFO = "foreign_token.registry"
_SECONDS = "seconds since the epoch"


@dataclass(frozen=True, slots=True)
class RegistryTables:
    """The tables of the registry.

    :param resource: `type`, `id`, `version` (id of the change that wrote it), `body` (JSON), `last_updated`.
    :param change: see :class:`~.feed.Change`.
    :param history: every state that a resource was in: `type`, `id`, `version`, `body` (none: it was deleted), `at`,
        `by` (empty: nobody knows).
    """

    resource: Table
    change: Table
    history: Table

    @property
    def all(self) -> tuple[Table, ...]:
        """Every one of them."""
        return self.resource, self.change, self.history


def tables_for(metadata: MetaData) -> RegistryTables:
    """The registry's tables on `metadata`, made when they are first asked for."""
    tables: RegistryTables | None = metadata.info.get(_INFO)
    if tables is None:
        made = (_resource_table(metadata), _change_table(metadata), _history_table(metadata))
        tables = metadata.info[_INFO] = RegistryTables(*made)
    return tables


def _resource_table(metadata: MetaData) -> Table:
    return Table(
        "foreign_token_resource",
        metadata,
        Column("type", exact(32), nullable=False),
        Column("id", exact(64), nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("body", _body(), nullable=False),
        Column("last_updated", Double, nullable=False, comment=_SECONDS),
        PrimaryKeyConstraint("type", "id", name=conv("pk_foreign_token_resource")),
    )


def _change_table(metadata: MetaData) -> Table:
    return Table(
        "foreign_token_change",
        metadata,
        Column("id", BigInteger, autoincrement=False, nullable=False),
        Column("type", exact(32), nullable=False),
        Column("ref", exact(MAX_REF), nullable=False),
        Column("at", Double, nullable=False, comment=_SECONDS),
        PrimaryKeyConstraint("id", name=conv("pk_foreign_token_change")),
    )


def _history_table(metadata: MetaData) -> Table:
    return Table(
        "foreign_token_history",
        metadata,
        Column("type", exact(32), nullable=False),
        Column("id", exact(64), nullable=False),
        Column("version", BigInteger, autoincrement=False, nullable=False),
        Column("body", _body(), nullable=True),
        Column("at", Double, nullable=False, comment=_SECONDS),
        Column("by", exact(MAX_BY), nullable=False),
        PrimaryKeyConstraint("type", "id", "version", name=conv("pk_foreign_token_history")),
        Index(conv("ix_foreign_token_history_version"), "version"),
    )


def _body() -> TypeEngine[str]:
    return Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
