"""What each engine allows and refuses, asked with real tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token import ForeignToken
from flask_foreign_token.testing import Issuer

from ..apps import Resource, database_of, policy, protected, registry_of, trusting
from ..conftest import MakeApp
from .callers import OPERATOR_SETTINGS, Operated, ids, operate, put, run, write
from .judging import add_routes, install_engine, let_in, living, logged, said_of, status

NOBODY = policy("nobody", {"jwt": {"sub": "nobody at all"}})


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Flask]:
    """An app in which :func:`under` keeps one policy at a time."""
    with living(tmp_path_factory.mktemp("engines")) as app:
        for resource in trusting(issuer, NOBODY):
            put(app, resource)
        yield app


@pytest.fixture
def under(app: Flask):
    """Stores the policy that is tried."""

    def store(engine: str, **attributes: object) -> Flask:
        answer = operate(app, "PUT", "/fhir/AccessPolicy/tried", {"engine": engine, **attributes})
        assert answer.status_code in {200, 201}, answer.get_data(as_text=True)
        return app

    yield store
    operate(app, "DELETE", "/fhir/AccessPolicy/tried")


def test_where_no_policy_allows_nobody_is_let_in(app: Flask, issuer: Issuer):
    assert not let_in(app, issuer.token())
    assert not let_in(app)


def test_allow_lets_everybody_in(under, issuer: Issuer):
    app = under("allow")

    assert let_in(app, issuer.token())
    assert let_in(app)
    assert let_in(app, path="/upload", method="POST")


def test_a_policy_that_is_not_active_allows_nothing(under, issuer: Issuer):
    assert not let_in(under("allow", active=False), issuer.token())


PATTERNS: list[tuple[object, list[object], list[object]]] = [
    ("abc", ["abc"], ["ABC", "abcd", "", None, ["abc"], {"abc": 1}, 1, True]),
    (1, [1, 1.0], [2, "1", True, None, [1]]),
    (0, [0, 0.0], ["0", False, None, "", []]),
    (1.5, [1.5], [1, "1.5", 2]),
    (True, [True], [1, "true", False, None, "True"]),
    (False, [False], [0, "", None, "false", True, []]),
    ("", [""], [None, " ", [], {}]),
    ({"a": 1}, [{"a": 1}, {"a": 1, "b": 2}], [{"a": 2}, {"b": 1}, {}, [1], "a", {"a": True}]),
    ({"a": {"b": "c"}}, [{"a": {"b": "c", "d": 1}}], [{"a": "b"}, {"a": {"b": {"c": 1}}}, {"a": None}]),
    ([1, 2], [[1, 2], [1, 2, 3]], [[2, 1], [1], [], {"0": 1, "1": 2}, [True, 2], "12"]),
    ([1, {"a": "b"}], [[1, {"a": "b", "c": 1}]], [[1, {}], [1], [{"a": "b"}, 1]]),
    ("#^ab+$", ["ab", "abbb"], ["a", "xab", "abx", ["ab"], None, 1, "ab\n", "AB"]),
    ("#b", ["b", "abc", "a\nb"], ["a", "", "B", ["b"], {"b": 1}]),
    ("#(?i)^doctor$", ["Doctor", "DOCTOR"], ["Doctors"]),
    ("#\\d", ["a1"], ["a", "\N{ARABIC-INDIC DIGIT ONE}", 1]),
    ("present?", ["", 0, False, [], {}, "a"], [None]),
    ("nil?", [None], ["", 0, False, [], {}]),
    ("not-blank?", ["a", " a "], ["", "  ", "\t\n", None, 1, ["a"], {}]),
    (".jwt.sub", ["ada"], ["bob", None, "", ["ada"], ".jwt.sub"]),
    (".jwt.claim", [], [None, "", 1]),
    (".no.such.path", [], [None, "", {}, ".no.such.path"]),
    ({"$enum": ["a", 1, True]}, ["a", 1, 1.0, True], ["b", "1", 2, False, None, ["a"], "True"]),
    ({"$enum": [".jwt.sub", "#a", "nil?"]}, [".jwt.sub", "#a", "nil?"], ["ada", "a", None]),
    ({"$one-of": ["a", "#^b", {"c": 1}]}, ["a", "bx", {"c": 1, "d": 2}], ["xb", {"c": 2}, None, ["a"]]),
    ({"$one-of": ".jwt.many"}, ["x", 1], ["y", "1", True, None, ["x"], ["x", 1]]),
    ({"$one-of": ".jwt.sub"}, [], ["ada", "a", None]),
    ({"$one-of": ".jwt.claim"}, [], [None, ""]),
    ({"$contains": "a"}, [["a"], ["b", "a"]], [[], ["b"], "a", {"a": 1}, None, ["ab"], [["a"]]]),
    ({"$contains": {"x": "#^a"}}, [[{"x": "b"}, {"x": "ab"}]], [[{"x": "b"}], [{"y": "ab"}], {"x": "a"}]),
    ({"$every": "#^a"}, [["a", "ab"]], [["a", "b"], "a", None, {"0": "a"}]),
    ({"$not": "a"}, ["b", None, 1, ["a"]], ["a"]),
    ({"$not": {"$contains": "a"}}, [["b"], [], "a", None], [["a"], ["b", "a"]]),
    ({"$not": "nil?"}, ["a", 0], [None]),
    ({"$present-all": ["a", "#^b"]}, [["bb", "a"], ["a", "c", "bx"]], [["a"], ["b"], [], "ab", None]),
    ({"$present-all": ["a", "b"], "$length": 2}, [["a", "b"], ["b", "a"]], [["a", "b", "c"], ["a", "a"], ["a"]]),
    ({"$length": 2}, [["a", "b"], [None, None]], [["a"], [], "ab", {"a": 1, "b": 2}, None, 2]),
    ({"$length": 0}, [[]], [["a"], None, "", {}]),
    (
        {"$reference": {"resourceType": "Patient", "id": "1"}},
        ["Patient/1", {"reference": "Patient/1"}],
        ["Patient/2", "Person/1", "Patient/1/2", "Patient", None, 1, {"reference": 1}, ["Patient/1"], {}],
    ),
    ({"$reference": {"id": ".jwt.sub"}}, ["Patient/ada", {"reference": "Patient/ada"}], ["Patient/bob", "ada"]),
]


@pytest.mark.parametrize(("pattern", "good", "bad"), PATTERNS, ids=[json.dumps(row[0])[:50] for row in PATTERNS])
def test_a_row_of_the_pattern_table_about_the_body(under, issuer: Issuer, pattern, good, bad):
    app, token = under("matcho", matcho={"body": {"x": pattern}}), issuer.token(sub="ada", many=["x", 1])

    def post(value: object) -> bool:
        return let_in(app, token, "/upload", "POST", json={"x": value})

    assert [value for value in good if not post(value)] == []
    assert [value for value in bad if post(value)] == []


@pytest.mark.parametrize(("pattern", "good", "bad"), PATTERNS, ids=[json.dumps(row[0])[:50] for row in PATTERNS])
def test_a_row_of_the_pattern_table_about_a_claim(under, issuer: Issuer, pattern, good, bad):
    """Claims go other ways than the body: they are frozen, and looked up in the index."""
    app = under("matcho", matcho={"jwt": {"x": pattern}})

    def ask_with(value: object) -> bool:
        return let_in(app, issuer.token(sub="ada", many=["x", 1], x=value))

    assert [value for value in good if not ask_with(value)] == []
    assert [value for value in bad if ask_with(value)] == []


def test_a_missing_member_is_nil_and_not_present(under, issuer: Issuer):
    for pattern, expected in [("nil?", True), ("present?", False), ({"$not": "a"}, True), ({"$not": "nil?"}, False)]:
        app = under("matcho", matcho={"body": {"y": pattern}})
        assert let_in(app, issuer.token(), "/upload", "POST", json={"x": 1}) is expected


def test_a_pattern_may_be_an_operator_at_the_top(under, issuer: Issuer):
    app = under("matcho", matcho={"$one-of": [{"jwt": {"sub": "ada"}}, {"uri": "/upload", "jwt": "present?"}]})

    assert let_in(app, issuer.token(sub="ada"))
    assert let_in(app, issuer.token(sub="bob"), "/upload", "POST")
    assert not let_in(app, issuer.token(sub="bob"))


PARTS: list[tuple[Any, dict[str, Any], dict[str, Any]]] = [
    ({"request-method": "get"}, {"method": "GET"}, {"method": "DELETE"}),
    ({"request-method": "get"}, {"method": "HEAD"}, {"method": "PUT"}),
    ({"request-method": "patch"}, {"method": "PATCH"}, {"method": "POST"}),
    ({"scheme": "https"}, {"base_url": "https://localhost"}, {}),
    ({"uri": "/records/1"}, {}, {"path": "/records/2"}),
    ({"uri": "/records/a b"}, {"path": "/records/a%20b"}, {"path": "/records/a%2520b"}),
    ({"query-string": "a=1"}, {"query_string": "a=1"}, {"query_string": "a=2"}),
    ({"params": {"a": "1"}}, {"query_string": "a=1&b=2"}, {"query_string": "b=1"}),
    ({"params": {"a": ["1", "2"]}}, {"query_string": "a=1&a=2"}, {"query_string": "a=1"}),
    ({"params": {"a": "1"}}, {"query_string": "a=1"}, {"query_string": "a=1&a=1"}),
    ({"params": {"record_id": "1"}}, {"query_string": "record_id=2"}, {"path": "/records/2?record_id=1"}),
    ({"headers": {"x-tenant": "north"}}, {"headers": {"X-Tenant": "north"}}, {"headers": {"X-Tenant": "south"}}),
    ({"headers": {"authorization": "nil?"}}, {}, {"_never": True}),
    ({"headers": {"cookie": "nil?"}}, {"headers": {"Cookie": "a=b"}}, {"_never": True}),
    ({"remote-addr": "192.0.2.1"}, {"environ_base": {"REMOTE_ADDR": "192.0.2.1"}}, {}),
    ({"remote-addr": "127.0.0.1"}, {}, {"environ_base": {"REMOTE_ADDR": "192.0.2.1"}}),
    ({"body": {"a": 1}}, {"method": "POST", "json": {"a": 1}}, {"method": "POST", "json": {"a": 2}}),
    ({"resource": {"a": 1}}, {"method": "POST", "json": {"a": 1}}, {"method": "POST", "data": '{"a": 1}'}),
    ({"operation": {"id": "record"}}, {}, {"path": "/patients"}),
    ({"client": {"id": "my-client"}}, {}, {"_token": {"azp": "other"}}),
    ({"client": {"id": "by-client-id"}}, {"_token": {"azp": None, "client_id": "by-client-id"}}, {}),
    ({"user": {"data": {"sub": "ada"}}}, {}, {"_token": {"sub": "bob"}}),
    ({"user": {"identifier": [{"system": "keycloak", "value": "ada"}]}}, {}, {"_token": {"sub": "bob"}}),
    ({"jwt": {"sub": "ada"}, "token": "nil?"}, {}, {"_token": {"sub": "bob"}}),
]


@pytest.mark.parametrize(("pattern", "good", "bad"), PARTS, ids=[json.dumps(row[0])[:50] for row in PARTS])
def test_what_a_policy_sees_of_a_request(under, issuer: Issuer, pattern, good, bad):
    app = under("matcho", matcho=pattern)

    def ask_as(change: dict[str, Any]) -> bool:
        more = {"path": "/records/1", "_token": {}, **change}
        token = issuer.token(**{"sub": "ada", **more.pop("_token")})
        return let_in(app, token, **more)

    assert ask_as(good)
    if "_never" not in bad:
        assert not ask_as(bad)


@pytest.mark.parametrize("name", ["authorization", "cookie"])
def test_credentials_in_headers_are_hidden_from_policies(under, issuer: Issuer, name):
    app = under("matcho", matcho={"headers": {name: "present?"}})

    assert not let_in(app, issuer.token(), headers={"Cookie": "session=1"})


SCHEMA = {
    "required": ["jwt", "uri"],
    "properties": {
        "uri": {"const": "/patients"},
        "jwt": {"required": ["level"], "properties": {"level": {"type": "integer", "minimum": 3}}},
    },
}


def test_json_schema_allows_what_is_valid(under, issuer: Issuer):
    app = under("json-schema", schema=SCHEMA)

    assert let_in(app, issuer.token(level=3))
    for level in (2, "3", None, [], 3.5, True):
        assert not let_in(app, issuer.token(level=level))
    assert not let_in(app, issuer.token(level=3), "/me")
    assert not let_in(app)


@pytest.mark.parametrize("empty", [[], {}, "", None, [[]], {"a": {"b": []}}, [None, ""]])
def test_json_schema_sees_no_empty_values_at_any_depth(under, issuer: Issuer, empty):
    schema = {"required": ["body"], "properties": {"body": {"required": ["x"]}}}
    app = under("json-schema", schema=schema)

    assert not let_in(app, issuer.token(), "/upload", "POST", json={"x": empty, "y": 1})
    assert let_in(app, issuer.token(), "/upload", "POST", json={"x": [empty, 0], "y": 1})


def test_json_schema_resolves_references_within_the_document(under, issuer: Issuer):
    schema = {
        "required": ["jwt"],
        "properties": {"jwt": {"$ref": "#/definitions/ada"}},
        "definitions": {"ada": {"required": ["sub"], "properties": {"sub": {"const": "ada"}}}},
    }
    app = under("json-schema", schema=schema)

    assert let_in(app, issuer.token(sub="ada"))
    assert not let_in(app, issuer.token(sub="bob"))


BAD_SCHEMAS: list[tuple[object, str]] = [
    ({"required": ["jwt"], "properties": {"jwt": {"constant": 1}}}, "constant"),
    ({"required": ["a"], "propertys": {}}, "propertys"),
    ({"required": ["a"], "properties": {"a": {"not": {"anyOf": [{"enums": [1]}]}}}}, "enums"),
    ({"required": ["a"], "unevaluatedProperties": False}, "unevaluatedProperties"),
    ({"required": ["a"], "dependentRequired": {"a": ["b"]}}, "dependentRequired"),
    ({"required": ["a"], "properties": {"a": {"$ref": "http://127.0.0.1:1/x"}}}, "$ref"),
    ({"required": ["a"], "properties": {"a": {"$ref": "file:///etc/passwd"}}}, "$ref"),
    ({"required": ["a"], "properties": {"a": {"$ref": "other.json#/a"}}}, "$ref"),
    ({"required": ["a"], "properties": {"a": {"$ref": "#/definitions/none"}}}, "$ref"),
    ({"required": ["a"], "properties": {"a": {"$ref": "//127.0.0.1:1/x"}}}, "$ref"),
    ({"required": ["a"], "$id": "http://127.0.0.1:1/x"}, "$id"),
    ({"required": "a"}, "required"),
    ({"required": ["a"], "properties": {"a": {"type": "int"}}}, "type"),
    ({"required": ["a"], "properties": {"a": {"pattern": "("}}}, "pattern"),
    ({"required": ["a"], "properties": {"a": {"pattern": "(?=x)"}}}, "pattern"),
    ({"required": ["a"], "patternProperties": {"(?!x)": {"type": "string"}}}, "patternProperties"),
    ({"required": ["a"], "properties": {"a": {"pattern": "(x)\\1"}}}, "pattern"),
    ([], "schema"),
    ("true", "schema"),
    (None, "schema"),
    ({"required": ["a"], "$schema": "https://json-schema.org/draft/2020-12/schema"}, "$schema"),
]


@pytest.mark.parametrize(("schema", "at"), BAD_SCHEMAS, ids=[json.dumps(row[0])[:60] for row in BAD_SCHEMAS])
def test_a_schema_that_could_open_a_door_or_fetch_is_refused(app: Flask, schema, at):
    answer = operate(app, "PUT", "/fhir/AccessPolicy/refused", {"engine": "json-schema", "schema": schema})

    assert answer.status_code == 422
    assert any(at in issue["path"] or at in issue["message"] for issue in answer.json["issues"])
    assert "refused" not in ids(app, "AccessPolicy")


def test_a_pattern_in_a_schema_is_matched_in_linear_time(under, issuer: Issuer):
    schema = {"required": ["body"], "properties": {"body": {"properties": {"x": {"pattern": "(a+)+$"}}}}}
    app = under("json-schema", schema=schema)

    assert not let_in(app, issuer.token(), "/upload", "POST", json={"x": "a" * 60_000 + "!"})
    assert let_in(app, issuer.token(), "/upload", "POST", json={"x": "a" * 60_000})


def both(*conditions: Resource) -> Resource:
    return {"and": list(conditions)}


IS_ADA = {"engine": "matcho", "matcho": {"jwt": {"sub": "ada"}}}
READS = {"engine": "matcho", "matcho": {"request-method": "get"}}
TO_ME = {"engine": "json-schema", "schema": {"required": ["uri"], "properties": {"uri": {"const": "/me"}}}}


def test_complex_and_asks_for_all(under, issuer: Issuer):
    app = under("complex", **both(IS_ADA, READS))

    assert let_in(app, issuer.token(sub="ada"), "/records/1")
    assert not let_in(app, issuer.token(sub="ada"), "/records/1", "POST")
    assert not let_in(app, issuer.token(sub="bob"), "/records/1")


def test_complex_or_asks_for_one(under, issuer: Issuer):
    app = under("complex", **{"or": [IS_ADA, TO_ME]})

    assert let_in(app, issuer.token(sub="ada"))
    assert let_in(app, issuer.token(sub="bob"), "/me")
    assert not let_in(app, issuer.token(sub="bob"))


def test_complex_nests_and_mixes_engines(under, issuer: Issuer):
    inner = {"engine": "complex", "or": [TO_ME, {"engine": "complex", "and": [READS, {"engine": "allow"}]}]}
    app = under("complex", **both(IS_ADA, inner))

    assert let_in(app, issuer.token(sub="ada"), "/records/1")
    assert not let_in(app, issuer.token(sub="ada"), "/records/1", "POST")
    assert not let_in(app, issuer.token(sub="bob"), "/me")


def deep(levels: int) -> Resource:
    condition: Resource = IS_ADA
    for _ in range(levels):
        condition = {"engine": "complex", "and": [condition]}
    return condition


def test_complex_has_at_most_16_levels(app: Flask, issuer: Issuer):
    good = operate(app, "PUT", "/fhir/AccessPolicy/tried", deep(16))
    opened = let_in(app, issuer.token(sub="ada"))
    operate(app, "DELETE", "/fhir/AccessPolicy/tried")
    bad = operate(app, "PUT", "/fhir/AccessPolicy/tried", deep(17))

    assert (good.status_code, opened) == (201, True)
    assert bad.status_code == 422


BAD_COMPLEX: list[Resource] = [
    {},
    {"and": []},
    {"or": []},
    {"and": {}},
    {"and": "allow"},
    {"and": [[]]},
    {"and": [None]},
    {"and": [{}]},
    {"and": [{"engine": "nothing"}]},
    {"and": [{"engine": "allow"}], "or": [{"engine": "allow"}]},
    {"and": [IS_ADA], "matcho": {"uri": "/x"}},
    {"and": [{**IS_ADA, "link": [{"reference": "User/x"}]}]},
    {"and": [{**IS_ADA, "roleName": "admin"}]},
    {"and": [{"engine": "complex", "and": [IS_ADA], "or": [IS_ADA]}]},
    {"and": [{"engine": "matcho", "matcho": {"a": None}}]},
    {"and": [{"matcho": {"a": 1}}]},
    {"and": [{"resourceType": "AccessPolicy", "id": "x", "engine": "allow"}]},
]


@pytest.mark.parametrize("body", BAD_COMPLEX, ids=lambda value: json.dumps(value)[:60])
def test_a_complex_policy_that_says_no_one_thing_is_refused(app: Flask, body):
    answer = operate(app, "PUT", "/fhir/AccessPolicy/refused", {"engine": "complex", **body})

    assert answer.status_code == 422
    assert answer.json["issues"]
    assert "refused" not in ids(app, "AccessPolicy")


def counted(given: Resource, **attributes: object) -> Resource:
    return {"resourceType": "AccessPolicy", "id": "counted", "engine": "counting", "counting": given, **attributes}


def test_complex_goes_in_order_and_no_further_than_needed(
    operated: Operated, issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    engine = install_engine(tmp_path / "package", monkeypatch, "engine_in_order", counting="Engine")

    def said(name: str, answers: bool) -> Resource:
        return {"engine": "counting", "counting": {"name": name, "answers": answers, "deterministic": False}}

    app = operated(trusting(issuer, NOBODY))
    for words, expected, asked in [
        ({"and": [said("a", True), said("b", False), said("c", True)]}, False, ["a", "b"]),
        ({"or": [said("a", False), said("b", True), said("c", True)]}, True, ["a", "b"]),
        ({"and": [said("a", True), {"engine": "complex", "or": [said("b", True), said("c", True)]}]}, True, ["a", "b"]),
    ]:
        put(app, {"resourceType": "AccessPolicy", "id": "tried", "engine": "complex", **words})
        engine.calls.clear()
        assert let_in(app, issuer.token()) is expected
        assert engine.calls == asked


def test_an_engine_of_another_package_is_one_more_engine(
    operated: Operated, issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    install_engine(tmp_path / "package", monkeypatch, "engine_of_another", counting="Engine")
    app = operated(trusting(issuer, NOBODY))

    assert put(app, counted({"answers": True})).status_code == 201
    assert let_in(app, issuer.token())
    put(app, counted({"answers": False}))
    assert not let_in(app, issuer.token())
    assert "counted" in run(app, "list", "AccessPolicy").stdout


@pytest.mark.parametrize("answer", [1, "yes", [0], None, 0])
def test_what_an_engine_answers_but_true_denies(operated, issuer, tmp_path, monkeypatch, answer):
    install_engine(tmp_path / "package", monkeypatch, "engine_truthy", counting="Engine")
    app = operated([*trusting(issuer, NOBODY), counted({"answers": answer})])

    assert not let_in(app, issuer.token())


def test_an_engine_that_raises_denies_and_is_logged_once_with_the_policys_id(
    operated: Operated, issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog
):
    install_engine(tmp_path / "package", monkeypatch, "engine_raising", counting="Engine")
    ill = counted({"raises": "and-says-a-secret", "deterministic": False})
    app = operated([*trusting(issuer, NOBODY), ill])
    caplog.clear()

    assert [let_in(app, issuer.token()) for _ in range(3)] == [False] * 3
    assert len(said_of(caplog, "counted")) == 1
    assert "and-says-a-secret" not in logged(caplog)


def test_an_engine_that_raises_hides_no_other_policy(
    operated: Operated, issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    install_engine(tmp_path / "package", monkeypatch, "engine_hiding", counting="Engine")
    resources = [{**counted({"raises": "no"}), "id": name} for name in ("a-first", "z-last")]
    app = operated([*trusting(issuer), *resources])

    assert let_in(app, issuer.token())


def test_an_engine_that_cannot_be_made_takes_only_its_own_policies_out_of_service(
    make_app: MakeApp, issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog
):
    install_engine(tmp_path / "package", monkeypatch, "engine_broken", broken="Broken", gone="NoSuchName")
    names = ("broken", "gone")
    policies = [{"resourceType": "AccessPolicy", "id": f"of-{name}", "engine": name, name: {}} for name in names]
    app = make_app([*trusting(issuer), *policies])

    assert let_in(app, issuer.token())
    assert not let_in(app)
    for name in names:
        assert said_of(caplog, f"of-{name}")


each_failure = pytest.mark.parametrize("failure", ["parse", "compile", "equalities"])


@each_failure
def test_a_policy_on_which_its_engine_fails_is_not_saved(operated, issuer, tmp_path, monkeypatch, failure):
    install_engine(tmp_path / "package", monkeypatch, f"engine_refused_{failure}", counting="Engine")
    app = operated(trusting(issuer))

    answer = put(app, counted({"fails": failure}))

    assert (answer.status_code, bool(answer.json["issues"])) == (422, True)
    assert "counted" not in ids(app, "AccessPolicy")


@each_failure
def test_a_policy_on_which_its_engine_fails_is_out_of_service(make_app, issuer, tmp_path, monkeypatch, caplog, failure):
    install_engine(tmp_path / "package", monkeypatch, f"engine_failing_{failure}", counting="Engine")
    app = make_app([*trusting(issuer), counted({"fails": failure})])

    assert let_in(app, issuer.token())
    assert not let_in(app)
    assert len(said_of(caplog, "counted")) == 1
    with app.app_context(), pytest.raises(Exception, match="counted"):
        ForeignToken().check(app)


@each_failure
def test_a_policy_on_which_its_engine_fails_is_tried_without_a_500(operated, issuer, tmp_path, monkeypatch, failure):
    install_engine(tmp_path / "package", monkeypatch, f"engine_tried_{failure}", counting="Engine")
    app = operated(trusting(issuer), PROPAGATE_EXCEPTIONS=False)
    question = {"policy": counted({"fails": failure}), "request": {"uri": "/x"}}

    answer = operate(app, "POST", "/fhir/auth/test-policy", question)

    assert answer.status_code in {200, 422}
    if answer.status_code == 200:
        assert answer.json["result"]["eval-result"] is False


def test_a_policy_of_a_package_that_was_removed_hides_no_other(
    operated: Operated, bare_app: MakeApp, issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as installed:
        install_engine(tmp_path / "package", installed, "engine_removed", counting="Engine")
        first = operated([*trusting(issuer), counted({"answers": True})])
        with first.app_context():
            uri = database_of(first).engine.url.render_as_string(hide_password=False)
    app = protected(bare_app(**OPERATOR_SETTINGS, SQLALCHEMY_DATABASE_URI=uri))

    assert let_in(app, issuer.token())
    assert not let_in(app)


def test_an_engine_cannot_take_the_name_of_one_of_ours(
    operated: Operated, issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    engine = install_engine(tmp_path / "package", monkeypatch, "engine_thief", matcho="Engine", allow="Engine")
    app = operated(trusting(issuer))

    assert let_in(app, issuer.token())
    assert not let_in(app)
    assert engine.calls == []


DO_NOT_LOAD: list[Resource] = [
    policy("ill", {"a": {"$or": [1]}}),
    policy("ill", {"uri": "#(?=x)"}),
    policy("ill", {"user": None}),
    policy("ill", {}),
    {"resourceType": "AccessPolicy", "id": "ill", "engine": "json-schema", "schema": {"constant": 1}},
    {"resourceType": "AccessPolicy", "id": "ill", "engine": "complex", "and": []},
    {"resourceType": "AccessPolicy", "id": "ill", "engine": "sql", "sql": {"query": "SELECT true"}},
    {"resourceType": "AccessPolicy", "id": "ill", "engine": "matcho-rpc", "matcho-rpc": {}},
]


@pytest.fixture(params=DO_NOT_LOAD, ids=lambda value: json.dumps(value)[44:100])
def ill(request: pytest.FixtureRequest, make_app: MakeApp, issuer: Issuer) -> Flask:
    """An app with a policy in its file that does not load, beside one that does."""
    app = make_app([*trusting(issuer, policy("ada", {"jwt": {"sub": "ada"}})), request.param])
    add_routes(app)
    return app


def test_a_policy_that_does_not_load_allows_nothing_and_hides_no_other(ill: Flask, issuer: Issuer):
    assert let_in(ill, issuer.token(sub="ada"))
    assert not let_in(ill, issuer.token(sub="bob"))
    assert not let_in(ill)


def test_a_policy_that_does_not_load_is_logged_with_its_id(ill: Flask, issuer: Issuer, caplog):
    for _ in range(3):
        let_in(ill, issuer.token())

    assert len(said_of(caplog, "AccessPolicy/ill")) == 1


def test_check_raises_where_a_policy_does_not_load(ill: Flask):
    with ill.app_context(), pytest.raises(Exception, match="ill") as raised:
        ill.extensions["foreign_token"].check()
    assert type(raised.value).__name__ == "Rejected"


def test_doctor_names_a_policy_that_does_not_load(ill: Flask):
    assert "AccessPolicy/ill" in run(ill, "doctor", status=1).output


def test_a_policy_that_does_not_load_can_be_deleted_by_command(ill: Flask):
    run(ill, "delete", "AccessPolicy", "ill", "--yes")

    assert '"ill"' not in registry_of(ill).read_text()


def test_a_policy_that_would_not_load_is_not_saved(app: Flask, tmp_path: Path):
    for body in DO_NOT_LOAD:
        answer = operate(app, "PUT", "/fhir/AccessPolicy/ill", body)
        assert (answer.status_code, bool(answer.json["issues"])) == (422, True), body
        said = run(app, "apply", write(tmp_path, "ill.json", body), status=1)
        assert "ill" in said.stderr
    assert "ill" not in ids(app, "AccessPolicy")


def test_an_unreadable_body_is_denied_even_where_its_absence_would_match(under, issuer: Issuer):
    for pattern in ("nil?", {"$not": "present?"}, {"$not": {"a": 1}}):
        app = under("matcho", matcho={"uri": "/upload", "body": pattern})
        assert let_in(app, issuer.token(), "/upload", "POST")
        for data in ("{", '{"a": 1', "[1,]", b"\xff\xfe", "[" * 100_000):
            assert status(app, issuer.token(), "/upload", "POST", data=data, content_type="application/json") in {
                400,
                403,
            }, (pattern, data[:20])
