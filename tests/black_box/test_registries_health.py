"""Health: a status for anyone, and for the operator what is in force and how the keys are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import SECRET_ISSUER, ask, bearer, introspector, policy, provider, registry_of, trusting
from ..conftest import MakeApp
from .callers import (
    CLIENT_SECRET,
    OPERATOR_SETTINGS,
    PASSWORD,
    SIGNING_SECRET,
    Operated,
    as_token,
    basic,
    linked,
    operate,
    put_all,
    secret_introspector,
    secret_provider,
)
from .registries import health, worker

OPEN = ["live", "ready"]


@pytest.fixture
def app(operated: Operated, own_issuer: Issuer) -> Flask:
    return operated(trusting(own_issuer))


@pytest.mark.parametrize("path", OPEN)
def test_anyone_gets_a_status_and_nothing_more(app: Flask, path: str):
    answer = app.test_client().get(f"/fhir/health/{path}")

    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert list(answer.json) == ["status"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert "ETag" not in answer.headers


CREDENTIALS: dict[str, dict[str, str]] = {
    "a wrong token": bearer("wrong"),
    "a wrong password": basic(password="wrong"),
    "a header that is none": {"Authorization": "Bearer"},
    "two tokens": {"Authorization": "Bearer a, Bearer b"},
    "the operator": basic(),
    "a long header": bearer("x" * 20_000),
}


@pytest.mark.parametrize("path", OPEN)
@pytest.mark.parametrize("name", CREDENTIALS)
def test_a_credential_makes_no_difference(app: Flask, path: str, name: str):
    answer = app.test_client().get(f"/fhir/health/{path}", headers=CREDENTIALS[name])

    assert (answer.status_code, list(answer.json)) == (200, ["status"])


@pytest.mark.parametrize("path", OPEN)
def test_no_guess_at_a_password_is_counted_there(app: Flask, path: str):
    for _ in range(8):
        assert app.test_client().get(f"/fhir/health/{path}", headers=basic(password="wrong")).status_code == 200

    assert operate(app, "GET", "/fhir/AccessPolicy").status_code == 200


@pytest.mark.parametrize("path", OPEN)
def test_who_is_locked_out_still_learns_the_status(app: Flask, path: str):
    for _ in range(6):
        operate(app, "GET", "/fhir/User", headers=basic(password="wrong"))
    assert operate(app, "GET", "/fhir/User").status_code == 429

    assert app.test_client().get(f"/fhir/health/{path}").status_code == 200


@pytest.mark.parametrize("path", OPEN)
def test_protect_does_not_cover_it(operated: Operated, own_issuer: Issuer, path: str):
    app = operated(trusting(own_issuer), FOREIGN_TOKEN_PROTECT="all")
    assert ask(app, None, "/open").status_code == 401

    assert app.test_client().get(f"/fhir/health/{path}").status_code == 200


@pytest.mark.parametrize("path", OPEN)
def test_head_answers_and_writing_does_not(app: Flask, path: str):
    client = app.test_client()

    assert (client.head(f"/fhir/health/{path}").status_code, client.head(f"/fhir/health/{path}").data) == (200, b"")
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert client.open(f"/fhir/health/{path}", method=method).status_code == 405


@pytest.mark.parametrize("path", ["health", *(f"health/{path}" for path in OPEN)])
def test_without_the_prefix_there_is_none(make_app: MakeApp, path: str):
    app = make_app([])

    assert app.test_client().get(f"/{path}").status_code == 404
    assert app.test_client().get(f"/fhir/{path}").status_code == 404


def test_an_empty_registry_is_ready(operated: Operated):
    assert operated().test_client().get("/fhir/health/ready").status_code == 200


def test_a_provider_that_is_down_makes_nobody_unready(app: Flask, own_issuer: Issuer):
    with own_issuer.down():
        assert ask(app, own_issuer.token()).status_code == 503
        assert app.test_client().get("/fhir/health/ready").status_code == 200


def test_asking_for_the_status_calls_no_provider(app: Flask, own_issuer: Issuer):
    for path in OPEN:
        app.test_client().get(f"/fhir/health/{path}")
    health(app)

    assert sum(own_issuer.requests.values()) == 0


def test_an_anonymous_status_survives_a_registry_of_junk(make_app: MakeApp):
    client = make_app("{", **OPERATOR_SETTINGS).test_client()

    assert client.get("/fhir/health/live").status_code == 200
    answer = client.get("/fhir/health/ready")
    assert (answer.status_code, list(answer.json)) == (503, ["status"])


# ---- for the operator


def test_it_is_the_operators_alone(app: Flask, own_issuer: Issuer):
    token = own_issuer.token()

    assert as_token(app, None, "GET", "/fhir/health").status_code == 401
    assert as_token(app, token, "GET", "/fhir/health").status_code == 403
    put_all(app, [linked("opens", "Operation/foreign_token.health")])
    assert as_token(app, token, "GET", "/fhir/health").status_code == 200


def test_it_names_the_version_and_what_is_in_force(app: Flask):
    before = health(app)["registry"]

    put_all(app, [policy("new", {"uri": "/x"})])

    after = health(app)["registry"]
    assert before["version"]
    assert after["version"] != before["version"]
    assert (before["resources"]["AccessPolicy"], after["resources"]["AccessPolicy"]) == (1, 2)


def test_it_can_be_read_twice_without_a_change(app: Flask):
    assert health(app)["registry"]["version"] == health(app)["registry"]["version"]


def keys_of(app: Flask) -> str:
    """All that is said of the provider's keys."""
    said = health(app)
    return json.dumps({name: value for name, value in said.items() if name != "registry"})


