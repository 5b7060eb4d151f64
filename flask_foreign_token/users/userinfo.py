"""Where what a provider says about a user comes from."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from typing import NamedTuple, Protocol

from ..errors import InsufficientScope, InvalidToken, ProviderUnavailable, Refusal
from ..http import Answer, Http, UselessAnswer
from ..introspection.endpoints import Endpoint
from ..introspection.frozen import thaw
from ..introspection.introspection_endpoint import MAX_ANSWER
from ..introspection.restraint import Restraint
from ..introspection.token import Credential, Token
from ..shared_cache import ALONE, Shared, Sharing
from .nesting import MAX_VALUES, TooDeep, has_too_many_values, is_too_deep
from .signed_userinfo import SignedUserinfo

REMEMBERED = 60.0
"""Seconds for which other workers may use what one was told about the user of a token: those that meet the token at the
same time, and those that meet it before the user is stored."""

_AGAINST_TOKEN = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)

log = logging.getLogger(__name__)


class Said(NamedTuple):
    """What a provider said about a user.

    :param at: when, in seconds since the epoch.
    """

    claims: Mapping[str, object]
    at: float


class UserinfoSource(Protocol):
    """Knows what a provider says about the user of a token."""

    def userinfo(self, token: Token, credential: Credential) -> Mapping[str, object]:
        """Return the claims about the user.

        :param token: what `credential` was verified to say.
        :raises InvalidToken: the provider does not take the token, or speaks of another subject.
        :raises InsufficientScope: the token was not granted `openid`.
        :raises ProviderUnavailable: the claims cannot be had; nothing is known about the token.
        """

    def remembered(self, token: Token, credential: Credential) -> Said | None:
        """What another worker was told a moment ago, of the same token; nothing where nobody tells."""
        return None


class TokenClaims(UserinfoSource):
    """The token's own claims."""

    def userinfo(self, token: Token, credential: Credential) -> Mapping[str, object]:
        """A copy of the claims of `token`, as they came, which can be changed and stored."""
        return thaw(token.claims)


class UserinfoEndpoint(UserinfoSource):
    """The userinfo endpoint of a provider (OpenID Connect Core 1.0 section 5.3).

    It is spared as :class:`.Restraint` says; a token that it refuses is not tried again for as long.

    :param endpoint: where it is.
    :param prefix: the word before the token in ``Authorization``.
    :param signed: verifies what comes as a JWT; none: that is of no use.
    :param restraint: shared with others who ask there; none: one of its own.
    :param sharing: where workers leave answers for each other, for :data:`REMEMBERED` seconds.
    :param shared_as: names the provider and its version, the same in every worker.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self,
        http: Http,
        endpoint: Endpoint,
        prefix: str = "Bearer",
        *,
        signed: SignedUserinfo | None = None,
        restraint: Restraint | None = None,
        sharing: Sharing = ALONE,
        shared_as: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sharing = sharing
        self._shared_as = shared_as
        self._clock = clock
        self._http = http
        self._endpoint = endpoint
        self._prefix = prefix
        self._signed = signed
        self._restraint = restraint or Restraint(log, clock)

    def verifying(self, signed: SignedUserinfo) -> UserinfoEndpoint:
        """The same endpoint, spared together with this one, where `signed` verifies what comes as a JWT."""
        return UserinfoEndpoint(
            self._http,
            self._endpoint,
            self._prefix,
            signed=signed,
            restraint=self._restraint,
            sharing=self._sharing,
            shared_as=self._shared_as,
            clock=self._clock,
        )

    def userinfo(self, token: Token, credential: Credential) -> Mapping[str, object]:
        """What the endpoint answers to the token; see :meth:`UserinfoSource.userinfo`."""
        subject = token.claims.get("sub")
        if not isinstance(subject, str):
            raise InvalidToken("the token has no sub, which that of userinfo must equal")
        asked_at = self._clock()
        asked_with = sha256(credential.token.encode()).digest()
        claims = self._claims(token, credential, asked_with)
        # OpenID Connect Core 1.0 section 5.3.2: what is said of another subject must not be used.
        if claims.get("sub") != subject:
            raise self._refused(asked_with, InvalidToken("userinfo names another subject"))
        if is_too_deep(claims):
            raise self._refused(asked_with, TooDeep())
        shared = Shared(claims, asked_at, asked_at + REMEMBERED)
        self._sharing.leave("userinfo", self._name_of(token, credential), shared)
        return claims

    def remembered(self, token: Token, credential: Credential) -> Said | None:
        """See :meth:`UserinfoSource.remembered`."""
        shared = self._sharing.find("userinfo", self._name_of(token, credential))
        claims = None if shared is None else shared.value
        if shared is None or not isinstance(claims, dict) or claims.get("sub") != token.claims.get("sub"):
            return None
        return Said(claims, shared.at)

    def _name_of(self, token: Token, credential: Credential) -> str:
        asked_with = sha256(credential.token.encode()).hexdigest()
        return f"{self._shared_as} {self._endpoint.place} {token.issuer} {asked_with}"

    def _claims(self, token: Token, credential: Credential, asked_with: bytes) -> Mapping[str, object]:
        """
        :param asked_with: the digest of the token.
        """
        self._restraint.raise_if_resting(asked_with)
        host, answer = self._restraint.exchange(self._endpoint, asked_with, partial(self._ask, token, credential))
        if isinstance(answer.json, dict):
            return answer.json
        if answer.status == HTTPStatus.UNAUTHORIZED:
            raise self._refused(asked_with, InvalidToken("the provider does not take the token"))
        if answer.status == HTTPStatus.FORBIDDEN:
            raise self._refused(asked_with, InsufficientScope("openid"))
        raise self._useless(host, answer, asked_with)

    def _ask(self, token: Token, credential: Credential, url: str) -> Answer:
        """What `url` answers; of a JWT, what it says."""
        headers = {"Authorization": f"{self._prefix} {credential.token}"}
        with self._http.fetching("userinfo") as fetch:
            answer = self._http.get_json_or_jwt(url, headers=headers, max_body=MAX_ANSWER, logs_useless=False)
            if answer.jwt is not None:
                if self._signed is None:
                    raise UselessAnswer(hint="signed userinfo: there are no keys")
                answer = replace(answer, json=self._signed.claims(answer.jwt, token), jwt=None)
            if has_too_many_values(answer.json):
                raise UselessAnswer(hint=f"userinfo: over {MAX_VALUES} values")
            fetch.is_good = isinstance(answer.json, dict) or answer.status in _AGAINST_TOKEN
        return answer

    def _refused(self, asked_with: bytes, refusal: Refusal) -> Refusal:
        self._restraint.rest_token(asked_with, refusal)
        return refusal

    def _useless(self, host: str, answer: Answer, asked_with: bytes) -> ProviderUnavailable:
        useless = ProviderUnavailable(hint=f"userinfo: no object, status {answer.status}")
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._restraint.rest_all(useless)
        else:
            self._restraint.rest_token(asked_with, useless)
        self._restraint.warn(host, useless)
        return useless
