"""From an opaque token to a verified one, by asking its issuer (:rfc:`7662`)."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

from ..caching import Cache
from ..errors import InvalidToken, ProviderUnavailable
from ..shared_cache import ALONE, Shared, Sharing
from .claims import (
    Claims,
    check_audience,
    check_client,
    check_kind,
    check_kind_of_answer,
    check_stated_audience,
    check_stated_issuer,
    check_times,
    subject_of,
    time_of,
)
from .frozen import FrozenObject, freeze
from .introspection_endpoint import IntrospectionEndpoint, is_answer
from .parse import MAX_SIZE, CompactJws
from .remote_document import PATIENCE
from .token import Checks, Credential, Token, Versioned, concluded

INACTIVE_TTL = 60.0
"""Seconds for which a token that is not active is not asked about again, at most."""

_INACTIVE = "the token is not active"
_UNSIGNED = ("none", "")
_B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")


@dataclass(frozen=True, slots=True)
class OpaqueRules:
    """What an introspector demands of what is said about a token.

    :param issuer: the issuer of its tokens.
    :param named_issuer: what `iss` must equal where it is there; `None`: any text.
    :param audiences: `aud` must name one of them; empty: any.
    :param stated_audiences: `aud` must name one of them where it names anybody at all; empty: any.
    :param client_ids: `azp`, or without it `client_id`, must be one of them; empty: any.
    :param leeway: seconds by which clocks may differ.
    :param subject_claim: the member that names the subject, `sub` as a rule.
    :param cache_ttl: seconds for which an answer counts.
    :param token_type: what must be named as that; `None`: it may be left out.
    :param foreign_issuers: what `iss` must not be where there is no `named_issuer`: each of them is trusted for its own
        tokens, and nobody else may speak for it.
    """

    issuer: str
    named_issuer: str | None
    audiences: frozenset[str]
    stated_audiences: frozenset[str]
    client_ids: frozenset[str]
    leeway: float
    subject_claim: str
    cache_ttl: float
    token_type: Literal["Bearer"] | None = None
    foreign_issuers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    """What was said of an active token; evidence that nobody withdraws, since it is not kept for longer than it counts.

    :param until: when it must be asked for again.
    """

    claims: FrozenObject = field(repr=False)
    until: float
    withdrawn: bool = False


class OpaqueIntrospector:
    """An :class:`~flask_foreign_token.introspection.token.Introspector` that asks an introspection endpoint.

    What is active is remembered for `cache_ttl`, but not past `exp`; what is not, for :data:`INACTIVE_TTL` at most.
    However many ask for one token at a time, the endpoint is called once, and they wait for :data:`.PATIENCE`. Failures
    are not remembered here.

    Refresh tokens are active too. Keycloak and Ory Hydra say what they are, in `typ` and `token_use`. oidc-provider and
    others merely name no `token_type` of them, since it is access tokens that have one (:rfc:`6749#section-7.1`): the
    audience keeps them out, or a `token_type` that is demanded.

    :param introspector: the resource that the rules come from.
    :param sharing: where workers leave answers for each other.
    :param shared_as: names that resource, its version and whom it asks as whom, the same in every worker; secret.
    :param size: answers to remember of either kind, active and not; 2 or more.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self,
        introspector: Versioned,
        rules: OpaqueRules,
        endpoint: IntrospectionEndpoint,
        *,
        sharing: Sharing = ALONE,
        shared_as: str = "",
        size: int = 10_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sharing = sharing
        self._shared_as = shared_as
        self.introspector = introspector
        self.rules = rules
        self.endpoint = endpoint
        self._clock = clock
        # The runtime remembers as well, but only tokens that were let in. Here an answer that the rules refuse is kept
        # too, and all who ask at a time share one call.
        self._active: Cache[_Answer] = Cache(size, clock)
        # Apart, so that no flood of invented tokens can push out a good one.
        self._inactive: Cache[bool] = Cache(size, clock)

    @property
    def issuer(self) -> str:
        """The issuer of its tokens."""
        return self.rules.issuer

    def introspect(self, credential: Credential) -> Token:
        """See :meth:`.Introspector.introspect`. A token that looks like a JWT is asked about like any other.

        :raises CredentialRefused: the endpoint does not take this app's credential.
        :raises ProviderUnavailable: see :meth:`.IntrospectionEndpoint.ask`; or a call about this token is under way,
            and takes longer than :data:`.PATIENCE`.
        """
        return concluded(self.checks(credential))

    def checks(self, credential: Credential) -> Checks:
        """As :meth:`introspect`, check by check: see :meth:`.JwtIntrospector.checks`."""
        yield "form"
        token = credential.token
        if len(token) > MAX_SIZE:
            raise InvalidToken("the token is longer than 16 KiB")
        if not _B64TOKEN.fullmatch(token):
            raise InvalidToken("the token holds a character that none may hold")
        yield "answer"
        key = sha256(token.encode()).digest()
        # The answer is remembered, and not what the rules make of it: what is not valid yet may pass in a minute.
        try:
            answer = self._active.get_or_load(key, lambda: self._ask(key, token), patience=PATIENCE)
        except TimeoutError:
            raise ProviderUnavailable(hint="introspection: a call about this token is under way, and slow") from None
        yield from self._verified(answer)

    def introspect_jwt(self, jws: CompactJws, credential: Credential) -> Token:
        """As :meth:`introspect`, for a JWT, which is not asked about if it says itself that it is not valid.

        :param jws: `credential` taken apart; its signature is for the endpoint to check.
        :raises InvalidToken: it is not an access token, is not signed, or its times do not hold.
        """
        return concluded(self.checks_of_jwt(jws, credential))

    def checks_of_jwt(self, jws: CompactJws, credential: Credential) -> Checks:
        """As :meth:`introspect_jwt`, check by check: see :meth:`.JwtIntrospector.checks`."""
        yield "signature"
        if jws.algorithm.strip().lower() in _UNSIGNED:
            raise InvalidToken("the algorithm is not permitted")
        yield "kind"
        check_kind(jws.header, jws.claims, None)
        yield "times"
        check_times(jws.claims, self._clock(), self.rules.leeway, default=math.inf)
        yield from self.checks(credential)

    def _ask(self, key: bytes, token: str) -> tuple[_Answer, float]:
        if self._inactive.get(key):
            raise InvalidToken(_INACTIVE)
        said, until = self._shared_answer(key) or self._answer(key, token)
        if said["active"] is not True:
            self._inactive.put(key, True, until)
            raise InvalidToken(_INACTIVE)
        return _Answer(freeze(said), until), until

    def _answer(self, key: bytes, token: str) -> tuple[Claims, float]:
        """What the endpoint says, and until when that counts."""
        asked_at = self._clock()
        said = self.endpoint.ask(token)
        until = self._end_of(said, asked_at)
        self._sharing.leave("introspection", self._name_of(key), Shared(said, asked_at, until))
        return said, until

    def _shared_answer(self, key: bytes) -> tuple[Claims, float] | None:
        """What another worker was answered; for no longer than it counts there."""
        shared = self._sharing.find("introspection", self._name_of(key))
        if shared is None or not is_answer(shared.value):
            return None
        return shared.value, min(shared.until, self._end_of(shared.value, shared.at))

    def _name_of(self, key: bytes) -> str:
        return f"{self._shared_as} {key.hex()}"

    def _end_of(self, said: Claims, asked_at: float) -> float:
        if said["active"] is not True:
            return asked_at + min(self.rules.cache_ttl, INACTIVE_TTL)
        return min(asked_at + self.rules.cache_ttl, _end_of(said))

    def _verified(self, answer: _Answer) -> Checks:
        rules, claims = self.rules, answer.claims
        yield "kind"
        check_kind_of_answer(claims, rules.token_type)
        yield "issuer"
        check_stated_issuer(claims, rules.named_issuer, rules.foreign_issuers)
        yield "times"
        expires_at = check_times(claims, self._clock(), rules.leeway, default=math.inf)
        yield "audience"
        addressed = _without_empty_audience(claims)
        check_audience(addressed, rules.audiences)
        check_stated_audience(addressed, rules.stated_audiences)
        yield "client"
        check_client(claims, rules.client_ids)
        yield "subject"
        subject = self._subject_of(claims)
        yield Token(
            issuer=rules.issuer,
            subject=subject,
            expires_at=expires_at,
            usable_until=answer.until,
            claims=claims,
            introspector=self.introspector,
            evidence=answer,
            kind="opaque",
        )

    def _subject_of(self, claims: Claims) -> str | None:
        # Where `sub` names a user, the claim that should have named the same one is missing.
        if {self.rules.subject_claim, "sub"}.isdisjoint(claims):
            return None
        return subject_of(claims, self.rules.subject_claim)


def _end_of(said: Claims) -> float:
    """When what was `said` ends by its own account; what is not a time is refused when the rules are checked."""
    try:
        expires_at = time_of(said, "exp")
    except InvalidToken:
        return math.inf
    return math.inf if expires_at is None else expires_at


def _without_empty_audience(claims: Claims) -> Claims:
    """Ory Hydra writes ``"aud": []`` of a token that is for nobody in particular."""
    return {} if claims.get("aud") == () else claims
