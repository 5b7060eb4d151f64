"""The engines at hand: those of this package, and those that other packages bring."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ..errors import Rejected
from .allow import AllowEngine
from .complex import ComplexEngine
from .condition import Condition
from .engine import EngineContext, PolicyEngine
from .matcho_engine import MatchoEngine

if TYPE_CHECKING:
    from .sql_database import Database

logger = logging.getLogger("flask_foreign_token.policies")

GROUP: Final = "flask_foreign_token.policy_engines"
"""The entry points of packages that bring an engine: a class that is called without arguments and makes a
:class:`.PolicyEngine`. A policy names the engine as the entry point is named, and says the rest in an attribute of the
same name."""

MAX_NESTING: Final = 16
"""Conditions within each other."""

BUILT_IN: Final[Mapping[str, PolicyEngine]] = MappingProxyType(
    {
        "allow": AllowEngine(),
        "matcho": MatchoEngine(),
        "complex": ComplexEngine(),
    }
)
"""The engines of this package by the name that a policy gives."""


class Engines:
    """The engines that policies may name.

    :param database: where the engine ``sql`` asks; none: it is off.
    :param others: engines of other packages; none takes the name of one of ours.
    """

    def __init__(self, database: Database | None = None, others: Mapping[str, PolicyEngine] | None = None) -> None:
        self._engines = {**(others or {}), **BUILT_IN}
        self._database = database

    @property
    def names(self) -> tuple[str, ...]:
        """What policies may name, ours first."""
        return (*BUILT_IN, *sorted(self._engines.keys() - BUILT_IN.keys()))

    def parse(self, policy: Mapping[str, object]) -> Condition:
        """Let the engine that a policy names read it.

        :param policy: ``engine`` and that engine's own attributes.
        :raises Rejected: there is no such engine, or it refuses the rest.
        """
        return self._parse(policy, 0)

    def _parse(self, policy: Mapping[str, object], depth: int) -> Condition:
        if depth > MAX_NESTING:
            raise Rejected.at("", f"conditions are nested at most {MAX_NESTING} deep")
        name = policy.get("engine")
        engine = self._engines.get(name) if isinstance(name, str) else None
        if engine is None:
            raise Rejected.at("engine", f"there is no such engine, only {', '.join(self.names)}")
        context = EngineContext(lambda inner: self._parse(inner, depth + 1), self._database)
        return engine.parse({attribute: value for attribute, value in policy.items() if attribute != "engine"}, context)


def installed() -> Mapping[str, PolicyEngine]:
    """The engines that other packages bring. One that cannot be loaded, or has the name of ours, is left out and
    logged, so that the policies that name it are refused and the others go on."""
    found: dict[str, PolicyEngine] = {}
    for entry_point in entry_points(group=GROUP):
        if entry_point.name in BUILT_IN:
            logger.error("the policy engine %r of %s has the name of ours", entry_point.name, entry_point.value)
            continue
        try:
            found[entry_point.name] = entry_point.load()()
        except Exception as error:  # noqa: BLE001 - what another package does wrong must not take the app down
            logger.error("the policy engine %r cannot be loaded: %s", entry_point.name, type(error).__name__)
    return found
