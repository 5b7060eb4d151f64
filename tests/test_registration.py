from __future__ import annotations

import subprocess
from typing import Any

import pytest

from flask_foreign_token.documents import read_yaml
from flask_foreign_token.errors import Rejected
from flask_foreign_token.introspection.discovery import ServerMetadata
from flask_foreign_token.registration import (
    Registration,
    offers_nothing_verifiable,
    policy_command,
    product_of,
    resources_of,
    updated,
    users_policy,
)

from .publishing import metadata

ISSUER = "https://id.example/realms/clinic"
TENANT = "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47"


def published(issuer: str = ISSUER, base: str | None = None, **members: object) -> ServerMetadata:
    return ServerMetadata(issuer, metadata(issuer, base, **members), f"{issuer}/.well-known/openid-configuration")


def entra() -> ServerMetadata:
    """What Entra ID publishes, as far as it matters."""
    return published(
        f"{TENANT}/v2.0",
        authorization_endpoint=f"{TENANT}/oauth2/v2.0/authorize",
        token_endpoint=f"{TENANT}/oauth2/v2.0/token",
        jwks_uri=f"{TENANT}/discovery/v2.0/keys",
        userinfo_endpoint="https://graph.microsoft.com/oidc/userinfo",
    )


def provider_and_introspector(found: ServerMetadata, **attributes: Any) -> tuple[dict[str, object], dict[str, object]]:
    provider, introspector = resources_of(Registration("clinic", found.issuer, **attributes), found)
    return provider, introspector


def test_a_provider_has_the_endpoints_that_it_publishes() -> None:
    found = published(revocation_endpoint=f"{ISSUER}/revoke", introspection_endpoint=f"{ISSUER}/introspect")

    provider, introspector = provider_and_introspector(found, audiences=["account"])

    assert provider == {
        "resourceType": "IdentityProvider",
        "id": "clinic",
        "title": "clinic",
        "system": "clinic",
        "issuer": ISSUER,
        "authorize_endpoint": f"{ISSUER}/auth",
        "token_endpoint": f"{ISSUER}/token",
        "userinfo_endpoint": f"{ISSUER}/userinfo",
        "introspection_endpoint": f"{ISSUER}/introspect",
        "revocation_endpoint": f"{ISSUER}/revoke",
        "userinfo-source": "userinfo-endpoint",
        "scopes": ["profile", "openid"],
    }
    assert introspector == {
        "resourceType": "TokenIntrospector",
        "id": "clinic-jwt-introspector",
        "type": "jwt",
        "jwt": {"iss": ISSUER, "aud": "account"},
        "jwks_uri": f"{ISSUER}/certs",
        "identity_provider": {"reference": "IdentityProvider/clinic"},
    }


def test_only_the_endpoint_that_browsers_visit_stays_when_there_is_a_backchannel() -> None:
    backchannel = "http://keycloak:8080/realms/clinic"

    provider, introspector = provider_and_introspector(published(), backchannel=backchannel)

    assert provider["issuer"] == ISSUER
    assert provider["authorize_endpoint"] == f"{ISSUER}/auth"
    assert provider["token_endpoint"] == f"{backchannel}/token"
    assert provider["userinfo_endpoint"] == f"{backchannel}/userinfo"
    assert introspector["jwks_uri"] == f"{backchannel}/certs"


def test_endpoints_that_are_at_the_backchannel_already_stay() -> None:
    backchannel = "http://keycloak:8080/realms/clinic"

    provider, introspector = provider_and_introspector(published(ISSUER, backchannel), backchannel=backchannel)

    assert provider["userinfo_endpoint"] == f"{backchannel}/userinfo"
    assert introspector["jwks_uri"] == f"{backchannel}/certs"


def test_a_system_and_several_audiences_and_clients_are_taken_over() -> None:
    provider, introspector = provider_and_introspector(
        published(), system="urn:clinic", audiences=["a", "b"], client_ids=["c", "d"]
    )

    assert provider["system"] == "urn:clinic"
    assert introspector["jwt"] == {"iss": ISSUER, "aud": ["a", "b"], "client_id": ["c", "d"]}


def test_a_provider_without_userinfo_makes_users_from_claims() -> None:
    provider, _ = provider_and_introspector(published(userinfo_endpoint=None))

    assert provider["userinfo-source"] == "id-token"
    assert "userinfo_endpoint" not in provider


def test_entra_makes_users_from_claims_and_names_them_by_oid() -> None:
    provider, introspector = provider_and_introspector(entra(), audiences=["api://clinic"])

    assert (provider["userinfo-source"], provider["subject_claim"]) == ("id-token", "oid")
    assert provider["title"] == "Microsoft Entra ID"
    assert "userinfo_endpoint" not in provider
    assert introspector["jwks_uri"] == f"{TENANT}/discovery/v2.0/keys"


def test_google_makes_users_from_claims() -> None:
    provider, _ = provider_and_introspector(published("https://accounts.google.com"))

    assert (provider["title"], provider["userinfo-source"]) == ("Google", "id-token")
    assert "userinfo_endpoint" not in provider


@pytest.mark.parametrize(
    ("found", "audience"),
    [
        (published(token_endpoint=f"{ISSUER}/protocol/openid-connect/token"), "account"),
        (entra(), "CLIENT-ID-OF-YOUR-API"),
        (published("https://sts.windows.net/00000000-0000-0000-0000-000000000000/"), "api://YOUR-API"),
        (published(), "https://your-api.example"),
        (published("https://login.microsoftonline.com.evil.example/v2.0"), "https://your-api.example"),
    ],
)
def test_each_product_has_an_audience_for_an_example(found: ServerMetadata, audience: str) -> None:
    assert product_of(found).audience == audience


