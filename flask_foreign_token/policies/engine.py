"""The seam between policies and the ways of writing them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ..errors import Issue, Rejected
from .condition import Condition
from .patterns import Allowance
from .sql.database import Database


@dataclass(frozen=True, slots=True)
class EngineContext:
    """What an engine may use.

    :param parse: reads a condition within a policy, ``engine`` and that engine's own attributes; raises
        :exc:`.Rejected` with paths from the top of that condition.
    :param database: where the engine ``sql`` asks; none: it is off.
    :param expressions: how many regular expressions the whole policy may still have.
    """

    parse: Callable[[Mapping[str, object]], Condition]
    database: Database | None = None
    expressions: Allowance = field(default_factory=Allowance)


class PolicyEngine(Protocol):
    """One way of writing policies."""

    def parse(self, policy: Mapping[str, object], context: EngineContext) -> Condition:
        """Read what a policy says.

        :param policy: the attributes that are the engine's own, ``matcho`` for instance.
        :raises Rejected: one is unknown, missing or wrong; paths begin with the attribute.
        """


def refuse_unknown(policy: Mapping[str, object], known: Collection[str]) -> None:
    """:raises Rejected: `policy` has an attribute that is not `known`; names each."""
    unknown = [name for name in policy if name not in known]
    if unknown:
        raise Rejected([Issue("", name, "the policy's engine has no such attribute") for name in unknown])
