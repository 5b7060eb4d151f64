"""Bodies that work, for whoever reads the document or tries the API with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

EXAMPLES: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
    "IdentityProvider": {
        "keycloak": {
            "system": "keycloak",
            "title": "Keycloak of the clinic",
            "issuer": "https://keycloak.example/realms/clinic",
            "scopes": ["openid", "profile"],
            "client": {"id": "patients-api", "secret": {"file": "/run/secrets/patients-api"}},
            "toScim": {"given_name": ["name", "givenName"], "email": ["email"]},
        },
        "claims": {"system": "entra", "userinfo-source": "id-token", "subject_claim": "oid"},
    },
    "TokenIntrospector": {
        "jwt": {
            "type": "jwt",
            "jwks_uri": "https://keycloak.example/realms/clinic/protocol/openid-connect/certs",
            "jwt": {"iss": "https://keycloak.example/realms/clinic", "aud": "patients-api"},
        },
        "opaque": {
            "type": "opaque",
            "token_prefix": "at_",
            "introspection_endpoint": {
                "url": "https://login.example/introspect",
                "client_id": "patients-api",
                "client_secret": {"env": "INTROSPECTION_SECRET"},
            },
        },
    },
    "AccessPolicy": {
        "readers": {
            "engine": "matcho",
            "description": "Whoever is known may read",
            "matcho": {"request-method": "get", "user": "present?"},
        },
        "nurses": {"engine": "allow", "roleName": "nurse"},
    },
    "User": {
        "alice": {"identifier": [{"system": "keycloak", "value": "alice"}], "email": "alice@clinic.example"},
        "shut out": {"identifier": [{"system": "keycloak", "value": "mallory"}], "inactive": True},
    },
}
"""By type and name."""

MATCHO: Final[Mapping[str, object]] = {
    "pattern": {"matcho": {"name": "present?", "age": {"$not": 0}}, "resource": {"name": "Alice", "age": 41}}
}

TRIAL: Final[Mapping[str, object]] = {
    "policy": {
        "request": {"request-method": "get", "uri": "/patients", "user": {"id": "alice", "roles": ["nurse"]}},
        "policy": {"engine": "allow", "roleName": "nurse"},
    }
}
