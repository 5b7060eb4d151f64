"""What the operator's endpoints answer: JSON or YAML, as the caller likes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from flask import Request, Response

from ..documents import write_json, write_yaml
from .bodies import YAML
from .refusals import NoneAcceptable

_JSON: Final = ("application/json", "application/fhir+json")


def media_type_for(request: Request) -> str:
    """What the answer will be: the first of ours that the caller likes best.

    :raises NoneAcceptable: it likes none of them.
    """
    if not request.accept_mimetypes:
        return _JSON[0]
    best = request.accept_mimetypes.best_match((*_JSON, *YAML))
    if best is None:
        raise NoneAcceptable
    return best


def answer(value: Mapping[str, object], media_type: str, *, status: int = 200, version: str | None = None) -> Response:
    """`value` as a response that nobody keeps.

    :param media_type: from :func:`media_type_for`.
    :param version: becomes the ``ETag``, weak as FHIR has it: the same state can be written in two ways.
    """
    text = write_json(value) if media_type in _JSON else write_yaml(value)
    response = Response(text, status, content_type=f"{media_type}; charset=utf-8")
    return _marked(response, version)


def without_body(status: int, *, version: str | None = None) -> Response:
    """A response of a status alone."""
    response = Response(status=status)
    del response.headers["Content-Type"]
    return _marked(response, version)


def _marked(response: Response, version: str | None) -> Response:
    response.headers["Cache-Control"] = "no-store"
    if version is not None:
        response.set_etag(version, weak=True)
    return response
