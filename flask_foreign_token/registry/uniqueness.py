"""What must differ between resources: each token has one introspector, each user one issuer and one provider."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..faults import Faults
from .parts import ProviderPart

if TYPE_CHECKING:
    from .linking import Linked


def refuse_shared_systems(providers: Iterable[ProviderPart], faults: Faults) -> None:
    """Two providers with one system could each make the other's users."""
    first: dict[str, str] = {}
    for part in providers:
        id_, system = part.settings.id, part.settings.system
        if first.setdefault(system, id_) != id_:
            reason = (
                f"IdentityProvider/{first[system]} has the same; the users of each provider need a system of their own"
            )
            faults.add(f"IdentityProvider/{id_}", "system", reason)


def refuse_second_issuers(linked: Sequence[Linked], faults: Faults) -> None:
    """Two issuers behind one provider could each name the other's users.

    An introspector that names no issuer speaks for that of its provider.
    """
    first: dict[str, Linked] = {}
    # Those that name an issuer before those that follow them.
    for link in sorted(linked, key=lambda link: link.settings.jwt.iss is None):
        provider = link.settings.identity_provider
        if provider is None:
            continue
        other = first.setdefault(provider, link)
        if other is link or link.introspector.issuer == other.introspector.issuer:
            continue
        place = f"{other.settings.name} is linked to IdentityProvider/{provider} already"
        if link.settings.jwt.iss is not None:
            reason = f"{place}; the users of each issuer need a provider of their own"
        else:
            reason = f"{place}, and asks elsewhere; give issuer there, so that it is seen that both are of one issuer"
        faults.add(link.settings.name, "identity_provider.reference", reason)


def refuse_shared_issuers(linked: Iterable[Linked], faults: Faults) -> None:
    """A JWT goes to one introspector."""
    first: dict[str, Linked] = {}
    for link in linked:
        issuer = link.settings.jwt.iss
        if not link.in_force or issuer is None or first.setdefault(issuer, link) is link:
            continue
        other = first[issuer].settings
        if other.type == link.settings.type:
            remedy = "set active to false for one of the two"
        else:
            remedy = "leave jwt.iss out of the one of type opaque, or make one of the two inactive"
        faults.add(link.settings.name, "jwt.iss", f"{other.name} has the same; {remedy}")


def refuse_shared_prefixes(linked: Iterable[Linked], faults: Faults) -> None:
    """An opaque token goes to one introspector, so that no provider sees that of another."""
    opaque = [link for link in linked if link.in_force and link.settings.type == "opaque"]
    if len(opaque) < 2:
        return
    # In this order every text follows the one that it begins with, and nothing but such texts is between them.
    shortest: Linked | None = None
    for link in sorted(opaque, key=lambda link: link.settings.token_prefix or ""):
        prefix = link.settings.token_prefix
        if prefix is None:
            other = next(other for other in opaque if other is not link).settings.name
            reason = f"is required beside {other}, since no token may go to both"
            faults.add(link.settings.name, "token_prefix", reason)
        elif shortest is not None and prefix.startswith(shortest.settings.token_prefix or ""):
            reason = f"begins as that of {shortest.settings.name} does, and no token may go to both"
            faults.add(link.settings.name, "token_prefix", reason)
        else:
            shortest = link
