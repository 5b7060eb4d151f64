"""``flask foreign-token policy test``: what policies say, compared with what a table expects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from ..apps import policy, provider
from ..conftest import MakeApp
from .commands import fill, printed, refused, run, stored, written

READERS = policy("readers", {"request-method": "get", "user": {"roles": {"$contains": "reader"}}})
WRITERS = policy("writers", {"request-method": {"$enum": ["get", "put"]}, "user": {"roles": {"$contains": "writer"}}})


def row(method: str = "get", role: str = "reader", *, allowed: bool = True, **members: Any) -> dict[str, Any]:
    return {"request": {"request-method": method, "user": {"roles": [role]}}, "allowed": allowed, **members}


def table(*tests: dict[str, Any], policies: object = (READERS, WRITERS)) -> dict[str, Any]:
    return {"policies": policies, "tests": list(tests)}


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(None)


def outcome(app: Flask, path: Path, *tests: dict[str, Any]) -> tuple[int, list[str]]:
    result = run(app, "policy", "test", written(path / "table.json", table(*tests)))
    return result.exit_code, result.stdout.splitlines()


def test_a_table_whose_every_row_is_as_expected_passes(app: Flask, tmp_path: Path) -> None:
    rows = [row(), row("put", "writer"), row("put", allowed=False), row("get", "porter", allowed=False)]

    assert outcome(app, tmp_path, *rows) == (0, ["4 passed, 0 failed"])


def test_a_request_that_is_allowed_and_should_not_be_fails(app: Flask, tmp_path: Path) -> None:
    status, lines = outcome(app, tmp_path, row(name="a reader reads", allowed=False), row())

    assert status == 1
    assert lines[0].endswith("table.json: a reader reads: is allowed by readers")
    assert lines[-1] == "1 passed, 1 failed"


def test_a_request_that_is_not_allowed_and_should_be_fails_and_says_why(app: Flask, tmp_path: Path) -> None:
    status, lines = outcome(app, tmp_path, row("delete", name="a reader deletes"))

    assert status == 1
    assert lines[0].endswith("table.json: a reader deletes: is not allowed")
    assert any('readers: request-method is "delete", and should be "get"' in line for line in lines)


@pytest.mark.parametrize(("expected", "status"), [("readers", 0), ("writers", 1)])
def test_the_policy_that_a_row_names_must_allow_it(app: Flask, tmp_path: Path, expected: str, status: int) -> None:
    assert outcome(app, tmp_path, row(policy=expected))[0] == status


def test_a_policy_after_the_first_that_allows_is_one_that_allows(app: Flask, tmp_path: Path) -> None:
    both = {"request": {"request-method": "get", "user": {"roles": ["reader", "writer"]}}, "allowed": True}

    assert outcome(app, tmp_path, {**both, "policy": "readers"}, {**both, "policy": "writers"})[0] == 0


@pytest.mark.parametrize(("named", "status"), [(["writers"], 1), ("readers", 0), (["writers", "readers"], 0)])
def test_a_row_may_try_named_policies_alone(app: Flask, tmp_path: Path, named: object, status: int) -> None:
    assert outcome(app, tmp_path, row(named=named))[0] == status


def test_without_coverage_a_policy_may_be_untouched(app: Flask, tmp_path: Path) -> None:
    assert outcome(app, tmp_path, row())[0] == 0


def test_with_coverage_each_policy_must_allow_a_row(app: Flask, tmp_path: Path) -> None:
    half = run(app, "policy", "test", "--coverage", written(tmp_path / "half.json", table(row())))
    whole = run(
        app, "policy", "test", "--coverage", written(tmp_path / "whole.json", table(row(), row("put", "writer")))
    )

    assert (half.exit_code, whole.exit_code) == (1, 0)
    assert "no test is allowed by AccessPolicy/writers" in half.stdout
    assert "readers" not in half.stdout


def test_policies_may_stand_in_files_beside_the_table(app: Flask, tmp_path: Path) -> None:
    written(tmp_path / "policies.json", [READERS, provider()])
    (tmp_path / "tests").mkdir()
    file = written(tmp_path / "tests" / "table.json", table(row(), policies="../policies.json"))

    assert run(app, "policy", "test", file).exit_code == 0


def test_without_policies_the_stored_ones_are_tried(app: Flask, tmp_path: Path) -> None:
    file = written(tmp_path / "table.json", {"tests": [row()]})
    before = run(app, "policy", "test", file).exit_code

    fill(app, [READERS])

    assert (before, run(app, "policy", "test", file).exit_code) == (1, 0)


def test_nothing_is_stored(app: Flask, tmp_path: Path) -> None:
    outcome(app, tmp_path, row())

    assert stored(app) == []


def test_an_inactive_policy_allows_nothing(app: Flask, tmp_path: Path) -> None:
    off = table(row(allowed=False), policies={**READERS, "active": False})

    assert run(app, "policy", "test", written(tmp_path / "table.json", off)).exit_code == 0


def test_tables_are_yaml_and_several(app: Flask, tmp_path: Path) -> None:
    text = f"policies: {json.dumps(READERS)}\ntests:\n- request: {{request-method: get}}\n  allowed: false\n"
    files = [written(tmp_path / name, text) for name in ("a.yaml", "b.yaml")]

    assert run(app, "policy", "test", *files).stdout == "2 passed, 0 failed\n"


def test_programs_get_each_row(app: Flask, tmp_path: Path) -> None:
    file = written(tmp_path / "table.json", table(row(name="reads")))

    (shown,) = printed(app, "policy", "test", file)["tests"]

    assert (shown["name"], shown["passed"], shown["allowed"], shown["policy"]) == ("reads", True, True, "readers")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("tests: [", "YAML"),
        ([], "must be an object"),
        ({"tests": []}, "tests: must not be empty"),
        ({"tests": [row(allow=True)]}, "tests.0.allow: no such attribute; did you mean allowed?"),
        ({"tests": [{"request": {}}]}, "tests.0.allowed: is required"),
        ({"tests": [row(allowed="yes")]}, "tests.0.allowed: must be true or false"),  # type: ignore[arg-type]
        ({"tests": [{"request": {"method": "get"}, "allowed": False}]}, "tests.0.request.method: no such attribute"),
        ({"tests": [row("GET", allowed=False)]}, "tests.0.request.request-method: policies see it in lower case"),
        ({"tests": [row(allowed=False, policy="readers")]}, "tests.0.policy: says which one allows it"),
        (table(row(), policies="absent.json"), "cannot be read"),
        (table(row(named="readres")), "tests.0: readres is none of the policies that this table is about"),
        (table(row(policy="readres")), "tests.0: readres is none of the policies that this table is about"),
        (table(row(), policies=7), "policies: must be a list"),
        (table(row(), policies=[{"id": "x"}]), "policies.0 resourceType: is required"),
        (table(row(), policies=[READERS, READERS]), "AccessPolicy/readers: stands in"),
        (table(row(), policies=policy("bad", {"jwt": None})), "AccessPolicy/bad matcho.jwt: null matches nothing"),
        (table(row(), policies={**READERS, "enginge": "x"}), "AccessPolicy/readers enginge: no such attribute"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_place_and_reason(
    app: Flask, tmp_path: Path, content: object, reason: str
) -> None:
    said = refused(app, "policy", "test", written(tmp_path / "table.json", content))

    assert "nothing was tried." in said
    assert reason in said


def test_a_policy_that_raises_denies_and_the_report_names_what_it_raised(app: Flask, tmp_path: Path) -> None:
    searched = policy("searched", {"uri": "#a+b"})
    long = table({"request": {"uri": "x" * 70_000}, "allowed": True}, policies=searched)

    result = run(app, "policy", "test", written(tmp_path / "table.json", long))

    assert result.exit_code == 1
    assert "searched: raises TextTooLong" in result.stdout
