"""Policies, tried one after the other when a request comes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from .policy import CompiledPolicy, Link
from .request import RequestView

logger = logging.getLogger("flask_foreign_token.policies")


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
            if allows(policy, view):
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
            if link in policy.links and allows(policy, view):
                return Decision(True, policy.id)
        return DENIED

    def _named(self, names: Sequence[str]) -> list[CompiledPolicy]:
        return [self._by_id[name] for name in names if name in self._by_id]


def allows(policy: CompiledPolicy, view: RequestView) -> bool:
    """Whether `policy` allows a request. One that raises does not, and is logged once."""
    try:
        # Only true is yes: an engine that answers something else, a coroutine for instance, has not decided.
        return (policy.concerns is None or policy.concerns(view) is True) and policy.allows(view) is True
    except Exception as error:  # noqa: BLE001 - whatever goes wrong in an engine means deny
        failure = type(error).__name__
        if failure not in policy.failures:
            policy.failures.add(failure)
            # Only the class: the text of an exception may hold what a caller sent.
            logger.error("AccessPolicy/%s does not allow what it cannot evaluate: %s", policy.id, failure)
        return False