def test_scopes_are_those_of_the_tutorial_that_are_offered() -> None:
    some, _ = provider_and_introspector(published(scopes_supported=["email", "openid"]))
    none, _ = provider_and_introspector(published(scopes_supported=None))

    assert some["scopes"] == ["openid"]
    assert "scopes" not in none


def test_a_provider_without_keys_is_refused() -> None:
    with pytest.raises(Rejected) as rejected:
        provider_and_introspector(published(jwks_uri=None))

    assert [issue.path for issue in rejected.value.issues] == ["jwks_uri"]


@pytest.mark.parametrize(
    ("algorithms", "nothing"),
    [(["RS256", "HS256"], False), (["EdDSA"], False), (["HS256", "ES256K"], True), (None, False)],
)
def test_it_is_told_when_no_algorithm_can_be_verified(algorithms: list[str] | None, nothing: bool) -> None:
    assert offers_nothing_verifiable(published(id_token_signing_alg_values_supported=algorithms)) is nothing


@pytest.mark.parametrize("issuer", [ISSUER, 'it\'s "quoted": #1 $HOME `x`'])
def test_the_command_for_a_policy_carries_it_through_a_shell(issuer: str) -> None:
    policy = users_policy("clinic", issuer)
    # Prints what it would store.
    program = "f() { cat; }; f"

    lines = subprocess.run(["sh", "-c", "\n".join(policy_command(program, "clinic", issuer))], capture_output=True)

    assert read_yaml(lines.stdout) == policy


# ---- what is stored already


def test_what_is_stored_is_brought_up_to_what_is_published_and_keeps_the_rest() -> None:
    provider, introspector = provider_and_introspector(published(), audiences=["b"])
    own = {
        "active": False,
        "title": "The clinic's own",
        "system": "urn:clinic",
        "scopes": ["openid", "roles"],
        "client": {"id": "app", "secret": "********"},
        "toScim": {"email": ["email"]},
        "create_user": False,
        "subject_claim": "oid",
    }
    gone = {
        "issuer": "https://old.example",
        "jwks_uri": "https://old.example/c",
        "revocation_endpoint": "https://x.y/r",
    }
    stored_introspector = {
        **introspector,
        "cache_ttl": 60,
        "jwt": {"iss": "https://old.example", "aud": "a", "client_id": "c", "leeway": 5, "secret": "********"},
    }

    found = updated({**provider, **gone, **own}, provider, Registration("clinic", ISSUER))
    found_introspector = updated(stored_introspector, introspector, Registration("clinic", ISSUER))

    assert found == {**provider, **own}
    assert found_introspector == {
        **introspector,
        "cache_ttl": 60,
        "jwt": {"iss": ISSUER, "aud": "b", "client_id": "c", "leeway": 5},
    }


def test_a_system_that_is_named_takes_the_place_of_the_stored_one() -> None:
    provider, _ = provider_and_introspector(published(), system="urn:new")

    found = updated({**provider, "system": "urn:old"}, provider, Registration("clinic", ISSUER, system="urn:new"))

    assert found["system"] == "urn:new"


def test_an_audience_that_is_not_named_stays() -> None:
    _, introspector = provider_and_introspector(published())

    found = updated({**introspector, "jwt": {"iss": ISSUER, "aud": "a"}}, introspector, Registration("clinic", ISSUER))

    assert found["jwt"] == {"iss": ISSUER, "aud": "a"}


@pytest.mark.parametrize(
    ("endpoint", "before", "after"),
    [
        ("https://id.example/u", "id-token", "id-token"),
        ("https://id.example/u", "userinfo-endpoint", "userinfo-endpoint"),
        (None, "userinfo-endpoint", "id-token"),
    ],
)
def test_userinfo_is_not_asked_where_that_was_not_meant_or_is_not_possible(
    endpoint: str | None, before: str, after: str
) -> None:
    provider, _ = provider_and_introspector(published(userinfo_endpoint=endpoint))

    found = updated({**provider, "userinfo-source": before}, provider, Registration("clinic", ISSUER))

    assert found["userinfo-source"] == after


@pytest.mark.parametrize(
    ("stored", "left"),
    [
        ({"secret": "********", "algorithms": ["HS256"]}, {}),
        ({"keys": [], "algorithms": ["HS256", "HS512"]}, {}),
        ({"keys": [], "algorithms": ["HS256", "ES256", "EdDSA"]}, {"algorithms": ["ES256", "EdDSA"]}),
        ({"algorithms": ["RS256"]}, {"algorithms": ["RS256"]}),
        ({"algorithms": "RS256"}, {"algorithms": "RS256"}),
        ({"algorithms": ["HS256", ["RS256"]]}, {"algorithms": [["RS256"]]}),
    ],
)
def test_algorithms_of_shared_secrets_go_along_with_the_secret(
    stored: dict[str, object], left: dict[str, object]
) -> None:
    _, introspector = provider_and_introspector(published())

    found = updated({**introspector, "jwt": {"iss": ISSUER, **stored}}, introspector, Registration("clinic", ISSUER))

    assert found["jwt"] == {"iss": ISSUER, **left}


def test_a_stored_body_that_is_wrong_is_brought_up_too() -> None:
    _, introspector = provider_and_introspector(published(), audiences=["a"])

    assert updated({**introspector, "jwt": ["iss"]}, introspector, Registration("clinic", ISSUER)) == introspector
