"""`history` and `rollback` of all resources at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask

from flask_foreign_token.registry.edits import Edit

from ..apps import SECRET, introspector, policy, provider
from ..conftest import MakeApp
from .commands import fill, printed, refused, run, stored, written
from .terminal import on_a_terminal, uncoloured
from .test_history import CLINIC, A, change

K = ("IdentityProvider", "keycloak")
B = ("AccessPolicy", "b")


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """A good state, of versions 1 and 2, and a bad change of all of it, 3 to 5."""
    app = make_app()
    change(app, Edit([policy("a", {"user": "present?"}), policy("b")]), by="operator:ann")
    change(app, Edit([policy("a", {"user": {"id": "ann"}}), provider()], deletes=[B]), by="cli:bob@host")
    return app


def shown(app: Flask, *arguments: str) -> list[str]:
    """The lines below the heading, without times."""
    _, *lines = run(app, "history", *arguments).stdout.splitlines()
    return [re.sub(r" +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ +", " ", line) for line in lines]


# ---- history


def test_the_latest_changes_of_all_resources_are_shown(app: Flask) -> None:
    assert [re.sub(" +", " ", line) for line in shown(app)] == [
        "5 deleted AccessPolicy b cli:bob@host",
        "4 created IdentityProvider keycloak cli:bob@host",
        "3 updated AccessPolicy a cli:bob@host",
        "2 created AccessPolicy b operator:ann",
        "1 created AccessPolicy a operator:ann",
    ]


def test_they_may_be_those_of_one_type(app: Flask) -> None:
    assert [line.split()[0] for line in shown(app, "accesspolicy")] == ["5", "3", "2", "1"]


@pytest.mark.parametrize(("options", "number"), [([], 20), (["--limit", "22"], 22), (["--limit", "1"], 1)])
def test_there_are_twenty_unless_more_are_asked_for(app: Flask, options: list[str], number: int) -> None:
    fill(app, [policy(f"p{place}") for place in range(20)])

    assert len(shown(app, *options)) == number


def test_one_resource_has_all_unless_fewer_are_asked_for(app: Flask) -> None:
    for number in range(25):
        fill(app, [policy("c", description=str(number))])

    assert len(shown(app, "AccessPolicy", "c")) == 25
    assert len(shown(app, "AccessPolicy", "c", "--limit", "3")) == 3


def test_programs_get_each_change_without_what_the_resource_was(app: Flask) -> None:
    latest = printed(app, "history", "--limit", "1")

    moment = latest[0].pop("lastUpdated")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", moment)
    assert latest == [
        {
            "resourceType": "AccessPolicy",
            "id": "b",
            "versionId": "5",
            "outcome": "deleted",
            "by": "cli:bob@host",
        }
    ]


def test_where_nothing_has_changed_yet_that_is_said(make_app: MakeApp) -> None:
    app = make_app()

    result = run(app, "history")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "nothing has changed yet\n")
    assert printed(app, "history") == []


def test_differences_are_those_of_one_resource(app: Flask) -> None:
    result = run(app, "history", "--diff")

    assert (result.exit_code, "--diff wants TYPE and ID" in result.stderr) == (1, True)


@pytest.mark.parametrize("id_", ["keycloak-jwt-introspector", "i" * 40, "i" * 64])
def test_a_terminal_of_eighty_columns_breaks_no_id(tmp_path: Path, id_: str) -> None:
    (tmp_path / "clinic.py").write_text(CLINIC)
    assert on_a_terminal(tmp_path, "apply", written(tmp_path / "a.json", policy(id_)))[0] == 0

    _, screen = on_a_terminal(tmp_path, "history", columns=80)

    *_, row = lines = uncoloured(screen)
    assert row.split()[0] == "1"
    assert f"created  {'AccessPolicy  ' if len(id_) < 30 else ''}{id_}" in row
    assert max(map(len, lines)) <= 80 or len(id_) == 64


def test_a_column_in_which_there_is_nothing_is_left_out(make_app: MakeApp) -> None:
    app = fill(make_app(), [policy("a")])

    assert run(app, "history").stdout.splitlines()[0].split() == ["version", "when", "what", "type", "id"]


# ---- rollback


def test_all_resources_become_what_they_were(app: Flask) -> None:
    result = run(app, "rollback", "--to", "2")

    assert (result.exit_code, result.stdout.splitlines()) == (
        0,
        [
            "updated AccessPolicy/a",
            '  ~ matcho.user: {"id": "ann"} -> "present?"',
            "created AccessPolicy/b",
            "deleted IdentityProvider/keycloak",
        ],
    )
    assert stored(app) == ["AccessPolicy/a", "AccessPolicy/b"]
    assert shown(app)[0].startswith("8 deleted")


def test_a_dry_run_says_what_it_would_do(app: Flask) -> None:
    lines = run(app, "rollback", "--to", "2", "--dry-run").stdout.splitlines()

    assert [line for line in lines if line.startswith("would")] == [
        "would update AccessPolicy/a",
        "would create AccessPolicy/b",
        "would delete IdentityProvider/keycloak",
    ]
    assert stored(app) == ["IdentityProvider/keycloak", "AccessPolicy/a"]


def test_programs_get_what_became_of_each(app: Flask) -> None:
    outcomes = printed(app, "rollback", "--to", "2")

    assert [(entry["id"], entry["outcome"], entry["applied"]) for entry in outcomes] == [
        ("a", "updated", True),
        ("b", "created", True),
        ("keycloak", "deleted", True),
    ]


def test_where_all_are_that_already_it_is_said(app: Flask) -> None:
    result = run(app, "rollback", "--to", "5")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "all resources are what they were after version 5" in result.stderr
    assert shown(app)[0].startswith("5 ")


@pytest.mark.parametrize("version", ["0", "6", "-1", "latest", "1" * 30])
def test_a_version_that_never_was_is_refused(app: Flask, version: str) -> None:
    said = refused(app, "rollback", f"--to={version}")

    assert f"nothing was ever in version {version}; `flask foreign-token history` shows those that were" in said
    assert stored(app) == ["IdentityProvider/keycloak", "AccessPolicy/a"]


def test_all_of_it_is_refused_where_a_part_would_be(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    jwt = {"iss": "https://idp.example", "secret": {"env": "CLINIC_SECRET"}}
    monkeypatch.setenv("CLINIC_SECRET", SECRET)
    fill(app, [introspector("i", "keycloak", jwt=jwt)])
    change(app, Edit(deletes=[("TokenIntrospector", "i"), K, A]))
    monkeypatch.setenv("CLINIC_SECRET", "short")

    said = refused(app, "rollback", "--to", "6")

    assert "TokenIntrospector/i jwt.secret" in said
    assert stored(app) == []


@pytest.mark.parametrize(
    "arguments",
    [[], ["AccessPolicy", "a"], ["AccessPolicy", "a", "1", "--to", "1"], ["AccessPolicy", "--to", "1"]],
    ids=["nothing", "no version", "both", "a type and a version"],
)
def test_one_resource_or_all_of_them_must_be_named(app: Flask, arguments: list[str]) -> None:
    result = run(app, "rollback", *arguments)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "TYPE ID VERSION for one resource, or --to VERSION for all of them" in result.stderr


@pytest.mark.parametrize(("typed", "is_done"), [(b"n\n", False), (b"\x04", False), (b"y\n", True)])
def test_on_a_terminal_it_asks_first(tmp_path: Path, typed: bytes, is_done: bool) -> None:
    (tmp_path / "clinic.py").write_text(CLINIC)
    for name in ("a", "b"):
        assert on_a_terminal(tmp_path, "apply", written(tmp_path / "p.json", policy(name)))[0] == 0

    status, screen = on_a_terminal(tmp_path, "rollback", "--to", "1", typed=typed)

    lines = uncoloured(screen)
    assert "would delete AccessPolicy/b" in lines
    assert "Make all resources what they were after version 1? [y/N]: " in screen
    assert status == (0 if is_done else 1)
    assert lines[-1].endswith("done: 1 deleted" if is_done else "Error: nothing was changed.")
