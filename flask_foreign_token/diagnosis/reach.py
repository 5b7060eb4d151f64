"""Whether a provider can be reached, is who it is taken for, and has keys that serve."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from itertools import chain
from typing import cast

from ..errors import ProviderUnavailable, Rejected
from ..http import Answer, Http
from ..introspection.addresses import at_origin_of, origin_of
from ..introspection.discovery import IssuerMismatch, NoMetadata, ServerMetadata, discover
from ..introspection.jwt import permitted
from ..introspection.key_set import KeySet, read_key_set
from ..printable import in_ascii
from ..registry.fields import Secret
from ..registry.linking import Linked
from ..registry.resources import IdentityProvider
from ..registry.schemas import ClientSchema
from . import remedies
from .clock import ClockCheck
from .findings import Finding
from .remedies import Remedy

BINDING = tuple(
    path for path in cast("Secret", ClientSchema().fields["secret"]).bound_to if not path.startswith("client.")
)
"""The addresses of an IdentityProvider that cannot be changed without writing its client's secret again."""


@dataclass(frozen=True, slots=True)
class Found:
    """What came of looking for the provider's metadata.

    :param metadata: none: there is none of use.
    :param base: the address below which it was found.
    """

    finding: Finding
    metadata: ServerMetadata | None = None
    base: str | None = None


def stored_endpoints(provider: IdentityProvider, link: Linked) -> list[str]:
    """What the registry says to call, the one that is called from here most first, and where browsers go last."""
    endpoints = (
        link.source and link.source.jwks_uri,
        provider.userinfo_endpoint,
        provider.token_endpoint,
        provider.introspection_endpoint,
        provider.revocation_endpoint,
        provider.jwks_uri,
        provider.authorize_endpoint,
    )
    return [endpoint for endpoint in endpoints if endpoint]


def origins_of(provider: IdentityProvider, link: Linked) -> frozenset[str]:
    """Every origin that the registry gives an address at.

    `jwt.iss` adds none: it is what tokens are compared with, and nobody said that it may be called.
    """
    addresses = [*stored_endpoints(provider, link), provider.issuer or ""]
    return frozenset(map(origin_of, addresses)) - {""}


def origins_of_secret(provider: IdentityProvider) -> frozenset[str]:
    """Every origin that the stored secret is bound to (:class:`~..registry.fields.Secret`).

    Whoever may write the other addresses may not thereby learn it.
    """
    return frozenset(origin_of(getattr(provider, name) or "") for name in BINDING) - {""}


def addresses_of(provider: IdentityProvider, link: Linked) -> list[str]:
    """Where the metadata may be: with the issuer's path at each host whose endpoints are stored, then at the issuer.

    None where `jwt.iss` is no address, as no metadata can name it then.
    """
    issuer = link.settings.jwt.iss
    if not origin_of(issuer):
        return []
    addresses = [at_origin_of(endpoint, issuer) for endpoint in stored_endpoints(provider, link)]
    if provider.issuer and origin_of(provider.issuer):
        addresses.append(provider.issuer)
    return list(dict.fromkeys([*filter(None, addresses), issuer]))


def look_for_metadata(http: Http, provider: IdentityProvider, link: Linked) -> Found:
    """Discover the provider, at whichever address answers first.

    Tokens are checked without it as long as `jwks_uri` is stored, so that it may be missing.
    """
    issuer = link.settings.jwt.iss
    mismatches: list[Found] = []
    silent: dict[str, Remedy] = {}
    reasons: list[str] = []
    answered = False
    for address in addresses_of(provider, link):
        try:
            metadata = discover(http, issuer, None if address == issuer else address)
        except IssuerMismatch as mismatch:
            # A host of keys may be another issuer's as well.
            mismatches.append(Found(Finding("discovery", "failed", str(mismatch), remedies.ISSUER_AND_ADDRESS)))
        except NoMetadata:
            answered = True
            reasons.append(f"{in_ascii(address)} publishes none")
        except ProviderUnavailable as unavailable:
            silent[in_ascii(address)] = remedies.for_outage(unavailable, address)
            reasons.append(remedies.reason_of(unavailable))
        except Rejected as rejected:
            if any(issue.resource for issue in rejected.issues):
                reason = "; ".join(map(str, rejected.issues))
                return Found(Finding("discovery", "warning", f"the metadata is not as it should be: {reason}"))
            reasons.append(f"{in_ascii(address)}: {rejected.issues[0].message}")
        else:
            return Found(Finding("discovery", "ok", _place(metadata, silent)), metadata, address)
    return mismatches[0] if mismatches else Found(_nothing_found(answered, silent, reasons))


