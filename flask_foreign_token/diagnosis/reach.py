"""Whether a provider can be reached, and is who it is taken for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import cast

from ..errors import ProviderUnavailable, Rejected
from ..http import Http
from ..introspection.addresses import at_backchannel, at_origin_of, origin_of
from ..introspection.discovery import IssuerMismatch, NoMetadata, ServerMetadata, discover
from ..introspection.endpoints import DiscoveredEndpoint, Endpoint
from ..printable import in_ascii
from ..registry.fields import Secret
from ..registry.links import Linked
from ..registry.resources import IdentityProvider
from ..registry.schemas import ClientSchema
from . import remedies
from .clock import ClockCheck
from .findings import Finding, Mark
from .remedies import Remedy
from .trust import Trust

BINDING = tuple(
    path for path in cast("Secret", ClientSchema().fields["secret"]).bound_to if not path.startswith("client.")
)
"""The addresses of an IdentityProvider that cannot be changed without writing its client's secret again."""

_MEND = ("Let the provider mend it; else store the addresses that are missing.",)
_ISSUER = ("See that issuer is right, character by character; else store the addresses that are missing.",)


@dataclass(frozen=True, slots=True)
class Found:
    """What came of looking for the provider's metadata.

    :param metadata: none: there is none of use.
    :param base: the address below which it was found, or that of another issuer was.
    :param mismatch: there is another issuer's.
    """

    finding: Finding
    metadata: ServerMetadata | None = None
    base: str | None = None
    mismatch: IssuerMismatch | None = None

    @property
    def is_wrong(self) -> bool:
        """Whether the issuer is to be put right before anything else."""
        return self.mismatch is not None and self.finding.mark == "failed"


class Descriptions:
    """What providers publish about themselves; each address is asked once.

    :param clock: is told the times that answers carry.
    """

    def __init__(self, http: Http, clock: ClockCheck) -> None:
        self._http = http
        self._clock = clock
        self._known: dict[tuple[str, str], ServerMetadata | ProviderUnavailable | Rejected] = {}

    def of(self, issuer: str, address: str) -> ServerMetadata:
        """What the provider of `issuer` publishes at `address`.

        :raises: as :func:`~flask_foreign_token.introspection.discovery.discover`.
        """
        if (issuer, address) not in self._known:
            self._known[issuer, address] = self._ask(issuer, address)
        known = self._known[issuer, address]
        if isinstance(known, ServerMetadata):
            return known
        raise known

    def _ask(self, issuer: str, address: str) -> ServerMetadata | ProviderUnavailable | Rejected:
        before = time.time()
        try:
            metadata = discover(self._http, issuer, None if address == issuer else address)
        except (ProviderUnavailable, Rejected) as error:
            return error
        self._clock.told_by(metadata.headers, before, time.time())
        return metadata


def origins_of(trust: Trust) -> frozenset[str]:
    """Every origin that the registry gives an address at, or asks for addresses.

    Beyond that `jwt.iss` adds none: it is what tokens are compared with, and nobody said that it may be called.
    """
    discovering = [endpoint for endpoint in _endpoints(trust.links) if isinstance(endpoint, DiscoveredEndpoint)]
    issuers = [endpoint.metadata.issuer for endpoint in discovering]
    if trust.provider is not None and trust.provider.issuer is not None:
        issuers.append(trust.provider.issuer)
    return frozenset(map(origin_of, [*stored_addresses(trust), *issuers])) - {""}


def origins_of_secret(provider: IdentityProvider) -> frozenset[str]:
    """Every origin that the stored secret is bound to (:class:`~..registry.fields.Secret`).

    Whoever may write the other addresses may not thereby learn it.
    """
    return frozenset(origin_of(getattr(provider, name) or "") for name in BINDING) - {""}


def look_for_metadata(descriptions: Descriptions, trust: Trust, *, asks_for_tokens: bool = False) -> Found:
    """Discover the provider, at whichever address answers first.

    Tokens are checked without it as long as what is needed is stored, so that it may be missing. Then `jwt.iss` is only
    compared, and not called, unless the provider's `issuer` is stored.

    :param asks_for_tokens: whether somebody said with what to ask for tokens, so that a token endpoint is needed too.
    """
    issuer, is_asked_for = trust.issuer or "", _is_asked_for(trust, asks_for_tokens=asks_for_tokens)
    mismatches: list[Found] = []
    silent: dict[str, Remedy] = {}
    reasons: list[str] = []
    answered = False
    addresses = _addresses_of(trust, issuer, is_asked_for=is_asked_for)
    for address in addresses:
        try:
            metadata = descriptions.of(issuer, address)
        except IssuerMismatch as mismatch:
            # A host of keys may be another issuer's as well.
            mark: Mark = "failed" if is_asked_for else "warning"
            finding = Finding("discovery", mark, str(mismatch), remedies.ISSUER_AND_ADDRESS)
            mismatches.append(Found(finding, base=address, mismatch=mismatch))
        except NoMetadata:
            answered = True
            reasons.append(f"{in_ascii(address)} publishes none")
        except ProviderUnavailable as unavailable:
            silent[in_ascii(address)] = remedies.for_outage(unavailable, address, trust.naming(address))
            reasons.append(remedies.reason_of(unavailable))
        except Rejected as rejected:
            if any(issue.resource for issue in rejected.issues):
                return Found(_malformed(rejected, is_needed=_discovers(trust)))
            reasons.append(f"{in_ascii(address)}: {rejected.issues[0].message}")
        else:
            return Found(Finding("discovery", "ok", _place(metadata, silent)), metadata, address)
    if mismatches:
        return mismatches[0]
    if not addresses:
        return Found(Finding("discovery", "skipped", _unasked(issuer)))
    reason = "; ".join(reasons)
    return Found(
        _no_metadata(reason, is_needed=_discovers(trust))
        if answered
        else _unreached(reason, silent, is_asked_for=is_asked_for)
    )


