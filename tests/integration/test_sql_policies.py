"""The engine ``sql`` on each of its databases: what a role that can only read may ask, and what nobody may."""

from __future__ import annotations

import gc
import os
import signal
import sqlite3
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from flask_foreign_token.errors import REST, Rejected
from flask_foreign_token.policies.decisions import Policies
from flask_foreign_token.policies.engines import Engines
from flask_foreign_token.policies.policy import compile_policy
from flask_foreign_token.policies.sql.database import Database
from flask_foreign_token.policies.sql.server import QueryFailed, SqlUnavailable, UnknownTable
from flask_foreign_token.policies.sql.statement import Statement, parse
from flask_foreign_token.testing import Issuer, acting_as

from ..apps import ask, policy, store, trusting
from ..conftest import MakeApp
from ..loading import Clock
from ..policies.facts import view_of

READER = "reader"
BY_NAME = "SELECT active FROM staff WHERE name = {{jwt.sub}}"
WEIRD = "we\"ir`d '50%' ?"

TABLES = (
    "CREATE TABLE staff (id INTEGER, name VARCHAR(100), active INTEGER)",
    "INSERT INTO staff VALUES (1, 'alice', 1), (2, 'bob', 0)",
)


@dataclass(frozen=True)
class Target:
    """A database with the table ``staff``, and tables whose names need quotes.

    :param admin: the URL of whoever may do everything.
    :param reader: that of a role which can only read.
    :param socket: what must be there for others to connect.
    :param cut: statements that end the connections of `reader`.
    """

    kind: str
    admin: str
    reader: str
    socket: Path
    cut: str | None

    def run(self, *statements: str) -> list[Any]:
        return run(self.admin, *statements)

    def url(self, role: str) -> str:
        return sa.make_url(self.reader).set(username=role).render_as_string(hide_password=False)


