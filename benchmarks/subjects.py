"""What is measured, the same for everybody: the token, the request, the bare app, and the app of this package.

The token is what Keycloak 26 issues for the tutorial's person, signed with RS256: about 1.3 kB. The app is a view that
answers a small JSON object, ``/rooms/<name>``; whoever protects it wraps that very view.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.test import EnvironBuilder

from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.testing import Issuer

from .bare import PATH, Body, View, new_room, route
from .bare import bare_app as bare_app

Environ = dict[str, Any]

SUBJECT = "65f4a0ad-0d4b-4f0a-9b3a-3f1c0b7e2d11"

_REGISTRY = "registry.json"


# ---- the token and the request


def keycloak_token(issuer: Issuer, **claims: object) -> str:
    """An access token as Keycloak 26 writes it; no two are the same.

    :param claims: what is to be said otherwise, as :meth:`.Issuer.token` has it.
    """
    said: Body = {
        "sub": SUBJECT,
        "aud": ["account", "my-client"],
        "sid": "8a1c5f0e-7b7b-4a53-9d34-0a2f6a3c9f52",
        "allowed-origins": ["http://localhost:5000"],
        "scope": "openid profile email",
        "email_verified": True,
        "name": "Test User",
        "preferred_username": "testuser",
        "given_name": "Test",
        "family_name": "User",
        "email": "testuser@example.com",
    }
    return issuer.token(**{"lifetime": 3600, **said, **claims})


def broken(token: str) -> str:
    """The same token with a signature that does not fit."""
    head, _, signature = token.rpartition(".")
    return f"{head}.{signature[::-1]}"


def environ(token: str | None, path: str = PATH, method: str = "GET") -> Environ:
    """The WSGI environ of a request with `token`; to be made outside the clock."""
    headers = [("Accept", "application/json"), ("User-Agent", "benchmark")]
    if token is not None:
        headers.append(("Authorization", f"Bearer {token}"))
    return EnvironBuilder(path, method=method, headers=headers).get_environ()


def ask(app: Flask, environ: Environ) -> int:
    """Make a request as a WSGI server does: call, read, close.

    :return: the status of the answer.
    """
    statuses: list[str] = []

    def start_response(status: str, headers: object, error: object = None) -> None:
        statuses.append(status)

    # A server makes an environ for each request, and Flask writes into it.
    chunks = app(dict(environ), start_response)  # type: ignore[arg-type]
    try:
        for _ in chunks:
            pass
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    return int(statuses[0][:3])


def asking(app: Flask, environ: Environ) -> Callable[[], int]:
    """A work for :func:`.interleaved`: the same request again and again."""
    return lambda: ask(app, environ)


def asking_once_each(app: Flask, environs: Iterable[Environ]) -> Callable[[], int]:
    """A work for :func:`.interleaved` that makes another request each time.

    :param environs: as many as there will be calls, those before the first round included.
    """
    left = iter(environs)
    return lambda: ask(app, next(left))


# ---- the apps


def token_policy(issuer: Issuer) -> Body:
    """The tutorial's policy, which reads nothing but the token."""
    return policy("token", {"jwt": {"iss": issuer.issuer}})


def request_policy(issuer: Issuer) -> Body:
    """One that reads the request as well."""
    return policy("request", {"jwt": {"iss": issuer.issuer}, "uri": "#/rooms/.+", "request-method": "get"})


def policy(id: str, matcho: Body, **attributes: Any) -> Body:  # noqa: A002 - the resource's own word
    """An AccessPolicy with a pattern."""
    return {"resourceType": "AccessPolicy", "id": id, "engine": "matcho", "matcho": matcho, **attributes}


def trust_in(issuer: Issuer, kind: str = "jwt", **introspector: Any) -> list[Body]:
    """The provider and the introspector; users are made of what the token says.

    :param introspector: further members of the TokenIntrospector.
    """
    provider, asked = (dict(resource) for resource in issuer.resources(kind=kind))  # type: ignore[arg-type]
    provider["userinfo-source"] = "id-token"
    return [provider, {**asked, **introspector}]


@contextmanager
def protected_app(
    issuer: Issuer,
    policies: Sequence[Mapping[str, Any]] | None = None,
    *,
    trust: Sequence[Mapping[str, Any]] | None = None,
    guard: Callable[[View], View] = require_policy,
    config: Mapping[str, Any] | None = None,
) -> Iterator[Flask]:
    """The app protected by this package, as the tutorial has it: resources in a file, users in SQLite.

    :param policies: default: :func:`token_policy`.
    :param trust: its other resources; default: :func:`trust_in`.
    :param guard: what wraps the view.
    :param config: settings that differ from their defaults.
    """
    trusted = trust_in(issuer) if trust is None else trust
    allowed = [token_policy(issuer)] if policies is None else policies
    with tempfile.TemporaryDirectory() as folder:
        write_registry(folder, [*trusted, *allowed])
        app = app_in(folder, guard=guard, config=config)
        try:
            yield app
        finally:
            close(app)


def write_registry(folder: str, resources: Sequence[Mapping[str, Any]]) -> None:
    """Write down `resources` for :func:`app_in`."""
    Path(folder, _REGISTRY).write_text(json.dumps(resources), encoding="utf-8")


def app_in(
    folder: str, *, guard: Callable[[View], View] = require_policy, config: Mapping[str, Any] | None = None
) -> Flask:
    """The app of :func:`protected_app`, with its resources and users in `folder`."""
    app = Flask("clinic", root_path=folder, instance_path=folder)
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{folder}/clinic.sqlite"
    app.config["FOREIGN_TOKEN_REGISTRY"] = _REGISTRY
    app.config.update(config or {})
    ForeignToken(app)
    route(app, guard(new_room()))
    return app


def close(app: Flask) -> None:
    """Give up the connections of `app`, whose folder goes."""
    with app.app_context():
        for engine in app.extensions["sqlalchemy"].engines.values():
            engine.dispose()


def check(app: Flask, token: str, refused: int = 401) -> None:
    """Make sure that `app` takes a good token, and refuses one with a broken signature and a request without any.

    :raises AssertionError: it does not, so that it is not worth measuring.
    """
    assert ask(app, environ(token)) == 200
    assert ask(app, environ(broken(token))) == refused
    assert ask(app, environ(None)) in (401, refused)
    assert ask(app, environ(token)) == 200
