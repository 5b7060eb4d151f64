from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from flask_foreign_token.errors import Issue, Rejected
from flask_foreign_token.policies.condition import Condition, Mismatch
from flask_foreign_token.policies.decisions import Policies
from flask_foreign_token.policies.engines import Engines
from flask_foreign_token.policies.policy import compile_policy
from flask_foreign_token.policies.sql.database import Database
from flask_foreign_token.policies.sql.server import QueryFailed, UnknownTable, UnusableAnswer, UnusableValue

from ..facts import view_of

BY_NAME = "SELECT active FROM staff WHERE name = {{jwt.sub}}"


@pytest.fixture
def engines(tmp_path: Path) -> Engines:
    path = tmp_path / "clinic.db"
    with sqlite3.connect(path) as connection:
        connection.executescript("""
            CREATE TABLE staff (name TEXT, active INTEGER);
            INSERT INTO staff VALUES ('alice', 1), ('bob', 0), ('carol', NULL);
            CREATE TABLE "order" (owner TEXT);
            INSERT INTO "order" VALUES ('alice');
        """)
    connection.close()
    return Engines(Database(f"sqlite:///{path}"))


def condition(engines: Engines, query: object) -> Condition:
    return engines.parse({"engine": "sql", "sql": {"query": query}})


def decide(engines: Engines, query: str, **parts: object) -> bool:
    return condition(engines, query).compile()(view_of(parts))


@pytest.mark.parametrize(("name", "allowed"), [("alice", True), ("bob", False), ("carol", False), ("dave", False)])
def test_the_database_decides(engines: Engines, name: str, allowed: bool) -> None:
    assert decide(engines, BY_NAME, jwt={"sub": name}) is allowed


@pytest.mark.parametrize(
    ("query", "allowed"),
    [
        ("SELECT 1", True),
        ("SELECT -0.5", True),
        ("SELECT 0", False),
        ("SELECT 0.0", False),
        ("SELECT NULL", False),
        ("SELECT 1 WHERE 1 = 2", False),
    ],
)
def test_a_number_other_than_0_allows(engines: Engines, query: str, allowed: bool) -> None:
    assert decide(engines, query) is allowed


@pytest.mark.parametrize(
    "query", ["SELECT 'true'", "SELECT x'01'", "SELECT 1, 1", "SELECT 1 UNION ALL SELECT 1", "SELECT name FROM staff"]
)
def test_an_answer_that_is_neither_yes_nor_no_raises(engines: Engines, query: str) -> None:
    with pytest.raises(UnusableAnswer):
        decide(engines, query)


@pytest.mark.parametrize(
    "claims", [{}, {"sub": None}, {"sub": ["alice"]}, {"sub": {"name": "alice"}}, {"sub": {}}, {"sub": []}]
)
def test_what_is_missing_or_no_scalar_denies_whatever_is_asked(engines: Engines, claims: dict[str, Any]) -> None:
    for query in ("SELECT 1 WHERE {{jwt.sub}} IS NULL OR 1", "SELECT 1 WHERE 1 OR {{jwt.sub}} = 'alice'"):
        assert not decide(engines, query, jwt=claims)
        assert not decide(engines, query)
        assert decide(engines, "SELECT 1 WHERE 1 OR {{jwt.sub}} = 'alice'", jwt={"sub": ""})


@pytest.mark.parametrize("value", ["alice", "", "it's", 'a"b', "{{jwt.sub}}", "?1", 0, 5, -1.5, True, False, 2**63 - 1])
def test_a_value_arrives_as_it_is(engines: Engines, value: object) -> None:
    query = "SELECT {{jwt.a}} = {{jwt.b}} AND typeof({{jwt.a}}) = {{jwt.kind}}"
    kind = {str: "text", float: "real"}.get(type(value), "integer")

    assert decide(engines, query, jwt={"a": value, "b": value, "kind": kind})
    assert not decide(engines, query, jwt={"a": value, "b": "other", "kind": kind})


@pytest.mark.parametrize("value", ["a\0b", "\ud800", 2**63, -(2**63) - 1, float("inf"), float("nan")])
def test_a_value_that_not_every_database_takes_for_what_it_is_raises(engines: Engines, value: object) -> None:
    with pytest.raises(UnusableValue) as raised:
        decide(engines, "SELECT 1 OR {{jwt.sub}}", jwt={"sub": value})

    assert str(value) not in str(raised.value)


def test_a_path_goes_into_arrays_by_index(engines: Engines) -> None:
    query = "SELECT 1 FROM staff WHERE name = {{user.names.1.value}}"

    assert decide(engines, query, user={"names": [{}, {"value": "alice"}]})
    assert not decide(engines, query, user={"names": [{"value": "alice"}]})
    assert not decide(engines, query, user={"names": "alice"})


@pytest.mark.parametrize("name", ["x' OR '1'='1", "x'; DROP TABLE staff; --", "' UNION SELECT 1 --", "alice'--"])
def test_sql_in_a_value_is_a_text(engines: Engines, name: str) -> None:
    assert not decide(engines, BY_NAME, jwt={"sub": name})
    assert decide(engines, BY_NAME, jwt={"sub": "alice"})


@pytest.mark.parametrize("name", ["order", "Order", "staff"])
def test_a_table_is_named_by_the_request_in_lower_case(engines: Engines, name: str) -> None:
    assert decide(engines, "SELECT count(*) FROM {{!params.type}}", params={"type": name})


