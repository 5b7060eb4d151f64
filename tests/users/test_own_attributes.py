from __future__ import annotations

import enum
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import orm as sa_orm
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.ext.hybrid import hybrid_property

from flask_foreign_token.errors import ConfigError, InvalidToken, Misconfigured
from flask_foreign_token.users.models import models_for
from flask_foreign_token.users.own_attributes import OwnAttribute, own_attributes
from flask_foreign_token.users.snapshot import UserSnapshot

from .conftest import Says, World, a_credential, a_provider, a_token, a_world, closed


def a_person(db: SQLAlchemy, **attributes: object) -> type[Any]:
    id_ = sa.Column(sa.Integer, primary_key=True)
    return type("Person", (db.Model,), {"__tablename__": "person", "id": id_, **attributes})


def an_attribute(type_: sa.types.TypeEngine[Any] | type, **column: object) -> OwnAttribute:
    return own_attributes(a_person(SQLAlchemy(), it=sa.Column(type_, **column)), ["it"])["it"]


@pytest.mark.parametrize(
    ("type_", "fitting", "unfit"),
    [
        (sa.String(3), ["", "a", "abc", "\U0001f600" * 3], ["abcd", 1, True, ["a"], {"a": 1}, "\0", "a\ud800"]),
        (sa.Text(), ["a" * 100_000], [1, 1.5, "a\0b"]),
        (sa.Unicode(2), ["ab"], ["abc"]),
        (sa.Boolean(), [True, False], [1, 0, "true", 1.0]),
        (sa.SmallInteger(), [0, -(2**15), 2**15 - 1], [2**15, -(2**15) - 1, True, 1.0, "1"]),
        (sa.Integer(), [-(2**31), 2**31 - 1], [2**31, -(2**31) - 1, False, 1.5]),
        (sa.BigInteger(), [-(2**63), 2**63 - 1], [2**63, -(2**63) - 1, 10**400]),
        (sa.Float(), [1, 1.5, -2, int(sys.float_info.max)], [True, "1", 10**400]),
        (sa.Double(), [1e308], ["1e308"]),
        (sa.JSON(), [1, "a", True, [1], {"a": [None]}], []),
        (postgresql.JSONB(), [{"a": 1}], []),
        (mysql.VARCHAR(2), ["ab"], ["abc"]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, sa.types.TypeEngine) else "",
)
def test_an_attribute_takes_what_its_column_holds(
    type_: sa.types.TypeEngine[Any], fitting: list[object], unfit: list[object]
) -> None:
    attribute = an_attribute(type_)

    assert [value for value in fitting if not attribute.takes(value)] == []
    assert [value for value in unfit if attribute.takes(value)] == []


@pytest.mark.parametrize("type_", [sa.String, sa.Boolean, sa.Integer, sa.Float, sa.JSON])
def test_null_fits_where_the_column_can_be_null(type_: type) -> None:
    assert an_attribute(type_).takes(None)
    assert not an_attribute(type_, nullable=False).takes(None)


class Colour(enum.Enum):
    RED = "red"


class Upper(sa.types.TypeDecorator[str]):
    impl = sa.String
    cache_ok = True


@pytest.mark.parametrize(
    "type_",
    [
        sa.DateTime(), sa.Date(), sa.LargeBinary(), sa.Uuid(), sa.Numeric(), sa.Enum(Colour), sa.Enum("a", "b"),
        sa.Interval(), sa.PickleType(), postgresql.ARRAY(sa.String), Upper(),
    ],
    ids=lambda type_: type(type_).__name__,
)  # fmt: skip
def test_a_column_of_another_kind_is_refused_by_name(type_: sa.types.TypeEngine[Any]) -> None:
    with pytest.raises(ConfigError, match=r"user_attributes: Person\.it holds no texts, numbers, truth values or JSON"):
        an_attribute(type_)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("emial", "Person has no column 'emial'"),
        ("shouting", "Person has no column 'shouting'"),
        ("twice", "Person has no column 'twice'"),
        ("friends", "Person has no column 'friends'"),
        ("plain", "Person has no column 'plain'"),
        ("metadata", "Person has no column 'metadata'"),
        ("id", "'id' is not for a provider to say"),
        ("data", "'data' is not for a provider to say"),
        ("inactive", "'inactive' is not for a provider to say"),
    ],
)
def test_what_cannot_be_set_is_refused_by_name(name: str, reason: str) -> None:
    person = a_person(
        SQLAlchemy(),
        email=sa.Column(sa.String(20)),
        data=sa.Column(sa.JSON),
        inactive=sa.Column(sa.Boolean),
        friend_id=sa.Column(sa.ForeignKey("person.id")),
        friends=sa_orm.relationship("Person"),
        shouting=hybrid_property(lambda self: self.email + "!"),
        twice=sa_orm.column_property(sa.literal(1) + 1),
        plain=property(lambda self: 1),
    )

    with pytest.raises(ConfigError) as caught:
        own_attributes(person, ["email", name])

    assert str(caught.value) == f"user_attributes: {reason}"


