"""How a provider names a user, and what it says about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Pair = tuple[str, str]
"""System and value of an identifier."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """A row of ``foreign_token_identifier``. Times are seconds since the epoch.

    :param issuer: the one that vouched for it first.
    :param data: userinfo, as it came.
    :param attributes: what :func:`~.to_scim.to_scim` made of it.
    :param version: raised by every change of what is above it, and of `written`.
    :param refreshed_at: when the provider was last asked; none: nobody knows.
    :param written: attributes as an operator wrote them, which stand before what any provider says; one that is none
        hides what they say.
    :param verified_email: the address that the provider itself said it has verified, in one answer. What somebody else
        wrote as `data` says nothing of the kind.
    """

    system: str
    value: str = field(repr=False)
    issuer: str
    data: Mapping[str, object] = field(repr=False)
    attributes: Mapping[str, object] = field(repr=False)
    inactive: bool
    version: int
    created_at: float
    updated_at: float
    refreshed_at: float | None = None
    written: Mapping[str, object] = field(default_factory=dict, repr=False)
    verified_email: str | None = field(default=None, repr=False)

    @property
    def pair(self) -> Pair:
        """What names it."""
        return self.system, self.value
