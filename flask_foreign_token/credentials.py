"""From a request to the credential it brought (:rfc:`6750#section-2`)."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from flask import Request

from .errors import InvalidRequest
from .introspection.token import Credential
from .peeking import body_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

MAX_HEADER = 16 * 1024
"""Characters of an ``Authorization`` header, scheme included; longer ones are refused unread."""
MAX_FORM = 16 * 1024
"""Bytes of a form that is searched for a second token."""

_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9\-._~+/]+=*)")
_FORM = "application/x-www-form-urlencoded"


def read(request: Request) -> Credential | None:
    """Return the bearer credential of `request`, or ``None`` when it brought none, or one of another scheme.

    A token is taken from the header alone. One in the query or a form counts as a second one beside a header, and as
    nothing without.

    :raises InvalidRequest: the header is malformed or over 16 KiB, or the request carries two credentials
        (:rfc:`6750#section-3.1`).
    """
    environ = request.environ
    header: str = environ.get("HTTP_AUTHORIZATION") or ""
    match = _BEARER.fullmatch(header) if len(header) <= MAX_HEADER else None
    if match is None:
        if not is_bearer(request):
            return None
        if len(header) > MAX_HEADER:
            raise InvalidRequest("the Authorization header is over 16 KiB")
        raise InvalidRequest("the Authorization header is not one bearer token")
    if may_hold_second(environ) and _second_token(request):
        raise InvalidRequest("the request carries two tokens")
    return Credential("bearer", match[1])


def digest(token: str) -> bytes:
    """What `token` is known by, of 32 bytes: SHA-256, since what is kept in memory for long should not be a credential.

    :param token: or what stands in its place in a header that was not read; then nothing is known by it.
    """
    return sha256(token.encode(errors="surrogatepass")).digest()


def is_bearer(request: Request) -> bool:
    """Whether the header of `request` is of the scheme ``Bearer``, be the token good or not."""
    header = request.environ.get("HTTP_AUTHORIZATION") or ""
    return header[:6].lower() == "bearer" and not header[6:7].isalnum()


def readable_token(request: Request) -> str | None:
    """The bearer token in the header of `request`, whatever else is wrong with the request; none where there is none.

    For what is noted about a request that is refused, not for deciding about one.
    """
    header = request.environ.get("HTTP_AUTHORIZATION") or ""
    match = _BEARER.fullmatch(header) if len(header) <= MAX_HEADER else None
    return None if match is None else match[1]


def may_hold_second(environ: WSGIEnvironment) -> bool:
    """Whether a request may carry a token beside the one in its header, as far as is seen at a glance."""
    query: str | None = environ.get("QUERY_STRING")
    if query and ("access_token" in query or "%" in query):
        return True
    kind: str | None = environ.get("CONTENT_TYPE")
    return kind is not None and _FORM in kind.lower()


def _second_token(request: Request) -> bool:
    if request.environ.get("QUERY_STRING") and "access_token" in request.args:
        return True
    return request.mimetype == _FORM and _in_form(request)


def _in_form(request: Request) -> bool:
    """Whether a small form holds a token; larger and streamed bodies are left for the view to read."""
    length = request.content_length
    if request.method in ("GET", "HEAD") or length is None or length > MAX_FORM:
        return False
    return "access_token" in parse_qs(body_of(request).decode("latin-1"), keep_blank_values=True)
