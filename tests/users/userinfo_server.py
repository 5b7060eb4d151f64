"""A userinfo endpoint that answers what a test says."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Provider:
    """Answers on a socket of its own."""

    def __init__(self) -> None:
        self.status = 200
        self.body = json.dumps({"sub": "74ae9aaf", "email": "a@example.org"}).encode()
        self.content_type = "application/json"
        self.requests: list[tuple[str, str | None]] = []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.requests.append((self.path, self.headers["Authorization"]))
                self.send_response(provider.status)
                self.send_header("Content-Type", provider.content_type)
                self.send_header("Content-Length", str(len(provider.body)))
                self.end_headers()
                self.wfile.write(provider.body)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/userinfo"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
