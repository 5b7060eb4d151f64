"""A provider's key set on a real socket, counting who asks."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from werkzeug.wrappers import Request, Response

from ..publishing import listening

TTL = 300.0
GRACE = 3600.0


class Provider:
    """Serves `keys` at every path until it is told otherwise.

    :param keys: JWKs.
    """

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.url = ""
        self.requests = 0
        self.status = 200
        self.body: object = None
        self.headers: dict[str, str] = {}
        self.asked = threading.Semaphore(0)
        """Released once for each request that arrives."""
        self._open = threading.Event()
        self._open.set()
        self._counting = threading.Lock()
        self.serve(*keys)

    def serve(self, *keys: dict[str, Any]) -> None:
        """From now on these are the keys."""
        self.body = {"keys": list(keys)}

    def go_down(self) -> None:
        """From now on nothing but 503."""
        self.status = 503

    def come_back(self) -> None:
        self.status = 200

    def hold(self) -> None:
        """Let requests wait until :meth:`release`."""
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    @Request.application
    def __call__(self, request: Request) -> Response:
        with self._counting:
            self.requests += 1
        body = json.dumps(self.body)
        self.asked.release()
        self._open.wait(10)
        return Response(body, self.status, self.headers, content_type="application/json")


@contextmanager
def running(provider: Provider) -> Iterator[Provider]:
    """`provider` behind a URL of its own."""
    with listening(provider) as origin:
        provider.url = f"{origin}/certs"
        try:
            yield provider
        finally:
            provider.release()
