"""What the operator gets while something cannot be reached."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import trusting
from ..conftest import MakeApp
from .callers import BODIES, OPERATOR_SETTINGS, TYPES, Operated, as_token, basic, linked, operate, run

NOWHERE = {
    "sqlite": "sqlite:////nowhere/to/be/found/clinic.sqlite",
    "postgresql": "postgresql+psycopg://clinic:hunter2-hunter2@127.0.0.1:9/clinic",
}


@pytest.fixture(params=NOWHERE)
def lost(request: pytest.FixtureRequest, make_app: MakeApp) -> Flask:
    """An app whose database cannot be reached."""
    if request.param == "postgresql":
        pytest.importorskip("psycopg")
    return make_app(**OPERATOR_SETTINGS, SQLALCHEMY_DATABASE_URI=NOWHERE[request.param])


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_without_the_database_the_operator_gets_503_and_retry_after(lost: Flask, name, method):
    answer = operate(lost, method, f"/fhir/{name}/x", BODIES[name] if method == "PUT" else None)

    assert (answer.status_code, answer.json["error"]) == (503, "temporarily_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert "WWW-Authenticate" not in answer.headers
    assert "hunter2" not in answer.get_data(as_text=True)


def test_without_the_database_a_search_and_a_post_get_503(lost: Flask):
    assert operate(lost, "GET", "/fhir/User").status_code == 503
    assert operate(lost, "POST", "/fhir/AccessPolicy", BODIES["AccessPolicy"]).status_code == 503


def test_without_the_database_a_wrong_password_and_none_are_still_401(lost: Flask):
    assert operate(lost, "GET", "/fhir/User", headers=basic(password="wrong")).status_code == 401
    assert lost.test_client().get("/fhir/User").status_code == 401


COMMANDS = [
    ("list", "AccessPolicy"),
    ("get", "AccessPolicy", "x"),
    ("delete", "AccessPolicy", "x", "--yes"),
    ("export",),
    ("users", "list"),
    ("users", "show", "x"),
    ("users", "deactivate", "x"),
    ("doctor",),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_without_the_database_a_command_fails_with_a_line_and_no_password(lost: Flask, words, caplog):
    result = run(lost, *words, status=1)

    assert isinstance(result.exception, SystemExit)
    assert "database" in result.output
    assert "Traceback" not in result.output
    assert "hunter2" not in result.output + caplog.text


def test_without_the_database_apply_fails_too(lost: Flask, tmp_path: Path):
    (tmp_path / "p.yaml").write_text("{resourceType: AccessPolicy, id: x, engine: allow}")

    assert "database" in run(lost, "apply", str(tmp_path / "p.yaml"), status=1).stderr


def test_a_provider_that_is_down_is_an_outage_for_a_token_at_the_operators_endpoints(
    operated: Operated, own_issuer: Issuer
):
    app = operated([*trusting(own_issuer), linked("opens", "Operation/foreign_token.search_user")])
    token = own_issuer.token()

    with own_issuer.down():
        answer = as_token(app, token, "GET", "/fhir/User")
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert operate(app, "GET", "/fhir/User").status_code == 200


def test_a_database_that_comes_back_is_used_again(make_app: MakeApp, tmp_path: Path):
    app = make_app(**OPERATOR_SETTINGS, SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/late/clinic.sqlite")
    assert operate(app, "GET", "/fhir/User").status_code == 503

    (tmp_path / "late").mkdir()

    assert operate(app, "GET", "/fhir/User").status_code == 200