def run(url: str, *statements: str) -> list[Any]:
    """The rows of the last of some statements."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    rows: Sequence[Any] = ()
    with engine.connect() as connection:
        for statement in statements:
            result = connection.exec_driver_sql(statement.replace("%", "%%") if "sqlite" not in url else statement)
            rows = result.fetchall() if result.returns_rows else ()
    return list(rows)


def weird_tables(quote: str) -> list[str]:
    names = (WEIRD, "select", "a b")
    return [f"CREATE TABLE {quote}{name.replace(quote, quote * 2)}{quote} (a INTEGER)" for name in names]


@pytest.fixture(scope="module")
def sqlite_target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    path = tmp_path_factory.mktemp("sql") / "clinic.db"
    url = f"sqlite:///{path}"
    run(url, *TABLES, *weird_tables('"'))
    return Target("sqlite", url, url, path, None)


@pytest.fixture(scope="module")
def postgresql_target(postgresql: str) -> Target:
    url = sa.make_url(postgresql)
    run(
        postgresql,
        *TABLES,
        *weird_tables('"'),
        f"CREATE ROLE {READER} LOGIN",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}",
        "CREATE FUNCTION sneak() RETURNS INTEGER LANGUAGE sql SECURITY DEFINER"
        " AS 'INSERT INTO staff VALUES (3, ''eve'', 1) RETURNING 1'",
    )
    return Target(
        "postgresql",
        postgresql,
        url.set(username=READER).render_as_string(),
        Path(str(url.query["host"])) / ".s.PGSQL.5432",
        f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = '{READER}'",
    )


@pytest.fixture(scope="module")
def mariadb_target(mariadb: str) -> Target:
    url = sa.make_url(mariadb)
    run(
        mariadb,
        *TABLES,
        *weird_tables("`"),
        f"CREATE USER {READER}@localhost",
        f"GRANT SELECT, SHOW VIEW ON app.* TO {READER}@localhost",
        "CREATE FUNCTION sneak() RETURNS INTEGER MODIFIES SQL DATA SQL SECURITY DEFINER"
        " BEGIN INSERT INTO staff VALUES (3, 'eve', 1); RETURN 1; END",
    )
    return Target(
        "mariadb",
        mariadb,
        url.set(username=READER).render_as_string(),
        Path(str(url.query["unix_socket"])),
        f"KILL USER {READER}@localhost",
    )


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def target(request: pytest.FixtureRequest) -> Target:
    found: Target = request.getfixturevalue(f"{request.param}_target")
    return found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(target: Target, clock: Clock) -> Iterator[Database]:
    database = Database(target.reader, clock)
    yield database
    database.release()


@pytest.fixture
def staff(target: Target) -> Iterator[Callable[[], list[Any]]]:
    """The rows of the table, which at the end must be those of the beginning."""

    def rows() -> list[Any]:
        return target.run("SELECT * FROM staff ORDER BY id")

    before = rows()
    yield rows
    assert rows() == before


def answer(database: Database, query: str, *values: object) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in database.ask(parse(query, database.kind), values)]


def hand_made(database: Database, text: str) -> object:
    """What the database says to a statement that the parse would not let through."""
    return database.ask(Statement((text,)), [])


def decide(database: Database, query: str, **parts: object) -> bool:
    compiled = compile_policy("p", "1", {"engine": "sql", "sql": {"query": query}}, Engines(database))
    return Policies([compiled]).decide(view_of(parts)).allowed


@pytest.mark.parametrize(
    ("claims", "allowed"), [({"sub": "alice"}, True), ({"sub": "bob"}, False), ({"sub": "eve"}, False), ({}, False)]
)
def test_the_database_decides(database: Database, claims: dict[str, Any], allowed: bool) -> None:
    assert decide(database, BY_NAME, jwt=claims) is allowed


@pytest.mark.parametrize("value", ["it's", 'a"b\\', "50% %s ?", "Zoë", "", 5, -(2**63), 1.5, True, False])
def test_a_value_arrives_as_it_is(database: Database, value: object) -> None:
    condition = {str: "name = {{jwt.a}}", bool: "{{jwt.a}}"}.get(type(value), "id = {{jwt.a}}")

    assert answer(database, f"SELECT COUNT(*) = 0 FROM staff WHERE id > 5 AND {condition}", value) == [(True,)]


@pytest.mark.parametrize(
    "name",
    ["x' OR '1'='1", "x'; DROP TABLE staff; --", "\\'; DROP TABLE staff; -- ", "' UNION SELECT 1 -- ", "alice'#"],
)
def test_sql_in_a_value_is_a_text(database: Database, staff: Callable[[], list[Any]], name: str) -> None:
    assert not decide(database, BY_NAME, jwt={"sub": name})
    assert decide(database, "SELECT {{jwt.sub}} = {{jwt.sub}}", jwt={"sub": name})


@pytest.mark.parametrize(
    "second", ["DELETE FROM staff", "INSERT INTO staff VALUES (3, 'eve', 1)", "SELECT 2", "COMMIT", "DROP TABLE staff"]
)
def test_the_database_itself_takes_no_second_statement(
    database: Database, staff: Callable[[], list[Any]], second: str
) -> None:
    for text in (f"SELECT 1; {second}", f"SELECT 1;\n{second};"):
        with pytest.raises(QueryFailed):
            hand_made(database, text)

    assert answer(database, "SELECT COUNT(*) FROM staff") == [(2,)]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO staff VALUES (3, 'eve', 1)",
        "UPDATE staff SET active = 1",
        "DELETE FROM staff",
        "CREATE TABLE other (a INTEGER)",
        "DROP TABLE staff",
        "WITH a AS (SELECT 3) INSERT INTO staff SELECT 3, 'eve', 1 FROM a",
        "WITH a AS (INSERT INTO staff VALUES (3, 'eve', 1) RETURNING 1) SELECT 1 FROM a",
        "SELECT sneak()",
        "SELECT * INTO other FROM staff",
    ],
)
def test_nothing_is_written(database: Database, staff: Callable[[], list[Any]], statement: str) -> None:
    with pytest.raises(QueryFailed):
        hand_made(database, statement)


@pytest.fixture
def admin(target: Target, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Asks as whoever may do everything, as though the check of the role had failed us."""
    admin = Database(target.admin)
    if target.kind == "postgresql":
        monkeypatch.setattr("flask_foreign_token.policies.sql.postgresql._MORE_THAN_READING", "SELECT 1 WHERE false")
    if target.kind == "mariadb":
        monkeypatch.setattr("flask_foreign_token.policies.sql.mariadb._more_than_reading", lambda connection: None)
    yield admin
    admin.release()


