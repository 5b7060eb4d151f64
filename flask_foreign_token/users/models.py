"""Where users are kept: the app's own model or one of ours, and a table for what providers say about them."""

from __future__ import annotations

import inspect
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import orm as sa_orm
from sqlalchemy.schema import conv

from ..errors import ConfigError, Rejected
from ..tables import delete_with, exact
from .own_attributes import OwnAttribute, Unfit, own_attributes
from .to_scim import Targets
from .verified_email import MAX_EMAIL

if TYPE_CHECKING:
    from flask_sqlalchemy import SQLAlchemy

HEIR = "foreign_token.heir"
"""Names, in the ``info`` of a session, a new user of whom whoever stores them sees to it that they inherit nothing."""

_INFO = "foreign_token.models"
_ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class Models:
    """What keeps users; made by :func:`models_for`.

    :param user: the class of ``g.user``.
    :param identifier: ``ForeignTokenIdentifier``.
    :param active_attribute: the attribute of `user` that is false when a user must not get in.
    :param own: the attributes of `user` that ``toScim`` may set, by name.
    :param tables: those that are ours to make.
    """

    user: type[Any]
    identifier: type[Any]
    active_attribute: str | None
    own: Mapping[str, OwnAttribute]
    tables: tuple[sa.Table, ...]

    @property
    def key(self) -> sa_orm.InstrumentedAttribute[Any]:
        """The attribute of `user` that is its primary key."""
        mapper = sa.inspect(self.user)
        return cast(
            "sa_orm.InstrumentedAttribute[Any]", mapper.get_property_by_column(mapper.primary_key[0]).class_attribute
        )

    @property
    def bind_key(self) -> str | None:
        """The bind that the tables are on, as ``db.engines`` names it."""
        return cast("str | None", self.tables[0].metadata.info.get("bind_key"))

    @property
    def targets(self) -> Targets:
        """What ``toScim`` can and cannot reach."""
        closed = frozenset(sa.inspect(self.user).all_orm_descriptors.keys()) - self.own.keys()
        return Targets(closed, frozenset(name for name, attribute in self.own.items() if not attribute.is_json))

    @property
    def refusal(self) -> str:
        """Why the database may refuse a new user, for the developer."""
        which = f" (without a value: {', '.join(self.wanting)})" if self.wanting else ""
        what = f"its key and {', '.join(self.own)}" if self.own else "its key"
        return (
            f"{self.user.__name__} refuses a row that sets nothing but {what}{which}; give its "
            "columns defaults, list them in user_attributes and in toScim, or make users in a function with "
            "@foreign_token.new_user"
        )

    def make(self, attributes: Mapping[str, object]) -> Any:
        """A user who is not stored yet.

        :param attributes: what ``toScim`` says; only :attr:`own` ones are set.
        :raises Unfit: one of them does not take what is said of it.
        :raises Rejected: the class cannot be made with these alone.
        """
        own = self.fitting(attributes)
        parameters = _parameters(self.user)
        taken = {name: value for name, value in own.items() if name in parameters}
        try:
            user = self.user(**taken)
        except Exception as error:  # noqa: BLE001 - validators of the app's raise what they like
            can_be_made = bool(taken) and not isinstance(error, TypeError)
        else:
            _set_all(user, {name: value for name, value in own.items() if name not in taken})
            return user
        # Out here, lest what a validator said of a value stay with what is raised.
        if not can_be_made:
            raise Rejected.at("", self.refusal)
        validated = taken.keys() & sa.inspect(self.user).validators.keys()
        raise Unfit(", ".join(name for name in taken if name in (validated or taken)))

    @property
    def wanting(self) -> list[str]:
        """The attributes of `user` that must have a value, and get none by themselves."""
        mapper = sa.inspect(self.user)
        columns = [c for c in mapper.columns if _wants_a_value(c) and c is not mapper.polymorphic_on]
        return [mapper.get_property_by_column(column).key for column in columns]

    def lacking(self, user: object) -> list[str]:
        """Those of :attr:`wanting` that a row has no value of."""
        return [name for name in self.wanting if sa.inspect(user).dict.get(name) is None]

    def set_own(self, user: object, attributes: Mapping[str, object]) -> None:
        """Set the :attr:`own` ones among `attributes`.

        :raises Unfit: one does not take what is said of it.
        """
        _set_all(user, self.fitting(attributes))

    def own_of(self, user: object) -> dict[str, object]:
        """The :attr:`own` attributes of a row."""
        return {name: getattr(user, name) for name in self.own}

    def fitting(self, attributes: Mapping[str, object]) -> dict[str, object]:
        """The :attr:`own` ones among `attributes`.

        :raises Unfit: one does not take what is said of it.
        """
        own = {name: value for name, value in attributes.items() if name in self.own}
        for name, value in own.items():
            if not self.own[name].takes(value):
                raise Unfit(name)
        return own

    def is_active(self, user: object) -> bool:
        """Whether `active_attribute` lets `user` in; null does not."""
        return self.active_attribute is None or bool(getattr(user, self.active_attribute))


