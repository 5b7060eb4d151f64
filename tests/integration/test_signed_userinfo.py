"""Userinfo that real providers sign: a user is made of what it says, if the keys and the client are the right ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from flask import Flask

from ..apps import Resource, ask, bearer, introspector, policy, provider, rows, users_in
from ..conftest import MakeApp
from . import oidc_provider as oidc
from . import representations
from .keycloak import MakeRealm, Realm
from .oidc_provider import OidcProvider

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
FROM_USERINFO = {"userinfo-source": "userinfo-endpoint"}


@pytest.fixture(scope="module")
def realm(make_realm: MakeRealm) -> Realm:
    """In which each algorithm has a client of its name, for which userinfo is signed with it."""
    keys = [representations.a_key(name) for name in (*ALGORITHMS, "HS512", "AES", "RSA-OAEP")]
    clients = [representations.a_client(name, user_info_response_signature_alg=name) for name in ALGORITHMS]
    return make_realm(
        {
            "components": {representations.KEY_PROVIDER: keys},
            "clients": [*clients, representations.a_client("my-api")],
            "users": [representations.a_person("ann")],
        }
    )


def below(realm: Realm, name: str) -> str:
    return f"{realm.url}/protocol/openid-connect/{name}"


def sign_in(realm: Realm, client: str) -> str:
    person = {"grant_type": "password", "username": "ann", "password": "password-of-ann", "scope": "openid email"}
    response = realm.token(client_id=client, client_secret=representations.secret_of(client), **person)
    return str(response.json()["access_token"])


def verifying(realm: Realm, **attributes: Any) -> list[Resource]:
    """An app that verifies the tokens of the realm."""
    jwt = {"iss": realm.issuer, "aud": representations.AUDIENCE}
    return [
        provider(**{"userinfo_endpoint": below(realm, "userinfo"), **FROM_USERINFO, **attributes}),
        introspector("keys", jwt=jwt, jwks_uri=below(realm, "certs")),
        policy("all"),
    ]


def asking(realm: Realm, **attributes: Any) -> list[Resource]:
    """An app that asks the realm about its tokens."""
    client = {"client_id": "my-api", "client_secret": representations.secret_of("my-api")}
    endpoint = {"url": below(realm, "token/introspect"), **client}
    described, _, all_ = verifying(realm, **attributes)
    jwt = {"iss": realm.issuer, "aud": representations.AUDIENCE}
    return [described, introspector("asking", jwt=jwt, type="opaque", introspection_endpoint=endpoint), all_]


def data_of_all(app: Flask) -> list[dict[str, Any]]:
    return [json.loads(data) for (data,) in rows(app, "SELECT data FROM foreign_token_identifier")]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_user_is_made_of_what_keycloak_signs(realm: Realm, make_app: MakeApp, algorithm: str) -> None:
    app = make_app(verifying(realm))
    token = sign_in(realm, algorithm)
    asked = requests.get(below(realm, "userinfo"), headers=bearer(token), timeout=30)
    assert asked.headers["Content-Type"].partition(";")[0] == "application/jwt"

    assert ask(app, token, "/me").status_code == 200

    [data] = data_of_all(app)
    assert data["email"] == "ann@example.com"
    assert (data["iss"], data["aud"]) == (realm.issuer, algorithm)


def test_where_keycloak_is_asked_about_tokens_the_keys_are_those_of_the_provider(
    realm: Realm, make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    token = sign_in(realm, "ES256")
    without, with_keys = make_app(asking(realm)), make_app(asking(realm, jwks_uri=below(realm, "certs")))

    refused, taken = ask(without, token, "/me"), ask(with_keys, token, "/me")

    assert (refused.status_code, users_in(without)) == (503, 0)
    assert "IdentityProvider/keycloak jwks_uri: is required where userinfo is signed" in caplog.text
    assert (taken.status_code, users_in(with_keys)) == (200, 1)


def test_what_is_signed_with_another_algorithm_than_the_introspector_permits_is_of_no_use(
    realm: Realm, make_app: MakeApp
) -> None:
    resources = verifying(realm)
    resources[1]["jwt"]["algorithms"] = ["RS256"]
    app = make_app(resources)

    answers = [ask(app, sign_in(realm, client), "/me") for client in ("ES256", "RS256")]

    assert [answer.status_code for answer in answers] == [503, 200]


def test_what_keycloak_signs_as_userinfo_opens_nothing(realm: Realm, make_app: MakeApp) -> None:
    app = make_app(verifying(realm))
    userinfo = requests.get(below(realm, "userinfo"), headers=bearer(sign_in(realm, "RS256")), timeout=30)

    answer = ask(app, userinfo.text, "/me")

    assert (answer.status_code, answer.json["error_description"]) == (401, "exp is missing")


def test_a_user_is_made_of_what_oidc_provider_signs(oidc_provider: OidcProvider, make_app: MakeApp) -> None:
    client, secret = oidc.API
    endpoint = {
        "url": f"{oidc_provider.url}/token/introspection",
        "client_id": client,
        "client_secret": secret,
    }
    # Its userinfo takes tokens that are for no API, and no others.
    body = introspector("asking", jwt={"iss": oidc_provider.issuer}, type="opaque", introspection_endpoint=endpoint)
    body["jwt"] = {"iss": oidc_provider.issuer, "client_id": oidc.SIGNED_FRONTEND[0]}
    app = make_app([provider(issuer=oidc_provider.issuer, **FROM_USERINFO), body, policy("all")])
    token = oidc_provider.tokens_of("ann", oidc.SIGNED_FRONTEND)["access_token"]

    answer = ask(app, token, "/me")

    assert answer.status_code == 200, answer.text
    [data] = data_of_all(app)
    assert data.items() >= {"sub": "ann", "iss": oidc_provider.issuer, "aud": oidc.SIGNED_FRONTEND[0]}.items()
