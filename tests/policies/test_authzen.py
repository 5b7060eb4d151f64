"""What other engines of policies say of the published requests of AuthZEN, said by ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from flask_foreign_token.policies.decisions import Policies
from flask_foreign_token.policies.engines import Engines
from flask_foreign_token.policies.policy import compile_policy

from .. import vectors
from .facts import view_of

AUTHZEN = "authzen/interop.json"


def rows() -> Iterator[pytest.ParameterSet]:
    published = vectors.read(AUTHZEN)
    for number, row in enumerate(published["rows"]):
        asked = row["request"]
        name = f"{number}-{row['set']}-{asked['action']['name']}"
        user = published["users"][asked["subject"]["id"]]
        yield pytest.param((published["policies"][row["set"]], {**asked, "user": user}, row["decision"]), id=name)


@pytest.mark.parametrize("row", vectors.cases("authzen", rows))
def test_a_published_decision(row: tuple[list[dict[str, Any]], dict[str, Any], bool]) -> None:
    bodies, request, decision = row
    policies = Policies(compile_policy(body["id"], "1", body, Engines()) for body in bodies)

    assert policies.decide(view_of(request)).allowed is decision


def test_there_are_decisions_of_both_kinds() -> None:
    (decisions,) = [vectors.cases("authzen", rows)]
    if decisions[0].values == (None,):
        pytest.skip("the vectors authzen are absent")

    assert len(decisions) == 71
    assert {row.values[0][2] for row in decisions} == {True, False}
