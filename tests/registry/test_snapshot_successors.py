"""A snapshot that follows another is the one that would be built anew."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from flask_foreign_token.registry.snapshot import RegistrySnapshot

from .bodies import introspector, opaque, policy, provider
from .snapshots import built

ISSUER = "https://x.example"
NAMED = provider("p", issuer=ISSUER)
NAMELESS = provider("p")
OPAQUE = opaque("o", "p", introspection_endpoint={"url": "https://p.example/introspect", "authorization": "Bearer x"})
REGISTRIES: dict[str, list[dict[str, Any]]] = {
    "nobody is named": [NAMELESS, OPAQUE],
    "the provider names its issuer": [NAMED, OPAQUE],
    "another introspector names the same, apart": [NAMELESS, OPAQUE, introspector("j", iss=ISSUER)],
    "another introspector of the provider names it": [
        NAMELESS,
        OPAQUE,
        introspector("j", "p", iss=ISSUER),
    ],
    "another provider names it": [NAMELESS, OPAQUE, provider("q", system="q", issuer=ISSUER)],
    "two others are named": [
        NAMELESS,
        OPAQUE,
        provider("q", system="q", issuer=ISSUER),
        provider("r", system="r", issuer="https://r.example"),
    ],
    "it has a prefix": [NAMELESS, {**OPAQUE, "token_prefix": "x_"}, policy("all")],
}


@pytest.mark.parametrize(("before", "after"), list(permutations(REGISTRIES, 2)))
def test_what_was_in_force_before_changes_nothing(before: str, after: str) -> None:
    successor = built(*REGISTRIES[after], previous=built(*REGISTRIES[before]))

    assert rules_of(successor) == rules_of(built(*REGISTRIES[after]))


def rules_of(snapshot: RegistrySnapshot) -> dict[str, object]:
    return {link.settings.id: (link.introspector.rules, link.issuer, link.in_force) for link in snapshot.linked}
