"""What `doctor` says of everything that is no provider's in particular, and what it ends with."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

import flask_foreign_token
from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.diagnosis.findings import CHECKS

from ..apps import (
    SECRET,
    Resource,
    database_of,
    in_database,
    introspector,
    policy,
    registry_of,
    rows,
    store,
    trusting_a_secret,
    write_registry,
)
from ..conftest import MakeApp
from .commands import fill, run

PACKAGE = Path(flask_foreign_token.__file__).parent
DOCS = PACKAGE.parent / "docs"


def found(app: Flask, *arguments: str) -> list[dict[str, Any]]:
    """What is found that is no provider's."""
    entries: list[dict[str, Any]] = json.loads(run(app, "doctor", "--json", *arguments).stdout)
    return [entry for entry in entries if entry["provider"] is None]


def marks(app: Flask, *arguments: str) -> dict[str, str]:
    """The mark of each check, of several findings the last one."""
    return {entry["check"]: entry["mark"] for entry in found(app, *arguments)}


def about(app: Flask, check: str) -> list[str]:
    return [entry["found"] for entry in found(app) if entry["check"] == check]


def offline(*policies: Resource) -> list[Resource]:
    """Resources of which none makes `doctor` call anybody."""
    # What is no address has no metadata to look for.
    alone = introspector("secret", None, jwt={"iss": "clinic", "secret": SECRET})
    return [alone, *(policies or [policy("known-issuer", {"jwt": {"iss": "clinic"}})])]


def linked(name: str, reference: str) -> Resource:
    return policy(name, link=[{"reference": reference}])


# ---- all of it


def test_in_a_database_each_check_is_made(make_app: MakeApp) -> None:
    app = fill(make_app(FOREIGN_TOKEN_PROTECT="all"), [policy("p", {"jwt": "present?"})])

    assert marks(app) == {"database": "ok", "views": "ok", "secrets": "ok", "policies": "ok", "trust": "warning"}


def test_in_a_file_secrets_are_no_matter(make_app: MakeApp) -> None:
    app = make_app(offline(), FOREIGN_TOKEN_PROTECT="all")

    assert "secrets" not in marks(app)
    assert SECRET not in run(app, "doctor").output


def test_for_one_provider_nothing_else_is_said_but_what_failed(make_app: MakeApp) -> None:
    app = fill(make_app(), [*trusting_a_secret(), policy("never", {"uri": "/nowhere"})])

    assert found(app, "keycloak") == []
    app.add_url_rule("/named", "named", require_policy("absent")(lambda: "in"))
    assert marks(app, "keycloak") == {"policy": "failed"}


# ---- views


def test_a_view_without_a_guard_is_a_warning(make_app: MakeApp) -> None:
    app = make_app(offline())

    assert about(app, "views") == ["can be reached without a policy: GET /open (open_to_all)"]
    assert run(app, "doctor").exit_code == 0


def test_a_view_whose_guard_is_not_passed_fails(make_app: MakeApp) -> None:
    app = make_app(offline(), FOREIGN_TOKEN_PROTECT="all")
    require_policy(app.get("/above")(lambda: "in"))

    assert marks(app)["views"] == "failed"
    assert run(app, "doctor").exit_code == 1


# ---- policies


def test_users_of_the_database_are_known(make_app: MakeApp) -> None:
    app = make_app(offline(linked("ada", "User/ada"), linked("eve", "User/eve")))
    with app.app_context():
        app.extensions["foreign_token"].runtime().accounts.put("ada", {"resourceType": "User", "id": "ada"})

    assert about(app, "policies") == [
        "no request can meet AccessPolicy/eve: its link is User/eve, and no such user is stored"
    ]


def test_a_policy_for_the_operator_is_well_where_there_are_endpoints(make_app: MakeApp) -> None:
    resources = offline(linked("p", "Operation/foreign_token.read_user"))
    operator = {"FOREIGN_TOKEN_ADMIN_CLIENT_ID": "root", "FOREIGN_TOKEN_ADMIN_CLIENT_SECRET": "sixteen-bytes-or-more"}
    mounted = make_app(resources, FOREIGN_TOKEN_ADMIN_URL_PREFIX="/fhir", **operator)

    assert marks(mounted)["policies"] == "ok"
    assert marks(make_app(resources))["policies"] == "warning"