def models_for(
    db: SQLAlchemy,
    user_class: type[Any] | None,
    active_attribute: str | None,
    user_attributes: Sequence[str] = (),
) -> Models:
    """The models of `db`, built at the first call and kept with its metadata, so that migrations see their tables.

    :param user_class: a mapped class with a primary key of one column; ``ForeignTokenUser`` if none.
    :param active_attribute: a column or hybrid property of `user_class`; ``active`` of ``ForeignTokenUser``.
    :param user_attributes: columns of `user_class` that ``toScim`` may set.
    :raises ConfigError: one of these cannot be used, or another was registered for `db` before.
    """
    asked = (user_class, active_attribute, frozenset(user_attributes))
    if _INFO not in db.metadata.info:
        db.metadata.info[_INFO] = (asked, _build(db, user_class, active_attribute, user_attributes))
    first, models = db.metadata.info[_INFO]
    if asked != first:
        raise ConfigError(
            "user_class, active_attribute or user_attributes differ from those that an earlier ForeignToken gave for "
            "the same db; all of its apps share them"
        )
    return cast("Models", models)


def _build(
    db: SQLAlchemy, user_class: type[Any] | None, active_attribute: str | None, user_attributes: Sequence[str]
) -> Models:
    base = _base(db)
    user = _user_model(base, db.metadata) if user_class is None else user_class
    key = _single_key(user)
    active = _ACTIVE if user_class is None and active_attribute is None else active_attribute
    _check_attribute(user, active)
    own = own_attributes(user, user_attributes)
    if active in own:
        raise ConfigError(f"user_attributes: {active!r} is the active_attribute, which is not for a provider to say")
    identifier = _identifier_model(base, key)
    identifiers = cast("sa.Table", identifier.__table__)
    delete_with(key, identifiers.c.user_id)
    if user_class is None:
        return Models(user, identifier, active, own, (key.table, identifiers))
    _disown_on_insert(user, identifiers)
    return Models(user, identifier, active, own, (identifiers,))


def _base(db: SQLAlchemy) -> type[sa_orm.DeclarativeBase]:
    """A base beside ``db.Model``: columns and dataclass fields that an app gives to its own are not for our tables.

    The registry is the app's, so that its relationships find our models by name.
    """

    class Base(sa_orm.DeclarativeBase):
        registry = cast("Any", db.Model).registry

    return Base


def _user_model(base: type[sa_orm.DeclarativeBase], metadata_: sa.MetaData) -> type[Any]:
    class ForeignTokenUser(base):  # type: ignore[misc,valid-type]  # a base is made for each db
        """A user of an app that has no model of its own."""

        __tablename__ = "foreign_token_user"
        __table_args__ = (sa.PrimaryKeyConstraint("id", name=conv("pk_foreign_token_user")),)
        metadata = metadata_

        id = sa.Column(sa.String(36), default=lambda: str(uuid.uuid4()))
        active = sa.Column(sa.Boolean, nullable=False, default=True)
        identifiers = sa_orm.relationship(
            "ForeignTokenIdentifier",
            lazy="joined",
            order_by="ForeignTokenIdentifier.created_at",
            cascade="all, delete-orphan",
        )

        @property
        def data(self) -> dict[str, Any]:
            """What the providers say about the user, keys of later identifiers before those of earlier ones."""
            return {key: value for identifier in self.identifiers for key, value in identifier.data.items()}

        # What Flask-Login asks of a user.

        @property
        def is_active(self) -> bool:
            """Whether the user is let in."""
            return bool(self.active) and not any(identifier.inactive for identifier in self.identifiers)

        @property
        def is_authenticated(self) -> bool:
            """True: a row is somebody."""
            return True

        @property
        def is_anonymous(self) -> bool:
            """False: a row is somebody."""
            return False

        def get_id(self) -> str:
            """The primary key."""
            return str(self.id)

    return ForeignTokenUser


