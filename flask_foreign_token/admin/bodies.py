"""What a request to the operator's endpoints holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from flask import Request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from ..documents import read_json, read_yaml
from ..errors import Rejected
from .refusals import Incomplete, TooLarge, UnknownMediaType

MAX_BODY: Final = 1024 * 1024
"""Bytes of the largest body."""

YAML: Final = ("application/yaml", "text/yaml", "application/x-yaml", "text/x-yaml")
"""The media types of YAML, :rfc:`9512` and before it; an answer prefers the first."""


def resource_in(request: Request, type_: str, id_: str | None) -> dict[str, object]:
    """The resource that `request` holds, with the type and the id of the path where it leaves them out.

    :param id_: none: the path has none, and the resource need not have one.
    :raises UnknownMediaType: it is neither JSON nor YAML in UTF-8. Without ``Content-Type`` it is YAML.
    :raises TooLarge: it is over 1 MiB, or over the limit of the app; no more than one byte beyond is read.
    :raises Incomplete: the connection broke before all of it was there.
    :raises Rejected: it is no object, or not the one that the path names.
    """
    value = object_in(request)
    for name, expected in (("resourceType", type_), ("id", id_)):
        if expected is not None and value.get(name, expected) != expected:
            raise Rejected.at(name, f"must be {expected}, as in the path, or left out")
    told = {"resourceType": type_} if id_ is None else {"resourceType": type_, "id": id_}
    return {**told, **value}


def object_in(request: Request) -> Mapping[str, object]:
    """The object that `request` holds.

    :raises UnknownMediaType: as :func:`resource_in`; so are the others.
    :raises Rejected: it cannot be read, or is no object.
    """
    read = _reader(request)
    try:
        value = read(_bytes(request))
    except ValueError as reason:
        raise Rejected.at("", f"the body cannot be read: {reason}") from None
    if not isinstance(value, Mapping):
        raise Rejected.at("", "the body must be an object")
    return value


def _reader(request: Request) -> Callable[[bytes], object]:
    media_type = request.mimetype
    if request.mimetype_params.get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
        raise UnknownMediaType
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnknownMediaType
    if media_type == "application/json" or _has_suffix(media_type, "+json"):
        return read_json
    if media_type in ("", *YAML) or _has_suffix(media_type, "+yaml"):
        return read_yaml
    raise UnknownMediaType


def _has_suffix(media_type: str, suffix: str) -> bool:
    """:rfc:`6838#section-4.2.8`"""
    return media_type.startswith("application/") and media_type.endswith(suffix)


def _bytes(request: Request) -> bytes:
    own = request.max_content_length
    most = MAX_BODY if own is None else min(own, MAX_BODY)
    # One more, since Werkzeug cuts what comes without a Content-Length off there and does not say so.
    request.max_content_length = most + 1
    try:
        raw = request.get_data()
    except RequestEntityTooLarge:
        raise TooLarge from None
    except (ClientDisconnected, OSError):
        raise Incomplete from None
    if len(raw) > most:
        raise TooLarge
    # A server that marks the end of its input itself (wsgi.input_terminated) does not say that it came too early.
    if request.content_length not in (None, len(raw)):
        raise Incomplete
    return raw