def test_it_names_each_provider_and_its_keys(app: Flask, own_issuer: Issuer):
    assert "keycloak" in keys_of(app)
    before = keys_of(app)

    assert ask(app, own_issuer.token()).status_code == 200

    after = keys_of(app)
    assert after != before
    assert own_issuer.key_id() in after


def test_it_says_that_keys_cannot_be_had(app: Flask, own_issuer: Issuer):
    with own_issuer.down():
        assert ask(app, own_issuer.token()).status_code == 503
        said = keys_of(app)

    assert "refused" in said


def test_it_says_what_is_out_of_service_and_why(operated: Operated, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CLINIC_SECRET", raising=False)
    reference = {"env": "CLINIC_SECRET"}

    app = operated([provider(), introspector("missing", jwt={"iss": SECRET_ISSUER, "secret": reference})])

    said = json.dumps(health(app))
    assert "TokenIntrospector/missing" in said
    assert "CLINIC_SECRET" in said


def test_it_shows_no_secret_no_token_and_no_user(operated: Operated, own_issuer: Issuer):
    resources = [*trusting(own_issuer), secret_provider(), secret_introspector()]
    app = operated(resources)
    token = own_issuer.token(sub="a-subject-of-note", email="note@example.com")
    assert ask(app, token).status_code == 200

    said = operate(app, "GET", "/fhir/health").get_data(as_text=True)

    for text in (CLIENT_SECRET, SIGNING_SECRET, PASSWORD, token, "a-subject-of-note", "note@example.com"):
        assert text not in said


def test_it_is_not_kept(app: Flask):
    assert operate(app, "GET", "/fhir/health").headers["Cache-Control"] == "no-store"


def test_a_database_with_a_password_in_its_address_is_not_shown(make_app: MakeApp):
    pytest.importorskip("psycopg")
    app = worker(make_app, "postgresql+psycopg://clinic:hunter2-hunter2@127.0.0.1:9/clinic")

    said: Any = operate(app, "GET", "/fhir/health")

    assert said.status_code in {200, 503}
    assert "hunter2" not in said.get_data(as_text=True)
    assert app.test_client().get("/fhir/health/ready").status_code == 503


def test_a_registry_file_is_named_to_the_operator_when_it_is_gone(make_app: MakeApp, own_issuer: Issuer):
    app = make_app(trusting(own_issuer), **OPERATOR_SETTINGS, FOREIGN_TOKEN_REGISTRY_POLL=0)
    assert ask(app, own_issuer.token()).status_code == 200
    Path(registry_of(app)).unlink()

    said = json.dumps(health(app))

    assert "registry.json" in said
    assert health(app)["registry"]["version"]
