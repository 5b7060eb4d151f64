from __future__ import annotations

import pytest

from flask_foreign_token.errors import Rejected
from flask_foreign_token.policies.sql.server import Kind
from flask_foreign_token.policies.sql.statement import Bound, Named, Statement, parse

KINDS: tuple[Kind, ...] = ("sqlite", "postgresql", "mariadb")

UNDERSTOOD: list[tuple[tuple[Kind, ...], str]] = [
    (KINDS, "SELECT 1"),
    (KINDS, "  select\n1"),
    (KINDS, "SELECT(1)"),
    (KINDS, "WITH a AS (SELECT 1) SELECT * FROM a"),
    (KINDS, "SELECT 5 % 3 = 2 AND name LIKE '%s' AND name LIKE \"a?:b@c$1#\""),
    (KINDS, "SELECT 'it''s', 'a;b', '-- no comment', '/* nor this', 'a\\b'"),
    (KINDS, 'SELECT "a""b" FROM "order"'),
    (KINDS, 'SELECT \'{"a": {"b": 1}}\''),
    (KINDS, "SELECT é, 0x1F, 1.5e3, a$b FROM t"),
    (("postgresql",), "SELECT a::text, b[1:2], c ? 'x', c ?| d, c #>> '{a,b}', c @> d, 5 # 3"),
    (("postgresql",), "SELECT $$it's {a} ; -- ?$$, $tag$ $$ $tag$, E'a\\n', U&'\\0041'"),
    (("sqlite",), "SELECT a ->> '$.b' FROM t"),
    (("mariadb",), "SELECT `a``b` FROM `order`"),
]

REFUSED: list[tuple[tuple[Kind, ...], object, str]] = [
    (KINDS, None, "say a query"),
    (KINDS, 7, "say a query"),
    (KINDS, "", "say a query"),
    (KINDS, " \n ", "say a query"),
    (KINDS, ";", "begins with SELECT or WITH"),
    (KINDS, "-- nothing", "begins with SELECT or WITH"),
    (KINDS, "DELETE FROM k", "begins with SELECT or WITH"),
    (KINDS, "EXPLAIN SELECT 1", "begins with SELECT or WITH"),
    (KINDS, "SELECTED", "begins with SELECT or WITH"),
    (KINDS, "(SELECT 1)", "begins with SELECT or WITH"),
    (KINDS, "{{user.id}} SELECT", "begins with SELECT or WITH"),
    (KINDS, "SELECT '" + "x" * 65_536 + "'", "at most 65536 bytes"),
    (KINDS, "SELECT '\ud800'", "whole characters"),
    (KINDS, "SELECT 1\0", "control character"),
    (KINDS, "SELECT 1 -- a\rDELETE", "control character"),
    (KINDS, "SELECT 1; DELETE FROM k", "nothing follows a semicolon"),
    (KINDS, "SELECT 1;;", "nothing follows a semicolon"),
    (KINDS, "SELECT 1; -- a", "nothing follows a semicolon"),
    (KINDS, "SELECT 'a", "' is not closed"),
    (KINDS, 'SELECT "a', '" is not closed'),
    (KINDS, "SELECT 'a\\' OR 1 --'", "backslash"),
    (KINDS, "SELECT 'a\\\\'", "backslash"),
    (KINDS, "SELECT 5--2", "two dashes and a blank"),
    (KINDS, "SELECT 1 /* a", "no other in it"),
    (KINDS, "SELECT 1 /* a /* b */ c */", "no other in it"),
    (KINDS, "SELECT 1 /*! OR 1 */", "hints"),
    (KINDS, "SELECT 1 /*M!100100 OR 1 */", "hints"),
    (KINDS, "SELECT /*+ NO_INDEX */ 1", "hints"),
    (KINDS, "SELECT 1 = {{}}", "no empty part"),
    (KINDS, "SELECT 1 = {{!}}", "no empty part"),
    (KINDS, "SELECT 1 = {{user..id}}", "no empty part"),
    (KINDS, "SELECT 1 = {{.user.id}}", "no empty part"),
    (KINDS, "SELECT 1 = {{user.'id}}", "no empty part"),
    (KINDS, "SELECT 1 = {{user.\nid}}", "no empty part"),
    (KINDS, "SELECT 1 = {{users.id}}", "a request has no users, only"),
    (KINDS, "SELECT 1 = {{user.id}", "is written {{user.id}}"),
    (KINDS, "SELECT 1 = {user.id}", "is written {{user.id}}"),
    (KINDS, "SELECT 1 = {{{user.id}}}", "is written {{user.id}}"),
    (KINDS, "SELECT 1 = }}", "is written {{user.id}}"),
    (KINDS, "SELECT 1 LIMIT {{params.n}}0", "stands apart"),
    (KINDS, "SELECT a{{params.n}}", "stands apart"),
    (KINDS, "SELECT {{params.n}}{{params.m}}", "stands apart"),
    (KINDS, 'SELECT "a"{{!params.n}}', "stands apart"),
    (KINDS, "SELECT 1 WHERE id = '{{user.id}}'", "write {{user.id}} without quotes"),
    (KINDS, 'SELECT 1 FROM "{{!params.t}}"', "write {{!params.t}} without quotes"),
    (KINDS, "SELECT 1 WHERE id LIKE '%{{user.id}}%'", "write {{user.id}} without quotes"),
    (("mariadb",), "SELECT 1 FROM `{{!params.t}}`", "write {{!params.t}} without quotes"),
    (("postgresql",), "SELECT $$ {{user.id}} $$", "write {{user.id}} without quotes"),
    (("postgresql",), "SELECT U&{{!params.t}}", "stands apart"),
    (("postgresql",), "SELECT $1", "$ is a parameter"),
    (("postgresql",), "SELECT $$a", "$ is a parameter"),
    (("postgresql",), "SELECT `a`", "double quotes"),
    (("sqlite",), "SELECT ?", "? is a parameter"),
    (("sqlite",), "SELECT ?1", "? is a parameter"),
    (("sqlite",), "SELECT :name", ": is a parameter"),
    (("sqlite",), "SELECT @name", "@ is a parameter"),
    (("sqlite",), "SELECT $name", "$ is a parameter"),
    (("sqlite",), "SELECT [it's] FROM t", "double quotes"),
    (("mariadb",), "SELECT ?", "? is a parameter"),
    (("mariadb",), "SELECT @user", "@ is a variable of the session"),
    (("mariadb",), "SELECT @@version", "@ is a variable of the session"),
    (("mariadb",), "SELECT 1 INTO @x", "@ is a variable of the session"),
]


