# Authlib comes without types.
# mypy: disable-error-code="import-untyped"
"""What a provider publishes about itself: OpenID Connect Discovery 1.0 and :rfc:`8414`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any

from ..errors import Issue, ProviderUnavailable, Rejected
from ..http import Http
from ..printable import in_ascii
from .addresses import at_backchannel, origin_of

_CALLED = (
    "authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "introspection_endpoint",
    "jwks_uri",
    "revocation_endpoint",
)
_FOR_BROWSERS = "authorization_endpoint"
_PRINTABLE_ASCII = re.compile(r"[!-~]+")
_NO_ISSUER = (
    "must begin with https:// (or http:// for the hosts in FOREIGN_TOKEN_ALLOW_HTTP_HOSTS), "
    "and be a URL of printable ASCII characters (OpenID Connect Discovery 1.0 section 2)"
)
_BOOLEANS = ("_parameter_supported", "require_request_uri_registration")


@dataclass(frozen=True, slots=True)
class ServerMetadata:
    """A description that was checked.

    :param issuer: the one that was asked for, which `document` names.
    :param document: as it came; a member that is there has the right type, an endpoint is an address that may be
        called.
    :param address: where it was found.
    :param headers: with which it came, names in lower case.
    """

    issuer: str
    document: Mapping[str, object] = field(repr=False)
    address: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def text(self, member: str) -> str | None:
        """A member of one text, such as an endpoint."""
        value = self.document.get(member)
        return value if isinstance(value, str) else None

    @property
    def value(self) -> list[object]:
        """What :func:`reread` reads it from."""
        return [self.address, dict(self.document)]

    def texts(self, member: str) -> list[str] | None:
        """A member of several texts, such as the algorithms that are supported."""
        value = self.document.get(member)
        return [str(item) for item in value] if isinstance(value, list) else None


class NoMetadata(ProviderUnavailable):
    """The provider answers, and publishes nothing about itself."""


class IssuerMismatch(Rejected):
    """The document is that of another issuer.

    :param named: the issuer that it names, fit to be printed; empty: what it names is no issuer at all.
    """

    def __init__(self, issues: Sequence[Issue], named: str = "") -> None:
        super().__init__(issues)
        self.named = named


@dataclass(frozen=True, slots=True)
class _Kind:
    """One of the two specifications."""

    address: Callable[..., str]
    metadata: Any
    optional: Mapping[str, object]


@cache
def _kinds() -> tuple[_Kind, ...]:
    """Both, loaded when they are first needed: an app that discovers nothing does not load Authlib."""
    from authlib.oauth2 import rfc8414
    from authlib.oidc import discovery

    # RFC 8414 demands the algorithms of clients that sign. OpenID Connect Discovery does not; Entra ID names none.
    optional = {"token_endpoint_auth_signing_alg_values_supported": ["RS256"]}
    return (
        _Kind(discovery.get_well_known_url, discovery.OpenIDProviderMetadata, optional),
        _Kind(rfc8414.get_well_known_url, rfc8414.AuthorizationServerMetadata, {}),
    )


def discover(http: Http, issuer: str, backchannel: str | None = None) -> ServerMetadata:
    """Fetch and check what the provider of `issuer` publishes about itself.

    It is looked for where OpenID Connect Discovery 1.0 (section 4) says, and when there is nothing, where
    :rfc:`8414#section-3.1` does.

    :param issuer: what the document must name, character by character (OpenID Connect Discovery 1.0 section 4.3,
        :rfc:`8414#section-3.3`).
    :param backchannel: the address at which the issuer is reached from here; none: the issuer itself.
    :raises IssuerMismatch: the document names another issuer.
    :raises Rejected: `issuer` is none, the address must not be called, or the document is none of its kind; names
        every fault.
    :raises ProviderUnavailable: there is no answer of use.
    :raises NoMetadata: there is no document in either place.
    """
    check_addresses(http, issuer, backchannel)
    asked = _Asked(issuer, backchannel)
    missing: list[str] = []
    for kind in _kinds():
        address = kind.address(asked.base.rstrip("/"), external=True)
        try:
            answer = http.get(address)
        except ProviderUnavailable as unavailable:
            raise ProviderUnavailable(hint=f"{in_ascii(address)}: {unavailable.hint}") from None
        if answer.status < 400:
            document = _checked(http, asked, kind, address, answer.json)
            return ServerMetadata(issuer, document, address, answer.headers)
        missing.append(f"{in_ascii(address)}: status {answer.status}")
    raise NoMetadata(hint="; ".join(missing))


def reread(http: Http, issuer: str, value: object) -> ServerMetadata:
    """The metadata of `issuer` that somebody else discovered, checked as :func:`discover` does.

    :param value: see :attr:`ServerMetadata.value`.
    :raises Rejected: it is none of that issuer.
    """
    address, document = value if isinstance(value, list) and len(value) == 2 else (None, None)
    asked = _Asked(issuer, None)
    for kind in _kinds():
        if address == kind.address(asked.base.rstrip("/"), external=True):
            return ServerMetadata(issuer, _checked(http, asked, kind, address, document), address)
    raise Rejected.at("issuer", "is not where it was discovered")


def check_addresses(http: Http, issuer: str, backchannel: str | None = None) -> None:
    """Whether :func:`discover` may ask there at all. No I/O.

    :raises Rejected: `issuer` is none, or the address must not be called; names ``issuer`` or ``backchannel``.
    """
    if not _is_issuer(issuer):
        raise Rejected.at("issuer", _NO_ISSUER)
    if backchannel is None:
        _check_base(http, "issuer", issuer)
    else:
        _check_base(http, "backchannel", backchannel)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Whose description was asked for, and where."""

    issuer: str
    backchannel: str | None

    @property
    def base(self) -> str:
        return self.issuer if self.backchannel is None else self.backchannel

    def downgrade(self, name: str, address: str) -> str:
        """Why an endpoint must not be called without TLS when so much else is called with it; empty: it may be.

        Only what is asked for without TLS may name itself without it, to those who ask there.
        """
        called = address if name == _FOR_BROWSERS else at_backchannel(address, self.issuer, self.backchannel)
        if _has_tls(called):
            return ""
        if name != _FOR_BROWSERS and _has_tls(self.base):
            return "must be https, as the address is at which the document was found"
        if _has_tls(self.issuer) and (name == _FOR_BROWSERS or origin_of(called) != origin_of(self.base)):
            return "must be https, as the issuer is"
        return ""


