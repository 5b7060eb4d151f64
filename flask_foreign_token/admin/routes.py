"""The operator's REST API as a blueprint: the endpoints of all modules of routes, each behind its guard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flask import Blueprint

from . import document_routes, health_routes, history_routes, policy_routes, resource_routes
from .guard import operators_only
from .route import NAME

if TYPE_CHECKING:
    from ..application import Application

_MODULES: Final = (resource_routes, history_routes, policy_routes, health_routes, document_routes)

PUBLIC: Final = frozenset(f"{NAME}.{name}" for name in health_routes.PUBLIC)
"""The endpoints that answer anyone, with neither credential nor policy looked at."""

ENDPOINTS: Final = frozenset(f"{NAME}.{name}" for module in _MODULES for name in module.NAMES) - PUBLIC
"""The operator's endpoints, as a link of a policy names them after ``Operation/``."""


def blueprint(application: Application) -> Blueprint:
    """The REST API of one app."""
    made = Blueprint(NAME, __name__)
    for module in _MODULES:
        for route in module.routes(application):
            view = route.view if route.name in health_routes.PUBLIC else operators_only(application, route.view)
            made.add_url_rule(route.path, route.name, view, methods=[route.method])
    return made