def test_of_many_policies_twenty_are_printed_and_all_are_in_json(make_app: MakeApp) -> None:
    app = make_app(offline(*(policy(f"p{number}", {"uri": "/nowhere"}) for number in range(25))))

    lines = run(app, "doctor").stdout.splitlines()

    assert sum("no request can meet" in line for line in lines) == 20
    assert sum("and 5 more, which --json names" in line for line in lines) == 1
    assert sum("Correct what the policy asks for" in line for line in lines) == 1
    assert len(about(app, "policies")) == 25


def test_twenty_policies_are_printed_without_a_remark(make_app: MakeApp) -> None:
    app = make_app(offline(*(policy(f"p{number}", {"uri": "/nowhere"}) for number in range(20))))

    assert "more, which --json names" not in run(app, "doctor").stdout


def test_nothing_of_it_is_stored(make_app: MakeApp) -> None:
    app = fill(make_app(), offline(policy("p", {"uri": "/nowhere"})))
    before = rows(app, "SELECT * FROM foreign_token_resource")

    run(app, "doctor")

    assert rows(app, "SELECT * FROM foreign_token_resource") == before


def test_a_policy_that_lets_everybody_in_is_a_warning(make_app: MakeApp) -> None:
    app = make_app(offline(policy("x")), FOREIGN_TOKEN_PROTECT="all")

    result = run(app, "doctor")

    assert result.exit_code == 0
    assert (
        "warning  policies                     AccessPolicy/x engine: lets everybody into every view; " in result.stdout
    )
    assert run(app, "doctor", "--fail-on", "warning").exit_code == 1


def test_one_that_is_linked_to_the_operation_is_meant(make_app: MakeApp) -> None:
    known_issuer = policy("known-issuer", {"jwt": {"iss": "clinic"}})
    app = make_app(offline(linked("x", "Operation/patients"), known_issuer), FOREIGN_TOKEN_PROTECT="all")

    assert about(app, "policies") == ["2 policies; nothing speaks against any of them being met"]
    assert run(app, "doctor", "--fail-on", "warning").exit_code == 0


def test_of_many_that_let_everybody_in_twenty_are_printed(make_app: MakeApp) -> None:
    app = make_app(offline(*(policy(f"p{number}") for number in range(25))))

    lines = run(app, "doctor").stdout.splitlines()

    assert sum("lets everybody into every view" in line for line in lines) == 20
    assert sum("and 5 more, which --json names" in line for line in lines) == 1


# ---- whether anything takes tokens


def test_policies_alone_take_no_tokens_which_is_a_warning(make_app: MakeApp) -> None:
    app = make_app([policy("p", {"jwt": "present?"})])

    assert marks(app)["trust"] == "warning"
    assert run(app, "doctor").exit_code == 0


def test_an_introspector_alone_is_enough(make_app: MakeApp) -> None:
    assert "trust" not in marks(make_app(offline()))


# ---- secrets


def test_a_plain_secret_in_the_database_is_a_warning_that_does_not_show_it(make_app: MakeApp) -> None:
    app = fill(make_app(), offline())

    [reason] = about(app, "secrets")

    assert reason.endswith(": TokenIntrospector/secret jwt.secret")
    assert SECRET not in run(app, "doctor").output


# ---- the database and the registry


def test_a_database_that_is_not_there_is_said_and_the_rest_checked(make_app: MakeApp) -> None:
    app = make_app(SQLALCHEMY_DATABASE_URI="sqlite:////nowhere/at/all.sqlite")

    result = run(app, "doctor")

    assert result.exit_code == 1
    assert marks(app) == {"database": "failed", "registry": "skipped", "views": "warning"}
    assert "Traceback" not in result.output


def test_with_a_file_the_resources_are_checked_without_a_database(make_app: MakeApp) -> None:
    resources = offline(linked("eve", "User/eve"), policy("never", {"uri": "/nowhere"}))
    app = make_app(resources, SQLALCHEMY_DATABASE_URI="sqlite:////nowhere/at/all.sqlite")

    assert marks(app)["database"] == "failed"
    assert marks(app)["introspector"] == "ok"
    assert about(app, "policies") == [
        "no request can meet AccessPolicy/never: it asks for uri = /nowhere, and no route leads there"
    ]


