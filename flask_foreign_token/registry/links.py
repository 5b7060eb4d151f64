"""What becomes of introspectors: each with its provider, its keys, and whom it asks."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import Issue
from ..introspection.choosing import IssuerIntrospector
from ..introspection.endpoints import Endpoint
from ..introspection.jwt import JwtIntrospector
from ..users.provider import Provider
from ..users.signed_userinfo import SignedUserinfo
from .inquiry import Inquiry
from .parts import issues_of
from .resources import TokenIntrospector


class RemoteSource(NamedTuple):
    """Where keys are fetched, and how. Introspectors for which this is the same share the keys.

    :param ttl: seconds.
    :param rsa_algorithms: see :class:`.RemoteKeys`.
    """

    endpoint: Endpoint
    ttl: int
    rsa_algorithms: tuple[str, ...]


class Linked(NamedTuple):
    """An introspector with the provider that it is linked to.

    :param settings: the resource.
    :param provider: none: its tokens have no user.
    :param in_force: whether it is active, and its provider too. The tokens of a provider that was switched off are
        refused, rather than taken as those of nobody.
    :param source: where its keys come from; none: they are its own, or it has no need of any.
    :param issuer: whose tokens it takes; none: nobody says so, and the introspection endpoint's address stands for it.
    :param inquiry: whom it asks about opaque tokens; none: it takes no such tokens.
    :param signed: verifies userinfo that `provider` signs; none: nobody is asked for userinfo.
    :param signed_source: where keys are fetched for that alone; none: they are those of an introspector, or missing.
    """

    settings: TokenIntrospector
    introspector: IssuerIntrospector
    provider: Provider | None
    in_force: bool
    source: RemoteSource | None
    issuer: str | None
    inquiry: Inquiry | None
    signed: SignedUserinfo | None = None
    signed_source: RemoteSource | None = None

    @property
    def issues(self) -> tuple[Issue, ...]:
        """Why it is out of service: a secret of it must not be used."""
        if self.inquiry is not None:
            return self.inquiry.issues
        return issues_of(self.introspector.keys) if isinstance(self.introspector, JwtIntrospector) else ()


class Links(NamedTuple):
    """What became of all introspectors.

    :param linked: those that nothing is wrong with.
    :param reserved: what the opaque tokens of the others begin with.
    """

    linked: tuple[Linked, ...]
    reserved: frozenset[str]
