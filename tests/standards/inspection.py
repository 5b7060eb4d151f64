"""An introspection endpoint on a real socket, and the resources by which an app asks it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

from werkzeug.wrappers import Request, Response

from ..apps import Resource, provider
from .clinic import AUDIENCE


class Endpoint:
    """An introspection endpoint that answers what a test says, and remembers what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.answer: object = self.active()
        self.status = 200
        self.content_type = "application/json"
        self.asked: list[Request] = []

    @staticmethod
    def active(**members: object) -> dict[str, object]:
        """The answer about a good token; a member that is ``None`` is left out."""
        now = int(time.time())
        good = {"active": True, "sub": "anna", "aud": AUDIENCE, "exp": now + 300, "iat": now, "token_type": "Bearer"}
        return {name: value for name, value in {**good, **members}.items() if value is not None}

    @Request.application
    def __call__(self, request: Request) -> Response:
        _ = request.form
        self.asked.append(request)
        text = self.answer if isinstance(self.answer, str | bytes) else json.dumps(self.answer)
        return Response(text, self.status, {"Location": "/elsewhere"}, content_type=self.content_type)


def asking(url: str, name: str = "opaque", jwt: Mapping[str, object] = {}, **attributes: object) -> list[Resource]:
    introspector: Resource = {
        "resourceType": "TokenIntrospector",
        "id": name,
        "type": "opaque",
        "identity_provider": {"reference": f"IdentityProvider/{name}"},
        "introspection_endpoint": {"url": url, "client_id": "api", "client_secret": "hush", **attributes.pop("as", {})},  # type: ignore[dict-item]
        "jwt": {"aud": AUDIENCE, **jwt},
        **attributes,
    }
    return [provider(name), introspector]