@pytest.mark.parametrize(("kind", "query"), [(kind, query) for kinds, query in UNDERSTOOD for kind in kinds])
def test_sql_without_placeholders_stays_as_it_is(kind: Kind, query: str) -> None:
    assert parse(query, kind) == Statement((query,))


@pytest.mark.parametrize(("kind", "query", "reason"), [(kind, *row) for kinds, *row in REFUSED for kind in kinds])
def test_what_is_no_query_or_might_be_read_otherwise_is_refused(kind: Kind, query: object, reason: str) -> None:
    with pytest.raises(Rejected) as rejected:
        parse(query, kind)

    (issue,) = rejected.value.issues
    assert issue.path == "query"
    assert reason in issue.message


@pytest.mark.parametrize("kind", KINDS)
def test_placeholders_are_taken_out_of_the_sql(kind: Kind) -> None:
    query = (
        "SELECT a FROM {{!params.resource/type}} WHERE id={{ jwt.sub }} AND r IN ({{user.roles.0.value}}, {{jwt.sub}})"
    )

    statement = parse(query, kind)

    assert statement.pieces == (
        "SELECT a FROM ",
        Named(("params", "resource/type")),
        " WHERE id=",
        Bound(("jwt", "sub")),
        " AND r IN (",
        Bound(("user", "roles", "0", "value")),
        ", ",
        Bound(("jwt", "sub")),
        ")",
    )
    assert len(statement.placeholders) == 4
    assert str(statement) == query.replace("{{ jwt.sub }}", "{{jwt.sub}}")


def test_a_placeholder_goes_with_casts_slices_and_columns() -> None:
    statement = parse("SELECT {{jwt.sub}}::uuid, a[{{params.a}}:{{params.b}}], {{!params.t}}.id", "postgresql")

    assert [str(placeholder) for placeholder in statement.placeholders] == [
        "{{jwt.sub}}",
        "{{params.a}}",
        "{{params.b}}",
        "{{!params.t}}",
    ]


@pytest.mark.parametrize("query", ["SELECT 1;", "SELECT 1 ; \n"])
def test_one_semicolon_at_the_end_is_left_out(query: str) -> None:
    assert str(parse(query, "sqlite")).strip() == "SELECT 1"


@pytest.mark.parametrize("kind", KINDS)
def test_a_comment_is_read_as_a_blank(kind: Kind) -> None:
    query = "/* who's {{there}}? */ SELECT -- it's me; 'a\n1 /**/+--\n2--"

    assert str(parse(query, kind)).split() == ["SELECT", "1", "+", "2"]


def test_a_hash_begins_a_comment_in_mariadb_alone() -> None:
    assert str(parse("SELECT 5 # 3 it's {{a}}\n+ 1", "mariadb")) == "SELECT 5  \n+ 1"
    assert str(parse("SELECT 5 # 3\n+ 1", "postgresql")) == "SELECT 5 # 3\n+ 1"
