"""What the REST API does while something is wrong, and with a registry that is a file."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from flask import Flask

from flask_foreign_token.runtime import Runtime
from flask_foreign_token.testing import Issuer

from ..apps import (
    SECRET,
    ask,
    policy,
    registry_of,
    rows,
    secret_token,
    tables_in,
    trusting_a_secret,
    write_registry,
)
from ..conftest import MakeApp
from .asking import ADMIN, BODIES, OPERATIONS, basic, operate, perform, succeeded, tutorial

Operation = tuple[str, str, str, str]

READING = [operation for operation in OPERATIONS if operation[1] == "GET"]
OF_USERS = [operation for operation in OPERATIONS if operation[3] == "User"]
WRITING = [operation for operation in OPERATIONS if operation not in READING and operation not in OF_USERS]


# ---- a registry in a file


@pytest.fixture
def with_file(make_app: MakeApp) -> Flask:
    return make_app(trusting_a_secret(), **ADMIN)


@pytest.mark.parametrize("operation", WRITING)
def test_a_registry_in_a_file_is_not_written(with_file: Flask, operation: Operation) -> None:
    _, method, path, type_ = operation
    before = registry_of(with_file).read_bytes()

    answer = operate(with_file, method, path.removeprefix("/fhir"), BODIES[type_])

    assert (answer.status_code, answer.json["error"]) == (405, "method_not_allowed")
    assert "file" in answer.json["error_description"]
    assert set(answer.allow) == {"GET", "HEAD", "OPTIONS"}
    assert registry_of(with_file).read_bytes() == before


@pytest.mark.parametrize("operation", WRITING)
def test_nor_does_anybody_else_learn_of_the_file(with_file: Flask, issuer: Issuer, operation: Operation) -> None:
    token = {"Authorization": f"Bearer {secret_token(issuer)}"}

    assert [perform(with_file, operation, headers) for headers in ({}, token)] == [401, 403]


@pytest.mark.parametrize("operation", [*READING, *OF_USERS])
def test_it_can_be_read_and_users_can_be_written(with_file: Flask, operation: Operation) -> None:
    assert perform(with_file, operation, basic()) in succeeded(operation)


def test_a_file_is_shown_without_its_secrets(with_file: Flask) -> None:
    answer = operate(with_file, "GET", "/TokenIntrospector/secret")

    assert answer.json["jwt"]["secret"] == "********"
    assert "meta" not in answer.json
    assert SECRET not in answer.text
    assert (
        operate(
            with_file, "GET", "/TokenIntrospector/secret", headers={"If-None-Match": answer.headers["ETag"]}
        ).status_code
        == 304
    )


@pytest.mark.parametrize("text", ["[", "{}", "", None])
def test_a_file_that_cannot_be_read_is_503_for_what_it_holds_alone(with_file: Flask, text: str | None) -> None:
    if text is None:
        registry_of(with_file).unlink()
    else:
        write_registry(registry_of(with_file), text)

    statuses = [operate(with_file, "GET", path).status_code for path in ("/AccessPolicy", "/AccessPolicy/x", "/User")]

    assert statuses[2] == 200
    assert set(statuses[:2]) <= ({404, 200, 503} if text is None else {503})


# ---- what does not load


@pytest.fixture
def broken(app: Flask) -> Flask:
    """Has nothing that was ever right: another version has written a policy that this one does not know."""
    operate(app, "PUT", "/AccessPolicy/other", BODIES["AccessPolicy"])
    rows(app, """UPDATE foreign_token_resource SET version = 999, body = '{"engine":"later"}' RETURNING id""")
    rows(app, "INSERT INTO foreign_token_change VALUES (999, 'AccessPolicy', 'other', 0) RETURNING id")
    application = app.extensions["foreign_token"]
    application.runtime.put(Runtime(application))
    return app


def test_a_resource_that_does_not_load_can_be_mended(broken: Flask) -> None:
    shown = operate(broken, "GET", "/AccessPolicy")
    mended = operate(broken, "PUT", "/AccessPolicy/other", BODIES["AccessPolicy"])

    assert (shown.status_code, mended.status_code) == (200, 200)
    assert operate(broken, "GET", "/AccessPolicy/other").status_code == 200


def test_a_resource_that_does_not_load_can_be_deleted(broken: Flask, issuer: Issuer) -> None:
    assert operate(broken, "DELETE", "/AccessPolicy/other").status_code == 204
    assert ask(broken, secret_token(issuer)).status_code == 401


def test_what_is_wrong_already_does_not_stand_in_the_way(broken: Flask) -> None:
    assert operate(broken, "PUT", "/AccessPolicy/another", policy("another")).status_code == 201


def test_a_token_is_refused_as_it_is_without_what_does_not_load(broken: Flask, issuer: Issuer) -> None:
    assert ask(broken, secret_token(issuer), "/fhir/User").status_code == 401


# ---- no database


@pytest.fixture
def without_database(make_app: MakeApp, tmp_path: Path) -> Flask:
    return make_app(**ADMIN, SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/no/such/folder/clinic.sqlite")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_without_a_database_everything_is_503(without_database: Flask, operation: Operation) -> None:
    _, method, path, type_ = operation
    body = BODIES[type_] if method in ("PUT", "POST") else None

    answer = operate(without_database, method, path.removeprefix("/fhir"), body)

    assert (answer.status_code, answer.json["error"]) == (503, "temporarily_unavailable")
    assert answer.headers["Retry-After"]


def test_it_is_logged_once_that_there_is_no_database(without_database: Flask, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        operate(without_database, "GET", "/User")

    assert [record.getMessage() for record in caplog.records] == ["the database cannot be used: OperationalError"]


def test_the_tables_are_made_by_the_first_operation(app: Flask) -> None:
    assert operate(app, "GET", "/AccessPolicy").status_code == 200
    assert "foreign_token_resource" in tables_in(app)


# ---- what shows up in the log


def test_no_password_and_no_body_is_logged(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        tutorial(app)
        ask(app, None, "/fhir/User", headers=basic(password="a wrong password of somebody"))
        operate(app, "PUT", "/TokenIntrospector/secret", {**trusting_a_secret()[1], "unknown": "a body of somebody"})
        operate(app, "GET", "/TokenIntrospector/secret")

    for text in ("a wrong password of somebody", "a body of somebody", SECRET):
        assert text not in caplog.text