def test_the_attribute_that_lets_a_user_in_is_not_for_a_provider_to_say() -> None:
    db = SQLAlchemy()
    person = a_person(db, is_active=sa.Column(sa.Boolean))

    with pytest.raises(ConfigError, match="'is_active' is the active_attribute"):
        models_for(db, person, "is_active", ["is_active"])


def test_to_scim_knows_what_is_listed_and_what_is_not() -> None:
    db = SQLAlchemy()
    columns = {
        name: sa.Column(type_) for name, type_ in {"email": sa.Text, "profile": sa.JSON, "hash": sa.Text}.items()
    }
    targets = models_for(db, a_person(db, **columns), None, ["email", "profile"]).targets

    assert targets.plain == {"email"}
    assert targets.closed == {"id", "hash"}


def legacy(db: SQLAlchemy) -> type:
    return a_person(db, email=sa.Column(sa.String(60), nullable=False), given=sa.Column(sa.String(9)))


def mapped(db: SQLAlchemy) -> type:
    class Person(db.Model):
        id: sa_orm.Mapped[int] = sa_orm.mapped_column(primary_key=True)
        email: sa_orm.Mapped[str] = sa_orm.mapped_column(sa.String(60))
        given: sa_orm.Mapped[str | None] = sa_orm.mapped_column(sa.String(9))

    return Person


def dataclass(db: SQLAlchemy) -> type:
    class Person(sa_orm.MappedAsDataclass, db.Model, kw_only=True):
        id: sa_orm.Mapped[int] = sa_orm.mapped_column(primary_key=True, init=False)
        email: sa_orm.Mapped[str] = sa_orm.mapped_column(sa.String(60))
        given: sa_orm.Mapped[str | None] = sa_orm.mapped_column(sa.String(9), init=False)

    return Person


def abstract(db: SQLAlchemy) -> type:
    class Being(db.Model):
        __abstract__ = True
        id: sa_orm.Mapped[int] = sa_orm.mapped_column(primary_key=True)
        email: sa_orm.Mapped[str] = sa_orm.mapped_column(sa.String(60))

    class Person(Being):
        given: sa_orm.Mapped[str | None] = sa_orm.mapped_column(sa.String(9))

    return Person


def renamed(db: SQLAlchemy) -> type:
    class Person(db.Model):
        id: sa_orm.Mapped[int] = sa_orm.mapped_column("person_no", primary_key=True)
        email: sa_orm.Mapped[str] = sa_orm.mapped_column("E-Mail", sa.String(60))
        given: sa_orm.Mapped[str | None] = sa_orm.mapped_column("email", sa.String(9))

    return Person


def inherited(db: SQLAlchemy) -> type:
    class Person(db.Model):
        id: sa_orm.Mapped[int] = sa_orm.mapped_column(primary_key=True)
        email: sa_orm.Mapped[str] = sa_orm.mapped_column(sa.String(60))
        kind: sa_orm.Mapped[str] = sa_orm.mapped_column(sa.String(9))
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}  # noqa: RUF012

    class Employee(Person):
        id: sa_orm.Mapped[int] = sa_orm.mapped_column(sa.ForeignKey("person.id"), primary_key=True)
        given: sa_orm.Mapped[str | None] = sa_orm.mapped_column(sa.String(9))
        __mapper_args__ = {"polymorphic_identity": "employee"}  # noqa: RUF012

    return Employee


