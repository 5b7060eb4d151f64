"""The published vectors, asked of an app over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from flask import Flask

from ..vectors import cases, read
from .callers import ids, operate
from .judging import allowed, compared, living, simulated, warnings_in


def rows(name: str, *inside: str) -> list[pytest.ParameterSet]:
    def find() -> Iterable[pytest.ParameterSet]:
        found = read(name)
        for step in inside:
            found = found[step]
        for number, row in enumerate(found):
            yield pytest.param(row, id=f"{number} {row.get('name', '')}"[:60])

    return cases(name, find)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    with living(tmp_path_factory.mktemp("vectors")) as app:
        yield app


@pytest.mark.parametrize("row", rows("aidbox-policies/decisions.json"))
def test_documented_policies_decide_as_their_documentation_says(app: Flask, row: dict[str, Any]):
    assert allowed(app, row["policies"], row["request"]) is row["allowed"]


@pytest.mark.parametrize("row", rows("aidbox-policies/decisions.json"))
def test_what_is_not_allowed_is_explained(app: Flask, row: dict[str, Any]):
    for policy in row["policies"]:
        result = simulated(app, policy, row["request"])
        assert bool(result["mismatches"]) is not result["eval-result"], result


@pytest.mark.parametrize("row", rows("aidbox-policies/saving.json"))
def test_saving_a_documented_policy(app: Flask, row: dict[str, Any]):
    answer = operate(app, "PUT", "/fhir/AccessPolicy/documented", row["policy"])

    if row["expected"] == "refused":
        assert answer.status_code == 422
        assert answer.json["issues"]
        assert all(issue["message"] for issue in answer.json["issues"])
        assert "documented" not in ids(app, "AccessPolicy")
        return
    assert answer.status_code == 201
    operate(app, "DELETE", "/fhir/AccessPolicy/documented")
    if row["expected"] == "warned":
        assert warnings_in(answer)


@pytest.mark.parametrize("row", rows("aidbox-policies/saving.json"))
def test_saving_a_documented_policy_strictly(app: Flask, row: dict[str, Any]):
    answer = operate(app, "PUT", "/fhir/AccessPolicy/documented", row["policy"], headers={"Prefer": "handling=strict"})

    stored = "documented" in ids(app, "AccessPolicy")
    operate(app, "DELETE", "/fhir/AccessPolicy/documented")
    if row["expected"] == "saved":
        assert answer.status_code == 201
        assert warnings_in(answer) == []
    else:
        assert answer.status_code == 422
        assert answer.json["issues"]
        assert not stored


def test_a_documented_policy_with_a_name_twice_in_yaml_is_refused(app: Flask):
    body = "engine: matcho\nmatcho:\n  user: present?\n  user:\n    data: {practitioner_id: present?}\n"

    answer = operate(app, "PUT", "/fhir/AccessPolicy/twice", body, content_type="text/yaml")

    assert answer.status_code in {400, 422}
    assert "twice" not in ids(app, "AccessPolicy")


@pytest.mark.parametrize("row", rows("matcho/cases.json"))
def test_published_patterns_match_what_they_should(app: Flask, row: dict[str, Any]):
    context = {"context": row["context"]} if "context" in row else {}

    found = compared(app, row["pattern"], row["value"], **context)

    assert (found == []) is row["matches"]
    if "errors" in row:
        assert len(found) == len(row["errors"])
        for error, expected in zip(found, row["errors"], strict=True):
            assert {name: error[name] for name in expected} == expected


@pytest.mark.parametrize("row", rows("matcho/cases.json"))
def test_every_mismatch_of_a_published_pattern_has_path_expected_and_found(app: Flask, row: dict[str, Any]):
    context = {"context": row["context"]} if "context" in row else {}

    for error in compared(app, row["pattern"], row["value"], **context):
        assert set(error) == {"path", "expected", "but"}
        assert isinstance(error["path"], list)


def without_paths(parameters: list[pytest.ParameterSet]) -> list[pytest.ParameterSet]:
    """Rows that mean the same below ``resource``: no `.path` in them."""
    return [one for one in parameters if one.values[0] is None or '".' not in json.dumps(one.values[0]["pattern"])]


@pytest.mark.parametrize("row", without_paths(rows("matcho/cases.json")))
def test_published_patterns_decide_alike_in_a_policy(app: Flask, row: dict[str, Any]):
    policy = {"engine": "matcho", "matcho": {"resource": row["pattern"]}}

    assert allowed(app, [policy], {"resource": row["value"]}) is row["matches"]


@pytest.fixture(scope="module")
def authzen() -> Any:
    return read("authzen/interop.json")


@pytest.mark.parametrize("row", rows("authzen/interop.json", "rows"))
def test_our_policies_say_what_other_engines_say(app: Flask, authzen: Any, row: dict[str, Any]):
    user = authzen["users"].get(row["request"]["subject"]["id"])
    request = {**row["request"], **({} if user is None else {"user": user})}

    assert allowed(app, authzen["policies"][row["set"]], request) is row["decision"]


GROUPS = "json-schema-draft7/tests.json"


def schema_groups(remote: bool) -> list[pytest.ParameterSet]:
    def find() -> Iterable[pytest.ParameterSet]:
        for number, group in enumerate(read(GROUPS)):
            if bool(group.get("absolute_ids_or_refs")) is remote:
                yield pytest.param(group, id=f"{number} {group['file']} {group['description']}"[:60])

    return cases(GROUPS, find)


@pytest.mark.parametrize("group", schema_groups(remote=True))
def test_a_schema_that_refers_elsewhere_is_refused_and_nothing_is_fetched(app: Flask, group: dict[str, Any]):
    answer = operate(app, "PUT", "/fhir/AccessPolicy/schema", {"engine": "json-schema", "schema": group["schema"]})

    assert answer.status_code == 422
    assert any(issue["path"].startswith("schema") for issue in answer.json["issues"])


def self_contained(parameters: list[pytest.ParameterSet]) -> list[pytest.ParameterSet]:
    """Groups that can be asked about a member: they refer to nothing from the top, and ask for something."""
    return [
        one
        for one in parameters
        if one.values[0] is None
        or ("$ref" not in json.dumps(one.values[0]["schema"]) and "$id" not in json.dumps(one.values[0]["schema"]))
    ]


@pytest.mark.parametrize("group", self_contained(schema_groups(remote=False))[::2])
def test_a_schema_of_the_suite_decides_about_a_member(app: Flask, group: dict[str, Any]):
    schema = {"required": ["resource"], "properties": {"resource": group["schema"]}}

    for test in [test for test in group["tests"] if not test.get("has_empty_values")][:3]:
        result = allowed(app, [{"engine": "json-schema", "schema": schema}], {"resource": test["data"]})
        assert result is test["valid"], test["description"]


@pytest.mark.parametrize("group", schema_groups(remote=False))
def test_a_schema_of_the_suite_can_be_saved(app: Flask, group: dict[str, Any]):
    answer = operate(app, "PUT", "/fhir/AccessPolicy/schema", {"engine": "json-schema", "schema": group["schema"]})

    assert answer.status_code in {200, 201}, answer.get_data(as_text=True)
