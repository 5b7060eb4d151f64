"""Policies: compiled when the registry is read, tried one after the other when a request comes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol

from ..errors import Issue, Rejected
from . import matcho
from .matcho_compile import compile_pattern
from .matcho_tree import Fields, Literal, Node, OneOf, reads
from .request import RequestView

logger = logging.getLogger("flask_foreign_token.policies")

LINKED_PARTS: Final[Mapping[str, str]] = MappingProxyType(
    {"User": "user", "Client": "client", "Operation": "operation"}
)
"""What a link can name, and the part of the request whose ``id`` it is compared with."""

_COMMON: Final = frozenset({"resourceType", "id", "meta", "active", "description", "link"})
"""What every policy can say, whatever its engine."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What an engine made of a policy.

    :param allows: whether a request is allowed; raises when that cannot be told, which denies.
    :param reads: the parts of the request that it can look at, every one of them.
    """

    allows: Callable[[RequestView], bool]
    reads: frozenset[str]


class PolicyEngine(Protocol):
    """One way of writing policies."""

    def compile(self, policy: Mapping[str, object]) -> Condition:
        """Turn what a policy says into a condition.

        :param policy: the attributes that are the engine's own, ``matcho`` for instance.
        :raises Rejected: one is unknown, missing or wrong; paths begin with the attribute.
        """


class AllowEngine:
    """``allow``: every request."""

    def compile(self, policy: Mapping[str, object]) -> Condition:
        _refuse_unknown(policy, frozenset())
        return Condition(lambda view: True, frozenset())


class MatchoEngine:
    """``matcho``: a request that matches the pattern in ``matcho``."""

    def compile(self, policy: Mapping[str, object]) -> Condition:
        _refuse_unknown(policy, frozenset({"matcho"}))
        pattern = policy.get("matcho")
        if not isinstance(pattern, dict):
            raise Rejected.at("matcho", 'the engine matcho wants a pattern here, an object such as {"jwt": "present?"}')
        try:
            condition = _condition(matcho.parse(pattern))
        except Rejected as rejected:
            raise rejected.within("", "matcho") from None
        if not condition.reads:
            raise Rejected.at(
                "matcho", "the pattern looks at nothing in the request; say engine: allow if that is meant"
            )
        return condition


ENGINES: Final[Mapping[str, PolicyEngine]] = MappingProxyType({"allow": AllowEngine(), "matcho": MatchoEngine()})
"""The engines by the name that a policy gives."""


def _refuse_unknown(policy: Mapping[str, object], known: frozenset[str]) -> None:
    unknown = [name for name in policy if name not in known]
    if unknown:
        raise Rejected([Issue("", name, "the policy's engine has no such attribute") for name in unknown])


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
class CompiledPolicy:
    """One state of an AccessPolicy, ready to decide.

    :param version: changes whenever the resource does.
    :param engine: a key of :data:`ENGINES`.
    :param links: alternatives; none: it concerns every request.
    :param concerns: whether one of the links names the request's user, client or operation; asked before `allows`.
    :param allows: what the engine made of the policy; raises when that cannot be told.
    :param reads: the parts of the request that `concerns` and `allows` can look at.
    :param failures: the exceptions that were logged, by class; each is logged once for a version of the policy.
    """

    id: str
    version: str
    engine: str
    links: tuple[Link, ...]
    concerns: Callable[[RequestView], bool]
    allows: Callable[[RequestView], bool]
    reads: frozenset[str]
    failures: set[str] = field(default_factory=set, repr=False, compare=False)


def compile_policy(policy_id: str, version: str, body: Mapping[str, object]) -> CompiledPolicy:
    """Compile a stored policy.

    :param policy_id: the resource's id; `body` may leave it out.
    :param version: the resource's version.
    :param body: the AccessPolicy as it is stored.
    :raises Rejected: it says something unknown or wrong; the paths lead from the top of `body`.
    """
    links, wrong_links = _links(body)
    try:
        condition = compile_condition({name: value for name, value in body.items() if name not in _COMMON})
    except Rejected as rejected:
        raise Rejected([*rejected.issues, *wrong_links]) from None
    if wrong_links:
        raise Rejected(wrong_links)
    linked = _linked(links)
    return CompiledPolicy(
        policy_id, version, str(body["engine"]), links, linked.allows, condition.allows, linked.reads | condition.reads
    )


def compile_condition(policy: Mapping[str, object]) -> Condition:
    """Let the engine that a policy names compile it.

    :param policy: ``engine`` and that engine's own attributes.
    :raises Rejected: there is no such engine, or it refuses the rest.
    """
    name = policy.get("engine")
    engine = ENGINES.get(name) if isinstance(name, str) else None
    if engine is None:
        raise Rejected.at("engine", f"there is no such engine, only {', '.join(ENGINES)}")
    return engine.compile({attribute: value for attribute, value in policy.items() if attribute != "engine"})


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


def _linked(links: Sequence[Link]) -> Condition:
    if not links:
        return Condition(lambda view: True, frozenset())
    return _condition(OneOf(tuple(link.pattern() for link in links)))


def _condition(tree: Node) -> Condition:
    matches = compile_pattern(tree)
    return Condition(lambda view: matches(view, view), reads(tree))


@dataclass(frozen=True, slots=True)
class Decision:
    """What policies say of a request.

    :param policy: the id of the policy that allows it; none when none does.
    """

    allowed: bool
    policy: str | None


DENIED: Final = Decision(False, None)


class Policies:
    """The policies of one state of the registry.

    :param policies: those that are active; their ids differ.
    """

    def __init__(self, policies: Iterable[CompiledPolicy]) -> None:
        self._by_id = {policy.id: policy for policy in policies}

    def __contains__(self, policy_id: object) -> bool:
        return policy_id in self._by_id

    def __len__(self) -> int:
        return len(self._by_id)

    def decide(self, view: RequestView, names: Sequence[str] = ()) -> Decision:
        """Try policies until one allows the request.

        A policy that raises does not allow, and does not keep the others from being tried.

        :param names: ids of the policies to try, unknown ones never allow; none: every policy.
        """
        candidates = self._named(names) if names else self._by_id.values()
        for policy in candidates:
            if _allows(policy, view):
                return Decision(True, policy.id)
        return DENIED

    def decide_operation(self, view: RequestView, endpoint: str) -> Decision:
        """Whether a policy opens one of the operator's endpoints; only one with a link to that very endpoint can.

        Links are alternatives, so its other links do not matter then; what its engine says does.

        :param view: of an authenticated caller; to an anonymous one nothing opens.
        :param endpoint: Flask's name for it.
        """
        link = Link("Operation", endpoint)
        for policy in self._by_id.values() if view.token is not None else ():
            if link in policy.links and _allows(policy, view):
                return Decision(True, policy.id)
        return DENIED

    def _named(self, names: Sequence[str]) -> list[CompiledPolicy]:
        return [self._by_id[name] for name in names if name in self._by_id]


def _allows(policy: CompiledPolicy, view: RequestView) -> bool:
    try:
        # Only true is yes: an engine that answers something else, a coroutine for instance, has not decided.
        return policy.concerns(view) and policy.allows(view) is True
    except Exception as error:  # noqa: BLE001 - whatever goes wrong in an engine means deny
        failure = type(error).__name__
        if failure not in policy.failures:
            policy.failures.add(failure)
            # Only the class: the text of an exception may hold what a caller sent.
            logger.error("AccessPolicy/%s does not allow what it cannot evaluate: %s", policy.id, failure)
        return False
