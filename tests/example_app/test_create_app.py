from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask import Flask

import example_app
from example_app.models import db
from flask_foreign_token.settings import Settings
from flask_foreign_token.testing import Issuer

from ..apps import ask
from .conftest import MakeExample

RESOURCES = Path(example_app.__file__).with_name("resources.json")


def settings_of(app: Flask) -> Settings:
    settings: Settings = app.extensions["foreign_token"].settings
    return settings


def test_the_registry_is_the_database_unless_told_otherwise(make_example: MakeExample, tutorial_issuer: Issuer) -> None:
    app = make_example()
    assert ask(app, None, "/fhir/Patient").status_code == 401

    applied = app.test_cli_runner().invoke(args=["foreign-token", "apply", str(RESOURCES)])

    assert applied.exit_code != 0, "variables stand for something in the file registry only"


def test_resources_stored_in_the_database_let_a_token_in(
    make_example: MakeExample, tutorial_issuer: Issuer, tmp_path: Path
) -> None:
    app = make_example()
    plain = tmp_path / "resources.json"
    plain.write_text(
        RESOURCES.read_text().replace("${PROVIDER_URL:-" + tutorial_issuer.issuer + "}", tutorial_issuer.url)
    )

    applied = app.test_cli_runner().invoke(args=["foreign-token", "apply", str(plain)])

    assert applied.exit_code == 0, applied.output
    assert ask(app, tutorial_issuer.token(), "/fhir/Patient").status_code == 200


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SQLALCHEMY_DATABASE_URI", f"sqlite:///{tmp_path}/elsewhere.sqlite")
    monkeypatch.setenv("FOREIGN_TOKEN_REGISTRY", "resources.json")
    monkeypatch.setenv("FOREIGN_TOKEN_REALM", "clinic")

    app = example_app.create_app()

    with app.app_context():
        assert db.engine.url.database == f"{tmp_path}/elsewhere.sqlite"
    assert (settings_of(app).registry, settings_of(app).realm) == ("resources.json", "clinic")


@pytest.mark.parametrize(("variable", "required"), [(None, False), ("true", True), ("false", False)])
def test_an_audience_is_asked_for_only_where_the_environment_says_so(
    make_example: MakeExample, monkeypatch: pytest.MonkeyPatch, variable: str | None, required: bool
) -> None:
    if variable is not None:
        monkeypatch.setenv("FOREIGN_TOKEN_REQUIRE_AUDIENCE", variable)

    assert settings_of(make_example()).require_audience is required


def test_without_variables_the_resources_are_those_of_a_keycloak_on_this_machine() -> None:
    provider, introspector, policy = json.loads(RESOURCES.read_text())
    default = "${PROVIDER_URL:-http://localhost:8180/realms/myrealm}/protocol/openid-connect"

    assert provider["userinfo_endpoint"] == f"{default}/userinfo"
    assert introspector["jwks_uri"] == f"{default}/certs"
    assert introspector["jwt"] == policy["matcho"]["jwt"] == {"iss": "http://localhost:8180/realms/myrealm"}
