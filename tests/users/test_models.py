from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.model import Model
from sqlalchemy import orm as sa_orm
from sqlalchemy.ext.hybrid import hybrid_property

from flask_foreign_token.errors import ConfigError
from flask_foreign_token.users.models import Models, models_for


class Columned(sa_orm.DeclarativeBase):
    """A base that gives every model of the app columns which our tables also have."""

    id: sa_orm.Mapped[int] = sa_orm.mapped_column(primary_key=True)
    created_at: sa_orm.Mapped[str] = sa_orm.mapped_column(sa.String(10))
    tenant: sa_orm.Mapped[str] = sa_orm.mapped_column(sa.String(10))


class NoMeta(sa_orm.DeclarativeBaseNoMeta):
    pass


class Legacy(Model):
    pass


CONVENTION = {
    "ix": "ix_%(column_0_label)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s_of_the_app",
}
EXTENSIONS: dict[str, Callable[[], SQLAlchemy]] = {
    "plain": SQLAlchemy,
    "a base with columns": lambda: SQLAlchemy(model_class=Columned),
    "a base without metaclass": lambda: SQLAlchemy(model_class=NoMeta),
    "a legacy base": lambda: SQLAlchemy(model_class=Legacy),
    "no names": lambda: SQLAlchemy(disable_autonaming=True),
    "a naming convention": lambda: SQLAlchemy(metadata=sa.MetaData(naming_convention=CONVENTION)),
}


_made: list[tuple[Flask, SQLAlchemy]] = []


@pytest.fixture(autouse=True)
def closed_connections() -> Iterator[None]:
    yield
    while _made:
        app, db = _made.pop()
        with app.app_context():
            for engine in db.engines.values():
                engine.dispose()


@pytest.fixture(params=EXTENSIONS)
def db(request: pytest.FixtureRequest) -> SQLAlchemy:
    return EXTENSIONS[request.param]()


def an_app(db: SQLAlchemy, **binds: str) -> Flask:
    app = Flask("models")
    app.config.update(SQLALCHEMY_DATABASE_URI="sqlite://", SQLALCHEMY_BINDS=binds)
    db.init_app(app)
    _made.append((app, db))
    with app.app_context():
        db.create_all()
    return app


def a_person(db: SQLAlchemy, **attributes: object) -> type:
    id_ = sa.Column(sa.Integer, primary_key=True)
    return type("Person", (db.Model,), {"__tablename__": "person", "id": id_, **attributes})


def an_identifier(models: Models, user_id: object, number: int = 1, **changes: object) -> object:
    values = {"id": str(number) * 64, "system": "keycloak", "value": "v", "issuer": "https://idp.example"}
    return models.identifier(**{**values, "user_id": user_id, "data": {"n": number}, "attributes": {}, **changes})


def test_whatever_the_apps_base_is_our_own_model_keeps_users(db: SQLAlchemy) -> None:
    models = models_for(db, None, None)
    with an_app(db).app_context():
        user = models.user()
        db.session.add(user)
        db.session.flush()
        db.session.add_all(
            [an_identifier(models, user.id, 2, created_at=2.0), an_identifier(models, user.id, 1, created_at=1.0)]
        )
        db.session.commit()
        key = user.id
        db.session.remove()

        user = db.session.get(models.user, key)

        assert [identifier.data["n"] for identifier in user.identifiers] == [1, 2]
        assert user.data == {"n": 2}
        assert user.active is True
        assert models.is_active(user)
        assert len(key) == 36


