"""The engine ``matcho``: a request that matches a pattern."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...errors import Issue, Rejected
from ..condition import Alternatives, Condition, Decide, Mismatch
from ..engine import EngineContext, refuse_unknown
from ..request import RequestView
from . import facts, lint
from .compile import compile_request
from .mismatches import mismatches
from .parse import parse
from .tree import Node, reads


@dataclass(frozen=True, slots=True)
class Matches(Condition):
    """The request matches `pattern`."""

    pattern: Node

    @property
    def reads(self) -> frozenset[str]:
        return reads(self.pattern)

    @property
    def needs(self) -> frozenset[str]:
        return facts.needs(self.pattern)

    @property
    def deterministic(self) -> bool:
        return True

    def compile(self) -> Decide:
        return compile_request(self.pattern)

    def warnings(self) -> Iterator[Issue]:
        return lint.warnings(self.pattern)

    def equalities(self) -> Sequence[Alternatives]:
        return facts.equalities(self.pattern)

    def mismatches(self, view: RequestView) -> list[Mismatch]:
        return mismatches(self.pattern, view, view)


class MatchoEngine:
    """``{"engine": "matcho", "matcho": {"jwt": {"iss": "…"}}}``"""

    def parse(self, policy: Mapping[str, object], context: EngineContext) -> Condition:
        refuse_unknown(policy, ("matcho",))
        pattern = policy.get("matcho")
        if not isinstance(pattern, dict):
            raise Rejected.at("matcho", 'the engine matcho wants a pattern here, an object such as {"jwt": "present?"}')
        try:
            condition = Matches(parse(pattern, context.expressions))
        except Rejected as rejected:
            raise rejected.within("", "matcho") from None
        if not condition.reads:
            raise Rejected.at(
                "matcho", "the pattern looks at nothing in the request; say engine: allow if that is meant"
            )
        return condition
