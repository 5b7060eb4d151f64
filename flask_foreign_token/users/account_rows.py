"""The rows of users whom an operator sees and changes; every method works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import orm as sa_orm
from sqlalchemy.ext.hybrid import hybrid_property

from ..errors import Rejected
from .account_body import Pair
from .account_plan import pair_of
from .store import (
    insert_user,
    row_of,
    statement_to_get,
    statement_to_list,
    stored_user,
    users_of,
)
from .stored_user import StoredUser, identifier_id

if TYPE_CHECKING:
    from .models import Models


class AccountRows:
    """Reads and writes users on a given connection."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._table: sa.Table = models.identifier.__table__
        self._get = statement_to_get(models)
        self._active_kind = _active_kind(models)

    @property
    def settable(self) -> bool:
        """Whether the app's own attribute can be written."""
        return self._active_kind is not None

    def get(self, connection: sa.Connection, key: object) -> StoredUser | None:
        """The user with this primary key; one statement."""
        rows = connection.execute(self._get, {"asked": key}).all()
        return stored_user(self._models, rows) if rows else None

    def locked(self, connection: sa.Connection, key: object) -> StoredUser | None:
        """As :meth:`get`; nobody else changes the row before the transaction ends."""
        connection.execute(sa.select(self._models.key).where(self._models.key == key).with_for_update()).all()
        return self.get(connection, key)

    def named(self, connection: sa.Connection, system: str | None, value: str) -> list[str]:
        """The :func:`~.store.identifier_id` of each identifier with this very value, of any system if that is none."""
        if system is not None:
            return [identifier_id(system, value)]
        columns = self._table.c
        found = connection.execute(sa.select(columns.id, columns.value).where(columns.value == value))
        # MariaDB compares without the blanks at the end.
        return [row.id for row in found if row.value == value]

    def count(self, connection: sa.Connection, ids: Collection[str] | None) -> int:
        """How many users there are; see :meth:`page`."""
        return int(
            connection.execute(sa.select(sa.func.count()).select_from(self._chosen(ids).subquery())).scalar_one()
        )

    def page(self, connection: sa.Connection, ids: Collection[str] | None, offset: int, limit: int) -> list[StoredUser]:
        """Users by primary key; one statement.

        :param ids: of identifiers, one of which each must have; none: all users.
        """
        chosen = self._chosen(ids).order_by(self._models.key).offset(offset).limit(limit)
        rows = connection.execute(statement_to_list(self._models, chosen)).all()
        return [stored_user(self._models, list(group)) for _, group in groupby(rows, key=lambda row: row.key)]

    def _chosen(self, ids: Collection[str] | None) -> sa.Select[Any]:
        users = users_of(self._models)
        if ids is None:
            return users
        owners = sa.select(self._table.c.user_id).where(self._table.c.id.in_(ids))
        return users.where(self._models.key.in_(owners))

    def owners(self, connection: sa.Connection, pairs: Iterable[Pair]) -> dict[Pair, Any | None]:
        """Whose those identifiers are, by primary key; none: it has outlived its user. One statement.

        Those that are not stored are left out.
        """
        asked = {identifier_id(*pair): pair for pair in pairs}
        query = (
            sa.select(self._table.c.id, self._models.key.label("key"))
            .select_from(self._table)
            .outerjoin(self._models.user, self._models.key == self._table.c.user_id)
            .where(self._table.c.id.in_(asked))
        )
        return {asked[row.id]: row.key for row in connection.execute(query)}

    def insert(self, connection: sa.Connection, key: object | None, *, active: bool) -> StoredUser:
        """A new user.

        :param key: none: one that the app's model gives.
        :raises Rejected: the app's class cannot be made without arguments, or has no key to give.
        :raises sqlalchemy.exc.IntegrityError: the app's model refuses the row.
        """
        attributes: dict[str, object] = {}
        if self._active_kind is not None and self._models.active_attribute is not None:
            attributes[self._models.active_attribute] = self._active_kind(active)
        if key is not None:
            attributes[self._models.key.key] = key
            # What outlived a user of that key, where the database enforces no foreign keys, must not come back.
            self._delete_where(connection, self._table.c.user_id == key)
        try:
            user = self._models.user()
        except TypeError:
            raise Rejected.at("", self._models.refusal) from None
        for name, value in attributes.items():
            setattr(user, name, value)
        return insert_user(self._models, connection, user)

    def write(self, connection: sa.Connection, before: StoredUser, after: StoredUser) -> None:
        """Store what differs."""
        old = {pair_of(identifier): identifier for identifier in before.identifiers}
        new = {pair_of(identifier): identifier for identifier in after.identifiers}
        self.delete_identifiers(connection, old.keys() - new.keys())
        for pair, identifier in new.items():
            if pair in old and identifier is not old[pair]:
                row = row_of(after.key, identifier)
                connection.execute(sa.update(self._table).where(self._table.c.id == row["id"]).values(row))
        if rows := [row_of(after.key, identifier) for pair, identifier in new.items() if pair not in old]:
            connection.execute(sa.insert(self._table), rows)
        if before.enabled != after.enabled and self._active_kind is not None:
            self._set(connection, after.key, self._active_kind(after.enabled))

    def _set(self, connection: sa.Connection, key: object, value: object) -> None:
        # Through the mapper, so that the app's own listeners and columns that follow others take notice.
        with sa_orm.Session(connection, join_transaction_mode="rollback_only") as session:
            user = session.get_one(self._models.user, key)
            setattr(user, str(self._models.active_attribute), value)
            session.flush()

    def delete(self, connection: sa.Connection, key: object) -> None:
        """Delete a user, with all that the app's model says goes with it, and their identifiers.

        :raises sqlalchemy.exc.IntegrityError: other rows refer to the user.
        :raises AssertionError: likewise.
        """
        self._delete_where(connection, self._table.c.user_id == key)
        with sa_orm.Session(connection, join_transaction_mode="rollback_only") as session:
            session.delete(session.get_one(self._models.user, key))
            session.flush()

    def delete_identifiers(self, connection: sa.Connection, pairs: Collection[Pair]) -> None:
        """Delete those identifiers."""
        if pairs:
            self._delete_where(connection, self._table.c.id.in_([identifier_id(*pair) for pair in pairs]))

    def _delete_where(self, connection: sa.Connection, where: sa.ColumnElement[bool]) -> None:
        connection.execute(sa.delete(self._table).where(where))


def _active_kind(models: Models) -> type[bool] | type[int] | None:
    """What the app's own attribute is set to; none: it cannot be set, or there is none."""
    if models.active_attribute is None:
        return None
    mapper = sa.inspect(models.user)
    descriptor = mapper.all_orm_descriptors[models.active_attribute]
    if isinstance(descriptor, hybrid_property):
        return bool if descriptor.fset is not None else None
    stored = mapper.attrs.get(models.active_attribute)
    if not isinstance(stored, sa_orm.ColumnProperty) or not isinstance(stored.columns[0], sa.Column):
        return None
    with suppress(NotImplementedError):
        kind = stored.columns[0].type.python_type
        return kind if kind in (bool, int) else None
    return None
