"""Providers and introspectors that are stored and count as absent, since something is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping

from ..registry.resources import Key
from ..registry.snapshot import RegistrySnapshot

_TYPES = ("IdentityProvider", "TokenIntrospector")


def left_out(snapshot: RegistrySnapshot) -> Mapping[Key, str]:
    """Why each of them is, by its type and id."""
    keys = {"/".join(key): key for key in snapshot.left_out if key[0] in _TYPES}
    reasons: dict[Key, list[str]] = {}
    for issue in snapshot.out_of_service:
        if issue.resource in keys:
            reasons.setdefault(keys[issue.resource], []).append(str(issue._replace(resource="")))
    return {key: "; ".join(found) for key, found in reasons.items()}


def introspectors_left_out(snapshot: RegistrySnapshot, provider_id: str) -> Mapping[str, str]:
    """Why each introspector is, by its name, that refers to the IdentityProvider with that id."""
    reference = {"reference": f"IdentityProvider/{provider_id}"}
    return {
        "/".join(key): reason
        for key, reason in left_out(snapshot).items()
        if key in snapshot.resources and snapshot.resources[key].body.get("identity_provider") == reference
    }
