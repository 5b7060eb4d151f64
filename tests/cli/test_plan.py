"""The plan that ``apply`` prints, and carries out as it was printed."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from flask import Flask

from flask_foreign_token.cli.current import author
from flask_foreign_token.cli.failures import Failure
from flask_foreign_token.cli.plan import MOST, carry_out
from flask_foreign_token.registry.edits import Edit
from flask_foreign_token.registry.plan import Plan

from ..apps import SECRET, policy, registry_of, trusting_a_secret
from ..conftest import MakeApp
from ..counting import counted
from .commands import NAMES, fill, printed, refused, run, stored, written

OTHER_SECRET = "another-secret-that-nobody-must-ever-see"
NOT_DONE = "nothing was changed; this is what would be done"


def test_every_place_that_differs_has_a_line(filled_app: Flask, tmp_path: Path) -> None:
    fill(filled_app, [policy("p", {"uri": "/a", "request-method": {"$enum": ["get", "put"]}}, description="Before")])
    after = policy("p", {"uri": "/b", "request-method": {"$enum": ["get"]}}, link=[{"reference": "User/ann"}])

    result = run(filled_app, "apply", written(tmp_path / "p.json", after))

    assert result.stdout.splitlines() == [
        "updated AccessPolicy/p",
        '  ~ matcho.uri: "/a" -> "/b"',
        "  - matcho.request-method.$enum.1",
        '  + link: [{"reference": "User/ann"}]',
        "  - description",
    ]


def test_programs_get_both_sides_of_every_difference(filled_app: Flask, tmp_path: Path) -> None:
    fill(filled_app, [policy("p", {"uri": "/a", "remote-addr": "::1"})])

    (change,) = printed(filled_app, "apply", written(tmp_path / "p.json", policy("p", {"uri": "/b", "body": "x"})))

    assert change["outcome"] == "updated"
    assert sorted(change["differences"], key=lambda difference: difference["path"]) == [
        {"path": "matcho.body", "after": "x"},
        {"path": "matcho.remote-addr", "before": "::1"},
        {"path": "matcho.uri", "before": "/a", "after": "/b"},
    ]


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["for people", "for programs"])
def test_of_a_secret_it_is_said_that_it_changes_and_never_what(
    filled_app: Flask, tmp_path: Path, form: list[str]
) -> None:
    introspector = trusting_a_secret(jwt={"secret": OTHER_SECRET})[1]

    result = run(filled_app, "apply", written(tmp_path / "i.json", introspector), *form)

    assert "jwt.secret" in result.stdout
    assert SECRET not in result.output
    assert OTHER_SECRET not in result.output


def test_a_secret_that_changes_is_another_one(filled_app: Flask, tmp_path: Path) -> None:
    introspector = trusting_a_secret(jwt={"secret": OTHER_SECRET})[1]

    lines = run(filled_app, "apply", written(tmp_path / "i.json", introspector)).stdout.splitlines()

    assert lines == ["updated TokenIntrospector/secret", "  ~ jwt.secret: another secret"]


def test_a_long_value_is_whole_where_there_is_no_terminal(filled_app: Flask, tmp_path: Path) -> None:
    body = policy("known-issuer", {"uri": "/" + "long" * 500})

    assert '"/' + "long" * 500 + '"' in run(filled_app, "apply", written(tmp_path / "p.json", body)).stdout


def test_many_that_stay_as_they_are_are_counted(empty_app: Flask, tmp_path: Path) -> None:
    many = [policy(f"p{number}") for number in range(MOST + 1)]
    fill(empty_app, many)
    file = written(tmp_path / "many.json", [*many, policy("new")])

    result = run(empty_app, "apply", file, "--dry-run")

    assert result.stdout.splitlines() == ["would create AccessPolicy/new", f"unchanged {MOST + 1} resources", NOT_DONE]
    assert len(printed(empty_app, "apply", file, "--dry-run")) == MOST + 2


def test_a_dry_run_prints_the_plan_and_changes_nothing(filled_app: Flask, tmp_path: Path) -> None:
    before = printed(filled_app, "export")
    file = written(tmp_path / "all.json", [policy("new"), policy("known-issuer")])

    result = run(filled_app, "apply", "--dry-run", file)

    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "would create AccessPolicy/new")
    assert result.stdout.splitlines()[-1] == NOT_DONE
    assert printed(filled_app, "export") == before


def test_a_dry_run_for_programs_is_json_alone_on_stdout(filled_app: Flask, tmp_path: Path) -> None:
    result = run(filled_app, "apply", "--dry-run", "--json", written(tmp_path / "all.json", policy("new")))

    assert [(entry["outcome"], entry["applied"]) for entry in json.loads(result.stdout)] == [("created", False)]
    assert NOT_DONE in result.stderr
    assert stored(filled_app) == NAMES


def test_a_dry_run_makes_no_registry_file(make_app: MakeApp, tmp_path: Path) -> None:
    app = make_app([])
    registry_of(app).unlink()

    assert run(app, "apply", "--dry-run", written(tmp_path / "all.json", policy("new"))).exit_code == 0
    assert not registry_of(app).exists()


def test_a_dry_run_of_what_is_wrong_is_refused(filled_app: Flask, tmp_path: Path) -> None:
    file = written(tmp_path / "all.json", policy("bad", engine="magic"))

    assert f"{file} AccessPolicy/bad engine: " in refused(filled_app, "apply", "--dry-run", file)


def test_prune_deletes_what_is_in_none_of_the_files(filled_app: Flask, tmp_path: Path) -> None:
    fill(filled_app, [policy("old")])
    files = [written(tmp_path / "a.json", policy("known-issuer")), written(tmp_path / "b.json", policy("new"))]

    lines = run(filled_app, "apply", "--prune", "--yes", *files).stdout.splitlines()

    assert lines[-3:] == [f"deleted {name}" for name in ("AccessPolicy/old", *NAMES[:2])]
    assert stored(filled_app) == ["AccessPolicy/known-issuer", "AccessPolicy/new"]


def test_without_prune_nothing_is_deleted(filled_app: Flask, tmp_path: Path) -> None:
    run(filled_app, "apply", "--yes", written(tmp_path / "a.json", policy("new")))

    assert stored(filled_app) == [*NAMES, "AccessPolicy/new"]


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["for people", "for programs"])
def test_prune_without_a_terminal_is_refused_before_anything_is_printed(
    filled_app: Flask, tmp_path: Path, form: list[str]
) -> None:
    reason = refused(filled_app, "apply", "--prune", written(tmp_path / "a.json", policy("new")), *form)

    assert "nothing was changed." in reason
    assert "--yes" in reason
    assert stored(filled_app) == NAMES


def test_a_dry_run_of_prune_needs_nobodys_consent(filled_app: Flask, tmp_path: Path) -> None:
    result = run(filled_app, "apply", "--prune", "--dry-run", written(tmp_path / "a.json", policy("new")))

    assert (result.exit_code, result.stdout.count("would delete "), "deleted" in result.stdout) == (0, 3, False)
    assert stored(filled_app) == NAMES


def test_prune_of_an_empty_file_is_refused(filled_app: Flask, tmp_path: Path) -> None:
    reason = refused(filled_app, "apply", "--prune", "--yes", written(tmp_path / "empty.json", []))

    assert "holds no resource" in reason
    assert stored(filled_app) == NAMES


def planned(app: Flask, *resources: dict[str, object], deletes: str = "") -> Plan:
    catalog = app.extensions["foreign_token"].runtime().catalog
    plan: Plan = catalog.plan(Edit(resources, deletes=[("AccessPolicy", deletes)] if deletes else []))
    return plan


def test_what_somebody_else_changed_since_is_not_overwritten(filled_app: Flask) -> None:
    with filled_app.app_context():
        plan = planned(filled_app, policy("new"), policy("known-issuer"))
        fill(filled_app, [policy("known-issuer", {"uri": "/theirs"})])

        with pytest.raises(Failure, match="AccessPolicy/known-issuer: somebody else changed it meanwhile"):
            carry_out(plan, strict=False, yes=True, as_json=False)

    assert stored(filled_app) == NAMES
    assert printed(filled_app, "get", "AccessPolicy", "known-issuer")["matcho"] == {"uri": "/theirs"}


def test_what_somebody_else_deleted_since_is_said_to_have_changed(filled_app: Flask) -> None:
    fill(filled_app, [policy("old")])
    with filled_app.app_context():
        plan = planned(filled_app, policy("new"), deletes="old")
        run(filled_app, "delete", "AccessPolicy", "old")

        with pytest.raises(Failure, match="AccessPolicy/old: somebody else changed it meanwhile"):
            carry_out(plan, strict=False, yes=True, as_json=False)

    assert stored(filled_app) == NAMES


def test_the_history_names_who_applied_and_who_deleted(make_app: MakeApp, tmp_path: Path) -> None:
    app = make_app(SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/clinic.sqlite")
    run(app, "apply", written(tmp_path / "a.json", policy("new")))
    run(app, "delete", "AccessPolicy", "new")

    with app.app_context():
        pasts = app.extensions["foreign_token"].runtime().catalog.history(("AccessPolicy", "new"))

    assert [(past.outcome, past.by) for past in pasts] == [("deleted", author()), ("created", author())]


def test_whoever_has_no_name_is_called_by_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 7")

    monkeypatch.setattr("getpass.getuser", nobody)
    monkeypatch.setattr("os.getuid", lambda: 7)
    monkeypatch.setattr("socket.gethostname", lambda: "pod-1")

    assert author() == "cli:7@pod-1"


def test_whoever_has_a_name_is_called_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "ann\x1b[31m")
    monkeypatch.setattr("socket.gethostname", lambda: "pod-1")

    assert author() == "cli:ann\\x1b[31m@pod-1"


@pytest.mark.parametrize("number", [1, 200])
def test_however_many_are_applied_they_are_one_transaction(make_app: MakeApp, tmp_path: Path, number: int) -> None:
    app = fill(make_app(SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/clinic.sqlite"), [policy("first")])
    file = written(tmp_path / "all.json", [policy(f"p{place}") for place in range(number)])

    with counted() as statements:
        run(app, "apply", file)

    begins = [statement for statement in statements.control if statement.startswith("BEGIN")]
    assert begins == ["BEGIN IMMEDIATE"]
    assert len(statements.writes) == 2
    with sqlite3.connect(tmp_path / "clinic.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM foreign_token_resource").fetchone() == (number + 1,)
    connection.close()
