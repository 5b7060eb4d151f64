"""Where something of a provider is called: at an address that is stored, or that the provider publishes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .remote_metadata import RemoteMetadata


class Endpoint(Protocol):
    """Where something of a provider is called."""

    @property
    def known(self) -> str | None:
        """The address, as far as it is known without asking anybody."""

    @property
    def place(self) -> str:
        """Where the address stands: itself, or the issuer that publishes it; the same in every process."""

    def locate(self) -> str:
        """The address.

        :raises ProviderUnavailable: it must be discovered, and cannot be.
        """


@dataclass(frozen=True, slots=True)
class StoredEndpoint:
    """An address that a resource gives."""

    url: str

    @property
    def known(self) -> str:
        """The address."""
        return self.url

    @property
    def place(self) -> str:
        """The address."""
        return self.url

    def locate(self) -> str:
        """The address."""
        return self.url


@dataclass(frozen=True, slots=True)
class DiscoveredEndpoint:
    """An address that a provider publishes.

    :param metadata: compared by identity.
    :param member: of the metadata, ``"jwks_uri"``.
    """

    metadata: RemoteMetadata
    member: str

    @property
    def known(self) -> str | None:
        """The address in the metadata that are kept, if there are any."""
        return self.metadata.known(self.member)

    @property
    def place(self) -> str:
        """The issuer, the member, and where that may lead."""
        return " ".join([self.metadata.issuer, self.member, *sorted(self.metadata.origins)])

    def locate(self) -> str:
        """The address in the metadata.

        :raises ProviderUnavailable: see :meth:`.RemoteMetadata.endpoint`.
        """
        return self.metadata.endpoint(self.member)
