"""`history` and `rollback`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token.registry.edits import Edit

from ..apps import SECRET, introspector, policy, provider, registry_of, rows
from ..conftest import MakeApp
from .commands import fill, printed, refused, run, stored, written
from .test_terminal import on_a_terminal

A = ("AccessPolicy", "a")
OTHER_SECRET = "another secret of more than thirty-two octets"
CLINIC = """
from flask import Flask

from flask_foreign_token import ForeignToken

app = Flask(__name__)
ForeignToken(app)
"""


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """Has a policy in three versions, the last of which is its deletion."""
    app = make_app()
    change(app, Edit([policy("a", {"user": "present?"})]), by="operator:ann")
    change(app, Edit([policy("a", {"user": {"id": "ann"}}, description="only her")]), by="cli:bob@host")
    change(app, Edit(deletes=[A]))
    return app


def change(app: Flask, edit: Edit, by: str = "") -> None:
    with app.app_context():
        app.extensions["foreign_token"].runtime().catalog.apply(edit, by=by)


def body(app: Flask, type_: str, id_: str) -> Any:
    return {name: value for name, value in printed(app, "get", type_, id_).items() if name != "meta"}


def stored_text(app: Flask, id_: str) -> str:
    [(text,)] = rows(app, "SELECT body FROM foreign_token_resource WHERE id = :id", id=id_)
    return str(text)


# ---- history


def test_every_version_is_a_row_the_latest_first(app: Flask) -> None:
    lines = run(app, "history", *A).stdout.splitlines()

    moment = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    assert [re.sub(rf" +{moment} +", " ", line) for line in lines] == [
        "version  when                  what     who",
        "3 deleted",
        "2 updated  cli:bob@host",
        "1 created  operator:ann",
    ]


def test_the_type_may_be_written_in_any_letter_case(app: Flask) -> None:
    assert run(app, "history", "accesspolicy", "a").stdout == run(app, "history", *A).stdout


def test_what_an_update_changed_is_shown_on_demand(app: Flask) -> None:
    lines = run(app, "history", *A, "--diff").stdout.splitlines()

    assert [line for line in lines if line.startswith(" ")] == [
        '  + description: "only her"',
        '  ~ matcho.user: "present?" -> {"id": "ann"}',
    ]
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == ["3", "2", "1"]


def test_programs_get_each_version_with_what_it_was(app: Flask) -> None:
    deleted, updated, created = printed(app, "history", *A)

    assert [told["outcome"] for told in (deleted, updated, created)] == ["deleted", "updated", "created"]
    assert [told["by"] for told in (deleted, updated, created)] == [None, "cli:bob@host", "operator:ann"]
    assert "resource" not in deleted
    assert created["resource"]["meta"] == {"versionId": "1", "lastUpdated": created["lastUpdated"]}
    assert updated["differences"] == [
        {"path": "description", "after": "only her"},
        {"path": "matcho.user", "before": "present?", "after": {"id": "ann"}},
    ]
    assert created["differences"] == deleted["differences"] == []


@pytest.mark.parametrize("options", [[], ["--diff"], ["--json"]], ids=["table", "diff", "json"])
def test_no_secret_is_printed_and_that_it_changed_is(make_app: MakeApp, options: list[str]) -> None:
    app = make_app()
    for secret in (SECRET, OTHER_SECRET):
        fill(app, [introspector("i", None, jwt={"iss": "https://idp.example", "secret": secret})])

    said = run(app, "history", "TokenIntrospector", "i", *options).output

    assert SECRET not in said
    assert OTHER_SECRET not in said
    assert ("jwt.secret" in said) is bool(options)


def test_control_characters_do_not_reach_the_terminal(make_app: MakeApp) -> None:
    app = make_app()
    change(app, Edit([policy("a")]), by="operator:\x1b[31mred")

    for options in ([], ["--diff"]):
        assert "\x1b" not in run(app, "history", *A, *options).output


def test_what_was_never_stored_is_refused_and_the_likely_name_is_said(app: Flask) -> None:
    fill(app, [policy("readers")])

    assert refused(app, "history", "AccessPolicy", "reader") == (
        "Error: AccessPolicy/reader: was never stored; did you mean readers?\n"
    )
    assert "was never stored" in refused(app, "rollback", "AccessPolicy", "reader", "1")


@pytest.mark.parametrize(
    "command",
    [["history", *A], ["history"], ["history", A[0]], ["rollback", *A, "1"], ["rollback", "--to", "1"]],
    ids=["history", "history of all", "history of a type", "rollback", "rollback of all"],
)
def test_a_file_has_none_and_what_has_is_said(make_app: MakeApp, command: list[str]) -> None:
    app = make_app([policy("a")])

    said = refused(app, *command)

    assert f"{registry_of(app)}: a registry file has no history; keep it under version control" in said
    assert f"git log -p {registry_of(app)}" in said


# ---- rollback


def test_a_resource_becomes_what_it_was_and_what_changes_is_printed(app: Flask) -> None:
    back = run(app, "rollback", *A, "1")
    forth = run(app, "rollback", *A, "2")

    assert (back.exit_code, back.stdout) == (0, "created AccessPolicy/a\n")
    assert forth.stdout.splitlines() == [
        "updated AccessPolicy/a",
        '  + description: "only her"',
        '  ~ matcho.user: "present?" -> {"id": "ann"}',
    ]
    assert body(app, *A) == policy("a", {"user": {"id": "ann"}}, description="only her")


def test_whoever_types_it_is_in_the_history(app: Flask) -> None:
    run(app, "rollback", *A, "1")

    latest = printed(app, "history", *A)[0]

    assert (latest["versionId"], latest["outcome"]) == ("4", "created")
    assert re.fullmatch("cli:.+@.+", latest["by"])


def test_a_version_in_which_it_is_deleted_deletes_it(app: Flask) -> None:
    run(app, "rollback", *A, "1")

    assert run(app, "rollback", *A, "3").stdout == "deleted AccessPolicy/a\n"
    assert stored(app) == []


def test_what_it_is_already_changes_nothing(app: Flask) -> None:
    before = printed(app, "history", *A)

    assert run(app, "rollback", *A, "3").stdout == "unchanged AccessPolicy/a\n"
    assert printed(app, "history", *A) == before


def test_secrets_come_back(make_app: MakeApp) -> None:
    app = make_app()
    for secret in (SECRET, OTHER_SECRET):
        fill(app, [introspector("i", None, jwt={"iss": "https://idp.example", "secret": secret})])

    said = run(app, "rollback", "TokenIntrospector", "i", "1").output

    assert "jwt.secret: another secret" in said
    assert SECRET not in said
    assert SECRET in stored_text(app, "i")


def test_programs_get_what_became_of_it(app: Flask) -> None:
    assert printed(app, "rollback", *A, "1") == [
        {"resourceType": "AccessPolicy", "id": "a", "outcome": "created", "applied": True, "differences": []}
    ]


def test_a_dry_run_changes_nothing(app: Flask) -> None:
    run(app, "rollback", *A, "1")
    before = printed(app, "history", *A)

    said = run(app, "rollback", *A, "2", "--dry-run")

    assert said.exit_code == 0
    assert said.stdout.splitlines()[0] == "would update AccessPolicy/a"
    assert "nothing was changed" in said.stdout
    assert printed(app, "history", *A) == before


def test_a_version_that_never_was_is_refused_and_where_to_find_others_is_said(app: Flask) -> None:
    assert refused(app, "rollback", *A, "77") == (
        "Error: nothing was changed.\n"
        "AccessPolicy/a: was never in version 77; `flask foreign-token history AccessPolicy a` shows those that were\n"
    )


def test_what_would_be_refused_today_is_refused(make_app: MakeApp) -> None:
    app = make_app()
    linked = introspector("i", "keycloak", jwt={"iss": "https://idp.example", "secret": SECRET})
    fill(app, [provider(), linked])
    change(app, Edit(deletes=[("TokenIntrospector", "i"), ("IdentityProvider", "keycloak")]))

    for options in ([], ["--dry-run"]):
        said = refused(app, "rollback", "TokenIntrospector", "i", "2", *options)
        assert said.startswith("Error: nothing was changed.\nTokenIntrospector/i identity_provider.reference: ")
        command = "`flask foreign-token rollback IdentityProvider keycloak 1`"
        assert f"first bring back IdentityProvider/keycloak: {command}\n" in said
    assert stored(app) == []


def test_what_is_there_need_not_be_brought_back_first(make_app: MakeApp) -> None:
    app = make_app()
    jwt = {"iss": "https://idp.example", "secret": SECRET}
    fill(app, [provider(), introspector("i", "keycloak", jwt=jwt)])
    change(app, Edit(deletes=[("TokenIntrospector", "i")]))
    fill(app, [introspector("j", "keycloak", jwt=jwt)])

    assert "first bring back" not in refused(app, "rollback", "TokenIntrospector", "i", "2")


def test_what_is_probably_not_meant_is_warned_of(app: Flask) -> None:
    fill(app, [policy("b", {"user": "present?", "request-method": "PUT"})])
    fill(app, [policy("b", {"user": "present?"})])

    said = run(app, "rollback", "AccessPolicy", "b", "4")

    assert said.exit_code == 0
    assert "warning: AccessPolicy/b matcho.request-method" in said.stderr


# ---- on a terminal


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """A folder with an app, in which a policy is in its second version."""
    (tmp_path / "clinic.py").write_text(CLINIC)
    for active in (True, False):
        written(tmp_path / "a.json", policy("a", {"user": "present?"}, active=active))
        assert on_a_terminal(tmp_path, "apply", "a.json")[0] == 0
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "options", "versions"),
    [(b"n\n", [], 2), (b"\n", [], 2), (b"y\n", [], 3), (b"", ["--yes"], 3)],
    ids=["no", "nothing", "yes", "unasked"],
)
def test_on_a_terminal_it_asks_first(clinic: Path, typed: bytes, options: list[str], versions: int) -> None:
    status, screen = on_a_terminal(clinic, "rollback", *A, "1", *options, typed=typed)

    assert ("what it was in version 1?" in screen) is not bool(options)
    assert (status == 0) is (versions == 3)
    assert "active" in screen
    assert on_a_terminal(clinic, "history", *A)[1].count("cli:") == versions
