"""``users``: shown, and let in or not."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Mapped, mapped_column

from flask_foreign_token import ForeignToken
from flask_foreign_token.documents import read_yaml
from flask_foreign_token.testing import Issuer

from ..apps import add_views, ask, database_of, rows, secret_token, trusting_a_secret
from ..conftest import MakeApp
from .commands import fill, printed, refused, run

RESOURCES = trusting_a_secret(toScim={"email": ["email"]})


@pytest.fixture(params=["database", "file"])
def app(request: pytest.FixtureRequest, make_app: MakeApp) -> Flask:
    return make_app(RESOURCES) if request.param == "file" else fill(make_app(), RESOURCES)


def sign_in(app: Flask, issuer: Issuer, *subjects: str) -> list[str]:
    """The ids of the users that tokens of `subjects` make."""
    ids = []
    for subject in subjects:
        answer = ask(app, secret_token(issuer, sub=subject, email=f"{subject}@clinic.example"), "/me")
        ids.append(str(answer.get_json()["user"]))
    return ids


def test_users_are_listed_by_id(app: Flask, issuer: Issuer) -> None:
    ids = dict(zip(sign_in(app, issuer, "ann", "bob"), ["ann", "bob"], strict=True))

    heading, *lines = run(app, "users", "list").stdout.splitlines()

    assert heading.split() == ["id", "identifiers", "active", "last", "updated"]
    assert [line.split()[:3] for line in lines] == [[id_, f"keycloak|{ids[id_]}", "yes"] for id_ in sorted(ids)]
    assert all(line.endswith("Z") for line in lines)


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_list_tells_no_more_of_a_person_than_it_must(app: Flask, issuer: Issuer, form: list[str]) -> None:
    sign_in(app, issuer, "ann")

    listed = run(app, "users", "list", *form).output

    assert "ann" in listed
    assert "clinic.example" not in listed


def test_programs_get_a_list_of_resources(app: Flask, issuer: Issuer) -> None:
    (id_,) = sign_in(app, issuer, "ann")

    (user,) = printed(app, "users", "list")

    assert (user["resourceType"], user["id"]) == ("User", id_)
    assert user["identifier"] == [{"system": "keycloak", "value": "ann"}]
    assert user["meta"]["lastUpdated"].endswith("Z")


def test_nobody_is_said_beside_the_list(app: Flask) -> None:
    result = run(app, "users", "list")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "no user" in result.stderr
    assert printed(app, "users", "list") == []


@pytest.mark.parametrize("identifier", ["keycloak|bob", "bob"])
def test_a_user_is_found_by_identifier(app: Flask, issuer: Issuer, identifier: str) -> None:
    _, bob = sign_in(app, issuer, "ann", "bob")

    assert [user["id"] for user in printed(app, "users", "list", "--identifier", identifier)] == [bob]


@pytest.mark.parametrize("identifier", ["keycloak|nobody", "entra|bob", "nobody"])
def test_an_identifier_that_nobody_has_finds_nobody(app: Flask, issuer: Issuer, identifier: str) -> None:
    sign_in(app, issuer, "bob")

    assert printed(app, "users", "list", "--identifier", identifier) == []


@pytest.mark.parametrize("identifier", ["", "|", "|bob", "keycloak|"])
def test_half_an_identifier_is_refused(app: Flask, identifier: str) -> None:
    assert "SYSTEM|VALUE" in refused(app, "users", "list", "--identifier", identifier)


def test_a_long_list_comes_in_pages(app: Flask, issuer: Issuer) -> None:
    ids = sorted(sign_in(app, issuer, "ann", "bob", "cid"))

    first = run(app, "users", "list", "--limit", "2")
    second = run(app, "users", "list", "--limit", "2", "--offset", "2")

    assert [line.split()[0] for line in first.stdout.splitlines()[1:]] == ids[:2]
    assert "1 to 2 of 3 users; --offset 2 shows more" in first.stderr
    assert [line.split()[0] for line in second.stdout.splitlines()[1:]] == ids[2:]
    assert "--offset" not in second.stderr


def test_a_page_behind_the_last_is_empty(app: Flask, issuer: Issuer) -> None:
    sign_in(app, issuer, "ann")

    result = run(app, "users", "list", "--offset", "5")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "behind the last" in result.stderr


@pytest.mark.parametrize("arguments", [["--limit", "0"], ["--limit", "1001"], ["--offset", "-1"], ["--limit", "x"]])
def test_a_page_that_there_is_not_is_refused(app: Flask, arguments: list[str]) -> None:
    assert arguments[0] in refused(app, "users", "list", *arguments)


def test_a_user_is_shown_whole(app: Flask, issuer: Issuer) -> None:
    (id_,) = sign_in(app, issuer, "ann")

    shown = printed(app, "users", "show", id_)

    assert shown == read_yaml(run(app, "users", "show", id_).stdout.encode())
    assert (shown["resourceType"], shown["id"], shown["email"]) == ("User", id_, "ann@clinic.example")
    assert "inactive" not in shown


def test_a_user_is_shown_by_identifier(app: Flask, issuer: Issuer) -> None:
    _, bob = sign_in(app, issuer, "ann", "bob|by")

    assert printed(app, "users", "show", "keycloak|bob|by")["id"] == bob


@pytest.mark.parametrize("name", ["keycloak|bob", "entra|ann", "keycloak|", "|ann", "ann", ""])
@pytest.mark.parametrize("command", ["show", "activate", "deactivate"])
def test_an_identifier_that_nobody_has_is_not_stored(app: Flask, issuer: Issuer, command: str, name: str) -> None:
    sign_in(app, issuer, "ann")

    assert f"User/{name}: is not stored" in refused(app, "users", command, name)


def test_an_id_comes_before_an_identifier(app: Flask, issuer: Issuer) -> None:
    (ann,) = sign_in(app, issuer, "ann")
    rows(app, "INSERT INTO foreign_token_user (id, active) VALUES ('keycloak|ann', 1) RETURNING id")

    assert run(app, "users", "deactivate", "keycloak|ann").stdout == "deactivated User/keycloak|ann\n"
    assert "inactive" not in printed(app, "users", "show", ann)


def test_a_user_that_is_not_stored_is_not_shown(app: Flask) -> None:
    assert "User/nobody: is not stored" in refused(app, "users", "show", "nobody")


def test_a_user_who_is_deactivated_is_let_in_no_more(app: Flask, issuer: Issuer) -> None:
    ann, bob = sign_in(app, issuer, "ann", "bob")

    result = run(app, "users", "deactivate", ann)

    assert (result.exit_code, result.stdout) == (0, f"deactivated User/{ann}\n")
    assert ask(app, secret_token(issuer, sub="ann")).status_code == 401
    assert ask(app, secret_token(issuer, sub="bob")).status_code == 200
    assert {user["id"]: user.get("inactive") for user in printed(app, "users", "list")} == {ann: True, bob: None}


def test_a_user_who_is_activated_is_let_in_again(app: Flask, issuer: Issuer) -> None:
    (ann,) = sign_in(app, issuer, "ann")
    run(app, "users", "deactivate", ann)

    outcomes = printed(app, "users", "activate", ann)

    assert outcomes == [{"resourceType": "User", "id": ann, "outcome": "activated"}]
    assert ask(app, secret_token(issuer, sub="ann")).status_code == 200


def test_a_user_is_deactivated_and_activated_by_identifier(app: Flask, issuer: Issuer) -> None:
    (ann,) = sign_in(app, issuer, "ann")

    assert run(app, "users", "deactivate", "keycloak|ann", ann).stdout == f"deactivated User/{ann}\n"
    assert run(app, "users", "activate", "keycloak|ann").stdout == f"activated User/{ann}\n"


@pytest.mark.parametrize("command", ["activate", "deactivate"])
def test_who_is_so_already_is_unchanged(app: Flask, issuer: Issuer, command: str) -> None:
    (ann,) = sign_in(app, issuer, "ann")
    run(app, "users", "deactivate", ann)
    run(app, "users", command, ann)

    assert run(app, "users", command, ann).stdout == f"unchanged User/{ann}\n"


def test_several_are_deactivated_together(app: Flask, issuer: Issuer) -> None:
    ids = sign_in(app, issuer, "ann", "bob")

    run(app, "users", "deactivate", *ids, ids[0])

    assert all(user["inactive"] for user in printed(app, "users", "list"))
    assert [line.split()[2] for line in run(app, "users", "list").stdout.splitlines()[1:]] == ["no", "no"]


@pytest.mark.parametrize("command", ["activate", "deactivate"])
def test_one_who_is_not_stored_keeps_the_others_as_they_are(app: Flask, issuer: Issuer, command: str) -> None:
    (ann,) = sign_in(app, issuer, "ann")
    before = printed(app, "users", "show", ann)

    reason = refused(app, "users", command, ann, "nobody")

    assert "nothing was changed." in reason
    assert "User/nobody: is not stored" in reason
    assert printed(app, "users", "show", ann) == before


def test_a_name_of_control_characters_is_written_out(app: Flask, issuer: Issuer) -> None:
    sign_in(app, issuer, "a\u202enn")

    assert "keycloak|a\\u202enn" in run(app, "users", "list").stdout


def test_a_model_of_the_apps_own_is_shown_and_deactivated(bare_app: MakeApp, issuer: Issuer, tmp_path: Path) -> None:
    app = bare_app(SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/own.sqlite")
    db = SQLAlchemy(app)

    class Person(db.Model):  # type: ignore[misc,name-defined]  # made by the extension
        id: Mapped[int] = mapped_column(primary_key=True)
        is_active: Mapped[bool] = mapped_column(default=True)

    ForeignToken(app, db=db, user_class=Person, active_attribute="is_active")
    add_views(app)
    with app.app_context():
        db.create_all()
    fill(app)
    sign_in(app, issuer, "ann")

    result = run(app, "users", "deactivate", "1")

    assert result.stdout == "deactivated User/1\n"
    assert rows(app, "SELECT is_active FROM person") == [(0,)]
    assert ask(app, secret_token(issuer, sub="ann")).status_code == 401
    assert database_of(app) is db


def test_one_who_cannot_be_deactivated_keeps_the_others_as_they_are(
    bare_app: MakeApp, issuer: Issuer, tmp_path: Path
) -> None:
    app = bare_app(SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/own.sqlite")
    db = SQLAlchemy(app)

    class Person(db.Model):  # type: ignore[misc,name-defined]  # made by the extension
        id: Mapped[int] = mapped_column(primary_key=True)

    ForeignToken(app, db=db, user_class=Person)
    add_views(app)
    with app.app_context():
        db.create_all()
        db.session.add(Person(id=7))
        db.session.commit()
    fill(app)
    (ann,) = sign_in(app, issuer, "ann")

    reason = refused(app, "users", "deactivate", ann, "7")

    assert "nothing was changed." in reason
    assert "User/7 inactive: has no place" in reason
    assert "inactive" not in printed(app, "users", "show", ann)


@pytest.mark.parametrize("command", ["show", "activate", "deactivate"])
def test_a_missing_id_is_refused(app: Flask, command: str) -> None:
    assert "Missing argument" in refused(app, "users", command)
