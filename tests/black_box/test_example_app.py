"""The example app, asked as the tutorial asks it, with an issuer that stands in for Keycloak."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from flask import Flask

from example_app import create_app
from flask_foreign_token.testing import Issuer

from ..apps import bearer, database_of, environment
from .callers import OPERATOR_SETTINGS, TYPES, operate, read, run

ROOT = Path(__file__).parents[2]
SECRET = {"FOREIGN_TOKEN_ADMIN_CLIENT_ID": "operator", "FOREIGN_TOKEN_ADMIN_CLIENT_SECRET": "s" * 16}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    app = create_app({"SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/example.sqlite", **OPERATOR_SETTINGS})
    yield app
    with app.app_context():
        for engine in database_of(app).engines.values():
            engine.dispose()


def tutorial(issuer: Issuer) -> list[dict]:
    """The three resources of the example, with the issuer's addresses for Keycloak's."""
    text = (ROOT / "example_app" / "resources.yaml").read_text()
    text = text.replace("http://keycloak:8180/realms/myrealm", issuer.url)
    return list(yaml.safe_load_all(text.replace("http://localhost:8180/realms/myrealm", issuer.issuer)))


@pytest.fixture
def told(app: Flask, issuer: Issuer) -> Flask:
    """The app, after the tutorial's three requests."""
    for resource in tutorial(issuer):
        path = f"/fhir/{resource['resourceType']}/{resource['id']}"
        assert operate(app, "PUT", path, yaml.safe_dump(resource), content_type="text/yaml").status_code == 201
    return app


def patients(app: Flask, token: str | None):
    return app.test_client().get("/fhir/Patient", headers=bearer(token))


def test_nobody_sees_patients_before_anything_is_trusted(app: Flask, issuer: Issuer):
    assert patients(app, None).status_code == 401
    assert patients(app, issuer.token()).status_code == 401


def test_a_token_sees_patients_and_becomes_a_user(told: Flask, issuer: Issuer):
    answer = patients(told, issuer.token(sub="alice"))

    assert answer.status_code == 200
    assert (answer.json["resourceType"], answer.json["total"]) == ("Bundle", 3)
    [entry] = read(told, "User")["entry"]
    assert entry["resource"]["identifier"] == [{"system": "keycloak", "value": "alice"}]


def test_a_token_without_an_audience_is_taken_here(told: Flask, issuer: Issuer):
    assert patients(told, issuer.token(aud=None)).status_code == 200


def test_the_anonymous_and_wrong_tokens_see_no_patients(told: Flask, issuer: Issuer):
    for token in (None, issuer.token(lifetime=-600), issuer.token(algorithm="none"), "x.y.z"):
        assert patients(told, token).status_code == 401


def test_a_token_without_openid_is_refused_with_that_scope(told: Flask, issuer: Issuer):
    answer = patients(told, issuer.token(scope="profile email"))

    assert answer.status_code == 403
    assert 'scope="openid"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("POST", ""), ("GET", "/x"), ("PUT", "/x"), ("DELETE", "/x")]
)
def test_a_token_opens_nothing_of_the_operators(told: Flask, issuer: Issuer, name, method, path):
    answer = told.test_client().open(f"/fhir/{name}{path}", method=method, headers=bearer(issuer.token()))

    assert answer.status_code == 403


def test_a_deactivated_user_sees_no_patients(told: Flask, issuer: Issuer):
    token = issuer.token(sub="alice")
    assert patients(told, token).status_code == 200
    [entry] = read(told, "User")["entry"]

    run(told, "users", "deactivate", entry["resource"]["id"])
    assert patients(told, token).status_code == 401

    run(told, "users", "activate", entry["resource"]["id"])
    assert patients(told, token).status_code == 200


def test_resources_yaml_is_applied_as_it_is(app: Flask):
    run(app, "apply", str(ROOT / "example_app" / "resources.yaml"))

    assert read(app, "AccessPolicy/keycloak-users-policy")["engine"] == "matcho"


def test_hosts_that_are_not_allowed_are_refused(app: Flask, issuer: Issuer):
    provider = {**tutorial(issuer)[0], "userinfo_endpoint": "http://elsewhere:8180/userinfo"}

    answer = operate(app, "PUT", "/fhir/IdentityProvider/keycloak", provider)

    assert answer.status_code == 422
    assert "FOREIGN_TOKEN_ALLOW_HTTP_HOSTS" in answer.get_data(as_text=True)


def test_without_an_operator_it_serves_and_nobody_is_let_in(tmp_path: Path):
    app = create_app({"SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/example.sqlite"})

    assert patients(app, None).status_code == 401
    assert operate(app, "GET", "/fhir/User").status_code == 401


def flask(*words: str, cwd: Path, **values: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flask", "--app", "example_app", *words]
    return subprocess.run(
        command, cwd=cwd, env=environment(**values), capture_output=True, text=True, timeout=120, check=False
    )


def test_settings_come_from_the_environment(tmp_path: Path):
    uri = f"sqlite:///{tmp_path}/example.sqlite"

    done = flask("foreign-token", "list", "AccessPolicy", "--json", cwd=tmp_path, SQLALCHEMY_DATABASE_URI=uri, **SECRET)

    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
    assert (tmp_path / "example.sqlite").exists()


def test_a_wrong_setting_from_the_environment_is_refused_with_its_name(tmp_path: Path):
    uri = f"sqlite:///{tmp_path}/example.sqlite"
    values = {"SQLALCHEMY_DATABASE_URI": uri, "FOREIGN_TOKEN_CREATE_USER": "perhaps"}

    done = flask("foreign-token", "list", "AccessPolicy", cwd=tmp_path, **values)

    assert done.returncode != 0
    assert "FOREIGN_TOKEN_CREATE_USER" in done.stderr


def test_many_processes_start_on_an_empty_database_at_once(tmp_path: Path):
    uri = f"sqlite:///{tmp_path}/example.sqlite"
    code = (
        "from example_app import create_app\n"
        "client = create_app().test_client()\n"
        "print(client.get('/fhir/User', auth=('operator', 's' * 16)).status_code,"
        " client.get('/fhir/Patient').status_code)\n"
    )
    env = environment(SQLALCHEMY_DATABASE_URI=uri, **SECRET)

    started = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    said = [process.communicate(timeout=120) for process in started]

    assert [out.strip() for out, _ in said] == ["200 401"] * 6, said
    assert (tmp_path / "example.sqlite").exists()
