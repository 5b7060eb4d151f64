"""What the tests of policies start from."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from flask_foreign_token.introspection.token import Token, Versioned
from flask_foreign_token.policies.request import RequestView
from flask_foreign_token.policies.simulated import simulated


class Key:
    withdrawn = False


def token(claims: Mapping[str, Any] = MappingProxyType({"iss": "https://issuer.example", "sub": "alice"})) -> Token:
    return Token(
        issuer="https://issuer.example",
        subject="alice",
        expires_at=2_000_000_000.0,
        usable_until=2_000_000_030.0,
        claims=MappingProxyType(dict(claims)),
        introspector=Versioned("issuer", "1"),
        evidence=Key(),
    )


def view_of(parts: Mapping[str, object]) -> RequestView:
    """A request of which only `parts` exist."""
    return simulated(parts)