def _endpoints(links: Iterable[Linked]) -> list[Endpoint]:
    """Where the introspectors of a provider fetch keys and ask about tokens."""
    keys = [link.source.endpoint for link in links if link.source]
    return [*keys, *(link.inquiry.endpoint for link in links if link.inquiry)]


def published_by(found: Found, member: str) -> str | None:
    """Where the provider says that something of it is, as it is called from here; none: it does not.

    :param member: of its metadata.
    """
    metadata = found.metadata
    address = None if metadata is None else metadata.text(member)
    if metadata is None or address is None:
        return None
    return at_backchannel(address, metadata.issuer, found.base)


def stored_addresses(trust: Trust) -> list[str]:
    """What the registry says to call, the one that is called from here most first, and where browsers go last."""
    provider = trust.provider
    stored = [endpoint for endpoint in _endpoints(trust.links) if not isinstance(endpoint, DiscoveredEndpoint)]
    addresses = [endpoint.known for endpoint in stored]
    if provider is not None:
        addresses += [
            provider.userinfo_endpoint,
            provider.token_endpoint,
            provider.introspection_endpoint,
            provider.revocation_endpoint,
            provider.jwks_uri,
            provider.authorize_endpoint,
        ]
    return [address for address in addresses if address]


def _addresses_of(trust: Trust, issuer: str, *, is_asked_for: bool) -> list[str]:
    """Where the metadata may be: with the issuer's path at each host whose endpoints are stored, then at the issuer if
    discovery is asked for.

    None where `issuer` is no address, as no metadata can name it then.
    """
    if not origin_of(issuer):
        return []
    addresses = [at_origin_of(endpoint, issuer) for endpoint in stored_addresses(trust)]
    named = trust.provider.issuer if trust.provider is not None else None
    if named and origin_of(named):
        addresses.append(named)
    if is_asked_for:
        addresses.append(issuer)
    return list(dict.fromkeys(filter(None, addresses)))


def _place(metadata: ServerMetadata, silent: Iterable[str]) -> str:
    found = f"{in_ascii(metadata.address)} names the issuer"
    if not silent:
        return found
    return f"{found} ({', '.join(silent)} does not answer from here, which does no harm)"


def _discovers(trust: Trust) -> bool:
    """Whether some address is not stored, so that the metadata must give it."""
    provider = trust.provider
    if any(isinstance(endpoint, DiscoveredEndpoint) for endpoint in _endpoints(trust.links)):
        return True
    return (
        provider is not None and provider.userinfo_endpoint is None and provider.userinfo_source == "userinfo-endpoint"
    )


def _is_asked_for(trust: Trust, *, asks_for_tokens: bool) -> bool:
    """Whether the issuer may be called for its metadata: for what is not stored, or as the provider's `issuer` is."""
    provider = trust.provider
    if provider is None:
        return _discovers(trust)
    needs_endpoint = asks_for_tokens and provider.token_endpoint is None
    return needs_endpoint or provider.issuer is not None or _discovers(trust)


def _malformed(rejected: Rejected, *, is_needed: bool) -> Finding:
    reason = f"the metadata is not as it should be: {'; '.join(map(str, rejected.issues))}"
    if is_needed:
        return Finding("discovery", "failed", reason, _MEND)
    return Finding("discovery", "warning", reason)


def _unasked(issuer: str) -> str:
    if not issuer:
        return "nobody names the issuer, so that no metadata can be looked for"
    if not origin_of(issuer):
        return "jwt.iss is no address, so that no metadata can name it"
    return "no metadata is needed, and jwt.iss is only compared with what tokens say"


def _no_metadata(reason: str, *, is_needed: bool) -> Finding:
    if is_needed:
        return Finding("discovery", "failed", f"there is no metadata, and it must give addresses: {reason}", _ISSUER)
    return Finding("discovery", "warning", f"there is no metadata, and none is needed while tokens pass: {reason}")


def _unreached(reason: str, silent: Mapping[str, Remedy], *, is_asked_for: bool) -> Finding:
    remedy = tuple(dict.fromkeys(chain.from_iterable(silent.values())))
    if not silent:
        return Finding("discovery", "skipped", reason)
    if is_asked_for:
        return Finding("discovery", "failed", reason, remedy)
    return Finding("discovery", "warning", f"none is needed while tokens pass: {reason}", remedy)
