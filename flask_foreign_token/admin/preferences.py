"""What a caller prefers, beside what it asks for (:rfc:`7240`)."""

from __future__ import annotations

from typing import Final

from flask import Request
from werkzeug.http import parse_list_header

STRICT: Final = "handling=strict"
"""That what is probably not meant is refused (:rfc:`7240#section-4.4`)."""


def is_strict(request: Request) -> bool:
    """Whether the caller prefers a refusal to warnings. Of a preference that is said twice the first counts."""
    for preference in parse_list_header(request.headers.get("Prefer", "")):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "handling":
            return value.strip().strip('"').lower() == "strict"
    return False
