"""What the tests build apps from: resources, views and the way to ask them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy
from flask import Flask, g
from joserfc.jwk import OctKey
from werkzeug.test import TestResponse

from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.registry.edits import Edit
from flask_foreign_token.testing import Issuer

Resource = dict[str, Any]

AUDIENCE = "account"
SECRET = "tell-nobody-that-this-is-how-we-sign-texts"
SECRET_ISSUER = "https://secret.example"


def provider(name: str = "keycloak", **attributes: object) -> Resource:
    body = {"resourceType": "IdentityProvider", "id": name, "system": name, "userinfo-source": "id-token"}
    return {**body, **attributes}


def introspector(
    name: str, provider: str | None = "keycloak", *, jwt: Mapping[str, object], **attributes: object
) -> Resource:
    body: Resource = {"resourceType": "TokenIntrospector", "id": name, "type": "jwt", "jwt": {"aud": AUDIENCE, **jwt}}
    if provider is not None:
        body["identity_provider"] = {"reference": f"IdentityProvider/{provider}"}
    return {**body, **attributes}


def policy(name: str, matcho: object = None, **attributes: object) -> Resource:
    engine = {"engine": "allow"} if matcho is None else {"engine": "matcho", "matcho": matcho}
    return {"resourceType": "AccessPolicy", "id": name, **engine, **attributes}


def trusting(issuer: Issuer, *policies: Resource, name: str = "keycloak", **attributes: object) -> list[Resource]:
    """`issuer` trusted as the tutorial does it, users made from the token's claims; `attributes` are the provider's.

    Without `policies` every token of the issuer opens every view.
    """
    return [
        provider(name, **attributes),
        introspector(f"{name}-jwt", name, jwt={"iss": issuer.issuer}, jwks_uri=issuer.jwks_uri),
        *(policies or [policy("known-issuer", {"jwt": {"iss": issuer.issuer}})]),
    ]


def trusting_a_secret(*policies: Resource, jwt: Mapping[str, object] = {}, **attributes: object) -> list[Resource]:
    """Tokens signed with `SECRET` trusted; `jwt` adds to the introspector's, `attributes` are the provider's."""
    return [
        provider(**attributes),
        introspector("secret", jwt={"iss": SECRET_ISSUER, "secret": SECRET, **jwt}),
        *(policies or [policy("known-issuer", {"jwt": {"iss": SECRET_ISSUER}})]),
    ]


def secret_token(issuer: Issuer, secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    """A token of `SECRET_ISSUER`; `issuer` lends its hand only."""
    key = OctKey.import_key(secret)
    return issuer.token(key=key, algorithm=algorithm, **{"iss": SECRET_ISSUER, "headers": {"kid": None}, **claims})


def without(resource: Resource, *names: str) -> Resource:
    return {name: value for name, value in resource.items() if name not in names}


def bearer(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def ask(
    app: Flask, token: str | None = None, path: str = "/patients", method: str = "GET", **more: Any
) -> TestResponse:
    headers = {**bearer(token), **more.pop("headers", {})}
    return app.test_client().open(path, method=method, headers=headers, buffered=True, **more)


def add_views(app: Flask) -> None:
    @app.get("/patients")
    @require_policy
    def patients() -> dict[str, object]:
        return {"subject": None if g.token is None else g.token.subject}

    @app.get("/me")
    @require_policy
    def me() -> dict[str, object]:
        return {"user": key_of(g.user), "subject": g.token and g.token.subject}

    @app.get("/open")
    def open_to_all() -> dict[str, object]:
        return {"user": key_of(g.user), "subject": g.token and g.token.subject}


def key_of(user: object | None) -> str | None:
    return None if user is None else str(sqlalchemy.inspect(user).identity[0])


def write_registry(path: Path, resources: object) -> Path:
    """Written as an operator's editor does it: beside, then moved over."""
    beside = path.with_name(path.name + ".new")
    beside.write_text(resources if isinstance(resources, str) else json.dumps(resources), encoding="utf-8")
    beside.replace(path)
    return path


def store(app: Flask, resources: Sequence[Resource]) -> None:
    """Write to the database registry of `app`."""
    with app.app_context():
        app.extensions["foreign_token"].runtime().catalog.apply(Edit(upserts=resources))


def database_of(app: Flask) -> Any:
    return app.extensions["sqlalchemy"]


def in_database(app: Flask, work: Callable[[sqlalchemy.Connection], Any]) -> Any:
    """What `work` returns for a connection of its own, committed."""
    with app.app_context(), database_of(app).engine.begin() as connection:
        return work(connection)


def rows(app: Flask, statement: str, **parameters: object) -> list[tuple[Any, ...]]:
    def read(connection: sqlalchemy.Connection) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in connection.execute(sqlalchemy.text(statement), parameters)]

    found: list[tuple[Any, ...]] = in_database(app, read)
    return found


def users_in(app: Flask) -> int:
    return int(rows(app, "SELECT count(*) FROM foreign_token_user")[0][0])


def tables_in(app: Flask) -> set[str]:
    return set(in_database(app, lambda connection: sqlalchemy.inspect(connection).get_table_names()))


def deactivate(app: Flask, user: str) -> None:
    """As an operator at the database's own prompt would, so that nobody is told."""
    rows(app, "UPDATE foreign_token_user SET active = 0 WHERE id = :user RETURNING id", user=user)


def environment(**values: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **values}


def protected(
    app: Flask, resources: Sequence[Resource] | str | None = None, extension: ForeignToken | None = None
) -> Flask:
    """`app` with the extension, the usual views and, when `resources` are given, a registry file of them."""
    if resources is not None:
        app.config["FOREIGN_TOKEN_REGISTRY"] = write_registry(registry_of(app), resources).name
    (extension or ForeignToken()).init_app(app)
    add_views(app)
    return app


def registry_of(app: Flask) -> Path:
    return Path(app.root_path) / "registry.json"
