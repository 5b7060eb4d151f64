"""The endpoint that says what an opaque token stands for (:rfc:`7662`)."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from http import HTTPStatus
from typing import TypeGuard
from urllib.parse import urlsplit

from ..errors import InvalidToken, ProviderUnavailable, Refusal
from ..http import Answer, Http
from .client_authentication import ClientAuthentication
from .endpoints import Endpoint
from .restraint import RareWarning, Restraint

IN_FLIGHT = 8
"""Calls to one endpoint at a time. A thread of the server waits in each, and a slow provider must not have them all."""
MAX_ANSWER = 64 * 1024
"""Bytes of an answer. Thousands of them are kept, in many times that size, and who asks for tokens may have a say in
what they hold."""
TRUSTED_FOR = 60
"""Seconds after a good answer for which a refusal of this app's credential may be due to the token, as where a firewall
before the provider objects to it; and for which none must come before the log is told of another."""

# oidc-provider has this for JWTs. The error is the one of revocation (RFC 7009 section 2.2.1).
_UNSUPPORTED_TYPE = "unsupported_token_type"
_UNSUPPORTED = "the provider answers no questions about tokens of this kind"

log = logging.getLogger(__name__)


class CredentialRefused(ProviderUnavailable):
    """The provider does not let this app ask. It says nothing about the token.

    :param owner: where the credential stands.
    :param status: of the answer.
    """

    def __init__(self, owner: str, status: int) -> None:
        self.fact = f"the introspection endpoint refuses this credential with status {status}"
        self.status = status
        super().__init__(hint=f"{owner}: {self.fact}; correct it, unless other tokens pass")


class IntrospectionEndpoint:
    """Asks a provider about tokens, about the same one again and again if need be: no answer is remembered here.

    It is spared as :class:`.Restraint` says. If it refuses this app's own credential, it is asked for nobody either,
    unless it has answered well within :data:`TRUSTED_FOR` seconds: then the token is the odd one.

    :param endpoint: where it is.
    :param authentication: how this app shows it who it is.
    :param owner: where that credential stands, for the log and for hints,
        ``"TokenIntrospector/opaque introspection_endpoint"``.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self,
        http: Http,
        endpoint: Endpoint,
        authentication: ClientAuthentication,
        *,
        owner: str = "TokenIntrospector",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.endpoint = endpoint
        self._http = http
        self._authentication = authentication
        self._owner = owner
        self._calls = threading.BoundedSemaphore(IN_FLIGHT)
        self._restraint = Restraint(log, clock)
        self._standing = _Standing(clock)
        self._too_many_calls = RareWarning(log, clock)

    def ask(self, token: str) -> Mapping[str, object]:
        """What the endpoint says of `token`: a JSON object whose `active` is a boolean.

        :param token: in ASCII.
        :raises InvalidToken: it does not answer questions about tokens of this kind.
        :raises CredentialRefused: it does not take this app's credential.
        :raises ProviderUnavailable: it cannot be found or reached, answers nonsense, did so a moment ago, or
            :data:`IN_FLIGHT` calls are under way.
        """
        asked_about = sha256(token.encode()).digest()
        self._restraint.raise_if_resting(asked_about)
        if not self._calls.acquire(blocking=False):
            raise self._busy()
        try:
            host, answer = self._restraint.exchange(self.endpoint, asked_about, lambda url: self._post(url, token))
        finally:
            self._calls.release()
        said = _said(answer)
        if said is not None:
            self._standing.accept()
            self._restraint.answered()
            return said
        raise self._failure(host, answer, asked_about)

    def _post(self, url: str, token: str) -> Answer:
        form = {"token": token, "token_type_hint": "access_token", **self._authentication.form}
        headers = self._authentication.headers
        with self._http.fetching("introspection") as fetch:
            answer = self._http.post_form(url, form, headers=headers, max_body=MAX_ANSWER, logs_useless=False)
            fetch.is_good = _said(answer) is not None or _error(answer) == _UNSUPPORTED_TYPE
        return answer

    def _busy(self) -> ProviderUnavailable:
        busy = ProviderUnavailable(hint=f"introspection: {IN_FLIGHT} calls are under way, and no more are made")
        self._too_many_calls.give(urlsplit(self.endpoint.known or "").hostname or self._owner, busy)
        return busy

    def _failure(self, host: str, answer: Answer, asked_about: bytes) -> Refusal:
        if _refuses_credential(answer):
            return self._credential_refused(host, answer, asked_about)
        if _error(answer) == _UNSUPPORTED_TYPE:
            hint = f"{self._owner}: {_UNSUPPORTED}; verify JWTs by their signature"
            unsupported = InvalidToken(_UNSUPPORTED, hint=hint)
            self._restraint.rest_token(asked_about, unsupported)
            return unsupported
        useless = ProviderUnavailable(hint=f"introspection: no object with a boolean active, status {answer.status}")
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._restraint.rest_all(useless)
        else:
            self._restraint.rest_token(asked_about, useless)
        self._restraint.warn(host, useless)
        return useless

    def _credential_refused(self, host: str, answer: Answer, asked_about: bytes) -> CredentialRefused:
        refused = CredentialRefused(self._owner, answer.status)
        self._restraint.rest_token(asked_about, refused)
        concerns_all = not self._standing.is_good() and not _may_be_a_firewalls(answer)
        if concerns_all:
            self._restraint.rest_all(refused)
        if self._standing.refuse(concerns_all=concerns_all):
            log.error("%s: %s", host, refused.hint)
        return refused


class _Standing:
    """How this app's credential stands with an endpoint, as far as its answers tell."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._accepted_at = -math.inf
        self._refused_at = -math.inf
        self._told_at = -math.inf
        self._is_refused_to_all = False

    def accept(self) -> None:
        """It was taken just now."""
        self._accepted_at = self._clock()
        self._is_refused_to_all = False

    def is_good(self) -> bool:
        """Whether it was taken a moment ago."""
        return self._is_recent(self._accepted_at)

    def refuse(self, *, concerns_all: bool) -> bool:
        """It was refused just now; whether that is news.

        Where it may be due to the one token it is not, while such refusals follow each other: one odd token is enough
        for those. Where it concerns all, it is once, until it is taken again.
        """
        with self._lock:
            follows = not concerns_all and self._is_recent(self._refused_at)
            is_news = not (self._is_refused_to_all or follows or self._is_recent(self._told_at))
            now = self._refused_at = self._clock()
            self._is_refused_to_all |= concerns_all
            if is_news:
                self._told_at = now
            return is_news

    def _is_recent(self, at: float) -> bool:
        return at <= self._clock() < at + TRUSTED_FOR


def is_answer(said: object) -> TypeGuard[Mapping[str, object]]:
    """Whether something is said of a token there (:rfc:`7662#section-2.2`)."""
    return isinstance(said, dict) and isinstance(said.get("active"), bool)


def _said(answer: Answer) -> Mapping[str, object] | None:
    """What is said of the token; none: that is no answer."""
    return answer.json if answer.status == HTTPStatus.OK and is_answer(answer.json) else None


def _refuses_credential(answer: Answer) -> bool:
    """:rfc:`7662#section-2.3`; to a client that they do not know, some answer 400 (:rfc:`6749#section-5.2`)."""
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return True
    return _error(answer) == "invalid_client"


def _may_be_a_firewalls(answer: Answer) -> bool:
    """Whether 403 comes from somebody before the provider, to whom the token looks dangerous: it is no OAuth error."""
    return answer.status == HTTPStatus.FORBIDDEN and answer.refusal is None


def _error(answer: Answer) -> object:
    return None if answer.refusal is None else answer.refusal.get("error")
