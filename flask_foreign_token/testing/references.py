"""Opaque tokens: texts that mean nothing, and what the issuer says when it is asked about them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping


class References:
    """What an issuer has handed out, and what it took back. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._answers: dict[str, Mapping[str, object]] = {}
        self._revoked: set[str] = set()

    def issue(self, answer: Mapping[str, object], prefix: str) -> str:
        """A new token about which `answer` is said.

        :param prefix: what it begins with; characters of ``b64token`` (:rfc:`6750#section-2.1`).
        """
        token = prefix + secrets.token_urlsafe(32)
        self._answers[token] = answer
        return token

    def find(self, token: str) -> Mapping[str, object] | None:
        """What is said about `token`; none if it was never issued, or is outside the times that are said of it."""
        answer = self._answers.get(token, {})
        now = time.time()
        expires_at, begins_at = answer.get("exp"), answer.get("nbf")
        if isinstance(expires_at, int | float) and expires_at <= now:
            return None
        if isinstance(begins_at, int | float) and begins_at > now:
            return None
        return answer or None

    def revoke(self, token: str) -> None:
        """From now on `token` is not active, whether or not it was issued here."""
        self._revoked.add(token)

    def is_revoked(self, token: str) -> bool:
        """Whether somebody revoked `token`."""
        return token in self._revoked
