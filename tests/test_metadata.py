"""RFC 9728: the document, and the challenges that lead to it."""

from __future__ import annotations

import pytest

from flask_foreign_token import metadata
from flask_foreign_token.testing import Issuer

from .apps import SECRET_ISSUER, ask, policy, secret_token, trusting_a_secret
from .conftest import MakeApp

RESOURCE = "https://api.example.com/fhir"
PATH = "/.well-known/oauth-protected-resource/fhir"


@pytest.mark.parametrize(
    ("resource", "address"),
    [
        ("https://api.example.com", "https://api.example.com/.well-known/oauth-protected-resource"),
        ("https://api.example.com/", "https://api.example.com/.well-known/oauth-protected-resource"),
        ("https://api.example.com:8443/a/b", "https://api.example.com:8443/.well-known/oauth-protected-resource/a/b"),
    ],
)
def test_the_well_known_part_stands_between_host_and_path(resource: str, address: str) -> None:
    assert metadata.address_of(resource) == address


def test_the_document_names_the_issuers_to_anybody_and_comes_from_the_setting(make_app: MakeApp) -> None:
    app = make_app(trusting_a_secret(), FOREIGN_TOKEN_RESOURCE=RESOURCE, FOREIGN_TOKEN_PROTECT="all")

    answer = ask(app, None, PATH, headers={"Host": "evil.example"})

    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.json == {
        "resource": RESOURCE,
        "bearer_methods_supported": ["header"],
        "authorization_servers": [SECRET_ISSUER],
    }


def test_members_without_a_value_are_left_out(make_app: MakeApp) -> None:
    app = make_app([policy("all")], FOREIGN_TOKEN_RESOURCE=RESOURCE)

    assert "authorization_servers" not in ask(app, None, PATH).json


def test_without_a_resource_there_is_no_document_and_no_challenge_names_one(make_app: MakeApp) -> None:
    app = make_app(trusting_a_secret())

    assert ask(app, None, "/.well-known/oauth-protected-resource").status_code == 404
    assert "resource_metadata" not in ask(app, None).headers["WWW-Authenticate"]


@pytest.mark.parametrize(("claims", "status"), [(None, 401), ({"aud": "elsewhere"}, 401), ({}, 403)])
def test_every_challenge_names_the_document_whatever_the_host(
    make_app: MakeApp, issuer: Issuer, claims: dict[str, object] | None, status: int
) -> None:
    app = make_app(trusting_a_secret(policy("none", {"uri": "/nowhere"})), FOREIGN_TOKEN_RESOURCE=RESOURCE)
    token = None if claims is None else secret_token(issuer, **claims)

    answer = ask(app, token, headers={"Host": "evil.example"})

    assert answer.status_code == status
    assert f'resource_metadata="https://api.example.com{PATH}"' in answer.headers["WWW-Authenticate"]


def test_while_there_is_no_registry_there_is_no_document(make_app: MakeApp) -> None:
    app = make_app("[{", FOREIGN_TOKEN_RESOURCE=RESOURCE)

    assert ask(app, None, PATH).status_code == 503