def test_tables_that_a_migration_is_to_make_are_missed_by_name(bare_app: MakeApp) -> None:
    app = bare_app()
    app.extensions["migrate"] = object()
    ForeignToken(app)

    [reason] = about(app, "database")

    assert "foreign_token_user" in reason or "foreign_token_resource" in reason
    assert "flask db upgrade" in reason


def test_a_column_that_is_missing_is_named(bare_app: MakeApp, tmp_path: Path) -> None:
    app = bare_app(SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/clinic.sqlite")
    app.extensions["migrate"] = object()
    ForeignToken(app)
    with app.app_context():
        database_of(app).create_all()
    drop = text("ALTER TABLE foreign_token_resource DROP COLUMN last_updated")
    in_database(app, lambda connection: connection.execute(drop))

    [reason] = about(app, "database")

    assert reason.startswith("foreign_token_resource.last_updated: ")


def test_a_resource_that_cannot_be_used_is_named_with_what_mends_it(make_app: MakeApp) -> None:
    app = make_app([])
    write_registry(registry_of(app), [*offline(), {**policy("bad"), "engine": "none"}])

    entries = [entry for entry in found(app) if entry["check"] == "registry"]

    assert {entry["mark"] for entry in entries} == {"failed"}
    assert any("AccessPolicy/bad engine" in entry["found"] for entry in entries)
    assert "Correct the file" in entries[0]["remedy"][0]


# ---- what it ends with


def test_warnings_end_it_with_success_unless_they_are_asked_for(make_app: MakeApp) -> None:
    app = make_app(offline())

    assert [run(app, "doctor", *words).exit_code for words in ([], ["--fail-on", "failed"])] == [0, 0]
    assert run(app, "doctor", "--fail-on", "warning").exit_code == 1
    assert run(app, "doctor", "--fail-on", "warning", "--json").exit_code == 1


def test_where_all_is_well_it_ends_with_success_however_strict(make_app: MakeApp) -> None:
    app = make_app(offline(), FOREIGN_TOKEN_PROTECT="all")

    result = run(app, "doctor", "--fail-on", "warning")

    assert result.exit_code == 0, result.output


def test_json_is_whole_though_something_failed(make_app: MakeApp) -> None:
    app = make_app(SQLALCHEMY_DATABASE_URI="sqlite:////nowhere/at/all.sqlite")

    result = run(app, "doctor", "--json")

    assert result.exit_code == 1
    assert {tuple(entry) for entry in json.loads(result.stdout)} == {
        ("provider", "check", "mark", "found", "remedy", "command")
    }
    assert result.stderr == ""


# ---- the names of checks


def names_in(path: Path) -> set[str]:
    """The names of checks in a module: what a Finding, or what makes one, is given first."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call) and node.args]
    makers = [call for call in calls if ast.unparse(call.func).endswith(("Finding", "failures.of", "of_another_path"))]
    return {call.args[0].value for call in makers if isinstance(call.args[0], ast.Constant)}


def test_each_check_has_a_name_that_is_known() -> None:
    modules = [*(PACKAGE / "diagnosis").glob("*.py"), PACKAGE / "cli/doctor.py"]

    used = {name for path in modules for name in names_in(path)}

    assert used <= CHECKS.keys()
    assert len(used) > 15


def test_the_docs_name_every_check_with_its_meaning() -> None:
    _, _, table = (DOCS / "commands.md").read_text(encoding="utf-8").partition("| check | is well where |")

    documented = re.findall(r"^\| `([a-z :]+)` \| (.+) \|$", table, re.MULTILINE)

    assert documented == list(CHECKS.items())


@pytest.mark.parametrize("registry", ["database", "file"])
def test_everything_that_is_printed_has_a_known_check(make_app: MakeApp, registry: str) -> None:
    app = make_app([] if registry == "file" else None)
    store(app, offline(policy("never", {"uri": "/nowhere"}), policy("all")))

    assert {entry["check"] for entry in found(app)} <= CHECKS.keys()
