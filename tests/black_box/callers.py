"""Who calls the REST API and the commands, and the bodies that they send."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from click.testing import Result
from flask import Flask
from werkzeug.test import TestResponse

from ..apps import AUDIENCE, Resource, bearer, policy, provider

OPERATOR = "operator"
PASSWORD = "open-sesame-open-sesame"
SIGNING_SECRET = "no-one-must-ever-read-this-signing-secret-again"
CLIENT_SECRET = "no-one-must-ever-read-this-client-secret-again"
SECRETS = (PASSWORD, SIGNING_SECRET, CLIENT_SECRET)

TYPES = {
    "IdentityProvider": "identity_provider",
    "TokenIntrospector": "token_introspector",
    "AccessPolicy": "access_policy",
    "User": "user",
}
REGISTRY_TYPES = [name for name in TYPES if name != "User"]

BODIES: Mapping[str, Resource] = {
    "IdentityProvider": {
        "system": "acme",
        "title": "Acme",
        "scopes": ["openid", "profile"],
        "userinfo-source": "id-token",
        "client": {"id": "clinic", "secret": CLIENT_SECRET},
        "toScim": {"given_name": ["name", "givenName"]},
    },
    "TokenIntrospector": {
        "type": "jwt",
        "jwt": {"iss": "https://acme.example", "aud": "account", "secret": SIGNING_SECRET},
    },
    "AccessPolicy": {"description": "reads", "engine": "matcho", "matcho": {"request-method": "get", "uri": "#^/x"}},
    "User": {
        "identifier": [{"system": "keycloak", "value": "ada"}],
        "name": {"givenName": "Ada"},
        "email": "ada@example.com",
        "data": {"sub": "ada", "roles": ["doctor"]},
    },
}

OPERATOR_SETTINGS = {
    "FOREIGN_TOKEN_ADMIN_URL_PREFIX": "/fhir",
    "FOREIGN_TOKEN_ADMIN_CLIENT_ID": OPERATOR,
    "FOREIGN_TOKEN_ADMIN_CLIENT_SECRET": PASSWORD,
}


def basic(name: str = OPERATOR, password: str = PASSWORD, charset: str = "utf-8") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode(charset)).decode()}


def operate(app: Flask, method: str, path: str, body: object = None, **more: Any) -> TestResponse:
    """As the operator; `body` goes as JSON, a text as it is."""
    if isinstance(body, str | bytes):
        more.setdefault("data", body)
    elif body is not None:
        more.setdefault("data", json.dumps(body))
        more.setdefault("content_type", "application/json")
    headers = {**basic(), **more.pop("headers", {})}
    return app.test_client().open(path, method=method, headers=headers, buffered=True, **more)


def put(app: Flask, resource: Mapping[str, Any], **more: Any) -> TestResponse:
    return operate(app, "PUT", f"/fhir/{resource['resourceType']}/{resource['id']}", dict(resource), **more)


def put_all(app: Flask, resources: Iterable[Resource]) -> None:
    for resource in resources:
        answer = put(app, resource)
        assert answer.status_code in {200, 201}, answer.get_data(as_text=True)


def read(app: Flask, path: str) -> Resource:
    answer = operate(app, "GET", f"/fhir/{path}")
    assert answer.status_code == 200, answer.get_data(as_text=True)
    body: Resource = answer.json
    return body


def ids(app: Flask, name: str) -> list[str]:
    return sorted(entry["resource"]["id"] for entry in read(app, f"{name}?_count=1000")["entry"])


def everything(app: Flask) -> dict[str, list[Resource]]:
    """All that the operator can read, to compare before with after."""
    return {name: [entry["resource"] for entry in read(app, f"{name}?_count=1000")["entry"]] for name in TYPES}


def as_token(app: Flask, token: str | None, method: str, path: str, body: object = None) -> TestResponse:
    data = None if body is None else json.dumps(body)
    return app.test_client().open(
        path, method=method, data=data, content_type="application/json" if data else None, headers=bearer(token)
    )


def run(app: Flask, *words: str, stdin: str | None = None, status: int | None = 0) -> Result:
    """`flask foreign-token WORDS`; its exit status is checked unless `status` is None."""
    result = app.test_cli_runner().invoke(args=["foreign-token", *words], input=stdin)
    if status is not None:
        assert result.exit_code == status, f"{words}: {result.exit_code}\n{result.output}\n{result.exception!r}"
    return result


def parsed(app: Flask, *words: str, status: int = 0, **more: Any) -> Any:
    """What the command says with ``--json``."""
    return json.loads(run(app, *words, "--json", status=status, **more).stdout)


def write(folder: Path, name: str, content: object) -> str:
    path = folder / name
    if not isinstance(content, str):
        content = yaml.safe_dump(content, sort_keys=False) if name.endswith("yaml") else json.dumps(content)
    path.write_text(content, encoding="utf-8")
    return str(path)


def secret_introspector(name: str = "acme-tokens", **attributes: object) -> Resource:
    jwt = {"iss": "https://acme.example", "aud": AUDIENCE, "secret": SIGNING_SECRET}
    return {"resourceType": "TokenIntrospector", "id": name, "type": "jwt", "jwt": jwt, **attributes}


def secret_provider(name: str = "acme", **attributes: object) -> Resource:
    return provider(name, client={"id": "clinic", "secret": CLIENT_SECRET}, **attributes)


def linked(name: str, *references: str, **attributes: object) -> Resource:
    return policy(name, link=[{"reference": reference} for reference in references], **attributes)


Operated = Callable[..., Flask]
