"""How deep what is stored may be nested, and how much userinfo may hold."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import InvalidToken

MAX_DEPTH = 30
"""How deep objects and lists may be nested in what is stored; MariaDB takes 32 for JSON."""

MAX_VALUES = 2000
"""Values in userinfo. Thousands of users are kept, and a value of two bytes takes more than seventy in memory: 64 KiB
of objects and lists take 2 MB, with no more values than these a third of that."""


class TooDeep(InvalidToken):
    """Userinfo is nested deeper than :data:`MAX_DEPTH`."""

    text = "userinfo is nested too deeply"


def is_too_deep(value: object, depth: int = MAX_DEPTH) -> bool:
    """Whether objects and lists in `value`, itself included, are nested more than `depth` deep."""
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return False
    return depth == 0 or any(is_too_deep(inner, depth - 1) for inner in value)


def has_too_many_values(value: object) -> bool:
    """Whether objects and lists in `value` hold more than :data:`MAX_VALUES` values at all depths together."""
    left, pending = MAX_VALUES, [value]
    while pending:
        holder = pending.pop()
        if isinstance(holder, Mapping):
            pending.extend(holder.values())
        elif isinstance(holder, list | tuple):
            pending.extend(holder)
        else:
            continue
        left -= len(holder)
        if left < 0:
            return True
    return False
