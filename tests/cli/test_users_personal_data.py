"""``users export`` and ``users forget``: what is kept of somebody, and that it be gone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Mapped, mapped_column

from flask_foreign_token import ForeignToken
from flask_foreign_token.signals import user_deactivated
from flask_foreign_token.testing import Issuer
from flask_foreign_token.users.snapshot import UserSnapshot

from ..apps import SECRET, SECRET_ISSUER, add_views, ask, rows, secret_token, trusting_a_secret
from ..conftest import MakeApp
from .commands import fill, printed, refused, run

RESOURCES = trusting_a_secret(toScim={"email": ["email"]})
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@pytest.fixture(params=["database", "file"])
def app(request: pytest.FixtureRequest, make_app: MakeApp) -> Flask:
    return make_app(RESOURCES) if request.param == "file" else fill(make_app(), RESOURCES)


@pytest.fixture
def own_app(bare_app: MakeApp, tmp_path: Path) -> Flask:
    """An app with a model of its own, in which a provider sets an attribute that can be null and one that cannot."""
    app = bare_app(SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/own.sqlite")
    db = SQLAlchemy(app)

    class Person(db.Model):  # type: ignore[misc,name-defined]  # made by the extension
        id: Mapped[int] = mapped_column(primary_key=True)
        email: Mapped[str | None]
        nickname: Mapped[str]
        room: Mapped[int] = mapped_column(default=12)

    ForeignToken(app, db=db, user_class=Person, user_attributes=("email", "nickname"))
    add_views(app)
    with app.app_context():
        db.create_all()
    return fill(app, trusting_a_secret(toScim={"email": ["email"], "nick": ["nickname"]}))


def sign_in(app: Flask, issuer: Issuer, subject: str) -> str:
    """The id of the user that a token of `subject` leads to."""
    token = secret_token(issuer, sub=subject, email=f"{subject}@clinic.example", nick=f"little {subject}")
    answer = ask(app, token, "/me")
    assert answer.status_code == 200
    return str(answer.get_json()["user"])


def is_stored(app: Flask, id_: str) -> bool:
    return run(app, "users", "show", id_).exit_code == 0


def test_everything_that_is_kept_of_a_user_is_exported(app: Flask, issuer: Issuer) -> None:
    ann = sign_in(app, issuer, "ann")

    exported = printed(app, "users", "export", ann)

    (identifier,) = exported["identifiers"]
    assert exported["user"] == printed(app, "users", "show", ann)
    assert {name: identifier[name] for name in ("system", "value", "issuer", "inactive", "version")} == {
        "system": "keycloak",
        "value": "ann",
        "issuer": SECRET_ISSUER,
        "inactive": False,
        "version": 1,
    }
    assert identifier["data"]["nick"] == "little ann"
    assert identifier["attributes"] == {"email": "ann@clinic.example"}
    assert all(TIME.fullmatch(identifier[name]) for name in ("createdAt", "updatedAt", "refreshedAt"))


def test_an_export_is_json_unasked(app: Flask, issuer: Issuer) -> None:
    ann = sign_in(app, issuer, "ann")

    assert json.loads(run(app, "users", "export", ann).stdout) == printed(app, "users", "export", ann)


def test_an_export_is_of_one_user_alone_and_holds_no_secret(app: Flask, issuer: Issuer) -> None:
    sign_in(app, issuer, "ann")
    sign_in(app, issuer, "bob")

    exported = run(app, "users", "export", "keycloak|bob").output

    assert "bob@clinic.example" in exported
    assert "ann" not in exported
    assert SECRET not in exported


@pytest.mark.parametrize("name", ["nobody", "keycloak|bob", "entra|ann", "keycloak|", ""])
@pytest.mark.parametrize("arguments", [["export"], ["forget", "--yes"], ["forget"]])
def test_nothing_is_kept_of_one_who_is_not_stored(app: Flask, issuer: Issuer, arguments: list[str], name: str) -> None:
    sign_in(app, issuer, "ann")

    assert f"User/{name}: is not stored" in refused(app, "users", *arguments, name)


def test_one_who_is_forgotten_is_gone(app: Flask, issuer: Issuer) -> None:
    ann, bob = sign_in(app, issuer, "ann"), sign_in(app, issuer, "bob")

    result = run(app, "users", "forget", ann, "--yes")

    assert (result.exit_code, result.stdout, result.stderr) == (0, f"forgotten User/{ann}\n", "")
    assert not is_stored(app, ann)
    assert rows(app, "SELECT value FROM foreign_token_identifier") == [("bob",)]
    assert rows(app, "SELECT id FROM foreign_token_user") == [(bob,)]


def test_the_next_token_of_one_who_is_forgotten_makes_a_new_user(app: Flask, issuer: Issuer) -> None:
    ann = sign_in(app, issuer, "ann")
    run(app, "users", "forget", "keycloak|ann", "--yes")

    assert sign_in(app, issuer, "ann") != ann


def test_programs_are_told_who_is_forgotten(app: Flask, issuer: Issuer) -> None:
    ann, bob = sign_in(app, issuer, "ann"), sign_in(app, issuer, "bob")

    told = printed(app, "users", "forget", ann, "keycloak|bob", ann, "--yes")

    assert told == [
        {"resourceType": "User", "id": ann, "outcome": "forgotten"},
        {"resourceType": "User", "id": bob, "outcome": "forgotten"},
    ]


def test_one_who_is_not_stored_keeps_the_others_from_being_forgotten(app: Flask, issuer: Issuer) -> None:
    ann = sign_in(app, issuer, "ann")

    reason = refused(app, "users", "forget", ann, "nobody", "--yes")

    assert "nothing was changed." in reason
    assert "User/nobody: is not stored" in reason
    assert is_stored(app, ann)


def test_who_says_yes_is_heard(app: Flask, issuer: Issuer) -> None:
    ann = sign_in(app, issuer, "ann")

    result = run(app, "users", "forget", "keycloak|ann", stdin="y\n")

    assert result.exit_code == 0
    assert f"Forget User/{ann}" in result.stderr
    assert not is_stored(app, ann)


def test_where_nobody_answers_it_is_said_what_would(app: Flask, issuer: Issuer) -> None:
    ann = sign_in(app, issuer, "ann")

    assert "--yes" in run(app, "users", "forget", ann, stdin="").stderr


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_without_a_yes_nobody_is_forgotten(app: Flask, issuer: Issuer, answer: str) -> None:
    ann = sign_in(app, issuer, "ann")

    result = run(app, "users", "forget", ann, stdin=answer)

    assert result.exit_code == 1
    assert "nothing was changed." in result.stderr
    assert is_stored(app, ann)


def test_a_row_of_the_apps_own_model_stays_and_that_is_said(own_app: Flask, issuer: Issuer) -> None:
    ann = sign_in(own_app, issuer, "ann")

    result = run(own_app, "users", "forget", ann, "--yes")

    assert (result.exit_code, result.stdout) == (0, f"forgotten User/{ann}\n")
    assert "Person" in result.stderr
    assert "nickname" in result.stderr
    assert "email" not in result.stderr
    assert rows(own_app, "SELECT email, nickname, room FROM person") == [(None, "little ann", 12)]
    assert rows(own_app, "SELECT * FROM foreign_token_identifier") == []


def test_programs_are_told_what_stays(own_app: Flask, issuer: Issuer) -> None:
    ann = sign_in(own_app, issuer, "ann")

    (told,) = printed(own_app, "users", "forget", ann, "--yes")

    assert told == {
        "resourceType": "User",
        "id": ann,
        "outcome": "forgotten",
        "row": f"Person/{ann}",
        "kept": ["nickname"],
    }


def test_what_stays_is_said_without_what_it_holds(own_app: Flask, issuer: Issuer) -> None:
    sign_in(own_app, issuer, "ann")

    assert "little ann" not in run(own_app, "users", "forget", "1", "--yes").output


def test_one_who_cannot_be_forgotten_any_more_is_named_beside_those_who_are(app: Flask, issuer: Issuer) -> None:
    ann, bob, cid = (sign_in(app, issuer, subject) for subject in ("ann", "bob", "cid"))

    def delete_bob(sender: Flask, user: UserSnapshot) -> None:
        if user.key == ann:
            app.extensions["foreign_token"].runtime().accounts.delete(bob)

    with user_deactivated.connected_to(delete_bob, app):
        result = run(app, "users", "forget", ann, bob, cid, "--yes")

    assert (result.exit_code, result.stdout) == (1, f"forgotten User/{ann}\n")
    assert f"User/{bob}: is not stored" in result.stderr
    assert "nothing was changed." not in result.stderr
    assert [is_stored(app, id_) for id_ in (ann, cid)] == [False, True]


def test_that_a_row_stays_is_said_beforehand(own_app: Flask) -> None:
    text = re.sub(r"\s+", " ", run(own_app, "users", "forget", "--help").output)

    assert "A row of the app's own model stays" in text
    assert "makes a new user" in text


@pytest.mark.parametrize("command", ["export", "forget"])
def test_a_missing_id_is_refused(app: Flask, command: str) -> None:
    assert "Missing argument" in refused(app, "users", command)
