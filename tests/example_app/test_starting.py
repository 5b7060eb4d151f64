"""Many workers that find an empty database, served as the image serves them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import requests

from example_app.providers import Provider
from flask_foreign_token.testing import Issuer

from ..apps import bearer, environment
from ..integration.servers import SERVERS
from .test_container import command_of_the_image
from .test_create_app import OPERATOR

AT_ONCE = 16


@contextmanager
def sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder}/example.sqlite"


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty one."""
    made: AbstractContextManager[str] = sqlite(tmp_path) if request.param == "sqlite" else SERVERS[request.param]()
    with made as url:
        yield url


@contextmanager
def served(**variables: str) -> Iterator[str]:
    """The address of the app, run by the command of the image but for its port."""
    command = ["127.0.0.1:0" if part == "0.0.0.0:8080" else part for part in command_of_the_image()]
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=Path(__file__).parents[2],
        env=environment(**variables),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        yield next(found[1] for line in process.stderr if (found := re.search(r"Listening at: (http://\S+)", line)))
    finally:
        process.terminate()
        rest = process.communicate(timeout=60)[1]
        assert "Traceback" not in rest, rest


def at_once(work: Callable[[int], requests.Response]) -> list[int]:
    """The statuses of as many requests as all workers together have threads."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [response.status_code for response in pool.map(work, range(AT_ONCE))]


def until_all_know(work: Callable[[int], requests.Response]) -> list[int]:
    """The same once no worker has a request go on with what it knew before; one look at the registry is enough."""
    statuses: list[int] = []
    for _ in range(20):
        statuses = at_once(work)
        if set(statuses) == {200}:
            break
    return statuses


def test_workers_that_start_together_share_one_database(database: str, tutorial_issuer: Issuer) -> None:
    provider = Provider(tutorial_issuer.issuer, tutorial_issuer.url)
    token = tutorial_issuer.token()
    variables = {
        "SQLALCHEMY_DATABASE_URI": database,
        "FOREIGN_TOKEN_ADMIN_CLIENT_ID": OPERATOR[0],
        "FOREIGN_TOKEN_ADMIN_CLIENT_SECRET": OPERATOR[1],
        "FOREIGN_TOKEN_REGISTRY_POLL": "0",
    }

    with served(**variables) as address:
        empty = at_once(lambda _: requests.get(f"{address}/fhir/Patient", timeout=60))
        stored = [
            requests.put(address + path, data=body, auth=OPERATOR, timeout=60).status_code
            for path, body in provider.resources()
        ]
        let_in = until_all_know(lambda _: requests.get(f"{address}/fhir/Patient", headers=bearer(token), timeout=60))
        patients = requests.get(f"{address}/fhir/Patient", headers=bearer(token), timeout=60).json()
        users = requests.get(f"{address}/fhir/User", auth=OPERATOR, timeout=60).json()

    assert (set(empty), stored, set(let_in)) == ({401}, [201, 201, 201], {200})
    assert (patients["total"], users["total"]) == (3, 1)


def test_a_header_that_the_extension_takes_is_not_refused_before_it(tmp_path: Path) -> None:
    with served(SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/example.sqlite") as address:
        response = requests.get(f"{address}/fhir/Patient", headers=bearer("x" * 16_000), timeout=60)

    assert (response.status_code, response.json()["error"]) == (401, "invalid_token")


def test_without_any_setting_it_says_what_nobody_can_do(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flask", "--app", "example_app", "run", "--port", "0"]
    process = subprocess.Popen(
        command,
        cwd=Path(__file__).parents[2],
        env=environment(SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/example.sqlite"),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if found := re.search(r"Running on (http://\S+)", line):
                break
        answer = requests.get(f"{found[1]}/fhir/Patient", timeout=60) if found else None
        process.terminate()

    assert answer is not None, said
    assert answer.status_code == 401
    assert "nobody can sign in as the operator" in "".join(said)


def test_a_command_says_nothing_of_the_operator(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "example_app", "foreign-token", "list", "AccessPolicy"],
        cwd=Path(__file__).parents[2],
        env=environment(SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/example.sqlite"),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert "operator" not in done.stderr
