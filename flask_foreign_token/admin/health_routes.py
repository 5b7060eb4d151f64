"""How the app is: whether it lives and is ready, for anyone, and what is known of it, for the operator."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from flask import Response, request

from ..documents import write_json
from ..errors import REST, Refusal
from ..instants import instant
from .answers import answer, media_type_for
from .route import Route

if TYPE_CHECKING:
    from ..application import Application
    from ..introspection.remote_keys import KeySourceState
    from ..registry.links import Linked
    from ..registry.live import LiveRegistry
    from ..registry.standing import RegistryState

PUBLIC: Final = frozenset({"health_live", "health_ready"})
"""Those that answer anyone, with neither credential nor policy looked at."""

NAMES: Final = PUBLIC | {"health"}
"""The names of the endpoints, without the blueprint's."""


def routes(application: Application) -> list[Route]:
    """The endpoints of one app."""
    return [
        Route("health_live", "GET", "/health/live", _live),
        Route("health_ready", "GET", "/health/ready", partial(_ready, application)),
        Route("health", "GET", "/health", partial(_health, application)),
    ]


def _live() -> Response:
    """That the process answers; nothing is looked at."""
    return _status("alive")


def _ready(application: Application) -> Response:
    """Whether requests can be decided on. A look at the registry that is due is made, and never waited for longer than
    another request would wait for it.
    """
    if not _is_ready(application):
        response = _status("unavailable", 503)
        response.headers["Retry-After"] = str(REST)
        return response
    return _status("ready")


def _health(application: Application) -> Response:
    """All that an operator wants to know; no secret is part of it."""
    media_type = media_type_for(request)
    registry = application.runtime().registry
    state = _state(registry)
    shown = {
        "status": "ready" if state.is_ready and not application.open_views else "unavailable",
        "registry": _registry(state),
        "introspectors": _introspectors(registry),
    }
    return answer(shown, media_type)


def _is_ready(application: Application) -> bool:
    if application.open_views:
        return False
    # Also where no runtime can be made.
    with suppress(Refusal, OSError):
        return _state(application.runtime().registry).is_ready
    return False


def _state(registry: LiveRegistry) -> RegistryState:
    """How things stand, after the look that is due."""
    # Why it is refused stands in the state.
    with suppress(Refusal, OSError):
        registry.current()
    return registry.state


def _status(status: str, code: int = 200) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(write_json({"status": status}), code, headers, content_type="application/json")


def _registry(state: RegistryState) -> dict[str, Any]:
    return {
        "version": state.version,
        "looked_at": _time(state.looked_at),
        "reachable": state.is_reachable,
        "fault": state.fault,
        "resources": dict(state.resources),
        "out_of_service": [issue._asdict() for issue in state.out_of_service],
    }


def _introspectors(registry: LiveRegistry) -> list[dict[str, Any]]:
    snapshot = registry.in_force
    if snapshot is None:
        return []
    sources = {id_: source for source in snapshot.key_sources for id_ in source.introspectors}
    return [_introspector(link, sources.get(link.settings.id)) for link in snapshot.linked]


def _introspector(link: Linked, source: KeySourceState | None) -> dict[str, Any]:
    """
    :param source: where its keys are fetched; none: they are its own, it needs none, or it is not in force.
    """
    shown: dict[str, Any] = {
        "id": link.settings.id,
        "type": link.settings.type,
        "provider": link.settings.identity_provider,
        "in_force": link.in_force,
    }
    if link.inquiry is not None:
        shown["introspection_endpoint"] = link.inquiry.endpoint.known
    if source is not None:
        shown["keys"] = _keys(source)
    return shown


def _keys(source: KeySourceState) -> dict[str, Any]:
    return {
        "address": source.jwks_uri,
        "fetched_at": _time(source.fetched_at),
        "due_at": _time(source.refresh_at),
        "expires_at": _time(source.expires_at),
        "pending": source.pending,
        "last_error": source.last_error,
        "serving": [{"id": key.key_id, "algorithm": key.algorithm} for key in source.keys],
        "left_out": [{"id": key.key_id, "reason": key.reason} for key in source.skipped],
    }


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else instant(seconds)
