"""Flask-Login: its ``current_user``, where a request brings a bearer token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, current_app, g

from . import credentials
from .errors import ConfigError
from .request_state import RequestState, current_state

_LOAD = "_load_user"
_SET = "_update_request_context_with_user"
# Flask-Login has no public way to be asked before it looks at the session.

_REMEMBERED = "_login_user"
"""Where Flask-Login keeps the user in ``g``."""


class _TokenFirst:
    """Stands in for the method with which a ``LoginManager`` finds the user of a request.

    :param manager: a ``LoginManager``.
    """

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self._load = getattr(manager, _LOAD)
        self._set = getattr(manager, _SET)

    def __call__(self) -> None:
        state = current_state()
        if state is not None and _brings_token(state):
            self._set(state.user())
        elif self._manager.user_callback is None and self._manager.request_callback is None:
            # An app that knows nobody but by tokens.
            self._set(None)
        else:
            self._load()


def init_login(manager: Any) -> None:
    """See :meth:`.ForeignToken.init_login`.

    :raises ConfigError: `manager` is no ``LoginManager``.
    """
    if not all(callable(getattr(manager, name, None)) for name in (_LOAD, _SET)):
        raise ConfigError("init_login wants the LoginManager of Flask-Login, 0.6 or newer")
    if not _is_ours(manager):
        setattr(manager, _LOAD, _TokenFirst(manager))


def watch(app: Flask, authenticate: Callable[[], object]) -> None:
    """Let Flask-Login find out anew who makes each request to `app`.

    Before it is authenticated, since an app context that somebody has pushed may serve several; and after that, since
    somebody may have asked while a user was being made.

    :param authenticate: the hook that does it.
    """
    hooks: list[Any] = app.before_request_funcs[None]
    at = hooks.index(authenticate)
    hooks[at : at + 1] = [_forget_user, authenticate, _forget_user]


def _forget_user() -> None:
    if _is_ours(getattr(current_app, "login_manager", None)):
        g.pop(_REMEMBERED, None)


def _is_ours(manager: Any) -> bool:
    return isinstance(getattr(manager, _LOAD, None), _TokenFirst)


def _brings_token(state: RequestState) -> bool:
    """Whether the request brings a bearer token, a good one or not: with one that is not taken it is nobody's."""
    if state.identity.token is not None or state.refusal is not None:
        return True
    return credentials.is_bearer(state.request)
