"""How large what an operator writes into a policy may be."""

from __future__ import annotations

import json
from typing import Final

MAX_SIZE: Final = 64 * 1024
"""Bytes of the largest pattern, schema or query, as JSON in UTF-8 without spaces."""

MAX_DEPTH: Final = 64
"""Objects and arrays within each other, an operator's own among them."""


def size_of(value: object) -> int | None:
    """Bytes of `value` as JSON; none if it is not JSON, or nested without end."""
    try:
        return len(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode())
    except (TypeError, ValueError, RecursionError):
        return None
