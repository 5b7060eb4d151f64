"""Whether the addresses can be discovered that the registry does not give."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import ProviderUnavailable, Rejected
from ..introspection.addresses import origin_of
from ..introspection.discovery import IssuerMismatch, NoMetadata, ServerMetadata
from ..introspection.endpoints import DiscoveredEndpoint, Endpoint
from ..printable import in_ascii
from ..registry.linking import Linked
from ..registry.resources import IdentityProvider, Key
from . import remedies
from .commands import rewriting, storing
from .findings import Finding
from .reach import BINDING, Descriptions, out_of_reach
from .remedies import Remedy


@dataclass(frozen=True, slots=True)
class Location:
    """Where something of a provider is called, and where that would be stored.

    :param endpoint: stored, or to be discovered.
    :param key: of the resource that can give the address, in the attribute that is called as the member of the metadata
        is.
    """

    endpoint: Endpoint
    key: Key

    @classmethod
    def for_link(cls, endpoint: Endpoint, link: Linked) -> Location:
        """Where `link` fetches keys, or asks about tokens."""
        provider = link.settings.identity_provider
        return cls(endpoint, ("TokenIntrospector", link.settings.id) if provider is None else _key_of(provider))

    @classmethod
    def of_userinfo(cls, endpoint: Endpoint, provider: IdentityProvider) -> Location:
        """Where userinfo is asked for."""
        return cls(endpoint, _key_of(provider.id))

    @property
    def shown(self) -> str:
        """The address, and whether it was discovered."""
        address = in_ascii(self.endpoint.known or "")
        if isinstance(self.endpoint, DiscoveredEndpoint):
            return f"{address} (published by {in_ascii(self.endpoint.metadata.issuer)})"
        return address


class Failures:
    """Says why something cannot be called.

    :param program: how the command line is called, for remedies that are commands.
    """

    def __init__(self, descriptions: Descriptions, program: str) -> None:
        self._descriptions = descriptions
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
            found = out_of_reach(check, endpoint.known or "", failure, otherwise)
        return replace(found, found=f"{name}: {found.found}") if name else found

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
            return Finding(check, "failed", f"{failed}: {mismatch}", remedies.ISSUER_AND_ADDRESS)
        except NoMetadata:
            reason = f"{failed}: {in_ascii(issuer)} publishes nothing about itself"
            return Finding(check, "failed", reason, (f"See that issuer is right, or store {place}.",))
        except ProviderUnavailable as unavailable:
            reason = f"{failed}: {remedies.reason_of(unavailable)}"
            return Finding(check, "failed", reason, remedies.for_outage(unavailable, issuer) or (instead,))
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
