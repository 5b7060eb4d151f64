"""The official test suite of draft-07, and the policies that Aidbox's documentation prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from flask_foreign_token.errors import Rejected
from flask_foreign_token.policies.engines import Engines
from flask_foreign_token.policies.json_schema.check import check, validator
from flask_foreign_token.policies.json_schema.pruning import pruned

from ...vectors import cases, read

SUITE = "json-schema-draft7/tests.json"
SAVING = "aidbox-policies/saving.json"
ENGINES = Engines()


def groups(absolute: bool, keywords: bool = False) -> list[pytest.ParameterSet]:
    """The groups with, or without, an address in their schema.

    :param keywords: only those with a schema of keywords; instead of another a policy says allow, or is not active.
    """

    def find() -> Iterator[pytest.ParameterSet]:
        for group in read(SUITE):
            is_wanted = isinstance(group["schema"], dict) or not keywords
            if is_wanted and bool(group.get("absolute_ids_or_refs")) is absolute:
                yield pytest.param(group, id=f"{group['file']}: {group['description']}")

    return cases(SUITE, find)


def rows() -> list[pytest.ParameterSet]:
    def find() -> Iterator[pytest.ParameterSet]:
        for row in read(SAVING):
            if row["policy"]["engine"] == "json-schema":
                yield pytest.param(row, id=row["name"])

    return cases(SAVING, find)


def comparable(group: dict[str, Any]) -> list[dict[str, Any]]:
    return [test for test in group["tests"] if not test.get("has_empty_values")]


@pytest.mark.parametrize("group", groups(absolute=False))
def test_a_schema_of_the_suite_can_be_saved_and_answers_as_the_suite_says(group: dict[str, Any]) -> None:
    check(group["schema"])
    is_valid = validator(group["schema"]).is_valid

    for test in comparable(group):
        assert is_valid(pruned(test["data"])) is test["valid"], test["description"]


@pytest.mark.parametrize("group", groups(absolute=False, keywords=True))
def test_a_policy_answers_as_the_suite_says_and_tells_why(group: dict[str, Any]) -> None:
    condition = ENGINES.parse({"engine": "json-schema", "schema": group["schema"]})

    for test in comparable(group):
        if isinstance(test["data"], dict):
            assert condition.compile()(test["data"]) is test["valid"], test["description"]  # type: ignore[arg-type]
            assert (not condition.mismatches(test["data"])) is test["valid"], test["description"]  # type: ignore[arg-type]


@pytest.mark.parametrize("group", groups(absolute=True))
def test_a_schema_with_an_address_is_refused(group: dict[str, Any]) -> None:
    with pytest.raises(Rejected) as rejected:
        check(group["schema"])

    assert all(issue.path.endswith(("$ref", "$id")) for issue in rejected.value.issues)


@pytest.mark.skipif(any(parameter.marks for parameter in groups(absolute=True)), reason="the vectors are absent")
def test_the_whole_suite_ran() -> None:
    saved = [parameter.values[0] for parameter in groups(absolute=False)]

    assert len(saved) == 233
    assert len(groups(absolute=True)) == 24
    assert sum(len(comparable(group)) for group in saved) == 685  # type: ignore[arg-type]


@pytest.mark.parametrize("row", rows())
def test_a_documented_policy_is_refused_or_warned_of(row: dict[str, Any]) -> None:
    policy = {name: value for name, value in row["policy"].items() if name != "resourceType"}

    if row["expected"] == "refused":
        with pytest.raises(Rejected):
            ENGINES.parse(policy)
    else:
        assert bool(list(ENGINES.parse(policy).warnings())) is (row["expected"] == "warned")
