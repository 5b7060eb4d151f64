"""All checks of one provider, in the order in which a token meets them."""

from __future__ import annotations

from collections.abc import Iterator

from ..http import Http
from ..registration import at_backchannel
from ..registry.linking import Linked
from ..registry.resources import IdentityProvider
from ..registry.snapshot import RegistrySnapshot
from .findings import Finding, Mark
from .grants import GrantChecks, Login, TokenEndpoint
from .reach import Found, look_for_metadata, reach_keys
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

    :param login: to get tokens with; what it lacks comes from the provider's stored `client`.
    :param program: how the command line is called, for remedies that are commands.
    """
    trust = Trust.of(snapshot, provider_id)
    yield from check_trust(snapshot, provider_id, trust, program)
    if trust.provider is None or trust.link is None:
        return
    found = look_for_metadata(http, trust.provider, trust.link)
    yield found.finding
    reached = list(reach_keys(http, trust.link))
    yield from reached
    knows_time = any(finding.check == "clock" for finding in reached)
    checks = GrantChecks(http, trust.provider, snapshot.introspection, trust.link, tells_time=not knows_time)
    endpoint = _token_endpoint(http, trust.provider, trust.link, found)
    for finding in _check_grants(checks, trust.provider, endpoint, login):
        knows_time = knows_time or finding.check == "clock"
        yield finding
    if not knows_time:
        yield Finding("clock", "skipped", "the provider's answers carry no time; a token of it would tell")


def _check_grants(
    checks: GrantChecks, provider: IdentityProvider, endpoint: TokenEndpoint | None, login: Login
) -> Iterator[Finding]:
    complete = login.completed(provider)
    if complete.client_id is None or not any(complete.forms()):
        mark: Mark = "failed" if login.is_given else "skipped"
        yield Finding("token", mark, "none is asked for: that takes --client-id, and --client-secret or --username")
    elif endpoint is None:
        remedy = f"Store token_endpoint at IdentityProvider/{provider.id}."
        yield Finding("token", "failed", "no token endpoint is known", (remedy,))
    else:
        yield from checks.run(endpoint, complete)


def _token_endpoint(http: Http, provider: IdentityProvider, link: Linked, found: Found) -> TokenEndpoint | None:
    metadata = found.metadata
    published = None if metadata is None else metadata.text("token_endpoint")
    if published is not None:
        published = at_backchannel(published, link.settings.jwt.iss, found.base)
    url = provider.token_endpoint or published
    if url is None:
        return None
    methods = () if metadata is None else metadata.texts("token_endpoint_auth_methods_supported") or _BASIC
    return TokenEndpoint(http, url, methods)
