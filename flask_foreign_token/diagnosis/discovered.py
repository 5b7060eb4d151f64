"""Whether the addresses can be discovered that the registry does not give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..errors import ProviderUnavailable, Rejected
from ..introspection.addresses import origin_of
from ..introspection.discovery import IssuerMismatch, NoMetadata, ServerMetadata
from ..introspection.endpoints import DiscoveredEndpoint, Endpoint, StoredEndpoint
from ..printable import in_ascii
from ..registry.links import Linked
from ..registry.resources import IdentityProvider, Key
from . import remedies
from .commands import replacing, rewriting, storing
from .correction import Correction
from .findings import Finding
from .reach import BINDING, Descriptions, Found, published_by
from .remedies import Remedy
from .trust import Trust


@dataclass(frozen=True, slots=True)
class Location:
    """Where something of a provider is called, and where that would be stored.

    :param endpoint: stored, or to be discovered.
    :param key: of the resource that gives the address, or can give it.
    :param member: of the metadata that says it.
    :param attribute: of the resource; none: it is called as the member is.
    :param is_published: whether no resource gives the address of `endpoint`, though it was not discovered just now.
    """

    endpoint: Endpoint
    key: Key
    member: str
    attribute: str | None = None
    is_published: bool = False

    @classmethod
    def for_link(cls, endpoint: Endpoint, link: Linked) -> Location:
        """Where `link` fetches keys, or asks about tokens."""
        settings = link.settings
        provider, own = settings.identity_provider, ("TokenIntrospector", settings.id)
        if settings.type == "opaque" and settings.introspection_endpoint is not None:
            return cls(endpoint, own, "introspection_endpoint", "introspection_endpoint.url")
        member = "introspection_endpoint" if settings.type == "opaque" else "jwks_uri"
        return cls(endpoint, own if provider is None or settings.jwks_uri else _key_of(provider), member)

    @classmethod
    def of_userinfo(cls, endpoint: Endpoint, provider: IdentityProvider) -> Location:
        """Where userinfo is asked for."""
        return cls(endpoint, _key_of(provider.id), "userinfo_endpoint")

    @classmethod
    def of_token_endpoint(cls, url: str, provider: IdentityProvider, *, is_stored: bool) -> Location:
        """Where tokens are asked for.

        :param is_stored: else the provider publishes it.
        """
        return cls(StoredEndpoint(url), _key_of(provider.id), "token_endpoint", is_published=not is_stored)

    @property
    def is_stored(self) -> bool:
        """Whether a resource gives the address."""
        return not (self.is_published or isinstance(self.endpoint, DiscoveredEndpoint))

    @property
    def place(self) -> str:
        """The attribute that gives the address, and the resource that has it."""
        return f"{self.attribute or self.member} of {'/'.join(self.key)}"

    @property
    def shown(self) -> str:
        """The address, and whether it was discovered."""
        address = in_ascii(self.endpoint.known or "")
        if isinstance(self.endpoint, DiscoveredEndpoint):
            return f"{address} (published by {in_ascii(self.endpoint.metadata.issuer)})"
        return address


class Failures:
    """Says why something cannot be called.

    :param found: what the provider publishes.
    :param program: how the command line is called, for remedies that are commands.
    """

    def __init__(
        self, descriptions: Descriptions, trust: Trust, found: Found, correction: Correction, program: str
    ) -> None:
        self._descriptions = descriptions
        self._trust = trust
        self._found = found
        self._correction = correction
        self._program = program

    def of(
        self, check: str, name: str, location: Location, failure: ProviderUnavailable, otherwise: Remedy = ()
    ) -> Finding:
        """What there is to say when it could not be found out where to call, or nothing of use was answered there.

        :param name: of the resource for which it was called; empty: the address says enough.
        :param otherwise: what mends the latter where nothing is known of the reason.
        """
        endpoint = location.endpoint
        if isinstance(endpoint, DiscoveredEndpoint) and endpoint.known is None:
            found = self._undiscovered(check, endpoint, location.key, failure)
        else:
            found = self._unreached(check, location, failure, otherwise)
        return replace(found, found=f"{name}: {found.found}") if name else found

    def of_issuer(self) -> tuple[Remedy, tuple[str, ...]]:
        """What mends an issuer that is not the one of the tokens, and the command for it."""
        if self._found.mismatch is None:
            return remedies.ISSUER_AND_ADDRESS, ()
        return self._correction.of(self._found.mismatch, self._found.base or "")

    def elsewhere(self, location: Location) -> tuple[Remedy, tuple[str, ...]]:
        """What the provider publishes in place of an address that is stored, and how that is stored; nothing: the same,
        or nothing at all.
        """
        published = published_by(self._found, location.member)
        if not location.is_stored or published in (None, location.endpoint.known):
            return (), ()
        first = f"The provider publishes {in_ascii(published or '')}: correct {location.place}, if that is meant."
        if location.attribute is not None or (location.member in BINDING and self._has_secret):
            bound = "Write the secret along with it, in place of the mask, as it is bound to that."
            return (first, bound), rewriting(self._program, location.key)
        return (first,), replacing(self._program, location.key, location.member, published or "")

    def of_another_path(self, check: str, name: str, location: Location) -> Iterator[Finding]:
        """A warning where an address that answers is at the host that the provider publishes, and yet another."""
        remedy, command = self.elsewhere(location)
        address = location.endpoint.known or ""
        if remedy and origin_of(published_by(self._found, location.member) or "") == origin_of(address):
            reason = f"{name}: {in_ascii(address)} is not what the provider publishes; another realm's, say"
            yield Finding(check, "warning", reason, remedy, command)

    @property
    def _has_secret(self) -> bool:
        provider = self._trust.provider
        return provider is not None and provider.client is not None and isinstance(provider.client.secret, str)

    def _unreached(self, check: str, location: Location, failure: ProviderUnavailable, otherwise: Remedy) -> Finding:
        address = location.endpoint.known or ""
        reason = f"{in_ascii(address)}: {remedies.reason_of(failure)}"
        instead, command = self.elsewhere(location)
        place = location.place if location.is_stored and not instead else ""
        remedy = remedies.for_outage(failure, address, place)
        return Finding(check, "failed", reason, (*instead, *(remedy or otherwise)), command)

    def _undiscovered(
        self, check: str, endpoint: DiscoveredEndpoint, key: Key, failure: ProviderUnavailable
    ) -> Finding:
        member, issuer = endpoint.member, endpoint.metadata.issuer
        place = f"{'/'.join(key)} {member}"
        failed = f"{place} is not stored, and cannot be discovered"
        instead = f"Or store {place}, so that nothing need be discovered for it."
        try:
            metadata = self._descriptions.of(issuer, issuer)
        except IssuerMismatch as mismatch:
            return Finding(check, "failed", f"{failed}: {mismatch}", *self._correction.of(mismatch, issuer))
        except NoMetadata:
            reason = f"{failed}: {in_ascii(issuer)} publishes nothing about itself"
            return Finding(check, "failed", reason, (f"See that issuer is right, or store {place}.",))
        except ProviderUnavailable as unavailable:
            reason = f"{failed}: {remedies.reason_of(unavailable)}"
            remedy = remedies.for_outage(unavailable, issuer, self._trust.naming(issuer))
            return Finding(check, "failed", reason, remedy or (instead,))
        except Rejected as rejected:
            reason = f"{failed}: the metadata is not as it should be: {'; '.join(map(str, rejected.issues))}"
            return Finding(check, "failed", reason, ("Let the provider mend it.", instead))
        if endpoint.metadata.state.last_error is not None:
            return Finding(check, "failed", f"{failed}: {remedies.reason_of(failure)}", (instead,))
        if not metadata.text(member):
            reason = f"{failed}: {in_ascii(metadata.address)} names none"
            return Finding(
                check, "failed", reason, (*_WITHOUT.get(member, ()), f"If there is one, store it as {place}.")
            )
        return self._elsewhere(check, failed, metadata, member, key)

    def _elsewhere(self, check: str, failed: str, metadata: ServerMetadata, member: str, key: Key) -> Finding:
        """Nobody but the provider says that this address is the provider's."""
        address = metadata.text(member) or ""
        named = f"{in_ascii(metadata.address)} names one at {in_ascii(origin_of(address))}"
        reason = f"{failed}: {named}, where no resource has an address"
        remedy = f"If that is the provider's, store it as {'/'.join(key)} {member}: {in_ascii(address)}"
        if member in BINDING:
            # Whoever sends a secret to another address must have it.
            bound = "Write client.secret along with it, in place of the mask, as it is bound to that."
            return Finding(check, "failed", reason, (remedy, bound), rewriting(self._program, key))
        return Finding(check, "failed", reason, (remedy,), storing(self._program, key, member, address))


_WITHOUT: dict[str, Remedy] = {
    "userinfo_endpoint": ("`userinfo-source: id-token` makes users from what their tokens say.",),
    "introspection_endpoint": ("Without it nobody can be asked about opaque tokens.",),
}
# What to do where the provider has none.


def _key_of(provider_id: str) -> Key:
    return "IdentityProvider", provider_id
