"""What was decided about requests, and where that goes: to a log and to a signal."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from flask import Flask, Request

from . import credentials
from .errors import Refusal
from .signals import access_decided
from .telling import tell

if TYPE_CHECKING:
    from .request_state import Identity

Why = Callable[[], Iterable[str]]
"""Tells which policies were asked in vain and where each parts with the request, a line each, without any value."""

logger = logging.getLogger("flask_foreign_token.decisions")
_own_logger = logging.getLogger(__name__)

_DIGITS: Final = 16
"""Hexadecimal digits of an id, and of a token's hash."""
_PLAIN = re.compile(r"[A-Za-z0-9_.,:/@+-]+")


@dataclass(frozen=True, slots=True)
class AccessDecision:
    """What was decided about a request. A request that several guards look at can have several.

    :param id: 16 hexadecimal digits; of a refusal, the ``decision_id`` of its body.
    :param allowed: whether the request passed what decided.
    :param error: of a refusal, the ``error`` of its body.
    :param status: of a refusal, the status of its answer.
    :param operation: the endpoint that the request was for; none where none has been found for it.
    :param policy: the id of the policy that allowed it; none for the operator who signed in with a password.
    :param user: the primary key of the local user as a text; none where there is no user, or none is known.
    :param token: the first 16 hexadecimal digits of the token's SHA-256; none where no token could be read.
    """

    id: str
    allowed: bool
    error: str | None = None
    status: int | None = None
    operation: str | None = None
    policy: str | None = None
    user: str | None = None
    token: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """By name, for JSON; what there is none of is None."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __str__(self) -> str:
        """One line of ``name=value``, without what there is none of."""
        said = {"decision": "allowed" if self.allowed else "refused", **self.as_dict()}
        del said["allowed"]
        return " ".join(f"{name}={quoted(str(value))}" for name, value in said.items() if value is not None)


def is_heard() -> bool:
    """Whether somebody would learn of a decision; asked first, so that one nobody learns of costs nothing."""
    return bool(access_decided.receivers) or logger.isEnabledFor(logging.INFO)


def note_allowed(app: Flask, request: Request, identity: Identity, policy: str | None) -> None:
    """Tell whoever listens that `request` is allowed; where nobody does (:func:`is_heard`) there is no need to.

    :param policy: the id of the one that allows it; none: it is the operator's.
    :raises Exception: what a receiver of the signal raises; the request must not go on then.
    """
    allowed = AccessDecision(_new_id(), allowed=True, policy=policy, **_about(request, identity))
    _publish(app, allowed)


def note_refused(app: Flask, request: Request, identity: Identity, refusal: Refusal, why: Why | None = None) -> None:
    """Give `refusal` its id and tell whoever listens; for one that has an id, that was done.

    :param why: where policies refuse; asked only if the log is to say so.
    """
    if refusal.decision_id is not None:
        return
    refusal.decision_id = _new_id()
    if not is_heard():
        return
    refused = AccessDecision(
        refusal.decision_id,
        allowed=False,
        error=refusal.error,
        status=refusal.code,
        **_about(request, identity),
    )
    try:
        _publish(app, refused)
        _publish_why(refused, why)
    except Exception as error:  # noqa: BLE001 - a wrong token stays a 401 whatever an app's receiver does
        failure = type(error).__name__
        text = "the refusal %s stands, but whoever was told of it failed: %s"
        tell(_own_logger, logging.ERROR, text, refused.id, failure)


def _publish(app: Flask, decision: AccessDecision) -> None:
    """Where every decision goes. What keeps them, a table for instance, listens to the signal or is called here."""
    if logger.isEnabledFor(logging.INFO):
        logger.info("%s", decision, extra={"decision": decision.as_dict()})
    access_decided.send(app, _async_wrapper=app.ensure_sync, decision=decision)


def _publish_why(refused: AccessDecision, why: Why | None) -> None:
    if why is not None and logger.isEnabledFor(logging.DEBUG):
        for line in why():
            logger.debug("id=%s %s", refused.id, line)


def _about(request: Request, identity: Identity) -> dict[str, Any]:
    return {
        "operation": request.endpoint,
        "user": None if identity.user is None else str(identity.user.key),
        "token": _token_hash(request, identity),
    }


def _token_hash(request: Request, identity: Identity) -> str | None:
    if identity.token_digest is not None:
        return identity.token_digest.hex()[:_DIGITS]
    # Also where a test says who acts: the header is not looked at then.
    token = None if identity.token is not None else credentials.readable_token(request)
    return None if token is None else hashlib.sha256(token.encode()).hexdigest()[:_DIGITS]


def _new_id() -> str:
    return secrets.token_hex(_DIGITS // 2)


def quoted(value: str) -> str:
    """`value` as it stands in a line of ``name=value``: in ASCII, quoted as in JSON unless it is plain."""
    return value if _PLAIN.fullmatch(value) else json.dumps(value)
