"""What mends a set-up, by what a provider or a check of ours says about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..errors import ProviderUnavailable
from ..introspection.addresses import may_lead_elsewhere

Remedy = tuple[str, ...]

ISSUER_AND_ADDRESS: Remedy = (
    "What is compared and what is called are two things.",
    "jwt.iss must be the iss of the tokens, character by character; it is never called.",
    "jwks_uri, token_endpoint and userinfo_endpoint are called, and may be at any host that answers from here.",
    "`provider add ID --issuer URL --backchannel ADDRESS --audience A` registers both, the one beside the other.",
    "In Keycloak, KC_HOSTNAME is what it calls itself; without it, that is whatever host it was asked at.",
)
OPENID: Remedy = (
    "The token was not granted the scope openid, which userinfo asks for.",
    'Ask for it when the token is requested: scope="openid profile email", of this command with --scope.',
    "Keycloak needs no client scope of that name.",
)
CLOCK: Remedy = (
    "Let both machines take the time from NTP.",
    "jwt.leeway allows for a difference of up to 300 seconds, 30 by default.",
)
KEYS: Remedy = ("See that jwks_uri is that of the very provider, and of the very realm, that issues the tokens.",)
AUDIENCE: Remedy = (
    "Let the provider put what jwt.aud asks for into its tokens, or set jwt.aud to what it does put there.",
    "Keycloak names account for those who have roles of the client account, as default-roles-REALM gives them.",
    "For any other audience, Keycloak wants a mapper of the type Audience in one of the client's scopes.",
)
CLIENT: Remedy = ("jwt.client_id names the clients whose tokens are taken: add this one, or ask with another.",)


_CONTAINERS: Remedy = (
    "Inside a container, localhost is the container itself.",
    "In a Docker network, call its container and inner port: http://keycloak:8080.",
    "See that both containers are in that same network.",
    "Or map keycloak:host-gateway in extra_hosts, and call http://keycloak:8180.",
    "`provider add --backchannel` takes such an address; the tokens' iss stays.",
    "A host that is called without TLS must be in FOREIGN_TOKEN_ALLOW_HTTP_HOSTS.",
)
_NOT_THERE: Remedy = ("It was tried from here; see that the provider runs, and listens there.",)


class _Outage(NamedTuple):
    """
    :param words: what the reason holds.
    :param depends: whether the same address may lead somewhere else from another machine or container.
    """

    words: str
    remedy: Remedy
    depends: bool = False


_OUTAGES: Sequence[_Outage] = (
    _Outage("no host of that name", ("Is it spelt right?",), depends=True),
    _Outage("the connection is refused", _NOT_THERE, depends=True),
    _Outage("no answer in time", _NOT_THERE, depends=True),
    _Outage("no way leads there", _NOT_THERE),
    _Outage("certificate is not trusted", ("SSL_CERT_FILE names the file of the authorities that are trusted.",)),
    _Outage("no TLS can be", ("Does it listen without TLS there? Then the address begins with http://.",)),
    _Outage("malformed HTTP", ("Does it listen with TLS there? Then the address begins with https://.",)),
    _Outage("status 5", ("The host answers, and the provider has troubles of its own; see its log.",)),
)


class _Case(NamedTuple):
    """
    :param error: the provider's error code; empty: any.
    :param words: what its description holds, in lower case; empty: anything.
    """

    error: str
    words: str
    remedy: Remedy


# The first that fits. Of Keycloak, the texts are those of 26.3.
_TOKEN_ENDPOINT: Sequence[_Case] = (
    _Case(
        "Realm does not exist",
        "",
        (
            "The realm is not there, or token_endpoint is of another one.",
            "`provider add ID --issuer URL --audience A --replace` finds it anew.",
        ),
    ),
    _Case(
        "invalid_grant",
        "account is not fully set up",
        (
            "In Keycloak, under Users, open the user and fill in First name and Last name.",
            "Switch Email verified on.",
            "Take everything out of Required user actions.",
            "Under Credentials, set the password anew with Temporary off.",
        ),
    ),
    _Case(
        "",
        "not enabled to retrieve service account",
        (
            "In Keycloak, under Clients, open the client and go to Capability config.",
            "Switch Service accounts roles on; Client authentication must be on too.",
        ),
    ),
    _Case(
        "",
        "public client not allowed to retrieve service account",
        (
            "In Keycloak, under Clients, open the client and go to Capability config.",
            "Switch Client authentication on, then Service accounts roles; the secret is under Credentials.",
        ),
    ),
    _Case(
        "",
        "not allowed for direct access grants",
        (
            "In Keycloak, under Clients, open the client and go to Capability config.",
            "Switch Direct access grants on.",
        ),
    ),
    _Case("invalid_grant", "account disabled", ("In Keycloak, under Users, open the user and switch Enabled on.",)),
    _Case(
        "invalid_grant",
        "invalid user credentials",
        (
            "Username or password is wrong, or the user is of another realm.",
            "In Keycloak, a user that was made by hand has no password until one is set under Credentials.",
        ),
    ),
    _Case(
        "",
        "invalid client",
        (
            "Client id or secret is wrong, or the client is of another realm.",
            "In Keycloak, the secret is under Clients, the client, Credentials.",
        ),
    ),
    _Case(
        "invalid_scope",
        "",
        (
            "The client may not ask for one of these scopes; name others with --scope.",
            "For client credentials, Entra ID takes api://YOUR-API/.default and nothing else.",
        ),
    ),
    _Case("invalid_client", "", ("Client id or secret is wrong, or the client authenticates in another way.",)),
    _Case("unauthorized_client", "", ("Allow the client this grant, in the provider's settings of the client.",)),
    _Case("unsupported_grant_type", "", ("The provider does not offer this grant; get a token in another way.",)),
    _Case("invalid_grant", "", ("Username or password is wrong, or the account must not sign in yet.",)),
)

_INTROSPECTION: Sequence[tuple[str, Remedy]] = (
    ("the issuer is not known", ISSUER_AND_ADDRESS),
    ("iss is not the issuer", ISSUER_AND_ADDRESS),
    ("aud ", AUDIENCE),
    ("the token was issued to another client", CLIENT),
    ("no key of the issuer", KEYS),
    ("the signature is wrong", KEYS),
    ("the token has expired", CLOCK),
    ("iat lies ahead", CLOCK),
    ("nbf lies ahead", CLOCK),
)


def reason_of(unavailable: ProviderUnavailable) -> str:
    """Why a provider cannot be reached, in words."""
    return str(unavailable.hint or unavailable.description)


def for_outage(unavailable: ProviderUnavailable, address: str) -> Remedy:
    """For an `address` that does not answer; nothing where none is known."""
    reason = reason_of(unavailable)
    found = next((outage for outage in _OUTAGES if outage.words in reason), None)
    if found is None:
        return ()
    return found.remedy + (_CONTAINERS if found.depends and may_lead_elsewhere(address) else ())


def for_token_endpoint(error: str, description: str) -> Remedy:
    """For what a token endpoint answered (:rfc:`6749#section-5.2`); nothing where none is known.

    :param error: its `error`; empty: none came.
    :param description: its `error_description`; empty: none came.
    """
    said = description.lower()
    found = (case.remedy for case in _TOKEN_ENDPOINT if case.error in ("", error) and case.words in said)
    return next(found, ())


def for_introspection(description: str) -> Remedy:
    """For the description of a refusal of our own; nothing where none is known."""
    return next((remedy for beginning, remedy in _INTROSPECTION if description.startswith(beginning)), ())
