"""The endpoint that says what an opaque token stands for (:rfc:`7662`)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from http import HTTPStatus
from urllib.parse import urlsplit

from ..caching import Rest
from ..errors import REST, InvalidToken, ProviderUnavailable, Refusal
from ..http import Answer, Http
from .client_authentication import ClientAuthentication
from .endpoints import Endpoint
from .remote_document import Resting

IN_FLIGHT = 8
"""Calls to one endpoint at a time. A thread of the server waits in each, and a slow provider must not have them all."""
RESTING_TOKENS = 1000
"""Tokens of which an endpoint remembers that it had no useful answer to them."""

_EVERY_TOKEN = None
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
        super().__init__(hint=f"{owner}: {self.fact}; correct it")


class IntrospectionEndpoint:
    """Asks a provider about tokens, about the same one again and again if need be: no answer is remembered here.

    While it is down, or refuses this app's own credential, it is asked once in :data:`~flask_foreign_token.errors.REST`
    seconds. An answer that makes no sense may be due to the one token, and must not keep everybody else out; for as
    long, only that token is not asked about again.

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
        self._resting = Rest(REST, 2, clock)
        self._resting_tokens = Rest(REST, RESTING_TOKENS, clock)
        self._reporting = threading.Lock()
        self._credential_is_refused = False
        self._reported = Rest(REST, 2, clock)

    def ask(self, token: str) -> Mapping[str, object]:
        """What the endpoint says of `token`: a JSON object whose `active` is a boolean.

        :param token: in ASCII.
        :raises InvalidToken: it does not answer questions about tokens of this kind.
        :raises CredentialRefused: it does not take this app's credential.
        :raises ProviderUnavailable: it cannot be found or reached, answers nonsense, did so a moment ago, or
            :data:`IN_FLIGHT` calls are under way.
        """
        asked_about = sha256(token.encode()).digest()
        self._resting.raise_if_resting(_EVERY_TOKEN)
        self._resting_tokens.raise_if_resting(asked_about)
        if not self._calls.acquire(blocking=False):
            raise ProviderUnavailable(hint=f"introspection: {IN_FLIGHT} calls are under way, and no more are made")
        try:
            url, answer = self._exchange(token)
        finally:
            self._calls.release()
        said = answer.json if answer.status == HTTPStatus.OK else None
        if isinstance(said, dict) and isinstance(said.get("active"), bool):
            self._credential_is_refused = False
            return said
        raise self._failure(urlsplit(url).hostname or "", answer, asked_about)

    def _exchange(self, token: str) -> tuple[str, Answer]:
        form = {"token": token, "token_type_hint": "access_token", **self._authentication.form}
        try:
            url = self.endpoint.locate()
            return url, self._http.post_form(url, form, headers=self._authentication.headers)
        except Resting:
            # Whoever looks for the address rests already, and nobody was asked.
            raise
        except ProviderUnavailable as down:
            self._resting.note(_EVERY_TOKEN, down)
            raise

    def _failure(self, host: str, answer: Answer, asked_about: bytes) -> Refusal:
        if _refuses_credential(answer):
            refused = CredentialRefused(self._owner, answer.status)
            self._resting.note(_EVERY_TOKEN, refused)
            self._report_credential(host, refused)
            return refused
        if _error(answer) == "unsupported_token_type":
            # oidc-provider has this for JWTs. The error is the one of revocation (RFC 7009 section 2.2.1).
            hint = f"{self._owner}: {_UNSUPPORTED}; verify JWTs by their signature"
            unsupported = InvalidToken(_UNSUPPORTED, hint=hint)
            self._resting_tokens.note(asked_about, unsupported)
            return unsupported
        useless = ProviderUnavailable(hint=f"introspection: no object with a boolean active, status {answer.status}")
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._resting.note(_EVERY_TOKEN, useless)
        else:
            self._resting_tokens.note(asked_about, useless)
        self._report_useless(host, useless)
        return useless

    def _report_credential(self, host: str, refused: CredentialRefused) -> None:
        with self._reporting:
            if self._credential_is_refused:
                return
            self._credential_is_refused = True
        log.error("%s: %s", host, refused.hint)

    def _report_useless(self, host: str, useless: ProviderUnavailable) -> None:
        # Who sends us invented tokens must not fill the log with them.
        with self._reporting:
            if self._reported.is_resting(_EVERY_TOKEN):
                return
            self._reported.note(_EVERY_TOKEN, useless)
        log.warning("%s: %s", host, useless.hint)


def _refuses_credential(answer: Answer) -> bool:
    """:rfc:`7662#section-2.3`; to a client that they do not know, some answer 400 (:rfc:`6749#section-5.2`)."""
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return True
    return _error(answer) == "invalid_client"


def _error(answer: Answer) -> object:
    return None if answer.refusal is None else answer.refusal.get("error")
