"""Values from the environment in a resource: ``${NAME}`` and ``${NAME:-default}``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..faults import Faults
from ..printable import shown
from .fields import VARIABLE, Path

_VARIABLE = re.compile(rf"\$\{{(?:(?P<name>{VARIABLE})(?::-(?P<default>[^}}]*))?\}})?")


def expand(body: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """`body` with the variables in its string values, at any depth, replaced. What is put in is not looked at again.

    The default stands for a variable that is unset or empty, as in a shell. Names of members stay as they are.

    :raises Rejected: a variable is unset and has no default, or a ``${`` begins none; names each, with its path.
    """
    expansion = _Expansion(environ)
    expanded = {name: expansion.of(value, (shown(name),)) for name, value in body.items()}
    expansion.faults.raise_any()
    return expanded


class _Expansion:
    """Goes through a value and notes what cannot be replaced."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.faults = Faults()
        self._environ = environ

    def of(self, value: object, path: Path) -> object:
        match value:
            case str():
                return _VARIABLE.sub(lambda found: self._value(found, path), value)
            case dict():
                return {name: self.of(inner, (*path, shown(name))) for name, inner in value.items()}
            case list():
                return [self.of(inner, (*path, str(position))) for position, inner in enumerate(value)]
            case _:
                return value

    def _value(self, found: re.Match[str], path: Path) -> str:
        name, default = found["name"], found["default"]
        if name is None:
            return self._refused(path, "${ must begin ${NAME} or ${NAME:-default}")
        value = self._environ.get(name, default)
        if value is None:
            return self._refused(path, f"the environment variable {name} is not set")
        return value or default or ""

    def _refused(self, path: Path, reason: str) -> str:
        self.faults.add("", ".".join(path), reason)
        return ""
