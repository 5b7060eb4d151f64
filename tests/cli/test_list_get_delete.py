"""``list``, ``get`` and ``delete``: one resource, or those of one type."""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import click
import pytest
from flask import Flask

from flask_foreign_token.cli import commands
from flask_foreign_token.cli.resources import list_
from flask_foreign_token.documents import read_yaml
from flask_foreign_token.testing import Issuer

from ..apps import SECRET, SECRET_ISSUER, Resource, ask, introspector, policy, provider, rows, secret_token
from ..conftest import MakeApp
from .commands import NAMES, fill, printed, refused, run, stored

ELSEWHERE = "https://elsewhere.example"
TUTORIAL = Path(__file__).parents[2] / "example_app" / "resources.yaml"
LONG_ID = "a" * 64
KEY = {"kty": "OCT", "alg": "HS256", "k": SECRET, "format": "plain"}

TABLES: dict[str, tuple[str, Resource, list[str]]] = {
    "a provider": (
        "IdentityProvider",
        provider("entra", active=False, system="https://entra.example"),
        ["entra", "no", "https://entra.example", "id-token"],
    ),
    "keys at an address": (
        "TokenIntrospector",
        introspector("remote", None, jwt={"iss": ELSEWHERE}, jwks_uri=f"{ELSEWHERE}/keys"),
        ["remote", ELSEWHERE, "elsewhere.example", "account"],
    ),
    "a secret, and several audiences": (
        "TokenIntrospector",
        introspector("hmac", "entra", jwt={"iss": ELSEWHERE, "secret": SECRET, "aud": ["a", "b"]}),
        ["hmac", ELSEWHERE, "secret", "a, b", "entra"],
    ),
    "keys of its own": (
        "TokenIntrospector",
        introspector("own", None, jwt={"iss": ELSEWHERE, "keys": [KEY, {**KEY, "k": SECRET[::-1]}]}),
        ["own", ELSEWHERE, "keys (2)", "account"],
    ),
    "the keys of its provider": (
        "TokenIntrospector",
        introspector("linked", "entra", jwt={"iss": ELSEWHERE}),
        ["linked", ELSEWHERE, "provider", "account", "entra"],
    ),
    "a policy": (
        "AccessPolicy",
        policy(LONG_ID, link=[{"reference": "Operation/patients"}, {"resourceType": "User", "id": "ann"}]),
        [LONG_ID, "allow", "Operation/patients, User/ann"],
    ),
}


@pytest.mark.parametrize(("type_", "resource", "cells"), TABLES.values(), ids=TABLES.keys())
def test_a_table_has_a_row_for_each_resource(
    empty_app: Flask, type_: str, resource: Resource, cells: list[str]
) -> None:
    fill(empty_app, [provider("entra", system="entra", jwks_uri=f"{ELSEWHERE}/keys")])
    fill(empty_app, [resource])

    lines = run(empty_app, "list", type_).stdout.splitlines()

    assert len(lines) == 2
    assert lines[0].split()[:1] == ["id"]
    words = lines[1].split()
    assert words[: len(" ".join(cells).split())] == " ".join(cells).split()


def test_the_database_knows_when_a_resource_was_written(make_app: MakeApp) -> None:
    heading, row = run(fill(make_app()), "list", "AccessPolicy").stdout.splitlines()

    assert heading.endswith("last updated")
    assert re.search(r"  \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", row)


def test_a_column_with_nothing_in_it_is_left_out(empty_app: Flask) -> None:
    fill(empty_app, [policy("a")])
    plain = run(empty_app, "list", "AccessPolicy").stdout
    fill(empty_app, [policy("b", description="Readers.")])

    assert "description" not in plain
    assert "description" in run(empty_app, "list", "AccessPolicy").stdout


@pytest.mark.parametrize("active", [True, False])
def test_whether_all_are_active_is_told_where_one_is_not(empty_app: Flask, active: bool) -> None:
    fill(empty_app, [policy("a"), policy("b", active=active)])

    heading, *rows = run(empty_app, "list", "AccessPolicy").stdout.splitlines()

    assert ("active" in heading) is not active
    assert [{"yes", "no"} & set(row.split()) for row in rows] == ([set(), set()] if active else [{"yes"}, {"no"}])