def constructed(db: SQLAlchemy) -> type:
    class Person(db.Model):
        id: sa_orm.Mapped[int] = sa_orm.mapped_column(primary_key=True)
        email: sa_orm.Mapped[str] = sa_orm.mapped_column(sa.String(60))
        handle: sa_orm.Mapped[str] = sa_orm.mapped_column(sa.String(60))
        given: sa_orm.Mapped[str | None] = sa_orm.mapped_column(sa.String(9))

        def __init__(self, email: str) -> None:
            super().__init__(email=email, handle=email.partition("@")[0])

    return Person


def constructed_with_anything(db: SQLAlchemy) -> type:
    class Person(db.Model):
        id: sa_orm.Mapped[int] = sa_orm.mapped_column(primary_key=True)
        email: sa_orm.Mapped[str] = sa_orm.mapped_column(sa.String(60))
        handle: sa_orm.Mapped[str] = sa_orm.mapped_column(sa.String(60))
        given: sa_orm.Mapped[str | None] = sa_orm.mapped_column(sa.String(9))

        def __init__(self, **attributes: object) -> None:
            super().__init__(**attributes)
            self.handle = (self.email or "nobody").partition("@")[0]

    return Person


STYLES: dict[str, Callable[[SQLAlchemy], type]] = {
    "legacy": legacy,
    "mapped": mapped,
    "dataclass": dataclass,
    "abstract": abstract,
    "renamed": renamed,
    "inherited": inherited,
    "constructed": constructed,
    "constructed with anything": constructed_with_anything,
}


@pytest.fixture
def people() -> Iterator[Callable[..., World]]:
    """Makes a world with a model of the app's own, which lists `email` and `given`, or those named."""
    worlds: list[World] = []

    def make(user_class: Callable[[SQLAlchemy], type], *listed: str) -> World:
        class Base(sa_orm.DeclarativeBaseNoMeta):
            pass

        base = {"model_class": Base} if user_class is dataclass else {}
        listed = listed or ("email", "given")
        worlds.append(a_world("sqlite://", user_class=user_class, user_attributes=listed, **base))
        return worlds[-1]

    yield make
    for world in worlds:
        closed(world)


def arrive(world: World, sub: str = "ada", **said: object) -> UserSnapshot:
    to_scim = {name: [name] for name in ("email", "given", "profile")}
    provider = a_provider(Says(**said), to_scim=to_scim)
    user = world.users().meet(a_token(sub), provider, a_credential())
    assert user is not None
    return user


@pytest.mark.parametrize("style", STYLES)
def test_whatever_the_style_of_the_model_listed_attributes_are_filled_and_shown(
    people: Callable[..., World], style: str
) -> None:
    world = people(STYLES[style])

    made = arrive(world, email="ada@example.org", given="Ada")

    assert (made.resource["email"], made.resource["given"]) == ("ada@example.org", "Ada")
    assert world.users().snapshot_of(made.key).resource == made.resource
    assert arrive(world) == made
    with world.app.app_context():
        row = world.db.session.get(world.models.user, made.key)
        assert (row.email, row.given) == ("ada@example.org", "Ada")


@pytest.mark.parametrize("style", STYLES)
def test_whatever_the_style_what_is_not_said_is_null_where_it_can_be(people: Callable[..., World], style: str) -> None:
    made = arrive(people(STYLES[style]), email="ada@example.org", given=None)

    assert "given" not in made.resource


@pytest.mark.parametrize("style", STYLES)
def test_whatever_the_style_a_model_that_wants_more_is_the_apps_fault(people: Callable[..., World], style: str) -> None:
    world = people(STYLES[style])

    with pytest.raises(Misconfigured) as caught:
        arrive(world, given="Ada")

    assert "refuses a row that sets nothing but its key and email, given" in str(caught.value.hint)
    assert world.count(world.models.identifier) == 0


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("given", ["Ada Lovelace", 7, ["Ada"], "A\0da"], ids=["long", "number", "list", "NUL"])
def test_whatever_the_style_what_does_not_fit_refuses_the_token_and_stores_nothing(
    people: Callable[..., World], style: str, given: object
) -> None:
    world = people(STYLES[style])

    with pytest.raises(InvalidToken) as caught:
        arrive(world, email="ada@example.org", given=given)

    assert caught.value.description == "userinfo does not fit the attribute given of the user"
    assert world.count(world.models.identifier) == 0


