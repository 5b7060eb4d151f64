"""Where what a provider says about a user comes from."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Protocol

from ..errors import REST, InsufficientScope, InvalidToken, ProviderUnavailable
from ..http import Answer, Http
from ..introspection.token import Credential, Token


class UserinfoSource(Protocol):
    """Knows what a provider says about the user of a token."""

    def userinfo(self, token: Token, credential: Credential) -> Mapping[str, object]:
        """Return the claims about the user.

        :param token: what `credential` was verified to say.
        :raises InvalidToken: the provider does not take the token, or speaks of another subject.
        :raises InsufficientScope: the token was not granted `openid`.
        :raises ProviderUnavailable: the claims cannot be had; nothing is known about the token.
        """


class TokenClaims:
    """The token's own claims."""

    def userinfo(self, token: Token, credential: Credential) -> Mapping[str, object]:
        """The claims of `token`, as they came."""
        return token.claims


class UserinfoEndpoint:
    """The userinfo endpoint of a provider (OpenID Connect Core 1.0 section 5.3).

    While it is down it is asked once in :data:`~flask_foreign_token.errors.REST` seconds. A status that may be due to
    the one token does not count as down, lest that token keep everybody else out.

    :param prefix: the word before the token in ``Authorization``.
    :param clock: seconds since the epoch.
    """

    def __init__(self, http: Http, url: str, prefix: str = "Bearer", *, clock: Callable[[], float] = time.time) -> None:
        self._http = http
        self._url = url
        self._prefix = prefix
        self._clock = clock
        self._rests_until = 0.0

    def userinfo(self, token: Token, credential: Credential) -> Mapping[str, object]:
        """What the endpoint answers to the token; see :meth:`UserinfoSource.userinfo`."""
        subject = token.claims.get("sub")
        if not isinstance(subject, str):
            raise InvalidToken("the token has no sub, which that of userinfo must equal")
        claims = self._claims(self._ask(credential))
        # OpenID Connect Core 1.0 section 5.3.2: what is said of another subject must not be used.
        if claims.get("sub") != subject:
            raise InvalidToken("userinfo names another subject")
        return claims

    def _ask(self, credential: Credential) -> Answer:
        if self._clock() < self._rests_until:
            raise ProviderUnavailable
        try:
            return self._http.get(self._url, headers={"Authorization": f"{self._prefix} {credential.token}"})
        except ProviderUnavailable:
            self._rest()
            raise

    def _claims(self, answer: Answer) -> Mapping[str, object]:
        if answer.status == HTTPStatus.UNAUTHORIZED:
            raise InvalidToken("the provider does not take the token")
        if answer.status == HTTPStatus.FORBIDDEN:
            raise InsufficientScope("openid")
        if isinstance(answer.json, dict):
            return answer.json
        if answer.status < HTTPStatus.BAD_REQUEST or answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._rest()
        raise ProviderUnavailable(hint=f"userinfo: no object, status {answer.status}")

    def _rest(self) -> None:
        self._rests_until = self._clock() + REST
