"""Whom an introspector asks about opaque tokens, and how this app shows there who it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from ..errors import Issue, RegistryUnavailable, Rejected
from ..introspection.client_authentication import ClientAuthentication
from ..introspection.endpoints import Endpoint, StoredEndpoint
from ..introspection.static_keys import UnusableSecret
from .endpoints import Endpoints
from .resources import Client, IdentityProvider, IntrospectionEndpointSettings, TokenIntrospector

_FIELD_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_NOTHING = ClientAuthentication({}, {})


class NoEndpoint:
    """An :class:`.Endpoint` that is not called: that of an introspector whose secret must not be used.

    Nothing can be said of its tokens, and whatever else is registered goes on.

    :param known: where it would be, as far as that is known.
    :param issues: what is wrong with the secret.
    """

    def __init__(self, known: str | None, issues: Sequence[Issue]) -> None:
        self.known = known
        self.issues = tuple(issues)

    def locate(self) -> str:
        """:raises RegistryUnavailable: always; the hint names what is wrong."""
        raise RegistryUnavailable("the token introspector is out of service", hint="; ".join(map(str, self.issues)))


class Inquiry(NamedTuple):
    """Where to ask, and as whom.

    :param owner: where that credential stands, for the log and for hints.
    """

    endpoint: Endpoint
    authentication: ClientAuthentication
    owner: str

    @property
    def issues(self) -> tuple[Issue, ...]:
        """Why nobody is asked."""
        return self.endpoint.issues if isinstance(self.endpoint, NoEndpoint) else ()


def inquiry_of(introspector: TokenIntrospector, provider: IdentityProvider | None, endpoints: Endpoints) -> Inquiry:
    """At the introspector's own endpoint with its own secret, or else at the provider's with that of its `client`.

    :param introspector: of opaque tokens.
    :param provider: the linked one.
    :raises Rejected: something is missing; names it as seen from the introspector.
    """
    own = introspector.introspection_endpoint
    endpoint: Endpoint
    if own is not None:
        endpoint, owner = StoredEndpoint(own.url), f"{introspector.name} introspection_endpoint"
        authenticate = partial(_own_authentication, own)
    elif provider is not None:
        client = _client_of(provider)
        endpoint, owner = endpoints.introspection(provider), f"IdentityProvider/{provider.id} client"
        authenticate = partial(_authentication_of, client, provider)
    else:
        raise Rejected.at("introspection_endpoint", "is required, since no provider is linked that could be asked")
    try:
        return Inquiry(endpoint, authenticate(), owner)
    except UnusableSecret as unusable:
        issues = unusable.within(introspector.name).issues
        return Inquiry(NoEndpoint(endpoint.known, issues), _NOTHING, introspector.name)


def _client_of(provider: IdentityProvider) -> Client:
    client = provider.client or Client()
    needed = {
        "introspection_endpoint (or issuer, where it is published)": provider.introspection_endpoint or provider.issuer,
        "client.id": client.id,
        "client.secret": client.secret,
    }
    lacking = [name for name, value in needed.items() if value is None]
    if lacking:
        reason = f"is required, or {' and '.join(lacking)} at IdentityProvider/{provider.id}, which is asked without it"
        raise Rejected.at("introspection_endpoint", reason)
    return client


def _own_authentication(settings: IntrospectionEndpointSettings) -> ClientAuthentication:
    if settings.authorization is None:
        secret = _usable(settings.client_secret, "introspection_endpoint.client_secret", "must not be blank")
        return _as_client(settings.client_id, secret, settings.auth_method)
    if not _FIELD_VALUE.fullmatch(settings.authorization):
        reason = "must be printable ASCII characters, as a header is, without blanks around them"
        raise UnusableSecret.at("introspection_endpoint.authorization", reason)
    return ClientAuthentication.as_written(settings.authorization)


def _authentication_of(client: Client, provider: IdentityProvider) -> ClientAuthentication:
    reason = f"is asked for at IdentityProvider/{provider.id}, where client.secret must not be blank"
    return _as_client(client.id, _usable(client.secret, "introspection_endpoint", reason), client.auth_method)


def _usable(secret: str | None, path: str, reason: str) -> str:
    """
    :raises UnusableSecret: it is empty or blank.
    """
    if secret is None or not secret.strip():
        raise UnusableSecret.at(path, reason)
    return secret


def _as_client(id_: str | None, secret: str, method: str | None) -> ClientAuthentication:
    """
    :raises Rejected: there is no id, which is looked at before.
    """
    if id_ is None:
        raise Rejected.at("introspection_endpoint", "is asked as a client, which must have an id")
    if method == "client_secret_post":
        return ClientAuthentication.post(id_, secret)
    return ClientAuthentication.basic(id_, secret)