@pytest.mark.parametrize(
    "name", ["orders", "", "sqlite_master", "staff; DROP TABLE staff", 'staff"', "staff, order", 1]
)
def test_a_table_that_is_not_there_raises(engines: Engines, name: object) -> None:
    with pytest.raises(UnknownTable) as raised:
        decide(engines, "SELECT count(*) FROM {{!params.type}}", params={"type": name})

    assert str(raised.value) == "{{!params.type}} names no table or view of the database"


def test_without_a_database_the_engine_is_off() -> None:
    with pytest.raises(Rejected, match=r"^engine: the engine sql is off; set FOREIGN_TOKEN_SQL_URI "):
        condition(Engines(), "SELECT 1")


@pytest.mark.parametrize(
    ("body", "path", "reason"),
    [
        ({}, "sql", '{"query": "SELECT …"}'),
        ({"sql": "SELECT 1"}, "sql", '{"query": "SELECT …"}'),
        ({"sql": {}}, "sql.query", "say a query"),
        ({"sql": {"query": "SELECT 1", "timeout": 5}}, "sql.timeout", "no such attribute"),
        ({"sql": {"query": "SELECT 1"}, "matcho": {}}, "matcho", "no such attribute"),
        ({"sql": {"query": "DROP TABLE staff"}}, "sql.query", "SELECT or WITH"),
        ({"sql": {"query": "SELECT 1 = '{{user.id}}'"}}, "sql.query", "without quotes"),
    ],
)
def test_a_policy_that_is_wrong_is_refused(engines: Engines, body: dict[str, Any], path: str, reason: str) -> None:
    with pytest.raises(Rejected) as rejected:
        engines.parse({"engine": "sql", **body})

    (issue,) = rejected.value.issues
    assert issue.path == path
    assert reason in issue.message


def test_it_reads_and_needs_what_its_placeholders_name(engines: Engines) -> None:
    found = condition(engines, "SELECT 1 FROM {{!params.type}} WHERE id = {{params.id}} AND owner = {{jwt.sub}}")

    assert found.reads == found.needs == {"params", "jwt"}
    assert not found.deterministic
    assert found.equalities() == ()


def test_it_does_not_match_where_the_database_says_no(engines: Engines) -> None:
    found = condition(engines, BY_NAME)

    def why(name: str) -> list[Mismatch]:
        return found.mismatches(view_of({"jwt": {"sub": name}}))

    assert why("alice") == []
    # Of the query nothing, since it may say what not everybody should read to whom an explanation is shown.
    assert why("bob") == [Mismatch((), "the database says yes", "false")]
    assert why("carol") == [Mismatch((), "the database says yes", "null")]
    assert why("dave") == [Mismatch((), "the database says yes", "no row")]


def test_it_does_not_match_where_a_value_is_missing(engines: Engines) -> None:
    found = condition(engines, "SELECT {{jwt.sub}} = {{user.id}} OR {{jwt.sub}} = {{jwt.azp}}")
    usable = "a text, a number or a boolean"

    assert found.mismatches(view_of({"jwt": {"sub": ["alice"], "azp": None}})) == [
        Mismatch(("jwt", "sub"), usable, "an array"),
        Mismatch(("user", "id"), usable, None),
        Mismatch(("jwt", "azp"), usable, "null"),
    ]


def test_what_raises_when_it_decides_raises_when_it_explains(engines: Engines) -> None:
    with pytest.raises(QueryFailed):
        condition(engines, "SELECT 1 FROM nowhere").mismatches(view_of({}))
    with pytest.raises(UnusableAnswer):
        condition(engines, "SELECT 'true'").mismatches(view_of({}))


def test_a_query_that_looks_at_nothing_is_warned_of(engines: Engines) -> None:
    (issue,) = condition(engines, "SELECT 1 FROM staff").warnings()

    assert isinstance(issue, Issue)
    assert issue.path == "sql.query"
    assert list(condition(engines, BY_NAME).warnings()) == []


def test_within_complex_a_query_is_one_condition_of_several(engines: Engines) -> None:
    body = {
        "engine": "complex",
        "and": [{"engine": "matcho", "matcho": {"uri": "/"}}, {"engine": "sql", "sql": {"query": BY_NAME}}],
    }
    allows = engines.parse(body).compile()

    assert allows(view_of({"uri": "/", "jwt": {"sub": "alice"}}))
    assert not allows(view_of({"uri": "/", "jwt": {"sub": "bob"}}))
    assert not allows(view_of({"uri": "/a", "jwt": {"sub": "alice"}}))


def test_what_cannot_be_told_denies_and_the_log_has_the_reason_and_no_value(
    engines: Engines, caplog: pytest.LogCaptureFixture
) -> None:
    bodies = {
        "broken": "SELECT actve FROM staff WHERE name = {{jwt.sub}}",
        "text": "SELECT name FROM staff WHERE name = {{jwt.sub}}",
        "table": "SELECT 1 FROM {{!jwt.sub}}",
        "json": "SELECT json_extract('{}', {{jwt.sub}})",
    }
    policies = Policies(
        compile_policy(name, "1", {"engine": "sql", "sql": {"query": query}}, engines) for name, query in bodies.items()
    )

    for _ in range(2):
        assert not policies.decide(view_of({"jwt": {"sub": "a-patients-name"}})).allowed
    assert not policies.decide(view_of({"jwt": {"sub": "alice"}})).allowed

    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(messages) == len(set(messages))
    assert any("no such column: actve; the query: SELECT actve FROM staff" in message for message in messages)
    assert any("SQLITE_ERROR; the query: SELECT json_extract(" in message for message in messages)
    assert "a-patients-name" not in caplog.text
    assert "alice" not in caplog.text
