"""What the routes of an app ask for, before their views do."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Self

from flask import Flask, Request

from .admin.routes import ENDPOINTS, PUBLIC
from .decorators import open_views, scopes_of
from .settings import Settings

METADATA: Final = "foreign_token.protected_resource_metadata"
"""The endpoint of the document of :rfc:`9728`."""

logger = logging.getLogger("flask_foreign_token.application")


@dataclass(frozen=True, slots=True)
class Views:
    """What the app's routes say, read at the first request, when none can be added any more.

    :param plain: endpoints of which nothing is asked before their view but who makes the request.
    :param free: endpoints that ask for nothing: static files, the metadata, and those of the operator's API that answer
        anyone.
    :param public: of these, the last, which answer whatever is wrong with the app.
    :param operator: endpoints that ask for the operator, and for nothing else.
    :param open: endpoints whose guard is not passed.
    :param scopes: those that guards ask for, sorted.
    """

    plain: frozenset[str]
    free: frozenset[str]
    public: frozenset[str]
    operator: frozenset[str]
    open: tuple[str, ...]
    scopes: tuple[str, ...]

    @classmethod
    def of(cls, app: Flask, settings: Settings) -> Self:
        """Read the routes of `app`; the log is told of those that are open."""
        endpoints = ["static", *(f"{name}.static" for name in app.blueprints)]
        static = frozenset(name for name in endpoints if _is_flasks_own(app.view_functions.get(name)))
        absent = frozenset[str]()
        operator, public = (absent, absent) if settings.admin_url_prefix is None else (ENDPOINTS, PUBLIC)
        free, left_open = static | public | {METADATA}, tuple(open_views(app.view_functions))
        asks_more = left_open or settings.dev_mode or settings.protect == "all"
        for endpoint in left_open:
            logger.error(
                "view %r is registered without its guard; move @require_policy below the route. "
                "Every request is refused until then",
                endpoint,
            )
        return cls(
            plain=absent if asks_more else frozenset(app.view_functions) - free - operator,
            free=free,
            public=public,
            operator=operator,
            open=left_open,
            scopes=tuple(scopes_of(app.view_functions.values())),
        )

    def lets_pass(self, request: Request) -> bool:
        """Whether `request` reaches no view of the app: what Flask answers itself, and the :attr:`free` ones."""
        rule = request.url_rule
        if rule is None or rule.endpoint in self.free:
            return True
        return request.method == "OPTIONS" and bool(getattr(rule, "provide_automatic_options", False))


def _is_flasks_own(view: Callable[..., Any] | None) -> bool:
    # A guard around Flask's view says that it is of that module too, and what it wraps.
    return view is not None and view.__module__.startswith("flask.") and not hasattr(view, "__wrapped__")
