"""Users in the database; each method is one short transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm as sa_orm
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm.exc import FlushError

from ..errors import Rejected
from ..transactions import Transactions, is_outage
from .identifier import Identifier
from .models import HEIR, Models
from .snapshot import UserSnapshot
from .stored_user import StoredUser, identifier_id

_FIELDS = tuple(field.name for field in fields(Identifier))
_SAID = ("data", "attributes", "verified_email", "version", "updated_at", "refreshed_at")
_OWN = "own_"


@dataclass(frozen=True, slots=True)
class FoundUser:
    """What an identifier leads to.

    :param issuer: the one that vouched for the identifier first.
    :param user: none if the identifier has outlived its user, where the database enforces no foreign keys.
    """

    issuer: str
    user: StoredUser | None


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
        return FoundUser(rows[0].vouched, None if rows[0].key is None else stored_user(self._models, rows))

    def get(self, key: object) -> StoredUser:
        """The user with this primary key, who need not have any identifier; one statement.

        A row that is not committed yet counts as active.

        :raises DatabaseUnavailable: the database cannot be read.
        """
        with self._transactions.reading() as connection:
            rows = connection.execute(self._get, {"asked": key}).all()
        return stored_user(self._models, rows) if rows else StoredUser(key, enabled=True, identifiers=())

    def load(self, snapshot: UserSnapshot) -> Any | None:
        """The row behind `snapshot`, all of it and in no session; none: it is gone, inactive, or no longer that
        of the identifier.

        :raises DatabaseUnavailable: the database cannot be read.
        """
        # Also those that the app loads when it needs them: its session may not see the row then.
        complete = owned_row(self._models, snapshot).options(sa_orm.undefer("*"))
        with self._transactions.reading() as connection, sa_orm.Session(connection) as session:
            found = session.execute(complete).unique().one_or_none()
            session.expunge_all()
        return found[0] if found is not None and found.active else None

    def with_email(self, email: str) -> Any | None:
        """The primary key of the only user who has an identifier with this verified address; none if there are
        several, or none. One statement.

        :raises DatabaseUnavailable: the database cannot be read.
        """
        keys = (
            sa.select(self._models.key)
            .join(self._table, self._table.c.user_id == self._models.key)
            .where(self._table.c.verified_email == email)
            .distinct()
            .limit(2)
        )
        with self._transactions.reading() as connection:
            found = connection.execute(keys).scalars().all()
        return found[0] if len(found) == 1 else None

    def link(self, key: object, identifier: Identifier, matches: Callable[[StoredUser], bool]) -> StoredUser | None:
        """Give an identifier to the user with this primary key; none: the user is gone, or is not the one who is meant.

        :param matches: whether that is the user, as they are now; nobody else changes them meanwhile. It may raise.
        :raises sqlalchemy.exc.IntegrityError: the identifier exists.
        :raises DatabaseUnavailable: the database cannot be written.
        """
        with self._transactions.writing(bounded=True) as connection:
            self._lock(connection, key)
            rows = connection.execute(self._get, {"asked": key}).all()
            if not rows or not matches(stored_user(self._models, rows)):
                return None
            connection.execute(sa.insert(self._table).values(row_of(key, identifier)))
            return stored_user(self._models, connection.execute(self._get, {"asked": key}).all())

    def refresh(
        self, key: object, before: Identifier, after: Identifier, own: Mapping[str, object]
    ) -> Sequence[str] | None:
        """Store what a provider says anew of the user with this primary key, and nothing else. One statement, and more
        where there is an attribute to set.

        :param own: attributes of the app's model that are to be set.
        :return: those that the model does not take, which stay as they were; none: somebody else has changed the
            identifier meanwhile, or taken it away, and nothing was stored.
        :raises DatabaseUnavailable: the database cannot be written.
        """
        columns, row = self._table.c, row_of(key, after)
        current = sa.and_(
            columns.id == row["id"],
            columns.user_id == key,
            columns.issuer == before.issuer,
            columns.version == before.version,
            # What another process was told after we asked is newer, also where it is nothing new.
            columns.refreshed_at.is_not_distinct_from(before.refreshed_at),
        )
        said = {name: row[name] for name in _SAID}
        with self._transactions.writing(bounded=bool(own)) as connection:
            if own:
                # Before the identifier, as everybody does, so that no two wait for each other.
                self._lock(connection, key)
            if not connection.execute(sa.update(self._table).where(current).values(said)).rowcount:
                return None
            return set_each(self._models, connection, key, own)

    def create(self, user: Any, identifier: Identifier, *, orphan: bool) -> StoredUser:
        """Store a new user with one identifier; two statements.

        :param user: a row of the app's model that is not stored yet.
        :param orphan: :meth:`find` met the identifier without its user; it is deleted first, unless somebody else
            has done so meanwhile.
        :raises sqlalchemy.exc.IntegrityError: the identifier exists, or the app's model refuses the row.
        :raises DatabaseUnavailable: the database cannot be written.
        """
        id_ = identifier_id(identifier.system, identifier.value)
        with self._transactions.writing() as connection:
            if orphan:
                connection.execute(self._without_user(id_))
            stored = insert_user(self._models, connection, user, may_inherit=True)
            self._insert_only(connection, row_of(stored.key, identifier))
        return replace(stored, identifiers=(identifier,))

    def _insert_only(self, connection: sa.Connection, row: Mapping[str, object]) -> None:
        """Store the only identifier of a new user; what another left behind who had the same key is deleted."""
        if connection.dialect.name == "sqlite":
            # One statement, since hardly ever anything was: only where no trigger deletes it and no key is enforced.
            left_behind = self._table.c.user_id == row["user_id"]
            values = [sa.literal(value, self._table.c[name].type) for name, value in row.items()]
            alone = sa.select(*values).where(~sa.exists().where(left_behind))
            if connection.execute(sa.insert(self._table).from_select(list(row), alone)).rowcount:
                return
            connection.execute(sa.delete(self._table).where(left_behind))
        connection.execute(sa.insert(self._table).values(row))

    def _lock(self, connection: sa.Connection, key: object) -> None:
        user = sa.select(self._models.key).where(self._models.key == key)
        connection.execute(user.with_for_update(key_share=True)).all()

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
        sa.select(*users.c, *_columns(table))
        .join_from(users, table, table.c.user_id == users.c.key, isouter=True)
        .order_by(users.c.key, table.c.created_at, table.c.id)
    )


def users_of(models: Models) -> sa.Select[Any]:
    """Selects the key of every user, whether the app's own attribute lets them in, and what ``toScim`` may set."""
    own = [getattr(models.user, name).label(_OWN + name) for name in models.own]
    return sa.select(models.key.label("key"), _active(models), *own)


