"""Whatever the number of workers and threads that see a subject first: one user, and no error to anyone."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from flask_foreign_token.testing import Issuer

from .databases import counts
from .racing import ask_all, racing, token_of, trusted
from .racing_app import NUMBER, TABLES, THREADS, TOGETHER, WORKERS
from .repeating import TIMES

MANY = 500
CONNECTIONS = 48


class Gathering(Issuer):
    """Answers at its userinfo endpoint when each worker has asked, so that all of them believe to be first."""

    def __init__(self) -> None:
        super().__init__()
        self._together = threading.Barrier(WORKERS)

    def receive(self, endpoint: str) -> int:
        status = super().receive(endpoint)
        if endpoint == "userinfo":
            self._together.wait(30)
        return status


@pytest.fixture
def gathering() -> Iterator[Gathering]:
    with Gathering() as issuer:
        yield issuer


def but_information(log: list[str]) -> list[str]:
    return [line for line in log if "[INFO]" not in line]


@pytest.mark.parametrize("model", TABLES)
def test_64_first_requests_of_one_subject_at_once_make_one_user(
    tmp_path: Path, gathering: Gathering, database: str, model: str
) -> None:
    log: list[str] = []
    # No worker may take more connections than it has threads, so that the requests are spread evenly.
    arguments = ["--worker-connections", str(THREADS)]
    made = 0
    for _ in range(TIMES):
        with racing(tmp_path, trusted(gathering), *arguments, database=database, model=model, log=log) as address:
            # The workers start with the first subject, and have keys, tables and connections for the second one.
            for different_tokens in (1, NUMBER):
                made += 1
                tokens = [token_of(gathering, f"subject-{made}") for _ in range(different_tokens)]
                gathering.requests.clear()

                found = ask_all(address, tokens * (NUMBER // different_tokens), NUMBER, **TOGETHER)

                assert {body["email"] for body in found} == {f"subject-{made}@example.com"}
                assert len({body["user"] for body in found}) == 1
                assert counts(database, TABLES[model]) == (made, made)
                assert gathering.requests["userinfo"] == WORKERS
                assert max(body["began"] for body in found) < min(body["ended"] for body in found)
                assert list(Counter(body["pid"] for body in found).values()) == [THREADS] * WORKERS

    assert but_information(log) == []


def test_500_subjects_at_once_are_500_users(tmp_path: Path, own_issuer: Issuer, database: str) -> None:
    log: list[str] = []
    for number in range(1, TIMES + 1):
        subjects = [f"{number}-{each}" for each in range(MANY)]
        tokens = [token_of(own_issuer, subject) for subject in subjects]

        with racing(tmp_path, trusted(own_issuer), database=database, model="own", log=log) as address:
            found = ask_all(address, tokens, CONNECTIONS)

        assert [body["email"] for body in found] == [f"{subject}@example.com" for subject in subjects]
        assert len({body["user"] for body in found}) == MANY
        assert counts(database, TABLES["own"]) == (number * MANY, number * MANY)

    assert but_information(log) == []
