"""Policies that no request can meet, and those that probably mean something else."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..errors import Issue
from ..policies.condition import Alternatives, Equality
from ..policies.matcho.tree import Scalar
from ..policies.policy import CompiledPolicy
from ..policies.whom import LINKED_PARTS, Link
from ..printable import shown
from ..registry.snapshot import RegistrySnapshot
from . import remedies
from .findings import Finding
from .left_out import left_out
from .routes import Routes

_NAMED = 3
# Alternatives of a policy that are named.
_USER = ("user", "id")
_OF_SEVERAL = "{} policies; nothing speaks against any of them"
_KINDS: Mapping[tuple[str, ...], str] = {(part, "id"): kind for kind, part in LINKED_PARTS.items()}

StoredUsers = Callable[[Collection[str]], Collection[str] | None]
"""Those of some texts that are ids of stored users; none: that cannot be told."""

Lint = Callable[[str, Mapping[str, object]], Iterable[Issue]]
"""What is probably not meant in the policy of that id, with that body."""


def check_policies_met(snapshot: RegistrySnapshot, routes: Routes, stored_users: StoredUsers) -> Iterator[Finding]:
    """Name the policies in force that no request could ever meet; one line where there are none.

    A policy is named where of something that it asks for every alternative is impossible, and nothing is said where
    that is in doubt.

    :param stored_users: called at most once, with all users that policies name.
    """
    policies = sorted(snapshot.policies, key=lambda policy: policy.id)
    obstacles = _Obstacles(snapshot, routes, _known(policies, stored_users))
    found = [(policy.id, reason) for policy in policies if (reason := obstacles.of(policy)) is not None]
    for id_, reason in found:
        yield Finding("policies", "warning", f"no request can meet AccessPolicy/{id_}: {reason}", remedies.UNMET)
    if policies and not found:
        counted = "1 policy; nothing speaks against its" if len(policies) == 1 else _OF_SEVERAL.format(len(policies))
        yield Finding("policies", "ok", f"{counted} being met")


def check_policies_meant(snapshot: RegistrySnapshot, lint: Lint) -> Iterator[Finding]:
    """Say of the policies in force what is said of them when they are stored, as that one lets everybody in; nothing
    where there is nothing to say.

    :param lint: see :func:`.policies.lint.lint`.
    """
    for id_, body in sorted(snapshot.policy_bodies.items()):
        if id_ in snapshot.policies:
            yield from (Finding("policies", "warning", str(issue), remedies.UNMEANT) for issue in lint(id_, body))


def _known(policies: Collection[CompiledPolicy], stored_users: StoredUsers) -> Collection[str] | None:
    equalities = (equality for policy in policies for group in policy.equalities for equality in group)
    named = {value for path, value in equalities if path == _USER and isinstance(value, str)}
    return stored_users(named) if named else ()


@dataclass(frozen=True, slots=True)
class _Issuers:
    """Whose tokens can come; none: that cannot be told.

    :param of_jwts: of those that are verified here.
    :param of_answers: that introspection can name.
    """

    of_jwts: frozenset[str | None] | None
    of_answers: frozenset[str | None] | None

    @classmethod
    def of(cls, snapshot: RegistrySnapshot) -> _Issuers:
        if left_out(snapshot):
            # Once that is mended, others come, and the policies for them are meant.
            return cls(None, None)
        links = [link for link in snapshot.linked if link.in_force]
        of_jwts = frozenset(link.settings.jwt.iss for link in links if link.settings.type == "jwt")
        of_answers = frozenset(link.issuer for link in links if link.settings.type != "jwt")
        return cls(of_jwts, None if None in of_answers else of_answers)


class _Obstacles:
    """What keeps requests from policies.

    :param users: the ids that are stored, of those that policies name; none: that cannot be told.
    """

    def __init__(self, snapshot: RegistrySnapshot, routes: Routes, users: Collection[str] | None) -> None:
        self._routes = routes
        self._users = users
        self._issuers = _Issuers.of(snapshot)
        self._told: dict[tuple[Equality, type[Scalar]], str | None] = {}

    def of(self, policy: CompiledPolicy) -> str | None:
        """Why no request can meet it; none: one might."""
        found = (self._of_all(policy, group) for group in policy.equalities)
        return next((reason for reason in found if reason is not None), None) or self._of_pairs(policy)

    def _of_all(self, policy: CompiledPolicy, group: Alternatives) -> str | None:
        reasons: dict[str, None] = {}
        for equality in group:
            reason = self._of_one(equality)
            if reason is None:
                return None
            reasons[f"{_written(policy, equality)}, {reason}"] = None
        return _first(list(reasons))

    def _of_pairs(self, policy: CompiledPolicy) -> str | None:
        """Why no method that it asks for is answered at any path that it asks for; none: one might be."""
        methods, paths = (_pinned(policy, part) for part in ("request-method", "uri"))
        pairs = [(method, path) for method in methods for path in paths]
        if not pairs or any(map(self._is_answered, pairs)):
            return None
        named = [f"request-method = {shown(method.value)} at uri = {shown(path.value)}" for method, path in pairs]
        return _first([f"it asks for {pair}, and no view there answers such a request" for pair in named])

    def _is_answered(self, pair: tuple[Equality, Equality]) -> bool:
        if any(self._of_one(equality) is not None for equality in pair):
            return False
        (_, method), (_, path) = pair
        return not isinstance(method, str) or not isinstance(path, str) or self._routes.answers(method, path)

    def _of_one(self, equality: Equality) -> str | None:
        # By type too, since 1 and true are equal to Python.
        key = equality, type(equality.value)
        if key not in self._told:
            self._told[key] = self._obstacle(equality)
        return self._told[key]

    def _obstacle(self, equality: Equality) -> str | None:
        match equality:
            case (("operation", "id"), value):
                return self._of_operation(value)
            case (("user", "id"), str(value)) if self._users is not None and value not in self._users:
                return "and no such user is stored"
            case (("jwt", "iss"), value) if self._issuers.of_jwts is not None:
                unknown = value not in self._issuers.of_jwts
                return "and no introspector in force takes JWTs of that issuer" if unknown else None
            case (("token", "iss"), value) if self._issuers.of_answers is not None:
                unknown = value not in self._issuers.of_answers
                return "and no introspector in force takes opaque tokens of that issuer" if unknown else None
            case (("request-method",), value) if self._routes.methods is not None:
                return "and no view answers such a request" if value not in self._routes.methods else None
            case (("uri",), str(value)) if not self._routes.leads_somewhere(value):
                return "and no route leads there"
            case _:
                return None

    def _of_operation(self, value: Scalar) -> str | None:
        if value in self._routes.operations:
            return None
        if value in self._routes.switched_off:
            return "which is the operator's, and not there without FOREIGN_TOKEN_ADMIN_URL_PREFIX"
        return "and the app has no such endpoint"


def _pinned(policy: CompiledPolicy, part: str) -> Alternatives:
    """What a part of the request must equal one of; nothing: it may be anything."""
    groups = (group for group in policy.equalities if all(equality.path == (part,) for equality in group))
    return min(groups, key=len, default=())


def _first(reasons: Sequence[str]) -> str:
    more = [f"and {len(reasons) - _NAMED} more"] if len(reasons) > _NAMED else []
    return "; ".join([*reasons[:_NAMED], *more])


def _written(policy: CompiledPolicy, equality: Equality) -> str:
    """What it asks for, as somebody wrote it."""
    path, value = equality
    kind = _KINDS.get(path)
    if kind is not None and isinstance(value, str) and Link(kind, value) in policy.links:
        return f"its link is {kind}/{shown(value)}"
    return f"it asks for {'.'.join(path)} = {shown(value)}"