def check_keys(link: Linked, answer: Answer) -> Finding:
    """Look at what `jwks_uri` answered."""
    if answer.status != HTTPStatus.OK or link.source is None:
        return Finding("keys", "failed", f"jwks_uri answers with status {answer.status}", remedies.KEYS)
    try:
        key_set = read_key_set(answer.json, link.source.rsa_algorithms)
    except ProviderUnavailable as unavailable:
        return Finding("keys", "failed", str(unavailable.hint), remedies.KEYS)
    algorithms = permitted(link.introspector.rules.algorithms)
    serving = [key.algorithm for key in key_set.keys.values() if key.algorithm in algorithms]
    idle = len(key_set.keys) - len(serving)
    left_out = [*_skipped(key_set), *([f"{idle}: jwt.algorithms does not name what it serves"] if idle else [])]
    found = f"{len(serving)} of {len(key_set.keys) + len(key_set.skipped)} keys serve" + (
        f" ({', '.join(sorted(set(serving)))})" if serving else ""
    )
    if left_out:
        found += f"; left out {', '.join(left_out)}"
    if not serving:
        return Finding("keys", "failed", found, remedies.KEYS)
    return Finding("keys", "ok", found)


def reach_keys(http: Http, link: Linked, clock: ClockCheck) -> Iterator[Finding]:
    """Fetch the keys, and look at them and, where the answer has one, at the time at which it was given."""
    if link.source is None:
        yield Finding("keys", "ok", "they stand in the registry, and none are fetched")
        return
    before = time.time()
    try:
        answer = http.get(link.source.jwks_uri)
    except ProviderUnavailable as unavailable:
        yield out_of_reach("keys", link.source.jwks_uri, unavailable)
        return
    after = time.time()
    yield check_keys(link, answer)
    theirs = _time_of(answer.headers)
    if theirs is not None:
        clock.told(theirs, before, after)


def out_of_reach(check: str, url: str, unavailable: ProviderUnavailable) -> Finding:
    """What there is to say when `url` does not answer."""
    reason = f"{in_ascii(url)}: {remedies.reason_of(unavailable)}"
    return Finding(check, "failed", reason, remedies.for_outage(unavailable, url))


def _place(metadata: ServerMetadata, silent: Iterable[str]) -> str:
    found = f"{in_ascii(metadata.address)} names the issuer"
    if not silent:
        return found
    return f"{found} ({', '.join(silent)} does not answer from here, which does no harm)"


def _nothing_found(answered: bool, silent: Mapping[str, Remedy], reasons: Sequence[str]) -> Finding:
    reason = "; ".join(reasons)
    if answered:
        return Finding("discovery", "warning", f"there is no metadata, and none is needed while tokens pass: {reason}")
    if silent:
        return Finding("discovery", "failed", reason, tuple(dict.fromkeys(chain.from_iterable(silent.values()))))
    return Finding("discovery", "skipped", reason or "jwt.iss is no address, so that no metadata can name it")


def _skipped(key_set: KeySet) -> list[str]:
    reasons = [key.reason for key in key_set.skipped]
    return [f"{reasons.count(reason)}: {reason}" for reason in dict.fromkeys(reasons)]


def _time_of(headers: Mapping[str, str]) -> float | None:
    """:rfc:`9110#section-6.6.1`"""
    try:
        # What lay in a cache is that much older (RFC 9111 section 5.1).
        return parsedate_to_datetime(headers["date"]).timestamp() + int(headers.get("age", "0"))
    except (KeyError, ValueError, OverflowError):
        return None
