"""What requests take beside a body."""

from __future__ import annotations

from typing import Final

from ...registry.schemas import ID
from .. import history_routes
from ..bundles import DEFAULT_COUNT, MAX_COUNT, MAX_PAGE
from ..route import USER
from .attributes import Json, pattern_of

_STATE: Final = {"type": "string"}
_USER_ID: Final = r"^(?!\.\.?$)[^/\x00-\x1f\x7f-\x9f]{1,255}$"


def query(name: str, description: str, schema: Json) -> Json:
    """One behind the question mark."""
    return {"name": name, "in": "query", "description": description, "schema": schema}


def of_path(path: str) -> list[Json]:
    """Those that stand in `path`, in braces."""
    id_ = _USER_ID if path.startswith(f"/{USER}/") else pattern_of(ID)
    known = {
        "id": _in_path("id", "the id", {"type": "string", "pattern": id_}),
        "versionId": _in_path("versionId", "the version, as the history has it", {"type": "string", "minLength": 1}),
    }
    return [parameter for name, parameter in known.items() if f"{{{name}}}" in path]


def _in_path(name: str, description: str, schema: Json) -> Json:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _header(name: str, description: str) -> Json:
    return {"name": name, "in": "header", "description": description, "schema": _STATE}


def _whole(least: int, most: int, default: int) -> Json:
    return {"type": "integer", "minimum": least, "maximum": most, "default": default}


def _page(most: int, default: int) -> tuple[Json, ...]:
    return (
        query("_count", "how many are on a page", _whole(0, most, default)),
        query("_page", "which page it is", _whole(1, MAX_PAGE, 1)),
    )


PAGE: Final = _page(MAX_COUNT, DEFAULT_COUNT)
PAGE_OF_HISTORY: Final = _page(history_routes.MAX_COUNT, history_routes.DEFAULT_COUNT)
IF_NONE_MATCH: Final = _header("If-None-Match", "an `ETag` that is known already, or several")
CONDITIONS: Final = (
    _header("If-Match", "the `ETag` of the state that is meant; `*`: any"),
    _header("If-None-Match", "`*`: it must not be there"),
)
STRICT: Final = {
    **_header("Prefer", "`handling=strict`: what is probably not meant is refused"),
    "example": "handling=strict",
}
