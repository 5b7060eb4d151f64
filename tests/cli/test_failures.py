"""No state of registry or database makes a command fall over: it says what is wrong, and ends with 1."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import Migrate

from flask_foreign_token import ForeignToken

from ..apps import database_of, policy, registry_of, rows, write_registry
from ..conftest import MakeApp
from .commands import NAMES, fill, refused, run, stored, without_roots_rights, written

REGISTRY = [
    ["list", "AccessPolicy"],
    ["get", "AccessPolicy", "a"],
    ["delete", "AccessPolicy", "a"],
    ["export"],
    ["export", "--json"],
]
USERS = [["users", "list"], ["users", "show", "a"], ["users", "deactivate", "a"], ["users", "activate", "a"]]
named = pytest.mark.parametrize("command", [*REGISTRY, *USERS], ids=" ".join)


def unreachable(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/no/such/folder/clinic.sqlite"


@named
def test_a_database_that_cannot_be_reached(bare_app: MakeApp, tmp_path: Path, command: list[str]) -> None:
    app = bare_app(SQLALCHEMY_DATABASE_URI=unreachable(tmp_path))
    ForeignToken(app)

    assert "unable to open database file" in refused(app, *command)


def test_nothing_is_applied_to_a_database_that_cannot_be_reached(bare_app: MakeApp, tmp_path: Path) -> None:
    app = bare_app(SQLALCHEMY_DATABASE_URI=unreachable(tmp_path))
    ForeignToken(app)

    assert "unable to open database file" in refused(app, "apply", written(tmp_path / "a.json", policy("a")))


@named
def test_a_server_that_does_not_answer(bare_app: MakeApp, command: list[str]) -> None:
    pytest.importorskip("psycopg")
    app = bare_app(SQLALCHEMY_DATABASE_URI="postgresql+psycopg://clinic:hunter2@127.0.0.1:1/clinic")
    ForeignToken(app)

    reason = refused(app, *command)

    assert "refused" in reason
    assert "hunter2" not in reason


@named
def test_a_file_that_is_no_database(bare_app: MakeApp, tmp_path: Path, command: list[str]) -> None:
    file = tmp_path / "clinic.sqlite"
    file.write_text("this is not a database at all, whatever its name says" * 100)
    app = bare_app(SQLALCHEMY_DATABASE_URI=f"sqlite:///{file}")
    ForeignToken(app)

    assert "database" in refused(app, *command)


@named
def test_tables_that_a_migration_has_yet_to_make(bare_app: MakeApp, tmp_path: Path, command: list[str]) -> None:
    app = bare_app(SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/clinic.sqlite")
    ForeignToken(app)
    Migrate(app, database_of(app))

    assert "flask db upgrade" in refused(app, *command)


def test_a_folder_that_cannot_be_made(make_app: MakeApp) -> None:
    app = make_app()
    root = Path(app.root_path)
    root.chmod(0o500)

    with without_roots_rights():
        reason = refused(app, "list", "AccessPolicy")

    root.chmod(0o700)
    assert "Permission denied" in reason


def no_json(app: Flask) -> None:
    write_registry(registry_of(app), "[{")


def no_array(app: Flask) -> None:
    write_registry(registry_of(app), "{}")


def a_directory(app: Flask) -> None:
    registry_of(app).unlink()
    registry_of(app).mkdir()


def no_utf8(app: Flask) -> None:
    registry_of(app).write_bytes(b'[{"id": "\xff"}]')


@pytest.mark.parametrize("command", REGISTRY, ids=" ".join)
@pytest.mark.parametrize("spoil", [no_json, no_array, a_directory, no_utf8])
def test_a_registry_file_that_cannot_be_read(
    make_app: MakeApp, command: list[str], spoil: Callable[[Flask], None]
) -> None:
    app = make_app([])
    spoil(app)

    assert str(registry_of(app)) in refused(app, *command)


@pytest.mark.parametrize("spoil", [no_json, no_array, a_directory, no_utf8])
def test_nothing_is_applied_to_a_registry_file_that_cannot_be_read(
    make_app: MakeApp, tmp_path: Path, spoil: Callable[[Flask], None]
) -> None:
    app = make_app([])
    spoil(app)

    reason = refused(app, "apply", written(tmp_path / "a.json", policy("a")))

    assert "nothing was changed." in reason
    assert str(registry_of(app)) in reason


@pytest.mark.parametrize("command", USERS[:1], ids=" ".join)
def test_users_do_not_depend_on_the_registry(make_app: MakeApp, command: list[str]) -> None:
    assert run(make_app("[{"), *command).exit_code == 0


def test_a_resource_that_must_not_be_used_is_shown_all_the_same(make_app: MakeApp) -> None:
    app = make_app([{"resourceType": "TokenIntrospector", "id": "odd", "type": 7, "jwt": "x", "jwks_uri": ["y"]}])

    assert run(app, "list", "TokenIntrospector").stdout.splitlines()[1].split() == ["odd", "y"]


def test_a_resource_that_must_not_be_used_can_be_deleted(make_app: MakeApp) -> None:
    app = make_app([policy("bad", {"user": None}), policy("good")])

    result = run(app, "delete", "AccessPolicy", "bad")

    assert (result.exit_code, stored(app)) == (0, ["AccessPolicy/good"])


def test_a_row_that_was_spoilt_by_hand_can_be_deleted(make_app: MakeApp) -> None:
    app = fill(make_app())
    rows(app, "UPDATE foreign_token_resource SET body = '[{' WHERE id = 'known-issuer' RETURNING id")

    result = run(app, "delete", "AccessPolicy", "known-issuer")

    assert result.exit_code == 0, result.output
    assert stored(app) == NAMES[:2]


def test_a_command_that_there_is_not_is_refused(make_app: MakeApp) -> None:
    assert "No such command" in refused(make_app(), "aply")


def test_a_registry_file_is_read_and_changed_while_there_is_no_database(make_app: MakeApp, tmp_path: Path) -> None:
    app = make_app([policy("a")], SQLALCHEMY_DATABASE_URI=unreachable(tmp_path))

    assert run(app, "list", "AccessPolicy").stdout.splitlines()[1].split()[0] == "a"
    assert run(app, "apply", written(tmp_path / "b.json", policy("b"))).stdout == "created AccessPolicy/b\n"
    assert run(app, "delete", "AccessPolicy", "a").stdout == "deleted AccessPolicy/a\n"
    assert run(app, "export").stdout == "resourceType: AccessPolicy\nid: b\nengine: allow\n"
    assert "unable to open database file" in refused(app, "users", "list")
