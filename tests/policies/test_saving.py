"""What saving answers to the policies that the documentation of Aidbox prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from flask_foreign_token.errors import Rejected
from flask_foreign_token.policies.engines import Engines
from flask_foreign_token.policies.lint import lint

from .. import vectors

VECTORS = "aidbox-policies/saving.json"
ENGINES = Engines()


def saved(policy: dict[str, Any]) -> str:
    try:
        return "warned" if lint("p", policy, ENGINES) else "saved"
    except Rejected:
        return "refused"


def _rows() -> Iterator[pytest.ParameterSet]:
    return (pytest.param(row, id=row["name"]) for row in vectors.read(VECTORS))


@pytest.mark.parametrize("row", vectors.cases(VECTORS, _rows))
def test_documented_policy(row: dict[str, Any]) -> None:
    assert saved(row["policy"]) == row["expected"], row["why"]


@pytest.mark.parametrize("rows", vectors.cases(VECTORS, lambda: [pytest.param(vectors.read(VECTORS), id="all")]))
def test_all_of_them_ran(rows: list[dict[str, Any]]) -> None:
    assert len(rows) == 19
