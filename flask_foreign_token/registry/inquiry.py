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
from .resources import Client, IdentityProvider, IntrospectionEndpointSettings, PlacedSecret, TokenIntrospector
from .secret_sources import Readings

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
        self.place = ""
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

    @property
    def said_apart(self) -> str:
        """A text that differs wherever anything here does, the same in every process; it holds the credential."""
        authentication = self.authentication
        return repr((self.endpoint.place, sorted(authentication.headers.items()), sorted(authentication.form.items())))


def inquiry_of(
    introspector: TokenIntrospector, provider: IdentityProvider | None, endpoints: Endpoints, secrets: Readings
) -> Inquiry:
    """At the introspector's own endpoint with its own secret, or else at the provider's with that of its `client`.

    :param introspector: of opaque tokens.
    :param provider: the linked one.
    :param secrets: where references to secrets lead.
    :raises Rejected: something is missing; names it as seen from the introspector.
    """
    own = introspector.introspection_endpoint
    endpoint: Endpoint
    if own is not None:
        endpoint, owner = StoredEndpoint(own.url), f"{introspector.name} introspection_endpoint"
        authenticate = partial(_own_authentication, own, secrets)
    elif provider is not None:
        client = _client_of(provider)
        endpoint, owner = endpoints.introspection(provider), f"IdentityProvider/{provider.id} client"
        authenticate = partial(_authentication_of, client, provider, secrets)
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


def _own_authentication(settings: IntrospectionEndpointSettings, secrets: Readings) -> ClientAuthentication:
    if settings.authorization is None:
        path = "introspection_endpoint.client_secret"
        secret = _usable(settings.client_secret, secrets, path, "must not be blank")
        return _as_client(settings.client_id, secret, settings.auth_method)
    path = "introspection_endpoint.authorization"
    authorization = _text(settings.authorization, secrets, path)
    if not _FIELD_VALUE.fullmatch(authorization):
        reason = "must be printable ASCII characters, as a header is, without blanks around them"
        raise UnusableSecret.at(path, reason)
    return ClientAuthentication.as_written(authorization)


def _authentication_of(client: Client, provider: IdentityProvider, secrets: Readings) -> ClientAuthentication:
    where = f"is asked for at IdentityProvider/{provider.id}, where client.secret"
    secret = _usable(client.secret, secrets, "introspection_endpoint", "must not be blank", where)
    return _as_client(client.id, secret, client.auth_method)


def _usable(secret: PlacedSecret | None, secrets: Readings, path: str, reason: str, where: str = "") -> str:
    """
    :raises UnusableSecret: it is empty or blank, or not there.
    """
    text = "" if secret is None else _text(secret, secrets, path, where)
    if not text.strip():
        raise UnusableSecret.at(path, f"{where} {reason}".lstrip())
    return text


def _text(secret: PlacedSecret, secrets: Readings, path: str, where: str = "") -> str:
    try:
        return secrets.text(secret)
    except UnusableSecret as unusable:
        why = f"{where}: " if where else ""
        issues = [issue._replace(path=path, message=f"{why}{issue.message}") for issue in unusable.issues]
        raise UnusableSecret(issues) from None


def _as_client(id_: str | None, secret: str, method: str | None) -> ClientAuthentication:
    """
    :raises Rejected: there is no id, which is looked at before.
    """
    if id_ is None:
        raise Rejected.at("introspection_endpoint", "is asked as a client, which must have an id")
    if method == "client_secret_post":
        return ClientAuthentication.post(id_, secret)
    return ClientAuthentication.basic(id_, secret)
