from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from flask import Blueprint, Flask
from flask.views import MethodView

from flask_foreign_token import require_policy
from flask_foreign_token.decorators import open_views
from flask_foreign_token.errors import ConfigError


def wrapped(view: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(view)
    def outer(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    return outer


@pytest.fixture
def app() -> Flask:
    return Flask("guarded")


def test_a_guard_below_the_route_holds(app: Flask) -> None:
    @app.get("/")
    @require_policy
    def view() -> str:
        return ""

    assert open_views(app.view_functions) == []


@pytest.mark.parametrize("guard", [require_policy, require_policy("readers"), require_policy(scope="read")])
def test_a_guard_above_the_route_is_found(app: Flask, guard: Callable[..., Any]) -> None:
    @guard
    @app.get("/")
    def view() -> str:
        return ""

    assert open_views(app.view_functions) == ["view"]


def test_a_guard_above_a_blueprints_route_is_found_in_the_app(app: Flask) -> None:
    blueprint = Blueprint("fhir", __name__)

    @require_policy
    @blueprint.get("/")
    def view() -> str:
        return ""

    app.register_blueprint(blueprint)

    assert open_views(app.view_functions) == ["fhir.view"]


def test_a_guard_above_the_route_is_found_behind_another_decorator(app: Flask) -> None:
    @require_policy
    @app.get("/")
    @wrapped
    def view() -> str:
        return ""

    assert open_views(app.view_functions) == ["view"]


def test_a_guard_above_a_decorator_above_the_route_is_found(app: Flask) -> None:
    @require_policy
    @wrapped
    @app.get("/")
    def view() -> str:
        return ""

    assert open_views(app.view_functions) == ["view"]


def test_a_view_with_a_guard_for_each_of_two_routes_holds(app: Flask) -> None:
    def view() -> str:
        return ""

    app.add_url_rule("/readers", "readers", require_policy("readers")(view))
    app.add_url_rule("/writers", "writers", require_policy("writers")(view))

    assert open_views(app.view_functions) == []


def test_a_second_guard_above_the_route_is_found_though_the_first_holds(app: Flask) -> None:
    @require_policy("writers")
    @app.get("/")
    @require_policy("readers")
    def view() -> str:
        return ""

    assert open_views(app.view_functions) == ["view"]


def test_guards_on_both_sides_of_another_decorator_hold(app: Flask) -> None:
    @app.get("/")
    @require_policy("writers")
    @wrapped
    @require_policy("readers")
    def view() -> str:
        return ""

    assert open_views(app.view_functions) == []


def test_a_view_that_is_registered_with_and_without_its_guard_is_open(app: Flask) -> None:
    def view() -> str:
        return ""

    app.add_url_rule("/open", "open", view)
    app.add_url_rule("/guarded", "guarded", require_policy(view))

    assert open_views(app.view_functions) == ["open"]


def test_class_based_views_hold_with_decorators_and_with_guarded_methods(app: Flask) -> None:
    class Whole(MethodView):
        decorators = (require_policy,)

        def get(self) -> str:
            return ""

    class Method(MethodView):
        @require_policy("readers")
        def get(self) -> str:
            return ""

    app.add_url_rule("/whole", view_func=Whole.as_view("whole"))
    app.add_url_rule("/method", view_func=Method.as_view("method"))

    assert open_views(app.view_functions) == []


def test_a_class_cannot_be_guarded_itself() -> None:
    with pytest.raises(TypeError, match=r"decorators = \[require_policy\]"):

        @require_policy
        class View(MethodView):
            pass


def test_the_guarded_view_keeps_its_name_and_text() -> None:
    @require_policy("readers")
    def view() -> str:
        """What it does."""
        return ""

    assert (view.__name__, view.__doc__) == ("view", "What it does.")


@pytest.mark.parametrize("names", [(1,), ("",), ("readers", None)])
def test_a_policy_is_named_by_a_text(names: Any) -> None:
    with pytest.raises(ConfigError, match="ids of policies"):
        require_policy(*names)


@pytest.mark.parametrize("scope", ['a"b', "ä", ["read", ""], ["a b"], "a\\b"])
def test_a_scope_must_be_one(scope: Any) -> None:
    with pytest.raises(ConfigError, match="no scope"):
        require_policy(scope=scope)


@pytest.mark.parametrize("scope", ["", " ", [], ()])
def test_an_empty_scope_is_not_taken_for_none(scope: Any) -> None:
    with pytest.raises(ConfigError, match="names no scope"):
        require_policy(scope=scope)


def closing_over(view: Callable[..., Any]) -> Callable[..., Any]:
    def outer() -> Any:
        return view()

    return outer


class Holding:
    def __init__(self, view: Callable[..., Any]) -> None:
        self.view = view
        self.__name__ = "holding"

    def __call__(self) -> Any:
        return self.view()


@pytest.mark.parametrize("sloppy", [closing_over, Holding, functools.partial])
def test_a_decorator_that_hides_what_it_wraps_hides_no_misplaced_guard(
    app: Flask, sloppy: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> None:
    def view() -> str:
        return ""

    require_policy(sloppy(app.get("/")(view)))

    assert open_views(app.view_functions) == ["view"]


@pytest.mark.parametrize("sloppy", [closing_over, Holding])
def test_a_guard_below_a_decorator_that_hides_what_it_wraps_holds(
    app: Flask, sloppy: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> None:
    def view() -> str:
        return ""

    app.add_url_rule("/", "view", sloppy(require_policy(view)))

    assert open_views(app.view_functions) == []
