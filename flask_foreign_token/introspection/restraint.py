"""How an endpoint is spared that is asked about tokens, which strangers choose."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

from ..caching import Rest
from ..errors import REST, ProviderUnavailable, Refusal
from ..http import Answer, UselessAnswer
from .endpoints import Endpoint
from .remote_document import Resting

RESTING_TOKENS = 1000
"""Tokens of which is remembered, for each endpoint, that they were refused, or that nothing of use was said of them."""

_ALL = None


class RareWarning:
    """A warning that anybody can bring about at will, and the log gets once in :data:`~..errors.REST` seconds.

    :param clock: seconds since the epoch.
    """

    def __init__(self, log: logging.Logger, clock: Callable[[], float]) -> None:
        self._log = log
        self._given = Rest(REST, 2, clock)
        self._giving = threading.Lock()

    def give(self, place: str, warning: ProviderUnavailable) -> None:
        """Log the hint of `warning`, unless one was logged a moment ago.

        :param place: the host that it is about.
        """
        with self._giving:
            if self._given.is_resting(_ALL):
                return
            self._given.note(_ALL, warning)
        self._log.warning("%s: %s", place, warning.hint)


class Restraint:
    """Whom an endpoint is not asked for, since that failed a moment ago.

    Where it cannot be found or reached, it is asked for nobody. An answer of no use may be due to the one token, which
    its bearer has chosen, and must not keep everybody else out: only that token is not asked about again. Both hold for
    :data:`~flask_foreign_token.errors.REST` seconds.

    :param log: told what answers are of no use.
    :param clock: seconds since the epoch.
    """

    def __init__(self, log: logging.Logger, clock: Callable[[], float]) -> None:
        self._all = Rest(REST, 2, clock)
        self._tokens = Rest(REST, RESTING_TOKENS, clock)
        self._warning = RareWarning(log, clock)

    def raise_if_resting(self, token: bytes) -> None:
        """Return if the endpoint may be asked.

        :param token: its digest.
        :raises Refusal: a copy of what was noted of the token, or of the endpoint.
        """
        self._tokens.raise_if_resting(token)
        self._all.raise_if_resting(_ALL)

    def exchange(self, endpoint: Endpoint, token: bytes, ask: Callable[[str], Answer]) -> tuple[str, Answer]:
        """The host that was asked, and what it answered.

        :param token: the digest of the token that is asked about.
        :param ask: asks at the address that it gets, and leaves it to us to log a :class:`.UselessAnswer`.
        :raises UselessAnswer: the answer is of no use.
        :raises ProviderUnavailable: the endpoint cannot be found or reached.
        """
        url = self._address_of(endpoint)
        host = urlsplit(url).hostname or ""
        try:
            return host, ask(url)
        except UselessAnswer as useless:
            self.rest_token(token, useless)
            self.warn(host, useless)
            raise
        except ProviderUnavailable as down:
            self.rest_all(down)
            raise

    def answered(self) -> None:
        """Let it be asked for everybody again: it has just answered well."""
        if self._all.is_resting(_ALL):
            self._all.end(_ALL)

    def rest_all(self, failure: Refusal) -> None:
        """Ask for nobody for a while."""
        self._all.note(_ALL, failure)

    def rest_token(self, token: bytes, refusal: Refusal) -> None:
        """Ask about the token of that digest no more for a while."""
        self._tokens.note(token, refusal)

    def warn(self, host: str, useless: ProviderUnavailable) -> None:
        """Tell the log of an answer of no use, however many there are."""
        self._warning.give(host, useless)

    def _address_of(self, endpoint: Endpoint) -> str:
        try:
            return endpoint.locate()
        except Resting:
            # Whoever looks for the address rests already, and nobody was asked.
            raise
        except ProviderUnavailable as down:
            self.rest_all(down)
            raise
