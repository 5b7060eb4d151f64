"""From a JWT to a verified token (:rfc:`7519#section-7.2`, :rfc:`8725`)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from ..errors import InvalidToken
from .claims import (
    check_audience,
    check_client,
    check_issuer,
    check_kind,
    check_stated_audience,
    check_times,
    subject_of,
)
from .frozen import freeze
from .keys import ALGORITHMS, KeySource, VerificationKey, canonical, spellings
from .parse import CompactJws, Jws, parse
from .token import Checks, Credential, Token, Versioned, concluded


@dataclass(frozen=True, slots=True)
class JwtRules:
    """What an introspector demands of a token.

    :param issuer: what `iss` must equal, character by character.
    :param audiences: `aud` must name one of them; empty: any.
    :param client_ids: `azp`, or without it `client_id`, must be one of them; empty: any.
    :param algorithms: none but these; `None`: what the keys serve.
    :param typ: the media type that the header must name; `None`: that of an access token, or none.
    :param leeway: seconds by which clocks may differ.
    :param subject_claim: the claim that names the subject, `sub` as a rule.
    :param cache_ttl: seconds after which a token is verified anew; sooner, where its keys serve no longer.
    :param stated_audiences: `aud` must name one of them where it is there at all; empty: any.
    """

    issuer: str
    audiences: frozenset[str]
    client_ids: frozenset[str]
    algorithms: frozenset[str] | None
    typ: str | None
    leeway: float
    subject_claim: str
    cache_ttl: float = math.inf
    stated_audiences: frozenset[str] = frozenset()


class JwtIntrospector:
    """An :class:`~flask_foreign_token.introspection.token.Introspector` for the JWTs of one issuer.

    :param introspector: the resource that these rules come from.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self, introspector: Versioned, rules: JwtRules, keys: KeySource, clock: Callable[[], float] = time.time
    ) -> None:
        self.introspector = introspector
        self.rules = rules
        self.keys = keys
        self._clock = clock
        self._algorithms = permitted(rules.algorithms)

    @property
    def issuer(self) -> str:
        """What `iss` of its tokens is."""
        return self.rules.issuer

    def introspect(self, credential: Credential) -> Token:
        return self.verify(parse(credential.token))

    def introspect_jwt(self, jws: CompactJws, credential: Credential) -> Token:
        """See :meth:`.IssuerIntrospector.introspect_jwt`; `jws` says everything."""
        return self.verify(jws)

    def verify(self, jws: CompactJws) -> Token:
        """Return the token that `jws` stands for.

        :raises InvalidToken: its issuer, algorithm, signature, kind, times, audience, client or subject is not what
            the rules demand.
        :raises ProviderUnavailable: the keys cannot be had.
        """
        return concluded(self.checks(jws))

    def checks(self, jws: CompactJws) -> Checks:
        """As :meth:`verify`, check by check: each is named before it is made, and the token comes at the end.

        :raises InvalidToken: as :meth:`verify`, in the check that was named last.
        :raises ProviderUnavailable: likewise.
        """
        rules, claims = self.rules, jws.claims
        yield "issuer"
        check_issuer(claims, rules.issuer)
        yield "signature"
        key = verified_by(jws, self.keys, self._algorithms)
        yield "kind"
        check_kind(jws.header, claims, rules.typ)
        yield "times"
        now = self._clock()
        expires_at = check_times(claims, now, rules.leeway)
        yield "audience"
        check_audience(claims, rules.audiences)
        if rules.stated_audiences:
            check_stated_audience(claims, rules.stated_audiences)
        yield "client"
        check_client(claims, rules.client_ids)
        yield "subject"
        subject = subject_of(claims, rules.subject_claim)
        yield Token(
            issuer=rules.issuer,
            subject=subject,
            expires_at=expires_at,
            usable_until=min(expires_at + rules.leeway, now + rules.cache_ttl, self.keys.serves_until),
            claims=freeze(claims),
            introspector=self.introspector,
            evidence=key,
        )


def verified_by(jws: Jws, keys: KeySource, algorithms: Collection[str]) -> VerificationKey:
    """The key that made the signature of `jws`.

    :param algorithms: those permitted; what the token names is compared with them and with the keys and decides
        nothing (:rfc:`8725#section-3.1`).
    :raises InvalidToken: no key did.
    :raises ProviderUnavailable: the keys cannot be had.
    """
    algorithm = jws.algorithm
    if algorithm not in algorithms:
        raise InvalidToken("the algorithm is not permitted")
    candidates = keys.find(jws.key_id, algorithm)
    if not candidates:
        raise InvalidToken("no key of the issuer fits the token")
    for key in candidates:
        if key.verify(jws.signing_input, jws.signature):
            return key
    raise InvalidToken("the signature is wrong")


def permitted(algorithms: Collection[str] | None) -> frozenset[str]:
    """Every name that `alg` may have, old ones included; `None` permits all that are known."""
    names = ALGORITHMS if algorithms is None else {canonical(name) for name in algorithms}
    return frozenset(spelling for name in names for spelling in spellings(name))
