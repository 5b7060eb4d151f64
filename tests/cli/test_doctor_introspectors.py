"""What `doctor` says where the ID is that of an introspector, and where the secret of one is not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from ..apps import (
    SECRET,
    SECRET_ISSUER,
    Resource,
    in_database,
    introspector,
    policy,
    provider,
    store,
    trusting_a_secret,
)
from ..conftest import MakeApp
from .commands import REGISTRIES, run

POLICY = policy("known-issuer", {"jwt": {"iss": SECRET_ISSUER}})


def found(app: Flask, *arguments: str, mark: str = "failed") -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(run(app, "doctor", "--json", *arguments).stdout)
    return [entry for entry in entries if entry["mark"] == mark]


def signed_with(secret: object, name: str = "secret", of: str | None = "keycloak", **attributes: object) -> Resource:
    return introspector(name, of, jwt={"iss": SECRET_ISSUER, "secret": secret}, **attributes)


# ---- a secret that is not there


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    return folder


def awaiting_a_file(make_app: MakeApp, secrets: Path, registry: str, **attributes: object) -> Flask:
    app = make_app([] if registry == "file" else None, FOREIGN_TOKEN_SECRET_DIRS=[str(secrets)])
    store(app, [provider(), signed_with({"file": str(secrets / "partner")}, **attributes), POLICY])
    return app


@pytest.mark.parametrize("registry", REGISTRIES)
def test_a_file_that_is_missing_is_one_failure_that_is_mended_by_putting_it_there(
    make_app: MakeApp, secrets: Path, registry: str
) -> None:
    app = awaiting_a_file(make_app, secrets, registry)

    [failure] = found(app)

    assert (failure["check"], failure["provider"], failure["command"]) == ("introspector", "keycloak", [])
    assert f"the file {secrets}/partner cannot be read: No such file or directory" in failure["found"]
    assert failure["remedy"] == [
        f"Put the secret into the file {secrets}/partner, where the user that runs the app may read it.",
        "A file is read within FOREIGN_TOKEN_REGISTRY_POLL, a second by default.",
        "What is stored needs no change.",
    ]
    (secrets / "partner").write_text(SECRET)
    assert found(app) == []


def test_so_is_a_variable_after_which_the_app_is_started_again(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PARTNER_SECRET", raising=False)
    app = make_app([provider(), signed_with({"env": "PARTNER_SECRET"}), POLICY])

    [failure] = found(app)

    assert failure["check"] == "introspector"
    assert failure["remedy"] == [
        "Set the variable PARTNER_SECRET for the app, and start it again; it must be set for this command too.",
        "What is stored needs no change.",
    ]


def test_of_one_that_is_not_looked_at_it_is_still_said(make_app: MakeApp, secrets: Path) -> None:
    app = awaiting_a_file(make_app, secrets, "file")
    store(app, [provider("other"), introspector("other", "other", jwt={"iss": "urn:other", "secret": SECRET})])

    [failure] = found(app, "other")

    assert (failure["check"], failure["provider"]) == ("registry", None)
    assert failure["remedy"][-1] == "What is stored needs no change."


def test_so_it_is_of_one_that_is_not_active(make_app: MakeApp, secrets: Path) -> None:
    app = awaiting_a_file(make_app, secrets, "file", active=False)

    assert "registry" in {failure["check"] for failure in found(app)}


def test_a_secret_that_is_there_and_no_good_is_to_be_corrected(make_app: MakeApp, secrets: Path) -> None:
    app = awaiting_a_file(make_app, secrets, "file")
    (secrets / "partner").write_text("short")

    [failure] = found(app)

    assert failure["check"] == "introspector"
    assert failure["remedy"][0].startswith("Where the secret is named by env or file")
    assert failure["command"]


def test_a_client_whose_secret_is_missing_fails_once_though_tokens_would_be_asked_for_as_it(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOGIN_SECRET", raising=False)
    client = {"id": "c", "secret": {"env": "LOGIN_SECRET"}}
    asked = provider(client=client, introspection_endpoint="http://127.0.0.1:1/introspect")
    app = make_app([asked, introspector("o", type="opaque", jwt={}), policy("p", {"token": "present?"})])

    failures = found(app, "keycloak")

    [failure] = [failure for failure in failures if "LOGIN_SECRET" in failure["found"]]
    assert failure["check"] == "introspector"
    assert "LOGIN_SECRET" in failure["remedy"][0]


# ---- the id of an introspector


def test_the_id_of_an_introspector_examines_it_with_its_provider(make_app: MakeApp) -> None:
    app = make_app([provider("other"), *trusting_a_secret()])

    result = run(app, "doctor", "secret")

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("IdentityProvider/keycloak\n")
    assert "TokenIntrospector/secret takes tokens of" in result.stdout
    assert "IdentityProvider/other" not in result.stdout


def test_one_that_belongs_to_no_provider_is_examined_alone(make_app: MakeApp) -> None:
    app = make_app([signed_with(SECRET, of=None), provider("other"), POLICY])

    result = run(app, "doctor", "secret")

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("TokenIntrospector/secret\n")
    assert "provider add" not in result.stdout


def test_one_that_is_asked_for_should_be_active(make_app: MakeApp) -> None:
    app = make_app([signed_with(SECRET, of=None, active=False), POLICY])

    [failure] = found(app, "secret")

    assert failure["found"] == "TokenIntrospector/secret is not active, so none of its tokens is taken"
    assert "get TokenIntrospector secret" in failure["command"][0]
    assert found(app) == []


def test_a_provider_of_that_id_comes_first(make_app: MakeApp) -> None:
    own = introspector("own", "same", jwt={"iss": "urn:own", "secret": SECRET})
    app = make_app([provider("same"), own, signed_with(SECRET, "same", of=None), POLICY])

    assert run(app, "doctor", "same").stdout.startswith("IdentityProvider/same\n")


def test_one_that_is_left_out_is_called_so(make_app: MakeApp, tmp_path: Path) -> None:
    place = f"sqlite:///{tmp_path}/clinic.sqlite"
    store(make_app(SQLALCHEMY_DATABASE_URI=place), trusting_a_secret())
    app = make_app(SQLALCHEMY_DATABASE_URI=place)
    spoil(app)

    [failure] = [failure for failure in found(app, "secret") if failure["check"] == "introspector"]

    assert failure["found"].startswith("TokenIntrospector/secret is left out as if it were not stored: ")
    assert failure["provider"] is None


def spoil(app: Flask) -> None:
    """Let what is stored for the introspector be no resource."""
    statement = text("UPDATE foreign_token_resource SET body = '{' WHERE id = 'secret'")
    in_database(app, lambda connection: connection.execute(statement))


def test_a_login_is_of_no_use_without_a_provider(make_app: MakeApp) -> None:
    app = make_app([signed_with(SECRET, of=None), POLICY])

    result = run(app, "doctor", "secret", "--client-id", "c")

    assert result.exit_code == 1
    assert "that introspector belongs to no provider that has a login" in result.stderr


def test_an_id_of_nothing_names_an_introspector_that_may_be_meant(make_app: MakeApp) -> None:
    [failure] = found(make_app(trusting_a_secret()), "secrte")

    assert failure["found"] == "IdentityProvider/secrte is not stored; did you mean secret?"
    assert failure["command"] == ["flask foreign-token doctor secret"]