def _identifier_model(base: type[sa_orm.DeclarativeBase], key: sa.Column[Any]) -> type[Any]:
    class ForeignTokenIdentifier(base):  # type: ignore[misc,valid-type]  # as above
        """How a provider names a user, and what it says about them. Times are seconds since the epoch.

        `id` stands for `system` and `value` byte by byte, where a database's collation would take some for equal.
        """

        __tablename__ = "foreign_token_identifier"
        __table_args__ = (
            sa.PrimaryKeyConstraint("id", name=conv("pk_foreign_token_identifier")),
            sa.ForeignKeyConstraint(
                ["user_id"], [key], name=conv("fk_foreign_token_identifier_user_id"), ondelete="CASCADE"
            ),
            sa.Index(conv("ix_foreign_token_identifier_user_id"), "user_id"),
            sa.Index(conv("ix_foreign_token_identifier_verified_email"), "verified_email"),
        )
        metadata = key.table.metadata

        id = sa.Column(sa.String(64))
        system = sa.Column(exact(255), nullable=False)
        value = sa.Column(exact(255), nullable=False)
        issuer = sa.Column(sa.Text, nullable=False, comment="the issuer that vouched for it first")
        user_id = sa.Column(key.type, nullable=False)
        data = sa.Column(sa.JSON, nullable=False, comment="userinfo, as it came")
        attributes = sa.Column(sa.JSON, nullable=False, comment="what toScim made of it")
        inactive = sa.Column(sa.Boolean, nullable=False, default=False)
        version = sa.Column(sa.Integer, nullable=False, default=1)
        created_at = sa.Column(sa.Double, nullable=False, default=time.time, comment="seconds since the epoch")
        updated_at = sa.Column(sa.Double, nullable=False, default=time.time, comment="seconds since the epoch")
        # A table that an earlier version made lacks these, so that they must do without a value.
        refreshed_at = sa.Column(sa.Double, comment="when the provider was last asked, in seconds since the epoch")
        written = sa.Column(sa.JSON(none_as_null=True), comment="attributes, as an operator wrote them")
        verified_email = sa.Column(exact(MAX_EMAIL), comment="of data, where that says it is verified")

    return ForeignTokenIdentifier


def _parameters(user: type[Any]) -> Collection[str]:
    """What `user` can be made with, by name."""
    parameters = inspect.signature(user).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return frozenset(sa.inspect(user).attrs.keys())
    return parameters.keys()


def _set_all(user: object, attributes: Mapping[str, object]) -> None:
    for name, value in attributes.items():
        if not _takes(user, name, value):
            raise Unfit(name)


def _takes(user: object, name: str, value: object) -> bool:
    try:
        setattr(user, name, value)
    except Exception:  # noqa: BLE001 - validators of the app's raise what they like, with the value in it
        return False
    return True


def _wants_a_value(column: object) -> bool:
    if not isinstance(column, sa.Column) or column.nullable or column.primary_key:
        return False
    return column.default is None and column.server_default is None


def _single_key(user: type[Any]) -> sa.Column[Any]:
    mapper = sa.inspect(user, raiseerr=False)
    if not isinstance(mapper, sa_orm.Mapper):
        raise ConfigError(f"user_class={user!r} is not a mapped class; pass a model such as one derived from db.Model")
    if len(mapper.primary_key) != 1:
        raise ConfigError(f"user_class={user.__name__}: its primary key has several columns; one is what works")
    return cast("sa.Column[Any]", mapper.primary_key[0])


def _check_attribute(user: type[Any], name: str | None) -> None:
    if name is None or name in sa.inspect(user).all_orm_descriptors:
        return
    raise ConfigError(f"active_attribute={name!r}: {user.__name__} has no column or hybrid property of that name")


def _disown_on_insert(user: type[Any], identifiers: sa.Table) -> None:
    """Let no new user inherit the identifiers of a deleted one who had the same key.

    :func:`~..tables.delete_with` leaves none behind; this is for SQLite tables that a migration made, where there is
    no trigger. Rows that do not come through the mapper are not seen: such tables need ``PRAGMA foreign_keys = ON``,
    or keys that are not given again. Whoever names a user as :data:`HEIR` deletes what was left, if anything was.
    """

    @event.listens_for(user, "after_insert", propagate=True)
    def delete_identifiers(mapper: sa_orm.Mapper[Any], connection: sa.Connection, target: object) -> None:
        session = sa_orm.object_session(target)
        if session is not None and session.info.get(HEIR) is target:
            return
        if connection.dialect.name == "sqlite":
            key = mapper.primary_key_from_instance(target)[0]
            connection.execute(sa.delete(identifiers).where(identifiers.c.user_id == key))
