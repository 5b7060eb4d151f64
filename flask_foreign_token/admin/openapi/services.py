"""What the endpoints do, take and answer that are not those of one type of resource."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from .attributes import Json
from .examples import MATCHO, TRIAL
from .responses import OF_ALL, OF_BODIES, answered, body, plain, refused
from .rules import reference

TRYING: Final = "Trying policies"
HEALTH: Final = "Health"
DOCUMENT: Final = "This document"


def _matcho() -> Json:
    return {
        "tags": [TRYING],
        "summary": "Hold a value to a pattern",
        "requestBody": body(reference("MatchoTrial"), MATCHO),
        "responses": {
            "200": answered("Where the value does not match", reference("MatchoResult")),
            **refused((*OF_ALL, *OF_BODIES, 406)),
        },
    }


def _test_policy() -> Json:
    return {
        "tags": [TRYING],
        "summary": "Try a policy on a request that nobody made",
        "description": "A token in the request is not verified, which the answer says.",
        "requestBody": body(reference("PolicyTrial"), TRIAL),
        "responses": {
            "200": answered("What the policy makes of it", reference("PolicyResult")),
            **refused((*OF_ALL, *OF_BODIES, 406)),
        },
    }


def _openapi() -> Json:
    return {
        "tags": [DOCUMENT],
        "summary": "This document",
        "responses": {"200": answered("This document", reference("OpenApi")), **refused((*OF_ALL, 406))},
    }


def _api_docs() -> Json:
    return {
        "tags": [DOCUMENT],
        "summary": "A page to read this document on",
        "responses": {
            "200": plain("The page", "text/html", {"type": "string"}, "ContentSecurityPolicy"),
            **refused(OF_ALL),
        },
    }


def _health() -> Json:
    return {
        "tags": [HEALTH],
        "summary": "How things stand",
        "responses": {"200": answered("How things stand", reference("Health")), **refused((*OF_ALL, 406))},
    }


def _health_live() -> Json:
    return {
        "tags": [HEALTH],
        "summary": "Whether the process answers",
        "security": [],
        "responses": {"200": plain("It does", "application/json", reference("Status"))},
    }


def _health_ready() -> Json:
    return {
        "tags": [HEALTH],
        "summary": "Whether requests can be decided on",
        "security": [],
        "responses": {
            "200": plain("They can", "application/json", reference("Status")),
            "503": plain("They cannot", "application/json", reference("Status"), "RetryAfter"),
        },
    }


SERVICES: Final[Mapping[str, Callable[[], Json]]] = {
    "matcho": _matcho,
    "test_policy": _test_policy,
    "health": _health,
    "health_live": _health_live,
    "health_ready": _health_ready,
    "openapi": _openapi,
    "api_docs": _api_docs,
}
"""By the name of the endpoint, without the blueprint's."""
