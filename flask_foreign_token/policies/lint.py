"""What is probably not meant in a policy, though it says something."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ..errors import Issue
from .allow import Allow
from .anonymous import asks_nobody, gaps, lets_in
from .engines import Engines
from .failures import FAILURES
from .policy import PolicyTree, parse_policy
from .request import IDENTITY
from .whom import Link

MAX_WARNINGS: Final = 100
"""Warnings of one policy."""

_ROLE: Final = "roleName"
_ANYBODY: Final = (
    "names no user, client or token, so it lets everybody in; ask for one of them, or link it to the Operation if "
    "everybody is meant"
)
_ALSO_ANYBODY: Final = (
    "has alternatives in which no user, client or token is asked for, so it lets everybody in; ask for one of them in "
    "each, or link it to the Operation if everybody is meant"
)
_EVERYTHING: Final = (
    "lets everybody into every view; link it to a User, a Client or an Operation, or say who with matcho"
)
_ALTERNATIVES: Final = (
    "links are alternatives, so the Operation is open to everybody; link it to the Operation alone if that is meant, "
    'or say the operation in the pattern, {"operation": {"id": "…"}}'
)


def lint(policy_id: str, body: Mapping[str, object], engines: Engines) -> list[Issue]:
    """What is probably not meant in an AccessPolicy: each with its path from the top of `body`, the reason, and what to
    say instead.

    :param policy_id: the resource's id; `body` may leave it out.
    :return: at most :data:`MAX_WARNINGS`.
    :raises Rejected: as :func:`.parse_policy`; then it is no matter of warnings.
    """
    tree = parse_policy(policy_id, body, engines)
    try:
        found = [*_of_condition(tree), *_of_links(tree), *_of_callers(tree)]
    except FAILURES as error:
        # What an engine of another package does wrong there must not keep a policy from being saved.
        found = [Issue("", "engine", f"the engine cannot tell what may be wrong: {type(error).__name__}")]
    name = f"AccessPolicy/{policy_id}"
    return [issue.within(name) for issue in dict.fromkeys(found)][:MAX_WARNINGS]


def _of_condition(tree: PolicyTree) -> Iterator[Issue]:
    for issue in tree.condition.warnings():
        # The pattern that a role becomes is not the operator's.
        if issue.path.partition(".")[0] != _ROLE:
            yield issue


def _of_links(tree: PolicyTree) -> Iterator[Issue]:
    seen: dict[Link, int] = {}
    for index, link in enumerate(tree.links):
        first = seen.setdefault(link, index)
        if first != index:
            yield Issue("", f"link.{index}", f"stands in link.{first} already; leave it out")


def _of_callers(tree: PolicyTree) -> Iterator[Issue]:
    if tree.linked is not None and not lets_in(tree.linked):
        return
    kinds = {link.kind for link in tree.links}
    if len(kinds) > 1 and lets_in(tree.condition):
        yield Issue("", "link", _ALTERNATIVES)
    for gap in gaps(tree.condition):
        yield Issue("", gap.path, f"lets anonymous requests in, {gap.why}")
    if tree.links or not asks_nobody(tree.condition):
        return
    if isinstance(tree.condition, Allow):
        yield Issue("", "engine", _EVERYTHING)
    else:
        yield Issue("", "", _ALSO_ANYBODY if tree.condition.reads & IDENTITY else _ANYBODY)
