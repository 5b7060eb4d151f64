"""What is no reference to a secret, which may not be named, and what is said of plain ones."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from flask import Flask

from flask_foreign_token.errors import ConfigError
from flask_foreign_token.testing import Issuer

from ..apps import (
    SECRET_ISSUER,
    ask,
    introspector,
    policy,
    provider,
    registry_of,
    secret_token,
    write_registry,
)
from ..conftest import MakeApp
from .callers import OPERATOR_SETTINGS, PASSWORD, operate, put, put_all, read, run, write
from .registries import AT_ONCE, signed_with, worker
from .tokens import pem, rsa_key

SECRET = "the-old-secret-that-signs-all-of-our-texts"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    return folder


@pytest.fixture
def app(make_app: MakeApp, tmp_path: Path, folder: Path) -> Flask:
    app = worker(make_app, tmp_path / "app.sqlite", FOREIGN_TOKEN_SECRET_DIRS=[str(folder)])
    put_all(app, [provider(), policy("known-issuer", {"jwt": {"iss": SECRET_ISSUER}})])
    return app


def refused(app: Flask, reference: object) -> str:
    answer = put(app, signed_with(reference))
    said = answer.get_data(as_text=True)
    assert answer.status_code == 422, said
    assert any(issue["path"].startswith("jwt.secret") and issue["message"] for issue in answer.json["issues"]), said
    assert operate(app, "GET", "/fhir/TokenIntrospector/secret").status_code == 404
    return said


NO_REFERENCES = [
    {},
    {"env": "A", "file": "/run/secrets/a"},
    {"vault": "a"},
    {"env": 3},
    {"env": None},
    {"env": ["A"]},
    {"env": ""},
    {"env": " "},
    {"env": "A=B"},
    {"env": "A\x00"},
    {"file": 3},
    {"file": None},
    {"file": {"env": "A"}},
    {"ENV": "A"},
    {"env": "A", "more": 1},
    [{"env": "A"}],
    True,
]


@pytest.mark.parametrize("reference", NO_REFERENCES, ids=repr)
def test_what_is_no_reference_is_refused_with_its_path(app: Flask, reference):
    refused(app, reference)


OWN = ["FOREIGN_TOKEN_ADMIN_CLIENT_SECRET", "FOREIGN_TOKEN_CACHE_KEY", "FOREIGN_TOKEN_ANYTHING"]


@pytest.mark.parametrize("variable", OWN)
def test_the_extensions_own_variables_may_not_be_named(app: Flask, monkeypatch: pytest.MonkeyPatch, variable: str):
    monkeypatch.setenv(variable, PASSWORD * 2)

    assert PASSWORD not in refused(app, {"env": variable})


def test_only_listed_variables_may_be_named_where_there_is_a_list(
    make_app: MakeApp, tmp_path, issuer: Issuer, monkeypatch
):
    app = worker(make_app, tmp_path / "list.sqlite", FOREIGN_TOKEN_SECRET_ENV=["CLINIC_*", "EXACTLY"])
    put_all(app, [provider(), policy("p")])
    for variable in ("CLINIC_A", "EXACTLY", "EXACTLY_NOT", "HOME", "clinic_a", "XCLINIC_A"):
        monkeypatch.setenv(variable, SECRET)

    for variable in ("EXACTLY_NOT", "HOME", "clinic_a", "XCLINIC_A"):
        assert "SECRET_ENV" in refused(app, {"env": variable})
    for variable in ("CLINIC_A", "EXACTLY"):
        put_all(app, [signed_with({"env": variable})])
        assert ask(app, secret_token(issuer, SECRET)).status_code == 200


UNUSABLE = {
    "blank": "   \n",
    "empty": "",
    "too short": "short",
    "a public key": None,
    "no text": b"\xff" * 40,
    "too large": "x" * 65_537,
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_file_that_is_there_and_unusable_is_refused(app: Flask, folder: Path, name: str):
    content = UNUSABLE[name] if UNUSABLE[name] is not None else pem(rsa_key())
    (folder / "signing").write_bytes(content if isinstance(content, bytes) else content.encode())

    said = refused(app, {"file": str(folder / "signing")})

    assert len(content) < 20 or str(content)[:20] not in said


@pytest.mark.parametrize("name", ["blank", "too short", "a public key"])
def test_a_variable_that_is_set_and_unusable_is_refused(app: Flask, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setenv("CLINIC_SECRET", UNUSABLE[name] or pem(rsa_key()))

    refused(app, {"env": "CLINIC_SECRET"})


def test_a_pipe_keeps_nobody_waiting(app: Flask, folder: Path):
    os.mkfifo(folder / "pipe")

    answer = put(app, signed_with({"file": str(folder / "pipe")}))

    assert answer.status_code in {201, 422}
    assert answer.status_code == 422 or answer.headers.getlist("Warning")


@pytest.mark.parametrize("value", ["relative", ["relative"], 3, [3], [""]], ids=repr)
def test_folders_that_are_none_stop_the_app(make_app: MakeApp, value):
    with pytest.raises(ConfigError, match="SECRET_DIRS"):
        make_app(FOREIGN_TOKEN_SECRET_DIRS=value)


def test_without_folders_no_file_may_be_named(make_app: MakeApp, tmp_path: Path, folder: Path):
    app = worker(make_app, tmp_path / "none.sqlite", FOREIGN_TOKEN_SECRET_DIRS=[])
    put_all(app, [provider()])
    (folder / "signing").write_text(SECRET)

    refused(app, {"file": str(folder / "signing")})


def test_the_default_folder_is_that_of_containers(make_app: MakeApp, tmp_path: Path, folder: Path):
    app = worker(make_app, tmp_path / "default.sqlite")
    put_all(app, [provider()])
    (folder / "signing").write_text(SECRET)

    assert "SECRET_DIRS" in refused(app, {"file": str(folder / "signing")})
    assert put(app, signed_with({"file": "/run/secrets/not-there-in-any-test"})).status_code == 201


# ---- plain secrets


PLAIN = {
    "jwt.secret": signed_with(SECRET),
    "jwt.keys.0.k": introspector(
        "secret",
        jwt={"iss": SECRET_ISSUER, "keys": [{"kty": "OCT", "alg": "HS256", "format": "plain", "k": SECRET}]},
    ),
    "client.secret": provider("acme", client={"id": "clinic", "secret": SECRET}),
    "introspection_endpoint.client_secret": {
        "resourceType": "TokenIntrospector",
        "id": "secret",
        "type": "opaque",
        "jwt": {"aud": "account"},
        "introspection_endpoint": {"url": "https://x.example/i", "client_id": "clinic", "client_secret": SECRET},
    },
    "introspection_endpoint.authorization": {
        "resourceType": "TokenIntrospector",
        "id": "secret",
        "type": "opaque",
        "jwt": {"aud": "account"},
        "introspection_endpoint": {"url": "https://x.example/i", "authorization": f"Bearer {SECRET}"},
    },
}


@pytest.mark.parametrize("path", PLAIN)
def test_a_plain_secret_in_the_database_is_stored_with_a_warning_that_names_the_alternative(app: Flask, path: str):
    answer = put(app, PLAIN[path])

    assert answer.status_code == 201
    said = " ".join(answer.headers.getlist("Warning"))
    assert path in said
    assert '{"file": ' in said.replace("\\", "") or '{"env": ' in said.replace("\\", "")
    assert SECRET not in said


@pytest.mark.parametrize("path", PLAIN)
def test_a_plain_secret_is_refused_where_warnings_are(app: Flask, tmp_path: Path, path: str):
    body = PLAIN[path]
    where = f"/fhir/{body['resourceType']}/{body['id']}"

    answer = put(app, body, headers={"Prefer": "handling=strict"})
    result = run(app, "apply", "--strict", "--yes", write(tmp_path, "s.json", body), status=1)

    assert answer.status_code == 422
    assert path in answer.get_data(as_text=True)
    assert path in result.stderr
    assert SECRET not in answer.get_data(as_text=True) + result.output
    assert operate(app, "GET", where).status_code == 404


def test_apply_warns_of_a_plain_secret(app: Flask, tmp_path: Path):
    result = run(app, "apply", "--yes", write(tmp_path, "s.json", signed_with(SECRET)))

    assert "jwt.secret" in result.stderr
    assert '{"file": ' in result.stderr or '{"env": ' in result.stderr
    assert SECRET not in result.output


def test_a_reference_takes_the_place_of_a_plain_secret(app: Flask, issuer: Issuer, monkeypatch: pytest.MonkeyPatch):
    put_all(app, [signed_with(SECRET)])
    monkeypatch.setenv("CLINIC_SECRET", SECRET)

    answer = put(app, signed_with({"env": "CLINIC_SECRET"}))

    assert answer.headers.getlist("Warning") == []
    assert read(app, "TokenIntrospector/secret")["jwt"]["secret"] == {"env": "CLINIC_SECRET"}
    assert ask(app, secret_token(issuer, SECRET)).status_code == 200


def test_a_mask_in_the_place_of_a_reference_is_refused_or_keeps_it(app: Flask, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CLINIC_SECRET", SECRET)
    put_all(app, [signed_with({"env": "CLINIC_SECRET"})])

    answer = put(app, signed_with("********"))

    assert answer.status_code in {200, 422}
    assert read(app, "TokenIntrospector/secret")["jwt"]["secret"] == {"env": "CLINIC_SECRET"}


def test_a_way_out_in_a_registry_file_ends_the_tokens_and_is_named(
    make_app: MakeApp, tmp_path: Path, folder: Path, issuer: Issuer
):
    (tmp_path / "outside").write_text(SECRET)
    good = [provider(), policy("p"), signed_with(SECRET)]
    app = make_app(good, **OPERATOR_SETTINGS, **AT_ONCE, FOREIGN_TOKEN_SECRET_DIRS=[str(folder)])
    assert ask(app, secret_token(issuer, SECRET)).status_code == 200

    write_registry(registry_of(app), [provider(), policy("p"), signed_with({"file": str(tmp_path / "outside")})])

    assert ask(app, secret_token(issuer, SECRET)).status_code == 503
    assert "SECRET_DIRS" in json.dumps(operate(app, "GET", "/fhir/health").json)


def test_no_log_shows_what_a_reference_leads_to(app: Flask, folder: Path, issuer: Issuer, caplog):
    caplog.set_level("DEBUG", logger="flask_foreign_token")
    (folder / "signing").write_text(SECRET)
    put_all(app, [signed_with({"file": str(folder / "signing")})])
    ask(app, secret_token(issuer, SECRET))
    (folder / "signing").write_text("short")
    ask(app, secret_token(issuer, SECRET))
    (folder / "signing").unlink()
    ask(app, secret_token(issuer, SECRET))

    assert SECRET not in "".join(r.getMessage() for r in caplog.records if r.name.startswith("flask_foreign_token"))
