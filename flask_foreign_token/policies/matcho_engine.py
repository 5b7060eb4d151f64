"""The engine ``matcho``: a request that matches a pattern."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import Rejected
from . import matcho
from .condition import Condition, Decide
from .engine import EngineContext, refuse_unknown
from .matcho_compile import compile_pattern
from .matcho_tree import Node, reads


@dataclass(frozen=True, slots=True)
class Matches(Condition):
    """The request matches `pattern`."""

    pattern: Node

    @property
    def reads(self) -> frozenset[str]:
        return reads(self.pattern)

    @property
    def deterministic(self) -> bool:
        return True

    def compile(self) -> Decide:
        matches = compile_pattern(self.pattern)
        return lambda view: matches(view, view)


class MatchoEngine:
    """``{"engine": "matcho", "matcho": {"jwt": {"iss": "…"}}}``"""

    def parse(self, policy: Mapping[str, object], context: EngineContext) -> Condition:
        refuse_unknown(policy, ("matcho",))
        pattern = policy.get("matcho")
        if not isinstance(pattern, dict):
            raise Rejected.at("matcho", 'the engine matcho wants a pattern here, an object such as {"jwt": "present?"}')
        try:
            condition = Matches(matcho.parse(pattern))
        except Rejected as rejected:
            raise rejected.within("", "matcho") from None
        if not condition.reads:
            raise Rejected.at(
                "matcho", "the pattern looks at nothing in the request; say engine: allow if that is meant"
            )
        return condition
