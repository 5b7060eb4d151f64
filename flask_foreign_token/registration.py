"""From what a provider publishes about itself to the resources by which an app trusts it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from urllib.parse import urlsplit

from .documents import write_yaml
from .errors import Issue, Rejected
from .introspection.addresses import at_backchannel
from .introspection.discovery import ServerMetadata
from .introspection.keys import ALGORITHMS, spellings
from .printable import in_ascii
from .registry.resources import Key

_SCOPES = ("profile", "openid")
_ENDPOINTS: Mapping[str, str] = MappingProxyType(
    {
        "authorize_endpoint": "authorization_endpoint",
        "token_endpoint": "token_endpoint",
        "userinfo_endpoint": "userinfo_endpoint",
        "introspection_endpoint": "introspection_endpoint",
        "revocation_endpoint": "revocation_endpoint",
    }
)
"""The attributes of an IdentityProvider, and the members of the document that they come from."""
_FOR_BROWSERS = "authorize_endpoint"
_ADDRESSES = frozenset({"issuer", "jwks_uri", *_ENDPOINTS})
_OPERATORS_OWN = frozenset({"title", "system", "scopes", "subject_claim"})
"""What a registration proposes, and an operator may have put otherwise."""
_KEYS = frozenset({"secret", "keys"})
_SYMMETRIC = {n for name, spec in ALGORITHMS.items() if spec.key_type == "oct" for n in spellings(name)}
_VERIFIABLE = {n for name, spec in ALGORITHMS.items() if spec.key_type != "oct" for n in spellings(name)}
_ENTRA_HOSTS = (
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.partner.microsoftonline.cn",
    "sts.windows.net",
)


@dataclass(frozen=True, slots=True)
class Registration:
    """What an operator asks to register.

    :param id: of the IdentityProvider; the TokenIntrospector is called ``{id}-jwt-introspector``.
    :param issuer: the `iss` of its tokens.
    :param backchannel: the address at which the issuer is reached from here; none: the issuer itself.
    :param system: the identifier system of its users; none: `id`.
    :param audiences: any of which `aud` must name; empty: what the app's settings say.
    :param client_ids: to one of which a token must have been issued; empty: to any.
    """

    id: str
    issuer: str
    backchannel: str | None = None
    system: str | None = None
    audiences: Sequence[str] = ()
    client_ids: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Product:
    """What is known of a kind of provider beyond what it publishes.

    :param title: of its IdentityProvider; none: the id.
    :param audience: an example of what its tokens name in `aud`.
    :param takes_foreign_tokens: whether its userinfo endpoint answers to tokens that are for another API.
    :param subject_claim: the claim that names a user; none: `sub`.
    """

    title: str | None
    audience: str
    takes_foreign_tokens: bool = True
    subject_claim: str | None = None


KEYCLOAK = Product("Keycloak", "account")
# The `sub` of a token of Entra ID differs from one application to the next, and Microsoft Graph answers for userinfo.
ENTRA = Product("Microsoft Entra ID", "CLIENT-ID-OF-YOUR-API", takes_foreign_tokens=False, subject_claim="oid")
# Tokens of its older form (`iss` ``https://sts.windows.net/TENANT/``) name the URI that was asked for.
ENTRA_V1 = replace(ENTRA, audience="api://YOUR-API")
# Only tokens of its own kind, which no API can check, are of use at its userinfo endpoint.
GOOGLE = Product("Google", "https://your-api.example", takes_foreign_tokens=False)
OTHER = Product(None, "https://your-api.example")


def product_of(metadata: ServerMetadata) -> Product:
    """Which kind of provider published `metadata`."""
    issuer = urlsplit(metadata.issuer)
    if issuer.hostname in _ENTRA_HOSTS:
        return ENTRA if issuer.path.endswith("/v2.0") else ENTRA_V1
    if issuer.hostname == "accounts.google.com":
        return GOOGLE
    if "/protocol/openid-connect/" in (metadata.text("token_endpoint") or ""):
        return KEYCLOAK
    return OTHER


def resources_of(registration: Registration, metadata: ServerMetadata) -> list[dict[str, object]]:
    """The IdentityProvider and the TokenIntrospector for a provider.

    Endpoints at the issuer's own address are those at the backchannel where there is one, but for the one that
    browsers visit.

    :param metadata: what the provider published.
    :raises Rejected: it publishes no keys.
    """
    jwks_uri = metadata.text("jwks_uri")
    if jwks_uri is None:
        reason = "is missing; without the provider's keys no token can be checked"
        raise Rejected([Issue(in_ascii(metadata.address), "jwks_uri", reason)])
    return [
        _provider(registration, metadata),
        _introspector(registration, at_backchannel(jwks_uri, registration.issuer, registration.backchannel)),
    ]


def updated(
    stored: Mapping[str, object], registered: Mapping[str, object], registration: Registration
) -> dict[str, object]:
    """`stored` brought up to what a provider publishes now, with all else in it left as it is.

    What it is brought up to: issuer, endpoints and keys; audience, clients and system where `registration` names them.
    The algorithms of shared secrets go along with the secret, since no key that is fetched has them.

    :param stored: a body of the same type, as :class:`~.registry.catalog.Shown` has it, without ``meta``.
    :param registered: one of :func:`resources_of`.
    """
    if registered["resourceType"] == "TokenIntrospector":
        kept = _for_fetched_keys(_mapping(stored.get("jwt")))
        jwt = _extended(_mapping(registered.get("jwt")), kept)
        return {**_extended(registered, stored), "jwt": jwt}
    own = (_OPERATORS_OWN if registration.system is None else _OPERATORS_OWN - {"system"}) & set(stored)
    if stored.get("userinfo-source") == "id-token":
        own |= {"userinfo-source"}
    proposed = {name: stored[name] if name in own else value for name, value in registered.items()}
    return _extended(proposed, stored, without=_ADDRESSES)


def users_policy(id_: str, issuer: str) -> dict[str, object]:
    """A policy that lets in whoever brings a token of `issuer`.

    :param id_: of the IdentityProvider, after which the policy is called.
    """
    return {
        "resourceType": "AccessPolicy",
        "id": f"{id_}-users-policy",
        "engine": "matcho",
        "matcho": {"jwt": {"iss": issuer}},
    }


def policy_command(program: str, id_: str, issuer: str) -> list[str]:
    """The lines of a shell command that stores :func:`users_policy`.

    :param program: how the command line is called.
    """
    text = write_yaml(users_policy(id_, issuer))
    return [f"{program} apply - <<'EOF'", *text.splitlines(), "EOF"]


def introspector_id(provider_id: str) -> str:
    """What the TokenIntrospector of a provider is called that is registered."""
    return f"{provider_id}-jwt-introspector"


def addition_command(program: str, registration: Registration, *, overwrites: bool, more: Sequence[str] = ()) -> str:
    """The command that registers `registration`, for a shell.

    A backchannel that is the issuer itself is left out.

    :param program: how the command line is called.
    :param overwrites: whether it may update what is stored.
    :param more: further words.
    """
    words = ["provider", "add", registration.id, "--issuer", registration.issuer]
    backchannel = registration.backchannel
    if backchannel is not None and backchannel.rstrip("/") != registration.issuer.rstrip("/"):
        words += ["--backchannel", backchannel]
    for audience in registration.audiences:
        words += ["--audience", audience]
    for client_id in registration.client_ids:
        words += ["--client-id", client_id]
    if registration.system is not None:
        words += ["--system", registration.system]
    words += ["--replace"] if overwrites else []
    return f"{program} {shlex.join([*words, *more])}"


def activation_command(program: str, key: Key) -> str:
    """A shell command that sets `active` of a stored resource to true.

    :param program: how the command line is called.
    """
    type_, id_ = key
    got = f"{program} get {type_} {shlex.quote(id_)}"
    return f"{got} | sed 's/^active: false$/active: true/' | {program} apply -"


def offers_nothing_verifiable(metadata: ServerMetadata) -> bool:
    """Whether the provider says what it signs with, and none of that can be verified here."""
    offered = metadata.texts("id_token_signing_alg_values_supported")
    return bool(offered) and _VERIFIABLE.isdisjoint(offered or ())


def _extended(
    body: Mapping[str, object], more: Mapping[str, object], without: frozenset[str] = frozenset()
) -> dict[str, object]:
    """`body` with what only `more` has."""
    return {**body, **{name: value for name, value in more.items() if name not in body and name not in without}}


def _for_fetched_keys(jwt: Mapping[str, object]) -> dict[str, object]:
    """What of `jwt` can stand beside a `jwks_uri`."""
    kept = {name: value for name, value in jwt.items() if name not in _KEYS}
    algorithms = kept.get("algorithms")
    # What is wrong with it otherwise is said when it is stored.
    if isinstance(algorithms, list) and not _SYMMETRIC.isdisjoint(filter(_is_text, algorithms)):
        del kept["algorithms"]
        left = [name for name in algorithms if not _is_text(name) or name not in _SYMMETRIC]
        kept |= {"algorithms": left} if left else {}
    return kept


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _provider(registration: Registration, metadata: ServerMetadata) -> dict[str, object]:
    product = product_of(metadata)
    endpoints = _endpoints(registration, metadata)
    if not product.takes_foreign_tokens:
        endpoints.pop("userinfo_endpoint", None)
    supported = metadata.texts("scopes_supported")
    scopes = [scope for scope in _SCOPES if supported is not None and scope in supported]
    return {
        "resourceType": "IdentityProvider",
        "id": registration.id,
        "title": product.title or registration.id,
        "system": registration.system or registration.id,
        "issuer": registration.issuer,
        **endpoints,
        "userinfo-source": "userinfo-endpoint" if "userinfo_endpoint" in endpoints else "id-token",
        **({"scopes": scopes} if scopes else {}),
        **({"subject_claim": product.subject_claim} if product.subject_claim else {}),
    }


def _endpoints(registration: Registration, metadata: ServerMetadata) -> dict[str, str]:
    endpoints: dict[str, str] = {}
    for name, member in _ENDPOINTS.items():
        address = metadata.text(member)
        if address is None:
            continue
        backchannel = None if name == _FOR_BROWSERS else registration.backchannel
        endpoints[name] = at_backchannel(address, registration.issuer, backchannel)
    return endpoints


def _introspector(registration: Registration, jwks_uri: str) -> dict[str, object]:
    jwt: dict[str, object] = {"iss": registration.issuer}
    if registration.audiences:
        jwt["aud"] = _one_or_several(registration.audiences)
    if registration.client_ids:
        jwt["client_id"] = _one_or_several(registration.client_ids)
    return {
        "resourceType": "TokenIntrospector",
        "id": introspector_id(registration.id),
        "type": "jwt",
        "jwt": jwt,
        "jwks_uri": jwks_uri,
        "identity_provider": {"reference": f"IdentityProvider/{registration.id}"},
    }


def _one_or_several(values: Sequence[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)