def test_the_introspector_of_the_tutorial_fits_on_a_line(make_app: MakeApp) -> None:
    app = make_app(FOREIGN_TOKEN_ALLOW_HTTP_HOSTS=["keycloak"], FOREIGN_TOKEN_REQUIRE_AUDIENCE=False)
    run(app, "apply", str(TUTORIAL))

    heading, row = run(app, "list", "TokenIntrospector").stdout.splitlines()

    assert heading.split() == ["id", "iss", "keys", "from", "provider"]
    assert "  http://localhost:8180/realms/myrealm  keycloak:8180  keycloak" in row
    assert max(len(heading), len(row)) <= 100


@pytest.mark.parametrize("type_", ["AccessPolicy", "accesspolicy", "ACCESSPOLICY"])
def test_the_letter_case_of_a_type_does_not_count(filled_app: Flask, type_: str) -> None:
    assert [body["id"] for body in printed(filled_app, "list", type_)] == ["known-issuer"]


@pytest.mark.parametrize("command", [["list"], ["get"], ["delete"]])
@pytest.mark.parametrize(
    ("type_", "reason"),
    [
        ("AccesPolicy", "did you mean AccessPolicy?"),
        ("policy", "is not one of IdentityProvider, TokenIntrospector, AccessPolicy"),
        ("User", "flask foreign-token users"),
    ],
)
def test_a_type_that_there_is_not_is_refused(filled_app: Flask, command: list[str], type_: str, reason: str) -> None:
    arguments = [] if command == ["list"] else ["some-id"]

    assert reason in refused(filled_app, *command, type_, *arguments)
    assert stored(filled_app) == NAMES


def test_a_type_is_completed() -> None:
    found = list_.params[0].shell_complete(click.Context(list_), "access")

    assert [item.value for item in found] == ["AccessPolicy"]


def test_nothing_stored_is_said_beside_the_table(empty_app: Flask) -> None:
    result = run(empty_app, "list", "AccessPolicy")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "no AccessPolicy is stored" in result.stderr
    assert printed(empty_app, "list", "AccessPolicy") == []


@pytest.mark.parametrize(
    "command", [["list", "AccessPolicy"], ["list", "AccessPolicy", "--json"], ["get", "AccessPolicy", "a"], ["export"]]
)
def test_a_file_that_is_not_there_yet_is_no_registry_without_resources(make_app: MakeApp, command: list[str]) -> None:
    app = make_app(FOREIGN_TOKEN_REGISTRY="absent.json")

    reason = refused(app, *command)

    assert reason.endswith("absent.json: does not exist yet; `flask foreign-token apply` makes it\n")
    run(app, "apply", "-", stdin="{resourceType: AccessPolicy, id: a, engine: allow}")
    assert run(app, *command).exit_code == 0


def test_a_resource_is_shown_as_yaml(filled_app: Flask) -> None:
    shown = read_yaml(run(filled_app, "get", "AccessPolicy", "known-issuer").stdout.encode())

    assert isinstance(shown, dict)
    shown.pop("meta", None)
    assert shown == policy("known-issuer", {"jwt": {"iss": SECRET_ISSUER}})


@pytest.mark.parametrize("command", ["get", "list"])
def test_secrets_are_masked(filled_app: Flask, command: str) -> None:
    arguments = ["secret"] if command == "get" else []
    for form in ([], ["--json"]):
        assert SECRET not in run(filled_app, command, "TokenIntrospector", *arguments, *form).output


def test_what_get_prints_can_be_applied(filled_app: Flask) -> None:
    text = run(filled_app, "get", "TokenIntrospector", "secret").stdout

    assert run(filled_app, "apply", "-", stdin=text).stdout == "unchanged TokenIntrospector/secret\n"


def test_an_id_that_is_not_stored_is_refused(filled_app: Flask) -> None:
    assert "AccessPolicy/known-isuer: is not stored; did you mean known-issuer?" in refused(
        filled_app, "get", "AccessPolicy", "known-isuer"
    )


def test_a_resource_of_another_type_is_not_found(filled_app: Flask) -> None:
    assert "IdentityProvider/secret: is not stored" in refused(filled_app, "get", "IdentityProvider", "secret")


def test_what_is_deleted_is_gone_at_once(filled_app: Flask, issuer: Issuer) -> None:
    before = ask(filled_app, secret_token(issuer)).status_code

    result = run(filled_app, "delete", "AccessPolicy", "known-issuer")

    assert (result.exit_code, result.stdout) == (0, "deleted AccessPolicy/known-issuer\n")
    assert stored(filled_app) == NAMES[:2]
    assert (before, ask(filled_app, secret_token(issuer)).status_code) == (200, 403)


