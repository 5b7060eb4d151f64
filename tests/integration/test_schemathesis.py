"""Schemathesis asks the operator's API what its OpenAPI document promises, and more, with all its checks."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests

from ..admin.asking import NAME, PASSWORD, basic
from ..apps import environment
from .serving import served

CONFIGURATION = """
seed = 9

[generation]
database = "none"

[[operations]]
include-method = ["POST", "PUT", "DELETE"]
checks.positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 409, 412, 422]
checks.negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 406, 409, 412, 415, 422]

[[operations]]
include-operation-id-regex = "^version_"
checks.positive_data_acceptance.expected-statuses = ["2xx", "3xx", 401, 403, 404, 410]
"""

PUBLIC = {"health_live", "health_ready"}

BY_CHANCE = re.compile("(version|rollback|update|delete)_.*")
"""Operations that succeed only where chance leads to what is there, in the state that is named."""

_OWN = "/fhir/openapi.json?of-the-test"
_FORMAT = "%(s)s %(m)s %({raw_uri}e)s"


class Answered(NamedTuple):
    """What a request to an operation came to."""

    operation: str
    status: int


class Served(NamedTuple):
    """An app that serves its operator's API.

    :param document: as the operator gets it.
    :param log: of what was answered: status, method and address.
    """

    address: str
    folder: Path
    document: dict[str, Any]
    log: Path

    def probe(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run schemathesis with all its checks on."""
        (self.folder / "schemathesis.toml").write_text(CONFIGURATION)
        (self.folder / "openapi.json").write_text(json.dumps(self.document))
        command = [sys.executable, "-m", "schemathesis.cli", "--no-color", "run", "openapi.json", "--checks", "all"]
        command += ["--url", f"{self.address}/fhir", "--generation-deterministic", *arguments]
        variables = environment(SCHEMATHESIS_HOOKS="tests.integration.schemathesis_hooks")
        return subprocess.run(
            command, cwd=self.folder, env=variables, capture_output=True, text=True, timeout=600, check=False
        )

    def answered(self) -> Iterator[Answered]:
        """What was answered to requests to an operation of the document."""
        operations = {
            (method.upper(), re.compile("/fhir" + re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)))): operation
            for path, methods in self.document["paths"].items()
            for method, operation in methods.items()
        }
        for line in self.log.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]:
            status, method, address = line.split(" ", 2)
            path = "" if address == _OWN else address.partition("?")[0]
            for (known, pattern), operation in operations.items():
                if method == known and pattern.fullmatch(path):
                    yield Answered(operation["operationId"], int(status))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    with _serving(tmp_path) as server:
        yield server


@contextmanager
def _serving(folder: Path) -> Iterator[Served]:
    log = folder / "access.log"
    arguments = ["--limit-request-line", "0", "--access-logfile", str(log), "--access-logformat", _FORMAT]
    with served(folder, *arguments, app="tests.integration.operated_app:create()") as address:
        answer = requests.get(f"{address}{_OWN}", headers=basic(), timeout=30)
        assert answer.status_code == 200, answer.text
        yield Served(address, folder, answer.json(), log)


def statuses_by_operation(server: Served) -> Mapping[str, set[int]]:
    found: dict[str, set[int]] = {}
    for operation, status in server.answered():
        found.setdefault(operation, set()).add(status)
    return found


def test_it_finds_nothing_as_the_operator(server: Served) -> None:
    """All its checks are on, in all its phases.

    Where it sends what the document allows, 412 and 422 count as answers too, at operations that write: no JSON Schema
    says that the id of the body is that of the path, that no two providers have one system, that a reference leads
    somewhere, that a pattern or an expression can be read, that a secret is long enough, or that the state is the one
    that ``If-Match`` names. So does 410 of a version: it may be that in which the resource was deleted.
    """
    run = server.probe("--auth", f"{NAME}:{PASSWORD}", "--max-examples", "25")

    assert run.returncode == 0, run.stdout[:8000]
    reached = statuses_by_operation(server)
    named = {
        operation["operationId"] for methods in server.document["paths"].values() for operation in methods.values()
    }
    assert named - reached.keys() == set()
    assert [name for name in named if not BY_CHANCE.fullmatch(name) and min(reached[name]) >= 300] == []
    assert {status for statuses in reached.values() for status in statuses if status >= 500} == set()


def test_it_gets_nothing_as_nobody(server: Served) -> None:
    run = server.probe("--max-examples", "10", "--phases", "examples,fuzzing,stateful")

    assert run.returncode == 0, run.stdout[:8000]
    reached = statuses_by_operation(server)
    assert {name: statuses for name, statuses in reached.items() if name in PUBLIC} == {name: {200} for name in PUBLIC}
    assert {status for name, statuses in reached.items() if name not in PUBLIC for status in statuses} == {401}
