from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from flask import Flask

from example_app.providers import CALLED, FOLDER, ISSUER, Provider
from flask_foreign_token.testing import Issuer

from ..apps import ask
from .conftest import MakeExample
from .test_create_app import OPERATOR

RESOURCES = FOLDER / "resources.yaml"


def apply(app: Flask, file: Path) -> str:
    applied = app.test_cli_runner().invoke(args=["foreign-token", "apply", str(file)])
    assert applied.exit_code == 0, applied.output
    return applied.output


def test_its_addresses_are_those_of_a_keycloak_in_a_container() -> None:
    provider, introspector, policy = yaml.safe_load_all(RESOURCES.read_text(encoding="utf-8"))

    assert provider["userinfo_endpoint"] == f"{CALLED}/protocol/openid-connect/userinfo"
    assert introspector["jwks_uri"] == f"{CALLED}/protocol/openid-connect/certs"
    assert introspector["jwt"] == policy["matcho"]["jwt"] == {"iss": ISSUER}


def test_the_addresses_of_a_provider_take_their_place_even_where_they_begin_alike() -> None:
    issuer = called = f"{ISSUER}-demo"

    provider, introspector, policy = (yaml.safe_load(body) for _, body in Provider(issuer, called).resources())

    assert provider["userinfo_endpoint"] == f"{called}/protocol/openid-connect/userinfo"
    assert introspector["jwks_uri"] == f"{called}/protocol/openid-connect/certs"
    assert introspector["jwt"] == policy["matcho"]["jwt"] == {"iss": issuer}


def test_the_file_is_applied_as_it_is(make_example: MakeExample) -> None:
    said = apply(make_example(), RESOURCES)

    assert said.splitlines() == [
        "created IdentityProvider/keycloak",
        "created TokenIntrospector/keycloak-jwt-introspector",
        "created AccessPolicy/keycloak-users-policy",
    ]


def test_what_is_applied_lets_a_token_in(make_example: MakeExample, tutorial_issuer: Issuer, tmp_path: Path) -> None:
    app = make_example()
    file = tmp_path / "resources.yaml"
    file.write_text(RESOURCES.read_text(encoding="utf-8").replace(CALLED, tutorial_issuer.url), encoding="utf-8")

    apply(app, file)

    assert ask(app, tutorial_issuer.token(), "/fhir/Patient").status_code == 200


@pytest.mark.parametrize("headers", [{"Content-Type": "text/yaml"}, {}])
def test_the_operator_puts_them_one_by_one(
    make_example: MakeExample, tutorial_issuer: Issuer, headers: dict[str, str]
) -> None:
    app = make_example(FOREIGN_TOKEN_ADMIN_CLIENT_ID=OPERATOR[0], FOREIGN_TOKEN_ADMIN_CLIENT_SECRET=OPERATOR[1])
    provider = Provider(tutorial_issuer.issuer, tutorial_issuer.url)

    answers = [
        app.test_client().put(path, data=body, headers=headers, auth=OPERATOR) for path, body in provider.resources()
    ]

    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert ask(app, tutorial_issuer.token(), "/fhir/Patient").status_code == 200


def test_nobody_else_puts_them(make_example: MakeExample, tutorial_issuer: Issuer) -> None:
    app = make_example(FOREIGN_TOKEN_ADMIN_CLIENT_ID=OPERATOR[0], FOREIGN_TOKEN_ADMIN_CLIENT_SECRET=OPERATOR[1])
    provider = Provider(tutorial_issuer.issuer, tutorial_issuer.url)

    answers = [
        app.test_client().put(path, data=body, auth=("operator", "guessed")) for path, body in provider.resources()
    ]

    assert [answer.status_code for answer in answers] == [401, 401, 401]
