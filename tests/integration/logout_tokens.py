"""Where a provider sends logout tokens (OpenID Connect Back-Channel Logout 1.0 section 2.5)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Queue
from urllib.parse import parse_qs

from ..http_servers import Peer, answer, serving


@dataclass(frozen=True, slots=True)
class LogoutTokens:
    """Those that have come.

    :param address: what the provider is told.
    """

    address: str
    _received: Queue[bytes] = field(repr=False)

    def next(self) -> str:
        """The next one, once it is there."""
        form = parse_qs(self._received.get(timeout=30).partition(b"\r\n\r\n")[2].decode())
        return form["logout_token"][0]


@contextmanager
def received() -> Iterator[LogoutTokens]:
    """All that come until the end of the block."""
    queue: Queue[bytes] = Queue()

    def take(peer: Peer) -> None:
        while request := peer.read():
            queue.put(request)
            peer.write(answer(b""))

    with serving(take) as server:
        yield LogoutTokens(f"{server.origin}/logout", queue)
