"""A WSGI app on a port of this machine, served by a thread."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

HOST = "127.0.0.1"

_POLL = 0.02
"""Seconds until a server notices that it is to stop."""


class Server:
    """Serves `app` while it is started; may be started and stopped again and again, on one port.

    :param port: 0 for a free one, which it keeps from its first start on.
    """

    def __init__(self, app: WSGIApplication, port: int) -> None:
        self.port = port
        self._app = app
        self._changing = threading.Lock()
        self._stopping = threading.Event()
        self._running: tuple[ThreadedWSGIServer, threading.Thread] | None = None

    def start(self) -> None:
        """Listen; returns when connections are taken.

        :raises RuntimeError: it is started already.
        :raises OSError: the port is in use.
        """
        with self._changing:
            if self._running is not None:
                raise RuntimeError("it is started already")
            with socket.create_server((HOST, self.port)) as listener:
                self.port = listener.getsockname()[1]
                server = _Server(HOST, self.port, self._app, _Handler, fd=listener.fileno())
            thread = threading.Thread(
                target=server.serve_forever, args=(_POLL,), name="foreign-token-issuer", daemon=True
            )
            self._stopping.clear()
            thread.start()
            self._running = server, thread

    def stop(self) -> None:
        """Close the socket; returns when every request has been answered. Nothing happens when it is not started."""
        with self._changing:
            if self._running is None:
                return
            server, thread = self._running
            self._stopping.set()
            server.shutdown()
            thread.join()
            self._running = None

    def pause(self, seconds: float) -> None:
        """Hold up a request; :meth:`stop` ends the pause."""
        self._stopping.wait(seconds)


class _Server(ThreadedWSGIServer):
    daemon_threads = False
    """So that closing waits for the threads of requests, and their sockets are closed by then."""


class _Handler(WSGIRequestHandler):
    timeout = 5
    """Seconds that a connection may say nothing, and so hold up the closing."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing: these requests are a means of the tests, not their output."""
