"""Policies that are functions of the app, ``@foreign_token.policy("owns-patient")``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..errors import ConfigError
from .condition import Decide
from .decisions import DENIED, Decision, Policies, allows
from .equality import ARRAY, OBJECT
from .policy import CompiledPolicy
from .request import PARTS, RequestView

if TYPE_CHECKING:
    from _collections_abc import dict_items, dict_values

ENGINE: Final = "python"
"""What stands for the engine of such a policy."""

Function: TypeAlias = Callable[[dict[str, Any]], bool]
"""Gets a request of its own, and says true to allow it; whatever else it says or raises denies."""

_UNBUILT: Final = object()
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
            id=name, version="", engine=ENGINE, links=(), concerns=None, allows=_decide(name, function), reads=PARTS
        )

    def beside(self, stored: Policies, names: Collection[str]) -> Policies:
        """The policies from which a guard that asks for `names` chooses, for those who explain what it gets."""
        named = [self._by_name[name] for name in dict.fromkeys(names) if name in self._by_name]
        return Policies(
            [*(policy for policy in stored if policy.id not in self._by_name or policy.id not in names), *named]
        )

    def decide(self, stored: Policies, view: RequestView, names: Sequence[str]) -> Decision:
        """As :meth:`.Policies.decide`, but that a name means the policy here before the one that is stored.

        :param stored: asked for every other name, and where there are no names.
        """
        if not names:
            return stored.decide(view)
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


class OwnRequest(dict[str, Any]):
    """A request as a policy in Python sees it: a dictionary of its own, in plain dictionaries and lists.

    A part is built when it is looked at; what is done to it changes nothing elsewhere. The body is parsed only when it
    is looked at, and :exc:`.UnreadablePart` raised then where it cannot be read.
    """

    __slots__ = ("_view",)

    def __init__(self, view: RequestView) -> None:
        super().__init__(dict.fromkeys(view.existing(), _UNBUILT))
        self._view = view

    def __getitem__(self, name: str) -> Any:
        part = super().__getitem__(name)
        if part is _UNBUILT:
            part = self[name] = _plain(self._view[name])
        return part

    # Without it, dict(request) and {**request} would pass __getitem__ by.
    def __iter__(self) -> Iterator[str]:
        return super().__iter__()

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default

    def items(self) -> dict_items[str, Any]:
        self._build_all()
        return super().items()

    def values(self) -> dict_values[str, Any]:
        self._build_all()
        return super().values()

    def copy(self) -> dict[str, Any]:
        return dict(self)

    def pop(self, name: str, *default: Any) -> Any:
        self.get(name)
        return super().pop(name, *default)

    def popitem(self) -> tuple[str, Any]:
        self._build_all()
        return super().popitem()

    def setdefault(self, name: str, default: Any = None) -> Any:
        self.get(name)
        return super().setdefault(name, default)

    def __eq__(self, other: object) -> bool:
        return dict(self) == other

    def __ne__(self, other: object) -> bool:
        return dict(self) != other

    def __or__(self, other: Any) -> Any:
        return dict(self) | other

    def __ror__(self, other: Any) -> Any:
        return other | dict(self)

    def __repr__(self) -> str:
        return repr(dict(self))

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return dict, (dict(self),)

    def _build_all(self) -> None:
        for name in self:
            self.get(name)


def _plain(value: object) -> object:
    if isinstance(value, OBJECT):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, ARRAY):
        return [_plain(item) for item in value]
    return value
