"""Resources with secrets in them, to mask and to restore."""

from __future__ import annotations

from typing import Any

import pytest
from marshmallow import Schema, fields

from flask_foreign_token.errors import Rejected
from flask_foreign_token.registry.fields import Secret
from flask_foreign_token.registry.secrets import restored

from .bodies import introspector, provider

BOUND = {
    "issuer": "https://idp.example",
    "token_endpoint": "https://idp.example/token",
    "introspection_endpoint": "https://idp.example/introspect",
    "revocation_endpoint": "https://idp.example/revoke",
}


def with_client(**client: object) -> dict[str, object]:
    return provider(client={"id": "app", **client})


def with_keys(*keys: Any) -> dict[str, object]:
    return introspector(jwt={"iss": "i", "keys": list(keys)})


def key(k: object, **members: object) -> dict[str, object]:
    return {"kty": "OCT", "alg": "HS256", "k": k, **members}


def refused(body: dict[str, object], stored: object) -> list[tuple[str, str]]:
    with pytest.raises(Rejected) as caught:
        restored(body, stored)
    return [(issue.path, issue.message) for issue in caught.value.issues]


def example(field: fields.Field[Any], secret: object) -> object:
    """A value of that field with `secret` wherever a secret may stand, and nowhere else."""
    if isinstance(field, Secret):
        return secret
    if isinstance(field, fields.Nested):
        return examples(field.schema, secret)
    if isinstance(field, fields.List):
        return [example(field.inner, secret)]
    return "shown"


def examples(schema: Schema, secret: object) -> dict[str, object]:
    return {field.data_key or name: example(field, secret) for name, field in schema.fields.items()}
