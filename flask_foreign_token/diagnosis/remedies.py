"""What mends a set-up, by what a provider or a check of ours says about it."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple

from ..errors import ProviderUnavailable
from ..introspection.addresses import may_lead_elsewhere

Remedy = tuple[str, ...]

ISSUER: Remedy = (
    "What is compared and what is called are two things.",
    "jwt.iss must be the iss of the tokens, character by character; it is not called where addresses are stored.",
    "In Keycloak, KC_HOSTNAME is what it calls itself; without it, that is whatever host it was asked at.",
)
ISSUER_AND_ADDRESS: Remedy = (
    *ISSUER,
    "jwks_uri, token_endpoint and userinfo_endpoint are called, and may be at any host that answers from here.",
    "`provider add --replace` registers both: what is compared as --issuer, what is called as --backchannel.",
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
POLICY: Remedy = ("This one lets in all users of the provider:",)
GUARD: Remedy = (
    "Store that policy with `apply FILE`, or correct its name in require_policy; until then nobody gets in.",
)
DATABASE: Remedy = (
    "See that the database answers at the address of SQLALCHEMY_DATABASE_URI, or of the bind of the users.",
    "Until then what was in force before goes on where it runs, and nothing is in force where it starts.",
)
IN_DATABASE: Remedy = (
    "`apply` writes a resource anew, `delete TYPE ID` takes it out; until then what it is about is denied.",
)
IN_FILE: Remedy = ("Correct the file; until then what was in force before stays so, and where it starts nothing is.",)
PLAIN: Remedy = (
    'Write {"env": "NAME"} or {"file": "/run/secrets/NAME"} in place of the secret, and let the provider give another,',
    "since copies of the database still hold the old one.",
)
MISPLACED: Remedy = ("Move @require_policy below the route.",)
UNGUARDED: Remedy = (
    'Put @require_policy below the route, or set FOREIGN_TOKEN_PROTECT="all" for all views of the app.',
    "Leave it where everybody is meant, or where something else guards the view.",
)
UNMET: Remedy = ("Correct what the policy asks for, or take it out with `delete AccessPolicy ID`.",)
UNMEANT: Remedy = ("Correct the policy and `apply` it; with --strict, that refuses what it warns of.",)
NOBODY: Remedy = ("This registers a provider; for tokens that need no user, a TokenIntrospector alone is enough.",)
SQL: Remedy = (
    "Let FOREIGN_TOKEN_SQL_URI name a database that answers, and a role that can only read.",
    "Until then policies of the engine sql deny.",
)
CACHE: Remedy = ("See that Redis answers where FOREIGN_TOKEN_CACHE_URL or cache= says, to these credentials.",)
OPAQUE_POLICY: Remedy = (
    "Introspection need not answer iss; where it does not, let the policy ask for active: true, or for client_id.",
    "This one lets in whoever brings an opaque token of the issuer:",
)
SECRET: Remedy = (
    "Where the secret is named by env or file, or a registry file takes it from a variable, correct that.",
    "Else write another in place of the mask, which is shown whatever is stored:",
)
KEYS: Remedy = ("See that jwks_uri is that of the very provider, and of the very realm, that issues the tokens.",)
AUDIENCE: Remedy = (
    "Let the provider put what jwt.aud asks for into its tokens, or set jwt.aud to what it does put there.",
    "Keycloak names account for those who have roles of the client account, as default-roles-REALM gives them.",
    "For any other audience, Keycloak wants a mapper of the type Audience in one of the client's scopes.",
)
UNLINKED: Remedy = ("For A, write what the aud of the tokens names, in Keycloak account at first:",)
AUDIENCE_MISSING: Remedy = (
    "Let the provider put what jwt.aud asks for into its tokens.",
    "Keycloak names account for those who have roles of the client account, as default-roles-REALM gives them.",
    "In Keycloak, for any other audience add a mapper of the type Audience to one of the client's scopes.",
    "In Keycloak, a lightweight access token has none: switch that off for the client,",
    "or ask about its tokens (docs/opaque.md).",
)
NO_AUDIENCE: Remedy = ("Set jwt.aud, for Keycloak to account.",)
OPAQUE_AUDIENCE: Remedy = (
    "Set jwt.aud to what introspection answers in aud of the tokens that are for this API.",
    "Where it answers none, and names a token_type of access tokens alone, set token_type to Bearer at least.",
)
CLIENT: Remedy = ("jwt.client_id names the clients whose tokens are taken: add this one, or ask with another.",)
ALGORITHMS: Remedy = (
    "Name in jwt.algorithms what the provider signs with, or leave jwt.algorithms out: then the keys decide.",
    "A key without alg serves RS256, or the one of RSA that jwt.algorithms names.",
)
TYPE: Remedy = (
    "Leave jwt.typ out, unless the provider makes access tokens of that type.",
    "With at+jwt, a token must have every claim that RFC 9068 asks for.",
)
KIND: Remedy = (
    "It is an ID token, a refresh token or a logout token, and those give no access.",
    "Send what the token endpoint calls access_token; see why the provider puts another kind there.",
)
BOUND: Remedy = (
    "It is bound to a key of its client (DPoP, or a certificate), which this version does not check.",
    "Let the provider issue tokens of the type Bearer to this client.",
)
SUBJECT: Remedy = (
    "subject_claim of the IdentityProvider names the claim that identifies users; sub, unless it says otherwise.",
    "See that the provider puts it into its tokens.",
    "In Keycloak, the client scope basic adds sub: let it be a default client scope of the client.",
    "Entra ID wants oid.",
)
LIFETIME: Remedy = ("A JWT must say when it ends: let the provider put exp into its tokens.",)
NO_JWT: Remedy = (
    "It is no JWT that can be read: the provider issues opaque tokens to this client, or encrypted ones.",
    "A TokenIntrospector of type opaque asks the provider about tokens.",
    "Or ask for JWTs: Auth0 wants the audience of the API named, oidc-provider a resource.",
)
PREFIX: Remedy = (
    "No introspector of type opaque has the token_prefix that it begins with.",
    "Set token_prefix to what the provider's tokens begin with, or leave it out where there is one such introspector.",
)
JWT_FOR_NOBODY: Remedy = (
    "It is a JWT, which goes to the introspector that names its iss, and never to another one.",
    "Set jwt.iss of the introspector of type opaque, or add a TokenIntrospector of type jwt.",
)
INACTIVE: Remedy = (
    "See that the introspection endpoint is that of the very provider, and of the very realm, that issues the tokens.",
    "Some providers say so too to a client that the token is not meant for: see what they want in aud.",
)
TOKEN_TYPE: Remedy = (
    "Introspection names another type of token than Bearer, or none, as of a refresh token.",
    "Where the provider names none of access tokens either, leave token_type of the introspector out.",
)
NO_INQUIRY: Remedy = ("Let a TokenIntrospector of type jwt verify JWTs by their signature.",)
INTROSPECTION: Remedy = (
    "See that the address is that of the introspection endpoint (RFC 7662) of the very provider.",
    "In Keycloak, it ends with /protocol/openid-connect/token/introspect.",
)
CREDENTIAL: Remedy = (
    "In Keycloak, the secret is under Clients, the client, Credentials; Client authentication must be on.",
    *SECRET,
)
GULLIBLE: Remedy = ("See that the address is that of an introspection endpoint, and not of a stub.",)
TOKEN_ENDPOINT: Remedy = (
    "See that token_endpoint is that of the very provider, and answers by RFC 6749.",
    "`provider add ID --issuer URL --audience A --replace` finds it anew.",
)
USERINFO: Remedy = (
    "See that userinfo_endpoint is that of the very provider, and of the very realm, that issues the tokens.",
    "Where it does not answer to such tokens, `userinfo-source: id-token` makes users from what they say.",
)

_CONTAINERS: Remedy = (
    "In a container, localhost is that container: call the other one in the same network as http://keycloak:8080, say,",
    "or map keycloak:host-gateway in extra_hosts. `provider add --backchannel` takes such an address; iss stays.",
)
_NOT_THERE: Remedy = ("It was tried from here; see that the provider runs, and listens there.",)


class _Outage(NamedTuple):
    """
    :param words: what the reason holds.
    :param depends: whether the same address may lead somewhere else from another machine or container.
    :param is_elsewhere: whether the address may be wrong.
    """

    words: str
    remedy: Remedy
    depends: bool = False
    is_elsewhere: bool = False


_OUTAGES: Sequence[_Outage] = (
    _Outage("no host of that name", ("Is it spelt right?",), depends=True, is_elsewhere=True),
    _Outage("the connection is refused", _NOT_THERE, depends=True, is_elsewhere=True),
    _Outage("no answer in time", _NOT_THERE, depends=True, is_elsewhere=True),
    _Outage("no way leads there", _NOT_THERE, is_elsewhere=True),
    _Outage(
        "the connection was closed",
        ("Something listens there and hangs up: see what it is, and its log.",),
    ),
    _Outage("certificate is not trusted", ("SSL_CERT_FILE names the file of the authorities that are trusted.",)),
    _Outage("no TLS can be", ("Does it listen without TLS there? Then the address begins with http://.",)),
    _Outage("malformed HTTP", ("Does it listen with TLS there? Then the address begins with https://.",)),
    _Outage("status 3", ("It sends elsewhere, and nothing follows it: store the address at which it answers itself.",)),
    _Outage(
        "does not call itself JSON",
        ("It is a page for people, or of a proxy on the way: see that the address is right, and what answers there.",),
    ),
    _Outage(
        "status 404",
        ("The host answers, so see that the path is right: in Keycloak, /realms/NAME and so on.",),
        is_elsewhere=True,
    ),
    _Outage("status 429", ("It is asked more often than it allows: wait, and see what else asks it.",)),
    _Outage("must be https", ("FOREIGN_TOKEN_ALLOW_HTTP_HOSTS names the hosts that may be called without TLS.",)),
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

_PRODUCTS = ("Keycloak", "Entra ID", "Auth0", "oidc-provider")
# What lines begin with, or hold, that are about one product.
_NOT_FOR_THE_CLIENT = ("not enabled to retrieve service account", "not allowed to retrieve service account")
_WRONG_CLIENT = "invalid client"
_ABOUT_ELSE = ("invalid_request", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope")
# What RFC 6749 has for other faults than the client's credential.

_INTROSPECTION: Sequence[tuple[str, Remedy]] = (
    ("the issuer is not known", ISSUER_AND_ADDRESS),
    ("iss is ", ISSUER_AND_ADDRESS),
    ("aud is missing", AUDIENCE_MISSING),
    ("aud ", AUDIENCE),
    ("the token was issued to another client", CLIENT),
    ("no key of the issuer", KEYS),
    ("the signature is wrong", KEYS),
    ("the algorithm is not permitted", ALGORITHMS),
    ("the token has expired", CLOCK),
    ("iat lies ahead", CLOCK),
    ("nbf lies ahead", CLOCK),
    ("exp is missing", LIFETIME),
    ("the typ of the header", TYPE),
    ("the header has no typ", TYPE),
    ("the claim ", KIND),
    ("a token with ", KIND),
    ("a token that is bound", BOUND),
    ("the token_type is not Bearer", TOKEN_TYPE),
    ("the subject ", SUBJECT),
    ("the token has not three parts", NO_JWT),
    ("the token is not base64url", NO_JWT),
    ("the token is encrypted", NO_JWT),
    ("the token is not of a known form", PREFIX),
    ("the token is not active", INACTIVE),
    ("the provider answers no questions", NO_INQUIRY),
    ("the token has no sub", USERINFO),
    ("the provider does not take the token", (*USERINFO, *ISSUER_AND_ADDRESS)),
    ("userinfo names another subject", USERINFO),
)
_MISSING = " is missing"
# What is said of a claim that jwt.typ promises.


def reason_of(unavailable: ProviderUnavailable) -> str:
    """Why a provider cannot be reached, in words."""
    return str(unavailable.hint or unavailable.description)


def for_outage(unavailable: ProviderUnavailable, address: str, place: str = "") -> Remedy:
    """For an `address` that does not answer; nothing where none is known.

    :param place: where it is stored; empty: it is not, or not to be told.
    """
    reason = reason_of(unavailable)
    found = next((outage for outage in _OUTAGES if outage.words in reason), None)
    if found is None:
        return ()
    first = (f"If the address is wrong, correct {place}.",) if place and found.is_elsewhere else ()
    return first + found.remedy + (_CONTAINERS if found.depends and may_lead_elsewhere(address) else ())


def denies_grant(error: str, description: str) -> bool:
    """Whether a token endpoint says that the client may not use the grant, whatever its secret is.

    :param error: as for :func:`for_token_endpoint`.
    :param description: likewise.
    """
    said = description.lower()
    if any(words in said for words in _NOT_FOR_THE_CLIENT):
        return True
    # Keycloak says that of a wrong secret as well.
    return error == "unauthorized_client" and _WRONG_CLIENT not in said


def is_about_client(error: str, description: str, status: int) -> bool:
    """Whether a token endpoint does not take the client for who it says it is (:rfc:`6749#section-5.2`).

    :param error: as for :func:`for_token_endpoint`.
    :param description: likewise.
    :param status: of the answer.
    """
    if error == "invalid_client" or _WRONG_CLIENT in description.lower():
        return True
    return status == HTTPStatus.UNAUTHORIZED and error not in _ABOUT_ELSE


def of_product(remedy: Remedy, title: str | None) -> Remedy:
    """`remedy` without the lines about other products, unless nothing else is in it.

    :param title: of the product that the provider is (:class:`~..registration.Product`); none: it is not known.
    """
    if title is None:
        return remedy
    others = [name for name in _PRODUCTS if name not in title]
    return tuple(line for line in remedy if not any(name in line for name in others)) or remedy


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
    otherwise = TYPE if description.endswith(_MISSING) else ()
    return next((remedy for beginning, remedy in _INTROSPECTION if description.startswith(beginning)), otherwise)
