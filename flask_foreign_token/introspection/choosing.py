"""Which introspector a token goes to."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import InvalidToken
from .jwt import JwtIntrospector
from .parse import parse
from .token import Credential, Token


class UnknownIssuer(InvalidToken):
    """No introspector names the token's issuer."""

    text = "the issuer is not known"


class ByIssuer:
    """An :class:`~flask_foreign_token.introspection.token.Introspector` for the JWTs of several issuers.

    :param introspectors: by issuer, compared character by character and never called.
    """

    def __init__(self, introspectors: Mapping[str, JwtIntrospector]) -> None:
        self._introspectors = dict(introspectors)

    def introspect(self, credential: Credential) -> Token:
        """See :meth:`.Introspector.introspect`.

        :raises UnknownIssuer: it is of an issuer for which there is no introspector.
        """
        jws = parse(credential.token)
        introspector = self._introspectors.get(jws.issuer)
        if introspector is None:
            raise UnknownIssuer
        return introspector.verify(jws)
