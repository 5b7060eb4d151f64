"""Connections of which every exchange has one deadline, in whatever part of it a server takes its time."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.response import assert_header_parsing

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_PIECE = 16 * 1024
_KEPT = 16
"""Connections to one host that stay open when nothing is asked."""


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket until `deadline`, where a timeout alone would begin anew with every byte."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase, deadline: float) -> None:
        self._sock = sock
        self._raw = raw
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self._sock.settimeout(remaining)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        # The connection has just given the socket what remains of the exchange.
        deadline = time.monotonic() + (sock.gettimeout() or 0)
        self.fp = io.BufferedReader(_DeadlineReader(sock, self.fp.detach(), deadline))

    def begin(self) -> None:
        super().begin()
        # Before urllib3 does the same, only to log the whole address and go on.
        assert_header_parsing(self.msg)


class _HttpConnection(HTTPConnection):
    response_class = _Response

    @property
    def timeout(self) -> float | None:
        """Seconds that remain. urllib3 sets the limit of each phase and asks for it before each step."""
        return remaining(self._deadline)

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        self._deadline = time.monotonic() + (seconds or 0)

    def _new_conn(self) -> socket.socket:
        # urllib3 grants every address of a name the whole time; here they share it.
        addresses = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        for left, (*_, address) in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                sock = socket.create_connection((str(address[0]), self.port), remaining(self._deadline) / left)
            except OSError:
                if left == 1:
                    raise
            else:
                break
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(self.timeout)
        return sock

    def send(self, data: Any) -> None:
        # In pieces of one TLS record: each of those has a timeout of its own.
        for start in range(0, len(data), _PIECE):
            if self.sock is not None:
                self.sock.settimeout(self.timeout)
            super().send(data[start : start + _PIECE])


class _HttpsConnection(_HttpConnection, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


def pool_manager() -> PoolManager:
    """One that keeps connections, and always checks certificates by what the system trusts."""
    manager = PoolManager(
        maxsize=_KEPT,
        # What a connection starts with; each request brings its own.
        timeout=Timeout(total=1),
        ssl_context=ssl.create_default_context(),
        cert_reqs=ssl.CERT_REQUIRED,
    )
    manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
    return manager


def remaining(deadline: float) -> float:
    """Seconds until `deadline`, a time of the monotonic clock; never zero, which would make a socket non-blocking."""
    return max(deadline - time.monotonic(), 0.001)
