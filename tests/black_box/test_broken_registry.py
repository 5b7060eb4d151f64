"""A row that somebody spoilt: seen, refused, and mended by either way."""

from __future__ import annotations

import json

import pytest
from flask import Flask
from sqlalchemy import inspect, text

from flask_foreign_token.testing import Issuer

from ..apps import ask, in_database, policy, trusting
from .callers import Operated, basic, ids, operate, run, write


def resource_table(app: Flask) -> tuple[str, list[str]]:
    """The table that keeps resources as they are now, found by what it holds, and its columns of text."""

    def find(connection):
        inspector = inspect(connection)
        for table in inspector.get_table_names():
            if "history" in table:
                continue
            columns = [column["name"] for column in inspector.get_columns(table)]
            for column in columns:
                if connection.execute(
                    text(f'SELECT count(*) FROM "{table}" WHERE CAST("{column}" AS TEXT) LIKE :l'), {"l": '%"engine"%'}
                ).scalar():
                    return table, column
        raise AssertionError("no table of resources")

    return in_database(app, find)


def spoil(app: Flask, content: str, name: str = "spoilt") -> None:
    """Store a policy, then write `content` over it as nobody should, and wait until a worker would have looked."""
    assert operate(app, "PUT", f"/fhir/AccessPolicy/{name}", {"engine": "allow", "link": []}).status_code in {201, 422}
    operate(app, "PUT", f"/fhir/AccessPolicy/{name}", {"engine": "matcho", "matcho": {"uri": "/nowhere"}})
    table, column = resource_table(app)
    in_database(
        app,
        lambda connection: connection.execute(
            text(f'UPDATE "{table}" SET "{column}" = :content WHERE "{column}" LIKE :l'),
            {"content": content, "l": "%/nowhere%"},
        ),
    )


POLICIES = [
    json.dumps({"resourceType": "AccessPolicy", "id": "spoilt", "engine": ["matcho"]}),
    json.dumps({"resourceType": "AccessPolicy", "id": "spoilt", "engine": "allow", "unknown": 1}),
]
"""Policies that say something wrong."""
UNREADABLE = [
    json.dumps({"resourceType": "AccessPolicy", "id": "other", "engine": "allow"}),
    "[]",
    "null",
    "3",
    "{}",
]
"""What is none at all, or not the one under whose name it is kept."""


@pytest.fixture(params=[*POLICIES, *UNREADABLE])
def spoilt(operated: Operated, issuer: Issuer, request, make_app, bare_app):
    """An app that starts on a database in which a row is spoilt."""
    from ..apps import database_of, protected
    from .callers import OPERATOR_SETTINGS

    app = operated(trusting(issuer))
    spoil(app, request.param)
    with app.app_context():
        uri = database_of(app).engine.url.render_as_string(hide_password=False)
    return protected(bare_app(**OPERATOR_SETTINGS, SQLALCHEMY_DATABASE_URI=uri))


@pytest.mark.parametrize("spoilt", POLICIES, indirect=True)
def test_a_policy_that_says_something_wrong_allows_nothing_and_hides_no_other(spoilt: Flask, issuer: Issuer):
    assert ask(spoilt, issuer.token()).status_code == 200
    operate(spoilt, "DELETE", "/fhir/AccessPolicy/known-issuer")
    assert ask(spoilt, issuer.token()).status_code == 403


@pytest.mark.parametrize("spoilt", UNREADABLE, indirect=True)
def test_what_is_no_policy_allows_nothing_and_hides_no_other(spoilt: Flask, issuer: Issuer):
    assert ask(spoilt, issuer.token()).status_code == 200
    operate(spoilt, "DELETE", "/fhir/AccessPolicy/known-issuer")
    assert ask(spoilt, issuer.token()).status_code == 403


def test_the_operator_gets_in(spoilt: Flask):
    assert operate(spoilt, "GET", "/fhir/AccessPolicy").status_code == 200


def test_a_wrong_password_is_still_a_wrong_password(spoilt: Flask):
    assert operate(spoilt, "GET", "/fhir/AccessPolicy", headers=basic(password="wrong")).status_code == 401
    assert spoilt.test_client().get("/fhir/AccessPolicy").status_code == 401


def test_the_rest_of_the_registry_is_still_listed(spoilt: Flask):
    assert ids(spoilt, "TokenIntrospector") == ["keycloak-jwt"]
    assert "known-issuer" in ids(spoilt, "AccessPolicy")


def test_put_mends_it(spoilt: Flask, issuer: Issuer):
    answer = operate(spoilt, "PUT", "/fhir/AccessPolicy/spoilt", {"engine": "matcho", "matcho": {"uri": "/x"}})

    assert answer.status_code in {200, 201}, answer.get_data(as_text=True)
    assert ask(spoilt, issuer.token()).status_code == 200


def test_delete_over_http_mends_it(spoilt: Flask, issuer: Issuer):
    assert operate(spoilt, "DELETE", "/fhir/AccessPolicy/spoilt").status_code == 204
    assert ask(spoilt, issuer.token()).status_code == 200


def test_apply_mends_it(spoilt: Flask, issuer: Issuer, tmp_path):
    run(spoilt, "apply", write(tmp_path, "p.json", policy("spoilt", {"uri": "/x"})))

    assert ask(spoilt, issuer.token()).status_code == 200


def test_the_delete_command_mends_it(spoilt: Flask, issuer: Issuer):
    run(spoilt, "delete", "AccessPolicy", "spoilt", "--yes")

    assert ask(spoilt, issuer.token()).status_code == 200


def test_reading_commands_work_and_it_is_named(spoilt: Flask, caplog):
    for words in [("list", "AccessPolicy"), ("export",), ("get", "AccessPolicy", "spoilt"), ("users", "list")]:
        result = run(spoilt, *words, status=None)
        assert result.exception is None or isinstance(result.exception, SystemExit), (words, result.exception)
    assert "spoilt" in run(spoilt, "list", "AccessPolicy", status=None).output + caplog.text


def test_doctor_names_it(spoilt: Flask):
    result = run(spoilt, "doctor", status=None)

    assert result.exit_code == 1
    assert "AccessPolicy/spoilt" in result.output


def test_users_can_be_deactivated_meanwhile(spoilt: Flask):
    result = run(spoilt, "users", "deactivate", "nobody", status=1)

    assert "nobody" in result.stderr


def test_other_resources_can_be_written_or_the_refusal_names_the_culprit(spoilt: Flask):
    answer = operate(spoilt, "PUT", "/fhir/AccessPolicy/new", {"engine": "matcho", "matcho": {"uri": "/x"}})

    assert answer.status_code in {200, 201, 422, 503}
    if answer.status_code >= 400:
        assert "spoilt" in answer.get_data(as_text=True)
