"""Resources as they are written: the tutorial's, and small ones to alter."""

from __future__ import annotations

from typing import Any

PROVIDER: dict[str, Any] = {
    "id": "keycloak",
    "scopes": ["profile", "openid"],
    "system": "keycloak",
    "userinfo_endpoint": "http://keycloak:8180/realms/myrealm/protocol/openid-connect/userinfo",
    "userinfo-source": "userinfo-endpoint",
    "resourceType": "IdentityProvider",
    "title": "Keycloak",
    "active": True,
}
INTROSPECTOR: dict[str, Any] = {
    "resourceType": "TokenIntrospector",
    "type": "jwt",
    "jwt": {"iss": "http://localhost:8180/realms/myrealm"},
    "jwks_uri": "http://keycloak:8180/realms/myrealm/protocol/openid-connect/certs",
    "identity_provider": {"reference": "IdentityProvider/keycloak"},
}
POLICY: dict[str, Any] = {
    "resourceType": "AccessPolicy",
    "engine": "matcho",
    "matcho": {"jwt": {"iss": "http://localhost:8180/realms/myrealm"}},
}
SECRET = "a secret of more than thirty-two octets"
ISSUER = "https://idp.example"


def provider(id_: str = "k", **attributes: object) -> dict[str, object]:
    body = {"resourceType": "IdentityProvider", "id": id_, "system": id_, "userinfo-source": "id-token"}
    return body | attributes


def introspector(id_: str = "i", link: str | None = None, iss: str = ISSUER, **attributes: object) -> dict[str, object]:
    body: dict[str, object] = {"resourceType": "TokenIntrospector", "id": id_, "type": "jwt"}
    if "jwt" not in attributes:
        body["jwt"] = {"iss": iss, "secret": SECRET}
    if link is not None:
        body["identity_provider"] = {"reference": f"IdentityProvider/{link}"}
    return body | attributes


ASKED = {"url": "https://idp.example/introspect", "authorization": "Bearer hush"}


def opaque(id_: str = "o", link: str | None = None, **attributes: object) -> dict[str, object]:
    """Asks an endpoint of its own, or where it is linked the provider."""
    body: dict[str, object] = {"resourceType": "TokenIntrospector", "id": id_, "type": "opaque"}
    if link is None:
        body["introspection_endpoint"] = ASKED
    else:
        body["identity_provider"] = {"reference": f"IdentityProvider/{link}"}
    return body | attributes


def asked_provider(id_: str = "k", **attributes: object) -> dict[str, object]:
    """One that can be asked about opaque tokens."""
    client = {"id": "app", "secret": "hush"}
    return provider(id_, introspection_endpoint="https://idp.example/provider", client=client) | attributes


def policy(id_: str = "p", **attributes: object) -> dict[str, object]:
    return {"resourceType": "AccessPolicy", "id": id_, "engine": "allow", **attributes}
