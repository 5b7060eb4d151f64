"""What the operator's endpoints answer: JSON or YAML, as the caller likes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from flask import Request, Response

from ..documents import write_json, write_yaml
from ..errors import Issue
from ..printable import printable
from .bodies import YAML
from .refusals import NoneAcceptable

MAX_WARNINGS: Final = 20
"""Headers ``Warning`` of an answer."""

MAX_WARNED: Final = 3000
"""Characters of all of them; a proxy takes 4 KiB of headers at least."""

JSON: Final = ("application/json", "application/fhir+json")
"""The media types of JSON; an answer prefers the first."""


def media_type_for(request: Request) -> str:
    """What the answer will be: the first of ours that the caller likes best.

    :raises NoneAcceptable: it likes none of them.
    """
    if not request.accept_mimetypes:
        return JSON[0]
    best = request.accept_mimetypes.best_match((*JSON, *YAML))
    if best is None:
        raise NoneAcceptable
    return best


def answer(value: Mapping[str, object], media_type: str, *, status: int = 200, version: str | None = None) -> Response:
    """`value` as a response that nobody keeps.

    :param media_type: from :func:`media_type_for`.
    :param version: becomes the ``ETag``, weak as FHIR has it: the same state can be written in two ways.
    """
    text = write_json(value) if media_type in JSON else write_yaml(value)
    response = Response(text, status, content_type=f"{media_type}; charset=utf-8")
    return _marked(response, version)


def without_body(status: int, *, version: str | None = None) -> Response:
    """A response of a status alone."""
    response = Response(status=status)
    del response.headers["Content-Type"]
    return _marked(response, version)


def warn(response: Response, warnings: Sequence[Issue]) -> None:
    """Add a header ``Warning`` for each of `warnings` (:rfc:`7234#section-5.5`), or for as many as there is room for,
    and one that says how many are left."""
    texts = [_quoted(str(issue)) for issue in warnings]
    fitting = _fitting(texts)
    if fitting < len(texts):
        fitting = min(fitting, MAX_WARNINGS - 1)
        texts[fitting:] = [_quoted(f"and {len(texts) - fitting} more, which `flask foreign-token apply` names")]
    for text in texts:
        response.headers.add("Warning", f"199 - {text}")


def _fitting(texts: Sequence[str]) -> int:
    """How many of `texts`, from the first, are within the limits."""
    length = 0
    for number, text in enumerate(texts[:MAX_WARNINGS]):
        length += len(text)
        if length > MAX_WARNED:
            return number
    return min(len(texts), MAX_WARNINGS)


def _quoted(text: str) -> str:
    """`text` as a quoted-string (:rfc:`9110#section-5.6.4`), in ASCII, since that is what every client reads."""
    plain = printable(text.replace("…", "...")).encode("ascii", "backslashreplace").decode()
    return '"' + plain.replace("\\", r"\\").replace('"', r"\"") + '"'


def _marked(response: Response, version: str | None) -> Response:
    response.headers["Cache-Control"] = "no-store"
    if version is not None:
        response.set_etag(version, weak=True)
    return response
