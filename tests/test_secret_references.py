"""Secrets in files and variables, as requests, operators and logs meet them."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token.errors import Rejected
from flask_foreign_token.testing import Client, Issuer

from .admin.asking import ADMIN, operate
from .apps import SECRET_ISSUER, Resource, ask, introspector, policy, provider, secret_token, store
from .conftest import MakeApp
from .test_opaque_tokens import IN_FORCE

ONE = "the-first-secret-by-which-texts-are-signed"
TWO = "the-second-secret-by-which-texts-are-signed"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "secrets"
    made.mkdir()
    return made


@pytest.fixture
def app(make_app: MakeApp, folder: Path) -> Flask:
    """With the REST API and a registry in its database; files are named in `folder`."""
    return make_app(FOREIGN_TOKEN_SECRET_DIRS=[folder], **ADMIN)


def referring(secret: object, **jwt: object) -> list[Resource]:
    """Tokens of `SECRET_ISSUER` trusted."""
    return [
        provider(),
        introspector("secret", jwt={"iss": SECRET_ISSUER, "secret": secret, **jwt}),
        policy("known-issuer", {"jwt": {"iss": SECRET_ISSUER}}),
    ]


def replaced(path: Path, secret: str) -> dict[str, str]:
    """A file with `secret` in it, moved over what was there; and the reference to it."""
    beside = path.with_name("." + path.name)
    beside.write_text(secret + "\n", encoding="utf-8")
    beside.replace(path)
    return {"file": str(path)}


def mounted(folder: Path, secret: str, name: str) -> dict[str, str]:
    """As Kubernetes does it: a folder for each version, and one link that is switched; and the reference."""
    (folder / name).mkdir()
    (folder / name / "hs256").write_text(secret, encoding="utf-8")
    (folder / "..data_tmp").symlink_to(name)
    (folder / "..data_tmp").replace(folder / "..data")
    if not (folder / "hs256").is_symlink():
        (folder / "hs256").symlink_to("..data/hs256")
    return {"file": str(folder / "hs256")}


def statuses(app: Flask, *tokens: str) -> list[int]:
    return [ask(app, token).status_code for token in tokens]


def apply(app: Flask, body: Resource, **headers: str) -> Any:
    return operate(app, "PUT", f"/{body['resourceType']}/{body['id']}", body, headers=headers)


# ---- rotation


def test_a_secret_that_is_replaced_ends_its_tokens_without_a_restart(app: Flask, folder: Path, issuer: Issuer) -> None:
    store(app, referring(replaced(folder / "hs256", ONE)))
    old, new = secret_token(issuer, ONE), secret_token(issuer, TWO)
    before = statuses(app, old, old, new)

    replaced(folder / "hs256", TWO)

    assert before == [200, 200, 401]
    assert statuses(app, old, new, new) == [401, 200, 200]


def test_so_does_a_switch_of_links_as_kubernetes_does_it(app: Flask, folder: Path, issuer: Issuer) -> None:
    store(app, referring(mounted(folder, ONE, "..2024_01")))
    old, new = secret_token(issuer, ONE), secret_token(issuer, TWO)
    before = statuses(app, old, new)

    mounted(folder, TWO, "..2024_02")
    (folder / "..2024_01" / "hs256").unlink()
    (folder / "..2024_01").rmdir()

    assert before == [200, 401]
    assert statuses(app, old, new) == [401, 200]


def test_during_a_rotation_both_secrets_may_stand_in_keys(app: Flask, folder: Path, issuer: Issuer) -> None:
    files = [replaced(folder / "current", ONE), replaced(folder / "next", TWO)]
    keys = [{"kty": "OCT", "alg": "HS256", "format": "plain", "k": file} for file in files]
    described, introspecting, policies = referring(None)
    del introspecting["jwt"]["secret"]

    store(app, [described, introspecting | {"jwt": {**introspecting["jwt"], "keys": keys}}, policies])

    assert statuses(app, secret_token(issuer, ONE), secret_token(issuer, TWO)) == [200, 200]


def test_a_file_registry_follows_its_secrets_as_well(
    make_app: MakeApp, folder: Path, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced(folder / "hs256", ONE)
    monkeypatch.setenv("WHERE_SECRETS_ARE", str(folder))
    reference = {"file": "${WHERE_SECRETS_ARE}/hs256"}
    app = make_app(referring(reference), FOREIGN_TOKEN_SECRET_DIRS=[folder], FOREIGN_TOKEN_REGISTRY_POLL=0)
    old, new = secret_token(issuer, ONE), secret_token(issuer, TWO)
    before = statuses(app, old, new)

    replaced(folder / "hs256", TWO)

    assert before == [200, 401]
    assert statuses(app, old, new) == [401, 200]


def test_a_secret_that_is_gone_ends_its_tokens_until_it_is_back(app: Flask, folder: Path, issuer: Issuer) -> None:
    store(app, referring(replaced(folder / "hs256", ONE)))
    token = secret_token(issuer, ONE)
    before = statuses(app, token)

    (folder / "hs256").unlink()
    meanwhile = statuses(app, token)
    replaced(folder / "hs256", ONE)

    assert (before, meanwhile, statuses(app, token)) == ([200], [503], [200])


def test_a_file_that_becomes_a_link_out_of_the_folder_is_not_read(
    app: Flask, folder: Path, tmp_path: Path, issuer: Issuer
) -> None:
    store(app, referring(replaced(folder / "hs256", ONE)))
    replaced(tmp_path / "outside", TWO)

    (folder / "hs256").unlink()
    (folder / "hs256").symlink_to(tmp_path / "outside")

    assert statuses(app, secret_token(issuer, ONE), secret_token(issuer, TWO)) == [503, 503]


# ---- opaque tokens


def asking(issuer: Issuer, secret: object) -> list[Resource]:
    described, introspecting = issuer.resources(kind="opaque")
    introspecting["introspection_endpoint"]["client_secret"] = secret
    return [described, introspecting, IN_FORCE]


def test_the_provider_is_asked_with_the_secret_of_a_variable(
    app: Flask, own_issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGIN_SECRET", next(iter(own_issuer.clients.values())).secret)
    store(app, asking(own_issuer, {"env": "LOGIN_SECRET"}))

    assert ask(app, own_issuer.opaque_token(sub="ann")).json == {"subject": "ann"}


def test_what_was_said_to_the_old_credential_is_asked_for_anew(app: Flask, folder: Path, own_issuer: Issuer) -> None:
    secret = next(iter(own_issuer.clients.values())).secret
    store(app, asking(own_issuer, replaced(folder / "login", secret)))
    token = own_issuer.opaque_token(sub="ann")
    assert statuses(app, token, token) == [200, 200]
    asked = own_issuer.requests["introspection"]

    replaced(folder / "login", "another")

    assert (asked, statuses(app, token)) == (1, [503])
    assert own_issuer.requests["introspection"] == 2


def test_a_provider_that_refused_the_old_credential_is_asked_with_the_new_one_at_once(app: Flask, folder: Path) -> None:
    with Issuer(clients=[Client("api", "the-right-one")]) as issuer:
        store(app, asking(issuer, replaced(folder / "login", "the-wrong-one")))
        token = issuer.opaque_token(sub="ann")
        refused = statuses(app, token, token)
        asked = issuer.requests["introspection"]

        replaced(folder / "login", "the-right-one")

        assert (refused, asked, statuses(app, token)) == ([503, 503], 1, [200])


# ---- what is refused, and what only has a warning


@pytest.mark.parametrize(
    ("secret", "path"),
    [
        ({"file": "/run/secrets/../../etc/passwd"}, "jwt.secret"),
        ({"file": "{folder}/link"}, "jwt.secret"),
        ({"file": "{folder}/inner/hs256"}, "jwt.secret"),
        ({"file": "{folder}"}, "jwt.secret"),
        ({"file": "{folder}/short"}, "jwt.secret"),
        ({"file": "hs256"}, "jwt.secret.file"),
        ({"file": "{folder}/hs256\0"}, "jwt.secret.file"),
        ({"env": "FOREIGN_TOKEN_ADMIN_CLIENT_SECRET"}, "jwt.secret"),
        ({"env": "SECRET=x"}, "jwt.secret.env"),
        ({"env": {"env": "SECRET"}}, "jwt.secret.env"),
        ({"env": "SECRET", "file": "{folder}/hs256"}, "jwt.secret"),
        ({"env": "SECRET", "default": "x"}, "jwt.secret"),
        ({}, "jwt.secret"),
    ],
    ids=[
        "dots", "a link", "below a link", "a folder", "short", "relative", "NUL", "a setting", "no name", "nested",
        "both", "more", "nothing",
    ],
)  # fmt: skip
def test_what_must_not_be_named_is_refused_with_path_and_reason_and_changes_nothing(
    app: Flask, folder: Path, tmp_path: Path, secret: dict[str, Any], path: str
) -> None:
    replaced(tmp_path / "hs256", ONE)
    replaced(folder / "hs256", ONE)
    replaced(folder / "short", "short-secret")
    (folder / "link").symlink_to(tmp_path / "hs256")
    (folder / "inner").symlink_to(tmp_path)
    written = {name: value.format(folder=folder) if isinstance(value, str) else value for name, value in secret.items()}
    _, body, _ = referring(written)
    del body["identity_provider"]

    answer = apply(app, body)

    assert answer.status_code == 422
    assert [issue["path"] for issue in answer.json["issues"]] == [path]
    assert all(issue["message"] for issue in answer.json["issues"])
    assert "short-secret" not in answer.text
    assert operate(app, "GET", "/TokenIntrospector/secret").status_code == 404


def test_an_absent_secret_is_stored_with_a_warning_and_refused_where_that_is_asked_for(
    app: Flask, folder: Path, issuer: Issuer
) -> None:
    store(app, [provider(), policy("all", {"jwt": {"iss": SECRET_ISSUER}})])
    _, body, _ = referring({"file": str(folder / "hs256")})

    strict = apply(app, body, Prefer="handling=strict")
    stored = apply(app, body)
    before = statuses(app, secret_token(issuer, ONE))
    replaced(folder / "hs256", ONE)

    assert (strict.status_code, stored.status_code) == (422, 201)
    assert f"{folder}/hs256" in strict.text
    assert f"{folder}/hs256" in "".join(stored.headers.getlist("Warning"))
    assert (before, statuses(app, secret_token(issuer, ONE))) == ([503], [200])


def test_a_plain_secret_is_stored_with_a_warning_that_names_the_alternative(app: Flask, folder: Path) -> None:
    store(app, [provider()])
    _, body, _ = referring(ONE)

    strict = apply(app, body, Prefer="handling=strict")
    stored = apply(app, body)

    [warning] = stored.headers.getlist("Warning")
    assert (strict.status_code, stored.status_code) == (422, 201)
    assert str(folder) in warning
    assert ONE not in warning + strict.text


def test_an_edit_under_the_mask_has_no_warning(app: Flask) -> None:
    store(app, referring(ONE))

    read = operate(app, "GET", "/TokenIntrospector/secret").json
    answer = apply(app, read | {"cache_ttl": 5}, Prefer="handling=strict")

    assert answer.status_code == 200
    assert "Warning" not in answer.headers


def test_a_mask_in_place_of_a_reference_is_refused(app: Flask, folder: Path) -> None:
    store(app, referring(replaced(folder / "hs256", ONE)))
    _, body, _ = referring("********")

    answer = apply(app, body)

    assert (answer.status_code, answer.json["issues"][0]["path"]) == (422, "jwt.secret")


# ---- nothing shows what a reference leads to


def test_operators_see_references_and_nobody_sees_where_they_lead(
    app: Flask, folder: Path, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    app.debug = True
    reference = replaced(folder / "hs256", ONE)
    store(app, referring(reference))
    token = secret_token(issuer, ONE)
    said = [ask(app, token).text, ask(app, secret_token(issuer, TWO)).text]

    read = operate(app, "GET", "/TokenIntrospector/secret")
    found = operate(app, "GET", "/TokenIntrospector")
    for secret in (TWO, "short-secret"):
        replaced(folder / "hs256", secret)
        said += [ask(app, token).text, apply(app, read.json | {"cache_ttl": 5}).text]
    foreign_token = app.extensions["foreign_token"]
    with app.app_context():
        snapshot = foreign_token.runtime().registry.current()
        with pytest.raises(Rejected) as checked:
            foreign_token.runtime().registry.load()
    said += [read.text, found.text, repr(snapshot), repr(snapshot.parts), repr(snapshot.linked), repr(snapshot.secrets)]
    said += [str(checked.value), caplog.text]

    assert read.json["jwt"]["secret"] == reference
    assert found.json["entry"][0]["resource"]["jwt"]["secret"] == reference
    assert f"{folder}/hs256" not in said[0]
    assert [text for text in said for secret in (ONE, TWO, "short-secret") if secret in text] == []
    assert "jwt.secret: the secret is shorter" in caplog.text


def test_versions_of_the_registry_say_nothing_of_a_secret(app: Flask, folder: Path) -> None:
    store(app, referring(replaced(folder / "hs256", ONE)))
    before = operate(app, "GET", "/TokenIntrospector/secret").headers["ETag"]

    replaced(folder / "hs256", TWO)

    assert operate(app, "GET", "/TokenIntrospector/secret").headers["ETag"] == before


def test_what_is_written_back_is_the_reference(app: Flask, folder: Path) -> None:
    reference = replaced(folder / "hs256", ONE)
    store(app, referring(reference))

    read = operate(app, "GET", "/TokenIntrospector/secret").json

    assert apply(app, read).status_code == 200
    assert json.loads(operate(app, "GET", "/TokenIntrospector/secret").text)["jwt"]["secret"] == reference


# ---- settings


def test_only_variables_of_the_list_may_be_named(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGIN_SECRET", "DATABASE_PASSWORD"):
        monkeypatch.setenv(name, ONE)
    app = make_app(FOREIGN_TOKEN_SECRET_ENV=["LOGIN_*"], **ADMIN)
    store(app, [provider()])
    _, allowed, _ = referring({"env": "LOGIN_SECRET"})
    _, refused, _ = referring({"env": "DATABASE_PASSWORD"})

    assert apply(app, refused).status_code == 422
    assert apply(app, allowed).status_code == 201
