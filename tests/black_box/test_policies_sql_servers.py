"""The engine ``sql`` on servers, as a role that can only read: a second statement, a write, a slow query, odd names."""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import policy, trusting
from ..integration.servers import SERVERS
from .callers import operate, put, put_all
from .judging import let_in, living, logged, said_of

GRANTS = {
    "postgresql": ["CREATE ROLE reader LOGIN", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader"],
    "mariadb": ["CREATE USER reader@localhost", "GRANT SELECT ON app.* TO reader@localhost"],
}


@dataclass
class Database:
    """A database with a table of patients, and one whose name must be quoted."""

    kind: str
    owner: sa.URL

    @property
    def reader(self) -> str:
        return self.owner.set(username="reader").render_as_string(hide_password=False)

    def run(self, *statements: str) -> list[Any]:
        engine = sa.create_engine(self.owner)
        try:
            with engine.begin() as connection:
                results = [connection.exec_driver_sql(statement) for statement in statements]
                return [tuple(row) for row in results[-1]] if results[-1].returns_rows else []
        finally:
            engine.dispose()

    def quoted(self, name: str) -> str:
        quote = '"' if self.kind == "postgresql" else "`"
        return quote + name.replace(quote, quote * 2) + quote

    def patients(self) -> list[Any]:
        return self.run("SELECT id, practitioner FROM patient ORDER BY id")


ODD = ["odd name; drop", "select", "per cent % s", 'quo"te`s']


@pytest.fixture(scope="module", params=SERVERS)
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    with SERVERS[request.param]() as url:
        database = Database(request.param, sa.make_url(url))
        database.run(
            "CREATE TABLE patient (id VARCHAR(40), practitioner VARCHAR(40), number INTEGER)",
            "INSERT INTO patient VALUES ('p-1', 'ada', 1), ('p-2', 'bob', 2)",
            *(f"CREATE TABLE {database.quoted(name).replace('%', '%%')} (id VARCHAR(40))" for name in ODD),
            *(f"INSERT INTO {database.quoted(name).replace('%', '%%')} VALUES ('x')" for name in ODD),
            *GRANTS[request.param],
        )
        yield database
        # An app has no end at which it could close its connections, so they are closed when it is collected.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@contextmanager
def guarded(folder: Path, uri: str, issuer: Issuer) -> Iterator[Flask]:
    with living(folder, FOREIGN_TOKEN_SQL_URI=uri) as app:
        put_all(app, trusting(issuer, policy("nobody", {"jwt": {"sub": "nobody at all"}})))
        yield app


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, database: Database, issuer: Issuer) -> Iterator[Flask]:
    with guarded(tmp_path_factory.mktemp("servers"), database.reader, issuer) as app:
        yield app


@pytest.fixture
def under(app: Flask, database: Database):
    def store(query: str, *, may_be_refused: bool = False) -> Flask:
        answer = put(app, {"resourceType": "AccessPolicy", "id": "tried", "engine": "sql", "sql": {"query": query}})
        assert answer.status_code in {200, 201, *([422] if may_be_refused else [])}, answer.get_data(as_text=True)
        return app

    before = database.patients()
    yield store
    operate(app, "DELETE", "/fhir/AccessPolicy/tried")
    assert database.patients() == before


OWN = "SELECT count(*) > 0 FROM patient WHERE id = {{params.record_id}} AND practitioner = {{jwt.sub}}"


def test_a_query_allows_what_the_database_says(under, issuer: Issuer):
    app = under(OWN)

    assert let_in(app, issuer.token(sub="ada"), "/records/p-1")
    assert not let_in(app, issuer.token(sub="ada"), "/records/p-2")
    assert let_in(app, issuer.token(sub="bob"), "/records/p-2")
    assert not let_in(app, None, "/records/p-1")


@pytest.mark.parametrize(
    "value",
    ["p-1' OR '1'='1", "' OR 1=1 -- ", "\\' OR 1=1 -- ", "x'; DELETE FROM patient; -- ", "%s", "%(a)s", ":a", "?"],
)
def test_a_value_stays_a_value(under, issuer: Issuer, value):
    app = under("SELECT count(*) > 0 FROM patient WHERE id = {{jwt.x}} OR practitioner = {{jwt.x}}")

    assert not let_in(app, issuer.token(x=value))
    assert let_in(app, issuer.token(x="p-1"))


