"""How a provider is registered anew under the issuer that it names itself."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import ProviderUnavailable, Rejected
from ..introspection.addresses import origin_of
from ..introspection.discovery import IssuerMismatch, ServerMetadata
from ..registration import Registration, addition_command, introspector_id, product_of, resources_of, updated
from ..registry.resources import Key
from ..registry.secrets import masked, restored
from ..registry.snapshot import RegistrySnapshot
from . import remedies
from .commands import rewriting
from .reach import Descriptions, stored_addresses
from .remedies import Remedy
from .trust import Trust

_BOUND = "Write client.secret of {} along with it, in place of the mask, as it is bound to issuer."


class Correction:
    """Says how to put right an issuer that is not what the provider calls itself.

    :param program: how the command line is called, for remedies that are commands.
    """

    def __init__(self, snapshot: RegistrySnapshot, trust: Trust, descriptions: Descriptions, program: str) -> None:
        self._snapshot = snapshot
        self._trust = trust
        self._descriptions = descriptions
        self._program = program
        self._known: dict[str, tuple[Remedy, tuple[str, ...]]] = {}

    def of(self, mismatch: IssuerMismatch, address: str) -> tuple[Remedy, tuple[str, ...]]:
        """What mends `mismatch`, and the command for it.

        :param address: at which the document was found.
        """
        named = mismatch.named
        if not named:
            return remedies.ISSUER_AND_ADDRESS, ()
        if named not in self._known:
            self._known[named] = self._addition(named, address) or self._by_hand(named)
        return self._known[named]

    def _addition(self, issuer: str, address: str) -> tuple[Remedy, tuple[str, ...]] | None:
        """With the command that registers the provider anew; none: it would be refused."""
        provider = self._trust.provider
        if provider is None:
            return None
        naming = [link.settings for link in self._trust.links if link.settings.jwt.iss is not None]
        if [(settings.id, settings.type) for settings in naming] != [(introspector_id(provider.id), "jwt")]:
            return None
        backchannel, metadata = self._reached(issuer, address)
        if metadata is None:
            return None
        jwt = naming[0].jwt
        audiences = tuple(jwt.aud)
        if not (audiences or jwt.client_id or self._trust.links[0].introspector.rules.audiences):
            audiences = (product_of(metadata).audience,)
        registration = Registration(provider.id, issuer, backchannel, None, audiences, tuple(jwt.client_id))
        if not all(map(str.isprintable, (*audiences, *jwt.client_id))) or not self._is_storable(registration, metadata):
            return None
        command = addition_command(self._program, registration, overwrites=True)
        return (*remedies.ISSUER, f"If {issuer} is the iss of its tokens, type:"), (command,)

    def _reached(self, issuer: str, address: str) -> tuple[str | None, ServerMetadata | None]:
        """The backchannel at which the issuer is reached, none where it is at its own address; and what is there."""
        elsewhere = None if origin_of(address) == origin_of(issuer) else address
        origins = set(map(origin_of, stored_addresses(self._trust)))
        order = (elsewhere, None) if elsewhere and origin_of(elsewhere) in origins else (None, elsewhere)
        for backchannel in dict.fromkeys(order):
            try:
                return backchannel, self._descriptions.of(issuer, backchannel or issuer)
            except (ProviderUnavailable, Rejected):
                continue
        return None, None

    def _is_storable(self, registration: Registration, metadata: ServerMetadata) -> bool:
        """Whether the secrets that are stored may stay."""
        try:
            for body in resources_of(registration, metadata):
                stored = self._snapshot.resources.get((str(body["resourceType"]), str(body["id"])))
                if stored is not None:
                    restored(updated(masked(stored.body), body, registration), stored.body)
        except Rejected:
            return False
        return True

    def _by_hand(self, issuer: str) -> tuple[Remedy, tuple[str, ...]]:
        lines = list(remedies.ISSUER)
        naming = dict(self._naming(issuer))
        keys = list(naming)
        places = " and ".join(f"{attribute} of {'/'.join(key)}" for key, attribute in naming.items())
        lines += [f"If {issuer} is the iss of its tokens, set {places} to that."] if places else []
        provider = self._trust.provider
        if provider is not None and provider.client is not None and isinstance(provider.client.secret, str):
            key = ("IdentityProvider", provider.id)
            lines += [_BOUND.format("/".join(key))] if key in keys else []
        return tuple(lines), rewriting(self._program, *keys) if keys else ()

    def _naming(self, issuer: str) -> Iterator[tuple[Key, str]]:
        """Each resource that names another issuer, and where in it."""
        provider = self._trust.provider
        if provider is not None and provider.issuer not in (None, issuer):
            yield ("IdentityProvider", provider.id), "issuer"
        for link in self._trust.links:
            if link.settings.jwt.iss not in (None, issuer):
                yield ("TokenIntrospector", link.settings.id), "jwt.iss"
