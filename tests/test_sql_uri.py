"""What says that the database of the engine ``sql`` is not fit to be asked, before a request finds out."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from flask import Flask

from flask_foreign_token import ForeignToken
from flask_foreign_token.errors import Issue, Rejected
from flask_foreign_token.testing import Issuer

from .apps import ask, policy, trusting
from .cli.commands import fill, run
from .conftest import MakeApp


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "clinic.db"


@pytest.fixture
def foreign_token() -> ForeignToken:
    return ForeignToken()


@pytest.fixture
def app(make_app: MakeApp, path: Path, issuer: Issuer, foreign_token: ForeignToken) -> Flask:
    asking = policy("staff", engine="sql", sql={"query": "SELECT active FROM staff WHERE name = {{jwt.sub}}"})
    return fill(make_app([], foreign_token, FOREIGN_TOKEN_SQL_URI=f"sqlite:///{path}"), trusting(issuer, asking))


def make(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE staff (name TEXT, active INTEGER); INSERT INTO staff VALUES ('ann', 1)")
    connection.close()


def test_check_names_what_is_wrong_with_it(app: Flask, path: Path, issuer: Issuer, foreign_token: ForeignToken) -> None:
    with pytest.raises(Rejected) as rejected:
        foreign_token.check(app)
    make(path)
    foreign_token.check(app)

    assert rejected.value.issues == (Issue("FOREIGN_TOKEN_SQL_URI", "", "the file cannot be opened: SQLITE_CANTOPEN"),)
    assert ask(app, issuer.token(sub="ann")).status_code == 200


def test_doctor_names_what_is_wrong_with_it(app: Flask, path: Path) -> None:
    failed = run(app, "doctor", "--json")
    make(path)
    well = run(app, "doctor", "--json")

    (finding,) = [entry for entry in json.loads(failed.stdout) if entry["check"] == "sql"]
    assert failed.exit_code == 1
    assert finding["mark"] == "failed"
    assert finding["found"] == "FOREIGN_TOKEN_SQL_URI: the file cannot be opened: SQLITE_CANTOPEN"
    assert [entry for entry in json.loads(well.stdout) if entry["check"] == "sql"] == []