def test_the_tables_are_on_the_metadata_with_explicit_names(db: SQLAlchemy) -> None:
    models = models_for(db, None, None)
    user, identifier = models.tables

    assert [db.metadata.tables[name] for name in ("foreign_token_user", "foreign_token_identifier")] == [
        user,
        identifier,
    ]
    assert user.primary_key.name == "pk_foreign_token_user"
    assert identifier.primary_key.name == "pk_foreign_token_identifier"
    assert [key.name for key in identifier.foreign_key_constraints] == ["fk_foreign_token_identifier_user_id"]
    assert {index.name for index in identifier.indexes} == {
        "ix_foreign_token_identifier_user_id",
        "ix_foreign_token_identifier_verified_email",
    }
    assert set(user.c.keys()) == {"id", "active"}
    assert set(identifier.c.keys()) == {
        "id", "system", "value", "issuer", "user_id", "data", "attributes", "inactive", "version", "created_at",
        "updated_at", "refreshed_at", "written", "verified_email",
    }  # fmt: skip


def test_deleting_a_user_of_ours_deletes_the_identifiers(db: SQLAlchemy) -> None:
    models = models_for(db, None, None)
    with an_app(db).app_context():
        db.session.add(models.user(id="1", identifiers=[an_identifier(models, "1")]))
        db.session.commit()

        db.session.delete(db.session.get(models.user, "1"))
        db.session.commit()

        assert db.session.scalars(sa.select(models.identifier)).all() == []


@pytest.mark.parametrize("ours_first", [True, False])
def test_a_key_that_is_given_again_brings_no_identifiers_of_its_last_owner(ours_first: bool) -> None:
    db = SQLAlchemy()
    person = a_person(db)
    models = models_for(db, person, None)
    app = an_app(db)
    with app.app_context():
        db.drop_all()
        tables = [models.identifier.__table__, person.__table__]
        for table in tables if ours_first else reversed(tables):
            table.create(db.engine)
        db.session.add_all([person(id=1), an_identifier(models, 1)])
        db.session.commit()

        db.session.execute(sa.delete(person))
        db.session.execute(sa.insert(person).values(id=1))

        assert db.session.scalars(sa.select(models.identifier)).all() == []


def test_a_key_that_is_given_again_brings_none_in_tables_that_a_migration_made() -> None:
    db = SQLAlchemy()
    person = a_person(db)
    models = models_for(db, person, None)
    with an_app(db).app_context():
        db.session.execute(sa.text("DROP TRIGGER tr_foreign_token_identifier_user_id"))
        db.session.add_all([person(id=1), an_identifier(models, 1)])
        db.session.commit()

        db.session.execute(sa.delete(person))
        db.session.add(person(id=1))
        db.session.commit()

        assert db.session.scalars(sa.select(models.identifier)).all() == []


def test_users_can_be_deleted_when_the_table_of_identifiers_is_gone() -> None:
    db = SQLAlchemy()
    person = a_person(db)
    models = models_for(db, person, None)
    with an_app(db).app_context():
        models.identifier.__table__.drop(db.engine)
        db.session.execute(sa.insert(person).values(id=1))

        db.session.execute(sa.delete(person))

        assert db.session.scalars(sa.select(person)).all() == []


def test_models_of_the_app_relate_to_ours_by_name() -> None:
    db = SQLAlchemy()
    models = models_for(db, None, None)
    note = type(
        "Note",
        (db.Model,),
        {
            "id": sa.Column(sa.Integer, primary_key=True),
            "author_id": sa.Column(sa.ForeignKey("foreign_token_user.id")),
            "author": sa_orm.relationship("ForeignTokenUser"),
        },
    )
    with an_app(db).app_context():
        db.session.add(note(author=models.user(id="1")))
        db.session.commit()

        assert db.session.scalars(sa.select(note)).one().author.id == "1"


def test_the_models_are_built_once_for_a_db() -> None:
    db = SQLAlchemy()
    person = a_person(db)

    assert models_for(db, person, None) is models_for(db, person, None)
    assert models_for(SQLAlchemy(), None, None) is not models_for(SQLAlchemy(), None, None)


@pytest.mark.parametrize(
    "second", [lambda person: (None, None), lambda person: (person, "id")], ids=["class", "attribute"]
)
def test_a_second_call_that_asks_for_something_else_is_refused(second: Callable[[type], tuple[object, ...]]) -> None:
    db = SQLAlchemy()
    person = a_person(db)
    models_for(db, person, None)

    with pytest.raises(ConfigError, match="an earlier ForeignToken"):
        models_for(db, *second(person))


