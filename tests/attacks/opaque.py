"""An app that asks a provider about opaque tokens, and what the provider says of a good one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType

from ..apps import Resource, introspector, policy, provider
from .target import claims

ISSUER = "https://opaque.example"
FAR = time.time() + 86_400
CREDENTIAL: Mapping[str, str] = MappingProxyType({"client_id": "app", "client_secret": "hush"})
SOMEBODY = policy("somebody", {"$one-of": [{"jwt": {"sub": "present?"}}, {"token": {"active": True}}]})


def asking(
    url: str,
    name: str = "opaque",
    *,
    credential: Mapping[str, str] = CREDENTIAL,
    jwt: Mapping[str, object] = {},
    **attributes: object,
) -> list[Resource]:
    """The endpoint at `url` trusted, and asked with `credential`; `jwt` and `attributes` are the introspector's."""
    endpoint = {"url": url, **credential}
    asked = introspector(name, name, type="opaque", introspection_endpoint=endpoint, jwt=jwt, **attributes)
    return [provider(name), asked]


def good_answer(**changes: object) -> dict[str, object]:
    """What is said of a good token of `ISSUER`; a member that is `None` is left out."""
    good = {"active": True, "token_type": "Bearer", **claims(ISSUER)}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}
