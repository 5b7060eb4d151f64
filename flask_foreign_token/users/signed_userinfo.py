"""Userinfo that its provider signs (OpenID Connect Core 1.0 section 5.3.2)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..errors import InvalidToken, Unavailable
from ..http import UselessAnswer
from ..introspection.claims import check_audience, check_issuer, check_times, media_type
from ..introspection.introspection_endpoint import MAX_ANSWER
from ..introspection.jwt import permitted, verified_by
from ..introspection.keys import KeySource
from ..introspection.parse import CompactJws, parse
from ..introspection.token import Token

_OTHER_KINDS = ("bearer", "id", "refresh", "offline", "logout")
_CLAIMS_OF_OTHER_KINDS = (
    *("nonce", "at_hash", "c_hash", "s_hash", "events"),
    *("token_use", "token_type", "token_introspection", "cnf"),
)


@dataclass(frozen=True, slots=True)
class SignedUserinfo:
    """Verifies it for the tokens of one introspector.

    :param keys: of the issuer of the tokens.
    :param algorithms: none but these; `None`: what the keys serve.
    :param client_id: for whom an answer may be, beside the client that the token was issued to; none: nobody else.
    :param leeway: seconds by which clocks may differ.
    :param clock: seconds since the epoch.
    """

    keys: KeySource
    algorithms: frozenset[str] | None
    client_id: str | None
    leeway: float
    clock: Callable[[], float] = time.time

    def claims(self, answer: str, token: Token) -> Mapping[str, object]:
        """What `answer` says, of whomever.

        :param answer: a JWT, not verified.
        :param token: userinfo was asked with.
        :raises UselessAnswer: its form, issuer, signature, kind, times or audience is not what it must be, or there are
            no keys to verify it with.
        """
        try:
            jws = parse(answer, max_size=MAX_ANSWER)
            self._check(jws, token)
        except InvalidToken as refusal:
            # It is the provider's, and says nothing against the token.
            raise _useless(str(refusal.description)) from None
        return jws.claims

    def _check(self, jws: CompactJws, token: Token) -> None:
        check_issuer(jws.claims, token.issuer)
        self._check_signature(jws)
        _check_kind(jws)
        check_times(jws.claims, self.clock(), self.leeway, default=math.inf)
        audiences = {client for client in (self.client_id, token.client_id) if client is not None}
        if not audiences:
            raise _useless("nobody says which client it must be for: give client.id to the IdentityProvider")
        check_audience(jws.claims, audiences)

    def _check_signature(self, jws: CompactJws) -> None:
        try:
            verified_by(jws, self.keys, permitted(self.algorithms))
        except Unavailable as absent:
            # Who cannot verify what is said of one token must not keep out the others.
            raise _useless(f"there are no keys: {absent.hint or absent.description}") from None


def _check_kind(jws: CompactJws) -> None:
    """Refuse what an issuer signs for another purpose with the same keys (:rfc:`8725#section-3.12`).

    Nobody has registered a `typ` for userinfo, so that it has none or the one of every JWT.
    """
    typ = jws.header.get("typ")
    if isinstance(typ, str) and media_type(typ) != "jwt":
        raise _useless("the typ of the header is that of something else")
    kind = jws.claims.get("typ")
    if isinstance(kind, str) and kind.lower() in _OTHER_KINDS:
        raise _useless("the claim typ is that of something else")
    for name in _CLAIMS_OF_OTHER_KINDS:
        if name in jws.claims:
            raise _useless(f"userinfo has no {name}")


def _useless(reason: str) -> UselessAnswer:
    return UselessAnswer(hint=f"signed userinfo: {reason}")
