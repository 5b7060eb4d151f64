from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3
from authlib.oidc.discovery import OpenIDProviderMetadata, get_well_known_url
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from flask_foreign_token.testing import Client, Issuer, Person

WORKER = Client("worker", "worker-secret", scopes=("openid", "profile", "email", "patient.read"))
ALICE = Person("alice", "wonderland", {"email": "alice@example.com", "given_name": "Alice"})
BASIC = urllib3.make_headers(basic_auth="worker:worker-secret")
POST = {"client_id": "worker", "client_secret": "worker-secret"}
LOGIN = {"grant_type": "password", "username": "alice", "password": "wonderland"}


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with Issuer(clients=[WORKER], people=[ALICE]) as issuer:
        yield issuer


def post(
    http: urllib3.PoolManager, url: str, fields: dict[str, str], headers: dict[str, str] | None = None
) -> urllib3.BaseHTTPResponse:
    return http.request_encode_body("POST", url, fields=fields, headers=headers, encode_multipart=False)


def claims_of(http: urllib3.PoolManager, issuer: Issuer, token: str) -> dict[str, Any]:
    """`token` verified as any client would: with the keys served and nothing else."""
    served = KeySet.import_key_set(http.request("GET", issuer.jwks_uri).json())
    verified = jwt.decode(token, served, algorithms=["RS256"])
    assert verified.header["typ"] == "JWT"
    return verified.claims


def userinfo(http: urllib3.PoolManager, issuer: Issuer, token: str, method: str = "GET") -> urllib3.BaseHTTPResponse:
    return http.request(method, issuer.userinfo_endpoint, headers={"Authorization": f"Bearer {token}"})


def test_discovery_is_what_openid_connect_demands(http: urllib3.PoolManager, issuer: Issuer) -> None:
    metadata = http.request("GET", get_well_known_url(issuer.issuer, external=True)).json()

    OpenIDProviderMetadata(metadata).validate()
    assert metadata["issuer"] == issuer.issuer
    assert metadata["jwks_uri"] == issuer.jwks_uri
    assert metadata["token_endpoint"] == issuer.token_endpoint
    assert metadata["userinfo_endpoint"] == issuer.userinfo_endpoint
    assert metadata["introspection_endpoint"] == issuer.introspection_endpoint
    assert "patient.read" in metadata["scopes_supported"]


def test_discovery_is_also_where_rfc_8414_looks_for_it(http: urllib3.PoolManager, issuer: Issuer) -> None:
    base = issuer.url.removesuffix(issuer.path)
    metadata = http.request("GET", f"{base}/.well-known/oauth-authorization-server{issuer.path}").json()

    assert metadata == http.request("GET", issuer.discovery_url).json()


@pytest.mark.parametrize(("fields", "headers"), [(POST, {}), ({}, BASIC)], ids=["post", "basic"])
def test_a_client_gets_a_token_for_itself(
    http: urllib3.PoolManager, issuer: Issuer, fields: dict[str, str], headers: dict[str, str]
) -> None:
    form = {"grant_type": "client_credentials", "scope": "openid patient.read", **fields}

    answer = post(http, issuer.token_endpoint, form, headers)

    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.json()
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 300, "openid patient.read")
    claims = claims_of(http, issuer, body["access_token"])
    assert claims.items() >= {"client_id": "worker", "azp": "worker", "scope": "openid patient.read"}.items()
    assert claims["sub"] == WORKER.service_account.subject
    assert claims["exp"] - claims["iat"] == 300


def test_a_person_logs_in_with_a_password(http: urllib3.PoolManager, issuer: Issuer) -> None:
    answer = post(http, issuer.token_endpoint, {**POST, **LOGIN, "scope": "openid email"})

    claims = claims_of(http, issuer, answer.json()["access_token"])
    assert claims.items() >= {"sub": ALICE.subject, "email": "alice@example.com", "scope": "openid email"}.items()
    assert "given_name" not in claims
    assert "client_id" not in claims


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({**LOGIN, **POST, "password": "looking-glass"}, 400, "invalid_grant"),
        ({**LOGIN, **POST, "username": "nobody"}, 400, "invalid_grant"),
        ({**LOGIN, **POST, "username": "service-account-worker", "password": ""}, 400, "invalid_grant"),
        ({**LOGIN, **POST, "client_secret": "wrong"}, 401, "invalid_client"),
        ({**LOGIN, **POST, "client_id": "nobody"}, 400, "invalid_client"),
        ({"grant_type": "client_credentials"}, 401, "invalid_client"),
        ({"grant_type": "client_credentials", **POST, "scope": "patient.write"}, 400, "invalid_scope"),
        ({"grant_type": "refresh_token", **POST}, 400, "unsupported_grant_type"),
    ],
)
def test_who_may_not_have_a_token_is_told_why(
    http: urllib3.PoolManager, issuer: Issuer, form: dict[str, str], status: int, error: str
) -> None:
    answer = post(http, issuer.token_endpoint, form)

    assert (answer.status, answer.json()["error"]) == (status, error)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_userinfo_tells_of_the_person_who_logged_in(http: urllib3.PoolManager, issuer: Issuer, method: str) -> None:
    token = post(http, issuer.token_endpoint, {**POST, **LOGIN, "scope": "openid profile email"}).json()["access_token"]

    answer = userinfo(http, issuer, token, method)

    assert answer.status == 200
    assert answer.json() == ALICE.profile