def test_several_are_deleted_together(filled_app: Flask) -> None:
    fill(filled_app, [policy("a"), policy("b")])

    outcomes = printed(filled_app, "delete", "AccessPolicy", "a", "b", "a", "--yes")

    assert [(entry["id"], entry["outcome"]) for entry in outcomes] == [("a", "deleted"), ("b", "deleted")]
    assert stored(filled_app) == NAMES


def test_one_that_is_not_stored_keeps_the_others(filled_app: Flask) -> None:
    reason = refused(filled_app, "delete", "AccessPolicy", "known-issuer", "nobody")

    assert "nothing was changed." in reason
    assert "AccessPolicy/nobody: is not stored" in reason
    assert stored(filled_app) == NAMES


def test_what_another_resource_refers_to_is_not_deleted(filled_app: Flask) -> None:
    reason = refused(filled_app, "delete", "IdentityProvider", "keycloak")

    assert (
        "TokenIntrospector/secret identity_provider.reference: "
        "still refers to IdentityProvider/keycloak; delete or change that first\n"
    ) in reason
    assert stored(filled_app) == NAMES


@pytest.mark.parametrize("command", ["list", "get", "delete", "apply"])
def test_a_missing_argument_is_refused(filled_app: Flask, command: str) -> None:
    assert "Missing argument" in refused(filled_app, command)


def test_every_command_explains_itself_with_an_example() -> None:
    found = list(_commands(commands))

    assert len(found) >= 9
    for command in found:
        assert "\b\nExample:\n    flask foreign-token " in cleandoc(command.help or ""), command.name


def _commands(group: click.Group) -> Iterator[click.Command]:
    for command in group.commands.values():
        if isinstance(command, click.Group):
            yield from _commands(command)
        else:
            yield command


@pytest.fixture
def spoilt_app(make_app: MakeApp, tmp_path: Path) -> Flask:
    """An app of whose policies one is stored in a way that cannot be read."""
    app = fill(make_app(SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/clinic.sqlite"), [policy("good"), policy("bad")])
    rows(app, "UPDATE foreign_token_resource SET body = '[{' WHERE id = 'bad' RETURNING id")
    return app


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_list_that_lacks_what_cannot_be_read_is_a_failure(spoilt_app: Flask, form: list[str]) -> None:
    result = run(spoilt_app, "list", "AccessPolicy", *form)

    assert (result.exit_code, "good" in result.stdout, "bad" in result.stdout) == (1, True, False)
    assert (
        "what is listed is not all, since this cannot be read:\nAccessPolicy/bad: the stored body is" in result.stderr
    )
    assert run(spoilt_app, "list", "IdentityProvider", *form).exit_code == 0


def test_a_list_of_nothing_that_can_be_read_does_not_say_that_there_is_nothing(spoilt_app: Flask) -> None:
    run(spoilt_app, "delete", "AccessPolicy", "good")

    result = run(spoilt_app, "list", "AccessPolicy")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "is stored" not in result.stderr
    assert "AccessPolicy/bad" in result.stderr


def test_what_is_stored_and_cannot_be_read_is_not_said_to_be_absent(spoilt_app: Flask) -> None:
    reason = refused(spoilt_app, "get", "AccessPolicy", "bad")

    assert "AccessPolicy/bad: is stored, but cannot be read:" in reason
    assert "the stored body is not JSON" in reason
    assert run(spoilt_app, "delete", "AccessPolicy", "bad").exit_code == 0
    assert "is not stored" in refused(spoilt_app, "get", "AccessPolicy", "bad")


def test_items_of_a_file_that_are_no_resources_are_named(make_app: MakeApp) -> None:
    app = make_app([policy("good"), {"resourceType": "AccessPolicy", "engine": "allow"}, 5])

    listed, exported = run(app, "list", "AccessPolicy"), run(app, "export")

    assert (listed.exit_code, exported.exit_code) == (1, 1)
    assert "1.id: is required" in listed.stderr
    assert "2: must be an object" not in listed.stderr
    assert "2: must be an object" in exported.stderr
    assert run(app, "list", "IdentityProvider").exit_code == 0
