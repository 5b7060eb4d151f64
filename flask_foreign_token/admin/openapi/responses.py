"""What the API answers: bodies, headers, and every refusal."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Final

from ... import errors
from .. import refusals
from ..answers import JSON
from ..bodies import YAML
from .attributes import Json
from .rules import reference

_TEXT: Final = {"type": "string"}
_TYPES_OF_ANSWERS: Final = (*JSON, *YAML)
_TYPES_OF_BODIES: Final = ("application/json", "application/yaml", "text/yaml")

HEADERS: Final[Mapping[str, Json]] = {
    "ETag": {"description": "names the state, for `If-Match` and `If-None-Match`", "required": True, "schema": _TEXT},
    "Location": {"description": "where the resource is", "required": True, "schema": _TEXT},
    "CacheControl": {"description": "nobody keeps it", "required": True, "schema": {"const": "no-store"}},
    "Warning": {"description": "what is probably not meant, once for each", "schema": _TEXT},
    "PreferenceApplied": {"description": "that `handling=strict` was heeded", "schema": _TEXT},
    "Challenge": {"description": "what the caller could sign in with", "required": True, "schema": _TEXT},
    "ChallengeOrNone": {"description": "what the caller could sign in with, where that would help", "schema": _TEXT},
    "RetryAfter": {
        "description": "seconds after which it is worth another try",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "Allow": {"description": "the methods that are left", "required": True, "schema": _TEXT},
    "ContentSecurityPolicy": {"description": "nothing else is loaded", "required": True, "schema": _TEXT},
}
"""Components, by name."""

_NAMES: Final[Mapping[str, str]] = {
    "CacheControl": "Cache-Control",
    "PreferenceApplied": "Preference-Applied",
    "Challenge": "WWW-Authenticate",
    "ChallengeOrNone": "WWW-Authenticate",
    "RetryAfter": "Retry-After",
    "ContentSecurityPolicy": "Content-Security-Policy",
}

_REFUSALS: Final[Mapping[int, tuple[type[errors.Refusal], ...]]] = {
    400: (errors.InvalidRequest, refusals.Incomplete),
    401: (refusals.OperatorRequired, errors.InvalidToken),
    403: (errors.AccessDenied, refusals.CrossSite),
    404: (refusals.Absent,),
    405: (refusals.ReadOnly,),
    406: (refusals.NoneAcceptable,),
    409: (refusals.Conflicting,),
    410: (refusals.Deleted,),
    412: (refusals.Changed,),
    413: (refusals.TooLarge,),
    415: (refusals.UnknownMediaType,),
    422: (refusals.Unprocessable,),
    429: (refusals.TooManyAttempts,),
    503: (errors.RegistryUnavailable, errors.DatabaseUnavailable),
}
_OF_REFUSALS: Final[Mapping[int, tuple[str, ...]]] = {
    400: ("ChallengeOrNone",),
    401: ("Challenge",),
    403: ("ChallengeOrNone",),
    405: ("Allow",),
    422: ("PreferenceApplied",),
    429: ("RetryAfter",),
    503: ("RetryAfter",),
}

OF_ALL: Final = (400, 401, 403, 429, 503)
"""The refusals that any of the operator's endpoints may answer with."""

OF_BODIES: Final = (413, 415, 422)
"""Those of a body."""


def answered(description: str, schema: Json, *headers: str) -> Json:
    """A response with a body in JSON or YAML.

    :param headers: beside ``Cache-Control``, as :data:`HEADERS` names them.
    """
    content = {media_type: {"schema": schema} for media_type in _TYPES_OF_ANSWERS}
    return {**empty(description, *headers), "content": content}


def plain(description: str, media_type: str, schema: Json, *headers: str) -> Json:
    """A response with a body of one type."""
    return {**empty(description, *headers), "content": {media_type: {"schema": schema}}}


def empty(description: str, *headers: str) -> Json:
    """A response without a body."""
    return {
        "description": description,
        "headers": {_NAMES.get(name, name): _header(name) for name in ("CacheControl", *headers)},
    }


def body(schema: Json, examples: Mapping[str, object]) -> Json:
    """A request body in JSON or YAML.

    :param examples: by name.
    """
    shown = {name: {"value": value} for name, value in examples.items()}
    return {
        "required": True,
        "description": "JSON, or YAML, of at most 1 MiB in UTF-8",
        "content": {media_type: {"schema": schema, "examples": shown} for media_type in _TYPES_OF_BODIES},
    }


def refused(statuses: Iterable[int]) -> Json:
    """Refusals by their statuses."""
    return {str(status): {"$ref": f"#/components/responses/{_name(status)}"} for status in sorted(statuses)}


def shared() -> dict[str, Json]:
    """The refusals as components, by name."""
    return {_name(status): _refusal(status) for status in _REFUSALS}


def _name(status: int) -> str:
    return _REFUSALS[status][0].__name__


def _refusal(status: int) -> Json:
    kinds = _REFUSALS[status]
    name = "RefusalWithIssues" if status in (409, 422) else "Refusal"
    errors_ = sorted({kind.error for kind in kinds})
    schema = {"allOf": [reference(name)], "properties": {"error": {"enum": errors_}}}
    return {
        **empty(" ".join(map(_summary, kinds)), *_OF_REFUSALS.get(status, ())),
        "content": {"application/json": {"schema": schema}},
    }


def _summary(kind: type[errors.Refusal]) -> str:
    text = (inspect.getdoc(kind) or "").split("\n\n")[0].replace("``", "`").replace("\n", " ")
    return _without_roles(text)


def _without_roles(text: str) -> str:
    """``:rfc:`9110#section-13.1``` is a link in our documentation, and a text here."""
    return text.replace(":rfc:`", "`RFC ").replace("#section-", ", section ")


def _header(name: str) -> Json:
    return {"$ref": f"#/components/headers/{name}"}
