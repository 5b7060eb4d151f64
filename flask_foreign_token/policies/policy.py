"""One AccessPolicy: for whom, and on which condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from ..errors import Issue, Rejected
from .complex import AllOf
from .condition import Alternatives, Condition, Decide
from .engines import Engines
from .index import fileable
from .matcho_engine import Matches
from .matcho_tree import Contains, Fields, Literal, Node, OneOf

LINKED_PARTS: Final[Mapping[str, str]] = MappingProxyType(
    {"User": "user", "Client": "client", "Operation": "operation"}
)
"""What a link can name, and the part of the request whose ``id`` it is compared with."""

TOKEN_PARTS: Final = frozenset({"jwt", "token", "client"})
"""The parts of a request that depend on its token alone."""

_COMMON: Final = frozenset({"resourceType", "id", "meta", "active", "description", "link", "roleName"})
"""What every policy can say, whatever its engine."""


@dataclass(frozen=True, slots=True)
class Link:
    """Narrows a policy to one user, client or operation.

    :param kind: a key of :data:`LINKED_PARTS`.
    :param id: the user's id, the token's ``azp`` or ``client_id``, or the endpoint's name.
    """

    kind: str
    id: str

    def pattern(self) -> Node:
        """The requests that the link leaves, as a pattern."""
        return Fields((LINKED_PARTS[self.kind],), (Fields(("id",), (Literal(self.id),)),))


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

    def equalities(self) -> list[Alternatives]:
        """See :meth:`.Condition.equalities`."""
        return [alternatives for condition in self.conditions for alternatives in condition.equalities()]


@dataclass(slots=True, eq=False)
class CompiledPolicy:
    """One state of an AccessPolicy, ready to decide. There may be thousands: each byte of it counts.

    :param version: changes whenever the resource does.
    :param links: alternatives; none: it concerns every request.
    :param concerns: whether one of the links names the request's user, client or operation; asked before `allows`.
        None: there are no links.
    :param allows: what the engine made of the policy; raises when that cannot be told.
    :param reads: the parts of the request that `concerns` and `allows` can look at.
    :param deterministic: whether the same parts always get the same answer.
    :param equalities: by which it can be filed, see :func:`.fileable`.
    :param failures: the exceptions that were logged, by class; each is logged once for a version of the policy. They
        alone ever change.
    """

    id: str
    version: str
    engine: str
    links: tuple[Link, ...]
    concerns: Decide | None
    allows: Decide
    reads: frozenset[str]
    deterministic: bool = False
    equalities: tuple[Alternatives, ...] = ()
    failures: tuple[str, ...] = field(default=(), repr=False)

    @property
    def rests_on_token(self) -> bool:
        """Whether one answer holds for all requests with the same token."""
        return self.deterministic and self.reads <= TOKEN_PARTS


def parse_policy(policy_id: str, body: Mapping[str, object], engines: Engines) -> PolicyTree:
    """Read a stored policy.

    :param policy_id: the resource's id; `body` may leave it out.
    :param body: the AccessPolicy as it is stored.
    :raises Rejected: it says something unknown or wrong; names every fault, with its path from the top of `body`.
    """
    links, issues = _links(body)
    conditions: list[Condition] = []
    for read in (_role, lambda written: [engines.parse(_own(written))]):
        try:
            conditions += read(body)
        except Rejected as rejected:
            issues = [*rejected.issues, *issues]
    if issues:
        raise Rejected(issues)
    linked = Matches(OneOf(tuple(link.pattern() for link in links))) if links else None
    condition = conditions[0] if len(conditions) == 1 else AllOf(tuple(conditions), ("roleName", ""))
    return PolicyTree(policy_id, str(body["engine"]), links, linked, condition)


def compile_policy(policy_id: str, version: str, body: Mapping[str, object], engines: Engines) -> CompiledPolicy:
    """Compile a stored policy.

    :param version: the resource's version.
    :raises Rejected: as :func:`parse_policy`.
    """
    tree = parse_policy(policy_id, body, engines)
    return CompiledPolicy(
        id=policy_id,
        version=version,
        engine=tree.engine,
        links=tree.links,
        concerns=None if tree.linked is None else tree.linked.compile(),
        allows=tree.condition.compile(),
        reads=_shared(frozenset[str]().union(*(condition.reads for condition in tree.conditions))),
        deterministic=all(condition.deterministic for condition in tree.conditions),
        equalities=fileable(tree.equalities()),
    )


@lru_cache(maxsize=1024)
def _shared(parts: frozenset[str]) -> frozenset[str]:
    """One set in place of all that are equal: policies are many, and read much the same."""
    return parts


def has_role(role: str) -> Condition:
    """That the user has a role: ``roles`` of the User resource is its name, or a list with it, as a text or as SCIM
    writes it, ``{"value": "…"}`` (:rfc:`7643#section-4.1.2`)."""
    named = Literal(role)
    one = OneOf((named, Fields(("value",), (named,))))
    return Matches(Fields(("user",), (Fields(("roles",), (OneOf((named, Contains(one))),)),)))


def _own(body: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in body.items() if name not in _COMMON}


def _role(body: Mapping[str, object]) -> Sequence[Condition]:
    if "roleName" not in body:
        return ()
    role = body["roleName"]
    if not isinstance(role, str) or not role.strip():
        raise Rejected.at("roleName", "say the name of a role, or leave it out")
    return (has_role(role),)


def _links(body: Mapping[str, object]) -> tuple[tuple[Link, ...], list[Issue]]:
    if "link" not in body:
        return (), []
    written = body["link"]
    if not isinstance(written, list | tuple) or not written:
        return (), [Issue("", "link", "say a list with at least one link, or leave it out for a policy without links")]
    links: list[Link] = []
    issues: list[Issue] = []
    for index, entry in enumerate(written):
        try:
            links.append(_link(entry))
        except Rejected as rejected:
            issues.extend(rejected.within("", f"link.{index}").issues)
    return tuple(links), issues


def _link(entry: object) -> Link:
    match entry:
        case {"reference": str(reference), **others} if not others:
            # An id may hold slashes: a client can be known by a URL.
            kind, _, identifier = reference.partition("/")
            path = "reference"
        case {"resourceType": str(kind), "id": str(identifier), **others} if not others:
            path = "resourceType"
        case _:
            raise Rejected.at("", 'a link is {"reference": "User/…"} or {"resourceType": "User", "id": "…"}')
    if kind not in LINKED_PARTS or not identifier:
        raise Rejected.at(path, f"a link names one of {', '.join(f'{kind}/…' for kind in LINKED_PARTS)}")
    return Link(kind, identifier)
