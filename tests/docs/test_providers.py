"""The resources of docs/providers.md: they load, and take tokens as the provider's documentation shows them.

Where they would call the provider, its keys and its userinfo are those of an issuer of ours.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import click
import pytest

from flask_foreign_token.cli.provider import add
from flask_foreign_token.testing import Issuer
from flask_foreign_token.testing import claims as claim_sets

from ..apps import Resource, ask, policy, rows
from ..conftest import MakeApp
from .pages import ROOT

PAGE = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
OF_KEYCLOAK = (*claim_sets.of_access_token("", "", {}, "", 0, 0), "email", "name", "preferred_username")
"""Claims that the issuer gives a token by itself."""

TENANT = "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000/v2.0"
API = "11111111-1111-1111-1111-111111111111"
CLIENT = "22222222-2222-2222-2222-222222222222"
AUTH0 = "https://example.eu.auth0.com/"
OKTA = "https://example.okta.com/oauth2/default"
GOOGLE = "https://accounts.google.com"
POOL = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_example"

ENTRA_USER: Mapping[str, object] = {
    "iss": TENANT,
    "aud": API,
    "azp": CLIENT,
    "azpacr": "0",
    "ver": "2.0",
    "scp": "Patients.Read",
    "name": "Ann",
    "oid": "33333333-3333-3333-3333-333333333333",
    "sub": "ann-as-this-app-sees-her",
    "nbf": 1700000000,
}
AUTH0_USER: Mapping[str, object] = {
    "iss": AUTH0,
    "sub": "auth0|ann",
    "client_id": "spa",
    "jti": "token-1",
    "aud": ["https://api.example.com", "https://example.eu.auth0.com/userinfo"],
    "scope": "openid read:patients",
}
OKTA_USER: Mapping[str, object] = {
    "iss": OKTA,
    "aud": "api://default",
    "sub": "ann@example.com",
    "uid": "00u1",
    "cid": "0oa1",
    "ver": 1,
    "jti": "AT.1",
    "scp": ["openid", "patients.read"],
}
COGNITO_USER: Mapping[str, object] = {
    "iss": POOL,
    "sub": "44444444-4444-4444-4444-444444444444",
    "client_id": "client-of-the-pool",
    "username": "ann",
    "token_use": "access",
    "scope": "openid patients/read",
    "cognito:groups": ["doctors"],
    "auth_time": 1700000000,
}
GOOGLE_PROGRAM: Mapping[str, object] = {
    "iss": GOOGLE,
    "aud": "https://api.example.com",
    "azp": "117",
    "sub": "117",
    "email_verified": True,
    "email": "robot@my-project.iam.gserviceaccount.com",
}

TAKEN = [
    ("Keycloak", {}, {"iss": "https://login.example.com/realms/myrealm", "aud": "https://api.example.com"}, None),
    ("Entra ID", {}, ENTRA_USER, "oid"),
    ("Entra ID", {}, {**ENTRA_USER, "scp": None, "roles": ["Patients.Read"]}, "oid"),
    ("Auth0", {"typ": "at+jwt"}, AUTH0_USER, "sub"),
    ("Okta", {"typ": None}, OKTA_USER, "uid"),
    ("Google", {}, GOOGLE_PROGRAM, "sub"),
    ("Cognito", {"typ": None}, COGNITO_USER, "sub"),
    ("oidc-provider, and any other", {"typ": "at+jwt"}, {**AUTH0_USER, "iss": "https://login.example.com"}, "sub"),
]
"""Provider, header, claims, and the claim that is who the user is."""

ANOTHER_AUDIENCE = "aud names another audience"
REFUSED = [
    ("Entra ID", {}, {**ENTRA_USER, "aud": CLIENT, "scp": None}, ANOTHER_AUDIENCE),
    ("Entra ID", {}, {**ENTRA_USER, "iss": TENANT.replace("0000/v2.0", "0001/v2.0")}, "the issuer is not known"),
    ("Auth0", {}, {**AUTH0_USER, "aud": "spa"}, "the typ of the header is not the one of an access token"),
    ("Auth0", {"typ": "at+jwt"}, {**AUTH0_USER, "aud": "https://billing.example.com"}, ANOTHER_AUDIENCE),
    ("Auth0", {"typ": "at+jwt"}, {**AUTH0_USER, "iss": AUTH0.rstrip("/")}, "the issuer is not known"),
    ("Okta", {}, {**OKTA_USER, "aud": "0oa1"}, ANOTHER_AUDIENCE),
    ("Okta", {}, {**OKTA_USER, "uid": None, "sub": "0oa1"}, "the subject is missing or not a text"),
    ("Google", {}, {**GOOGLE_PROGRAM, "at_hash": "hash-of-it"}, "a token with at_hash is not an access token"),
    ("Google", {}, {**GOOGLE_PROGRAM, "iss": "accounts.google.com"}, "the issuer is not known"),
    (
        "Cognito",
        {},
        {**COGNITO_USER, "token_use": "id", "aud": "client-of-the-pool"},
        "the claim token_use is not the one of an access token",
    ),
    ("Cognito", {}, {**COGNITO_USER, "client_id": "another-client"}, "the token was issued to another client"),
]
"""Provider, header, claims, and why."""


def sections() -> dict[str, list[Resource]]:
    """The resources below each heading."""
    found: dict[str, list[Resource]] = {}
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        blocks = re.findall(r"^```json\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
        found[section.splitlines()[0]] = [resource for block in blocks for resource in json.loads(block)]
    return {heading: resources for heading, resources in found.items() if resources}


def commands() -> Iterator[str]:
    """Every `provider add` on the page that is written out."""
    for code in re.findall(r"`([^`]+)`", PAGE):
        _, found, options = " ".join(code.split()).partition("provider add ")
        if found and "--issuer" in options:
            yield options


def served_by(issuer: Issuer, resources: list[Resource]) -> list[Resource]:
    """`resources`, with what would be called at `issuer`; nothing else of them is changed."""
    return [{**resource, **called_at(issuer, resource)} for resource in resources]


def called_at(issuer: Issuer, resource: Resource) -> Resource:
    if resource["resourceType"] == "IdentityProvider" and resource.get("userinfo-source") != "id-token":
        return {"userinfo_endpoint": issuer.userinfo_endpoint}
    return {"jwks_uri": issuer.jwks_uri} if resource.get("type") == "jwt" else {}


def token_of(issuer: Issuer, headers: Mapping[str, object], claims: Mapping[str, object]) -> str:
    """A token that says `claims`, and `exp` and `iat`, and nothing else."""
    nothing: dict[str, Any] = dict.fromkeys(name for name in OF_KEYCLOAK if name not in ("exp", "iat"))
    return issuer.token(headers=headers, **{**nothing, **claims})


@pytest.mark.parametrize("heading", sections())
def test_the_resources_of_a_section_load_together(make_app: MakeApp, heading: str) -> None:
    app = make_app([*sections()[heading], policy("all")])

    with app.app_context():
        app.extensions["foreign_token"].runtime().registry.load()


@pytest.mark.parametrize(("heading", "headers", "claims", "subject"), TAKEN)
def test_an_access_token_is_taken(
    make_app: MakeApp,
    issuer: Issuer,
    heading: str,
    headers: Mapping[str, object],
    claims: Mapping[str, object],
    subject: str | None,
) -> None:
    app = make_app([*served_by(issuer, sections()[heading]), policy("all")])
    token = issuer.token(**claims) if subject is None else token_of(issuer, headers, claims)

    answer = ask(app, token)

    assert (answer.status_code, answer.json.get("error_description")) == (200, None)
    if subject is not None:
        assert rows(app, "SELECT value FROM foreign_token_identifier") == [(claims[subject],)]


@pytest.mark.parametrize(("heading", "headers", "claims", "reason"), REFUSED)
def test_another_token_is_refused(
    make_app: MakeApp,
    issuer: Issuer,
    heading: str,
    headers: Mapping[str, object],
    claims: Mapping[str, object],
    reason: str,
) -> None:
    app = make_app([*served_by(issuer, sections()[heading]), policy("all")])

    answer = ask(app, token_of(issuer, headers, claims))

    assert (answer.status_code, answer.json["error_description"]) == (401, reason)


@pytest.mark.parametrize("options", list(commands()))
def test_a_command_has_options_that_there_are(options: str) -> None:
    with click.Context(click.Command("provider")) as parent:
        context = add.make_context("add", shlex.split(options), parent)

    assert context.params["issuer"]
