"""The policies of one moment, and what they say of a request."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from ..introspection.token import Token
from ..telling import tell
from .condition import Alternatives
from .failures import FAILURES
from .index import Index
from .policy import TOKEN_PARTS, CompiledPolicy
from .request import RequestView

logger = logging.getLogger("flask_foreign_token.policies")


class Decision(NamedTuple):
    """What policies say of a request.

    :param policy: the id of the policy that allows it; none when none does.
    """

    allowed: bool
    policy: str | None


DENIED: Final = Decision(False, None)


REMEMBERED: Final = 100
"""Decisions that are remembered of one token: guards name few policies, and an explanation every one that there is."""

_NO_REQUEST: Final[Any] = None


class Policies:
    """The policies of one state of the registry.

    Those that look at nothing but the token come first, since they are asked once for each token; then the others. Of
    both, each policy has its place in the order given.

    :param policies: those that are active; their ids differ.
    """

    def __init__(self, policies: Iterable[CompiledPolicy]) -> None:
        self._given = tuple(policies)
        self._by_id = {policy.id: policy for policy in self._given}
        self._of_token = Index(policy for policy in self._given if policy.rests_on_token)
        self._of_request = Index(policy for policy in self._given if not policy.rests_on_token)
        self._of_operation = _by_operation(self._given)
        # Not the policies themselves, which a token that nobody shows any more would keep in memory.
        self._owner = object()
        self._of_anonymous: dict[str | None, Decision] = {}

    def __contains__(self, policy_id: object) -> bool:
        return policy_id in self._by_id

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[CompiledPolicy]:
        """Every policy, in the order in which they are tried."""
        return (policy for index in (self._of_token, self._of_request) for policy in index)

    def get(self, policy_id: str) -> CompiledPolicy | None:
        """The policy of that id."""
        return self._by_id.get(policy_id)

    def are(self, policies: Iterable[CompiledPolicy]) -> bool:
        """Whether these are the very policies in `policies`, in that order."""
        return self._given == tuple(policies)

    def candidates(self, view: RequestView) -> list[CompiledPolicy]:
        """The policies that could allow a request, in the order in which they are tried. Never raises."""
        return [*self._of_token.candidates(view), *self._of_request.candidates(view)]

    def filed_under(self, policy_id: str) -> Alternatives:
        """See :meth:`.Index.filed_under`."""
        return self._of_token.filed_under(policy_id) or self._of_request.filed_under(policy_id)

    def decide(self, view: RequestView, names: Sequence[str] = ()) -> Decision:
        """Try candidates until one allows the request.

        A policy that raises does not allow, and does not keep the others from being tried.

        :param names: ids of the policies to try, unknown ones never allow; none: every policy.
        """
        if names:
            return self._decide_named(view, names)
        if self._of_token:
            decision = self._decide_by_token(view)
            if decision.allowed:
                return decision
        return _first(self._of_request.candidates(view), view)

    def decide_by_token(self, token: Token | None) -> Decision:
        """What those policies say that look at nothing but the token, which come first in :meth:`decide`."""
        return self._remembered_or_asked(token, None) if self._of_token else DENIED

    def rests_on_token(self, decision: Decision) -> bool:
        """Whether `decision`, of :meth:`decide`, allows every request with the same token."""
        policy = self._by_id.get(decision.policy or "")
        return policy is not None and policy.rests_on_token

    def rests_on_address(self, decision: Decision) -> bool:
        """Whether `decision`, of :meth:`decide`, allows every request with the same token, uri and method."""
        policy = self._by_id.get(decision.policy or "")
        return policy is not None and policy.rests_on_address

    def decide_operation(self, view: RequestView, endpoint: str) -> Decision:
        """Whether a policy opens one of the operator's endpoints; only one with a link to that very endpoint can.

        Links are alternatives, so its other links do not matter then; what its engine says does.

        :param view: of an authenticated caller; to an anonymous one nothing opens.
        :param endpoint: Flask's name for it.
        """
        if view.token is None:
            return DENIED
        return _first(self._of_operation.get(endpoint, ()), view)

    def _decide_named(self, view: RequestView, names: Sequence[str]) -> Decision:
        for name in names:
            policy = self._by_id.get(name)
            if policy is None:
                continue
            decision = self._decide_by_token(view, name) if policy.rests_on_token else _first((policy,), view)
            if decision.allowed:
                return decision
        return DENIED

    def _decide_by_token(self, view: RequestView, name: str | None = None) -> Decision:
        """What those say that look at nothing but the token, or the one that is named; asked once for each token."""
        # A view that was described, or into which parts were put, is not that of its token.
        if type(view) is not RequestView or not TOKEN_PARTS.isdisjoint(view):
            return self._ask_of_token(view, name)
        return self._remembered_or_asked(view.token, name)

    def _remembered_or_asked(self, token: Token | None, name: str | None) -> Decision:
        if token is not None and name is None:
            return self._known_or_asked(token)
        known: dict[str | None, Any] = self._of_anonymous if token is None else token.memo.of(self._owner)
        decision: Decision | None = known.get(name)
        if decision is None:
            # Without the request, so that what is remembered cannot depend on it.
            decision = self._ask_of_token(RequestView(_NO_REQUEST, token, None), name)
            if len(known) < REMEMBERED:
                known[name] = decision
        return decision

    def _known_or_asked(self, token: Token) -> Decision:
        """As :meth:`_remembered_or_asked`, of all of them."""
        known = token.memo.decision
        if known is not None and known[0] is self._owner:
            remembered: Decision = known[1]
            return remembered
        decision = self._ask_of_token(RequestView(_NO_REQUEST, token, None), None)
        token.memo.decision = self._owner, decision
        return decision

    def _ask_of_token(self, view: RequestView, name: str | None) -> Decision:
        asked = self._of_token.candidates(view) if name is None else (self._by_id[name],)
        return _first(asked, view)


def _by_operation(policies: Iterable[CompiledPolicy]) -> dict[str, list[CompiledPolicy]]:
    linked: dict[str, list[CompiledPolicy]] = {}
    for policy in (policy for policy in policies if policy.links):
        for link in dict.fromkeys(policy.links):
            if link.kind == "Operation":
                linked.setdefault(link.id, []).append(policy)
    return linked


def _first(policies: Iterable[CompiledPolicy], view: RequestView) -> Decision:
    for policy in policies:
        if allows(policy, view):
            return Decision(True, policy.id)
    return DENIED


def allows(policy: CompiledPolicy, view: RequestView) -> bool:
    """Whether `policy` allows a request. One that raises does not, and is logged once, unless it was only tried; `view`
    remembers what it was."""
    try:
        # Only true is yes: an engine that answers something else, a coroutine for instance, has not decided.
        return (policy.concerns is None or policy.concerns(view) is True) and policy.allows(view) is True
    except FAILURES as error:
        failure = type(error).__name__
        view.raised = {**view.raised, policy: failure}
        if view.is_made and failure not in policy.failures:
            policy.failures += (failure,)
            # Only the class: the text of an exception may hold what a caller sent.
            tell(
                logger,
                logging.ERROR,
                "AccessPolicy/%s does not allow what it cannot evaluate: %s",
                policy.id,
                failure,
            )
        return False
