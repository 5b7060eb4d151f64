"""What is known of a person can be had, and be gone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_foreign_token import ForeignToken

from ..apps import add_views, ask, in_database, rows, tables_in
from ..conftest import MakeApp
from .callers import OPERATOR_SETTINGS, Operated, operate, put_all, run
from .people import People, counts, me, token, user_of, users

OTHER = "https://other.example"
PRIVATE = "ada.lovelace@private.example"


@pytest.fixture
def app(operated: Operated, people: People) -> Flask:
    app = operated(
        [*people.resources(toScim={"email": ["email"]}), *people.resources("other", OTHER)],
    )
    people.says(email=PRIVATE)
    me(app, token())
    people.says(email="bob@example.com")
    me(app, token("bob"))
    people.says(email=PRIVATE)
    return app


def export(app: Flask, user: str) -> Any:
    return json.loads(run(app, "users", "export", user).stdout)


def everything_stored(app: Flask) -> str:
    """All that is in the database, as one text."""

    def read(connection: Any) -> str:
        tables = [(name, connection.exec_driver_sql(f'SELECT * FROM "{name}"').fetchall()) for name in tables_in(app)]
        return str(tables)

    text: str = in_database(app, read)
    return text


def test_an_export_has_the_user_and_every_identifier(app: Flask):
    shown = user_of(app)
    run(app, "users", "link", shown["id"], "other|lovelace")
    me(app, token("lovelace", iss=OTHER))

    exported = export(app, shown["id"])

    assert exported["user"] == user_of(app)
    assert [(each["system"], each["value"], each["issuer"]) for each in exported["identifiers"]] == [
        ("keycloak", "ada", "https://issuer.example"),
        ("other", "lovelace", OTHER),
    ]
    first = exported["identifiers"][0]
    assert first.keys() == {
        *["system", "value", "issuer", "inactive", "data", "attributes", "written", "version"],
        *["createdAt", "updatedAt", "refreshedAt"],
    }
    assert first["data"] == {"sub": "ada", "email": PRIVATE}
    assert first["attributes"] == {"email": PRIVATE}
    assert first["createdAt"] == shown["meta"]["extension"][0]["valueInstant"]


def test_an_export_has_nothing_of_others_and_no_token(app: Flask):
    ada = user_of(app)["id"]
    known = token()
    ask(app, known)

    said = run(app, "users", "export", ada).stdout

    assert "bob" not in said
    assert user_of(app, "bob")["id"] not in said
    assert known not in said


def test_an_export_changes_nothing(app: Flask):
    before = users(app)

    export(app, user_of(app)["id"])

    assert users(app) == before


@pytest.mark.parametrize("verb", ["export", "forget"])
@pytest.mark.parametrize(
    "user", ["nobody", "%", "", "keycloak|ad", "keycloak|ADA", "keycloak|ada ", "other|ada", "ada"]
)
def test_nobody_is_found_under_another_id(app: Flask, verb: str, user: str):
    before = users(app)

    result = run(app, "users", verb, user, *(["--yes"] if verb == "forget" else []), status=1)

    assert "No such command" not in result.stderr
    assert result.stderr
    assert users(app) == before


def test_the_user_may_be_named_by_an_identifier(app: Flask):
    assert export(app, "keycloak|ada") == export(app, user_of(app)["id"])

    run(app, "users", "forget", "keycloak|ada", "--yes")

    assert [user["identifier"][0]["value"] for user in users(app)] == ["bob"]


def test_who_is_forgotten_is_nowhere_any_more(app: Flask):
    ada = user_of(app)["id"]
    run(app, "users", "link", ada, "other|lovelace")
    me(app, token("lovelace", iss=OTHER))

    run(app, "users", "forget", ada, "--yes")

    assert operate(app, "GET", f"/fhir/User/{ada}").status_code == 404
    assert rows(app, "SELECT value FROM foreign_token_identifier") == [("bob",)]
    assert [user["identifier"][0]["value"] for user in users(app)] == ["bob"]
    stored = everything_stored(app)
    assert "lovelace" not in stored
    assert "'ada'" not in stored


def test_who_is_forgotten_comes_back_as_somebody_new(app: Flask, people: People):
    ada, known = user_of(app)["id"], token()
    assert me(app, known) == ada
    run(app, "users", "forget", ada, "--yes")
    people.says()

    again = me(app, known)

    assert again != ada
    assert user_of(app)["data"] == {"sub": "ada"}
    assert counts(app) == (2, 2)


def test_others_stay_as_they_are(app: Flask):
    before = user_of(app, "bob")

    run(app, "users", "forget", user_of(app)["id"], "--yes")

    assert user_of(app, "bob") == before
    assert me(app, token("bob")) == before["id"]


def test_several_are_forgotten_at_once(app: Flask):
    run(app, "users", "forget", user_of(app)["id"], user_of(app, "bob")["id"], "--yes")

    assert counts(app) == (0, 0)
    assert PRIVATE not in everything_stored(app)


def test_it_asks_first(app: Flask):
    before = users(app)

    assert run(app, "users", "forget", user_of(app)["id"], stdin="n\n", status=None).exit_code != 0
    assert users(app) == before

    assert run(app, "users", "forget", user_of(app)["id"], stdin="", status=None).exit_code != 0
    assert users(app) == before

    run(app, "users", "forget", user_of(app)["id"], stdin="y\n")
    assert len(users(app)) == 1


def test_it_shows_no_data(app: Flask):
    said = run(app, "users", "forget", user_of(app)["id"], "--yes")

    assert PRIVATE not in said.output


@pytest.fixture
def own(bare_app: MakeApp, people: People) -> Flask:
    """An app whose own model has listed columns, one of which must be there."""

    class Base(DeclarativeBase):
        pass

    db = SQLAlchemy(model_class=Base)

    class Member(db.Model):
        __tablename__ = "member"
        id: Mapped[int] = mapped_column(primary_key=True)
        email: Mapped[str | None]
        name: Mapped[str]
        note: Mapped[str | None]

    app = bare_app(**OPERATOR_SETTINGS, SQLALCHEMY_DATABASE_URI="sqlite:///own.sqlite")
    db.init_app(app)
    ForeignToken(app, db=db, user_class=Member, user_attributes=("email", "name"))
    add_views(app)
    with app.app_context():
        db.create_all()
    put_all(app, people.resources(toScim={"email": ["email"], "name": ["name"]}))
    people.says(email=PRIVATE, name="Ada")
    me(app, token())
    rows(app, "UPDATE member SET note = 'ours' RETURNING id")
    return app


def test_the_apps_own_row_stays_without_what_the_provider_said(own: Flask):
    said = run(own, "users", "forget", "1", "--yes")

    assert rows(own, "SELECT id, email, name, note FROM member") == [(1, None, "Ada", "ours")]
    assert rows(own, "SELECT count(*) FROM foreign_token_identifier") == [(0,)]
    assert "name" in said.output
    assert PRIVATE not in everything_stored(own)


def test_the_apps_own_row_is_nobodys_afterwards(own: Flask):
    run(own, "users", "forget", "1", "--yes")

    assert me(own, token()) == "2"


def test_an_export_of_the_apps_own_user_has_what_is_listed(own: Flask):
    exported = export(own, "1")

    assert (exported["user"]["email"], exported["user"]["name"]) == (PRIVATE, "Ada")
    assert "note" not in exported["user"]
    assert exported["identifiers"][0]["data"]["email"] == PRIVATE


def test_who_was_made_inactive_before_can_be_forgotten_too(app: Flask):
    ada = user_of(app)["id"]
    run(app, "users", "deactivate", ada)

    assert export(app, ada)["user"]["inactive"] is True
    run(app, "users", "forget", ada, "--yes")

    assert [user["identifier"][0]["value"] for user in users(app)] == ["bob"]


def test_who_has_no_identifier_left_is_exported_and_forgotten_too(app: Flask):
    ada = user_of(app)["id"]
    run(app, "users", "unlink", ada, "keycloak|ada")

    exported = export(app, ada)
    assert (exported["user"]["id"], exported["identifiers"]) == (ada, [])

    run(app, "users", "forget", ada, "--yes")
    assert operate(app, "GET", f"/fhir/User/{ada}").status_code == 404
