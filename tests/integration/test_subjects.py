"""Subjects are kept apart byte by byte, and so are the systems that they belong to, on every database."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from flask_foreign_token.testing import Issuer

from ..users.conftest import LOOK_ALIKES
from .databases import counts
from .racing import ask_all, racing, token_of, trusted
from .racing_app import TABLES

SYSTEMS = ("clinic", "Clinic", "clínic", "clinic ")


def test_whoever_looks_like_somebody_else_is_another_user(tmp_path: Path, own_issuer: Issuer, database: str) -> None:
    log: list[str] = []
    # Each of them once, though some look like two others.
    subjects = list(dict.fromkeys(subject for pair in LOOK_ALIKES for subject in pair))
    asked = [(each, f"{number}@example.com") for number, each in enumerate(subjects)]

    with racing(tmp_path, trusted(own_issuer), database=database, model="default", log=log) as address:
        made, *again = (ask_all(address, [token_of(own_issuer, *one) for one in asked]) for _ in range(3))

    number = len(subjects)
    assert [(body["subject"], body["email"]) for body in made] == asked
    assert len({body["user"] for body in made}) == number
    for found in again:
        assert [body["user"] for body in found] == [body["user"] for body in made]
    assert counts(database, TABLES["default"]) == (number, number)


def test_subjects_that_are_alike_are_as_many_users_as_there_are_providers(tmp_path: Path, database: str) -> None:
    log: list[str] = []
    emails = [f"{number}@example.com" for number in range(len(SYSTEMS))]
    with ExitStack() as stack:
        issuers = [stack.enter_context(Issuer()) for _ in SYSTEMS]
        resources = [
            resource
            for number, (issuer, system) in enumerate(zip(issuers, SYSTEMS, strict=True))
            for resource in trusted(issuer, f"provider-{number}", system=system)
        ]
        with racing(tmp_path, resources, database=database, model="own", log=log) as address:
            asked = [token_of(issuer, "ann", email) for issuer, email in zip(issuers, emails, strict=True)]
            found = ask_all(address, asked * 3)

    assert [body["email"] for body in found] == emails * 3
    assert len({body["user"] for body in found}) == len(SYSTEMS)
    assert counts(database, TABLES["own"]) == (len(SYSTEMS), len(SYSTEMS))
