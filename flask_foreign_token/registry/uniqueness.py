"""What must differ between resources: each token has one introspector, each user one issuer and one provider."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from ..errors import Issue, Rejected
from ..faults import Faults
from .holdings import IntrospectorHolding, ProviderHolding
from .resources import Key


class Clash(NamedTuple):
    """Resources of which more than one has what only one may have.

    :param later: what is wrong with the last of them.
    :param earlier: what is wrong with each of those before it.
    """

    later: Issue
    earlier: tuple[Issue, ...]


class Blame:
    """Says what is wrong with which resource, and knows which have been blamed.

    :param faulty: resources that have faults of their own, so that no more need be said of them.
    :param tolerant: whether what is blamed is left out, and the others go on. Then all that clash are to blame, so that
        none of them is taken for the right one, and those whose provider is; else the last that clashes alone.
    """

    def __init__(self, faults: Faults, faulty: Iterable[Key], *, tolerant: bool) -> None:
        self._faults = faults
        self._faulty = frozenset(map("/".join, faulty))
        self._tolerant = tolerant
        self.names = set(self._faulty)

    def leaves_out(self, name: str) -> bool:
        """Whether the resource of that name is blamed, and the others must go on without it."""
        return self._tolerant and name in self.names

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """A block that ends when something in it is refused, and blames for it."""
        try:
            yield
        except Rejected as rejected:
            self._add(rejected.issues)

    def clashes(self, clashes: Iterable[Clash]) -> None:
        """Blame for each of them the last resource, or all."""
        said: dict[tuple[str, str], Issue] = {}
        for clash in clashes:
            issues = [issue for issue in (clash.later, *clash.earlier) if issue.resource not in self._faulty]
            for issue in issues if self._tolerant else issues[:1]:
                said.setdefault((issue.resource, issue.path), issue)
        self._add(said.values())

    def _add(self, issues: Iterable[Issue]) -> None:
        for issue in issues:
            self._faults.issues.append(issue)
            self.names.add(issue.resource)


def shared_systems(providers: Iterable[ProviderHolding]) -> Iterator[Clash]:
    """Two providers with one system could each make the other's users."""
    first: dict[str, ProviderHolding] = {}
    for holding in providers:
        if holding.system is None:
            continue
        other = first.setdefault(holding.system, holding)
        if other is not holding:
            yield Clash(_same_system(holding, other), (_same_system(other, holding),))


def second_issuers(holdings: Iterable[IntrospectorHolding]) -> Iterator[Clash]:
    """Two issuers behind one provider could each name the other's users.

    An introspector that names no issuer speaks for that of its provider.
    """
    seen: dict[str, list[IntrospectorHolding]] = {}
    # Those that name an issuer before those that follow them.
    for holding in sorted(holdings, key=lambda holding: holding.iss is None):
        if holding.provider is None or holding.issuer is None:
            continue
        before = seen.setdefault(holding.provider, [])
        others = [other for other in before if other.issuer != holding.issuer]
        before.append(holding)
        if others:
            yield Clash(_second_issuer(holding, others[0]), tuple([_second_issuer(other, holding) for other in others]))


def shared_issuers(holdings: Iterable[IntrospectorHolding]) -> Iterator[Clash]:
    """A JWT goes to one introspector."""
    first: dict[str, IntrospectorHolding] = {}
    for holding in holdings:
        if not holding.in_force or holding.iss is None:
            continue
        other = first.setdefault(holding.iss, holding)
        if other is not holding:
            yield Clash(_same_issuer(holding, other), (_same_issuer(other, holding),))


def shared_prefixes(holdings: Iterable[IntrospectorHolding]) -> Iterator[Clash]:
    """An opaque token goes to one introspector, so that no provider sees that of another.

    Of a prefix that nobody can tell it is said elsewhere what comes of it, see :class:`.Dependence`.
    """
    opaque = [
        holding for holding in holdings if holding.in_force and holding.type == "opaque" and not holding.hides_prefix
    ]
    # In this order every text follows the one that it begins with, and nothing but such texts is between them.
    shortest: IntrospectorHolding | None = None
    for holding in sorted(opaque, key=lambda holding: holding.prefix or ""):
        if holding.prefix is None:
            yield from _beside_no_prefix(holding, [other for other in opaque if other is not holding])
        elif shortest is not None and holding.prefix.startswith(shortest.prefix or ""):
            reason = "begins as that of {} does, and no token may go to both"
            yield Clash(
                Issue(holding.name, "token_prefix", reason.format(shortest.name)),
                (Issue(shortest.name, "token_prefix", reason.format(holding.name)),),
            )
        else:
            shortest = holding


def _beside_no_prefix(holding: IntrospectorHolding, others: Sequence[IntrospectorHolding]) -> Iterator[Clash]:
    if not others:
        return
    reason = f"is required beside {others[0].name}, since no token may go to both"
    beside = f"{holding.name} has none, so that its tokens may begin the same, and no token may go to both"
    yield Clash(
        Issue(holding.name, "token_prefix", reason),
        tuple([Issue(other.name, "token_prefix", beside) for other in others]),
    )


def _same_system(holding: ProviderHolding, other: ProviderHolding) -> Issue:
    return Issue(
        holding.name, "system", f"{other.name} has the same; the users of each provider need a system of their own"
    )


def _second_issuer(holding: IntrospectorHolding, other: IntrospectorHolding) -> Issue:
    place = f"{other.name} is linked to IdentityProvider/{holding.provider} already"
    if holding.iss is not None:
        reason = f"{place}; the users of each issuer need a provider of their own"
    else:
        reason = f"{place}, and asks elsewhere; give issuer there, so that it is seen that both are of one issuer"
    return Issue(holding.name, "identity_provider.reference", reason)


def _same_issuer(holding: IntrospectorHolding, other: IntrospectorHolding) -> Issue:
    if other.type == holding.type or None in (other.type, holding.type):
        remedy = "set active to false for one of the two"
    else:
        remedy = "leave jwt.iss out of the one of type opaque, or make one of the two inactive"
    return Issue(holding.name, "jwt.iss", f"{other.name} has the same; {remedy}")
