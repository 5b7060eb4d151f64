"""Which introspector a token goes to."""

from __future__ import annotations

import base64
import string
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Protocol

from ..errors import InvalidToken
from .parse import CompactJws, parse
from .token import Credential, Introspector, Token, Versioned

_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_COMMON = string.ascii_letters.encode() + string.digits.encode()
_READINGS = tuple(
    (table, bytes(octet for octet in range(256) if octet not in _COMMON + own))
    for table, own in ((_URL_SAFE, b"+/-_"), (None, b"+/"), (_URL_SAFE, b"-_"))
)
# To the standard alphabet, as read by those who know both, and by those who know one and skip what the other has.
_SKIPPED = bytes(range(0x21)) + b"\xef\xbb\xbf\xfe\xff"
# White space, byte order marks, and the zeros of wider encodings: what some readers of JSON pass over.


class UnknownIssuer(InvalidToken):
    """No introspector names the token's issuer."""

    text = "the issuer is not known"


class UnknownForm(InvalidToken):
    """No introspector takes tokens that begin like this one."""

    text = "the token is not of a known form"


class Rules(Protocol):
    """What every introspector demands of its tokens."""

    @property
    def audiences(self) -> frozenset[str]:
        """`aud` must name one of them; empty: any."""

    @property
    def client_ids(self) -> frozenset[str]:
        """`azp`, or without it `client_id`, must be one of them; empty: any."""


class IssuerIntrospector(Introspector, Protocol):
    """Turns the credentials of one issuer into verified tokens, by the rules of one resource."""

    @property
    def introspector(self) -> Versioned:
        """The resource."""

    @property
    def issuer(self) -> str:
        """The issuer of its tokens."""

    @property
    def rules(self) -> Rules:
        """What the resource demands."""

    def introspect_jwt(self, jws: CompactJws, credential: Credential) -> Token:
        """As :meth:`.Introspector.introspect`, for a JWT that names its issuer.

        :param jws: `credential` taken apart, and not verified.
        """


class PrefixIntrospector(Introspector, Protocol):
    """Turns the credentials that begin with a prefix into verified tokens."""

    @property
    def introspector(self) -> Versioned:
        """The resource."""


class Introspectors:
    """An :class:`~flask_foreign_token.introspection.token.Introspector` for the tokens of several issuers.

    A token goes to one of them or to none, so that no provider sees the token of another.

    :param by_issuer: who checks the JWTs of an issuer, which is compared character by character and never called.
    :param by_prefix: who checks the other tokens that begin with a prefix; none begins like another, so that ``""``,
        which all begin with, stands alone.
    :param reserved: prefixes of introspectors that are not in force: their tokens are not for the others to see.
    """

    def __init__(
        self,
        by_issuer: Mapping[str, IssuerIntrospector],
        by_prefix: Mapping[str, PrefixIntrospector],
        reserved: Iterable[str] = (),
    ) -> None:
        self._by_issuer = dict(by_issuer)
        self._takes_opaque = bool(by_prefix)
        owners: dict[str, PrefixIntrospector | None] = {**dict.fromkeys(reserved), **by_prefix}
        # Those in force do not begin like each other, but one that is reserved may begin like one of them.
        self._owners = sorted(owners.items(), key=lambda owner: len(owner[0]), reverse=True)

    def introspect(self, credential: Credential) -> Token:
        """See :meth:`.Introspector.introspect`.

        :raises UnknownIssuer: it is a JWT of an issuer for which there is no introspector.
        :raises UnknownForm: it is no JWT, and the longest prefix that it begins with is not that of an introspector in
            force.
        """
        return self.chosen(credential)[1]()

    def chosen(self, credential: Credential) -> tuple[Versioned, Callable[[], Token]]:
        """Which resource `credential` goes to, and what :meth:`introspect` does with it there.

        :raises InvalidToken: as :meth:`introspect`, where it goes to none.
        """
        jws = self.read(credential)
        if jws is None:
            owner = self.owner_of(credential)
            return owner.introspector, partial(owner.introspect, credential)
        verifier = self.issuer_of(jws)
        return verifier.introspector, partial(verifier.introspect_jwt, jws, credential)

    def read(self, credential: Credential) -> CompactJws | None:
        """`credential` taken apart, not verified; none: it is for an introspector of opaque tokens.

        :raises InvalidToken: it should be a JWT, and is not one.
        """
        if self._takes_opaque and not is_jose(credential.token):
            return None
        return parse(credential.token)

    def issuer_of(self, jws: CompactJws) -> IssuerIntrospector:
        """Who checks a JWT of the issuer that this one names.

        :raises InvalidToken: it names none.
        :raises UnknownIssuer: nobody does.
        """
        introspector = self._by_issuer.get(jws.issuer)
        if introspector is None:
            raise UnknownIssuer
        return introspector

    def owner_of(self, credential: Credential) -> PrefixIntrospector:
        """Who checks an opaque token that begins like this one.

        :raises UnknownForm: nobody does.
        """
        introspector = next((owner for prefix, owner in self._owners if credential.token.startswith(prefix)), None)
        if introspector is None:
            raise UnknownForm
        return introspector


def is_jose(token: str) -> bool:
    """Whether somebody could read `token` as a JOSE object: its first part is the header of one
    (:rfc:`7519#section-3`), however carelessly that was encoded.
    """
    if token.startswith("{"):
        return True
    first, dot, _ = token.partition(".")
    if not dot:
        return False
    text = first.encode(errors="replace")
    return any(_begins_an_object(text.translate(table, skipped)) for table, skipped in _READINGS)


def _begins_an_object(text: bytes) -> bool:
    """Whether `text`, in the standard alphabet, begins a JSON object."""
    octets = base64.b64decode(text + b"A" * (-len(text) % 4))
    return octets.lstrip(_SKIPPED).startswith(b"{")
