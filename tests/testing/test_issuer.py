from __future__ import annotations

import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal
from uuid import UUID

import pytest
import urllib3
from joserfc import jws
from joserfc.jwk import OctKey

from flask_foreign_token.testing import Client, Issuer, Person

from ..apps import ask, policy
from ..conftest import MakeApp


def content(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header and claims of `token`, unverified."""
    signature = jws.extract_compact(token.encode())
    return signature.headers(), json.loads(signature.payload)


def verified(http: urllib3.PoolManager, issuer: Issuer, token: str) -> bool:
    answer = http.request("GET", issuer.userinfo_endpoint, headers={"Authorization": f"Bearer {token}"})
    return answer.status == 200


def test_its_issuer_is_where_it_is_served_unless_told_otherwise(http: urllib3.PoolManager, issuer: Issuer) -> None:
    assert issuer.issuer == issuer.url
    assert issuer.url.startswith("http://127.0.0.1:")
    assert http.request("GET", issuer.discovery_url).json()["issuer"] == issuer.url


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("http://localhost:8180/realms/other", "/realms/other"),
        ("https://tenant.example/", ""),
        ("https://tenant.example", ""),
    ],
)
def test_its_issuer_may_differ_from_where_it_is_served(http: urllib3.PoolManager, name: str, path: str) -> None:
    with Issuer(name) as issuer:
        metadata = http.request("GET", issuer.discovery_url).json()
        well_known = f"{issuer.url.removesuffix(path)}/.well-known/oauth-authorization-server{path}"

        assert issuer.url.endswith(path or f":{urllib3.util.parse_url(issuer.url).port}")
        assert metadata["issuer"] == issuer.issuer == content(issuer.token())[1]["iss"] == name
        assert metadata["jwks_uri"].startswith(issuer.url)
        assert http.request("GET", well_known).json() == metadata


def test_it_has_no_address_before_it_is_started() -> None:
    with pytest.raises(RuntimeError, match="before it is started"):
        Issuer().token()


def test_an_issuer_with_a_name_signs_before_it_is_started() -> None:
    assert content(Issuer("https://idp.example").token())[1]["iss"] == "https://idp.example"


def test_it_may_be_started_and_stopped_by_hand(http: urllib3.PoolManager) -> None:
    issuer = Issuer()
    issuer.start()
    status = http.request("GET", issuer.jwks_uri).status
    issuer.stop()

    assert status == 200
    with pytest.raises(urllib3.exceptions.NewConnectionError):
        http.request("GET", issuer.jwks_uri)


def test_it_may_be_given_a_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    with Issuer(port=port) as issuer:
        assert issuer.url == f"http://127.0.0.1:{port}/realms/myrealm"


def test_an_issuer_without_clients_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one client"):
        Issuer(clients=[])


def test_its_token_speaks_of_the_first_person(issuer: Issuer) -> None:
    header, claims = content(issuer.token())

    assert header == {"alg": "RS256", "typ": "JWT", "kid": issuer.key_id()}
    assert UUID(claims.pop("jti"))
    assert UUID(claims.pop("sub"))
    assert claims["exp"] - claims.pop("iat") == 300
    assert claims.pop("exp") == pytest.approx(time.time() + 300, abs=30)
    assert claims.keys() >= {"acr", "allowed-origins", "realm_access", "resource_access"}
    assert (
        claims.items()
        >= {
            "iss": issuer.issuer,
            "aud": "account",
            "typ": "Bearer",
            "azp": "my-client",
            "scope": "openid profile email",
            "name": "Test User",
            "given_name": "Test",
            "family_name": "User",
            "email": "testuser@example.com",
            "email_verified": True,
            "preferred_username": "testuser",
        }.items()
    )


def test_without_people_its_token_speaks_of_the_client() -> None:
    issuer = Issuer("https://idp.example", clients=[Client("worker", "worker-secret")], people=[])

    assert content(issuer.token())[1]["preferred_username"] == "service-account-worker"


def test_its_token_says_what_is_known_of_a_subject() -> None:
    alice = Person("alice", "wonderland", {"email": "alice@example.com"})
    issuer = Issuer("https://idp.example", people=[Person("bob", "builder"), alice])

    assert content(issuer.token(sub=alice.subject))[1]["email"] == "alice@example.com"
    assert "email" not in content(issuer.token(sub="somebody"))[1]


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "alice"},
        {"sub": ["alice"]},
        {"aud": ["a", "b"]},
        {"iss": "https://evil.example"},
        {"exp": "soon"},
        {"exp": 1e300},
        {"scope": ["a"]},
        {"nested": {"a": [1, None, "é", "\ud800"]}},
    ],
)
def test_a_claim_that_is_given_is_what_the_token_says(issuer: Issuer, claims: dict[str, Any]) -> None:
    assert content(issuer.token(**claims))[1].items() >= claims.items()


@pytest.mark.parametrize("claim", ["sub", "iss", "aud", "exp", "iat", "jti", "scope", "azp", "email"])
def test_a_claim_given_as_none_is_left_out(issuer: Issuer, claim: str) -> None:
    assert claim not in content(issuer.token(**{claim: None}))[1]


def test_a_header_that_is_given_is_what_the_token_says(issuer: Issuer) -> None:
    header, _ = content(issuer.token(headers={"typ": "at+jwt", "kid": None, "jku": "https://evil.example"}))

    assert header == {"alg": "RS256", "typ": "at+jwt", "jku": "https://evil.example"}


def test_a_lifetime_below_zero_makes_an_expired_token(issuer: Issuer) -> None:
    assert content(issuer.token(lifetime=-60))[1]["exp"] < time.time()


def test_a_key_of_the_tests_own_signs(issuer: Issuer) -> None:
    secret = OctKey.import_key("a secret of thirty-two characters")

    token = issuer.token(algorithm="HS256", key=secret)

    assert jws.deserialize_compact(token, secret, algorithms=["HS256"])


def test_a_token_may_have_no_signature(issuer: Issuer) -> None:
    token = issuer.token(algorithm="none")

    assert token.endswith(".")
    assert content(token)[0] == {"alg": "none", "typ": "JWT"}


def test_an_algorithm_without_a_key_is_refused(issuer: Issuer) -> None:
    with pytest.raises(ValueError, match="no HS256 key"):
        issuer.token(algorithm="HS256")


def test_rotation_withdraws_its_keys(http: urllib3.PoolManager, issuer: Issuer) -> None:
    token, old = issuer.token(), issuer.key_id()

    issuer.rotate()

    assert issuer.key_id() != old
    assert not verified(http, issuer, token)
    assert verified(http, issuer, issuer.token())
    assert not verified(http, issuer, issuer.token(key_id=old))


def test_rotation_may_keep_its_keys(http: urllib3.PoolManager, issuer: Issuer) -> None:
    token, old = issuer.token(), issuer.key_id()

    issuer.rotate(keep=True)

    kids = [key["kid"] for key in http.request("GET", issuer.jwks_uri).json()["keys"]]
    assert len(kids) == 6
    assert {old, issuer.key_id()} < set(kids)
    assert verified(http, issuer, token)


def test_while_it_is_down_connections_are_refused(http: urllib3.PoolManager, issuer: Issuer) -> None:
    url = issuer.jwks_uri

    with issuer.down(), pytest.raises(urllib3.exceptions.NewConnectionError):
        http.request("GET", url)

    assert issuer.jwks_uri == url
    assert http.request("GET", url).status == 200


def test_it_is_up_again_when_a_test_fails_while_it_was_down(http: urllib3.PoolManager, issuer: Issuer) -> None:
    with pytest.raises(AssertionError), issuer.down():
        raise AssertionError

    assert http.request("GET", issuer.jwks_uri).status == 200


def test_while_it_is_slow_an_answer_takes_as_long(http: urllib3.PoolManager, issuer: Issuer) -> None:
    issuer.delay = 0.05
    before = time.monotonic()

    assert http.request("GET", issuer.jwks_uri).status == 200

    assert time.monotonic() - before >= 0.05


def test_being_slow_does_not_hold_up_its_end(http: urllib3.PoolManager) -> None:
    with Issuer() as issuer:
        issuer.delay = 60
        with pytest.raises(urllib3.exceptions.ReadTimeoutError):
            http.request("GET", issuer.jwks_uri, timeout=0.05)
        before = time.monotonic()

    assert time.monotonic() - before < 10


def test_an_endpoint_fails_as_told_and_the_others_do_not(http: urllib3.PoolManager, issuer: Issuer) -> None:
    with issuer.fail("jwks", 500):
        failing = http.request("GET", issuer.jwks_uri).status, http.request("GET", issuer.discovery_url).status

    assert failing == (500, 200)
    assert http.request("GET", issuer.jwks_uri).status == 200


def test_the_innermost_failure_counts(http: urllib3.PoolManager, issuer: Issuer) -> None:
    with issuer.fail("userinfo", 500):
        with issuer.fail("userinfo", 401):
            inner = http.request("GET", issuer.userinfo_endpoint).status
        outer = http.request("GET", issuer.userinfo_endpoint).status

    assert (inner, outer) == (401, 500)


def test_an_endpoint_that_is_not_there_cannot_fail(issuer: Issuer) -> None:
    with pytest.raises(ValueError, match="no endpoint 'certs'; there are discovery, jwks"), issuer.fail("certs", 500):
        pass


def test_it_counts_its_requests(http: urllib3.PoolManager, issuer: Issuer) -> None:
    for url in (issuer.discovery_url, issuer.jwks_uri, issuer.jwks_uri, issuer.userinfo_endpoint, issuer.url):
        http.request("GET", url)
    http.request("POST", issuer.token_endpoint)
    http.request("POST", issuer.introspection_endpoint)

    assert issuer.requests == {"discovery": 1, "jwks": 2, "userinfo": 1, "token": 1, "introspection": 1}


def test_it_serves_many_threads_and_counts_each_request(issuer: Issuer) -> None:
    def fetch(_: int) -> int:
        return urllib3.request("GET", issuer.jwks_uri, retries=False).status

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(fetch, range(64)))

    assert statuses == [200] * 64
    assert issuer.requests["jwks"] == 64


def test_its_resources_name_it_and_where_it_is_served() -> None:
    with Issuer("http://localhost:8180/realms/myrealm") as issuer:
        provider, introspector = issuer.resources()

        assert (provider["resourceType"], provider["id"], provider["system"]) == (
            "IdentityProvider",
            "keycloak",
            "keycloak",
        )
        assert provider["userinfo_endpoint"] == issuer.userinfo_endpoint
        assert introspector == {
            "resourceType": "TokenIntrospector",
            "id": "keycloak-jwt-introspector",
            "type": "jwt",
            "jwt": {"iss": "http://localhost:8180/realms/myrealm", "aud": "account"},
            "jwks_uri": issuer.jwks_uri,
            "identity_provider": {"reference": "IdentityProvider/keycloak"},
        }


def test_its_resources_may_have_other_names(issuer: Issuer) -> None:
    provider, introspector = issuer.resources(id="corporate", system="https://corp.example")

    assert (provider["id"], provider["system"]) == ("corporate", "https://corp.example")
    assert introspector["id"] == "corporate-jwt-introspector"
    assert introspector["identity_provider"] == {"reference": "IdentityProvider/corporate"}


def test_its_resources_may_be_those_of_opaque_tokens() -> None:
    worker = Client("worker", "worker-secret")
    with Issuer("http://localhost:8180/realms/myrealm", clients=[worker, Client("other", "x")]) as issuer:
        provider, introspector = issuer.resources("corporate", kind="opaque")

        assert [provider] == issuer.resources("corporate")[:1]
        assert introspector == {
            "resourceType": "TokenIntrospector",
            "id": "corporate-opaque-introspector",
            "type": "opaque",
            "jwt": {"iss": "http://localhost:8180/realms/myrealm", "aud": "account"},
            "introspection_endpoint": {
                "url": issuer.introspection_endpoint,
                "client_id": "worker",
                "client_secret": "worker-secret",
            },
            "identity_provider": {"reference": "IdentityProvider/corporate"},
        }


def test_its_opaque_tokens_are_texts_that_a_header_may_hold_and_no_jwts(issuer: Issuer) -> None:
    tokens = [issuer.opaque_token(prefix="ory_at_") for _ in range(100)]

    assert len(set(tokens)) == 100
    assert all(re.fullmatch(r"ory_at_[A-Za-z0-9_-]{43}", token) for token in tokens)


def test_an_app_trusts_it_by_its_resources(make_app: MakeApp) -> None:
    with Issuer("http://localhost:8180/realms/myrealm") as issuer:
        app = make_app([*issuer.resources(), policy("known-issuer", {"jwt": {"iss": issuer.issuer}})])

        answer = ask(app, issuer.token(sub="alice"), "/me")

        assert (answer.status_code, answer.json["subject"]) == (200, "alice")
        assert answer.json["user"] is not None
        assert issuer.requests == {"jwks": 1, "userinfo": 1}


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_userinfo_is_signed_for_the_client_of_the_token_where_it_is_told_to(
    http: urllib3.PoolManager, algorithm: str
) -> None:
    with Issuer(userinfo_signed_response_alg=algorithm) as issuer:
        asked = http.request(
            "GET", issuer.userinfo_endpoint, headers={"Authorization": f"Bearer {issuer.token(azp='frontend', ward=7)}"}
        )

        assert (asked.status, asked.headers["Content-Type"]) == (200, "application/jwt")
        header, claims = content(asked.data.decode())
        assert header == {"alg": algorithm, "typ": "JWT", "kid": issuer.key_id(algorithm)}
        assert claims.items() >= {"iss": issuer.issuer, "aud": "frontend", "ward": 7, "name": "Test User"}.items()


def test_it_signs_userinfo_with_no_key_that_it_does_not_have() -> None:
    with pytest.raises(ValueError, match="no RS512 key"):
        Issuer(userinfo_signed_response_alg="RS512")


@pytest.mark.parametrize("kind", ["jwt", "opaque"])
def test_an_app_takes_what_it_signs(make_app: MakeApp, kind: Literal["jwt", "opaque"]) -> None:
    with Issuer(userinfo_signed_response_alg="ES256") as issuer:
        provider, introspector = issuer.resources(kind=kind)
        app = make_app([{**provider, "jwks_uri": issuer.jwks_uri}, introspector, policy("all")])
        token = issuer.token() if kind == "jwt" else issuer.opaque_token()

        answer = ask(app, token, "/me")

        assert answer.status_code == 200
        assert answer.json["user"] is not None
        assert issuer.requests["userinfo"] == issuer.requests["jwks"] == 1


def test_an_app_that_trusts_it_by_resources_of_opaque_tokens_asks_it(make_app: MakeApp) -> None:
    with Issuer() as issuer:
        app = make_app([*issuer.resources(kind="opaque"), policy("all")])
        token = issuer.opaque_token(sub="alice")
        answers = [ask(app, token, "/me"), ask(app, token, "/me"), ask(app, issuer.token(sub="alice"), "/me")]

        assert [(answer.status_code, answer.json["subject"]) for answer in answers] == [(200, "alice")] * 3
        assert issuer.requests == {"introspection": 2, "userinfo": 1}


@pytest.mark.parametrize("kind", ["token", "opaque_token"])
def test_such_an_app_refuses_what_was_revoked(make_app: MakeApp, kind: str) -> None:
    with Issuer() as issuer:
        app = make_app([*issuer.resources(kind="opaque"), policy("all")])
        token = getattr(issuer, kind)()
        issuer.revoke(token)

        assert ask(app, token, "/me").status_code == 401


def test_an_app_that_trusts_it_by_its_keys_takes_no_opaque_token(make_app: MakeApp) -> None:
    with Issuer() as issuer:
        app = make_app([*issuer.resources(), policy("all")])

        assert ask(app, issuer.opaque_token(), "/me").status_code == 401
