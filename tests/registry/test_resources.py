from __future__ import annotations

import copy
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from flask_foreign_token.errors import Rejected
from flask_foreign_token.registry.resources import (
    AccessPolicy,
    Client,
    IdentityProvider,
    IntrospectionEndpointSettings,
    JwtSettings,
    Loaded,
    Resource,
    TokenIntrospector,
    load,
)

from .bodies import INTROSPECTOR, POLICY, PROVIDER

MINIMAL: dict[str, dict[str, Any]] = {
    "IdentityProvider": {"system": "s", "userinfo-source": "id-token"},
    "TokenIntrospector": {"type": "jwt", "jwt": {"iss": "i"}},
    "AccessPolicy": {"engine": "allow"},
}


def loaded(type_: str, **attributes: Any) -> Loaded:
    """The minimal resource of that type with `attributes`; ``jwt`` is merged into the one there is."""
    body = copy.deepcopy(MINIMAL[type_])
    if isinstance(attributes.get("jwt"), dict) and type_ == "TokenIntrospector":
        attributes["jwt"] = body["jwt"] | attributes["jwt"]
    return load(Resource(type_, "x", "1", body | attributes))


def faults(type_: str, **attributes: Any) -> list[tuple[str, str]]:
    with pytest.raises(Rejected) as caught:
        loaded(type_, **attributes)
    assert {issue.resource for issue in caught.value.issues} == {f"{type_}/x"}
    return [(issue.path, issue.message) for issue in caught.value.issues]


def test_the_tutorials_provider_loads() -> None:
    assert load(Resource("IdentityProvider", "keycloak", "1", PROVIDER)) == IdentityProvider(
        id="keycloak",
        active=True,
        title="Keycloak",
        system="keycloak",
        scopes=("profile", "openid"),
        userinfo_endpoint=PROVIDER["userinfo_endpoint"],
        userinfo_source="userinfo-endpoint",
        userinfo_header="Bearer",
        to_scim={},
        subject_claim="sub",
    )


def test_the_tutorials_introspector_loads_without_an_id_of_its_own() -> None:
    assert load(Resource("TokenIntrospector", "keycloak-jwt-introspector", "1", INTROSPECTOR)) == TokenIntrospector(
        id="keycloak-jwt-introspector",
        active=True,
        type="jwt",
        cache_ttl=300,
        jwks_uri=INTROSPECTOR["jwks_uri"],
        identity_provider="keycloak",
        jwt=JwtSettings(iss="http://localhost:8180/realms/myrealm", leeway=30),
    )


def test_the_tutorials_policy_loads() -> None:
    assert load(Resource("AccessPolicy", "keycloak-users-policy", "1", POLICY)) == AccessPolicy(
        id="keycloak-users-policy", active=True, engine="matcho"
    )


def test_every_attribute_of_a_provider_is_taken() -> None:
    endpoints = {
        name: f"https://idp.example/{name}"
        for name in (
            "authorize_endpoint",
            "token_endpoint",
            "userinfo_endpoint",
            "introspection_endpoint",
            "jwks_uri",
            "revocation_endpoint",
        )
    }
    provider = loaded(
        "IdentityProvider",
        **endpoints,
        **{"userinfo-source": "userinfo-endpoint"},
        active=False,
        issuer="https://idp.example",
        client={"id": "c", "secret": "s", "auth-method": "symmetric", "redirect_uri": "https://app.example/back"},
        userinfo_header="Token",
        toScim={"mail": ["email"]},
        subject_claim="oid",
        create_user=False,
    )

    assert isinstance(provider, IdentityProvider)
    assert {name: getattr(provider, name) for name in endpoints} == endpoints
    assert provider.client == Client("c", "s", "symmetric", "https://app.example/back")
    assert (provider.active, provider.issuer, provider.create_user) == (False, "https://idp.example", False)
    assert (provider.userinfo_header, provider.subject_claim) == ("Token", "oid")
    assert provider.to_scim == {"mail": ["email"]}


def test_every_attribute_of_an_introspector_is_taken() -> None:
    jwt = {
        "iss": "i",
        "aud": "a",
        "client_id": ["c", "d"],
        "algorithms": ["RS256", "EdDSA"],
        "typ": "at+jwt",
        "leeway": 0,
        "keys": [{"kty": "RSA", "alg": "RS256", "format": "PEM", "pub": "…"}],
    }

    introspector = loaded("TokenIntrospector", active=False, cache_ttl=86_400, jwt=jwt)

    assert isinstance(introspector, TokenIntrospector)
    assert (introspector.active, introspector.cache_ttl, introspector.identity_provider) == (False, 86_400, None)
    assert introspector.jwt == JwtSettings(
        iss="i",
        aud=("a",),
        client_id=("c", "d"),
        algorithms=("RS256", "EdDSA"),
        typ="at+jwt",
        leeway=0,
        keys=(jwt["keys"][0],),
    )