def test_userinfo_tells_of_a_service_account_what_the_tutorial_shows(http: urllib3.PoolManager, issuer: Issuer) -> None:
    form = {**POST, "grant_type": "client_credentials", "scope": "openid profile email"}
    token = post(http, issuer.token_endpoint, form).json()["access_token"]

    assert userinfo(http, issuer, token).json() == {
        "sub": WORKER.service_account.subject,
        "email_verified": False,
        "preferred_username": "service-account-worker",
    }


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_userinfo_answers_for_a_token_that_a_test_made(
    http: urllib3.PoolManager, issuer: Issuer, algorithm: str
) -> None:
    token = issuer.token(sub="bob", ward=7, algorithm=algorithm)

    assert userinfo(http, issuer, token).json() == {"sub": "bob", "ward": 7}


def test_userinfo_wants_the_scope_openid(http: urllib3.PoolManager, issuer: Issuer) -> None:
    token = post(http, issuer.token_endpoint, {**POST, "grant_type": "client_credentials"}).json()["access_token"]

    answer = userinfo(http, issuer, token)

    assert (answer.status, answer.json()["error"]) == (403, "insufficient_scope")


def test_userinfo_refuses_a_token_that_is_not_good(http: urllib3.PoolManager, issuer: Issuer) -> None:
    for token in (
        "no-token",
        issuer.token(lifetime=-60),
        issuer.token(exp=None),
        issuer.token(algorithm="none"),
        issuer.token(key=RSAKey.generate_key(2048), headers={"kid": issuer.key_id()}),
    ):
        answer = userinfo(http, issuer, token)

        assert answer.status == 401
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_userinfo_refuses_who_brings_no_token(http: urllib3.PoolManager, issuer: Issuer) -> None:
    answer = http.request("GET", issuer.userinfo_endpoint)

    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].lower().startswith("bearer ")


@pytest.mark.parametrize(("fields", "headers"), [(POST, {}), ({}, BASIC)], ids=["post", "basic"])
def test_introspection_tells_a_client_of_a_good_token(
    http: urllib3.PoolManager, issuer: Issuer, fields: dict[str, str], headers: dict[str, str]
) -> None:
    token = issuer.token(sub=ALICE.subject, scope="openid profile patient.read")

    answer = post(http, issuer.introspection_endpoint, {"token": token, **fields}, headers)

    assert answer.status == 200
    assert (
        answer.json().items()
        >= {
            "active": True,
            "sub": ALICE.subject,
            "username": "alice",
            "client_id": "worker",
            "scope": "openid profile patient.read",
            "token_type": "Bearer",
            "iss": issuer.issuer,
        }.items()
    )
    assert answer.json()["exp"] > time.time()


def test_introspection_says_nothing_of_a_token_that_is_not_good(http: urllib3.PoolManager, issuer: Issuer) -> None:
    for token in ("no-token", issuer.token(lifetime=-60), issuer.token(key=RSAKey.generate_key(2048))):
        answer = post(http, issuer.introspection_endpoint, {**POST, "token": token})

        assert (answer.status, answer.json()) == (200, {"active": False})


def basic(client_id: str, client_secret: str) -> dict[str, str]:
    return urllib3.make_headers(basic_auth=f"{client_id}:{client_secret}")


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({**POST, "client_secret": "wrong"}, {}),
        ({**POST, "client_id": "nobody"}, {}),
        ({"client_id": "worker"}, {}),
        ({}, basic("worker", "wrong")),
        ({}, basic("nobody", "worker-secret")),
        ({}, {"Authorization": "Bearer worker-secret"}),
        ({}, {}),
    ],
)
def test_introspection_refuses_a_client_that_it_does_not_know(
    http: urllib3.PoolManager, issuer: Issuer, fields: dict[str, str], headers: dict[str, str]
) -> None:
    answer = post(http, issuer.introspection_endpoint, {**fields, "token": issuer.opaque_token()}, headers)

    assert (answer.status, answer.json()["error"]) == (401, "invalid_client")