def test_whoever_may_write_cannot_do_it_in_a_policy(admin: Database, staff: Callable[[], list[Any]]) -> None:
    # The transaction still only reads.
    for statement in ("INSERT INTO staff VALUES (3, 'eve', 1)", "DROP TABLE staff", "SELECT sneak()"):
        with pytest.raises(QueryFailed):
            hand_made(admin, statement)
    assert answer(admin, "SELECT COUNT(*) FROM staff") == [(2,)]


SLOW = {
    "sqlite": "WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a) SELECT COUNT(*) FROM a",
    "postgresql": "SELECT pg_sleep(60)",
    "mariadb": "SELECT SLEEP(60)",
}


def test_a_slow_query_is_given_up_and_denies(database: Database, target: Target) -> None:
    with pytest.raises(QueryFailed, match="it takes longer than 2 s"):
        answer(database, SLOW[target.kind])

    assert decide(database, BY_NAME, jwt={"sub": "alice"})


def test_a_function_that_answers_when_it_is_given_up_has_no_answer(mariadb_target: Target) -> None:
    database = Database(mariadb_target.reader)

    with pytest.raises(QueryFailed, match="it takes longer than 2 s"):
        answer(database, "SELECT BENCHMARK(1000000000, MD5('a')) = 0")
    assert answer(database, "SELECT BENCHMARK(10, MD5('a')) = 0") == [(1,)]
    database.release()


def test_a_recursion_without_end_denies(database: Database, target: Target) -> None:
    assert not decide(database, "WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n FROM a) SELECT COUNT(*) FROM a")


@pytest.mark.parametrize("name", [WEIRD, WEIRD.upper(), "select", "a b"])
def test_a_name_that_needs_quotes_is_quoted(database: Database, name: str) -> None:
    assert answer(database, "SELECT COUNT(*) = 0 FROM {{!params.type}}", name) == [(True,)]


@pytest.mark.parametrize("name", ["nowhere", "staff; DROP TABLE staff", 'staff"', "staff`", "pg_class", "user", ""])
def test_a_table_that_is_not_known_is_refused(database: Database, name: str) -> None:
    with pytest.raises(UnknownTable):
        answer(database, "SELECT COUNT(*) FROM {{!params.type}}", name)


def test_many_rows_are_not_gathered(database: Database) -> None:
    query = "SELECT a.id FROM staff a, staff b, staff c"

    assert len(answer(database, query)) == 2
    assert not decide(database, query)


WITH_A_ROLE_THAT_DELETES = (
    "CREATE ROLE r3; GRANT DELETE ON app.* TO r3; CREATE ROLE o3; GRANT r3 TO o3;"
    "CREATE USER w3@localhost; GRANT SELECT ON app.* TO w3@localhost; GRANT o3 TO w3@localhost"
)
WITH_A_ROLE_THAT_READS = (
    "CREATE ROLE g2; GRANT SELECT ON app.* TO g2;"
    "CREATE USER r2@localhost; GRANT g2 TO r2@localhost; SET DEFAULT ROLE g2 FOR r2@localhost"
)

