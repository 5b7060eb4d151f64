"""Users in the database; each method is one short transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import orm as sa_orm
from sqlalchemy.orm.exc import FlushError

from ..errors import Rejected
from ..transactions import Transactions
from .mapping import Identifier

if TYPE_CHECKING:
    from .models import Models
    from .provisioning import UserSnapshot

_FIELDS = tuple(field.name for field in fields(Identifier))


@dataclass(frozen=True, slots=True)
class StoredUser:
    """A user as the database has it.

    :param key: the value of the primary key.
    :param enabled: what the app's own attribute says; true where there is none.
    :param identifiers: from the oldest to the newest.
    """

    key: Any
    enabled: bool
    identifiers: tuple[Identifier, ...]

    @property
    def active(self) -> bool:
        """Neither the app's own attribute nor any identifier says otherwise."""
        return self.enabled and not any(identifier.inactive for identifier in self.identifiers)


@dataclass(frozen=True, slots=True)
class FoundUser:
    """What an identifier leads to.

    :param issuer: the one that vouched for the identifier first.
    :param user: none if the identifier has outlived its user, where the database enforces no foreign keys.
    """

    issuer: str
    user: StoredUser | None


def identifier_id(system: str, value: str) -> str:
    """The key of a row of ``foreign_token_identifier``: equal only if both texts are, byte by byte."""
    return hashlib.sha256(f"{system}\0{value}".encode()).hexdigest()


def owned_row(models: Models, snapshot: UserSnapshot) -> sa.Select[Any]:
    """Selects the row of `snapshot` and whether it is active, if its key still is that of the identifier's user.

    Keys of deleted users may be given again; what was found by an identifier must not become somebody else. The second
    column is what the database says, whatever the session remembers of the row.
    """
    statement = sa.select(models.user, _active(models)).where(models.key == snapshot.key)
    if snapshot.identifier is None:
        return statement
    table: sa.Table = models.identifier.__table__
    owned = sa.and_(table.c.id == snapshot.identifier, ~table.c.inactive)
    return statement.join(table, table.c.user_id == models.key).where(owned)


class UserStore:
    """The users of one app."""

    def __init__(self, models: Models, transactions: Transactions) -> None:
        self._models = models
        self._transactions = transactions
        self._table: sa.Table = models.identifier.__table__
        self._find = _statement_to_find(models, self._table)
        self._get = statement_to_get(models)

    def find(self, id_: str) -> FoundUser | None:
        """Whom the identifier with this :func:`identifier_id` names; one statement.

        :raises DatabaseUnavailable: the database cannot be read.
        """
        with self._transactions.reading() as connection:
            rows = connection.execute(self._find, {"asked": id_}).all()
        if not rows:
            return None
        return FoundUser(rows[0].vouched, None if rows[0].key is None else stored_user(rows))

    def get(self, key: object) -> StoredUser:
        """The user with this primary key, who need not have any identifier; one statement.

        A row that is not committed yet counts as active.

        :raises DatabaseUnavailable: the database cannot be read.
        """
        with self._transactions.reading() as connection:
            rows = connection.execute(self._get, {"asked": key}).all()
        return stored_user(rows) if rows else StoredUser(key, enabled=True, identifiers=())

    def create(self, identifier: Identifier, *, orphan: bool) -> StoredUser:
        """Store a new user with one identifier; two statements.

        :param orphan: :meth:`find` met the identifier without its user; it is deleted first, unless somebody else
            has done so meanwhile.
        :raises sqlalchemy.exc.IntegrityError: the identifier exists, or the app's model refuses the row.
        :raises DatabaseUnavailable: the database cannot be written.
        """
        id_ = identifier_id(identifier.system, identifier.value)
        with self._transactions.writing() as connection:
            if orphan:
                connection.execute(self._without_user(id_))
            user = insert_user(self._models, connection)
            connection.execute(sa.insert(self._table).values(row_of(user.key, identifier)))
        return StoredUser(user.key, user.enabled, (identifier,))

    def _without_user(self, id_: str) -> sa.Delete:
        owner = sa.exists().where(self._models.key == self._table.c.user_id)
        return sa.delete(self._table).where(self._table.c.id == id_, ~owner)


