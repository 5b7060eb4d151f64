"""Secrets by reference: read where they are, again when they change, and from nowhere else."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from flask_foreign_token.testing import Issuer

from ..apps import (
    SECRET_ISSUER,
    Resource,
    ask,
    introspector,
    policy,
    provider,
    secret_token,
)
from ..conftest import MakeApp
from ..integration.waiting import until
from .callers import OPERATOR_SETTINGS, operate, put, put_all, read, run, write
from .registries import AT_ONCE, Mounted, health, signed_with, worker
from .tokens import OPAQUE, Server, active, asked_at

OLD, NEW = "the-old-secret-that-signs-all-of-our-texts", "the-new-secret-that-signs-all-of-our-texts"
VARIABLE = "CLINIC_SIGNING_SECRET"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder in which files may be named."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    return folder


@pytest.fixture
def app(make_app: MakeApp, tmp_path: Path, folder: Path) -> Flask:
    app = worker(make_app, tmp_path / "app.sqlite", FOREIGN_TOKEN_SECRET_DIRS=[str(folder)])
    put_all(app, [provider(), policy("known-issuer", {"jwt": {"iss": SECRET_ISSUER}})])
    return app


def keyed_with(reference: object) -> Resource:
    keys = [{"kty": "OCT", "alg": "HS256", "format": "plain", "k": reference}]
    return introspector("secret", jwt={"iss": SECRET_ISSUER, "keys": keys})


SIGNED: list[Callable[[object], Resource]] = [signed_with, keyed_with]


def stored(app: Flask, resource: Resource) -> TestResponse:
    answer = put(app, resource)
    assert answer.status_code in {200, 201}, answer.get_data(as_text=True)
    return answer


def warned(answer: TestResponse) -> str:
    return " ".join(answer.headers.getlist("Warning"))


# ---- what a reference does


@pytest.mark.parametrize("made", SIGNED, ids=lambda made: made.__name__)
def test_a_variable_gives_the_secret(app: Flask, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, made):
    monkeypatch.setenv(VARIABLE, OLD)

    answer = stored(app, made({"env": VARIABLE}))

    assert warned(answer) == ""
    assert ask(app, secret_token(issuer, OLD)).status_code == 200
    assert ask(app, secret_token(issuer, NEW)).status_code == 401


@pytest.mark.parametrize("made", SIGNED, ids=lambda made: made.__name__)
@pytest.mark.parametrize("end", ["", "\n"], ids=["bare", "newline"])
def test_a_file_gives_the_secret(app: Flask, folder: Path, issuer: Issuer, made, end: str):
    (folder / "signing").write_text(OLD + end)

    answer = stored(app, made({"file": str(folder / "signing")}))

    assert warned(answer) == ""
    assert ask(app, secret_token(issuer, OLD)).status_code == 200
    assert ask(app, secret_token(issuer, OLD + "\n")).status_code == 401


def test_one_newline_only_is_not_part_of_the_secret(app: Flask, folder: Path, issuer: Issuer):
    (folder / "signing").write_text(OLD + "\n\n")

    stored(app, signed_with({"file": str(folder / "signing")}))

    assert ask(app, secret_token(issuer, OLD + "\n")).status_code == 200
    assert ask(app, secret_token(issuer, OLD)).status_code == 401


@pytest.mark.parametrize("made", SIGNED, ids=lambda made: made.__name__)
def test_a_reference_is_shown_as_it_is_and_its_secret_never(app: Flask, folder: Path, made, monkeypatch):
    monkeypatch.setenv(VARIABLE, OLD)
    (folder / "signing").write_text(OLD)
    for reference in ({"env": VARIABLE}, {"file": str(folder / "signing")}):
        said = stored(app, made(reference)).get_data(as_text=True)
        said += json.dumps(read(app, "TokenIntrospector/secret")) + run(app, "export", "--json").stdout
        said += json.dumps(health(app))
        assert OLD not in said
        assert "********" not in said
        assert str(next(iter(reference.values()))) in said


def test_what_is_read_back_can_be_written_back(app: Flask, folder: Path, issuer: Issuer):
    (folder / "signing").write_text(OLD)
    stored(app, signed_with({"file": str(folder / "signing")}))

    stored(app, read(app, "TokenIntrospector/secret"))

    assert ask(app, secret_token(issuer, OLD)).status_code == 200


@pytest.mark.parametrize("made", SIGNED, ids=lambda made: made.__name__)
def test_a_file_that_changes_is_read_again(app: Flask, folder: Path, issuer: Issuer, made):
    (folder / "signing").write_text(OLD)
    stored(app, made({"file": str(folder / "signing")}))
    old, new = secret_token(issuer, OLD), secret_token(issuer, NEW)
    assert [ask(app, token).status_code for token in (old, new)] == [200, 401]

    (folder / "signing").write_text(NEW)

    assert [ask(app, token).status_code for token in (old, new)] == [401, 200]


def test_a_file_that_changes_is_read_again_where_a_worker_polls(app: Flask, make_app: MakeApp, folder, issuer: Issuer):
    (folder / "signing").write_text(OLD)
    stored(app, signed_with({"file": str(folder / "signing")}))
    settings = {"FOREIGN_TOKEN_SECRET_DIRS": [str(folder)], "FOREIGN_TOKEN_REGISTRY_POLL": 0.2}
    other = worker(make_app, app.config["SQLALCHEMY_DATABASE_URI"], **settings)
    token = secret_token(issuer, OLD)
    assert ask(other, token).status_code == 200

    (folder / "signing").write_text(NEW)

    until(lambda status: status == 401, lambda: ask(other, token).status_code)


def test_a_mounted_secret_that_is_switched_is_read_again(make_app: MakeApp, tmp_path: Path, issuer: Issuer):
    volume = Mounted(tmp_path / "volume")
    volume.switch(signing=OLD)
    app = worker(make_app, tmp_path / "m.sqlite", FOREIGN_TOKEN_SECRET_DIRS=[str(volume.folder)])
    put_all(app, [provider(), policy("p"), signed_with({"file": str(volume.folder / "signing")})])
    old, new = secret_token(issuer, OLD), secret_token(issuer, NEW)
    assert [ask(app, token).status_code for token in (old, new)] == [200, 401]

    volume.switch(signing=NEW)

    assert [ask(app, token).status_code for token in (old, new)] == [401, 200]


def asking(server: Server, **endpoint: object) -> list[Resource]:
    body = asked_at(f"{server.url}/introspect")
    body[1]["introspection_endpoint"] = {"url": f"{server.url}/introspect", **endpoint}
    server.pages["/introspect"] = active()
    return body


def sent(server: Server) -> str:
    """The credential that the endpoint was shown at last."""
    call = [call for call in server.calls if call.path == "/introspect"][-1]
    return call.headers.get("Authorization", "") + json.dumps(call.form)


def basic_of(name: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


def test_client_secret_of_an_endpoint_may_be_a_reference_and_follows_the_file(app: Flask, folder: Path, server: Server):
    (folder / "client").write_text("first-client-secret")
    put_all(app, asking(server, client_id="clinic", client_secret={"file": str(folder / "client")}))
    assert ask(app, OPAQUE).status_code == 200
    assert basic_of("clinic", "first-client-secret") in sent(server)

    (folder / "client").write_text("second-client-secret")

    assert ask(app, OPAQUE).status_code == 200
    assert basic_of("clinic", "second-client-secret") in sent(server)


def test_authorization_of_an_endpoint_may_be_a_reference(app: Flask, monkeypatch, server: Server):
    monkeypatch.setenv(VARIABLE, "Bearer the-credential-of-the-clinic")

    put_all(app, asking(server, authorization={"env": VARIABLE}))

    assert ask(app, OPAQUE).status_code == 200
    assert "Bearer the-credential-of-the-clinic" in sent(server)


def test_the_secret_of_a_providers_client_may_be_a_reference(app: Flask, folder: Path, server: Server):
    (folder / "client").write_text("first-client-secret")
    first, second, third = asking(server)
    del second["introspection_endpoint"]
    first["introspection_endpoint"] = f"{server.url}/introspect"
    first["client"] = {"id": "clinic", "secret": {"file": str(folder / "client")}}
    put_all(app, [first, second, third])
    assert ask(app, OPAQUE).status_code == 200
    assert basic_of("clinic", "first-client-secret") in sent(server)

    (folder / "client").write_text("second-client-secret")

    assert ask(app, OPAQUE).status_code == 200
    assert basic_of("clinic", "second-client-secret") in sent(server)


def test_a_registry_file_may_name_secrets_too(make_app: MakeApp, folder: Path, issuer: Issuer):
    (folder / "signing").write_text(OLD)
    resources = [provider(), policy("p"), signed_with({"file": str(folder / "signing")})]
    app = make_app(resources, **OPERATOR_SETTINGS, **AT_ONCE, FOREIGN_TOKEN_SECRET_DIRS=[str(folder)])
    old, new = secret_token(issuer, OLD), secret_token(issuer, NEW)
    assert [ask(app, token).status_code for token in (old, new)] == [200, 401]

    (folder / "signing").write_text(NEW)

    assert [ask(app, token).status_code for token in (old, new)] == [401, 200]


# ---- what is not there (yet)


def test_a_file_that_is_not_there_yet_is_warned_of_and_taken_when_it_comes(app: Flask, folder: Path, issuer: Issuer):
    answer = stored(app, signed_with({"file": str(folder / "later")}))
    assert "jwt.secret" in warned(answer)
    assert str(folder / "later") in warned(answer)
    assert ask(app, secret_token(issuer, OLD)).status_code == 503
    assert "TokenIntrospector/secret" in run(app, "doctor", status=1).output

    (folder / "later").write_text(OLD)

    assert ask(app, secret_token(issuer, OLD)).status_code == 200


def test_a_variable_that_is_not_set_is_warned_of_and_out_of_service(app: Flask, issuer: Issuer, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)

    answer = stored(app, signed_with({"env": VARIABLE}))

    assert VARIABLE in warned(answer)
    assert ask(app, secret_token(issuer, OLD)).status_code == 503
    assert VARIABLE in json.dumps(health(app))


@pytest.mark.parametrize(
    "content",
    [None, "", " \n", "short", "x" * 70_000, b"\xff" * 40],
    ids=["gone", "empty", "blank", "short", "large", "no text"],
)
def test_a_file_that_becomes_unusable_ends_its_tokens(app: Flask, folder: Path, issuer: Issuer, content):
    file = folder / "signing"
    file.write_text(OLD)
    stored(app, signed_with({"file": str(file)}))
    token = secret_token(issuer, OLD)
    assert ask(app, token).status_code == 200

    file.unlink() if content is None else file.write_bytes(content if isinstance(content, bytes) else content.encode())

    assert ask(app, token).status_code == 503
    file.write_text(OLD)
    assert ask(app, token).status_code == 200


# ---- what is refused


def refused_at(app: Flask, resource: Resource, path: str = "jwt.secret") -> str:
    answer = put(app, resource)
    said = answer.get_data(as_text=True)
    assert answer.status_code == 422, said
    assert any(issue["path"].startswith(path) and issue["message"] for issue in answer.json["issues"]), said
    assert operate(app, "GET", "/fhir/TokenIntrospector/secret").status_code == 404
    return said


@pytest.fixture
def outside(tmp_path: Path, folder: Path) -> dict[str, str]:
    """Ways out of the folder."""
    secret = tmp_path / "outside" / "signing"
    secret.parent.mkdir()
    secret.write_text(OLD)
    (folder / "link").symlink_to(secret)
    (folder / "folder").symlink_to(secret.parent)
    (folder / "twice").symlink_to("link")
    (folder.parent / "secrets-of-others").mkdir()
    (folder.parent / "secrets-of-others" / "signing").write_text(OLD)
    (folder / "inside").write_text(OLD)
    return {
        "elsewhere": str(secret),
        "up": f"{folder}/../outside/signing",
        "a link": f"{folder}/link",
        "a link to a folder": f"{folder}/folder/signing",
        "a link to a link": f"{folder}/twice",
        "a name that begins alike": f"{folder}-of-others/signing",
        "relative": "inside",
        "relative and up": "../secrets/inside",
        "the folder": str(folder),
        "the root": "/",
        "a process": "/proc/self/environ",
        "empty": "",
        "a zero": f"{folder}/inside\x00",
        "a URL": f"file://{folder}/inside",
        "a home": "~/inside",
        "a variable": "$HOME/inside",
    }


WAYS = ["elsewhere", "up", "a link", "a link to a folder", "a link to a link", "a name that begins alike", "relative"]
WAYS += ["relative and up", "the folder", "the root", "a process", "empty", "a zero", "a URL", "a home", "a variable"]


@pytest.mark.parametrize("way", WAYS)
def test_a_file_outside_the_folders_is_refused(app: Flask, outside: dict[str, str], way: str):
    said = refused_at(app, signed_with({"file": outside[way]}))

    assert OLD not in said


@pytest.mark.parametrize("way", ["elsewhere", "a link", "a link to a folder"])
def test_apply_refuses_it_too(app: Flask, outside: dict[str, str], tmp_path: Path, way: str):
    result = run(app, "apply", write(tmp_path, "s.json", signed_with({"file": outside[way]})), "--yes", status=1)

    assert "TokenIntrospector/secret" in result.stderr
    assert "jwt.secret" in result.stderr
    assert "SECRET_DIRS" in result.stderr


def test_a_link_that_leads_elsewhere_within_the_folders_is_followed(app: Flask, folder: Path, issuer: Issuer):
    (folder / "real").write_text(OLD)
    (folder / "link").symlink_to("real")

    stored(app, signed_with({"file": str(folder / "link")}))

    assert ask(app, secret_token(issuer, OLD)).status_code == 200


def test_a_link_that_is_turned_outwards_later_ends_its_tokens(app: Flask, folder: Path, outside, issuer: Issuer):
    (folder / "signing").write_text(OLD)
    stored(app, signed_with({"file": str(folder / "signing")}))
    assert ask(app, secret_token(issuer, OLD)).status_code == 200

    (folder / "signing").unlink()
    (folder / "signing").symlink_to(outside["elsewhere"])

    assert ask(app, secret_token(issuer, OLD)).status_code == 503
