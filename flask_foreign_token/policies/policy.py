"""One AccessPolicy: for whom, and on which condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from ..errors import Rejected
from ..faults import Faults
from .alternatives import fileable
from .complex import AllOf
from .condition import Alternatives, Condition, Decide, Mismatch
from .engines import Engines
from .failures import FAILURES
from .request import RequestView
from .split import split
from .whom import Link, linked_to, read_links, read_role

TOKEN_PARTS: Final = frozenset({"jwt", "token", "client"})
"""The parts of a request that depend on its token alone."""

_COMMON: Final = frozenset({"resourceType", "id", "meta", "active", "description", "link", "roleName"})
"""What every policy can say, whatever its engine."""


@dataclass(frozen=True, slots=True)
class PolicyTree:
    """What an AccessPolicy says.

    :param links: alternatives; none: it concerns every request.
    :param linked: that one of the links names the request's user, client or operation; none: there are no links.
    :param condition: what its engine, and ``roleName``, ask of the request.
    """

    id: str
    engine: str
    links: tuple[Link, ...]
    linked: Condition | None
    condition: Condition

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """All of which must allow a request, in the order in which they are asked."""
        return (self.condition,) if self.linked is None else (self.linked, self.condition)

    def mismatches(self, view: RequestView) -> list[Mismatch]:
        """See :meth:`.Condition.mismatches`."""
        return AllOf(self.conditions, ("",) * len(self.conditions)).mismatches(view)

    def equalities(self) -> list[Alternatives]:
        """See :meth:`.Condition.equalities`."""
        return [alternatives for condition in self.conditions for alternatives in condition.equalities()]


@dataclass(slots=True, eq=False)
class CompiledPolicy:
    """One state of an AccessPolicy, ready to decide. There may be thousands: each byte of it counts.

    :param version: changes whenever the resource does.
    :param links: alternatives; none: it concerns every request.
    :param of_token: what it asks of the token; the same token always gets the same answer.
    :param of_request: what it asks beside that: that one of the links names the request's user, client or operation,
        then the rest. None: nothing. Both raise when that cannot be told.
    :param reads: the parts of the request that `of_request` can look at.
    :param deterministic: whether the same parts always get the same answer.
    :param equalities: by which it can be filed, see :func:`.fileable`.
    :param failures: the exceptions that were logged, by class; each is logged once for a version of the policy. They
        alone ever change.
    """

    id: str
    version: str
    engine: str
    links: tuple[Link, ...]
    of_token: Decide
    of_request: Decide | None
    reads: frozenset[str]
    deterministic: bool = False
    equalities: tuple[Alternatives, ...] = ()
    failures: tuple[str, ...] = field(default=(), repr=False)

    def allows(self, view: RequestView) -> bool:
        """What it says of a request; raises when that cannot be told."""
        # Only true is yes: an engine that answers something else, a coroutine for instance, has not decided.
        return self.of_token(view) is True and (self.of_request is None or self.of_request(view) is True)


def any_token(view: RequestView) -> bool:
    """What a policy asks of the token that asks nothing of it."""
    return True


def parse_policy(policy_id: str, body: Mapping[str, object], engines: Engines) -> PolicyTree:
    """Read a stored policy.

    :param policy_id: the resource's id; `body` may leave it out.
    :param body: the AccessPolicy as it is stored.
    :raises Rejected: it says something unknown or wrong; names every fault, with its path from the top of `body`.
    """
    faults = Faults()
    conditions: list[Condition] = []
    with faults.gathered():
        conditions += read_role(body)
    with faults.gathered():
        conditions.append(engines.parse(_own(body)))
    with faults.gathered():
        links = read_links(body)
    faults.raise_any()
    linked = linked_to(links) if links else None
    condition = conditions[0] if len(conditions) == 1 else AllOf(tuple(conditions), ("roleName", ""))
    return PolicyTree(policy_id, str(body["engine"]), links, linked, condition)


def compile_policy(policy_id: str, version: str, body: Mapping[str, object], engines: Engines) -> CompiledPolicy:
    """Compile a stored policy.

    :param version: the resource's version.
    :raises Rejected: as :func:`parse_policy`, or the condition that its engine made of it fails.
    """
    tree = parse_policy(policy_id, body, engines)
    try:
        return _compiled(tree, version)
    except FAILURES as error:
        raise Rejected.at("", f"its engine fails on it: {type(error).__name__}") from error


def _compiled(tree: PolicyTree, version: str) -> CompiledPolicy:
    whole = tree.conditions[0] if tree.linked is None else AllOf(tree.conditions, ("", ""))
    of_token, of_request = split(whole, TOKEN_PARTS)
    return CompiledPolicy(
        id=tree.id,
        version=version,
        engine=tree.engine,
        links=tree.links,
        of_token=any_token if of_token is None else of_token.compile(),
        of_request=None if of_request is None else of_request.compile(),
        reads=frozenset() if of_request is None else _shared(frozenset(of_request.reads)),
        deterministic=whole.deterministic,
        equalities=fileable(tree.equalities()),
    )


@lru_cache(maxsize=1024)
def _shared(parts: frozenset[str]) -> frozenset[str]:
    """One set in place of all that are equal: policies are many, and read much the same."""
    return parts


def _own(body: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in body.items() if name not in _COMMON}
