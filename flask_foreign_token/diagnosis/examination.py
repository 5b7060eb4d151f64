"""All checks of one provider, in the order in which a token meets them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..http import Http
from ..introspection.addresses import at_backchannel, origin_of
from ..printable import in_ascii
from ..registry.linking import Linked
from ..registry.resources import IdentityProvider
from ..registry.snapshot import RegistrySnapshot
from .clock import ClockCheck
from .findings import Finding
from .grants import GrantChecks, Login, TokenEndpoint
from .reach import BINDING, Found, look_for_metadata, origins_of, origins_of_secret, reach_keys
from .trust import Trust, check_trust

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
    if trust.provider is None or trust.link is None or not trust.link.in_force:
        return
    found = look_for_metadata(http, trust.provider, trust.link)
    yield found.finding
    clock = ClockCheck(trust.link.introspector.rules.leeway)
    yield from reach_keys(http, trust.link, clock)
    checks = GrantChecks(http, trust.provider, snapshot.introspection, trust.link, clock)
    complete = login.completed(trust.provider)
    if complete.lacking:
        yield _not_asked_for(login.given, complete.lacking)
    else:
        endpoint = _token_endpoint(http, trust.provider, trust.link, found, is_stored=complete.secret_is_stored)
        yield from [endpoint] if isinstance(endpoint, Finding) else checks.run(endpoint, complete)
    yield clock.found()


def _not_asked_for(given: Sequence[str], lacking: Sequence[str]) -> Finding:
    if not given:
        return Finding("token", "skipped", f"none is asked for: that takes {', and '.join(lacking)}")
    return Finding("token", "failed", f"{' and '.join(given)}: of no use without {', and '.join(lacking)}")


def _token_endpoint(
    http: Http, provider: IdentityProvider, link: Linked, found: Found, *, is_stored: bool
) -> TokenEndpoint | Finding:
    """Where secrets may be sent: to the stored address, or to one that is published at a host that is stored.

    Whoever answers at some other host must not get them by calling it the provider's.

    :param is_stored: whether one of them is the stored secret, which goes only where it is bound to.
    """
    metadata = found.metadata
    methods = () if metadata is None else metadata.texts("token_endpoint_auth_methods_supported") or _BASIC
    if provider.token_endpoint is not None:
        return TokenEndpoint(http, provider.token_endpoint, methods)
    published = None if metadata is None else metadata.text("token_endpoint")
    place = f"IdentityProvider/{provider.id} token_endpoint"
    if published is None:
        return Finding("token", "failed", "no token endpoint is known", (f"Store {place}: URL.",))
    url = at_backchannel(published, link.settings.jwt.iss, found.base)
    if origin_of(url) in (origins_of_secret(provider) if is_stored else origins_of(provider, link)):
        return TokenEndpoint(http, url, methods)
    named = f"the metadata names a token endpoint at {in_ascii(origin_of(url))}, which gets"
    remedy = (f"If that is the provider's, store it as {place}: {in_ascii(url)}",)
    if not is_stored:
        return Finding("token", "failed", f"{named} no secret: nothing stored is there", remedy)
    reason = f"{named} no stored secret: none of {', '.join(BINDING)} is there"
    return Finding("token", "failed", reason, (*remedy, "Write client.secret along with it, as it is bound to that."))
