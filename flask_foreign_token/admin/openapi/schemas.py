"""The components of the document: resources as their schemas have them, and what the API answers beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ...registry.schemas import SCHEMAS
from ...users.account_body import UserSchema
from ..history_routes import RollbackSchema
from ..refusals import MAX_ISSUES
from ..route import TYPES, USER
from .attributes import VERSION, Attributes, Json, requiring
from .rules import Traits, closed, reference, ruled

_TEXT: Final = {"type": "string"}
_INSTANT: Final = {"type": "string", "format": "date-time"}
_TEXT_OR_NULL: Final = {"type": ["string", "null"]}
_INSTANT_OR_NULL: Final = {"type": ["string", "null"], "format": "date-time"}
_ANYTHING: Final[Json] = {}
_OBJECT: Final = {"type": "object"}


def components(traits: Traits) -> dict[str, Json]:
    """All schemas by name."""
    attributes = Attributes()
    for schema in (*SCHEMAS.values(), UserSchema(), RollbackSchema()):
        attributes.add(schema)
    found = ruled(attributes.components(), traits)
    for type_ in TYPES:
        found |= _answered(type_)
    return dict(sorted({**found, **_OTHERS}.items()))


def _answered(type_: str) -> dict[str, Json]:
    """A resource as it is shown, and the Bundles that it is shown in."""
    shown = {
        "allOf": [reference(type_)],
        "required": ["resourceType", "id"],
        "properties": {"meta": reference("Meta")},
    }
    stored = reference(f"Stored{type_}")
    kinds = {f"Stored{type_}": shown, f"{type_}Bundle": _bundle("searchset", _entry(stored))}
    if type_ != USER:
        kinds[f"{type_}History"] = _bundle("history", _past(stored))
    return kinds


def _bundle(kind: str, entry: Json) -> Json:
    links = {"type": "array", "items": reference("BundleLink")}
    return requiring(
        ["resourceType", "type", "total", "entry"],
        closed(
            {
                "resourceType": {"const": "Bundle"},
                "type": {"const": kind},
                "total": {"type": "integer", "minimum": 0, "description": "how many there are in all"},
                "link": links,
                "entry": {"type": "array", "items": entry},
            },
            [],
        ),
    )


def _entry(resource: Json) -> Json:
    return closed({"fullUrl": _TEXT, "resource": resource})


def _past(resource: Json) -> Json:
    """One version in a history; of what was deleted there is no resource."""
    request = closed({"method": {"enum": ["POST", "PUT", "DELETE"]}, "url": _TEXT})
    response = closed({"status": _TEXT, "location": _TEXT, "etag": _TEXT, "lastModified": _INSTANT})
    by = closed({"url": _TEXT, "valueString": {"type": "string", "description": "who made the change"}})
    entry = {
        "fullUrl": _TEXT,
        "resource": resource,
        "request": request,
        "response": response,
        "extension": {"type": "array", "items": by},
    }
    return closed(entry, ["fullUrl", "request", "response"])


_REFUSAL: Final[Mapping[str, Json]] = {
    "error": {"type": "string", "description": "which refusal it is"},
    "error_description": {"type": "string", "description": "the reason, for people"},
    "hint": {"type": "string", "description": "what would mend it; in debug mode alone"},
    "decision_id": {
        "type": "string",
        "pattern": "^[0-9a-f]{16}$",
        "description": "by which the log tells what was decided",
    },
}
_ISSUE: Final[Mapping[str, Json]] = {
    "path": {"type": "string", "description": "where, `jwt.iss`; empty: all of it"},
    "message": {"type": "string", "description": "the reason, and what would work"},
    "resource": {"type": "string", "description": "which resource, where it is another one"},
}
_MISMATCH: Final[Mapping[str, Json]] = {
    "expected": {"description": "what the pattern wants"},
    "but": {"description": "what is there"},
    "path": {"type": "array", "items": {"type": ["string", "integer"]}, "description": "where"},
}
_RESULT: Final[Mapping[str, Json]] = {
    "eval-result": {"type": "boolean", "description": "whether the policy allows the request"},
    "mismatches": {"type": "array", "items": reference("Mismatch")},
    "error": {"type": "string", "description": "why that cannot be told"},
    "token-verified": {"const": False, "description": "there is a token, and it was not verified"},
}

_OTHERS: Final[Mapping[str, Json]] = {
    "Refusal": closed(_REFUSAL, ["error"]),
    "RefusalWithIssues": closed(
        {**_REFUSAL, "issues": {"type": "array", "items": reference("Issue"), "minItems": 1, "maxItems": MAX_ISSUES}},
        ["error", "issues"],
    ),
    "Issue": closed(_ISSUE, ["path", "message"]),
    "Meta": {
        "type": "object",
        "properties": {
            "versionId": {"type": "string", "description": "names the state that is shown"},
            "lastUpdated": {**_INSTANT, "description": "when it was written"},
            "extension": {"type": "array", "items": closed({"url": _TEXT, "valueInstant": _INSTANT})},
        },
        "required": ["versionId", "lastUpdated"],
        "additionalProperties": False,
    },
    "BundleLink": closed({"relation": {"enum": ["self", "next", "previous"]}, "url": _TEXT}),
    "Mismatch": closed(_MISMATCH),
    "MatchoTrial": closed(
        {
            "matcho": reference("Pattern"),
            "resource": {"description": "the value that is held to the pattern"},
            "context": {"description": "where paths in the pattern are looked up, in place of `resource`"},
        },
        ["matcho", "resource"],
    ),
    "MatchoResult": closed(
        {"matcho": _ANYTHING, "resource": _ANYTHING, "result": {"type": "array", "items": reference("Mismatch")}}
    ),
    "PolicyTrial": closed(
        {
            "request": {
                "type": "object",
                "description": "the parts of the request object, as policies see them; `user-id` and `client-id`",
            },
            "policy": {**reference("AccessPolicy"), "description": "an AccessPolicy, which is not stored"},
        }
    ),
    "PolicyResult": closed(
        {"request": _OBJECT, "policy": _OBJECT, "result": closed(_RESULT, ["eval-result", "mismatches"])}
    ),
    "Health": closed(
        {
            "status": {
                "enum": ["ready", "unavailable"],
                "description": "ready: no view lacks its guard, a snapshot of the registry is in force, and the last "
                "look did not fail, on the database or unexpectedly",
            },
            "registry": reference("RegistryState"),
            "introspectors": {"type": "array", "items": reference("IntrospectorState")},
        }
    ),
    "RegistryState": closed(
        {
            "version": {**_TEXT_OR_NULL, "description": "of what is in force; null: nothing is"},
            "looked_at": {**_INSTANT_OR_NULL, "description": "the last look with which nothing was wrong"},
            "reachable": {
                "type": "boolean",
                "description": "whether registry and database could be read at the last look",
            },
            "fault": {**_TEXT_OR_NULL, "description": "what is wrong"},
            "resources": {"type": "object", "additionalProperties": {"type": "integer"}},
            "out_of_service": {"type": "array", "items": closed(_ISSUE)},
        }
    ),
    "IntrospectorState": closed(
        {
            "id": _TEXT,
            "type": {"enum": ["jwt", "opaque"]},
            "provider": _TEXT_OR_NULL,
            "in_force": {"type": "boolean"},
            "introspection_endpoint": _TEXT_OR_NULL,
            "keys": reference("KeysState"),
        },
        ["id", "type", "provider", "in_force"],
    ),
    "KeysState": closed(
        {
            "address": _TEXT_OR_NULL,
            "fetched_at": _INSTANT_OR_NULL,
            "due_at": _INSTANT_OR_NULL,
            "expires_at": _INSTANT_OR_NULL,
            "pending": {"type": "boolean"},
            "last_error": _TEXT_OR_NULL,
            "serving": {"type": "array", "items": closed({"id": _TEXT_OR_NULL, "algorithm": _TEXT})},
            "left_out": {"type": "array", "items": closed({"id": _TEXT_OR_NULL, "reason": _TEXT})},
        }
    ),
    "Status": closed({"status": {"enum": ["alive", "ready", "unavailable"]}}),
    "OpenApi": {
        "type": "object",
        "properties": {"openapi": {"const": VERSION}},
        "required": ["openapi", "info", "paths"],
    },
}
