"""What comes in and what comes out of introspection, and the seam between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, cast

from ..errors import InvalidToken
from .claims import time_of

Kind = Literal["jwt", "opaque"]
"""What a token is to whoever checks it: ``"jwt"`` says it all itself, ``"opaque"`` stands for what its issuer says."""


class Versioned(NamedTuple):
    """Names one state of a resource.

    :param id: the resource's id.
    :param version: changes whenever anything that the resource stands for changes.
    """

    id: str
    version: str


@dataclass(frozen=True, slots=True)
class Credential:
    """What a request brought.

    :param scheme: lower case, ``"bearer"``.
    :param token: at most 16 KiB of ``b64token`` characters (:rfc:`6750#section-2.1`); not verified.
    """

    scheme: str
    token: str = field(repr=False)


class Evidence(Protocol):
    """What a verification rested on."""

    @property
    def withdrawn(self) -> bool:
        """Whether it was taken back since, so that what rested on it falls with it."""


class Memo:
    """What was found out of a token, kept as long as the token is and for one owner at a time.

    Threads may find out the same thing twice, so it must be something that comes out the same.
    """

    __slots__ = ("_kept", "prospect")

    def __init__(self) -> None:
        self._kept: _Kept | None = None
        self.prospect: tuple[object, Any] | None = None
        """What the policies come to for the token, and whose they are; apart, since every token has one."""

    def of(self, owner: object) -> dict[Any, Any]:
        """What `owner` keeps here; empty when it keeps nothing, or another came since."""
        kept = self._kept
        if kept is None or kept.owner is not owner:
            kept = self._kept = _Kept(owner)
        return kept


class _Kept(dict[Any, Any]):
    """What one owner keeps, and whose it is in one object, so that no thread sees what is another's."""

    __slots__ = ("owner",)

    def __init__(self, owner: object) -> None:
        self.owner = owner


@dataclass(frozen=True, slots=True)
class Token:
    """What a verified credential says. Times are seconds since the epoch; `claims` is read-only at every depth;
    :func:`~flask_foreign_token.introspection.frozen.thaw` makes a copy of it that can be changed.

    :param issuer: `iss`, compared as a string and never called.
    :param subject: the provider's `subject_claim`, `sub` unless it says otherwise; none: an opaque token of a client
        that acts for nobody.
    :param expires_at: `exp`; may carry a fraction (:rfc:`7519#section-2`). Infinite: an opaque token without one.
    :param usable_until: when it must be verified anew: at `expires_at` and the introspector's leeway, or sooner.
    :param claims: all of them, as they came; arrays are tuples. Of an opaque token, what its issuer answered.
    :param introspector: id and version of the resource that vouched for it.
    :param evidence: what the verification rested on: the key that made the signature, or what its issuer answered.
    :param memo: for those that work with the token, so that they need not do it for each of its requests.
    """

    issuer: str
    subject: str | None = field(repr=False)
    expires_at: float
    usable_until: float
    claims: Mapping[str, object] = field(repr=False)
    introspector: Versioned
    evidence: Evidence
    kind: Kind = "jwt"
    memo: Memo = field(default_factory=Memo, init=False, repr=False, compare=False)

    @property
    def scopes(self) -> frozenset[str]:
        """The granted scopes: `scope` separated by spaces (:rfc:`8693#section-4.2`), else `scp`, a text or a list."""
        granted = self.claims.get("scope", self.claims.get("scp"))
        if isinstance(granted, str):
            return frozenset(granted.split())
        if isinstance(granted, list | tuple):
            return frozenset(scope for scope in granted if isinstance(scope, str))
        return frozenset()

    @property
    def client_id(self) -> str | None:
        """Who the token was issued to: `azp`, else `client_id` (:rfc:`9068#section-2.2`)."""
        return self._text("azp") or self._text("client_id")

    @property
    def confirmation(self) -> Mapping[str, object] | None:
        """What its holder must show to have: `cnf` (:rfc:`7800#section-3.1`)."""
        value = self.claims.get("cnf")
        return value if isinstance(value, Mapping) else None

    @property
    def acr(self) -> str | None:
        """How the user was authenticated: `acr` (:rfc:`9470#section-6`)."""
        return self._text("acr")

    @property
    def auth_time(self) -> float | None:
        """When the user was authenticated, in seconds since the epoch: `auth_time` (:rfc:`9470#section-6`); none: it
        says no time.
        """
        try:
            return time_of(self.claims, "auth_time")
        except InvalidToken:
            return None

    @property
    def sid(self) -> str | None:
        """The user's session at the provider: `sid` (OpenID Connect Back-Channel Logout 1.0 section 2.1)."""
        return self._text("sid")

    def _text(self, name: str) -> str | None:
        value = self.claims.get(name)
        return value if isinstance(value, str) and value else None


Checks: TypeAlias = Iterator[str | Token]
"""A verification, check by check: the name of each before it is made, and at the end the token. It is no generator that
returns the token: to catch what one returns takes 0.8 µs of a request."""


def concluded(checks: Checks) -> Token:
    """Make all `checks`.

    :raises InvalidToken: one of them fails.
    :raises ProviderUnavailable: one of them cannot be made.
    """
    *_, token = checks
    return cast(Token, token)


class Introspector(Protocol):
    """Turns a credential into a verified token."""

    def introspect(self, credential: Credential) -> Token:
        """Return the token that `credential` stands for.

        :raises InvalidToken: it is malformed, expired, forged or unknown; the description names the check
            (:rfc:`6750#section-3.1`).
        :raises ProviderUnavailable: the keys or the introspection endpoint cannot be had; nothing is known about
            the token.
        """
