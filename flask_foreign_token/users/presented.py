"""A token that was presented, and what its provider says of the one whom it names."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import InvalidToken
from ..introspection.token import Credential, Token
from .mapping import Identifier, is_too_deep, to_scim
from .provider import Provider
from .stored_user import identifier_id


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

    def ask(self, now: float) -> Identifier:
        """What the provider says, as a new identifier.

        :param now: seconds since the epoch.
        :raises InvalidToken: userinfo refuses the token, or is nested deeper than :data:`~.mapping.MAX_DEPTH`.
        :raises InsufficientScope: userinfo wants ``openid``.
        :raises ProviderUnavailable: userinfo cannot be had.
        """
        userinfo = self.provider.userinfo.userinfo(self.token, self.credential)
        attributes = to_scim(userinfo, self.provider.to_scim)
        if is_too_deep(userinfo) or is_too_deep(attributes):
            raise InvalidToken("userinfo is nested too deeply")
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
            refreshed_at=now,
        )
