"""The policies of one moment, and what they say of a request."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from ..introspection.token import Memo, Token
from ..telling import tell
from .alternatives import CHEAP
from .condition import Alternatives, Decide
from .failures import FAILURES
from .index import Filing, Index
from .policy import TOKEN_PARTS, CompiledPolicy
from .request import RequestView, method_of

logger = logging.getLogger("flask_foreign_token.policies")


class Decision(NamedTuple):
    """What policies say of a request.

    :param policy: the id of the policy that allows it; none when none does.
    """

    allowed: bool
    policy: str | None


DENIED: Final = Decision(False, None)


REMEMBERED: Final = 100
"""Policies of which is remembered, for each token, whether it is one that they ask for: guards name few of them, and an
explanation every one that there is."""
FEW: Final = 8
"""So many policies are asked one after the other rather than looked for: that takes 2.5 µs, and each of them 0.2 or
1."""

_ADDRESS: Final = frozenset({"uri", "request-method"})
_NO_REQUEST: Final[Any] = None


class Prospect(NamedTuple):
    """What the policies come to for one token.

    :param policy: the id of the one that allows whatever the token is brought for; none: none does.
    :param left: the places, among those that look at the request as well, of the few that ask for such a token; none:
        they must be looked for.
    """

    policy: str | None
    left: tuple[int, ...] | None


class Policies:
    """The policies of one state of the registry.

    Those that look at nothing but the token come first, since they are asked once for each token; then the others. Of
    both, each policy has its place in the order given.

    :param policies: those that are active; their ids differ.
    :param filings: those before a change, of those that look at nothing but the token and of the others.
    """

    def __init__(
        self, policies: Iterable[CompiledPolicy], filings: tuple[Filing | None, Filing | None] = (None, None)
    ) -> None:
        self._given = tuple(policies)
        self._by_id = {policy.id: policy for policy in self._given}
        self._of_token = Index((policy for policy in self._given if policy.of_request is None), filings[0])
        self._of_request = Index((policy for policy in self._given if policy.of_request is not None), filings[1])
        self._of_operation = _by_operation(self._given)
        self._few = _few(self._of_request) if len(self._of_request) <= FEW else ()
        self._by_address = bool(self._few) and all(policy.reads <= _ADDRESS for policy, _ in self._few)
        # Not the policies themselves, which a token that nobody shows any more would keep in memory.
        self._owner = object()
        self._of_nobody = Memo()
        self._prospects: dict[Prospect, Prospect] = {}
        """Those there are, since thousands of tokens share few of them."""

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

    def after(self, policies: Sequence[CompiledPolicy]) -> Policies:
        """Those of a later state; the same, with all that is remembered of tokens, where it has the same policies in
        the same order."""
        if self._given == tuple(policies):
            return self
        return Policies(policies, (self._of_token.filing, self._of_request.filing))

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
        # A view that was described, or into which parts were put, is not that of its token.
        if type(view) is not RequestView or not TOKEN_PARTS.isdisjoint(view):
            named = (self._by_id[name] for name in names if name in self._by_id)
            return _first(named if names else self.candidates(view), view)
        if names:
            return self._decide_named(view, names)
        prospect = self.prospect(view.token)
        policy = self.allowing(view, prospect) if prospect.policy is None else prospect.policy
        return DENIED if policy is None else Decision(True, policy)

    def prospect(self, token: Token | None) -> Prospect:
        """What there is to say of all requests with `token`; found out once for each."""
        memo = self._of_nobody if token is None else token.memo
        known = memo.prospect
        if known is not None and known[0] is self._owner:
            remembered: Prospect = known[1]
            return remembered
        asked = self._prospect(token)
        prospect = self._prospects.setdefault(asked, asked)
        memo.prospect = self._owner, prospect
        return prospect

    def allowing(self, view: RequestView, prospect: Prospect) -> str | None:
        """As :meth:`decide`, the id of the policy, of those that look at more than the token.

        :param prospect: of the token of that request.
        """
        if prospect.left is None:
            return _first(self._of_request.candidates(view), view).policy
        for place in prospect.left:
            policy, of_request = self._few[place]
            if _says(policy, of_request, view):
                return policy.id
        return None

    def allowing_by_address(self, path: str, method: str, prospect: Prospect) -> str | None:
        """As :meth:`allowing`; none also where this does not tell, since policies look at more than these two.

        It takes 0.8 µs less than to put a view together.
        """
        if not self._by_address or prospect.left is None:
            return None
        address: Any = {"uri": path, "request-method": method_of(method)}
        try:
            for place in prospect.left:
                policy, of_request = self._few[place]
                if of_request(address) is True:
                    return policy.id
        except FAILURES:
            # All are asked once more, of a view, and it is noted then.
            return None
        return None

    def decide_operation(self, view: RequestView, endpoint: str) -> Decision:
        """Whether a policy opens one of the operator's endpoints; only one with a link to that very endpoint can.

        Links are alternatives, so its other links do not matter then; what its engine says does.

        :param view: of an authenticated caller; to an anonymous one nothing opens.
        :param endpoint: Flask's name for it.
        """
        if view.token is None:
            return DENIED
        return _first(self._of_operation.get(endpoint, ()), view)

    def _prospect(self, token: Token | None) -> Prospect:
        # Without the request, so that what is remembered cannot depend on it.
        view = RequestView(_NO_REQUEST, token, None)
        for policy in self._of_token if len(self._of_token) <= FEW else self._of_token.candidates(view):
            if _says(policy, policy.of_token, view):
                return Prospect(policy.id, None)
        if len(self._few) < len(self._of_request):
            return Prospect(None, None)
        few = enumerate(self._few)
        return Prospect(None, tuple([place for place, (policy, _) in few if _says(policy, policy.of_token, view)]))

    def _decide_named(self, view: RequestView, names: Sequence[str]) -> Decision:
        for name in names:
            policy = self._by_id.get(name)
            if policy is None or not self._asks_for(view.token, policy):
                continue
            if _says(policy, policy.of_request, view):
                return Decision(True, name)
        return DENIED

    def _asks_for(self, token: Token | None, policy: CompiledPolicy) -> bool:
        """Whether `token` is such as `policy` asks for; found out once for each."""
        memo = self._of_nobody if token is None else token.memo
        known: dict[str, bool] = memo.of(self._owner)
        found = known.get(policy.id)
        if found is None:
            found = _says(policy, policy.of_token, RequestView(_NO_REQUEST, token, None))
            if len(known) < REMEMBERED:
                known[policy.id] = found
        return found


def _few(policies: Iterable[CompiledPolicy]) -> tuple[tuple[CompiledPolicy, Decide], ...]:
    """What is asked of requests, if none of it is dear, as the body is to build and a database to ask; else nothing."""
    few = tuple((policy, policy.of_request) for policy in policies if policy.of_request is not None)
    return few if all(policy.deterministic and policy.reads <= CHEAP for policy, _ in few) else ()


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
    return _says(policy, policy.allows, view)


def _says(policy: CompiledPolicy, decide: Decide | None, view: RequestView) -> bool:
    """As :func:`allows`, of what a part of `policy` decides; none: it has no such part."""
    try:
        # Only true is yes: an engine that answers something else, a coroutine for instance, has not decided.
        return decide is None or decide(view) is True
    except FAILURES as error:
        failure = type(error).__name__
        view.raised = {**view.raised, policy: failure}
        if view.is_made and failure not in policy.failures:
            policy.failures += (failure,)
            # Only the class: the text of an exception may hold what a caller sent.
            text = "AccessPolicy/%s does not allow what it cannot evaluate: %s"
            tell(logger, logging.ERROR, text, policy.id, failure)
        return False
