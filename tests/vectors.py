"""Where the published test vectors lie; they are read in place and not copied."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

VECTORS = Path(os.environ.get("VECTORS") or Path(__file__).resolve().parents[2] / "shared" / "vectors")

WYCHEPROOF_SIGNATURES = "wycheproof/json_web_signature_test.json"
WYCHEPROOF_KEYS = "wycheproof/json_web_key_test.json"
WYCHEPROOF_EXPECTED = "wycheproof/expected.json"
COOKBOOK = "cookbook"


def read(name: str) -> Any:
    """The parsed file `name`.

    :raises FileNotFoundError: it is not there.
    """
    return json.loads((VECTORS / name).read_text())


def listed(folder: str) -> list[str]:
    """The names of the JSON files in `folder`.

    :raises FileNotFoundError: it is not there.
    """
    return sorted(f"{folder}/{path.name}" for path in (VECTORS / folder).iterdir() if path.suffix == ".json")


def cases(name: str, find: Callable[[], Iterable[pytest.ParameterSet]]) -> list[pytest.ParameterSet]:
    """What `find` finds, for a parametrized test with one argument; skipped by `name` where the vectors are absent."""
    try:
        return list(find())
    except FileNotFoundError:
        absent = pytest.mark.skip(reason=f"the vectors {name} are not in {VECTORS}")
        return [pytest.param(None, id=f"{name} absent", marks=absent)]
