# Authlib comes without types.
# mypy: disable-error-code="import-untyped", disallow-subclassing-any=False
"""The issuer's Flask app: Authlib's authorization server behind Keycloak's paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector
from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidGrantError
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant, ResourceOwnerPasswordCredentialsGrant
from authlib.oauth2.rfc6750 import BearerTokenGenerator, BearerTokenValidator
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from authlib.oauth2.rfc8414 import get_well_known_url
from flask import Flask, Response, request
from flask.typing import ResponseReturnValue
from joserfc.errors import JoseError

from .accounts import Client, Person
from .claims import LIFETIME, of_introspection
from .keys import ALGORITHMS

if TYPE_CHECKING:
    from .issuer import Issuer

ENDPOINTS: Mapping[str, str] = {
    "discovery": "/.well-known/openid-configuration",
    "jwks": "/protocol/openid-connect/certs",
    "token": "/protocol/openid-connect/token",
    "userinfo": "/protocol/openid-connect/userinfo",
    "introspection": "/protocol/openid-connect/token/introspect",
}
"""Paths below the issuer's own."""

_GRANT_TYPES = ["client_credentials", "password"]
_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]


def create_app(issuer: Issuer) -> Flask:
    """The app that answers for `issuer`."""
    app = Flask(__name__, static_folder=None)
    authorization = _Authorization(issuer, app)
    protector = ResourceProtector()
    protector.register_token_validator(_BearerToken(issuer))

    @app.before_request
    def receive() -> ResponseReturnValue | None:
        status = issuer.receive(request.endpoint) if request.endpoint else 0
        return ({"error": "failing as told"}, status) if status else None

    def discovery() -> ResponseReturnValue:
        return _metadata(issuer)

    def jwks() -> ResponseReturnValue:
        return dict(issuer.keys.served())

    def token() -> ResponseReturnValue:
        response: Response = authorization.create_token_response()
        return response

    def userinfo() -> ResponseReturnValue:
        with protector.acquire("openid") as verified:
            algorithm = issuer.userinfo_signed_response_alg
            if algorithm is None:
                return issuer.userinfo(verified.claims)
            return Response(issuer.signed_userinfo(verified.claims, algorithm), mimetype="application/jwt")

    def introspection() -> ResponseReturnValue:
        response: Response = authorization.create_endpoint_response("introspection")
        return response

    for view, methods in (
        (discovery, ["GET"]),
        (jwks, ["GET"]),
        (token, ["POST"]),
        (userinfo, ["GET", "POST"]),
        (introspection, ["POST"]),
    ):
        app.add_url_rule(issuer.path + ENDPOINTS[view.__name__], view_func=view, methods=methods)
    app.add_url_rule(get_well_known_url(f"//host{issuer.path}"), view_func=discovery)
    return app


def _metadata(issuer: Issuer) -> dict[str, object]:
    """OpenID Connect Discovery 1.0, 3, and :rfc:`8414#section-2`."""
    return {
        "issuer": issuer.issuer,
        "token_endpoint": issuer.token_endpoint,
        "jwks_uri": issuer.jwks_uri,
        "userinfo_endpoint": issuer.userinfo_endpoint,
        "introspection_endpoint": issuer.introspection_endpoint,
        "scopes_supported": sorted({scope for client in issuer.clients.values() for scope in client.scopes}),
        # Required and never empty, even where nobody can be sent to log in.
        "response_types_supported": ["none"],
        "grant_types_supported": _GRANT_TYPES,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(ALGORITHMS),
        "token_endpoint_auth_methods_supported": _AUTH_METHODS,
        "introspection_endpoint_auth_methods_supported": _AUTH_METHODS,
    }


@dataclass(frozen=True, slots=True)
class _Verified:
    """A token that is active, as Authlib wants to see it.

    :param claims: what it says, or what is said of it.
    :param answer: what introspection says of it.
    """

    claims: Mapping[str, object]
    answer: Mapping[str, object]

    def get_scope(self) -> object:
        return self.claims.get("scope")

    def is_expired(self) -> bool:
        return False

    def is_revoked(self) -> bool:
        return False


def _verify(issuer: Issuer, token: str) -> _Verified | None:
    if issuer.references.is_revoked(token):
        return None
    answer = issuer.references.find(token)
    if answer is not None:
        return _Verified(answer, answer)
    try:
        claims = issuer.keys.verify(token)
    except (JoseError, ValueError):
        return None
    return _Verified(claims, of_introspection(claims))


def _kept_nowhere(token: object, request: object) -> None:
    """What the token endpoint issues proves itself by its signature, so none of it has to be remembered."""


class _Authorization(AuthorizationServer):
    def __init__(self, issuer: Issuer, app: Flask) -> None:
        self.issuer = issuer
        super().__init__(app, issuer.clients.get, save_token=_kept_nowhere)
        self.register_token_generator("default", BearerTokenGenerator(self.access_token, expires_generator=LIFETIME))
        self.register_grant(_ClientCredentials)
        self.register_grant(_Password)
        self.register_endpoint(_Introspection)

    def access_token(self, client: Client, grant_type: str, user: Person | None, scope: str) -> str:
        """What goes into the answer of the token endpoint."""
        if user is not None:
            return self.issuer.token(sub=user.subject, azp=client.id, scope=scope)
        return self.issuer.token(
            sub=client.service_account.subject,
            azp=client.id,
            scope=scope,
            client_id=client.id,
            clientHost=request.remote_addr,
            clientAddress=request.remote_addr,
        )


class _ClientCredentials(ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = _AUTH_METHODS


class _Password(ResourceOwnerPasswordCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = _AUTH_METHODS

    def authenticate_user(self, username: str, password: str) -> Person:
        person: Person | None = self.server.issuer.people.get(username)
        if person is None or person.password != password:
            raise InvalidGrantError("Invalid user credentials")
        return person


class _Introspection(IntrospectionEndpoint):
    CLIENT_AUTH_METHODS = _AUTH_METHODS

    def query_token(self, token: str, token_type_hint: str | None) -> _Verified | None:
        return _verify(self.server.issuer, token)

    def check_permission(self, token: _Verified, client: Client, request: object) -> bool:
        """Any client may ask about any token."""
        return True

    def authenticate_endpoint_client(self, request: object) -> Client:
        try:
            client: Client = super().authenticate_endpoint_client(request)
        except InvalidClientError as error:
            # RFC 7662 section 2.3, however the client tried.
            error.status_code = HTTPStatus.UNAUTHORIZED
            raise
        return client

    def introspect_token(self, token: _Verified) -> dict[str, object]:
        return dict(token.answer)


class _BearerToken(BearerTokenValidator):
    def __init__(self, issuer: Issuer) -> None:
        super().__init__(realm="myrealm")
        self.issuer = issuer

    def authenticate_token(self, token: str) -> _Verified | None:
        return _verify(self.issuer, token)