def strict(error: type[Exception], **more: object) -> Callable[[SQLAlchemy], type]:
    """Makes a model that validates `email`, and whose validator raises `error`."""

    def check(self: object, name: str, value: str) -> str:
        if not value.endswith("@example.org"):
            raise error(f"no {value}")
        return value

    def person(db: SQLAlchemy) -> type:
        columns = {name: sa.Column(sa.String(60)) for name in ("email", "given")}
        return a_person(db, **columns, check_email=sa_orm.validates("email")(check), **more)

    return person


@pytest.mark.parametrize("error", [ValueError, AssertionError])
@pytest.mark.parametrize(
    "more", [{}, {"__init__": lambda self: None}], ids=["in the constructor", "behind the constructor"]
)
def test_a_validator_of_the_apps_refuses_the_token_by_name(
    people: Callable[..., World], error: type[Exception], more: dict[str, object]
) -> None:
    world = people(strict(error, **more))

    with pytest.raises(InvalidToken) as caught:
        arrive(world, email="ada@evil.example", given="Ada")

    assert caught.value.description == "userinfo does not fit the attribute email of the user"
    assert world.population == (0, 0)
    assert arrive(world, email="ada@example.org", given="Ada").resource["email"] == "ada@example.org"


def test_a_constructor_that_raises_by_itself_names_all_that_it_was_given(people: Callable[..., World]) -> None:
    def refuse(self: object, email: str, given: str) -> None:
        raise ValueError

    columns = {name: sa.Column(sa.String(60)) for name in ("email", "given")}
    world = people(lambda db: a_person(db, **columns, __init__=refuse))

    with pytest.raises(InvalidToken, match="the attribute email, given of the user"):
        arrive(world, email="ada@example.org", given="Ada")


def test_a_constructor_that_raises_without_having_been_given_anything_is_the_apps_fault(
    people: Callable[..., World],
) -> None:
    def refuse(self: object) -> None:
        raise ValueError

    world = people(lambda db: a_person(db, email=sa.Column(sa.String(60)), __init__=refuse), "email")

    with pytest.raises(Misconfigured):
        arrive(world, email="ada@example.org")


def test_a_json_attribute_takes_objects_and_lists(people: Callable[..., World]) -> None:
    world = people(lambda db: a_person(db, profile=sa.Column(sa.JSON)), "profile")

    made = arrive(world, profile={"langs": ["en", None], "n": 1.5})

    assert made.resource["profile"] == {"langs": ["en", None], "n": 1.5}
    assert world.users().snapshot_of(made.key).resource == made.resource


def test_a_default_of_the_column_holds_where_nothing_is_said(people: Callable[..., World]) -> None:
    columns = {
        "email": sa.Column(sa.String(60), default="nobody@example.org"),
        "given": sa.Column(sa.String(9), server_default="Nobody"),
    }

    made = arrive(people(lambda db: a_person(db, **columns)))

    assert (made.resource["email"], made.resource["given"]) == ("nobody@example.org", "Nobody")


def test_what_must_be_unique_and_is_taken_does_not_fit_and_stores_nothing(people: Callable[..., World]) -> None:
    world = people(lambda db: a_person(db, email=sa.Column(sa.String(60), unique=True)), "email")
    arrive(world, "one", email="ada@example.org")

    with pytest.raises(InvalidToken) as caught:
        arrive(world, "other", email="ada@example.org")

    assert caught.value.description == "userinfo does not fit the user"
    assert "a value that must be unique" in str(caught.value.hint)
    assert caught.value.__context__ is None
    assert world.population == (1, 1)


def test_an_attribute_that_is_not_listed_is_never_set(people: Callable[..., World]) -> None:
    columns = {"email": sa.Column(sa.String(60)), "given": sa.Column(sa.String(9), default="kept")}
    world = people(lambda db: a_person(db, **columns), "email")

    made = arrive(world, email="ada@example.org", given="Ada")

    with world.app.app_context():
        assert world.db.session.get(world.models.user, made.key).given == "kept"
