"""All checks of one provider, in the order in which a token meets them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ..errors import ProviderUnavailable, Rejected
from ..http import Http
from ..introspection.addresses import at_backchannel, origin_of
from ..introspection.endpoints import DiscoveredEndpoint
from ..introspection.remote_metadata import MetadataDirectory
from ..printable import in_ascii
from ..registration import product_of
from ..registry.endpoints import Endpoints
from ..registry.links import Linked
from ..registry.resources import IdentityProvider
from ..registry.snapshot import RegistrySnapshot
from .clock import ClockCheck
from .commands import rewriting
from .correction import Correction
from .discovered import Failures, Location
from .findings import Finding
from .grants import GrantChecks, Login, TokenEndpoint
from .introspection import check_introspection
from .keys import check_keys
from .reach import BINDING, Descriptions, Found, look_for_metadata, origins_of, origins_of_secret
from .remedies import SECRET, of_product
from .secrets import for_absent
from .trust import Trust, check_policies, check_trust, check_unlinked, secret_holder

_BASIC = ("client_secret_basic",)
# How clients authenticate where the metadata does not say (RFC 8414 section 2).


def examine(
    http: Http,
    snapshot: RegistrySnapshot,
    provider_id: str,
    login: Login,
    *,
    program: str,
) -> Iterator[Finding]:
    """Check a provider, and say what was found as it is found. Nothing is stored, and no user is made.

    Nothing is called unless provider and introspector are active: what is not counts as absent.

    :param login: to get tokens with; what it lacks comes from the provider's stored `client`.
    :param program: how the command line is called, for remedies that are commands.
    """
    trust = Trust.of(snapshot, provider_id)
    yield from check_trust(snapshot, provider_id, trust, program)
    provider = trust.provider
    if provider is None or not trust.in_force:
        if provider is not None and trust.links:
            yield from check_policies(snapshot, provider_id, trust.links, program)
        return
    visit = _Visit(http, snapshot, trust, program, asks_for_tokens=bool(login.given))
    yield from visit.suited(_examined(visit, http, snapshot, provider, login, program))


def _examined(
    visit: _Visit, http: Http, snapshot: RegistrySnapshot, provider: IdentityProvider, login: Login, program: str
) -> Iterator[Finding]:
    """What :func:`examine` finds of a provider that is in force."""
    found, trust = visit.found, visit.trust
    yield from check_policies(snapshot, provider.id, trust.links, program, issuer_is_wrong=found.is_wrong)
    yield visit.discovery()
    yield from visit.sources()
    userinfo = _userinfo_of(http, provider)
    yield from visit.userinfo(userinfo)
    complete = _completed(login, provider, trust, snapshot, program)
    if isinstance(complete, Finding):
        yield complete
    elif complete.lacking:
        yield _not_asked_for(login.given, complete.lacking)
    else:
        endpoint = _token_endpoint(http, provider, trust, found, is_stored=complete.secret_is_stored)
        grants = GrantChecks(
            http,
            provider,
            snapshot.introspection,
            trust.links,
            userinfo,
            clock=visit.clock,
            failures=visit.failures,
            program=program,
        )
        yield from [endpoint] if isinstance(endpoint, Finding) else grants.run(endpoint, complete)
    yield visit.clock.found()


def examine_unlinked(
    http: Http, snapshot: RegistrySnapshot, link: Linked, *, program: str, is_asked_for: bool = False
) -> Iterator[Finding]:
    """As :func:`examine`, for an introspector that belongs to no provider; no token is asked for.

    :param link: one of :func:`.trust.unlinked`.
    :param is_asked_for: whether somebody named it, so that it should be active.
    """
    yield from check_unlinked(snapshot, link, program, is_asked_for=is_asked_for)
    if not link.in_force:
        return
    visit = _Visit(http, snapshot, Trust(None, [link]), program)
    policies = check_policies(snapshot, link.settings.id, [link], program, issuer_is_wrong=visit.found.is_wrong)
    yield from visit.suited(policies)
    yield from visit.suited([visit.discovery()])
    yield from visit.suited(visit.sources())
    yield visit.clock.found()


class _Visit:
    """Calls what the introspectors of a provider rest on. Making one looks for what the provider publishes.

    :param trust: with every introspector of the provider.
    :param program: how the command line is called, for remedies that are commands.
    :param asks_for_tokens: whether somebody said with what to ask for tokens.
    """

    def __init__(
        self, http: Http, snapshot: RegistrySnapshot, trust: Trust, program: str, *, asks_for_tokens: bool = False
    ) -> None:
        self._http = http
        self._program = program
        self.trust = replace(trust, links=trust.in_force)
        self.clock = ClockCheck(self.trust.leeway)
        descriptions = Descriptions(http, self.clock)
        self.found = look_for_metadata(descriptions, self.trust, asks_for_tokens=asks_for_tokens)
        correction = Correction(snapshot, trust, descriptions, program)
        self.failures = Failures(descriptions, self.trust, self.found, correction, program)

    def suited(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """`findings` without what is about other products than the provider."""
        metadata = self.found.metadata
        title = None if metadata is None else product_of(metadata).title
        for finding in findings:
            yield replace(finding, remedy=of_product(finding.remedy, title))

    def discovery(self) -> Finding:
        """What came of looking for what the provider publishes."""
        finding = self.found.finding
        if self.found.mismatch is None:
            return finding
        remedy, command = self.failures.of_issuer()
        return replace(finding, remedy=remedy, command=command)

    def sources(self) -> Iterator[Finding]:
        """Look at where each introspector has its knowledge from: keys, or an endpoint that is asked."""
        for link in self.trust.links:
            if not link.issues:
                yield from check_keys(self._http, link, self.clock, self.failures)
                yield from check_introspection(self._http, link, self.found.metadata, self.failures, self._program)

    def userinfo(self, location: Location | None) -> Iterator[Finding]:
        """Look whether the address of userinfo can be discovered, where it is not stored."""
        if location is None or not isinstance(location.endpoint, DiscoveredEndpoint):
            return
        try:
            location.endpoint.locate()
        except ProviderUnavailable as unavailable:
            yield self.failures.of("userinfo", "", location, unavailable)
        else:
            yield Finding("userinfo", "ok", f"it is asked for at {location.shown}")


def _userinfo_of(http: Http, provider: IdentityProvider) -> Location | None:
    """Where userinfo is asked for; none: it is not."""
    if provider.userinfo_source == "id-token":
        return None
    return Location.of_userinfo(Endpoints(http, MetadataDirectory(http, grace=0.0)).userinfo(provider), provider)


def _completed(
    login: Login, provider: IdentityProvider, trust: Trust, snapshot: RegistrySnapshot, program: str
) -> Login | Finding:
    try:
        return login.completed(provider, snapshot.secrets)
    except Rejected as unreadable:
        key, reason = ("IdentityProvider", provider.id), f"none is asked for: {unreadable}"
        if any(link.issues and secret_holder(link) == key for link in trust.links):
            return Finding("token", "skipped", f"{reason}, which keeps an introspector out of service too")
        put = for_absent(snapshot, unreadable.issues)
        return Finding("token", "failed", reason, put or SECRET, () if put else rewriting(program, key))


def _not_asked_for(given: Sequence[str], lacking: Sequence[str]) -> Finding:
    if not given:
        return Finding("token", "skipped", f"none is asked for: that takes {', and '.join(lacking)}")
    return Finding("token", "failed", f"{' and '.join(given)}: of no use without {', and '.join(lacking)}")


def _token_endpoint(
    http: Http, provider: IdentityProvider, trust: Trust, found: Found, *, is_stored: bool
) -> TokenEndpoint | Finding:
    """Where secrets may be sent: to the stored address, or to one that is published at a host that is stored.

    Whoever answers at some other host must not get them by calling it the provider's.

    :param is_stored: whether one of them is the stored secret, which goes only where it is bound to.
    """
    metadata = found.metadata
    methods = () if metadata is None else metadata.texts("token_endpoint_auth_methods_supported") or _BASIC
    if provider.token_endpoint is not None:
        return TokenEndpoint(http, provider.token_endpoint, methods, is_stored=True)
    published = None if metadata is None else metadata.text("token_endpoint")
    place = f"IdentityProvider/{provider.id} token_endpoint"
    if published is None and found.mismatch is not None:
        return Finding("token", "skipped", "none is asked for: the issuer is to be put right first")
    if published is None:
        return Finding("token", "failed", "no token endpoint is known", (f"Store {place}: URL.",))
    url = at_backchannel(published, trust.issuer or "", found.base)
    if origin_of(url) in (origins_of_secret(provider) if is_stored else origins_of(trust)):
        return TokenEndpoint(http, url, methods)
    named = f"the metadata names a token endpoint at {in_ascii(origin_of(url))}, which gets"
    remedy = (f"If that is the provider's, store it as {place}: {in_ascii(url)}",)
    if not is_stored:
        return Finding("token", "failed", f"{named} no secret: nothing stored is there", remedy)
    reason = f"{named} no stored secret: none of {', '.join(BINDING)} is there"
    return Finding("token", "failed", reason, (*remedy, "Write client.secret along with it, as it is bound to that."))
