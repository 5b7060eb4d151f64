"""The engine ``sql`` on SQLite: one query that only reads, with values that stay values."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token.errors import ConfigError
from flask_foreign_token.testing import Issuer

from ..apps import policy, trusting
from .callers import ids, operate, put, put_all, run, write
from .judging import let_in, living, logged, said_of, simulated

TABLES = """
CREATE TABLE patient (id TEXT, practitioner TEXT, number INTEGER, share REAL);
INSERT INTO patient VALUES ('p-1', 'ada', 1, 1.5), ('p-2', 'bob', 2, 2.5), ('o''hara', 'ada', 3, NULL);
CREATE TABLE "odd name; drop" (id TEXT);
INSERT INTO "odd name; drop" VALUES ('x');
CREATE TABLE "quo""ted" (id TEXT);
INSERT INTO "quo""ted" VALUES ('x');
CREATE TABLE "select" (id TEXT);
INSERT INTO "select" VALUES ('x');
CREATE VIEW patients AS SELECT * FROM patient;
"""


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sql") / "clinic.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(TABLES)
    connection.close()
    return path


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, database: Path, issuer: Issuer) -> Iterator[Flask]:
    with living(tmp_path_factory.mktemp("sql-app"), FOREIGN_TOKEN_SQL_URI=f"sqlite:///{database}") as app:
        put_all(app, trusting(issuer, policy("nobody", {"jwt": {"sub": "nobody at all"}})))
        yield app


@pytest.fixture(autouse=True)
def unchanged(app: Flask, database: Path) -> Iterator[None]:
    before = contents(database)
    yield
    operate(app, "DELETE", "/fhir/AccessPolicy/tried")
    assert contents(database) == before


def contents(database: Path) -> object:
    connection = sqlite3.connect(database)
    try:
        tables = sorted(connection.execute("SELECT name, sql FROM sqlite_master").fetchall())
        return tables, connection.execute("SELECT * FROM patient").fetchall()
    finally:
        connection.close()


def sql(query: object) -> dict[str, Any]:
    return {"resourceType": "AccessPolicy", "id": "tried", "engine": "sql", "sql": {"query": query}}


@pytest.fixture
def under(app: Flask):
    def store(query: str) -> Flask:
        answer = put(app, sql(query))
        assert answer.status_code in {200, 201}, answer.get_data(as_text=True)
        return app

    return store


OWN = "SELECT count(*) > 0 FROM patient WHERE id = {{params.record_id}} AND practitioner = {{jwt.sub}}"


def test_a_query_allows_what_the_database_says(under, issuer: Issuer):
    app = under(OWN)

    assert let_in(app, issuer.token(sub="ada"), "/records/p-1")
    assert let_in(app, issuer.token(sub="bob"), "/records/p-2")
    assert not let_in(app, issuer.token(sub="ada"), "/records/p-2")
    assert not let_in(app, issuer.token(sub="ada"), "/records/p-3")
    assert not let_in(app, None, "/records/p-1")


def test_what_changes_in_the_database_counts_at_the_next_request(under, issuer: Issuer, database: Path):
    app, token = under(OWN), issuer.token(sub="ada")
    assert not let_in(app, token, "/records/p-9")

    connection = sqlite3.connect(database)
    connection.execute("INSERT INTO patient VALUES ('p-9', 'ada', 9, 0)")
    connection.commit()
    try:
        assert let_in(app, token, "/records/p-9")
    finally:
        connection.execute("DELETE FROM patient WHERE id = 'p-9'")
        connection.commit()
        connection.close()
    assert not let_in(app, token, "/records/p-9")


INJECTIONS = [
    "p-1' OR '1'='1",
    "' OR 1=1 --",
    "x'; DELETE FROM patient; --",
    "x' UNION SELECT 1 --",
    '" OR ""="',
    "{{jwt.sub}}",
    "{{!params.record_id}}",
    "%",
    "_",
    "?",
    ":a",
    "%(a)s",
    "%s",
    "$1",
    "\\",
    "p-1\x00",
]


@pytest.mark.parametrize("value", INJECTIONS, ids=ascii)
def test_a_value_stays_a_value(under, issuer: Issuer, value):
    app = under("SELECT count(*) > 0 FROM patient WHERE id = {{jwt.x}} OR practitioner = {{jwt.x}}")

    assert not let_in(app, issuer.token(x=value))
    assert let_in(app, issuer.token(x="p-1"))


def test_a_value_with_a_quote_is_found(under, issuer: Issuer):
    app = under(OWN)

    assert let_in(app, issuer.token(sub="ada"), "/records/o'hara")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, True), (2, True), (4, False), ("p-1", False), (1.5, False)],
)
def test_numbers_are_bound_as_numbers(under, issuer: Issuer, value, expected):
    app = under("SELECT count(*) > 0 FROM patient WHERE number = {{jwt.x}}")

    assert let_in(app, issuer.token(x=value)) is expected


@pytest.mark.parametrize("value", [None, [], ["p-1"], {}, {"a": "p-1"}, 2**70], ids=ascii)
def test_a_value_that_is_missing_null_a_list_or_an_object_denies(under, issuer: Issuer, value):
    for query in (
        "SELECT count(*) > 0 FROM patient WHERE id = {{jwt.x}}",
        "SELECT {{jwt.x}} IS NULL",
        "SELECT coalesce({{jwt.x}}, 1)",
        "SELECT true OR {{jwt.x}} = 1",
        "SELECT CASE WHEN {{jwt.x}} = 'a' THEN 0 ELSE 1 END",
    ):
        assert not let_in(under(query), issuer.token(x=value)), query


@pytest.mark.parametrize("path", ["jwt.none", "user.data.none.deeper", "jwt.sub.deeper", "body.x"])
def test_a_path_that_leads_nowhere_denies(under, issuer: Issuer, path):
    assert not let_in(under(f"SELECT coalesce({{{{{path}}}}}, 1)"), issuer.token())


ANSWERS: list[tuple[str, bool]] = [
    ("SELECT true", True),
    ("SELECT 1", True),
    ("SELECT 2", True),
    ("SELECT -1", True),
    ("SELECT 0.5", True),
    ("SELECT false", False),
    ("SELECT 0", False),
    ("SELECT 0.0", False),
    ("SELECT NULL", False),
    ("SELECT 'yes'", False),
    ("SELECT '1'", False),
    ("SELECT ''", False),
    ("SELECT x'01'", False),
    ("SELECT 1, 1", False),
    ("SELECT 1 WHERE 1 = 0", False),
    ("SELECT 1 UNION ALL SELECT 1", False),
    ("SELECT 1 FROM patient", False),
    ("SELECT count(*) FROM patients", True),
    ("WITH a AS (SELECT 1 AS n) SELECT n FROM a", True),
    ("VALUES (1)", True),
]


@pytest.mark.parametrize(("query", "expected"), ANSWERS, ids=[row[0] for row in ANSWERS])
def test_one_row_with_one_column_that_is_true_or_a_number_but_0_allows(app: Flask, issuer: Issuer, query, expected):
    answer = put(app, sql(query))
    if answer.status_code == 422 and query.startswith("VALUES"):
        return
    assert answer.status_code in {200, 201}, answer.get_data(as_text=True)

    assert let_in(app, issuer.token()) is expected


WRITES = [
    "DELETE FROM patient",
    "DELETE FROM patient RETURNING 1",
    "INSERT INTO patient (id) VALUES ('p-7') RETURNING 1",
    "UPDATE patient SET practitioner = 'eve' RETURNING 1",
    "DROP TABLE patient",
    "CREATE TABLE mine (id TEXT)",
    "CREATE TEMP TABLE mine AS SELECT 1",
    "WITH a AS (SELECT 1) DELETE FROM patient RETURNING 1",
    "PRAGMA writable_schema = 1",
    "PRAGMA query_only = 0",
    "PRAGMA user_version = 7",
    "PRAGMA journal_mode = WAL",
    "ATTACH DATABASE '{}' AS mine",
    "DETACH DATABASE main",
    "VACUUM INTO '{}'",
    "BEGIN",
    "COMMIT",
    "SAVEPOINT a",
    "REINDEX",
    "ANALYZE",
    "SELECT load_extension('x')",
    "SELECT writefile('{}', 'x')",
]


@pytest.mark.parametrize("query", WRITES)
def test_what_writes_is_refused_or_denies_and_writes_nothing(app: Flask, issuer: Issuer, tmp_path: Path, query):
    target = tmp_path / "made.sqlite"
    answer = put(app, sql(query.replace("{}", str(target))))

    assert answer.status_code in {201, 422}
    if answer.status_code == 201:
        assert not let_in(app, issuer.token())
    assert not target.exists()
    put(app, sql("SELECT true"))
    assert let_in(app, issuer.token()), "the engine goes on"


SECOND = [
    "SELECT 1; DELETE FROM patient",
    "SELECT 1; SELECT 1",
    "SELECT 0; SELECT 1",
    "SELECT 1;; DELETE FROM patient",
    "SELECT 1 --\n; DELETE FROM patient",
    "SELECT 1 /* ; */ ; DELETE FROM patient",
    "; DELETE FROM patient",
    "DELETE FROM patient; SELECT 1",
]


@pytest.mark.parametrize("query", SECOND)
def test_a_second_statement_is_refused_or_denies_and_never_runs(app: Flask, issuer: Issuer, query):
    answer = put(app, sql(query))

    assert answer.status_code in {201, 422}
    assert not let_in(app, issuer.token())


@pytest.mark.parametrize("query", ["SELECT 1;", "SELECT ';' = ';'", "SELECT 1 /* one; two */", "SELECT 1 -- one; two"])
def test_a_semicolon_that_ends_nothing_is_no_second_statement(app: Flask, issuer: Issuer, query):
    answer = put(app, sql(query))

    assert answer.status_code in {201, 422}
    if answer.status_code == 201:
        assert let_in(app, issuer.token())
    else:
        assert query.endswith(";"), "only a semicolon at the end may be refused"


SLOW = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"


def test_a_slow_query_denies_within_seconds_and_the_next_one_is_quick(under, issuer: Issuer, caplog):
    app, token = under(SLOW), issuer.token()

    begun = time.monotonic()
    assert not let_in(app, token)
    assert time.monotonic() - begun < 6
    assert said_of(caplog, "tried")

    under("SELECT true")
    begun = time.monotonic()
    assert let_in(app, token)
    assert time.monotonic() - begun < 1


def test_a_query_that_fails_is_logged_once_without_values(under, issuer: Issuer, caplog):
    app = under("SELECT abs({{jwt.x}} || -9223372036854775808) FROM patient WHERE id = json({{jwt.x}})")
    caplog.clear()

    for _ in range(3):
        assert not let_in(app, issuer.token(x="{a-private-value"))

    assert len(said_of(caplog, "tried")) == 1
    assert "a-private-value" not in logged(caplog)


def test_a_query_that_fails_hides_no_other_policy(under, issuer: Issuer):
    app = under("SELECT json('{') FROM patient")
    put(app, policy("a-other", {"jwt": {"sub": "other"}}))
    put(app, policy("z-other", {"jwt": {"sub": "another"}}))

    try:
        assert let_in(app, issuer.token(sub="other"))
        assert let_in(app, issuer.token(sub="another"))
    finally:
        operate(app, "DELETE", "/fhir/AccessPolicy/a-other")
        operate(app, "DELETE", "/fhir/AccessPolicy/z-other")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("patient", True),
        ("PATIENT", True),
        ("patients", True),
        ("odd name; drop", True),
        ("select", True),
        ('quo"ted', True),
        ("nothing", False),
        ("", False),
        ('patient" WHERE 1=0 --', False),
        ("patient; DELETE FROM patient", False),
        ("main.patient", False),
        (1, False),
        (None, False),
        (["patient"], False),
        ({"patient": 1}, False),
        ("patient\x00", False),
        (" patient", False),
    ],
    ids=ascii,
)
def test_the_name_of_a_table_is_quoted_and_must_be_known(under, issuer: Issuer, name, expected):
    app = under("SELECT count(*) > 0 FROM {{!jwt.x}}")

    assert let_in(app, issuer.token(x=name)) is expected


def test_the_name_of_a_table_that_the_table_of_names_holds_is_not_known(under, issuer: Issuer):
    """What the database keeps for itself is no table that it has."""
    assert not let_in(under("SELECT count(*) > 0 FROM {{!jwt.x}}"), issuer.token(x="sqlite_schema"))


BAD_QUERIES: list[object] = [
    None,
    "",
    "  ",
    3,
    [],
    {},
    "SELECT {{",
    "SELECT {{}}",
    "SELECT {{ }}",
    "SELECT {{!}}",
    "SELECT {{jwt..sub}}",
    "SELECT {{.jwt.sub}}",
    "SELECT '{{jwt.sub}}'",
    'SELECT "{{jwt.sub}}"',
    "SELECT {{jwt.sub",
    "SELECT {{jwt.sub}",
    "SELECT {{{{jwt.sub}}}}",
    "SELECT ?",
    "SELECT 1\x00",
    "x" * 70_000,
]


@pytest.mark.parametrize("query", BAD_QUERIES, ids=lambda value: ascii(value)[:40])
def test_a_query_that_says_nothing_clear_is_refused_or_denies(app: Flask, issuer: Issuer, query):
    answer = put(app, sql(query))

    assert answer.status_code in {201, 422}
    assert not let_in(app, issuer.token())


@pytest.mark.parametrize("query", [None, "", 3, [], {}, "SELECT {{", "SELECT {{}}"], ids=ascii)
def test_a_query_that_cannot_be_read_is_refused_with_its_path(app: Flask, query):
    answer = put(app, sql(query))

    assert answer.status_code == 422
    assert any(issue["path"].startswith("sql") for issue in answer.json["issues"])
    assert "tried" not in ids(app, "AccessPolicy")


@pytest.mark.parametrize("body", [{}, None, [], "SELECT 1", {"query": "SELECT 1", "database": "other"}], ids=json.dumps)
def test_what_stands_beside_the_query_is_refused(app: Flask, body):
    answer = operate(app, "PUT", "/fhir/AccessPolicy/tried", {"engine": "sql", "sql": body})

    assert answer.status_code == 422


def test_a_query_may_be_a_part_of_a_complex_policy_and_is_asked_only_where_it_matters(app: Flask, issuer: Issuer):
    guard = {"engine": "matcho", "matcho": {"jwt": {"sub": "ada"}}}
    said = {"engine": "complex", "and": [guard, {"engine": "sql", "sql": {"query": SLOW}}]}
    put(app, {"resourceType": "AccessPolicy", "id": "tried", **said})

    begun = time.monotonic()
    assert not let_in(app, issuer.token(sub="bob"))
    assert time.monotonic() - begun < 1


def test_a_query_can_be_tried_before_it_is_stored(app: Flask):
    request = {"params": {"record_id": "p-1"}, "jwt": {"sub": "ada"}}

    assert simulated(app, {"engine": "sql", "sql": {"query": OWN}}, request)["eval-result"] is True
    result = simulated(app, {"engine": "sql", "sql": {"query": OWN}}, {**request, "jwt": {"sub": "bob"}})
    assert result["eval-result"] is False
    assert result["mismatches"]


def test_links_and_roles_bind_a_query_too(app: Flask, issuer: Issuer):
    put(app, {**sql("SELECT true"), "link": [{"reference": "Operation/me"}]})

    assert let_in(app, issuer.token(), "/me")
    assert not let_in(app, issuer.token())


def test_without_the_setting_the_engine_does_not_exist(tmp_path: Path, issuer: Issuer):
    with living(tmp_path / "app") as app:
        put_all(app, trusting(issuer))
        answer = put(app, sql("SELECT true"))

        assert answer.status_code == 422
        assert any(issue["path"] == "engine" for issue in answer.json["issues"])
        assert "FOREIGN_TOKEN_SQL_URI" in answer.get_data(as_text=True)
        assert "tried" in run(app, "apply", write(tmp_path, "p.json", sql("SELECT true")), status=1).stderr


def test_a_database_that_is_not_there_denies_and_hides_no_other(tmp_path: Path, issuer: Issuer, caplog):
    uri = f"sqlite:///{tmp_path / 'none.sqlite'}"
    with living(tmp_path / "app", [*trusting(issuer), sql("SELECT true")], FOREIGN_TOKEN_SQL_URI=uri) as app:
        assert let_in(app, issuer.token())
        assert not let_in(app)
    assert not (tmp_path / "none.sqlite").exists(), "opened read-only, so never made"


def test_a_database_file_that_others_write_is_never_locked_by_us(under, issuer: Issuer, database: Path):
    app = under(OWN)
    assert let_in(app, issuer.token(sub="ada"), "/records/p-1")

    connection = sqlite3.connect(database, timeout=0.5)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("ROLLBACK")
    finally:
        connection.close()


@pytest.mark.parametrize("uri", ["nonsense", "mongodb://x/y", 3, "sqlite+nothing:///x"])
def test_a_setting_that_names_no_database_is_refused_by_its_name(tmp_path: Path, issuer: Issuer, uri):
    with (
        pytest.raises(ConfigError, match="FOREIGN_TOKEN_SQL_URI"),
        living(tmp_path, trusting(issuer), FOREIGN_TOKEN_SQL_URI=uri),
    ):
        pass


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///"])
def test_a_database_in_memory_is_refused_or_denies(tmp_path: Path, issuer: Issuer, uri):
    """Nobody but its own connection could have put anything into it."""
    try:
        with living(tmp_path, [*trusting(issuer), sql("SELECT true")], FOREIGN_TOKEN_SQL_URI=uri) as app:
            assert let_in(app, issuer.token())
            assert not let_in(app)
    except ConfigError:
        pass


def test_the_password_of_the_database_is_never_told(tmp_path: Path, issuer: Issuer, caplog):
    uri = "postgresql+psycopg://reader:a-password-of-ours@127.0.0.1:1/none?connect_timeout=1"
    with living(tmp_path, [*trusting(issuer), sql("SELECT true")], FOREIGN_TOKEN_SQL_URI=uri) as app:
        assert not let_in(app)
        assert let_in(app, issuer.token())
        words = run(app, "explain", "--token", issuer.token(), "GET", "/patients", status=None).output
    assert "a-password-of-ours" not in logged(caplog) + words
