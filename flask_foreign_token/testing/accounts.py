"""Who the issuer knows: clients and people."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from uuid import NAMESPACE_URL, uuid5


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who logs in.

    :param username: what the password grant asks for, and `preferred_username`.
    :param password: likewise.
    :param claims: what else is known of them, ``{"email": …, "email_verified": True, "given_name": …}``. Claims that
        OpenID Connect files under a scope are told only to tokens of that scope, others always.
    """

    username: str
    password: str = field(repr=False)
    claims: Mapping[str, object] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        """`sub`: a UUID that follows from the username, the same in every run, unless `claims` has another."""
        return str(self.claims.get("sub", uuid5(NAMESPACE_URL, self.username)))

    @property
    def profile(self) -> Mapping[str, object]:
        """Everything that is known of them."""
        known = {"sub": self.subject, "email_verified": False, "preferred_username": self.username}
        return MappingProxyType({**known, **self.claims})


@dataclass(frozen=True, slots=True)
class Client:
    """A program that asks for tokens; confidential, and allowed the client credentials and password grants.

    :param id: its `client_id`.
    :param secret: what it authenticates with, by HTTP Basic or in the form (:rfc:`6749#section-2.3.1`).
    :param scopes: what it may ask for. Asking for nothing gets it all of them but `openid`, as with Keycloak, whose
        userinfo then refuses the token.
    """

    id: str
    secret: str = field(repr=False)
    scopes: tuple[str, ...] = ("openid", "profile", "email")

    @property
    def service_account(self) -> Person:
        """Who its tokens stand for when nobody logged in (:rfc:`6749#section-4.4`). Nobody logs in as it."""
        return Person(f"service-account-{self.id}", password="")

    def check_client_secret(self, secret: str) -> bool:
        """Whether `secret` is this client's; asked by Authlib, like the methods that follow."""
        return hmac.compare_digest(self.secret.encode(), secret.encode())

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Whether the client may authenticate by `method`: by any that the endpoint offers."""
        return True

    def check_grant_type(self, grant_type: str) -> bool:
        """Whether the client may use `grant_type`: any that the issuer offers."""
        return True

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """What is granted when `scope` is asked for; ``None`` when that is more than the client may have."""
        if not scope:
            return " ".join(name for name in self.scopes if name != "openid")
        return scope if set(self.scopes).issuperset(scope.split()) else None


TUTORIAL_CLIENT = Client("my-client", "my-client-secret")
TUTORIAL_PERSON = Person(
    "testuser",
    "testpass123",
    {
        "name": "Test User",
        "given_name": "Test",
        "family_name": "User",
        "email": "testuser@example.com",
        "email_verified": True,
    },
)
