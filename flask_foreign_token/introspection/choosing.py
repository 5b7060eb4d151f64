"""Which introspector a token goes to."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping

from ..errors import InvalidToken
from .jwt import JwtIntrospector
from .opaque import OpaqueIntrospector
from .parse import parse
from .token import Credential, Token

_URL_SAFE = str.maketrans("-_", "+/")
_SKIPPED = b" \t\r\n\0\xef\xbb\xbf\xfe\xff"
# White space, byte order marks, and the zeros of wider encodings: what some readers of JSON pass over.
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]")


class UnknownIssuer(InvalidToken):
    """No introspector names the token's issuer."""

    text = "the issuer is not known"


class UnknownForm(InvalidToken):
    """No introspector takes tokens that begin like this one."""

    text = "the token is not of a known form"


class Introspectors:
    """An :class:`~flask_foreign_token.introspection.token.Introspector` for the tokens of several issuers.

    A token goes to one of them or to none, so that no provider sees the token of another.

    :param by_issuer: who checks the JWTs of an issuer, which is compared character by character and never called.
    :param by_prefix: who checks the other tokens that begin with a prefix, ``""`` for all; the longest one counts.
    """

    def __init__(
        self,
        by_issuer: Mapping[str, JwtIntrospector | OpaqueIntrospector],
        by_prefix: Mapping[str, OpaqueIntrospector] = {},
    ) -> None:
        self._by_issuer = dict(by_issuer)
        self._by_prefix = sorted(by_prefix.items(), key=lambda item: len(item[0]), reverse=True)

    def introspect(self, credential: Credential) -> Token:
        """See :meth:`.Introspector.introspect`.

        :raises UnknownIssuer: it is a JWT of an issuer for which there is no introspector.
        :raises UnknownForm: it is no JWT, and begins with no prefix of an introspector.
        """
        if not self._by_prefix or is_jose(credential.token):
            return self._introspect_jwt(credential)
        for prefix, introspector in self._by_prefix:
            if credential.token.startswith(prefix):
                return introspector.introspect(credential)
        raise UnknownForm

    def _introspect_jwt(self, credential: Credential) -> Token:
        jws = parse(credential.token)
        introspector = self._by_issuer.get(jws.issuer)
        if introspector is None:
            raise UnknownIssuer
        return introspector.introspect_jwt(jws, credential)


def is_jose(token: str) -> bool:
    """Whether somebody could read `token` as a JOSE object: its first part is the header of one
    (:rfc:`7519#section-3`), however carelessly that was encoded.
    """
    if token.startswith("{"):
        return True
    first, dot, _ = token.partition(".")
    if not dot:
        return False
    text = _NOT_BASE64.sub("", first.translate(_URL_SAFE))
    octets = base64.b64decode(text + "A" * (-len(text) % 4))
    return octets.lstrip(_SKIPPED).startswith(b"{")