def _statement(models: Models, table: sa.Table, *more: sa.ColumnElement[Any]) -> sa.Select[Any]:
    return users_of(models).add_columns(*_columns(table), *more).order_by(table.c.created_at, table.c.id)


def _columns(table: sa.Table) -> list[sa.Column[Any]]:
    return [table.c[name] for name in _FIELDS]


def _active(models: Models) -> sa.ColumnElement[Any]:
    active = sa.literal(True) if models.active_attribute is None else getattr(models.user, models.active_attribute)
    return active.label("active")


def lets_in(models: Models) -> sa.ColumnElement[bool]:
    """Whether the app's own attribute lets a user in, as a condition; null does not."""
    if models.active_attribute is None:
        return sa.true()
    active = getattr(models.user, models.active_attribute)
    is_truth = isinstance(active.type, sa.Boolean | sa.types.NullType)
    condition: sa.ColumnElement[bool] = active if is_truth else active != 0
    return sa.func.coalesce(condition, sa.false())


def insert_user(models: Models, connection: sa.Connection, user: Any, *, may_inherit: bool = False) -> StoredUser:
    """Store a new user that has no identifier yet.

    :param user: a row of the app's model that is not stored yet.
    :param may_inherit: on SQLite, identifiers that a deleted user of the same key left behind stay; the caller deletes
        them.
    :raises Rejected: it has no key to give.
    :raises sqlalchemy.exc.IntegrityError: the app's model refuses the row.
    """
    # A session, since only the mapper knows what the app's class asks for: defaults, inheritance, listeners.
    info = {HEIR: user} if may_inherit else {}
    with sa_orm.Session(connection, join_transaction_mode="rollback_only", info=info) as session:
        try:
            session.add(user)
            session.flush()
        except FlushError:
            raise Rejected.at("", models.refusal) from None
        return StoredUser(sa.inspect(user).identity[0], models.is_active(user), (), models.own_of(user))


def set_own(models: Models, connection: sa.Connection, key: object, own: Mapping[str, object]) -> None:
    """Set attributes of the app's model that ``toScim`` may set; whoever is gone has none.

    :raises Unfit: one does not take it.
    :raises sqlalchemy.exc.IntegrityError: the app's model refuses the row.
    """
    # Through the mapper, so that the app's own listeners and columns that follow others take notice.
    with sa_orm.Session(connection, join_transaction_mode="rollback_only") as session:
        user = session.get(models.user, key)
        if user is not None:
            models.set_own(user, own)
            session.flush()


def set_each(models: Models, connection: sa.Connection, key: object, own: Mapping[str, object]) -> list[str]:
    """As :func:`set_own`, one by one; those that the app's model does not take stay as they were, and are returned.

    One that does not fit must keep no other as it was: whoever writes their own profile could so keep a role.

    :raises sqlalchemy.exc.DBAPIError: the database does not answer any more.
    """
    unfit = [name for name, value in own.items() if not models.own[name].takes(value)]
    for name, value in own.items():
        if name not in unfit and not _is_set(models, connection, key, {name: value}):
            unfit.append(name)
    return unfit


def _is_set(models: Models, connection: sa.Connection, key: object, own: Mapping[str, object]) -> bool:
    try:
        with connection.begin_nested():
            set_own(models, connection, key, own)
    except Exception as error:
        # Else it is what a constraint, a validator or a listener of the app's refuses.
        if isinstance(error, DBAPIError) and is_outage(error):
            raise
        return False
    return True


def row_of(key: object, identifier: Identifier) -> dict[str, object]:
    """The row of ``foreign_token_identifier`` for an identifier of the user with that primary key."""
    values = {name: getattr(identifier, name) for name in _FIELDS}
    id_ = identifier_id(identifier.system, identifier.value)
    return {"id": id_, "user_id": key, **values}


def _identifier(row: sa.Row[Any]) -> Identifier:
    values = {name: getattr(row, name) for name in _FIELDS}
    # None in a table that an earlier version made.
    return Identifier(**{**values, "written": values["written"] or {}})


def stored_user(models: Models, rows: Iterable[sa.Row[Any]]) -> StoredUser:
    """One user from the rows of their identifiers, or from one row without any."""
    first, *_ = rows
    identifiers = tuple(map(_identifier, (row for row in rows if row.system is not None)))
    own = {name: getattr(first, _OWN + name) for name in models.own}
    return StoredUser(first.key, bool(first.active), identifiers, own)
