"""An app that asks a provider about opaque tokens, and what the provider may say."""

from __future__ import annotations

import time
from typing import Any

from ..apps import Resource, policy, provider
from ..introspection.introspecting import Introspecting
from .target import claims

ISSUER = "https://opaque.example"
FAR = time.time() + 86_400
SOMEBODY = policy("somebody", {"$one-of": [{"jwt": {"sub": "present?"}}, {"token": {"active": True}}]})


def asking(asked: Introspecting, name: str = "opaque", **attributes: Any) -> list[Resource]:
    """`asked` trusted; `attributes` are the introspector's."""
    endpoint = {"url": asked.url, "client_id": "app", "client_secret": "hush"}
    body = {"resourceType": "TokenIntrospector", "id": name, "type": "opaque", "introspection_endpoint": endpoint}
    return [provider(name), {**body, "identity_provider": {"reference": f"IdentityProvider/{name}"}, **attributes}]


def said(**changes: object) -> dict[str, object]:
    """What is said of a good token of `ISSUER`; a member that is `None` is left out."""
    good = {"active": True, "token_type": "Bearer", **claims(ISSUER)}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}
