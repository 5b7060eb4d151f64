"""A provider on a real socket that publishes whatever a test wants, and counts who asks for what."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

Document = dict[str, Any]

OPENID = "/.well-known/openid-configuration"
OAUTH = "/.well-known/oauth-authorization-server"


class Publisher:
    """Answers with `documents` by path, and 404 elsewhere.

    :param headers: of every answer.
    """

    def __init__(self) -> None:
        self.origin = ""
        self.documents: dict[str, tuple[object, int]] = {}
        self.headers: dict[str, str] = {}
        self.asked: list[str] = []

    def publish(self, path: str, document: object, status: int = 200) -> None:
        self.documents[path] = document, status

    @Request.application
    def __call__(self, request: Request) -> Response:
        self.asked.append(request.path)
        document, status = self.documents.get(request.path, ({}, 404))
        text = document if isinstance(document, str) else json.dumps(document)
        return Response(text, status, self.headers, content_type="application/json")


@contextmanager
def publishing() -> Iterator[Publisher]:
    """A publisher that listens at its `origin`."""
    publisher = Publisher()
    with listening(publisher) as origin:
        publisher.origin = origin
        yield publisher


@contextmanager
def listening(app: WSGIApplication) -> Iterator[str]:
    """The origin at which `app` is served by threads, ``http://127.0.0.1:49152``."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def metadata(issuer: str, base: str | None = None, /, **members: object) -> Document:
    """A good document of OpenID Connect Discovery 1.0; a member that is ``None`` is left out.

    :param base: where the endpoints are; the issuer by default.
    """
    below = (base or issuer).rstrip("/")
    document: Mapping[str, object] = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer.rstrip('/')}/auth",
        "token_endpoint": f"{below}/token",
        "userinfo_endpoint": f"{below}/userinfo",
        "jwks_uri": f"{below}/certs",
        "scopes_supported": ["openid", "email", "profile"],
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"],
    }
    return {name: value for name, value in {**document, **members}.items() if value is not None}
