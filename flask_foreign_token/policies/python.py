"""Policies that are functions of the app, ``@foreign_token.policy("owns-patient")``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from ..errors import ConfigError
from .condition import Decide
from .decisions import DENIED, Decision, Policies, allows
from .own_request import OwnRequest
from .policy import CompiledPolicy, any_token
from .request import PARTS, RequestView

ENGINE: Final = "python"
"""What stands for the engine of such a policy."""

Function: TypeAlias = Callable[[dict[str, Any]], bool]
"""Gets a request of its own, and says true to allow it; whatever else it says or raises denies."""

_LATE: Final = (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction)


class CodePolicies:
    """The policies of an app that are functions, by name. Some can be added at any time."""

    def __init__(self) -> None:
        self._by_name: dict[str, CompiledPolicy] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def get(self, name: str) -> CompiledPolicy | None:
        """The policy of that name."""
        return self._by_name.get(name)

    def check_name(self, name: object) -> None:
        """:raises ConfigError: `name` is blank, taken or not a text."""
        if not isinstance(name, str) or not name.strip():
            raise ConfigError(f'policy takes the name that require_policy asks for, as in policy("own"), not {name!r}')
        if name in self._by_name:
            raise ConfigError(f"there is a policy {name!r} already; give one of the two another name")

    def add(self, name: str, function: object) -> None:
        """Make a policy of a function.

        :raises ConfigError: as :meth:`check_name`, or `function` cannot say true when it is called.
        """
        self.check_name(name)
        self._by_name[name] = CompiledPolicy(
            id=name,
            version="",
            engine=ENGINE,
            links=(),
            of_token=any_token,
            of_request=_decide(name, function),
            reads=PARTS,
        )

    def decide(self, stored: Policies, view: RequestView, names: Sequence[str]) -> Decision:
        """As :meth:`.Policies.decide` of these, but that a name means the policy here before the one that is stored.

        :param names: at least one.
        :param stored: asked for every other name.
        """
        for name in names:
            policy = self._by_name.get(name)
            if policy is None:
                decision = stored.decide(view, (name,))
            else:
                decision = Decision(True, name) if allows(policy, view) else DENIED
            if decision.allowed:
                return decision
        return DENIED


def _decide(name: str, function: Any) -> Decide:
    if not callable(function) or inspect.isclass(function):
        raise ConfigError(f"the policy {name!r} must be a function of the request, not {function!r}")
    if any(is_late(asked) for is_late in _LATE for asked in (function, type(function).__call__)):
        reason = "a coroutine or a generator is never true, and nobody would wait for it"
        raise ConfigError(f"the policy {name!r} must return true or false: {reason}; write def, and no yield")
    return lambda view: function(OwnRequest(view))