def test_a_provider_may_be_linked_in_the_short_form() -> None:
    introspector = loaded("TokenIntrospector", identity_provider={"resourceType": "IdentityProvider", "id": "k"})

    assert isinstance(introspector, TokenIntrospector)
    assert introspector.identity_provider == "k"


def test_meta_is_taken_and_ignored() -> None:
    assert loaded("AccessPolicy", meta={"versionId": "3"}) == loaded("AccessPolicy")


@pytest.mark.parametrize(
    ("type_", "attributes", "path", "reason"),
    [
        ("IdentityProvider", {"active": "yes"}, "active", "must be true or false"),
        ("IdentityProvider", {"active": 1}, "active", "must be true or false"),
        ("IdentityProvider", {"active": None}, "active", "must not be null"),
        ("IdentityProvider", {"create_user": "false"}, "create_user", "must be true or false"),
        ("IdentityProvider", {"title": 5}, "title", "must be a text"),
        ("IdentityProvider", {"title": None}, "title", "must not be null"),
        ("IdentityProvider", {"system": " "}, "system", "must not be blank"),
        ("IdentityProvider", {"system": "a\x00"}, "system", "must not hold control characters"),
        ("IdentityProvider", {"system": "a\n"}, "system", "must not hold control characters"),
        ("IdentityProvider", {"system": "a" * 256}, "system", "must not be longer than 255 characters"),
        ("IdentityProvider", {"issuer": "https://idp\x7f"}, "issuer", "must not hold control characters"),
        ("IdentityProvider", {"scopes": "openid"}, "scopes", "must be a list"),
        ("IdentityProvider", {"scopes": ["a b"]}, "scopes.0", "must be one scope (RFC 6749, section 3.3)"),
        ("IdentityProvider", {"scopes": ["a", 1]}, "scopes.1", "must be a text"),
        ("IdentityProvider", {"client": []}, "client", "must be an object"),
        (
            "IdentityProvider",
            {"client": {"secret": "********"}},
            "client.secret",
            "is the mask that stands for a secret, not a secret",
        ),
        (
            "IdentityProvider",
            {"client": {"secret": {"vault": "NAME"}}},
            "client.secret",
            'must be a text, or either {"env": "NAME"} or {"file": "/path"}',
        ),
        (
            "IdentityProvider",
            {"userinfo_header": "Bearer\r\nX:"},
            "userinfo_header",
            "must not hold control characters",
        ),
        (
            "IdentityProvider",
            {"userinfo_header": "Bearer x"},
            "userinfo_header",
            "must be one word, as an auth-scheme is",
        ),
        (
            "IdentityProvider",
            {"userinfo-source": "ldap"},
            "userinfo-source",
            "must be one of: userinfo-endpoint, id-token",
        ),
        ("IdentityProvider", {"toScim": []}, "toScim", "must be an object"),
        ("IdentityProvider", {"meta": "x"}, "meta", "must be an object"),
        ("TokenIntrospector", {"cache_ttl": 0}, "cache_ttl", "must be between 1 and 86400 seconds"),
        ("TokenIntrospector", {"cache_ttl": 86_401}, "cache_ttl", "must be between 1 and 86400 seconds"),
        ("TokenIntrospector", {"cache_ttl": "5"}, "cache_ttl", "must be a whole number of seconds"),
        ("TokenIntrospector", {"cache_ttl": 3.7}, "cache_ttl", "must be a whole number of seconds"),
        ("TokenIntrospector", {"cache_ttl": 5.0}, "cache_ttl", "must be a whole number of seconds"),
        ("TokenIntrospector", {"cache_ttl": True}, "cache_ttl", "must be a whole number of seconds"),
        ("TokenIntrospector", {"jwt": {"leeway": 301}}, "jwt.leeway", "must be between 0 and 300 seconds"),
        ("TokenIntrospector", {"jwt": {"leeway": -1}}, "jwt.leeway", "must be between 0 and 300 seconds"),
        ("TokenIntrospector", {"jwt": {"iss": ""}}, "jwt.iss", "must not be blank"),
        ("TokenIntrospector", {"jwt": {"iss": "a\x00b"}}, "jwt.iss", "must not hold control characters"),
        ("TokenIntrospector", {"jwt": {"aud": []}}, "jwt.aud", "must not be empty"),
        ("TokenIntrospector", {"jwt": {"aud": 1}}, "jwt.aud", "must be a text or a list of texts"),
        ("TokenIntrospector", {"jwt": {"aud": ""}}, "jwt.aud.0", "must not be blank"),
        ("TokenIntrospector", {"jwt": {"client_id": ["a", None]}}, "jwt.client_id.1", "must not be null"),
        ("TokenIntrospector", {"jwt": {"keys": []}}, "jwt.keys", "must not be empty"),
        ("TokenIntrospector", {"jwt": {"keys": ["x"]}}, "jwt.keys.0", "must be an object"),
        ("TokenIntrospector", {"jwt": {"keys": [{"alg": "RS256"}]}}, "jwt.keys.0.kty", "is required"),
        (
            "TokenIntrospector",
            {"jwt": {"secret": {"file": "run/secrets/x"}}},
            "jwt.secret.file",
            "must be an absolute path",
        ),
        (
            "TokenIntrospector",
            {"type": "aspxauth"},
            "type",
            "must be one of: jwt, opaque (aspxauth: not supported by this version)",
        ),
        ("TokenIntrospector", {"jwt": "x"}, "jwt", "must be an object"),
        (
            "TokenIntrospector",
            {"identity_provider": {"reference": "User/x"}},
            "identity_provider",
            "must refer to an IdentityProvider",
        ),
        (
            "TokenIntrospector",
            {"identity_provider": {"reference": "keycloak"}},
            "identity_provider.reference",
            "must read Type/id",
        ),
        (
            "TokenIntrospector",
            {"identity_provider": {"reference": "IdentityProvider/x", "id": "x"}},
            "identity_provider",
            "must have either reference, or resourceType and id",
        ),
        (
            "TokenIntrospector",
            {"jwt": {"secret": "s"}, "jwks_uri": "https://x"},
            "",
            "at most one of jwt.secret, jwt.keys and jwks_uri, not jwt.secret and jwks_uri",
        ),
        ("AccessPolicy", {"engine": None}, "engine", "must not be null"),
        ("AccessPolicy", {"engine": ["allow"]}, "engine", "must be a text"),
        ("AccessPolicy", {"engine": " "}, "engine", "must not be blank"),
        ("AccessPolicy", {"roleName": " "}, "roleName", "must not be blank"),
        ("AccessPolicy", {"roleName": ["admin"]}, "roleName", "must be a text"),
        ("AccessPolicy", {"link": {"reference": "User/x"}}, "link", "must be a list"),
        ("AccessPolicy", {"link": [{"reference": "User/"}]}, "link.0.reference", "must read Type/id"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path_and_the_reason(
    type_: str, attributes: dict[str, Any], path: str, reason: str
) -> None:
    assert faults(type_, **attributes) == [(path, reason)]


@pytest.mark.parametrize(
    ("type_", "attribute", "reason"),
    [
        ("IdentityProvider", "sytem", "no such attribute; did you mean system?"),
        ("IdentityProvider", "userinfo_source", "no such attribute; did you mean userinfo-source?"),
        ("IdentityProvider", "quite-something-else", "no such attribute"),
        ("AccessPolicy", "matco", "no such attribute; did you mean matcho?"),
        ("AccessPolicy", "rolename", "no such attribute; did you mean roleName?"),
        ("AccessPolicy", "cedar", "no such attribute"),
    ],
)
def test_an_unknown_attribute_is_refused_and_the_nearest_one_named(type_: str, attribute: str, reason: str) -> None:
    assert faults(type_, **{attribute: "x"}) == [(attribute, reason)]


def test_an_unknown_attribute_deep_inside_is_refused_too() -> None:
    assert faults("IdentityProvider", client={"auth_method": "x"}) == [
        ("client.auth_method", "no such attribute; did you mean auth-method?")
    ]


def test_what_an_attribute_is_called_cannot_break_the_line_of_a_log() -> None:
    assert faults("AccessPolicy", **{"a\nb": 1, "z" * 100: 1}) == [
        ("a\\nb", "no such attribute"),
        (f"{'z' * 64}…", "no such attribute"),
    ]


def test_a_secret_is_never_repeated_in_a_refusal() -> None:
    with pytest.raises(Rejected) as caught:
        loaded("TokenIntrospector", cache_ttl="hush", jwt={"secret": ["hush"], "keys": [{"k": {"hush": 1}}]})

    assert "hush" not in str(caught.value)


def test_a_secret_is_not_shown_by_repr() -> None:
    provider = loaded("IdentityProvider", client={"secret": "hush"})
    introspector = loaded("TokenIntrospector", jwt={"secret": "hush"})
    endpoints = [
        opaque(introspection_endpoint={"url": URL, **secrets})
        for secrets in ({"authorization": "hush"}, {"client_id": "c", "client_secret": "hush"})
    ]

    assert "hush" not in repr((provider, introspector, endpoints, Resource("A", "x", "1", {"secret": "hush"})))


@pytest.mark.parametrize("type_", MINIMAL)
def test_a_resource_without_what_it_must_have_is_refused(type_: str) -> None:
    required = {"IdentityProvider": "system", "TokenIntrospector": "type", "AccessPolicy": "engine"}[type_]

    with pytest.raises(Rejected) as caught:
        load(Resource(type_, "x", "1", {}))

    assert (required, "is required") in [(issue.path, issue.message) for issue in caught.value.issues]


def test_a_jwt_introspector_without_jwt_is_refused() -> None:
    with pytest.raises(Rejected, match="jwt: is required, since type is jwt"):
        load(Resource("TokenIntrospector", "x", "1", {"type": "jwt"}))


def test_a_jwt_introspector_without_an_issuer_is_refused() -> None:
    with pytest.raises(Rejected, match=r"jwt\.iss: is required, since type is jwt"):
        load(Resource("TokenIntrospector", "x", "1", {"type": "jwt", "jwt": {"aud": "a"}}))


def test_a_userinfo_endpoint_is_required_unless_it_can_be_discovered_or_the_token_says_it_all() -> None:
    with pytest.raises(Rejected, match="userinfo_endpoint: is required for userinfo-source userinfo-endpoint"):
        load(Resource("IdentityProvider", "x", "1", {"system": "s"}))

    assert load(Resource("IdentityProvider", "x", "1", {"system": "s", "issuer": "https://idp.example"}))
    assert load(Resource("IdentityProvider", "x", "1", {"system": "s", "userinfo-source": "id-token"}))


# ---- opaque tokens


URL = "https://idp.example/introspect"


def opaque(**attributes: Any) -> Loaded:
    return load(Resource("TokenIntrospector", "x", "1", {"type": "opaque", **attributes}))


def opaque_faults(**attributes: Any) -> list[tuple[str, str]]:
    with pytest.raises(Rejected) as caught:
        opaque(**attributes)
    return [(issue.path, issue.message) for issue in caught.value.issues]


def test_an_opaque_introspector_may_leave_everything_to_its_provider() -> None:
    reference = {"identity_provider": {"reference": "IdentityProvider/k"}}

    assert opaque(**reference) == TokenIntrospector(
        id="x", active=True, type="opaque", cache_ttl=300, identity_provider="k", jwt=JwtSettings(iss=None, leeway=30)
    )


def test_every_attribute_of_an_opaque_introspector_is_taken() -> None:
    client = {"url": URL, "client_id": "c", "client_secret": "s", "auth_method": "client_secret_post"}
    jwt = {"iss": "i", "aud": "a", "client_id": ["c"], "leeway": 0}

    assert opaque(token_prefix="at_", token_type="Bearer", introspection_endpoint=client, jwt=jwt) == TokenIntrospector(
        id="x",
        active=True,
        type="opaque",
        cache_ttl=300,
        token_prefix="at_",
        token_type="Bearer",
        introspection_endpoint=IntrospectionEndpointSettings(**client),
        jwt=JwtSettings(iss="i", aud=("a",), client_id=("c",), leeway=0),
    )


def test_a_client_authenticates_by_basic_unless_it_says_otherwise() -> None:
    introspector = opaque(introspection_endpoint={"url": URL, "client_id": "c", "client_secret": "s"})

    assert isinstance(introspector, TokenIntrospector)
    assert introspector.introspection_endpoint is not None
    assert introspector.introspection_endpoint.auth_method == "client_secret_basic"


@pytest.mark.parametrize("prefix", ["a", "at_", "AZaz09-._~+/", "x==", "a" * 255])
def test_a_token_prefix_is_what_a_bearer_token_may_begin_with(prefix: str) -> None:
    introspector = opaque(token_prefix=prefix)

    assert isinstance(introspector, TokenIntrospector)
    assert introspector.token_prefix == prefix


B64TOKEN = "must be of the characters of a bearer token (RFC 6750, section 2.1)"
EITHER = "must have either authorization, or client_id and client_secret"
FOR_JWT = "is for type jwt; of an opaque token introspection_endpoint says whether it is good"


@pytest.mark.parametrize(
    ("attributes", "path", "reason"),
    [
        ({"token_prefix": ""}, "token_prefix", "must not be blank"),
        ({"token_prefix": "a b"}, "token_prefix", B64TOKEN),
        ({"token_prefix": "=a"}, "token_prefix", B64TOKEN),
        ({"token_prefix": "é"}, "token_prefix", B64TOKEN),
        ({"token_prefix": "a" * 256}, "token_prefix", "must not be longer than 255 characters"),
        ({"token_type": "bearer"}, "token_type", "must be one of: Bearer"),
        ({"jwks_uri": "https://x"}, "jwks_uri", FOR_JWT),
        ({"jwt": {"secret": "s"}}, "jwt.secret", FOR_JWT),
        ({"jwt": {"keys": [{"kty": "RSA", "alg": "RS256"}]}}, "jwt.keys", FOR_JWT),
        ({"jwt": {"algorithms": ["RS256"]}}, "jwt.algorithms", FOR_JWT),
        ({"jwt": {"typ": "at+jwt"}}, "jwt.typ", FOR_JWT),
        ({"introspection_endpoint": URL}, "introspection_endpoint", "must be an object"),
        ({"introspection_endpoint": {"authorization": "a"}}, "introspection_endpoint.url", "is required"),
        ({"introspection_endpoint": {"url": URL}}, "introspection_endpoint", EITHER),
        (
            {"introspection_endpoint": {"url": URL, "authorization": "a", "client_id": "c", "client_secret": "s"}},
            "introspection_endpoint",
            EITHER,
        ),
        (
            {"introspection_endpoint": {"url": URL, "authorization": "a", "auth_method": "client_secret_post"}},
            "introspection_endpoint",
            EITHER,
        ),
        (
            {"introspection_endpoint": {"url": URL, "client_id": "c"}},
            "introspection_endpoint.client_secret",
            "is required without authorization",
        ),
        (
            {"introspection_endpoint": {"url": URL, "client_secret": "s"}},
            "introspection_endpoint.client_id",
            "is required without authorization",
        ),
        (
            {"introspection_endpoint": {"url": URL, "client_id": "c", "client_secret": "s", "auth_method": "basic"}},
            "introspection_endpoint.auth_method",
            "must be one of: client_secret_basic, client_secret_post",
        ),
        (
            {"introspection_endpoint": {"url": URL, "authorization": "********"}},
            "introspection_endpoint.authorization",
            "is the mask that stands for a secret, not a secret",
        ),
    ],
)
def test_what_is_wrong_with_an_opaque_introspector_is_refused_with_its_path_and_the_reason(
    attributes: dict[str, Any], path: str, reason: str
) -> None:
    assert opaque_faults(**attributes) == [(path, reason)]


def test_all_that_is_for_jwts_only_is_named_at_once() -> None:
    jwt = {"iss": "i", "secret": "s", "algorithms": ["HS256"], "typ": "JWT"}

    assert opaque_faults(jwt=jwt, jwks_uri="https://x") == [
        (path, FOR_JWT) for path in ("jwks_uri", "jwt.algorithms", "jwt.secret", "jwt.typ")
    ]


@pytest.mark.parametrize("name", ["token_prefix", "token_type", "introspection_endpoint"])
def test_what_is_for_opaque_tokens_only_is_refused_of_a_jwt_introspector(name: str) -> None:
    endpoint = {"url": URL, "authorization": "Bearer x"}
    value = {"token_prefix": "at_", "token_type": "Bearer", "introspection_endpoint": endpoint}[name]

    assert faults("TokenIntrospector", **{name: value}) == [(name, "is for type opaque; a JWT says itself what it is")]


def test_every_fault_is_reported_at_once() -> None:
    body = {"active": 1, "client": {"id": 2, "secret": 3}, "scopes": [4, "ok", 5], "mind": 6}

    with pytest.raises(Rejected) as caught:
        load(Resource("IdentityProvider", "x", "1", body))

    assert [issue.path for issue in caught.value.issues] == [
        "active",
        "client.id",
        "client.secret",
        "mind",
        "scopes.0",
        "scopes.2",
        "system",
        "userinfo_endpoint",
    ]


def test_a_body_that_names_another_resource_is_refused() -> None:
    assert faults("AccessPolicy", id="y") == [("id", "resourceType and id must be those that it is kept under")]
    assert faults("AccessPolicy", resourceType="User")[0][0] == "id"


def test_what_was_loaded_cannot_be_changed() -> None:
    policy: Any = loaded("AccessPolicy")

    with pytest.raises(FrozenInstanceError):
        policy.active = False
