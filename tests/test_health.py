"""`/health` for the operator, `/health/live` and `/health/ready` for anyone."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import yaml
from flask import Flask

from flask_foreign_token import require_policy
from flask_foreign_token.testing import Issuer

from .admin.asking import ADMIN, BODIES, PASSWORD, basic, operate, token_header, tutorial
from .apps import SECRET, ask, policy, registry_of, secret_token, store, trusting, trusting_a_secret, write_registry
from .conftest import MakeApp
from .counting import counted

LIVE, READY = "/fhir/health/live", "/fhir/health/ready"
STATUS = {LIVE: {"status": "alive"}, READY: {"status": "ready"}}


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return tutorial(make_app(**ADMIN))


# ---- anyone


@pytest.mark.parametrize("path", STATUS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer " + "a" * 20_000},
        basic(password="not the password"),
    ],
    ids=["nobody", "a wrong token", "no token", "a long token", "a wrong password"],
)
def test_a_status_is_for_anyone_whatever_they_bring(app: Flask, path: str, headers: dict[str, str]) -> None:
    answer = ask(app, None, path, headers=headers)

    assert (answer.status_code, answer.json) == (200, STATUS[path])
    assert answer.headers["Cache-Control"] == "no-store"
    assert "WWW-Authenticate" not in answer.headers


@pytest.mark.parametrize("path", STATUS)
def test_a_status_is_told_to_head_too(app: Flask, path: str) -> None:
    answer = ask(app, None, path, "HEAD")

    assert (answer.status_code, answer.data) == (200, b"")


@pytest.mark.parametrize("path", STATUS)
def test_a_status_is_told_where_everything_else_is_protected(make_app: MakeApp, path: str) -> None:
    app = tutorial(make_app(**ADMIN, FOREIGN_TOKEN_PROTECT="all"))

    assert ask(app, None, path).status_code == 200
    assert ask(app, None, "/open").status_code == 401


@pytest.mark.parametrize("path", [*STATUS, "/fhir/health"])
def test_there_is_no_health_where_there_is_no_rest_api(make_app: MakeApp, path: str) -> None:
    assert ask(make_app([policy("all")]), None, path).status_code == 404


def test_that_it_lives_costs_nothing(make_app: MakeApp) -> None:
    app = make_app(**ADMIN)

    with counted() as statements:
        assert ask(app, None, LIVE).status_code == 200

    assert (statements.work, statements.schema, statements.feed) == ([], [], [])
    assert not (Path(app.instance_path)).exists()


# ---- not ready


def is_unavailable(app: Flask) -> bool:
    answer = ask(app, None, READY)
    assert answer.headers["Cache-Control"] == "no-store"
    return (answer.status_code, answer.json, answer.headers.get("Retry-After")) == (
        503,
        {"status": "unavailable"},
        "5",
    )


def test_an_app_whose_registry_was_never_read_is_not_ready_until_it_is(make_app: MakeApp) -> None:
    app = make_app("[", **ADMIN)

    assert is_unavailable(app)
    assert ask(app, None, LIVE).status_code == 200

    write_registry(registry_of(app), [policy("all")])

    assert ask(app, None, READY).json == {"status": "ready"}


def test_an_app_whose_registry_is_spoilt_later_stays_ready(make_app: MakeApp) -> None:
    app = make_app([policy("all")], **ADMIN)
    assert ask(app, None, READY).status_code == 200

    write_registry(registry_of(app), "[")

    assert ask(app, None, READY).status_code == 200
    assert "registry.json" in operate(app, "GET", "/health").json["registry"]["fault"]


def test_an_app_without_its_database_is_not_ready(make_app: MakeApp, tmp_path: Path) -> None:
    app = make_app(**ADMIN, SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/absent/app.db")

    assert is_unavailable(app)
    assert ask(app, None, LIVE).status_code == 200


def test_an_app_whose_folder_cannot_be_made_is_not_ready(make_app: MakeApp) -> None:
    app = make_app(**ADMIN)
    Path(app.instance_path).write_text("in the way")

    assert is_unavailable(app)


def test_an_app_with_a_guard_that_does_not_hold_lives_and_is_not_ready(make_app: MakeApp) -> None:
    app = make_app([policy("all")], **ADMIN)
    require_policy(app.get("/misplaced")(lambda: "in"))

    assert ask(app, None, "/open").status_code == 500
    assert ask(app, None, LIVE).json == {"status": "alive"}
    assert is_unavailable(app)


def test_a_look_that_is_due_is_made_for_whoever_asks_whether_it_is_ready(app: Flask, make_app: MakeApp) -> None:
    assert ask(app, None, READY).status_code == 200
    with sqlite3.connect(Path(app.instance_path) / "foreign_token.sqlite") as connection:
        connection.execute("ALTER TABLE foreign_token_change RENAME TO elsewhere")
    connection.close()

    assert is_unavailable(app)


# ---- the operator


def test_everything_else_is_for_the_operator(app: Flask, issuer: Issuer) -> None:
    assert ask(app, None, "/fhir/health").status_code == 401
    assert ask(app, None, "/fhir/health", headers=token_header(issuer)).status_code == 403
    assert ask(app, None, "/fhir/health", headers=basic(password="wrong")).status_code == 401
    assert operate(app, "GET", "/health").status_code == 200


def test_a_policy_with_a_link_opens_it(app: Flask, issuer: Issuer) -> None:
    store(app, [policy("watch", link=[{"reference": "Operation/foreign_token.health"}])])

    assert ask(app, None, "/fhir/health", headers=token_header(issuer)).status_code == 200


def test_the_operator_sees_the_registry(app: Flask) -> None:
    ask(app)

    answer = operate(app, "GET", "/health")

    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json["status"] == "ready"
    shown = answer.json["registry"]
    assert shown["version"]
    assert (shown["reachable"], shown["fault"], shown["out_of_service"]) == (True, None, [])
    assert shown["resources"] == {"IdentityProvider": 1, "TokenIntrospector": 1, "AccessPolicy": 1}
    assert shown["looked_at"].endswith("Z")
    assert list(answer.json) == ["status", "registry", "introspectors"]


def test_the_operator_sees_what_is_out_of_service_and_why(make_app: MakeApp) -> None:
    app = make_app(trusting_a_secret(policy("all"), jwt={"secret": "short"}), **ADMIN)

    (issue,) = operate(app, "GET", "/health").json["registry"]["out_of_service"]

    assert (issue["resource"], issue["path"]) == ("TokenIntrospector/secret", "jwt.secret")
    assert issue["message"]


def test_the_operator_sees_the_keys_of_each_introspector(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(trusting(own_issuer), **ADMIN)

    (before,) = operate(app, "GET", "/health").json["introspectors"]
    ask(app, own_issuer.token())
    (after,) = operate(app, "GET", "/health").json["introspectors"]

    assert {name: before[name] for name in ("id", "provider", "in_force")} == {
        "id": "keycloak-jwt",
        "provider": "keycloak",
        "in_force": True,
    }
    assert (before["keys"]["fetched_at"], before["keys"]["serving"]) == (None, [])
    assert after["keys"]["fetched_at"] < after["keys"]["due_at"] < after["keys"]["expires_at"]
    assert after["keys"]["last_error"] is None
    assert {"RS256"} <= {key["algorithm"] for key in after["keys"]["serving"]}


def test_the_operator_sees_why_keys_do_not_come(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(trusting(own_issuer), **ADMIN)
    with own_issuer.fail("jwks", 500):
        ask(app, own_issuer.token())

    (shown,) = operate(app, "GET", "/health").json["introspectors"]

    assert "500" in shown["keys"]["last_error"]


def test_the_operator_sees_why_nothing_is_in_force(make_app: MakeApp) -> None:
    app = make_app("[", **ADMIN)

    answer = operate(app, "GET", "/health")

    assert (answer.status_code, answer.json["status"]) == (200, "unavailable")
    assert answer.json["introspectors"] == []
    assert "registry.json" in answer.json["registry"]["fault"]


def test_no_secret_is_shown(app: Flask, issuer: Issuer) -> None:
    store(app, list(BODIES.values())[:3])
    ask(app, secret_token(issuer, sub="ann-the-subject"))

    text = operate(app, "GET", "/health").text

    assert [value for value in (SECRET, "x" * 40, PASSWORD, "ann-the-subject") if value in text] == []


def test_it_is_shown_as_yaml_too(app: Flask) -> None:
    answer = operate(app, "GET", "/health", headers={"Accept": "application/yaml"})

    assert yaml.safe_load(answer.text)["status"] == "ready"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
def test_nothing_can_be_written_there(app: Flask, method: str, path: str) -> None:
    assert operate(app, method, path).status_code == 405