def _has_tls(address: str) -> bool:
    return origin_of(address).startswith("https:")


def _check_base(http: Http, name: str, base: str) -> None:
    try:
        http.check_url(base)
    except ValueError as reason:
        raise Rejected.at(name, str(reason)) from None
    if "?" in base:
        raise Rejected.at(name, "must have no query (OpenID Connect Discovery 1.0 section 2)")


def _checked(http: Http, asked: _Asked, kind: _Kind, address: str, document: object) -> Mapping[str, object]:
    place = in_ascii(address)
    if not isinstance(document, dict):
        raise Rejected([Issue(place, "", "must be an object")])
    members = {name: value for name, value in document.items() if value is not None}
    _check_issuer(place, asked.issuer, members.get("issuer"))
    faults = [*_faults_of_type(kind.metadata.REGISTRY_KEYS, members), *_faults_of_address(http, asked, members)]
    if not faults:
        # Authlib takes the types for granted.
        faults = [*_faults_of_kind(http, kind, members)]
    if faults:
        raise Rejected([Issue(place, member, reason) for member, reason in faults])
    return MappingProxyType(members)


def _check_issuer(place: str, issuer: str, named: object) -> None:
    if not isinstance(named, str):
        raise Rejected([Issue(place, "issuer", "must be there, and a text")])
    if named != issuer:
        reason = f"names {in_ascii(named)}, not {in_ascii(issuer)}; the two must be equal, character by character"
        shown = in_ascii(named)
        raise IssuerMismatch([Issue(place, "issuer", reason)], named if named == shown and _is_issuer(named) else "")


def _is_issuer(text: str) -> bool:
    return bool(_PRINTABLE_ASCII.fullmatch(text) and origin_of(text))


_Faults = Iterator[tuple[str, str]]


def _faults_of_type(known: list[str], members: Mapping[str, object]) -> _Faults:
    for name in dict.fromkeys([*known, *_CALLED]):
        value = members.get(name)
        if value is None or name.endswith(_BOOLEANS):
            continue
        if not name.endswith("_supported"):
            if not isinstance(value, str):
                yield name, "must be a text"
        elif not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            yield name, "must be a list of texts"


def _faults_of_address(http: Http, asked: _Asked, members: Mapping[str, object]) -> _Faults:
    for name in _CALLED:
        value = members.get(name)
        if not isinstance(value, str):
            continue
        try:
            http.check_url(value)
        except ValueError as reason:
            yield name, str(reason)
        else:
            if downgrade := asked.downgrade(name, value):
                yield name, downgrade


def _faults_of_kind(http: Http, kind: _Kind, members: Mapping[str, object]) -> _Faults:
    """What Authlib finds, member by member."""
    metadata = kind.metadata({**kind.optional, **{name: _as_https(http, value) for name, value in members.items()}})
    for name in kind.metadata.REGISTRY_KEYS:
        try:
            getattr(metadata, f"validate_{name}")()
        except ValueError as error:
            yield name, in_ascii(str(error).removeprefix(f'"{name}" '))


def _as_https(http: Http, value: object) -> object:
    """`value` for Authlib, which knows nothing of the hosts that may be called without TLS."""
    if not isinstance(value, str) or value[:7].lower() != "http://":
        return value
    try:
        http.check_url(value)
    except ValueError:
        return value
    return f"https://{value[7:]}"
