"""The engine ``allow``: every request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .condition import Condition, Decide, Mismatch
from .engine import EngineContext, refuse_unknown
from .request import RequestView


@dataclass(frozen=True, slots=True)
class Allow(Condition):
    """Allows every request."""

    @property
    def reads(self) -> frozenset[str]:
        return frozenset()

    @property
    def deterministic(self) -> bool:
        return True

    def compile(self) -> Decide:
        return lambda view: True

    def mismatches(self, view: RequestView) -> list[Mismatch]:
        return []


class AllowEngine:
    """``{"engine": "allow"}``"""

    def parse(self, policy: Mapping[str, object], context: EngineContext) -> Condition:
        refuse_unknown(policy, ())
        return Allow()
