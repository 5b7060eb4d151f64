"""What `doctor` needs to know of an app's routes, read from the app."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import MapAdapter, Rule
from werkzeug.test import EnvironBuilder

from ..admin.routes import ENDPOINTS
from ..decorators import open_views, requirements_of
from ..diagnosis.routes import Routes

if TYPE_CHECKING:
    from ..application import Application


def routes_of(application: Application) -> Routes:
    """What the routes of an app say, those that were added so far."""
    app = application.app
    rules = [rule for rule in app.url_map.iter_rules() if not rule.build_only]
    switched_off = frozenset[str]() if application.settings.admin_url_prefix is not None else ENDPOINTS
    known = Routes(
        operations=frozenset({*(rule.endpoint for rule in rules), *app.view_functions}),
        switched_off=switched_off,
        open=open_views(app.view_functions),
    )
    if _is_guarded_as_a_whole(app):
        # Such a guard asks policies also where no view is reached.
        return known
    unguarded = [shown for rule in rules if rule.endpoint not in known.open for shown in _unguarded(application, rule)]
    known = replace(known, methods=_methods(rules), unguarded=tuple(dict.fromkeys(unguarded)))
    adapter = _look_up(app, rules)
    if adapter is None:
        return known
    return replace(known, leads_somewhere=partial(_leads_somewhere, adapter), answers=partial(_answers, adapter))


def _is_guarded_as_a_whole(app: Flask) -> bool:
    return any(requirements_of(hook, "GET") for hook in app.before_request_funcs.get(None, ()))


def _methods(rules: Collection[Rule]) -> frozenset[str] | None:
    """The methods that views answer, as policies see them; none: some view answers any."""
    found: set[str] = set()
    for rule in rules:
        if rule.methods is None:
            return None
        found |= {method.lower() for method in rule.methods if not _answers_itself(rule, method)}
    return frozenset("get" if method == "head" else method for method in found)


def _answers_itself(rule: Rule, method: str) -> bool:
    """Whether Flask answers in place of the view, without a policy being asked."""
    return method == "OPTIONS" and bool(getattr(rule, "provide_automatic_options", False))


def _look_up(app: Flask, rules: Collection[Rule]) -> MapAdapter | None:
    """What tells where a path leads to; none: that depends on more than path and method."""
    url_map = app.url_map
    is_one_site = not url_map.host_matching and {rule.subdomain for rule in rules} <= {url_map.default_subdomain}
    own = [converter for converter in url_map.converters.values() if not converter.__module__.startswith("werkzeug.")]
    if own or not is_one_site or any(rule.websocket for rule in rules):
        return None
    return url_map.bind("localhost")


def _leads_somewhere(adapter: MapAdapter, path: str) -> bool:
    try:
        adapter.match(path, "GET")
    except NotFound:
        return False
    except HTTPException:
        # By another method, say, or with a slash at its end.
        return True
    return True


def _answers(adapter: MapAdapter, method: str, path: str) -> bool:
    # To policies HEAD reads as get.
    methods = ("GET", "HEAD") if method == "get" else (method.upper(),)
    return any(_reaches_view(adapter, one, path) for one in methods)


def _reaches_view(adapter: MapAdapter, method: str, path: str) -> bool:
    try:
        rule, _ = adapter.match(path, method, return_rule=True)
    except (NotFound, MethodNotAllowed):
        return False
    except HTTPException:
        # With a slash at its end, say.
        return True
    return not _answers_itself(rule, method)


def _unguarded(application: Application, rule: Rule) -> Iterator[str]:
    app = application.app
    if rule.endpoint not in app.view_functions or application.is_operators(rule.endpoint):
        return
    methods = {"GET" if method == "HEAD" else method for method in rule.methods or ("GET",)}
    bare = sorted(method for method in methods if _is_bare(application, rule, method))
    if bare:
        yield f"{'|'.join(bare)} {rule.rule} ({rule.endpoint})"


def _is_bare(application: Application, rule: Rule, method: str) -> bool:
    request = application.app.request_class(EnvironBuilder(method=method).get_environ())
    request.url_rule = rule
    return application.guards_of(request) == []