def test_introspection_leaves_out_names_that_a_token_lacks(http: urllib3.PoolManager, issuer: Issuer) -> None:
    token = issuer.token(sub="bob", azp=None)

    answer = post(http, issuer.introspection_endpoint, {**POST, "token": token})

    assert {"username", "client_id"}.isdisjoint(answer.json())


def introspected(http: urllib3.PoolManager, issuer: Issuer, token: str) -> dict[str, Any]:
    answer = post(http, issuer.introspection_endpoint, {**POST, "token": token, "token_type_hint": "access_token"})
    assert answer.status == 200
    told: dict[str, Any] = answer.json()
    return told


def test_introspection_explains_an_opaque_token(http: urllib3.PoolManager, issuer: Issuer) -> None:
    told = introspected(http, issuer, issuer.opaque_token(sub=ALICE.subject, scope="openid profile", ward="3"))

    assert (
        told.items()
        >= {
            "active": True,
            "token_type": "Bearer",
            "sub": ALICE.subject,
            "username": "alice",
            "client_id": "worker",
            "iss": issuer.issuer,
            "aud": "account",
            "scope": "openid profile",
            "ward": "3",
        }.items()
    )
    assert told["exp"] - told["iat"] == 300


def test_of_a_jwt_and_an_opaque_token_introspection_says_the_same(http: urllib3.PoolManager, issuer: Issuer) -> None:
    of_jwt, of_opaque = (
        introspected(http, issuer, token)
        for token in (issuer.token(jti="1", iat=7, exp=2**33), issuer.opaque_token(jti="1", iat=7, exp=2**33))
    )

    assert of_jwt == of_opaque


@pytest.mark.parametrize("member", ["token_type", "client_id", "username", "sub", "exp", "aud", "iss"])
def test_a_member_that_is_none_is_not_said_of_an_opaque_token(
    http: urllib3.PoolManager, issuer: Issuer, member: str
) -> None:
    told = introspected(http, issuer, issuer.opaque_token(**{member: None}))

    assert told["active"] is True
    assert member not in told


@pytest.mark.parametrize(
    "claims", [{"token_type": "DPoP"}, {"cnf": {"jkt": "x"}}, {"active": "true"}, {"exp": "soon"}, {"aud": []}]
)
def test_whatever_a_test_wants_is_said_of_an_opaque_token(
    http: urllib3.PoolManager, issuer: Issuer, claims: dict[str, Any]
) -> None:
    assert introspected(http, issuer, issuer.opaque_token(**claims)).items() >= claims.items()


@pytest.mark.parametrize("given", [{"lifetime": -60}, {"exp": 0}, {"nbf": 2**33}])
def test_an_opaque_token_outside_its_times_is_not_active(
    http: urllib3.PoolManager, issuer: Issuer, given: dict[str, Any]
) -> None:
    token = issuer.opaque_token(**given)

    assert introspected(http, issuer, token) == {"active": False}
    assert userinfo(http, issuer, token).status == 401


def test_userinfo_takes_an_opaque_token(http: urllib3.PoolManager, issuer: Issuer) -> None:
    of_jwt = userinfo(http, issuer, issuer.token(sub=ALICE.subject, ward="3")).json()
    of_opaque = userinfo(http, issuer, issuer.opaque_token(sub=ALICE.subject, ward="3")).json()

    assert of_opaque == of_jwt
    assert of_opaque["email"] == "alice@example.com"


def test_userinfo_wants_the_scope_openid_of_an_opaque_token_too(http: urllib3.PoolManager, issuer: Issuer) -> None:
    assert userinfo(http, issuer, issuer.opaque_token(scope="profile")).status == 403


@pytest.mark.parametrize("kind", ["token", "opaque_token"])
def test_a_token_that_was_revoked_is_not_active_any_more(http: urllib3.PoolManager, issuer: Issuer, kind: str) -> None:
    token, other = (getattr(issuer, kind)() for _ in range(2))
    assert introspected(http, issuer, token)["active"] is True
    issuer.revoke(token)

    assert introspected(http, issuer, token) == {"active": False}
    assert userinfo(http, issuer, token).status == 401
    assert introspected(http, issuer, other)["active"] is True
    assert userinfo(http, issuer, other).status == 200


def test_a_token_of_another_issuer_is_not_active(http: urllib3.PoolManager, issuer: Issuer) -> None:
    token = Issuer("https://idp.example").opaque_token()

    assert introspected(http, issuer, token) == {"active": False}
