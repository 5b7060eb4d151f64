"""What the tests of the REST API send, and as whom."""

from __future__ import annotations

import base64
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from flask_foreign_token.testing import Issuer

from ..apps import Resource, ask, introspector, policy, provider, secret_token, store, trusting_a_secret

NAME = "operator"
PASSWORD = "the operator's secret"
ADMIN = {
    "FOREIGN_TOKEN_ADMIN_URL_PREFIX": "/fhir",
    "FOREIGN_TOKEN_ADMIN_CLIENT_ID": NAME,
    "FOREIGN_TOKEN_ADMIN_CLIENT_SECRET": PASSWORD,
    "FOREIGN_TOKEN_REGISTRY_POLL": 0,
}

BODIES: dict[str, Resource] = {
    "IdentityProvider": provider("other"),
    "TokenIntrospector": introspector("other", None, jwt={"iss": "https://other.example", "secret": "x" * 40}),
    "AccessPolicy": policy("other", {"jwt": {"iss": "https://other.example"}}),
    "User": {"resourceType": "User", "id": "other"},
}
"""One good body of each type, under the id ``other``."""

NOUNS = {
    "IdentityProvider": "identity_provider",
    "TokenIntrospector": "token_introspector",
    "AccessPolicy": "access_policy",
    "User": "user",
}

OPERATIONS = [
    (f"foreign_token.{verb}_{noun}", method, f"/fhir/{type_}{rest}", type_)
    for type_, noun in NOUNS.items()
    for verb, method, rest in (
        ("search", "GET", ""),
        ("create", "POST", ""),
        ("read", "GET", "/other"),
        ("update", "PUT", "/other"),
        ("delete", "DELETE", "/other"),
    )
]
"""Endpoint, method, path and type of every operation."""


def basic(name: str = NAME, password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def operate(app: Flask, method: str, path: str, body: object = None, **more: Any) -> TestResponse:
    """Ask as the operator; `body` is sent as JSON, or as it stands when it is a text."""
    headers = {**basic(), **more.pop("headers", {})}
    if isinstance(body, str | bytes):
        more["data"] = body
    elif body is not None:
        more["json"] = body
    return ask(app, None, f"/fhir{path}", method, headers=headers, **more)


def perform(app: Flask, operation: tuple[str, str, str, str], headers: dict[str, str]) -> int:
    """The status of an operation, asked with a good body where it takes one."""
    _, method, path, type_ = operation
    return ask(
        app, None, path, method, headers=headers, json=BODIES[type_] if method in ("PUT", "POST") else None
    ).status_code


def succeeded(operation: tuple[str, str, str, str]) -> tuple[int, ...]:
    """The statuses that say that an operation was carried out, whether ``other`` was there or not."""
    return {"POST": (201,), "PUT": (200, 201), "DELETE": (204, 404)}.get(operation[1], (200, 404))


def tutorial(app: Flask, *policies: Resource) -> Flask:
    """`app` with what the tutorial stores: every token of one issuer may do everything; and `policies`."""
    store(app, [*trusting_a_secret(), *policies])
    return app


def token_header(issuer: Issuer, **claims: object) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret_token(issuer, **claims)}"}
