"""Snapshots to build, and tokens to ask them about."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from flask_foreign_token.errors import Issue, Rejected
from flask_foreign_token.http import Http
from flask_foreign_token.introspection.token import Credential, Token
from flask_foreign_token.registry.links import Linked
from flask_foreign_token.registry.resources import Resource, identify, version_of
from flask_foreign_token.registry.snapshot import RegistrySnapshot, SnapshotBuilder

from .bodies import ISSUER, SECRET

HTTP = Http(allow_http_hosts=("localhost", "keycloak"))


def builder(http: Http = HTTP, **settings: Any) -> SnapshotBuilder:
    defaults = {"require_audience": True, "default_audience": "api", "key_grace": 3600.0}
    return SnapshotBuilder(http, **(defaults | settings))


BUILDER = builder()


def stored(*bodies: Mapping[str, object]) -> list[Resource]:
    return [Resource(*identify(body), version_of(body), body) for body in bodies]


def built(
    *bodies: Mapping[str, object], previous: RegistrySnapshot | None = None, by: SnapshotBuilder = BUILDER
) -> RegistrySnapshot:
    return by.build(stored(*bodies), "1", previous)


def faults(*bodies: Mapping[str, object], by: SnapshotBuilder = BUILDER) -> list[Issue]:
    with pytest.raises(Rejected) as caught:
        built(*bodies, by=by)
    return list(caught.value.issues)


def token(snapshot: RegistrySnapshot, iss: str = ISSUER, **claims: object) -> Token:
    claims = {"iss": iss, "sub": "jane", "aud": "api", "exp": int(time.time()) + 60, **claims}
    claims = {name: value for name, value in claims.items() if value is not None}
    text = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET))
    return snapshot.introspection.introspect(Credential("bearer", text))


def linked(snapshot: RegistrySnapshot, id_: str = "i") -> Linked:
    [found] = [link for link in snapshot.linked if link.settings.id == id_]
    return found