@pytest.mark.parametrize("value", [None, [], ["p-1"], {}, {"a": 1}], ids=ascii)
def test_a_value_that_is_missing_null_a_list_or_an_object_denies(under, issuer: Issuer, value):
    assert not let_in(under("SELECT {{jwt.x}} IS NULL OR 1 = 1"), issuer.token(x=value))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT true", True),
        ("SELECT 1", True),
        ("SELECT 0.5", True),
        ("SELECT false", False),
        ("SELECT 0", False),
        ("SELECT 0.0", False),
        ("SELECT NULL", False),
        ("SELECT 'yes'", False),
        ("SELECT 1, 1", False),
        ("SELECT 1 FROM patient", False),
        ("SELECT 1 FROM patient WHERE 1 = 0", False),
        ("SELECT count(*) FROM patient", True),
    ],
)
def test_one_row_with_one_column_that_is_true_or_a_number_but_0_allows(under, issuer: Issuer, query, expected):
    assert let_in(under(query), issuer.token()) is expected


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1; DELETE FROM patient",
        "SELECT 1; SELECT 1",
        "DELETE FROM patient; SELECT 1",
        "SELECT 1; COMMIT; DELETE FROM patient",
        "SELECT 1 /* ; */; DELETE FROM patient",
    ],
)
def test_a_second_statement_never_runs(under, issuer: Issuer, query):
    assert not let_in(under(query, may_be_refused=True), issuer.token())


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM patient",
        "DELETE FROM patient RETURNING 1",
        "INSERT INTO patient VALUES ('p-3', 'eve', 3) RETURNING 1",
        "UPDATE patient SET practitioner = 'eve'",
        "UPDATE patient SET practitioner = 'eve' RETURNING 1",
        "DROP TABLE patient",
        "TRUNCATE patient",
        "CREATE TABLE mine (id INTEGER)",
        "WITH gone AS (DELETE FROM patient RETURNING 1) SELECT count(*) FROM gone",
        "SELECT 1 FROM patient FOR UPDATE",
        "COMMIT",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        "SELECT set_config('transaction_read_only', 'off', false)::int",
        "SELECT pg_read_file('/etc/passwd') IS NOT NULL",
        "COPY patient TO '/tmp/copied-by-a-policy'",
        "SELECT 1 INTO OUTFILE '/tmp/copied-by-a-policy'",
        "SET GLOBAL read_only = 0",
        "DO SLEEP(0)",
        "CALL nothing()",
    ],
)
def test_what_writes_denies_and_writes_nothing(under, issuer: Issuer, query):
    app = under(query, may_be_refused=True)

    assert not let_in(app, issuer.token())
    assert not Path("/tmp/copied-by-a-policy").exists()
    assert let_in(under("SELECT true"), issuer.token()), "the engine goes on"


SLOW = {
    "postgresql": [
        "SELECT count(*) > 0 FROM (SELECT pg_sleep(30)) AS s",
        "SELECT count(*) FROM generate_series(1, 1000000000) AS a, generate_series(1, 1000) AS b",
    ],
    "mariadb": [
        "SELECT SLEEP(30)",
        "SELECT BENCHMARK(10000000000, SHA2('a', 512)) + 1",
    ],
}


@pytest.mark.parametrize("number", range(2))
def test_a_slow_query_denies_within_seconds(under, database: Database, issuer: Issuer, caplog, number):
    app = under(SLOW[database.kind][number])

    begun = time.monotonic()
    assert not let_in(app, issuer.token())
    assert time.monotonic() - begun < 6
    assert said_of(caplog, "tried")

    begun = time.monotonic()
    assert let_in(under("SELECT true"), issuer.token())
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize("name", [*ODD, "patient"])
def test_a_name_that_needs_quotes_is_quoted(under, issuer: Issuer, name):
    app = under("SELECT count(*) > 0 FROM {{!jwt.x}}")

    assert let_in(app, issuer.token(x=name))


@pytest.mark.parametrize(
    "name", ["nothing", "", "patient; DELETE FROM patient", 'patient" WHERE 1=1 --', "patient` WHERE 1=1 -- ", 1, None]
)
def test_a_name_that_no_table_has_denies(under, issuer: Issuer, name):
    assert not let_in(under("SELECT 1 FROM {{!jwt.x}} LIMIT 1"), issuer.token(x=name))


def test_a_query_that_fails_is_logged_once_without_values(under, issuer: Issuer, caplog):
    app = under("SELECT no_such_column FROM patient WHERE id = {{jwt.x}}")
    caplog.clear()

    for _ in range(3):
        assert not let_in(app, issuer.token(x="a-private-value"))

    assert len(said_of(caplog, "tried")) == 1
    assert "a-private-value" not in logged(caplog)


def test_a_role_that_can_write_denies_and_the_log_says_why(database: Database, tmp_path: Path, issuer: Issuer, caplog):
    with guarded(tmp_path, database.owner.render_as_string(hide_password=False), issuer) as app:
        put(app, {"resourceType": "AccessPolicy", "id": "tried", "engine": "sql", "sql": {"query": "SELECT true"}})
        put(app, policy("other", {"jwt": {"sub": "other"}}))

        assert not let_in(app, issuer.token())
        assert let_in(app, issuer.token(sub="other"))
    assert "write" in "\n".join(record.getMessage() for record in caplog.records)
