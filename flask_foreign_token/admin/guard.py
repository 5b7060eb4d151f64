"""Who may use the operator's endpoints."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import Request, request

from ..debugging import debug
from ..denials import reasons_of_operation
from ..errors import AccessDenied, Refusal
from ..policies.simulated import SimulatedView
from ..request_state import RequestState, current_state, without_extension
from .refusals import CrossSite, OperatorRequired

if TYPE_CHECKING:
    from ..application import Application

View = Callable[..., Any]

_BASIC = "basic"
_OWN_SITE = (None, "same-origin", "none")
_OF_CALLER = frozenset({"scheme", "headers", "remote-addr", "jwt", "token", "client", "user"})
# What of a request would be the same in another one.


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


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A request to another of the operator's endpoints, which is about one resource.

    :param endpoint: Flask's name for it.
    :param path: where it is, as policies see it.
    :param id: of the resource.
    :param body: none: the request has none.
    """

    endpoint: str
    method: str
    path: str
    id: str
    body: Mapping[str, object] | None = None


def could_ask(other: Elsewhere) -> bool:
    """Whether whoever makes the request at hand, which was let in, would be let in there too."""
    state = current_state()
    if state is None:
        return False
    if _credentials(request)[0] == _BASIC:
        return True
    own = state.view()
    view = SimulatedView(request, state.identity.token, None)
    view.update({name: own[name] for name in own.existing() if name in _OF_CALLER})
    view["operation"] = {"id": other.endpoint}
    view.update({"request-method": other.method, "uri": other.path, "query-string": "", "params": {"id_": other.id}})
    if other.body is not None:
        view.update({"body": other.body, "resource": other.body})
    return state.snapshot.policies.decide_operation(view, other.endpoint).allowed


def made_by() -> str:
    """Who makes the request at hand, which was let in, as the history has it: ``operator:NAME``, ``user:KEY``,
    ``client:ID``, or ``token`` where a token names neither a user that is known here nor a client."""
    state = current_state()
    if state is None:
        return ""
    if _credentials(request)[0] == _BASIC:
        return f"operator:{state.application.settings.admin_client_id}"
    user, token = state.identity.user, state.identity.token
    if user is not None:
        return f"user:{user.key}"
    return f"client:{token.client_id}" if token is not None and token.client_id else "token"


def _credentials(asked: Request) -> tuple[str, str]:
    """The scheme in lower case, and what follows it."""
    scheme, _, credentials = asked.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return scheme.lower(), credentials


def _admit(state: RequestState) -> None:
    scheme, credentials = _credentials(request)
    if scheme == _BASIC:
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
