"""The real providers, seen as one who tries the same with each of them: what they issue, and how they are trusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol
from urllib.parse import quote_plus

import requests

from ..apps import Resource, bearer, introspector, policy, provider
from . import oidc_provider as oidc
from . import representations as keycloak
from .keycloak import MakeRealm, Realm
from .logout_tokens import LogoutTokens
from .oidc_provider import OidcProvider, resource

BASIC, POST = "client_secret_basic", "client_secret_post"
"""The ways in which an API shows an introspection endpoint who it is."""

OPAQUE = "opaque"
"""The kind of token about which the provider is asked; any other is a JWT, called as the algorithm of its signature."""


class RealProvider(Protocol):
    """One that runs.

    :param audiences: what its tokens are for, where they are for the app.
    :param frontend: the client that gets tokens for people.
    """

    issuer: str
    jwks_uri: str
    introspection_endpoint: str
    audiences: tuple[str, ...]
    frontend: str

    def issue(self, kind: str) -> str:
        """An access token for the app, good for minutes."""

    def issue_brief(self, kind: str) -> str:
        """The same for a second."""

    def issue_for_elsewhere(self, kind: str) -> str:
        """An access token for another API."""

    def issue_to_ann(self, kind: str) -> str:
        """An access token for the app that a person has, and not a program."""

    def api(self, method: str) -> tuple[str, str]:
        """Name and secret with which the introspection endpoint is asked in that way."""

    def revoke(self, token: str) -> None:
        """Have an access token for the app revoked by the client that it was issued to."""

    def other_tokens(self) -> Mapping[str, str]:
        """What it issues beside access tokens, by name."""


RealProviders = Mapping[str, RealProvider]
"""All that run, by name."""


class RealKeycloak:
    """A realm with a key for each kind of JWT."""

    kinds = ("RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA")
    frontend = "my-frontend"

    def __init__(self, make_realm: MakeRealm, logout_tokens: LogoutTokens) -> None:
        self._logout_tokens = logout_tokens
        keys = [keycloak.a_key(name) for name in (*self.kinds, "HS512", "AES", "RSA-OAEP")]
        # Keycloak calls its algorithm EdDSA as well; of that name, the key of the highest priority signs.
        keys.append(keycloak.a_key("Ed448", priority=10))
        clients = [
            keycloak.a_client(self.frontend, backchannel_logout_url=logout_tokens.address),
            keycloak.a_client("my-api"),
            keycloak.a_client("my-reader", user_info_response_signature_alg="RS256"),
            keycloak.a_client("my-light-client", client_use_lightweight_access_token_enabled="true"),
            keycloak.a_client("my-typed-client", access_token_header_type_rfc9068="true"),
        ]
        for kind in (*self.kinds, OPAQUE):
            signed = {"access_token_signed_response_alg": "ES256" if kind == OPAQUE else kind}
            clients += [
                keycloak.a_client(kind, **signed),
                keycloak.a_client(f"{kind}-brief", access_token_lifespan="1", **signed),
                keycloak.a_client(f"{kind}-elsewhere", audience="https://elsewhere.example", **signed),
            ]
        self.realm: Realm = make_realm(
            {"components": {keycloak.KEY_PROVIDER: keys}, "clients": clients, "users": [keycloak.a_person("ann")]}
        )
        self.issuer = self.realm.issuer
        self.jwks_uri = self._endpoint("certs")
        self.introspection_endpoint = self._endpoint("token/introspect")
        self.audiences = (keycloak.AUDIENCE,)

    def issue(self, kind: str) -> str:
        return self._token(kind, grant_type="client_credentials")["access_token"]

    def issue_brief(self, kind: str) -> str:
        return self.issue(f"{kind}-brief")

    def issue_for_elsewhere(self, kind: str) -> str:
        return self.issue(f"{kind}-elsewhere")

    def issue_to_ann(self, kind: str) -> str:
        return self.sign_in(client=kind)["access_token"]

    def api(self, method: str) -> tuple[str, str]:
        return "my-api", keycloak.secret_of("my-api")

    def revoke(self, token: str) -> None:
        form = {"token": token, "client_id": OPAQUE, "client_secret": keycloak.secret_of(OPAQUE)}
        requests.post(self._endpoint("revoke"), data=form, timeout=30).raise_for_status()

    def sign_in(self, scope: str = "openid", client: str = frontend) -> dict[str, str]:
        """All the tokens of ann."""
        return self._token(client, grant_type="password", username="ann", password="password-of-ann", scope=scope)

    def sign_out(self) -> None:
        """End every session of ann."""
        (ann,) = self.realm.admin("GET", "/users?username=ann")
        self.realm.admin("POST", f"/users/{ann['id']}/logout")

    def other_tokens(self) -> Mapping[str, str]:
        self.sign_in()
        reader = self.sign_in(client="my-reader")
        userinfo = requests.get(self._endpoint("userinfo"), headers=bearer(reader["access_token"]), timeout=30)
        self.sign_out()
        logout_token = self._logout_tokens.next()
        # After that, so that their session goes on.
        tokens = self.sign_in()
        return {
            "ID token": tokens["id_token"],
            "refresh token": tokens["refresh_token"],
            "offline token": self.sign_in("openid offline_access")["refresh_token"],
            "userinfo response": userinfo.text,
            "logout token": logout_token,
        }

    def ask_about(self, token: str) -> dict[str, object]:
        """What its introspection endpoint answers."""
        response = requests.post(
            self.introspection_endpoint, data={"token": token}, auth=tuple(map(quote_plus, self.api(BASIC))), timeout=30
        )
        response.raise_for_status()
        return dict(response.json())

    def issue_light(self) -> str:
        """A token that says little itself, and much when the provider is asked about it."""
        return self.issue("my-light-client")

    def _token(self, client: str, **form: str) -> dict[str, str]:
        response = self.realm.token(client_id=client, client_secret=keycloak.secret_of(client), **form)
        response.raise_for_status()
        return dict(response.json())

    def _endpoint(self, name: str) -> str:
        return f"{self.realm.url}/protocol/openid-connect/{name}"


class RealOidcProvider:
    """An oidc-provider that has a key for each kind of JWT."""

    kinds = ("RS256", "ES256", "EdDSA")
    frontend = oidc.FRONTEND[0]

    def __init__(self, provider: OidcProvider) -> None:
        self.provider = provider
        self.issuer = provider.issuer
        self.jwks_uri = f"{provider.url}/jwks"
        self.introspection_endpoint = f"{provider.url}/token/introspection"
        self.audiences = tuple(resource(kind) for kind in (*self.kinds, OPAQUE))

    def issue(self, kind: str) -> str:
        return self.provider.token(kind)

    def issue_brief(self, kind: str) -> str:
        return self.provider.token(f"{kind}/1")

    def issue_for_elsewhere(self, kind: str) -> str:
        return self.provider.token_for(f"https://elsewhere.example/{kind}")

    def issue_to_ann(self, kind: str) -> str:
        return self.provider.tokens_of("ann", resource=resource(kind))["access_token"]

    def api(self, method: str) -> tuple[str, str]:
        return oidc.POSTING_API if method == POST else oidc.API

    def revoke(self, token: str) -> None:
        self.provider.revoke(token)

    def other_tokens(self) -> Mapping[str, str]:
        tokens = self.provider.tokens_of("ann", resource=resource(OPAQUE))
        accept = {"Accept": "application/token-introspection+jwt"}
        answer = self.provider.post("/token/introspection", oidc.API, accept, token=tokens["access_token"])
        return {
            "ID token": tokens["id_token"],
            "refresh token": tokens["refresh_token"],
            "introspection response": str(answer),
        }


def trusting_keys(real: RealProvider, *, name: str = "real", **jwt: object) -> list[Resource]:
    """Its JWTs trusted, users made from their claims; `jwt` adds to the introspector's."""
    return [
        provider(name),
        introspector(
            f"{name}-jwt",
            name,
            jwt={"iss": real.issuer, "aud": list(real.audiences), "leeway": 0, **jwt},
            jwks_uri=real.jwks_uri,
        ),
        policy(f"{name}-jwt", {"jwt": {"iss": real.issuer}}),
    ]


def trusting_answers(
    real: RealProvider,
    method: str = BASIC,
    *,
    name: str = "real",
    endpoint: str | None = None,
    jwt: Mapping[str, object] = {},
    **attributes: object,
) -> list[Resource]:
    """What it answers about tokens trusted; `jwt` and `attributes` add to the introspector's.

    :param endpoint: where it is asked, if not at its own.
    """
    client, secret = real.api(method)
    asked = {"client_id": client, "client_secret": secret, "auth_method": method}
    body = {
        "type": "opaque",
        "introspection_endpoint": {"url": endpoint or real.introspection_endpoint, **asked},
        "cache_ttl": 1,
        **attributes,
    }
    return [
        provider(name),
        introspector(
            f"{name}-opaque",
            name,
            jwt={"iss": real.issuer, "aud": list(real.audiences), "leeway": 0, **jwt},
            **body,
        ),
        policy(f"{name}-opaque", {"token": {"iss": real.issuer}}),
    ]
