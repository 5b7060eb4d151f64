"""What was found, a line each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

Mark = Literal["ok", "warning", "failed", "skipped"]

CHECKS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "database": "the database answers, and our tables are there with all their columns",
        "sql": "the database of FOREIGN_TOKEN_SQL_URI answers, and its role can only read",
        "cache": "the cache that workers share answers, and keeps what is written to it",
        "registry": "what is stored can be used, each resource and all of them together",
        "trust": "an IdentityProvider or a TokenIntrospector is stored, so that tokens can be taken",
        "secrets": "no secret stands in the database where it could be named by env or file",
        "views": "views have a guard, and one that is passed",
        "policies": "each policy in force could be met by some request, and `apply` would warn of none",
        "policy": "what guards ask for is in force, and a policy is about the provider's tokens",
        "provider": "it is stored, and active",
        "introspector": "it is active, and in service",
        "audience": "tokens that are meant for other APIs are refused",
        "discovery": "the provider calls itself what is stored",
        "keys": "there are keys that serve",
        "keys: by id": "which they are, and how old",
        "keys: address": "they are fetched where the provider publishes them",
        "introspection": "the provider lets this app ask about tokens",
        "userinfo": "the address of userinfo can be discovered",
        "token": "there is a client to ask for a token with",
        "client credentials": "a token is issued to the client",
        "client credentials: token": "it is taken here",
        "client credentials: userinfo": "userinfo answers to it",
        "password": "a token is issued to the user",
        "password: token": "it is taken here",
        "password: userinfo": "userinfo answers to it",
        "clock": "the provider's clock and ours agree",
    }
)
"""Every check by its name, which stays, and what is well where it is ``ok``."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. It holds no token, secret or value of a claim.

    :param check: the name of the check, one of :data:`CHECKS`.
    :param mark: ``"skipped"``: there was nothing to check with.
    :param found: one line.
    :param remedy: what mends it, in the order in which to try.
    :param command: what can be typed to mend it, line by line as a shell wants them.
    """

    check: str
    mark: Mark
    found: str
    remedy: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
