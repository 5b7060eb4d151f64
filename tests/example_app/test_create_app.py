from __future__ import annotations

import logging
from pathlib import Path

import pytest
from flask import Flask

import example_app
from example_app.models import db
from flask_foreign_token.settings import Settings
from flask_foreign_token.testing import Issuer

from ..apps import Resource, ask, write_registry
from .conftest import MakeExample

OPERATOR = ("operator", "the-operator-of-the-tests")


def settings_of(app: Flask) -> Settings:
    settings: Settings = app.extensions["foreign_token"].settings
    return settings


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_it_runs_without_any_setting(make_example: MakeExample) -> None:
    app = make_example()

    settings = settings_of(app)
    assert ask(app, None, "/fhir/Patient").status_code == 401
    assert (settings.registry, settings.admin_url_prefix) == ("database", "/fhir")
    assert settings.allow_http_hosts == ("localhost", "127.0.0.1", "keycloak")
    assert settings.require_audience is False


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SQLALCHEMY_DATABASE_URI", f"sqlite:///{tmp_path}/elsewhere.sqlite")
    monkeypatch.setenv("FOREIGN_TOKEN_REGISTRY", "resources.json")
    monkeypatch.setenv("FOREIGN_TOKEN_REALM", "clinic")
    monkeypatch.setenv("FOREIGN_TOKEN_CACHE_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("FOREIGN_TOKEN_CACHE_KEY", "a-key-of-thirty-two-bytes-or-more")

    app = example_app.create_app()

    with app.app_context():
        assert db.engine.url.database == f"{tmp_path}/elsewhere.sqlite"
    assert (settings_of(app).registry, settings_of(app).realm) == ("resources.json", "clinic")
    assert settings_of(app).cache_url == "redis://127.0.0.1:1/0"


@pytest.mark.parametrize(
    ("variable", "value", "read"),
    [
        ("ADMIN_URL_PREFIX", "/trust", "/trust"),
        ("ALLOW_HTTP_HOSTS", "keycloak.test", ("keycloak.test",)),
        ("REQUIRE_AUDIENCE", "true", True),
        ("REQUIRE_AUDIENCE", "false", False),
    ],
)
def test_the_environment_wins_over_what_the_app_presumes(
    make_example: MakeExample, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, read: object
) -> None:
    monkeypatch.setenv(f"FOREIGN_TOKEN_{variable}", value)

    assert getattr(settings_of(make_example()), variable.lower()) == read


def test_what_is_configured_wins_over_the_environment(
    make_example: MakeExample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOREIGN_TOKEN_REALM", "clinic")

    assert settings_of(make_example(FOREIGN_TOKEN_REALM="ward")).realm == "ward"


def test_its_registry_can_be_a_file(
    make_example: MakeExample, tutorial_issuer: Issuer, tutorial_resources: list[Resource], tmp_path: Path
) -> None:
    file = write_registry(tmp_path / "resources.json", tutorial_resources)

    app = make_example(FOREIGN_TOKEN_REGISTRY=str(file))

    assert ask(app, tutorial_issuer.token(), "/fhir/Patient").status_code == 200


def test_it_says_when_nobody_can_be_the_operator(make_example: MakeExample, caplog: pytest.LogCaptureFixture) -> None:
    app = make_example()

    assert warnings_in(caplog) == [example_app.NO_OPERATOR]
    assert app.test_client().get("/fhir/User", auth=OPERATOR).status_code == 401


def test_it_has_nothing_to_say_when_somebody_can(make_example: MakeExample, caplog: pytest.LogCaptureFixture) -> None:
    app = make_example(FOREIGN_TOKEN_ADMIN_CLIENT_ID=OPERATOR[0], FOREIGN_TOKEN_ADMIN_CLIENT_SECRET=OPERATOR[1])

    assert warnings_in(caplog) == []
    assert app.test_client().get("/fhir/User", auth=OPERATOR).status_code == 200


def test_the_environment_makes_somebody_the_operator(
    make_example: MakeExample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOREIGN_TOKEN_ADMIN_CLIENT_ID", OPERATOR[0])
    monkeypatch.setenv("FOREIGN_TOKEN_ADMIN_CLIENT_SECRET", OPERATOR[1])

    assert make_example().test_client().get("/fhir/User", auth=OPERATOR).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:8080", 200), ("127.0.0.1:8080", 200), ("rebound.example:8080", 400), ("localhost.example", 400)],
)
def test_only_the_hosts_of_the_environment_are_served_where_it_names_some(
    make_example: MakeExample, monkeypatch: pytest.MonkeyPatch, host: str, status: int
) -> None:
    monkeypatch.setenv("TRUSTED_HOSTS", "localhost, 127.0.0.1")
    app = make_example(FOREIGN_TOKEN_ADMIN_CLIENT_ID=OPERATOR[0], FOREIGN_TOKEN_ADMIN_CLIENT_SECRET=OPERATOR[1])

    answer = app.test_client().get("/fhir/User", auth=OPERATOR, headers={"Host": host})

    assert answer.status_code == status


def test_without_a_name_in_the_environment_every_host_is_served(make_example: MakeExample) -> None:
    app = make_example(FOREIGN_TOKEN_ADMIN_CLIENT_ID=OPERATOR[0], FOREIGN_TOKEN_ADMIN_CLIENT_SECRET=OPERATOR[1])

    answer = app.test_client().get("/fhir/User", auth=OPERATOR, headers={"Host": "clinic.example"})

    assert answer.status_code == 200


def test_a_rebound_name_changes_nothing(make_example: MakeExample) -> None:
    app = make_example(
        TRUSTED_HOSTS=["localhost"],
        FOREIGN_TOKEN_ADMIN_CLIENT_ID=OPERATOR[0],
        FOREIGN_TOKEN_ADMIN_CLIENT_SECRET=OPERATOR[1],
    )
    client, body = app.test_client(), {"engine": "allow"}

    refused = client.put("/fhir/AccessPolicy/all", json=body, auth=OPERATOR, headers={"Host": "rebound.example"})

    assert refused.status_code == 400
    assert client.get("/fhir/AccessPolicy/all", auth=OPERATOR).status_code == 404
