"""What ``DEV_MODE`` shows to whoever asks: why policies allow or deny a request."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from flask import Response
from werkzeug.exceptions import HTTPException

from .credentials import readable_token
from .documents import write_json
from .errors import Refusal
from .policies.explain import Explanation, Report, explain, place_of
from .policies.redaction import Redaction, kind_of
from .policies.request import PARTS, RequestView, UnreadablePart
from .printable import printable

if TYPE_CHECKING:
    from .application import Application
    from .request_state import RequestState, Requirement

logger = logging.getLogger("flask_foreign_token.policies")

PARAMETER: Final = "__debug"
HEADER: Final = "X-Debug"
POLICY: Final = "policy"
"""What both must say."""

_UNREADABLE = (UnreadablePart, HTTPException, OSError, ValueError, RecursionError)


def warn(application: Application) -> None:
    """Say once in the log that requests are explained to everybody, if they are."""
    if application.settings.dev_mode:
        logger.warning(
            "FOREIGN_TOKEN_DEV_MODE is on: whoever asks %r with ?__debug=policy is shown why policies allow or deny; "
            "never where others can reach the app",
            application.app.name,
        )


def debug(state: RequestState) -> Response | None:
    """What is answered in place of the view, with ``?__debug=policy``; none: the request goes on, with a line in the
    log for each policy where ``X-Debug: policy`` asks for that.

    To be called under ``DEV_MODE`` only, once it is known who makes the request.

    :raises Refusal: its credential was not taken, or what would be answered cannot be had.
    """
    request = state.request
    if request.args.get(PARAMETER) == POLICY:
        if state.refusal is not None:
            raise state.refusal
        try:
            return _answer(state)
        except Refusal as refusal:
            state.application.refused(refusal)
            raise
    if request.headers.get(HEADER) == POLICY:
        try:
            _log(state)
        except Refusal as refusal:
            # The view may need nothing of what is missing here.
            path = _redaction(state).text(request.path)
            logger.warning("%s", printable(f"{request.method} {path}: {refusal.description or refusal.error}"))
    return None


def _answer(state: RequestState) -> Response:
    redaction = _redaction(state)
    view = state.view()
    parts, unreadable = _parts_of(view)
    told: dict[str, object] = {"request": redaction.request(parts), "unreadable": unreadable}
    guards = state.application.guards_of(state.request) or []
    explanation = _explain(state, view, guards)
    asked = told["guards"] = [_guard(state, explanation, guard) for guard in guards]
    told["decision"] = _decision(explanation, asked)
    told["policies"] = [report.shown(redaction) for report in explanation.reports]
    response = Response(write_json(told), content_type="application/json; charset=utf-8")
    response.headers["Cache-Control"] = "no-store"
    return response


def _guard(state: RequestState, explanation: Explanation, guard: Requirement) -> dict[str, object]:
    """What a guard asks for, and which policy grants it."""
    token = state.identity.token
    granted = frozenset[str]() if token is None else token.scopes
    policy = _granting(explanation, guard)
    return {
        "policies": list(guard.policies),
        "scopes": list(guard.scopes),
        "missing-scopes": [scope for scope in guard.scopes if scope not in granted],
        "allowed": policy is not None,
        "policy": policy,
    }


def _decision(explanation: Explanation, guards: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """What the request gets, with the policy that the first guard goes by; without guards, what policies say of it."""
    if not guards:
        return {"allowed": explanation.decision.allowed, "policy": explanation.decision.policy}
    allowed = all(guard["allowed"] and not guard["missing-scopes"] for guard in guards)
    return {"allowed": allowed, "policy": guards[0]["policy"] if allowed else None}


def _granting(explanation: Explanation, guard: Requirement) -> str | None:
    if not guard.policies:
        return explanation.decision.policy
    # Those in Python come last, and are meant by their names.
    allowed = {report.id: report.allowed for report in explanation.reports}
    return next((name for name in guard.policies if allowed.get(name)), None)


def _log(state: RequestState) -> None:
    redaction = _redaction(state)
    request = state.request
    explanation = _explain(state, state.view(), state.application.guards_of(request) or [])
    # At this level, since it was asked for and is to be seen where nobody has set up the log.
    logger.warning("%s", printable(f"{request.method} {redaction.text(request.path)}: {_outcome(explanation)}"))
    for report in explanation.reports:
        if report.candidate:
            logger.warning("%s", printable(_line(report, redaction)))


def _explain(state: RequestState, view: RequestView, guards: Iterable[Requirement]) -> Explanation:
    """What every stored policy says, whichever of them guards name; and those in Python that they name."""
    snapshot, application = state.snapshot, state.application
    engines = application.runtime().engines
    stored = explain(snapshot.policies, snapshot.policy_bodies, engines, view)
    named = [name for guard in guards for name in guard.policies if name in application.policies]
    if not named:
        return stored
    others = explain(snapshot.policies, {}, engines, view, named, application.policies)
    return Explanation(stored.decision, (*stored.reports, *others.reports))


def _redaction(state: RequestState) -> Redaction:
    return Redaction(readable_token(state.request), state.application.settings.admin_client_secret)


def _parts_of(view: RequestView) -> tuple[Mapping[str, object], list[str]]:
    """The parts of a request, and the names of those that are there and cannot be read."""
    parts: dict[str, object] = {}
    unreadable: list[str] = []
    for name in sorted(PARTS):
        try:
            parts[name] = view[name]
        except KeyError:
            continue
        except _UNREADABLE:
            unreadable.append(name)
    return parts, unreadable


def _outcome(explanation: Explanation) -> str:
    if explanation.decision.allowed:
        return f"AccessPolicy/{explanation.decision.policy} allows it"
    return f"no policy allows it; {sum(report.candidate for report in explanation.reports)} could have"


def _line(report: Report, redaction: Redaction) -> str:
    """Without a value that the request brought: only of which kind it is."""
    if report.allowed:
        return f"AccessPolicy/{report.id} allows it"
    if report.error is not None:
        return f"AccessPolicy/{report.id} cannot be evaluated: {report.error}"
    amiss = "; ".join(
        f"{place_of(mismatch, redaction)}: "
        f"expected {json.dumps(redaction.expected(mismatch.path, mismatch.expected))}, "
        f"found {kind_of(mismatch.but)}"
        for mismatch in report.mismatches
    )
    return f"AccessPolicy/{report.id} does not: {amiss}"
