"""Where what a provider says about a user comes from."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from http import HTTPStatus
from typing import Protocol
from urllib.parse import urlsplit

from ..caching import Rest
from ..errors import REST, InsufficientScope, InvalidToken, ProviderUnavailable, Refusal
from ..http import Answer, Http
from ..introspection.endpoints import Endpoint
from ..introspection.frozen import thaw
from ..introspection.remote_document import Resting
from ..introspection.token import Credential, Token

RESTING_TOKENS = 1000
"""Tokens of which a userinfo endpoint remembers that they were refused."""

_EVERY_TOKEN = None

log = logging.getLogger(__name__)


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
        """A copy of the claims of `token`, as they came, which can be changed and stored."""
        return thaw(token.claims)


class UserinfoEndpoint:
    """The userinfo endpoint of a provider (OpenID Connect Core 1.0 section 5.3).

    While it is down it is asked once in :data:`~flask_foreign_token.errors.REST` seconds. A status that may be due to
    the one token does not count as down, lest that token keep everybody else out; for as long, only that token is not
    tried again.

    :param endpoint: where it is.
    :param prefix: the word before the token in ``Authorization``.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self, http: Http, endpoint: Endpoint, prefix: str = "Bearer", *, clock: Callable[[], float] = time.time
    ) -> None:
        self._http = http
        self._endpoint = endpoint
        self._prefix = prefix
        self._resting = Rest(REST, 2, clock)
        self._resting_tokens = Rest(REST, RESTING_TOKENS, clock)

    def userinfo(self, token: Token, credential: Credential) -> Mapping[str, object]:
        """What the endpoint answers to the token; see :meth:`UserinfoSource.userinfo`."""
        subject = token.claims.get("sub")
        if not isinstance(subject, str):
            raise InvalidToken("the token has no sub, which that of userinfo must equal")
        claims = self._claims(credential)
        # OpenID Connect Core 1.0 section 5.3.2: what is said of another subject must not be used.
        if claims.get("sub") != subject:
            raise InvalidToken("userinfo names another subject")
        return claims

    def _claims(self, credential: Credential) -> Mapping[str, object]:
        asked_with = sha256(credential.token.encode()).digest()
        self._resting_tokens.raise_if_resting(asked_with)
        self._resting.raise_if_resting(_EVERY_TOKEN)
        url, answer = self._ask(credential)
        if isinstance(answer.json, dict):
            return answer.json
        refusal = self._refusal(urlsplit(url).hostname, answer)
        self._resting_tokens.note(asked_with, refusal)
        raise refusal

    def _ask(self, credential: Credential) -> tuple[str, Answer]:
        try:
            url = self._endpoint.locate()
            return url, self._http.get(url, headers={"Authorization": f"{self._prefix} {credential.token}"})
        except Resting:
            # Whoever looks for the address rests already, and nobody was asked.
            raise
        except ProviderUnavailable as down:
            self._resting.note(_EVERY_TOKEN, down)
            raise

    def _refusal(self, host: str | None, answer: Answer) -> Refusal:
        if answer.status == HTTPStatus.UNAUTHORIZED:
            return InvalidToken("the provider does not take the token")
        if answer.status == HTTPStatus.FORBIDDEN:
            return InsufficientScope("openid")
        useless = ProviderUnavailable(hint=f"userinfo: no object, status {answer.status}")
        if answer.status < HTTPStatus.BAD_REQUEST or answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._resting.note(_EVERY_TOKEN, useless)
        log.warning("%s: %s", host, useless.hint)
        return useless