@pytest.mark.parametrize(
    ("type_", "value"), [(sa.Integer, 7), (sa.BigInteger, 2**40), (sa.Uuid, "?"), (sa.String(9), "seven")]
)
def test_the_key_of_the_apps_model_gives_its_type_to_the_identifier(type_: object, value: object) -> None:
    db = SQLAlchemy()
    models = models_for(db, a_person(db, id=sa.Column(type_, primary_key=True)), None)

    assert type(models.identifier.__table__.c.user_id.type) is type(models.user.__table__.c.id.type)
    assert models.key.key == "id"
    assert models.tables == (models.identifier.__table__,)
    assert "foreign_token_user" not in db.metadata.tables


def test_the_identifiers_are_on_the_bind_of_the_apps_model() -> None:
    db = SQLAlchemy()
    person = a_person(db, __bind_key__="people")
    models = models_for(db, person, None)

    assert models.bind_key == "people"
    assert "foreign_token_identifier" in db.metadatas["people"].tables
    assert "foreign_token_identifier" not in db.metadata.tables
    with an_app(db, people="sqlite://").app_context():
        db.session.add(an_identifier(models, 1))
        db.session.commit()


def test_a_model_that_is_a_dataclass_will_do() -> None:
    class Base(sa_orm.DeclarativeBaseNoMeta):
        pass

    db = SQLAlchemy(model_class=Base)

    class Person(sa_orm.MappedAsDataclass, db.Model):
        id: sa_orm.Mapped[int] = sa_orm.mapped_column(init=False, primary_key=True)
        nickname: sa_orm.Mapped[str] = sa_orm.mapped_column(default="new")

    assert models_for(db, Person, None).user is Person


def test_a_model_in_a_hierarchy_is_keyed_by_its_base() -> None:
    db = SQLAlchemy()
    person = a_person(db)
    id_ = sa.Column(sa.ForeignKey("person.id"), primary_key=True)
    employee = type("Employee", (person,), {"__tablename__": "employee", "id": id_})

    [key] = models_for(db, employee, None).identifier.__table__.foreign_keys

    assert key.column is person.__table__.c.id


def test_a_hybrid_property_may_say_who_is_active() -> None:
    db = SQLAlchemy()
    state = sa.Column(sa.String(10))
    person = a_person(db, state=state, is_active=hybrid_property(lambda self: self.state == "active"))

    models = models_for(db, person, "is_active")

    assert models.is_active(person(state="active"))
    assert not models.is_active(person(state="blocked"))


@pytest.mark.parametrize("name", ["is_activ", "is_active", "__class__", "query"])
def test_an_active_attribute_that_cannot_be_queried_is_refused_and_builds_nothing(name: str) -> None:
    db = SQLAlchemy()
    person = a_person(db, is_active=property(lambda self: True))

    with pytest.raises(ConfigError, match=f"active_attribute='{name}': Person has no column or hybrid property"):
        models_for(db, person, name)

    assert "foreign_token_identifier" not in db.metadata.tables


def test_a_key_of_several_columns_is_refused_by_name() -> None:
    db = SQLAlchemy()
    person = a_person(db, tenant=sa.Column(sa.Integer, primary_key=True))

    with pytest.raises(ConfigError, match="Person: its primary key has several columns"):
        models_for(db, person, None)


@pytest.mark.parametrize("user_class", [object, Flask, "User"])
def test_what_is_no_model_is_refused(user_class: object) -> None:
    with pytest.raises(ConfigError, match="is not a mapped class"):
        models_for(SQLAlchemy(), user_class, None)


def test_who_is_no_attribute_of_the_apps_is_active_by_default() -> None:
    db = SQLAlchemy()
    person = a_person(db)

    assert models_for(db, person, None).is_active(person())
