"""The engines at hand: those of this package, and those that other packages bring."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Final

from ..errors import Rejected
from ..telling import tell
from .allow import AllowEngine
from .complex import ComplexEngine
from .condition import Condition
from .engine import EngineContext, PolicyEngine
from .failures import FAILURES
from .json_schema.engine import JsonSchemaEngine
from .matcho.engine import MatchoEngine
from .patterns import Allowance
from .sql.database import Database
from .sql.engine import SqlEngine

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
        "json-schema": JsonSchemaEngine(),
        "sql": SqlEngine(),
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
        return self._parse(policy, 0, Allowance())

    def _parse(self, policy: Mapping[str, object], depth: int, expressions: Allowance) -> Condition:
        if depth > MAX_NESTING:
            raise Rejected.at("", f"conditions are nested at most {MAX_NESTING} deep")
        name = policy.get("engine")
        engine = self._engines.get(name) if isinstance(name, str) else None
        if engine is None:
            joined = "; and and or belong to complex" if name is None and {"and", "or"} & policy.keys() else ""
            raise Rejected.at("engine", f"there is no such engine, only {', '.join(self.names)}{joined}")
        context = EngineContext(lambda inner: self._parse(inner, depth + 1, expressions), self._database, expressions)
        own = {attribute: value for attribute, value in policy.items() if attribute != "engine"}
        return _read(str(name), engine, own, context)


def _read(name: str, engine: PolicyEngine, policy: Mapping[str, object], context: EngineContext) -> Condition:
    try:
        condition = engine.parse(policy, context)
    except Rejected:
        raise
    except FAILURES as error:
        # An engine of another package that fails refuses its own policy, and no other.
        raise Rejected.at("", f"the engine {name} fails to read it: {type(error).__name__}") from error
    if not isinstance(condition, Condition):
        raise Rejected.at("", f"the engine {name} reads it into no Condition")
    return condition


def installed() -> Mapping[str, PolicyEngine]:
    """The engines that other packages bring. One that cannot be loaded, or has the name of ours or of another one, is
    left out and logged, so that the policies that name it are refused and the others go on."""
    found: dict[str, PolicyEngine] = {}
    entries = tuple(entry_points(group=GROUP))
    names = Counter(entry.name for entry in entries)
    for entry in entries:
        if entry.name in BUILT_IN:
            _leave_out(entry, "has the name of ours, and is left out")
        elif names[entry.name] > 1:
            # Which of them comes first depends on the path, and would decide who gets in.
            _leave_out(entry, "is there twice, and left out")
        elif (engine := _made(entry)) is not None:
            found[entry.name] = engine
    return found


def _made(entry: EntryPoint) -> PolicyEngine | None:
    try:
        engine: PolicyEngine = entry.load()()
        can_parse = callable(getattr(engine, "parse", None))
    except FAILURES as error:
        _leave_out(entry, f"cannot be loaded: {type(error).__name__}")
        return None
    if not can_parse:
        _leave_out(entry, "has no method parse")
        return None
    return engine


def _leave_out(entry: EntryPoint, reason: str) -> None:
    tell(logger, logging.ERROR, "the policy engine %r of %s %s", entry.name, entry.value, reason)