WRITERS = [
    ("postgresql", "CREATE ROLE w1 LOGIN; GRANT INSERT ON staff TO w1", "w1", "can write staff"),
    ("postgresql", "CREATE ROLE w2 LOGIN; GRANT UPDATE (name) ON staff TO w2", "w2", "can write staff"),
    ("postgresql", "CREATE ROLE w3 LOGIN NOINHERIT; GRANT w1 TO w3", "w3", "can write staff"),
    ("postgresql", "CREATE ROLE w4 LOGIN; CREATE TABLE w4 (a INT); ALTER TABLE w4 OWNER TO w4", "w4", "can write w4"),
    ("postgresql", "CREATE ROLE w5 LOGIN; GRANT CREATE ON SCHEMA public TO w5", "w5", "in the schema public"),
    ("postgresql", "CREATE ROLE w6 LOGIN; GRANT CREATE ON DATABASE postgres TO w6", "w6", "in the database"),
    ("postgresql", "CREATE ROLE w7 LOGIN; GRANT pg_signal_backend TO w7", "w7", "pg_signal_backend"),
    ("postgresql", "CREATE ROLE w8 LOGIN CREATEROLE", "w8", "more than read"),
    ("postgresql", "CREATE SEQUENCE s; CREATE ROLE w9 LOGIN; GRANT USAGE ON SEQUENCE s TO w9", "w9", "can write s"),
    ("postgresql", "SELECT 1", "app", "can do more than read"),
    ("mariadb", "CREATE USER w1@localhost; GRANT INSERT ON app.staff TO w1@localhost", "w1", "has INSERT"),
    ("mariadb", "CREATE USER w2@localhost; GRANT UPDATE (name) ON app.staff TO w2@localhost", "w2", "has UPDATE"),
    ("mariadb", WITH_A_ROLE_THAT_DELETES, "w3", "has DELETE"),
    ("mariadb", "CREATE USER w4@localhost; GRANT SELECT ON app.* TO w4@localhost WITH GRANT OPTION", "w4", "can grant"),
    ("mariadb", "CREATE USER w5@localhost; GRANT EXECUTE ON app.* TO w5@localhost", "w5", "has EXECUTE"),
    ("mariadb", "CREATE USER w6@localhost; GRANT FILE, SELECT ON *.* TO w6@localhost", "w6", "has FILE"),
    ("mariadb", "SELECT 1", "root", "more than|can grant"),
]


