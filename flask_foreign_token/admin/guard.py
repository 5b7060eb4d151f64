"""Who may use the operator's endpoints."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import Request, request

from ..debugging import debug
from ..denials import reasons_of_operation
from ..errors import AccessDenied, Refusal
from ..request_state import RequestState, current_state, without_extension
from .refusals import CrossSite, OperatorRequired

if TYPE_CHECKING:
    from ..application import Application

View = Callable[..., Any]

_OWN_SITE = (None, "same-origin", "none")


def operators_only(application: Application, view: View) -> View:
    """`view` for the operator, and for an authenticated caller whom a policy lets into this very endpoint.

    What it raises about the registry and the database is noted in the log as everywhere else.

    :raises CrossSite: Basic came, and a page of another site made a browser send it.
    :raises TooManyAttempts: too many wrong passwords came from this address.
    :raises OperatorRequired: nobody is signed in, or not with what the operator signs in with.
    :raises AccessDenied: no policy opens this very endpoint to the caller.
    :raises Misconfigured: the request is that of an app without ``init_app``, or of another app.
    """

    @functools.wraps(view)
    def guarded(**arguments: Any) -> Any:
        state = current_state()
        if state is None or state.application is not application:
            raise without_extension()
        try:
            _admit(state)
            debugged = debug(state) if application.settings.dev_mode else None
            return view(**arguments) if debugged is None else debugged
        except Refusal as refusal:
            application.refused(refusal)
            raise

    return guarded


def _admit(state: RequestState) -> None:
    scheme, _, credentials = request.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "basic":
        _refuse_cross_site(request)
        state.application.runtime().operator.sign_in(credentials, request.remote_addr)
        state.note_allowed(None)
        return
    if state.refusal is not None:
        raise state.refusal
    if state.identity.token is None:
        raise OperatorRequired
    endpoint = request.endpoint or ""
    if not state.opens_operation(endpoint):
        denied = AccessDenied("no policy with a link to this operation allows the request")
        raise state.application.refused(denied, functools.partial(reasons_of_operation, state, endpoint))


def _refuse_cross_site(asked: Request) -> None:
    """A browser adds a remembered password to whatever any page makes it ask, and says which page that was.

    Behind a proxy the request's own origin is known only where ``ProxyFix`` or the like is in place.
    """
    if asked.headers.get("Sec-Fetch-Site") not in _OWN_SITE:
        raise CrossSite
    origin = asked.headers.get("Origin")
    if origin is not None and _origin(origin) != _origin(asked.host_url):
        raise CrossSite


def _origin(url: str) -> tuple[str, str | None, int | None] | None:
    """Scheme, host and port (:rfc:`6454#section-4`); none where there is no such thing, as in ``null``."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    is_origin = parts.hostname and parts.username is None
    return (parts.scheme, parts.hostname, port) if is_origin else None
