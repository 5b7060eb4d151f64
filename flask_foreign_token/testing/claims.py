# mypy: disable-error-code="import-untyped"
"""What an access token says, in the manner of Keycloak, and what userinfo adds."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import uuid4

from authlib.oidc.core import UserInfo

AUDIENCE = "account"
SCOPE = "openid profile email"
LIFETIME = 300
"""Seconds that an access token lives."""

_ROLES = {
    "realm_access": {"roles": ["default-roles-myrealm", "offline_access", "uma_authorization"]},
    "resource_access": {"account": {"roles": ["manage-account", "manage-account-links", "view-profile"]}},
}
_NOT_OF_THE_USER = frozenset(
    {
        *("exp", "nbf", "iat", "auth_time", "jti", "iss", "aud", "azp", "client_id", "typ", "acr", "sid", "scope"),
        *("allowed-origins", "realm_access", "resource_access", "clientHost", "clientAddress"),
        *("active", "token_type", "username"),
    }
)


def of_access_token(
    issuer: str, client_id: str, profile: Mapping[str, object], scope: str, issued_at: int, lifetime: float
) -> dict[str, object]:
    """The claims of an access token.

    :param profile: everything known of its subject; what `scope` does not cover is left out.
    :param issued_at: seconds since the epoch.
    :param lifetime: seconds; below zero, the token has expired.
    """
    return {
        "exp": issued_at + lifetime,
        "iat": issued_at,
        "jti": str(uuid4()),
        "iss": issuer,
        "aud": AUDIENCE,
        "typ": "Bearer",
        "azp": client_id,
        "acr": "1",
        "allowed-origins": ["/*"],
        **_ROLES,
        "scope": scope,
        **_covered(profile, scope),
    }


def of_introspection(claims: Mapping[str, object]) -> dict[str, object]:
    """What introspection answers to an active token with these `claims` (:rfc:`7662#section-2.2`)."""
    named = {"client_id": claims.get("azp"), "username": claims.get("preferred_username")}
    return {"token_type": "Bearer", **{name: value for name, value in named.items() if value}, **claims}


def of_userinfo(claims: Mapping[str, object], profile: Mapping[str, object]) -> dict[str, object]:
    """What userinfo answers to a token: what is known of its subject, and what the token itself says of them.

    :param claims: the token's, `scope` among them.
    :param profile: everything known of its subject.
    """
    told = {name: value for name, value in claims.items() if name not in _NOT_OF_THE_USER}
    return {**_covered(profile, str(claims.get("scope", ""))), **told}


def _covered(profile: Mapping[str, object], scope: str) -> dict[str, object]:
    """`profile` without the claims of scopes that were not granted (OpenID Connect Core, 5.4)."""
    granted = {*scope.split(), "openid"}
    withheld = {
        claim for name, claims in UserInfo.SCOPES_CLAIMS_MAPPING.items() if name not in granted for claim in claims
    }
    return {name: value for name, value in profile.items() if name not in withheld}
