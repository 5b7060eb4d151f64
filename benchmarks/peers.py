"""The other packages that protect the same view, each set up as its own documentation says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

from flask import Flask, abort, request
from joserfc.jwk import KeySet, RSAKey

from .bare import Body, View, bare_app, new_room, route

if TYPE_CHECKING:
    from flask_foreign_token.testing import Issuer

AUDIENCE = "account"


@dataclass(frozen=True)
class Provider:
    """What an app is told of its provider."""

    issuer: str
    jwks_uri: str
    introspection_endpoint: str
    client_id: str
    client_secret: str

    @classmethod
    def of(cls, issuer: Issuer) -> Provider:
        """
        :param issuer: it serves, since its keys are fetched when an app is made.
        """
        client = next(iter(issuer.clients.values()))
        return cls(issuer.issuer, issuer.jwks_uri, issuer.introspection_endpoint, client.id, client.secret)


def authlib(provider: Provider) -> Flask:
    """Authlib's ``ResourceProtector`` with its validator of JWTs (:rfc:`7523`).

    That of :rfc:`9068` refuses ``typ: JWT``, which Keycloak writes. This one asks for claims that Authlib's own server
    issues, so that its claims are named anew, as the guides of providers do; the keys are fetched once.
    """
    from authlib.integrations.flask_oauth2 import ResourceProtector
    from authlib.oauth2.rfc7523 import JWTBearerTokenValidator

    validator = JWTBearerTokenValidator(_keys_of(provider))
    validator.claims_options = {
        "exp": {"essential": True},
        "aud": {"essential": True, "value": AUDIENCE},
        "iss": {"essential": True, "value": provider.issuer},
    }
    require_oauth = ResourceProtector()
    require_oauth.register_token_validator(validator)
    return bare_app(require_oauth())


def flask_jwt_extended(provider: Provider) -> Flask:
    """Flask-JWT-Extended with the provider's public key, which it takes as PEM, and parses for each token."""
    from flask_jwt_extended import JWTManager, jwt_required

    public_key = next(key for key in _keys_of(provider) if isinstance(key, RSAKey))
    app = Flask("clinic")
    app.config.update(
        JWT_ALGORITHM="RS256",
        JWT_PUBLIC_KEY=public_key.as_pem(private=False).decode(),
        JWT_DECODE_AUDIENCE=AUDIENCE,
        JWT_DECODE_ISSUER=provider.issuer,
    )
    JWTManager(app)
    route(app, jwt_required()(new_room()))
    return app


def pyjwt(provider: Provider) -> Flask:
    """PyJWT with its ``PyJWKClient``, which keeps the key set, in the decorator that its users write."""
    import jwt

    client = jwt.PyJWKClient(provider.jwks_uri)

    def claims_of(token: str) -> Body:
        key = client.get_signing_key_from_jwt(token)
        claims: Body = jwt.decode(token, key, algorithms=["RS256"], audience=AUDIENCE, issuer=provider.issuer)
        return claims

    def protect(view: View) -> View:
        @wraps(view)
        def protected(*args: Any, **kwargs: Any) -> Any:
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            if scheme.lower() != "bearer":
                abort(401)
            try:
                claims_of(token)
            except jwt.PyJWTError:
                abort(401)
            return view(*args, **kwargs)

        return protected

    return bare_app(protect)


def flask_oidc(provider: Provider) -> Flask:
    """flask-oidc's ``accept_token``, which asks the provider's introspection endpoint about each request."""
    from flask_oidc import OpenIDConnect

    app = Flask("clinic")
    app.config.update(
        SECRET_KEY="benchmark",
        OIDC_CLIENT_SECRETS={
            "web": {
                "issuer": provider.issuer,
                "client_id": provider.client_id,
                "client_secret": provider.client_secret,
            }
        },
        OIDC_RESOURCE_SERVER_ONLY=True,
    )
    oidc = OpenIDConnect(app)
    route(app, oidc.accept_token()(new_room()))
    return app


def flask_pyoidc(provider: Provider) -> Flask:
    """Flask-pyoidc's ``token_auth``, which asks the provider's introspection endpoint about each request."""
    from flask_pyoidc import OIDCAuthentication
    from flask_pyoidc.provider_configuration import ClientMetadata, ProviderConfiguration, ProviderMetadata

    configuration = ProviderConfiguration(
        provider_metadata=ProviderMetadata(
            issuer=provider.issuer,
            jwks_uri=provider.jwks_uri,
            introspection_endpoint=provider.introspection_endpoint,
        ),
        client_metadata=ClientMetadata(client_id=provider.client_id, client_secret=provider.client_secret),
    )
    app = Flask("clinic")
    app.config.update(SECRET_KEY="benchmark", OIDC_REDIRECT_URI="http://localhost:5000/redirect_uri")
    auth = OIDCAuthentication({"default": configuration}, app)
    route(app, auth.token_auth(provider_name="default")(new_room()))
    return app


def _keys_of(provider: Provider) -> KeySet:
    with urlopen(provider.jwks_uri, timeout=5) as answer:
        return KeySet.import_key_set(json.load(answer))


@dataclass(frozen=True)
class Peer:
    """One of the other packages.

    :param distribution: by which its version is found.
    :param make: the app that it protects; imports the package, and asks the provider for keys.
    :param introspects: whether it asks the provider about each request, so that most of its time passes in waiting.
    :param refused: the status with which it answers a token that is not good.
    """

    name: str
    distribution: str
    make: Callable[[Provider], Flask]
    introspects: bool = False
    refused: int = 401


PEERS = (
    Peer("Authlib, `ResourceProtector` with its JWT validator", "Authlib", authlib),
    Peer("Flask-JWT-Extended, `jwt_required`", "Flask-JWT-Extended", flask_jwt_extended, refused=422),
    Peer("PyJWT, with `PyJWKClient`", "PyJWT", pyjwt),
    Peer("flask-oidc, `accept_token`", "flask-oidc", flask_oidc, introspects=True),
    Peer("Flask-pyoidc, `token_auth`", "Flask-pyoidc", flask_pyoidc, introspects=True, refused=403),
)
