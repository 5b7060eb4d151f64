"""Registry files to write and edit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flask_foreign_token.registry.edits import Check, Edit, Outcome
from flask_foreign_token.registry.file import FileRegistry
from flask_foreign_token.registry.resources import Key

from .places import unchecked


def edit(
    path: Path,
    *bodies: Any,
    deletes: Sequence[Key] = (),
    expected: Mapping[Key, str] = {},
    environ: Mapping[str, str] = {},
    check: Check = unchecked,
) -> dict[Key, Outcome]:
    return FileRegistry(path, environ).edit(Edit(bodies, deletes, expected), check=check)


def write(path: Path, *items: object) -> bytes:
    path.write_text(json.dumps(items))
    return path.read_bytes()


def items_in(path: Path) -> Any:
    return json.loads(path.read_bytes())
