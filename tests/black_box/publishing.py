"""A provider that publishes whatever a test wants to be said about it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response


class Quiet(WSGIRequestHandler):
    def log(self, level: str, message: str, *args: object) -> None:
        pass


@dataclass
class Publisher:
    """`pages` are what it answers, by path: bytes and a status, or a document."""

    url: str = ""
    pages: dict[str, object] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> Response:
        self.asked.append(request.path)
        page = self.pages.get(request.path)
        if page is None:
            return Response("no", 404)
        if isinstance(page, Response):
            return page
        return Response(json.dumps(page), content_type="application/json")

    def openid(self, path: str = "", **changes: object) -> str:
        """Publish a good OIDC document at `path`, with `changes` (None leaves out), and return the issuer."""
        issuer = self.url + path
        self.pages[f"{path}/.well-known/openid-configuration"] = document(issuer, issuer, **changes)
        return issuer

    def oauth(self, path: str = "", **changes: object) -> str:
        """The same by RFC 8414, where the well-known part comes before the path."""
        issuer = self.url + path
        self.pages[f"/.well-known/oauth-authorization-server{path}"] = document(issuer, issuer, **changes)
        return issuer


def document(name: str, base: str, /, **changes: object) -> dict[str, object]:
    good: Mapping[str, object] = {
        "issuer": name,
        "authorization_endpoint": f"{base}/authorize",
        "token_endpoint": f"{base}/token",
        "userinfo_endpoint": f"{base}/userinfo",
        "jwks_uri": f"{base}/keys",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "profile", "email"],
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


@contextmanager
def publishing() -> Iterator[Publisher]:
    publisher = Publisher()
    server = make_server("127.0.0.1", 0, Request.application(publisher), threaded=True, request_handler=Quiet)
    publisher.url = f"http://127.0.0.1:{server.port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield publisher
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
