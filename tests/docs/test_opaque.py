"""The resources by which docs/opaque.md has Keycloak asked about its JWTs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from flask_foreign_token.testing import Client, Issuer

from ..apps import Resource, ask
from ..conftest import MakeApp
from .pages import ROOT

REALM = "https://login.example.com/realms/myrealm"
AUDIENCE = "https://patients.example.com"

_SECTION = (ROOT / "docs" / "opaque.md").read_text(encoding="utf-8").partition("\n## JWTs\n")[2].partition("\n## ")[0]
(RESOURCES,) = re.findall(r"^```json\n(.*?)^```$", _SECTION, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def realm() -> Iterator[Issuer]:
    with Issuer(REALM, clients=[Client("patients-api", "the-secret-of-the-api")]) as issuer:
        yield issuer


def served_by(issuer: Issuer) -> list[Resource]:
    """The resources with the endpoints of `issuer`, by the page's paths; its name stays."""
    text = RESOURCES.replace(f"{REALM}/protocol", f"{issuer.url}/protocol")
    return list(json.loads(text))


def test_a_jwt_is_taken_until_it_is_revoked(make_app: MakeApp, realm: Issuer) -> None:
    resources = served_by(realm)
    app = make_app(resources)
    token, revoked = realm.token(aud=AUDIENCE, sub="alice"), realm.token(aud=AUDIENCE, sub="bob")
    realm.revoke(revoked)

    assert ask(app, token).status_code == 200
    assert ask(app, revoked).json["error_description"] == "the token is not active"


def test_the_client_and_the_issuer_of_the_provider_do_as_well(make_app: MakeApp) -> None:
    # Discovery is at the issuer, so that here it has the name of its own address.
    with Issuer(clients=[Client("patients-api", "the-secret-of-the-api")]) as issuer:
        provider, introspector, policy = json.loads(RESOURCES.replace(REALM, issuer.url))
        asked = introspector.pop("introspection_endpoint")
        provider["client"] = {"id": asked["client_id"], "secret": asked["client_secret"]}

        assert ask(make_app([provider, introspector, policy]), issuer.token(aud=AUDIENCE)).status_code == 200


def test_what_verifies_the_same_jwts_must_go_first(make_app: MakeApp, realm: Issuer) -> None:
    provider, introspector, policy = served_by(realm)
    verifying = {**realm.resources()[1], "identity_provider": introspector["identity_provider"]}
    without_issuer = {**introspector, "jwt": {"aud": AUDIENCE}}

    both = make_app([provider, verifying, introspector, policy])
    beside = make_app([provider, verifying, without_issuer, policy])

    assert ask(both, realm.token(aud=AUDIENCE)).status_code == 503
    # It is taken, and the policy is on `token`.
    assert ask(beside, realm.token()).json["error"] == "access_denied"