def _statement_to_find(models: Models, table: sa.Table) -> sa.Select[Any]:
    asked = table.alias("asked")
    return (
        _statement(models, table, asked.c.issuer.label("vouched"))
        .join_from(asked, table, table.c.user_id == asked.c.user_id)
        .outerjoin(models.user, models.key == asked.c.user_id)
        .where(asked.c.id == sa.bindparam("asked"))
    )


def statement_to_get(models: Models) -> sa.Select[Any]:
    """Selects what :func:`stored_user` reads of the user whose primary key is the parameter `asked`."""
    table: sa.Table = models.identifier.__table__
    return (
        _statement(models, table)
        .join_from(models.user, table, table.c.user_id == models.key, isouter=True)
        .where(models.key == sa.bindparam("asked"))
    )


def statement_to_list(models: Models, page: sa.Select[Any]) -> sa.Select[Any]:
    """Selects what :func:`stored_user` reads of the users in `page`, ordered by primary key.

    :param page: of a statement whose columns are those of :func:`users_of`.
    """
    table: sa.Table = models.identifier.__table__
    users = page.subquery()
    return (
        sa.select(users.c.key, users.c.active, *_columns(table))
        .join_from(users, table, table.c.user_id == users.c.key, isouter=True)
        .order_by(users.c.key, table.c.created_at, table.c.id)
    )


def users_of(models: Models) -> sa.Select[Any]:
    """Selects the key of every user, and whether the app's own attribute lets them in."""
    return sa.select(models.key.label("key"), _active(models))


def _statement(models: Models, table: sa.Table, *more: sa.ColumnElement[Any]) -> sa.Select[Any]:
    return users_of(models).add_columns(*_columns(table), *more).order_by(table.c.created_at, table.c.id)


def _columns(table: sa.Table) -> list[sa.Column[Any]]:
    return [table.c[name] for name in _FIELDS]


def _active(models: Models) -> sa.ColumnElement[Any]:
    active = sa.literal(True) if models.active_attribute is None else getattr(models.user, models.active_attribute)
    return active.label("active")


def insert_user(models: Models, connection: sa.Connection, **attributes: object) -> StoredUser:
    """Store a new user that has no identifier yet.

    :param attributes: of the app's class; what is not among them is left to its defaults.
    :raises Rejected: the app's class cannot be made without arguments, or has no key to give.
    :raises sqlalchemy.exc.IntegrityError: the app's model refuses the row.
    """
    # A session, since only the mapper knows what the app's class asks for: defaults, inheritance, listeners.
    with sa_orm.Session(connection, join_transaction_mode="rollback_only") as session:
        try:
            user = models.user()
            for name, value in attributes.items():
                setattr(user, name, value)
            session.add(user)
            session.flush()
        except (TypeError, FlushError):
            raise Rejected.at("", models.refusal) from None
        return StoredUser(sa.inspect(user).identity[0], models.is_active(user), ())


def row_of(key: object, identifier: Identifier) -> dict[str, object]:
    """The row of ``foreign_token_identifier`` for an identifier of the user with that primary key."""
    values = {name: getattr(identifier, name) for name in _FIELDS}
    return {"id": identifier_id(identifier.system, identifier.value), "user_id": key, **values}


def stored_user(rows: Iterable[sa.Row[Any]]) -> StoredUser:
    """One user from the rows of their identifiers, or from one row without any."""
    first, *_ = rows
    identifiers = tuple(Identifier(*(getattr(row, name) for name in _FIELDS)) for row in rows if row.system is not None)
    return StoredUser(first.key, bool(first.active), identifiers)
