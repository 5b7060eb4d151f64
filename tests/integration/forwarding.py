"""A server in front of another one that tells how often it was asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_string
from typing import Any

import requests

from ..http_servers import Peer, Server, answer, serving

_PASSED = ("Authorization", "Content-Type", "Cache-Control", "Host")


@contextmanager
def forwarding(url: str) -> Iterator[Server]:
    """One that passes everything on to `url` and notes it; :attr:`.Server.origin` stands for what `url` begins with."""

    def forward(peer: Peer) -> None:
        while request := peer.read():
            head, _, body = request.partition(b"\r\n\r\n")
            first, _, rest = head.decode().partition("\r\n")
            method, path, _ = first.split(" ")
            got = requests.request(
                method, url + path, data=body, headers=_passed(message_from_string(rest)), timeout=30
            )
            peer.write(_as_received(got))

    with serving(forward) as server:
        yield server


def _passed(headers: Any) -> dict[str, str]:
    return {name: headers[name] for name in _PASSED if name in headers}


def _as_received(got: requests.Response) -> bytes:
    headers = _passed(got.headers)
    content_type = headers.pop("Content-Type", "application/json")
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return answer(got.content, *lines, status=f"{got.status_code} {got.reason}", content_type=content_type)
