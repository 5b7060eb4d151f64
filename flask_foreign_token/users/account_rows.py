"""The rows of users whom an operator sees and changes; every method works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm as sa_orm
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError
from sqlalchemy.ext.hybrid import hybrid_property

from ..errors import Issue, Rejected
from ..policies.equality import equal
from .identifier import Pair
from .models import Models
from .own_attributes import Unfit
from .own_members import demand
from .store import (
    insert_user,
    lets_in,
    row_of,
    set_each,
    set_own,
    statement_to_get,
    statement_to_list,
    stored_user,
    users_of,
)
from .stored_user import StoredUser, identifier_id

_EMAIL = "email"


@dataclass(frozen=True, slots=True)
class Sought:
    """What must be so of users who are looked for; none: anything.

    :param ids: of identifiers, one of which each must have.
    :param key: the primary key.
    :param active: whether they are let in.
    :param email: see :meth:`.Accounts.search`.
    """

    ids: Collection[str] | None = None
    key: object = None
    active: bool | None = None
    email: str | None = None


class AccountRows:
    """Reads and writes users on a given connection."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._table: sa.Table = models.identifier.__table__
        self._get = statement_to_get(models)
        self._active_kind = _active_kind(models)

    @property
    def settable(self) -> bool:
        """Whether the app's active attribute can be written."""
        return self._active_kind is not None

    def get(self, connection: sa.Connection, key: object) -> StoredUser | None:
        """The user with this primary key; one statement."""
        rows = connection.execute(self._get, {"asked": key}).all()
        return stored_user(self._models, rows) if rows else None

    def locked(self, connection: sa.Connection, key: object, *, to_delete: bool = False) -> StoredUser | None:
        """As :meth:`get`; nobody else changes the user before the transaction ends.

        :param to_delete: on PostgreSQL, wait for whoever has stored a row that refers to the user, as a delete must.
            Any other change need not: the app's transactions go on for as long as they like.
        """
        user = sa.select(self._models.key).where(self._models.key == key)
        # Of these a refresh changes what it says without a look at the user.
        identifiers = sa.select(self._table.c.id).where(self._table.c.user_id == key).order_by(self._table.c.id)
        for rows in (user, identifiers):
            connection.execute(rows.with_for_update(key_share=not to_delete)).all()
        return self.get(connection, key)

    def identifier_ids(self, connection: sa.Connection, system: str | None, value: str) -> list[str]:
        """The :func:`~.store.identifier_id` of each identifier with this very value, of any system if that is none."""
        if system is not None:
            return [identifier_id(system, value)]
        columns = self._table.c
        found = connection.execute(sa.select(columns.id, columns.value).where(columns.value == value))
        # MariaDB compares without the blanks at the end.
        return [row.id for row in found if row.value == value]

    def count(self, connection: sa.Connection, sought: Sought) -> int:
        """How many users there are of those that are sought."""
        chosen = self._chosen(connection, sought).subquery()
        return int(connection.execute(sa.select(sa.func.count()).select_from(chosen)).scalar_one())

    def page(self, connection: sa.Connection, sought: Sought, offset: int, limit: int) -> list[StoredUser]:
        """Users by primary key; one statement."""
        chosen = self._chosen(connection, sought).order_by(self._models.key).offset(offset).limit(limit)
        rows = connection.execute(statement_to_list(self._models, chosen)).all()
        return [stored_user(self._models, list(group)) for _, group in groupby(rows, key=lambda row: row.key)]

    def _chosen(self, connection: sa.Connection, sought: Sought) -> sa.Select[Any]:
        users, columns = users_of(self._models), self._table.c
        if sought.key is not None:
            users = users.where(self._models.key == sought.key)
        if sought.ids is not None:
            users = users.where(self._owns(columns.id.in_(sought.ids)))
        if sought.active is not None:
            let_in = sa.and_(lets_in(self._models), ~self._owns(columns.inactive))
            users = users.where(let_in if sought.active else ~let_in)
        if sought.email is not None:
            users = users.where(self._has_email(connection, sought.email))
        return users

    def _owns(self, where: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
        """Whether a user has an identifier of which that is so."""
        found: sa.ColumnElement[bool] = self._models.key.in_(sa.select(self._table.c.user_id).where(where))
        return found

    def _has_email(self, connection: sa.Connection, email: str) -> sa.ColumnElement[bool]:
        columns = self._table.c
        # Alternatives of their own, so that the first is looked up in its index.
        said = [self._owns(_equals(connection, columns.verified_email, email))]
        own = self._models.own.get(_EMAIL)
        if own is None:
            texts = [columns[name][_EMAIL].as_string() for name in ("written", "attributes")]
            said += [self._owns(sa.or_(*(_equals(connection, text, email) for text in texts)))]
        elif own.kind is str:
            said.append(_equals(connection, getattr(self._models.user, _EMAIL), email))
        found: sa.ColumnElement[bool] = sa.or_(*said)
        return found

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

    def insert(
        self, connection: sa.Connection, key: object | None, *, active: bool, own: Mapping[str, object]
    ) -> StoredUser:
        """A new user.

        :param key: none: one that the app's model gives.
        :param own: those of the app's own attributes that are to be set.
        :raises Rejected: the app's class cannot be made with these alone, does not take one, or has no key to give.
        :raises sqlalchemy.exc.IntegrityError: the app's model refuses the row; see :meth:`refusal`.
        """
        attributes: dict[str, object] = {}
        if self._active_kind is not None and self._models.active_attribute is not None:
            attributes[self._models.active_attribute] = self._active_kind(active)
        if key is not None:
            attributes[self._models.key.key] = key
            # What outlived a user of that key, where the database enforces no foreign keys, must not come back.
            self._delete_where(connection, self._table.c.user_id == key)
        try:
            user = self._models.make(own)
        except Unfit as unfit:
            raise _unfit(unfit) from None
        for name, value in attributes.items():
            setattr(user, name, value)
        try:
            return insert_user(self._models, connection, user)
        except StatementError as error:
            if is_of_the_value(error):
                raise self.refusal(own) from None
            raise

    def refusal(self, own: Mapping[str, object]) -> Rejected:
        """Why the app's model may have refused a new user.

        :param own: those of the app's own attributes that were set.
        """
        wanting = set(self._models.wanting)
        if missing := [name for name in self._models.own if name in wanting and name not in own]:
            return Rejected([Issue("", name, demand(self._models.own[name], None)) for name in missing])
        if not own or wanting - own.keys():
            return Rejected.at("", self._models.refusal)
        return _forbidden(own)

    def write(self, connection: sa.Connection, before: StoredUser, after: StoredUser) -> None:
        """Store what differs."""
        old = {identifier.pair: identifier for identifier in before.identifiers}
        new = {identifier.pair: identifier for identifier in after.identifiers}
        self.delete_identifiers(connection, old.keys() - new.keys())
        for pair, identifier in new.items():
            if pair in old and identifier is not old[pair]:
                row = row_of(after.key, identifier)
                connection.execute(sa.update(self._table).where(self._table.c.id == row["id"]).values(row))
        if own := {name: value for name, value in after.own.items() if not equal(before.own.get(name), value)}:
            self._set_own(connection, after.key, own)
        if before.enabled != after.enabled and self._active_kind is not None:
            self._set(connection, after.key, self._active_kind(after.enabled))
        # Last, as of a newcomer, so that no two wait for each other where one of the app's attributes must be unique.
        if rows := [row_of(after.key, identifier) for pair, identifier in new.items() if pair not in old]:
            connection.execute(sa.insert(self._table), rows)

    def _set_own(self, connection: sa.Connection, key: object, own: Mapping[str, object]) -> None:
        try:
            with connection.begin_nested():
                set_own(self._models, connection, key, own)
        except Unfit as unfit:
            raise _unfit(unfit) from None
        except StatementError as error:
            if isinstance(error, IntegrityError) or is_of_the_value(error):
                raise _forbidden(own) from None
            raise

    def clear_own(self, connection: sa.Connection, user: StoredUser) -> list[str]:
        """Set the app's own attributes of a user to null, those that can be; return the others."""
        held = [name for name, value in user.own.items() if value is not None]
        return set_each(self._models, connection, user.key, dict.fromkeys(held))

    def set_fitting(self, connection: sa.Connection, user: StoredUser, own: Mapping[str, object]) -> StoredUser:
        """The user with some of the app's own attributes set.

        Those that do not take it are null, or what the model gives them; or they stay, where they take that neither.
        """
        models = self._models.own
        unfit = set_each(self._models, connection, user.key, own)
        less = {name: models[name].empty for name in unfit}
        kept = set_each(self._models, connection, user.key, less)
        after = {name: value for name, value in {**own, **less}.items() if name not in kept}
        return replace(user, own={**user.own, **after})

    def _set(self, connection: sa.Connection, key: object, value: object) -> None:
        # Through the mapper, so that the app's own listeners and columns that follow others take notice.
        with sa_orm.Session(connection, join_transaction_mode="rollback_only") as session:
            user = session.get_one(self._models.user, key)
            setattr(user, str(self._models.active_attribute), value)
            session.flush()

    def delete(self, connection: sa.Connection, key: object) -> bool:
        """Delete a user, with all that the app's model says goes with it, and their identifiers.

        :return: false: other rows refer to the user, and nothing was deleted.
        """
        try:
            with connection.begin_nested():
                self._delete_where(connection, self._table.c.user_id == key)
                with sa_orm.Session(connection, join_transaction_mode="rollback_only") as session:
                    session.delete(session.get_one(self._models.user, key))
                    session.flush()
        # The mapper asserts that no row is left whose own primary key names the user.
        except (IntegrityError, AssertionError):
            return False
        return True

    def bind(self, connection: sa.Connection, system: str, issuer: str) -> int:
        """Let `issuer` vouch for all identifiers of a system, byte by byte, and for no address that another one has
        verified; one statement.

        :return: for how many it did not before.
        """
        columns = self._table.c
        others = sa.and_(_is(connection, columns.system, system), ~_is(connection, columns.issuer, issuer))
        return connection.execute(
            sa.update(self._table).where(others).values(issuer=issuer, verified_email=None)
        ).rowcount

    def delete_identifiers(self, connection: sa.Connection, pairs: Collection[Pair]) -> None:
        """Delete those identifiers."""
        if pairs:
            self._delete_where(connection, self._table.c.id.in_([identifier_id(*pair) for pair in pairs]))

    def _delete_where(self, connection: sa.Connection, where: sa.ColumnElement[bool]) -> None:
        connection.execute(sa.delete(self._table).where(where))


def is_of_the_value(error: StatementError) -> bool:
    """Whether it is the value that a column cannot have."""
    return isinstance(error, DataError) or not isinstance(error, DBAPIError)


def _unfit(unfit: Unfit) -> Rejected:
    return Rejected([Issue("", name, "is not what the application's model takes") for name in unfit.name.split(", ")])


def _forbidden(own: Mapping[str, object]) -> Rejected:
    reason = "cannot be that: a constraint of the application's model forbids it"
    if len(own) == 1:
        return Rejected.at(next(iter(own)), reason)
    return Rejected.at("", f"{', '.join(own)}: one of them {reason}")


def _is(connection: sa.Connection, column: sa.SQLColumnExpression[Any], text: str) -> sa.ColumnElement[bool]:
    """Whether a column holds this very text, where MariaDB leaves blanks at the end, or letter case, out of account."""
    if connection.dialect.name in {"mysql", "mariadb"}:
        return sa.cast(column, sa.LargeBinary) == text.encode()
    return column == text


def _equals(connection: sa.Connection, column: sa.SQLColumnExpression[Any], text: str) -> sa.ColumnElement[bool]:
    """As :func:`_is`, so that an index of the column is of use."""
    return sa.and_(column == text, _is(connection, column, text))


def _active_kind(models: Models) -> type[bool] | type[int] | None:
    """What the app's active attribute is set to; none: it cannot be set, or there is none."""
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
