"""A look at a request's body that leaves it to the view as it came."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, Protocol

from flask import Request

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_INPUT: Final = "wsgi.input"
_TERMINATED: Final = "wsgi.input_terminated"


class HasEnviron(Protocol):
    """A request of werkzeug."""

    @property
    def environ(self) -> WSGIEnvironment: ...


def body_of(request: Request) -> bytes:
    """All of the body; for one that is known to be small."""
    body = request.stream.read()
    _put_back(request, BytesIO(body))
    return body


def brings_unannounced(request: HasEnviron) -> bool:
    """Whether there is a body of which no header tells: HTTP/2 needs none (:rfc:`9113#section-8.1.1`).

    No more than a byte is read, and only of a server that says where its input ends; werkzeug gives the view nothing of
    another. What cannot be told counts as a body: reading fails, or somebody has begun to read.
    """
    if _TERMINATED not in request.environ:
        return False
    # What werkzeug keeps of a body stands beside the attributes.
    kept = vars(request)
    if "_cached_data" in kept:
        return bool(kept["_cached_data"])
    if kept.get("form") or kept.get("files"):
        return True
    if "stream" in kept and "form" not in kept:
        return True
    return _begins(request)


def _begins(request: HasEnviron) -> bool:
    source = request.environ[_INPUT]
    if isinstance(source, _Begun):
        return True
    try:
        first = source.read(1)
    except OSError:
        return True
    if first:
        _put_back(request, _Begun(first, source))
    return bool(first)


def _put_back(request: HasEnviron, source: object) -> None:
    request.environ[_INPUT] = source
    # Made of the one before.
    vars(request).pop("stream", None)


class _Begun:
    """An input stream (:pep:`3333`) from which a byte was read, as if it had not been."""

    def __init__(self, first: bytes, rest: Any) -> None:
        self._first = first
        self._rest = rest

    def read(self, size: int | None = -1) -> bytes:
        return self._after_first(self._rest.read, size)

    def readline(self, size: int | None = -1) -> bytes:
        if self._first == b"\n" and size != 0:
            return self._after_first(self._rest.readline, 1)
        return self._after_first(self._rest.readline, size)

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def _after_first(self, read: Any, size: int | None) -> bytes:
        if size == 0:
            return b""
        first, self._first = self._first, b""
        if size is None or size < 0:
            return first + bytes(read())
        return first + bytes(read(size - len(first))) if size > len(first) else first
