"""The app's own secrets, which nobody who may write resources gets sent to an address."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from flask import Flask

from flask_foreign_token.testing import Issuer

from .admin.asking import ADMIN, PASSWORD, basic, operate, token_header
from .apps import Resource, ask, introspector, policy, store, trusting_a_secret
from .conftest import MakeApp
from .test_opaque_tokens import IN_FORCE

SECRET = "what-nobody-but-the-app-and-its-operator-knows"
REASON = "is a secret of the app's own, which no resource may name"
SQL_URI = f"postgresql+psycopg://reader:{SECRET}@db.example/patients"

OWN_SECRETS = [
    pytest.param({}, PASSWORD, id="operator"),
    pytest.param({"FOREIGN_TOKEN_SQL_URI": SQL_URI}, SQL_URI, id="sql"),
    pytest.param({"FOREIGN_TOKEN_SQL_URI": SQL_URI}, SECRET, id="password of sql"),
    pytest.param({"SECRET_KEY": SECRET}, SECRET, id="key"),
    pytest.param({"SECRET_KEY": SECRET.encode()}, SECRET, id="key of octets"),
    pytest.param({"SECRET_KEY_FALLBACKS": ["another key", SECRET]}, SECRET, id="fallback"),
]
"""Settings, and a text that one of them holds."""

OF_DATABASES = [
    pytest.param({"SQLALCHEMY_DATABASE_URI": SQL_URI}, SQL_URI, id="database"),
    pytest.param({"SQLALCHEMY_DATABASE_URI": sqlalchemy.make_url(SQL_URI)}, SECRET, id="password of the database"),
    pytest.param({"SQLALCHEMY_BINDS": {"users": SQL_URI}}, SQL_URI, id="bind"),
    pytest.param({"SQLALCHEMY_BINDS": {"users": {"url": SQL_URI}}}, SECRET, id="password of a bind"),
    pytest.param({"SQLALCHEMY_ENGINE_OPTIONS": {"connect_args": {"password": SECRET}}}, SECRET, id="options"),
]
"""As before; set when the app is made already, since there is no such database."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "secrets"
    made.mkdir()
    return made


def signed_with(secret: object) -> Resource:
    return introspector("other", None, jwt={"iss": "https://other.example", "secret": secret})


def asking(issuer: Issuer, authorization: object) -> Resource:
    """`issuer` is asked about opaque tokens, and shown `authorization`."""
    _, body = issuer.resources(kind="opaque")
    url = body["introspection_endpoint"]["url"]
    del body["identity_provider"]
    return {**body, "introspection_endpoint": {"url": url, "authorization": authorization}}


def put(app: Flask, body: Resource, headers: dict[str, str]) -> Any:
    return ask(app, None, f"/fhir/TokenIntrospector/{body['id']}", "PUT", headers=headers, json=body)


@pytest.mark.parametrize(("config", "secret"), [*OWN_SECRETS, *OF_DATABASES])
@pytest.mark.parametrize("text", ["{}", "Bearer {}"], ids=["is", "holds"])
def test_no_resource_may_name_what_is_or_holds_an_own_secret(
    make_app: MakeApp,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    config: dict[str, object],
    secret: str,
    text: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    early = {name: value for name, value in config.items() if not name.startswith("SQLALCHEMY_")}
    app = make_app(FOREIGN_TOKEN_SECRET_DIRS=[folder], **ADMIN, **early)
    app.config.update(config)
    app.debug = True
    monkeypatch.setenv("OTHER_NAME", text.format(secret))
    (folder / "other").write_text(text.format(secret) + "\n", encoding="utf-8")

    answers = [
        put(app, signed_with(reference), basic()) for reference in ({"env": "OTHER_NAME"}, {"file": f"{folder}/other"})
    ]

    assert [answer.status_code for answer in answers] == [422, 422]
    assert [(issue["path"], issue["message"]) for answer in answers for issue in answer.json["issues"]] == [
        ("jwt.secret", f"the environment variable OTHER_NAME {REASON}"),
        ("jwt.secret", f"the file {folder}/other {REASON}"),
    ]
    assert secret not in caplog.text + "".join(answer.text + str(answer.headers) for answer in answers)


def test_whoever_may_write_one_introspector_does_not_become_the_operator(
    make_app: MakeApp, issuer: Issuer, own_issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADMIN_SECRET", PASSWORD)
    app = make_app(**ADMIN)
    link = [{"reference": "Operation/foreign_token.update_token_introspector"}]
    store(app, [*trusting_a_secret(), policy("writer", link=link), IN_FORCE])

    answer = put(app, asking(own_issuer, {"env": "ADMIN_SECRET"}), token_header(issuer))
    asked = ask(app, own_issuer.opaque_token(sub="ann"))

    assert (answer.status_code, asked.status_code) == (422, 401)
    assert own_issuer.requests["introspection"] == 0


def test_any_other_secret_is_sent_where_the_resource_says(
    make_app: MakeApp, own_issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = next(iter(own_issuer.clients.values()))
    monkeypatch.setenv("LOGIN", basic(client.id, client.secret)["Authorization"])
    app = make_app(SECRET_KEY=SECRET, SECRET_KEY_FALLBACKS=["dev"], FOREIGN_TOKEN_SQL_URI=SQL_URI, **ADMIN)
    store(app, [IN_FORCE])

    answer = put(app, asking(own_issuer, {"env": "LOGIN"}), basic())

    assert answer.status_code == 201
    assert ask(app, own_issuer.opaque_token(sub="ann")).json == {"subject": "ann"}


def test_what_becomes_an_own_secret_later_is_sent_no_more(
    make_app: MakeApp, own_issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = next(iter(own_issuer.clients.values()))
    monkeypatch.setenv("LOGIN", basic(client.id, client.secret)["Authorization"])
    app = make_app(**ADMIN)
    store(app, [IN_FORCE, asking(own_issuer, {"env": "LOGIN"})])
    before = ask(app, own_issuer.opaque_token(sub="ann")).status_code

    app.config["SECRET_KEY"] = basic(client.id, client.secret)["Authorization"]
    after = ask(app, own_issuer.opaque_token(sub="ann")).status_code

    assert (before, after, own_issuer.requests["introspection"]) == (200, 503, 1)


def test_a_secret_that_is_written_out_is_compared_with_nothing(make_app: MakeApp) -> None:
    app = make_app(SECRET_KEY=SECRET, **ADMIN)

    answers = [operate(app, "PUT", "/TokenIntrospector/other", signed_with(text)) for text in (SECRET, f"{SECRET}x")]

    assert [answer.status_code for answer in answers] == [201, 200]


def test_the_address_that_the_database_has_counts_though_the_setting_was_changed(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    address = f"sqlite:///{tmp_path / 'clinic-of-its-own.sqlite'}"
    app = make_app(SQLALCHEMY_DATABASE_URI=address, **ADMIN)
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    monkeypatch.setenv("ADDRESS", address)

    answer = put(app, signed_with({"env": "ADDRESS"}), basic())

    assert answer.status_code == 422
    assert REASON in answer.text
