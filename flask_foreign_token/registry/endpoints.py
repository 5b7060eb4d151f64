"""Where a provider is called: at the addresses that resources give, else at those that it publishes."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import Rejected
from ..http import Http
from ..introspection.addresses import origin_of
from ..introspection.endpoints import DiscoveredEndpoint, Endpoint, StoredEndpoint
from ..introspection.remote_metadata import MetadataDirectory
from .resources import IdentityProvider, TokenIntrospector
from .schemas import SECRET_ADDRESSES

ENDPOINTS = (
    "authorize_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "introspection_endpoint",
    "jwks_uri",
    "revocation_endpoint",
)
"""The attributes of an IdentityProvider that are addresses."""

_KEYS = (
    "give jwks_uri, jwt.secret or jwt.keys here, or jwks_uri at the linked provider "
    "(`flask foreign-token provider add` finds it out)"
)


class Endpoints:
    """Finds the endpoints of providers. It does no I/O: what must be discovered is discovered once it is called.

    Discovery leads only to origins at which resources give an address, so that a provider's metadata cannot send
    tokens elsewhere.

    :param http: checks the addresses at which is discovered.
    """

    def __init__(self, http: Http, directory: MetadataDirectory) -> None:
        self._http = http
        self._directory = directory

    def userinfo(self, provider: IdentityProvider) -> Endpoint:
        """Where userinfo is asked for.

        :raises Rejected: it is not given, and cannot be discovered.
        """
        if provider.userinfo_endpoint is not None:
            return StoredEndpoint(provider.userinfo_endpoint)
        try:
            return self._discovered("userinfo_endpoint", provider.issuer, _addresses_of(provider))
        except ValueError as reason:
            message = f"is required, since it cannot be discovered at issuer, which {reason}"
            raise Rejected.at("userinfo_endpoint", message) from None

    def keys(self, introspector: TokenIntrospector, provider: IdentityProvider | None) -> Endpoint:
        """Where the keys of an introspector for JWTs are fetched.

        :raises Rejected: that is not given, and cannot be discovered.
        """
        stored = introspector.jwks_uri or (provider and provider.jwks_uri)
        if stored:
            return StoredEndpoint(stored)
        issuer = introspector.jwt.issuer
        if provider is not None and provider.issuer not in (None, issuer):
            message = f"must be the issuer of IdentityProvider/{provider.id}, where the keys are discovered; or {_KEYS}"
            raise Rejected.at("jwt.iss", message)
        try:
            return self._discovered("jwks_uri", issuer, [] if provider is None else _addresses_of(provider))
        except ValueError as reason:
            message = f"there are no keys, and none can be discovered at jwt.iss, which {reason}; {_KEYS}"
            raise Rejected.at("jwks_uri", message) from None

    def userinfo_keys(self, provider: IdentityProvider) -> Endpoint:
        """Where the keys of a provider are fetched that signs userinfo, and whose tokens are not verified with keys.

        :raises Rejected: that is not given, and cannot be discovered.
        """
        if provider.jwks_uri is not None:
            return StoredEndpoint(provider.jwks_uri)
        try:
            return self._discovered("jwks_uri", provider.issuer, _addresses_of(provider))
        except ValueError as reason:
            message = f"is required where userinfo is signed, since it cannot be discovered at issuer, which {reason}"
            raise Rejected.at("jwks_uri", message) from None

    def introspection(self, provider: IdentityProvider) -> Endpoint:
        """Where a provider is asked about opaque tokens with the secret of its `client`.

        :raises Rejected: it is not given, and cannot be discovered.
        """
        if provider.introspection_endpoint is not None:
            return StoredEndpoint(provider.introspection_endpoint)
        # Whoever may write the other addresses may not thereby learn the secret.
        addresses = _addresses_of(provider, SECRET_ADDRESSES)
        try:
            return self._discovered("introspection_endpoint", provider.issuer, addresses)
        except ValueError as reason:
            place = f"IdentityProvider/{provider.id}"
            message = f"is required, or at {place}, since it cannot be discovered at the issuer there, which {reason}"
            raise Rejected.at("introspection_endpoint", message) from None

    def _discovered(self, member: str, issuer: str | None, addresses: Iterable[str]) -> DiscoveredEndpoint:
        """
        :param addresses: at whose origins it may be, beside that of `issuer`.
        :raises ValueError: there is no `issuer`, or it must not be called.
        """
        if issuer is None:
            raise ValueError("is not given")
        self._http.check_url(issuer)
        return DiscoveredEndpoint(self._directory.of(issuer, frozenset(map(origin_of, addresses))), member)


def _addresses_of(provider: IdentityProvider, names: Iterable[str] = ENDPOINTS) -> list[str]:
    return [address for name in names if (address := getattr(provider, name))]
