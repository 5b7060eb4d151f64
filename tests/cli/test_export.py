"""``export``: all of it, in a form that ``apply`` takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask import Flask

from flask_foreign_token.documents import read_yaml_all

from ..apps import SECRET, policy, provider, rows, trusting_a_secret
from ..conftest import MakeApp
from .commands import NAMES, fill, printed, refused, run, stored, written


def test_everything_is_exported_in_the_order_of_what_refers_to_what(filled_app: Flask) -> None:
    found = read_yaml_all(run(filled_app, "export").stdout.encode())

    assert [f"{body['resourceType']}/{body['id']}" for body in found if isinstance(body, dict)] == NAMES
    assert found == printed(filled_app, "export")


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_what_is_exported_can_be_applied(filled_app: Flask, form: list[str]) -> None:
    result = run(filled_app, "apply", "-", stdin=run(filled_app, "export", *form).stdout)

    assert result.stdout.splitlines() == [f"unchanged {name}" for name in NAMES]


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_secrets_are_masked_and_that_is_said_beside(filled_app: Flask, form: list[str]) -> None:
    result = run(filled_app, "export", *form)

    assert SECRET not in result.output
    assert "********" in result.stdout
    assert "secrets are masked" in result.stderr
    assert "TokenIntrospector/secret" in result.stderr


def test_without_secrets_nothing_is_said(empty_app: Flask) -> None:
    fill(empty_app, [provider(), policy("anyone")])

    assert "masked" not in run(empty_app, "export").stderr


def test_an_export_without_its_secrets_is_refused_elsewhere(
    filled_app: Flask, make_app: MakeApp, tmp_path: Path
) -> None:
    other = make_app()

    reason = refused(other, "apply", written(tmp_path / "all.yaml", run(filled_app, "export").stdout))

    assert "TokenIntrospector/secret jwt.secret" in reason
    assert stored(other) == []


def test_an_empty_registry_is_exported_as_nothing(empty_app: Flask) -> None:
    result = run(empty_app, "export")

    assert (result.exit_code, result.stdout) == (0, "")
    assert printed(empty_app, "export") == []


def test_letters_of_every_script_are_exported_as_they_are(filled_app: Flask) -> None:
    fill(filled_app, [policy("known-issuer", description="Łódź 東京 \u202e \x1b[31m")])

    text = run(filled_app, "export").stdout_bytes
    assert "Łódź 東京".encode() in text
    assert b"\x1b" not in text
    assert run(filled_app, "apply", "-", stdin=text).stdout.splitlines() == [f"unchanged {name}" for name in NAMES]


def test_a_registry_file_is_exported_with_its_variables(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINIC_TITLE", "Clinic")
    app = make_app([provider(title="${CLINIC_TITLE}"), *trusting_a_secret()[1:]])

    assert printed(app, "export")[0]["title"] == "${CLINIC_TITLE}"


def test_an_export_that_lacks_what_cannot_be_read_is_a_failure(make_app: MakeApp, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/clinic.sqlite"
    app = fill(make_app(SQLALCHEMY_DATABASE_URI=database))
    rows(app, "UPDATE foreign_token_resource SET body = '[{' WHERE id = 'known-issuer' RETURNING id")

    result = run(make_app(SQLALCHEMY_DATABASE_URI=database), "export")

    assert (result.exit_code, result.stdout.count("resourceType")) == (1, 2)
    assert "what is printed is not all" in result.stderr
    assert "AccessPolicy/known-issuer" in result.stderr


def test_an_export_of_what_must_not_be_used_is_whole_all_the_same(make_app: MakeApp) -> None:
    resources = [policy("bad", {"user": None}), {**policy("worse"), "engine": 7}]

    result = run(make_app(resources), "export", "--json")

    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == resources
