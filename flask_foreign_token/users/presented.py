"""A token that was presented, and what its provider says of the one whom it names."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from ..introspection.token import Credential, Token
from .identifier import Identifier
from .nesting import TooDeep, is_too_deep
from .provider import Provider
from .stored_user import identifier_id
from .to_scim import to_scim
from .verified_email import verified_email


@dataclass(frozen=True, slots=True)
class Presented:
    """A token that names somebody.

    :param subject: of `token`.
    :param credential: what `token` was verified from; userinfo may be asked with it.
    """

    provider: Provider
    token: Token
    credential: Credential
    subject: str = field(repr=False)

    @property
    def identifier_id(self) -> str:
        """Names the subject among those of all providers."""
        return identifier_id(self.provider.system, self.subject)

    @property
    def digest(self) -> bytes:
        """Names the subject, and the token that it came with, for what must not be asked again for a moment."""
        return sha256(f"{self.identifier_id} {self.credential.token}".encode()).digest()

    def ask(self, clock: Callable[[], float], *, max_age: float = math.inf) -> Identifier:
        """What the provider says, as a new identifier.

        :param max_age: seconds; what the provider told another worker since then will do.
        :param clock: seconds since the epoch; looked at when the provider has answered.
        :raises InvalidToken: userinfo refuses the token, or speaks of somebody else.
        :raises TooDeep: no database can be relied on to hold what it says.
        :raises InsufficientScope: userinfo wants ``openid``.
        :raises ProviderUnavailable: userinfo cannot be had.
        """
        userinfo, refreshed_at = self._said(clock, max_age)
        if is_too_deep(userinfo):
            raise TooDeep
        attributes = to_scim(userinfo, self.provider.to_scim)
        if is_too_deep(attributes):
            raise TooDeep
        now = clock()
        return Identifier(
            system=self.provider.system,
            value=self.subject,
            issuer=self.token.issuer,
            data=dict(userinfo),
            attributes=attributes,
            inactive=False,
            version=1,
            created_at=now,
            updated_at=now,
            refreshed_at=refreshed_at,
            verified_email=verified_email(userinfo),
        )

    def _said(self, clock: Callable[[], float], max_age: float) -> tuple[Mapping[str, object], float]:
        """What the provider says, and when it did."""
        source = self.provider.userinfo
        remembered = source.remembered(self.token, self.credential)
        if remembered is not None and clock() - remembered.at < max_age:
            return remembered
        userinfo = source.userinfo(self.token, self.credential)
        return userinfo, clock()
