"""What realms are made from: clients, people and keys as Keycloak represents them."""

from __future__ import annotations

from collections.abc import Mapping

AUDIENCE = "https://api.example"
"""What tokens of :func:`a_client` are for, unless it is told otherwise."""

KEY_PROVIDER = "org.keycloak.keys.KeyProvider"
"""The type of component that a key is."""

_GENERATED: Mapping[str, tuple[str, Mapping[str, str]]] = {
    **{name: ("rsa-generated", {"algorithm": name}) for name in ("RS256", "RS512", "PS256")},
    "ES256": ("ecdsa-generated", {"ecdsaEllipticCurveKey": "P-256"}),
    "ES384": ("ecdsa-generated", {"ecdsaEllipticCurveKey": "P-384"}),
    "EdDSA": ("eddsa-generated", {"eddsaEllipticCurveKey": "Ed25519"}),
    "Ed448": ("eddsa-generated", {"eddsaEllipticCurveKey": "Ed448"}),
    # What a realm uses itself: for refresh tokens, cookies, and what is sent to it.
    "HS512": ("hmac-generated", {"algorithm": "HS512"}),
    "AES": ("aes-generated", {}),
    "RSA-OAEP": ("rsa-enc-generated", {"algorithm": "RSA-OAEP"}),
}

_AUDIENCE_MAPPER = {
    "name": "audience",
    "protocol": "openid-connect",
    "protocolMapper": "oidc-audience-mapper",
}


def a_client(name: str, *, audience: str = AUDIENCE, **attributes: str) -> dict[str, object]:
    """A client in a realm's representation that gets tokens for itself and for people; see :func:`secret_of`.

    :param attributes: Keycloak's own, ``.`` written as ``_``.
    """
    config = {"included.custom.audience": audience, "access.token.claim": "true", "introspection.token.claim": "true"}
    return {
        "clientId": name,
        "secret": secret_of(name),
        "serviceAccountsEnabled": True,
        "directAccessGrantsEnabled": True,
        "attributes": {key.replace("_", "."): value for key, value in attributes.items()},
        "protocolMappers": [{**_AUDIENCE_MAPPER, "config": config}],
    }


def secret_of(client: str) -> str:
    """A secret that must be encoded on the way (:rfc:`6749#section-2.3.1`)."""
    return f"the secret: 100% of my+{client}"


def a_person(username: str) -> dict[str, object]:
    """A user in a realm's representation who can sign in with the password ``password-of-<username>``."""
    return {
        "username": username,
        "enabled": True,
        "email": f"{username}@example.com",
        "emailVerified": True,
        "firstName": username.title(),
        "lastName": "Example",
        "credentials": [{"type": "password", "value": f"password-of-{username}"}],
        "realmRoles": ["offline_access"],
    }


def a_key(algorithm: str, *, priority: int = 100, name: str | None = None) -> dict[str, object]:
    """A key in a realm's representation, below :data:`KEY_PROVIDER`; of several, that of the highest priority signs."""
    provider, config = _GENERATED[algorithm]
    return {
        "name": name or algorithm,
        "providerId": provider,
        "config": {"priority": [str(priority)], **{name: [value] for name, value in config.items()}},
    }
