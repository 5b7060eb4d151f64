"""Whether a provider can be reached, is who it is taken for, has keys that serve, and knows what time it is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urlsplit

from ..errors import ProviderUnavailable, Rejected
from ..http import Answer, Http
from ..introspection.discovery import IssuerMismatch, NoMetadata, ServerMetadata, discover
from ..introspection.jwt import permitted
from ..introspection.key_set import KeySet, read_key_set
from ..printable import in_ascii
from ..registration import origin_of
from ..registry.linking import Linked
from ..registry.resources import IdentityProvider
from . import remedies
from .findings import Finding

TOLERATED = 5.0
"""Seconds by which clocks may differ before it is said."""


@dataclass(frozen=True, slots=True)
class Found:
    """What came of looking for the provider's metadata.

    :param metadata: none: there is none of use.
    :param base: the address below which it was found.
    """

    finding: Finding
    metadata: ServerMetadata | None = None
    base: str | None = None


def addresses_of(provider: IdentityProvider, link: Linked) -> list[str]:
    """Where the metadata may be: at the issuer, and with its path at each host whose endpoints are stored."""
    issuer = link.settings.jwt.iss
    path = urlsplit(issuer).path
    stored = (
        link.source and link.source.jwks_uri,
        provider.userinfo_endpoint,
        provider.token_endpoint,
        provider.introspection_endpoint,
    )
    addresses = [text for text in (issuer, provider.issuer) if text and "://" in text]
    addresses += [origin_of(endpoint) + path for endpoint in stored if endpoint]
    return list(dict.fromkeys(addresses))


def look_for_metadata(http: Http, provider: IdentityProvider, link: Linked) -> Found:
    """Discover the provider, at whichever address answers first.

    Tokens are checked without it as long as `jwks_uri` is stored, so that it may be missing.
    """
    issuer = link.settings.jwt.iss
    silent: list[str] = []
    reasons: list[str] = []
    answered = False
    for address in addresses_of(provider, link):
        try:
            metadata = discover(http, issuer, None if address == issuer else address)
        except IssuerMismatch as mismatch:
            return Found(Finding("discovery", "failed", str(mismatch), remedies.ISSUER_AND_ADDRESS))
        except NoMetadata:
            answered = True
            reasons.append(f"{in_ascii(address)} publishes none")
        except ProviderUnavailable as unavailable:
            silent.append(in_ascii(address))
            reasons.append(remedies.explained(unavailable))
        except Rejected as rejected:
            if any(issue.resource for issue in rejected.issues):
                reason = "; ".join(map(str, rejected.issues))
                return Found(Finding("discovery", "warning", f"the metadata is not as it should be: {reason}"))
            reasons.append(f"{in_ascii(address)}: {rejected.issues[0].message}")
        else:
            return Found(Finding("discovery", "ok", _place(metadata, silent)), metadata, address)
    return Found(_nothing_found(answered, silent, reasons))


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


def check_clock(theirs: float, before: float, after: float, leeway: float) -> Finding:
    """Compare the provider's clock with ours. All in seconds, three of them since the epoch.

    :param theirs: the provider's time, without a fraction.
    :param before: when it was asked.
    :param after: when the answer was there.
    :param leeway: by which the introspector lets clocks differ.
    """
    # Theirs may stand for any moment of that second, and for any between question and answer.
    ahead, behind = theirs - after, before - (theirs + 1)
    apart = max(ahead, behind, 0.0)
    if apart <= TOLERATED and apart <= leeway:
        return Finding(
            "clock", "ok", f"{apart:.0f} s apart from the provider's" if apart else "agrees with the provider's"
        )
    found = f"the provider's is {apart:.0f} s {'ahead' if ahead > 0 else 'behind'}; tokens allow for {leeway:g} s"
    return Finding("clock", "failed" if apart > leeway else "warning", found, remedies.CLOCK)


def reach_keys(http: Http, link: Linked) -> Iterator[Finding]:
    """Fetch the keys, and look at them and, where the answer has one, at the time at which it was given."""
    if link.source is None:
        yield Finding("keys", "ok", "they stand in the registry, and none are fetched")
        return
    before = time.time()
    try:
        answer = http.get(link.source.jwks_uri)
    except ProviderUnavailable as unavailable:
        address = in_ascii(link.source.jwks_uri)
        reason = f"{address}: {remedies.explained(unavailable)}"
        yield Finding("keys", "failed", reason, remedies.UNREACHABLE)
        return
    after = time.time()
    yield check_keys(link, answer)
    theirs = _time_of(answer.headers)
    if theirs is not None:
        yield check_clock(theirs, before, after, link.introspector.rules.leeway)


def _place(metadata: ServerMetadata, silent: Sequence[str]) -> str:
    found = f"{in_ascii(metadata.address)} names the issuer"
    if not silent:
        return found
    return f"{found} ({', '.join(silent)} does not answer from here, which does no harm)"


def _nothing_found(answered: bool, silent: Sequence[str], reasons: Sequence[str]) -> Finding:
    reason = "; ".join(reasons)
    if answered:
        return Finding("discovery", "warning", f"there is no metadata, and none is needed while tokens pass: {reason}")
    if silent:
        return Finding("discovery", "failed", reason, remedies.UNREACHABLE)
    return Finding("discovery", "skipped", reason or "jwt.iss is no address, and none is stored")


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
