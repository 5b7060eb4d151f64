"""``require_policy``: the guard on a view, and the search for views whose guard does not hold."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeGuard, TypeVar, overload

from flask import current_app

from .errors import CHALLENGE_CHARACTERS, ConfigError
from .request_state import ANY_POLICY, Requirement, enforce

View = TypeVar("View", bound=Callable[..., Any])

_GUARDS = "__foreign_token_guards__"
_SCOPES = "__foreign_token_scopes__"
_REQUIREMENT = "__foreign_token_requirement__"
_POLICIES = "__foreign_token_policies__"
_SCOPE_CHARACTERS = CHALLENGE_CHARACTERS - {" "}


@overload
def require_policy(view: View, /) -> View: ...
@overload
def require_policy(*policies: str, scope: str | Iterable[str] | None = None) -> Callable[[View], View]: ...
def require_policy(*arguments: Any, scope: str | Iterable[str] | None = None) -> Any:
    """Let a view run only when a stored policy allows the request; stands below the route.

    Bare, any stored policy may allow it. With names, one of the named policies must, and their own links still bind.
    `scope` must be granted as well, whatever the policies say. Views may be ``async``; for class-based views, put it
    into ``decorators`` or on a method.

    :param arguments: policy ids, or the view itself. An id means the policy in Python of that name, if there is one,
        see :meth:`.ForeignToken.policy`; else the stored one.
    :param scope: one or several scopes, as a text separated by spaces or a list (:rfc:`6749#section-3.3`).
    :raises ConfigError: `scope` is empty or holds what is none, or the name of a policy is not a text.
    :raises TypeError: a class was decorated.
    """
    if len(arguments) == 1 and callable(arguments[0]):
        return _guard(arguments[0], ANY_POLICY)
    requirement = Requirement(_names(arguments), () if scope is None else _scopes(scope))
    return lambda view: _guard(view, requirement)


def open_views(view_functions: Mapping[str, Callable[..., Any]]) -> list[str]:
    """Endpoints whose view was guarded, but is registered so that its guard is not passed.

    ``require_policy`` above the route wraps what the route has registered already. What is wrapped keeps its guards;
    one of them must stand before it on the way from what is registered.
    """
    return sorted(endpoint for endpoint, view in view_functions.items() if _is_open(view))


def scopes_of(views: Iterable[Callable[..., Any]]) -> list[str]:
    """The scopes that guards on the way of `views` ask for, sorted.

    :param views: as they are registered; of a class-based view, every method counts.
    """
    return sorted({scope for view in views for step in _reached(view) for scope in getattr(step, _SCOPES, ())})


def policies_of(view_functions: Mapping[str, Callable[..., Any]]) -> dict[str, list[str]]:
    """The policies that guards ask for by name, sorted, by endpoint; endpoints whose guards name none are left out.

    :param view_functions: as :func:`scopes_of` has them.
    """
    named = {
        endpoint: sorted({name for step in _reached(view) for name in getattr(step, _POLICIES, ())})
        for endpoint, view in sorted(view_functions.items())
    }
    return {endpoint: names for endpoint, names in named.items() if names}


def holding_to(requirement: Requirement) -> Callable[[View], View]:
    """Marks a hook that holds requests to `requirement`, so that :func:`requirements_of` knows of it."""

    def mark(hook: View) -> View:
        hook.__dict__[_REQUIREMENT] = requirement
        return hook

    return mark


def requirements_of(view: Callable[..., Any], method: str) -> list[Requirement]:
    """What the guards on the way of a request ask for, outermost first, each guard once.

    :param view: as it is registered, or a hook.
    :param method: the request's; in a class-based view each method can have guards of its own.
    """
    steps = _behind(view)
    view_class = getattr(view, "view_class", None)
    if isinstance(view_class, type):
        called = method.lower() if method != "HEAD" or hasattr(view_class, "head") else "get"
        inner = [getattr(view_class, name, None) for name in ("dispatch_request", called)]
        steps += [step for item in inner if _is_view_like(item) for step in _behind(item)]
    found = [step.__dict__[_REQUIREMENT] for step in steps if _REQUIREMENT in getattr(step, "__dict__", {})]
    # What wraps a guard has a copy of its attributes.
    return list({id(requirement): requirement for requirement in found}.values())


def _is_open(view: Callable[..., Any]) -> bool:
    passed: list[object] = []
    for step in _chain(view):
        guards = getattr(step, _GUARDS, ())
        if guards and not any(guard is before for guard in guards for before in passed):
            return True
        passed.append(step)
    return False


def _names(arguments: tuple[object, ...]) -> tuple[str, ...]:
    for name in arguments:
        if not isinstance(name, str) or not name:
            raise ConfigError(f"require_policy takes ids of policies, not {name!r}")
    return arguments  # type: ignore[return-value]


def _scopes(scope: str | Iterable[str]) -> tuple[str, ...]:
    scopes = tuple(scope.split() if isinstance(scope, str) else scope)
    if not scopes:
        raise ConfigError("require_policy(scope=…) names no scope; leave it out where none is needed")
    for item in scopes:
        if not item or not _SCOPE_CHARACTERS.issuperset(item):
            raise ConfigError(f"require_policy(scope=…): {item!r} is no scope (RFC 6749, section 3.3)")
    return scopes


def _guard(view: View, requirement: Requirement) -> View:
    if isinstance(view, type):
        raise TypeError(f"require_policy guards functions; write `decorators = [require_policy]` in {view.__name__}")

    if inspect.iscoroutinefunction(view):

        @functools.wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            enforce(requirement)
            return current_app.ensure_sync(view)(*args, **kwargs)

    else:

        @functools.wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            enforce(requirement)
            return view(*args, **kwargs)

    _mark(view, guarded)
    guarded.__dict__[_SCOPES] = requirement.scopes
    guarded.__dict__[_REQUIREMENT] = requirement
    guarded.__dict__[_POLICIES] = requirement.policies
    return guarded  # type: ignore[return-value]


def _mark(view: Callable[..., Any], guard: Callable[..., Any]) -> None:
    """Let `view`, and what it wraps, know the guard: a route further down may have registered any of them."""
    # What functools.wraps copied from the view, which says nothing of the guard itself.
    guard.__dict__.pop(_GUARDS, None)
    for step in _behind(view):
        if hasattr(step, "__dict__"):
            step.__dict__[_GUARDS] = [*step.__dict__.get(_GUARDS, ()), guard]


def _chain(view: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """`view` and what it wraps, outermost first."""
    step: Callable[..., Any] | None = view
    while step is not None:
        yield step
        step = getattr(step, "__wrapped__", None)


def _behind(view: Callable[..., Any]) -> list[Callable[..., Any]]:
    """`view` and every function that it could call on: not all decorators use ``functools.wraps``."""
    found: list[Callable[..., Any]] = [view]
    for step in found:
        held = [getattr(step, "__wrapped__", None), getattr(step, "func", None)]
        held += [cell.cell_contents for cell in getattr(step, "__closure__", None) or () if _is_filled(cell)]
        if not inspect.isroutine(step):
            held += getattr(step, "__dict__", {}).values()
        found += [item for item in held if _is_view_like(item) and not any(item is known for known in found)]
    return found


def _reached(view: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """What :func:`_behind` finds, and what it finds behind the methods of a class-based view."""
    for step in _behind(view):
        yield step
        view_class = getattr(step, "view_class", None)
        if isinstance(view_class, type):
            for _, method in inspect.getmembers_static(view_class, _is_view_like):
                yield from _behind(method)


def _is_filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _is_view_like(item: object) -> TypeGuard[Callable[..., Any]]:
    return inspect.isfunction(item) or isinstance(item, functools.partial)