@pytest.mark.parametrize(("kind", "made", "role", "reason"), WRITERS, ids=[f"{row[0]}-{row[2]}" for row in WRITERS])
def test_a_role_that_can_do_more_than_read_is_refused(
    kind: str, made: str, role: str, reason: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    target: Target = request.getfixturevalue(f"{kind}_target")
    target.run(*made.split(";"))
    database = Database(target.url(role))

    for _ in range(2):
        with pytest.raises(SqlUnavailable, match=reason):
            answer(database, "SELECT 1")

    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.getMessage().startswith("FOREIGN_TOKEN_SQL_URI: the role ")


READERS = [
    ("postgresql", "CREATE ROLE r1 LOGIN; GRANT pg_read_all_data TO r1", "r1"),
    ("postgresql", "CREATE ROLE g2; GRANT SELECT ON staff TO g2; CREATE ROLE r2 LOGIN; GRANT g2 TO r2", "r2"),
    ("mariadb", "CREATE USER r1@localhost; GRANT SELECT (name, active) ON app.staff TO r1@localhost", "r1"),
    ("mariadb", WITH_A_ROLE_THAT_READS, "r2"),
]


def test_a_role_that_is_only_taken_for_the_time_being_is_refused(postgresql_target: Target) -> None:
    # A query could go back to the one that signed in: SELECT set_config('role', 'none', true).
    database = Database(f"{postgresql_target.admin}&options=-c%20role%3D{READER}")

    with pytest.raises(SqlUnavailable, match="the role is not the one that signs in"):
        answer(database, "SELECT 1")


def test_a_role_that_can_do_what_everybody_can_is_refused_for_it(mariadb_target: Target) -> None:
    database = Database(mariadb_target.reader)
    mariadb_target.run("GRANT INSERT ON app.staff TO PUBLIC")
    try:
        assert database.fault() == "the role has INSERT, which is more than SELECT"
    finally:
        mariadb_target.run("REVOKE INSERT ON app.staff FROM PUBLIC")

    assert database.fault() is None


@pytest.mark.parametrize(("kind", "made", "role"), READERS, ids=[f"{row[0]}-{row[2]}" for row in READERS])
def test_a_role_that_can_only_read_is_taken(kind: str, made: str, role: str, request: pytest.FixtureRequest) -> None:
    target: Target = request.getfixturevalue(f"{kind}_target")
    target.run(*made.split(";"))
    database = Database(target.url(role))

    assert decide(database, BY_NAME, jwt={"sub": "alice"})
    database.release()


def test_a_role_that_was_mended_is_taken_after_a_rest(postgresql_target: Target, clock: Clock) -> None:
    postgresql_target.run("CREATE ROLE mended LOGIN", "GRANT SELECT, INSERT ON staff TO mended")
    database = Database(postgresql_target.url("mended"), clock)
    assert not decide(database, BY_NAME, jwt={"sub": "alice"})
    postgresql_target.run("REVOKE INSERT ON staff FROM mended")

    assert not decide(database, BY_NAME, jwt={"sub": "alice"})
    clock.now += REST
    assert decide(database, BY_NAME, jwt={"sub": "alice"})
    database.release()


def test_while_the_database_is_down_policies_deny_and_then_recover(
    target: Target, database: Database, clock: Clock
) -> None:
    def allowed() -> bool:
        return decide(database, BY_NAME, jwt={"sub": "alice"})

    assert allowed()
    aside = target.socket.with_name("aside")
    if target.cut is None:
        database.release()
    else:
        target.run(target.cut)
    target.socket.rename(aside)
    try:
        with warnings.catch_warnings():
            # PyMySQL does not close a socket that it cannot connect.
            warnings.simplefilter("ignore", ResourceWarning)
            assert not allowed()
            gc.collect()
    finally:
        aside.rename(target.socket)

    assert not allowed()
    clock.now += REST
    assert allowed()


@pytest.mark.parametrize("target", ["postgresql", "mariadb"], indirect=True)
def test_a_connection_that_was_lost_is_replaced_without_a_refusal(target: Target, database: Database) -> None:
    assert decide(database, BY_NAME, jwt={"sub": "alice"})
    assert target.cut is not None

    target.run(target.cut)

    assert decide(database, BY_NAME, jwt={"sub": "alice"})


def test_a_server_that_says_nothing_is_not_waited_for(postgresql_target: Target) -> None:
    database = Database(postgresql_target.reader)
    ((backend,),) = answer(database, "SELECT pg_backend_pid()")
    os.kill(backend, signal.SIGSTOP)
    try:
        # The connection is given up, and another one asked.
        ((other,),) = answer(database, "SELECT pg_backend_pid()")
    finally:
        os.kill(backend, signal.SIGCONT)

    assert other != backend
    database.release()


def test_what_a_query_sets_does_not_outlive_it(postgresql_target: Target) -> None:
    database = Database(postgresql_target.reader)
    answer(database, "SELECT set_config('statement_timeout', '0', false)")

    assert answer(database, "SELECT current_setting('statement_timeout')") == [("2s",)]
    with pytest.raises(QueryFailed, match="ActiveSqlTransaction 25001"):
        answer(database, "SELECT set_config('transaction_read_only', 'off', false)")
    database.release()


PG_LOCKS = "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory'"


@pytest.mark.parametrize(
    ("kind", "leaves", "looks", "clean"),
    [
        ("postgresql", "SELECT pg_advisory_lock(7) IS NULL", PG_LOCKS, 0),
        ("postgresql", "SELECT pg_advisory_lock(7) IS NULL OR 1 / (SELECT 0) = 1", PG_LOCKS, 0),
        ("mariadb", "SELECT GET_LOCK('seven', 0)", "SELECT IS_FREE_LOCK('seven')", 1),
        ("mariadb", "SELECT GET_LOCK('seven', 0) AND SLEEP(60)", "SELECT IS_FREE_LOCK('seven')", 1),
        ("mariadb", "SELECT LAST_INSERT_ID(7)", "SELECT LAST_INSERT_ID()", 0),
    ],
)
def test_a_query_leaves_nothing_on_its_connection(
    kind: str, leaves: str, looks: str, clean: int, request: pytest.FixtureRequest
) -> None:
    target: Target = request.getfixturevalue(f"{kind}_target")
    database = Database(target.reader)

    decide(database, leaves)

    assert answer(database, looks) == [(clean,)]
    database.release()


def test_postgresql_operators_stay_operators(postgresql_target: Target) -> None:
    database = Database(postgresql_target.reader)
    query = (
        "SELECT '{\"a\": [1]}'::jsonb ? {{params.key}} AND '{\"a\": [1]}'::jsonb #>> '{a,0}' = '1'"
        " AND 'alice' LIKE 'al%' AND 5 % 3 = 2 AND 5 # 3 = 6 AND (ARRAY[1,2,3])[1:2] = ARRAY[1,2] -- {{user.id}}?"
    )

    assert decide(database, query, params={"key": "a"})
    assert not decide(database, query, params={"key": "b"})
    database.release()


@pytest.mark.parametrize(("column", "value"), [("name", 0), ("name", False), ("id", "1abc"), ("id", "abc")])
def test_mariadb_must_not_take_a_text_for_a_number(mariadb_target: Target, column: str, value: object) -> None:
    database = Database(mariadb_target.reader)
    query = f"SELECT EXISTS (SELECT 1 FROM staff WHERE {column} = {{{{body.key}}}})"
    # What it thinks of them without us.
    assert sqlite3.connect(":memory:").execute("SELECT 'alice' = 0").fetchone() == (0,)
    assert mariadb_target.run("SELECT 'alice' = 0") == [(1,)]

    assert not decide(database, query, body={"key": value})
    assert decide(database, query, body={"key": {"name": "alice", "id": "1"}[column]})
    database.release()


@pytest.mark.parametrize(
    ("kind", "query"),
    [
        ("postgresql", "SELECT EXISTS (SELECT 1 FROM staff WHERE tableoid = {{jwt.sub}}::regclass)"),
        (
            "postgresql",
            "SELECT EXISTS (SELECT 1 FROM staff WHERE tableoid = split_part({{jwt.sub}}, '/', 2)::regclass)",
        ),
        ("postgresql", "SELECT COUNT(name::regclass) = 1 FROM staff"),
        ("postgresql", "SELECT has_table_privilege({{jwt.sub}}, 'staff', 'select')"),
        ("postgresql", "SELECT current_setting({{jwt.sub}}) = 'a'"),
        ("postgresql", "SELECT to_tsvector({{jwt.sub}}::regconfig, 'a') @@ 'a'"),
        ("mariadb", "SELECT 'a' REGEXP {{jwt.sub}}"),
        ("mariadb", "SELECT UPDATEXML(1, {{jwt.sub}}, 1)"),
    ],
)
def test_what_the_database_says_of_a_value_is_not_told(
    kind: str, query: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    target: Target = request.getfixturevalue(f"{kind}_target")
    database = Database(target.reader)

    for number in range(3):
        values = [f"(/of-patient-{number}"] if "{{" in query else []
        with pytest.raises(QueryFailed):
            answer(database, query, *values)

    assert len(caplog.records) == 1
    assert "patient" not in caplog.text
    assert "alice" not in caplog.text
    database.release()


TELLING = [
    ("postgresql", "SELECT nothing FROM staff", 'UndefinedColumn 42703: column "nothing" does not exist'),
    ("postgresql", "SELECT 1 FROM hidden", "InsufficientPrivilege 42501: permission denied for table hidden"),
    ("postgresql", "SELECT 1 FROM nowhere", 'UndefinedTable 42P01: relation "nowhere" does not exist'),
    ("mariadb", "SELECT nothing FROM staff", "OperationalError 1054: Unknown column 'nothing' in "),
    ("mariadb", "SELECT 1 FROM mysql.user", "OperationalError 1142: SELECT command denied to user "),
    ("mariadb", "SELECT FROM staff", "ProgrammingError 1064: You have an error in your SQL syntax"),
    ("sqlite", "SELECT nothng FROM staff", "SQLITE_ERROR: no such column: nothng"),
    ("sqlite", "SELECT 1 FROM nowhere", "SQLITE_ERROR: no such table: nowhere"),
]


@pytest.mark.parametrize(("kind", "query", "said"), TELLING)
def test_what_the_database_says_of_the_statement_alone_is_told(
    kind: str, query: str, said: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    target: Target = request.getfixturevalue(f"{kind}_target")
    if kind == "postgresql":
        target.run("CREATE TABLE IF NOT EXISTS hidden (a INTEGER)")
    database = Database(target.reader)

    with pytest.raises(QueryFailed):
        answer(database, f"{query} WHERE '50%' = {{{{jwt.sub}}}}", "no")

    (record,) = caplog.records
    assert f"the database refuses a query: {said}" in record.getMessage()
    database.release()


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM staff",
        "SELECT sneak()",
        "SELECT 1; DELETE FROM staff",
        "SELECT 1; COMMIT; START TRANSACTION READ WRITE; DELETE FROM staff; COMMIT",
    ],
)
def test_nothing_is_done_to_find_out_what_is_said_of_a_statement(
    admin: Database, staff: Callable[[], list[Any]], text: str
) -> None:
    with admin._connected() as (server, connection):
        server.objection(connection, text, 0)


def test_no_value_reaches_the_log(target: Target, database: Database, caplog: pytest.LogCaptureFixture) -> None:
    for query in (
        "SELECT nothing FROM staff WHERE name = {{jwt.sub}}",
        "SELECT 1 FROM staff WHERE id = {{jwt.sub}} OR CAST({{jwt.sub}} AS DECIMAL) = 0 OR 1 / {{jwt.sub}} = 0",
        "SELECT FROM WHERE {{jwt.sub}}",
        "SELECT {{jwt.sub}}",
    ):
        decide(database, query, jwt={"sub": "a-patients-name"})

    assert caplog.records
    assert "a-patients" not in caplog.text


def test_a_fault_holds_no_error_of_the_driver(database: Database) -> None:
    with pytest.raises(QueryFailed) as raised:
        answer(database, "SELECT nothing FROM staff WHERE name = {{jwt.sub}}", "a-patients-name")

    assert raised.value.__context__ is None
    assert "a-patients-name" not in repr(raised.value)


def test_an_app_lets_in_whom_the_database_knows(target: Target, make_app: MakeApp, issuer: Issuer) -> None:
    query = "SELECT active FROM staff WHERE name = {{jwt.preferred_username}} AND {{uri}} = '/patients'"
    policies = [policy("staff", engine="sql", sql={"query": query})]
    app = make_app(trusting(issuer, *policies), FOREIGN_TOKEN_SQL_URI=target.reader)

    assert ask(app, issuer.token(preferred_username="alice")).status_code == 200
    assert ask(app, issuer.token(preferred_username="bob")).status_code == 403
    assert ask(app, issuer.token(preferred_username="alice'; DROP TABLE staff; -- ")).status_code == 403
    assert ask(app, issuer.token(preferred_username="alice"), "/me").status_code == 403
    with acting_as(app, None, preferred_username="alice"):
        assert ask(app).status_code == 200
    assert ask(app).status_code == 401
    app.extensions["foreign_token"].runtime().release()


def test_without_the_setting_the_policy_is_refused(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app()
    row = policy("staff", engine="sql", sql={"query": BY_NAME})

    with pytest.raises(Rejected, match="set FOREIGN_TOKEN_SQL_URI"):
        store(app, [row])
