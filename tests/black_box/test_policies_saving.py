"""What is refused when a policy is stored, what is warned of, and how that is said."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import ask, policy, trusting
from .callers import ids, operate, put, put_all, read, run, write
from .judging import let_in, living, warnings_in

AT = "/fhir/AccessPolicy/tried"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Flask]:
    with living(tmp_path_factory.mktemp("saving")) as app:
        put_all(app, trusting(issuer))
        yield app


@pytest.fixture(autouse=True)
def clean(app: Flask) -> Iterator[None]:
    yield
    operate(app, "DELETE", AT)


def matcho(pattern: object, **attributes: object) -> dict[str, Any]:
    return {"engine": "matcho", "matcho": pattern, **attributes}


def schema(body: object) -> dict[str, Any]:
    return {"engine": "json-schema", "schema": body}


SAYS_WHO: dict[str, Any] = {"user": "present?"}
OPERATION = [{"reference": "Operation/patients"}]

WARNED: list[tuple[str, dict[str, Any], str]] = [
    ("upper-case method", matcho({**SAYS_WHO, "request-method": "GET"}), "get"),
    ("mixed-case method", matcho({**SAYS_WHO, "request-method": "Post"}), "post"),
    ("upper-case method in $enum", matcho({**SAYS_WHO, "request-method": {"$enum": ["get", "POST"]}}), "post"),
    ("upper-case method in $one-of", matcho({**SAYS_WHO, "request-method": {"$one-of": ["get", "POST"]}}), "post"),
    *(
        (f"{word} without $", matcho({"user": {"roles": {word: said}}}), f"${word}")
        for word, said in [
            ("contains", "admin"),
            ("enum", ["a"]),
            ("one-of", ["a"]),
            ("every", "a"),
            ("not", "a"),
            ("length", 1),
            ("reference", {"id": "1"}),
            ("present-all", ["a"]),
        ]
    ),
    ("expression without #", matcho({**SAYS_WHO, "uri": "^/patients/.*"}), "#"),
    ("expression without # in $one-of", matcho({**SAYS_WHO, "uri": {"$one-of": ["/a", "^/b/.*"]}}), "#"),
    ("expression without anchors", matcho({**SAYS_WHO, "uri": "#/patients"}), "^"),
    ("$not on the user", matcho({"uri": "/patients", "user": {"$not": {"data": {"role": "guest"}}}}), "anonymous"),
    ("$not on the client", matcho({"uri": "/patients", "client": {"$not": {"id": "portal"}}}), "anonymous"),
    ("$not on a claim", matcho({"uri": "/patients", "jwt": {"$not": {"azp": "portal"}}}), "anonymous"),
    ("nobody asked for", matcho({"uri": "#^/patients(/|$)"}), ""),
    ("nobody asked for, by method", matcho({"request-method": "get"}), ""),
    ("allow without links", {"engine": "allow"}, ""),
    ("a member that no request has", matcho({**SAYS_WHO, "method": "get"}), "method"),
    ("a misspelt member", matcho({**SAYS_WHO, "request_method": "get"}), "request_method"),
    (
        "not required",
        schema({"required": ["user"], "properties": {"user": {"properties": {"role": {"const": "admin"}}}}}),
        "required",
    ),
    (
        "format",
        schema({"required": ["user", "uri"], "properties": {"uri": {"type": "string", "format": "uri"}}}),
        "format",
    ),
    ("within a complex", {"engine": "complex", "and": [matcho({**SAYS_WHO, "request-method": "GET"})]}, "get"),
]

CLEAN: list[tuple[str, dict[str, Any]]] = [
    ("one view", matcho({"uri": "/patients"})),
    ("a user and a method", matcho({**SAYS_WHO, "request-method": "get", "uri": "/patients"})),
    ("anchors", matcho({**SAYS_WHO, "uri": "#^/patients(/|$)"})),
    ("an operator", matcho({"user": {"roles": {"$contains": "admin"}}})),
    ("a client", matcho({"client": {"id": "portal"}})),
    ("a claim", matcho({"jwt": {"iss": "https://login.example"}})),
    ("introspected", matcho({"token": {"active": True}})),
    ("allow with an operation", {"engine": "allow", "link": OPERATION}),
    ("allow with a user", {"engine": "allow", "link": [{"reference": "User/x"}]}),
    ("a role", matcho({"uri": "/patients"}, roleName="nurse")),
    ("$not beside a user", matcho({"user": {"id": "present?", "roles": {"$not": {"$contains": "guest"}}}})),
    ("required", schema({"required": ["user", "uri"], "properties": {"uri": {"const": "/a"}}})),
    ("complex", {"engine": "complex", "and": [matcho(SAYS_WHO), matcho({"request-method": "get"})]}),
]


@pytest.mark.parametrize(("name", "body", "word"), WARNED, ids=[row[0] for row in WARNED])
def test_what_is_probably_not_meant_is_stored_and_warned_of(app: Flask, name, body, word):
    answer = operate(app, "PUT", AT, body)

    assert answer.status_code == 201, answer.get_data(as_text=True)
    assert any(word in warning for warning in warnings_in(answer)), warnings_in(answer)
    assert all(re.fullmatch(r'199 \S+ ".+"', warning) for warning in warnings_in(answer))
    assert "tried" in ids(app, "AccessPolicy")


@pytest.mark.parametrize(("name", "body", "word"), WARNED, ids=[row[0] for row in WARNED])
def test_strict_handling_makes_an_error_of_a_warning(app: Flask, name, body, word):
    answer = operate(app, "PUT", AT, body, headers={"Prefer": "handling=strict"})

    assert answer.status_code == 422
    assert any(word in issue["path"] + issue["message"] for issue in answer.json["issues"])
    assert "tried" not in ids(app, "AccessPolicy")


@pytest.mark.parametrize(("name", "body"), CLEAN, ids=[row[0] for row in CLEAN])
def test_what_is_meant_is_stored_strictly_and_without_a_warning(app: Flask, name, body):
    answer = operate(app, "PUT", AT, body, headers={"Prefer": "handling=strict"})

    assert answer.status_code == 201, answer.get_data(as_text=True)
    assert warnings_in(answer) == []


@pytest.mark.parametrize(
    ("prefer", "expected"),
    [
        ("handling=lenient", 201),
        ('handling="strict"', 422),
        ("respond-async, handling=strict", 422),
        ("Handling=strict", 422),
        ("return=minimal", 201),
        ("nonsense;;,=", 201),
    ],
)
def test_the_preference_is_read_as_rfc_7240_writes_it(app: Flask, prefer, expected):
    assert operate(app, "PUT", AT, {"engine": "allow"}, headers={"Prefer": prefer}).status_code == expected


def test_post_warns_and_is_strict_as_put_does(app: Flask):
    body = {**matcho({**SAYS_WHO, "request-method": "GET"}), "id": "tried"}

    assert operate(app, "POST", "/fhir/AccessPolicy", body, headers={"Prefer": "handling=strict"}).status_code == 422
    answer = operate(app, "POST", "/fhir/AccessPolicy", body)
    assert answer.status_code == 201
    assert warnings_in(answer)


@pytest.mark.parametrize("text", ["GET\r\nX-Evil: 1", 'G"ET\\', "G\N{LATIN CAPITAL LETTER E WITH ACUTE}T", "\u202eGET"])
def test_no_policy_can_write_a_header_of_its_own(app: Flask, text):
    answer = operate(app, "PUT", AT, matcho({**SAYS_WHO, "request-method": text, "uri": f"^{text}.*"}))

    assert answer.status_code == 201
    assert "X-Evil" not in answer.headers
    for warning in warnings_in(answer):
        assert warning.isascii()
        assert re.fullmatch(r'199 \S+ "(?:[^"\\\r\n]|\\.)*"', warning)


def test_many_warnings_stay_within_bounds(app: Flask):
    members = {f"m{number}": {"contains": "x"} for number in range(2000)}
    answer = operate(app, "PUT", AT, matcho({"user": members}))

    assert answer.status_code == 201
    assert 0 < len(warnings_in(answer)) <= 100
    assert sum(map(len, warnings_in(answer))) < 32_000


@pytest.mark.parametrize(("name", "body", "word"), WARNED, ids=[row[0] for row in WARNED])
def test_apply_warns_on_stderr_and_with_strict_refuses(app: Flask, tmp_path: Path, name, body, word):
    path = write(tmp_path, "p.json", {"resourceType": "AccessPolicy", "id": "tried", **body})

    refused = run(app, "apply", "--strict", path, status=1)
    assert word in refused.stderr
    assert "tried" not in ids(app, "AccessPolicy")

    stored = run(app, "apply", path)
    assert word in stored.stderr
    assert "warning" in stored.stderr
    assert "warning" not in stored.stdout
    assert "tried" in ids(app, "AccessPolicy")


def test_apply_is_silent_about_what_is_meant(app: Flask, tmp_path: Path):
    for _, body in CLEAN:
        path = write(tmp_path, "p.json", {"resourceType": "AccessPolicy", "id": "tried", **body})
        assert run(app, "apply", "--strict", path).stderr == ""


def test_apply_as_json_keeps_stdout_json(app: Flask, tmp_path: Path):
    path = write(tmp_path, "p.json", {"resourceType": "AccessPolicy", "id": "tried", "engine": "allow"})

    result = run(app, "apply", "--json", path)

    assert json.loads(result.stdout)
    assert "tried" in result.stderr + result.stdout


def test_a_policy_that_is_refused_strictly_takes_the_others_of_its_file_with_it(app: Flask, tmp_path: Path):
    path = write(tmp_path, "p.json", [policy("first", SAYS_WHO), policy("tried", {"request-method": "GET"})])

    run(app, "apply", "--strict", path, status=1)

    assert {"first", "tried"}.isdisjoint(ids(app, "AccessPolicy"))


# What cannot mean one clear thing is refused.

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "engine"),
    ({"engine": "nothing"}, "engine"),
    ({"engine": "Matcho"}, "engine"),
    ({"engine": ""}, "engine"),
    ({"engine": None}, "engine"),
    ({"engine": 1}, "engine"),
    ({"engine": ["matcho"]}, "engine"),
    ({"engine": {"a": 1}}, "engine"),
    ({"engine": "__class__"}, "engine"),
    ({"engine": "sql", "sql": {"query": "SELECT true"}}, "engine"),
    ({"engine": "allow", "matcho": {"uri": "/x"}}, "matcho"),
    ({"engine": "matcho", "schema": {"required": ["a"]}}, ""),
    ({"engine": "matcho"}, "matcho"),
    (matcho(None), "matcho"),
    (matcho({}), "matcho"),
    (matcho([]), "matcho"),
    (matcho(""), "matcho"),
    (matcho(True), "matcho"),
    (matcho(1), "matcho"),
    (matcho({"user": None}), "matcho.user"),
    (matcho({"user": {"a": [1, None]}}), "matcho.user.a.1"),
    (matcho({"a": {"$or": [1]}}), "matcho.a"),
    (matcho({"a": {"$enum": [1], "b": 1}}), "matcho.a"),
    (matcho({"a": {"$enum": [1], "$not": 1}}), "matcho.a"),
    (matcho({"a": {"$enum": []}}), "matcho.a"),
    (matcho({"a": {"$enum": "x"}}), "matcho.a"),
    (matcho({"a": {"$enum": [{"b": 1}]}}), "matcho.a"),
    (matcho({"a": {"$enum": [[1]]}}), "matcho.a"),
    (matcho({"a": {"$enum": [None]}}), "matcho.a"),
    (matcho({"a": {"$one-of": []}}), "matcho.a"),
    (matcho({"a": {"$one-of": "x"}}), "matcho.a"),
    (matcho({"a": {"$one-of": {"b": 1}}}), "matcho.a"),
    (matcho({"a": {"$present-all": "x"}}), "matcho.a"),
    (matcho({"a": {"$present-all": []}}), "matcho.a"),
    (matcho({"a": {"$length": -1}}), "matcho.a"),
    (matcho({"a": {"$length": 1.5}}), "matcho.a"),
    (matcho({"a": {"$length": True}}), "matcho.a"),
    (matcho({"a": {"$length": "1"}}), "matcho.a"),
    (matcho({"a": {"$length": 1, "$contains": 1}}), "matcho.a"),
    (matcho({"a": {"$not": None}}), "matcho.a"),
    (matcho({"a": {"$contains": None}}), "matcho.a"),
    (matcho({"a": "missing?"}), "matcho.a"),
    (matcho({"a": "#("}), "matcho.a"),
    (matcho({"a": "#"}), "matcho.a"),
    (matcho({"a": "#(?=x)"}), "matcho.a"),
    (matcho({"a": "#(?!x)"}), "matcho.a"),
    (matcho({"a": "#(?<=x)y"}), "matcho.a"),
    (matcho({"a": "#(?<!x)y"}), "matcho.a"),
    (matcho({"a": "#(x)\\1"}), "matcho.a"),
    (matcho({"a": "#(?P<n>x)(?P=n)"}), "matcho.a"),
    (matcho({"a": "#x{1,100000}{1,100000}"}), "matcho.a"),
    (matcho({"a": "."}), "matcho.a"),
    (matcho({"a": ".a..b"}), "matcho.a"),
    (matcho({"a": ".a."}), "matcho.a"),
    ({"engine": "json-schema"}, "schema"),
    (schema({}), "schema"),
    ({"engine": "complex"}, ""),
    ({"engine": "allow", "active": "yes"}, "active"),
    ({"engine": "allow", "active": 1}, "active"),
    ({"engine": "allow", "active": None}, "active"),
    ({"engine": "allow", "description": 1}, "description"),
    ({"engine": "allow", "unknown": 1}, "unknown"),
    ({"engine": "allow", "rolename": "x"}, "rolename"),
]


@pytest.mark.parametrize(("body", "at"), REFUSED, ids=[json.dumps(row[0])[:60] for row in REFUSED])
def test_what_says_no_one_thing_is_refused_with_path_and_reason(app: Flask, body, at):
    answer = operate(app, "PUT", AT, body)

    assert answer.status_code == 422, answer.get_data(as_text=True)
    assert any(issue["path"].startswith(at) for issue in answer.json["issues"]), answer.json["issues"]
    assert all(issue["message"] for issue in answer.json["issues"])
    assert "tried" not in ids(app, "AccessPolicy")


@pytest.mark.parametrize(("body", "at"), REFUSED[::4], ids=[json.dumps(row[0])[:60] for row in REFUSED[::4]])
def test_apply_refuses_the_same_with_status_1(app: Flask, tmp_path: Path, body, at):
    path = write(tmp_path, "p.json", {"resourceType": "AccessPolicy", "id": "tried", **body})

    assert at in run(app, "apply", path, status=1).stderr
    assert "tried" not in ids(app, "AccessPolicy")


@pytest.mark.parametrize(
    ("body", "remedy"),
    [
        (matcho({"user": None}), "nil?"),
        (matcho({}), "allow"),
        (matcho({"a": {"$or": [1]}}), "$one-of"),
        (matcho({"a": "#(?=x)"}), "look"),
        ({"engine": "nothing"}, "matcho"),
    ],
)
def test_the_reason_comes_with_the_way_to_say_it(app: Flask, body, remedy):
    messages = " ".join(issue["message"] for issue in operate(app, "PUT", AT, body).json["issues"])

    assert remedy in messages


def test_every_fault_is_named(app: Flask):
    body = matcho({"a": None, "b": {"$or": [1]}, "c": "#("})

    paths = {issue["path"].split(".")[1] for issue in operate(app, "PUT", AT, body).json["issues"]}

    assert paths == {"a", "b", "c"}


def deep(depth: int, *, array: bool = False) -> str:
    """JSON text of a pattern nested `depth` deep."""
    return "[" * depth + "1" + "]" * depth if array else '{"a":' * depth + "1" + "}" * depth


@pytest.mark.parametrize("array", [False, True])
@pytest.mark.parametrize("depth", [1000, 5000, 100_000])
def test_a_pattern_that_is_nested_a_thousand_deep_is_refused(app: Flask, depth, array):
    text = f'{{"engine": "matcho", "matcho": {{"user": {deep(depth, array=array)}}}}}'

    for kind in ("application/json", "text/yaml"):
        answer = operate(app, "PUT", AT, text, content_type=kind)
        assert answer.status_code in {400, 413, 422}, (kind, answer.status_code)
    assert "tried" not in ids(app, "AccessPolicy")


@pytest.mark.parametrize("engine", ["json-schema", "complex"])
def test_other_engines_refuse_what_is_a_thousand_deep_too(app: Flask, engine):
    name = "schema" if engine == "json-schema" else "and"
    one = '{"not":' if engine == "json-schema" else '[{"engine":"complex","and":'
    end = "}" if engine == "json-schema" else "}]"
    inner = '{"required":["a"]}' if engine == "json-schema" else '[{"engine":"allow"}]'
    text = f'{{"engine": "{engine}", "{name}": {one * 1000}{inner}{end * 1000}}}'

    assert operate(app, "PUT", AT, text, content_type="application/json").status_code in {400, 422}


def test_apply_refuses_what_is_a_thousand_deep(app: Flask, tmp_path: Path):
    text = f'{{"resourceType": "AccessPolicy", "id": "tried", "engine": "matcho", "matcho": {deep(1000)}}}'

    for name in ("p.json", "p.yaml"):
        result = run(app, "apply", write(tmp_path, name, text), status=1)
        assert result.stderr
        assert "Traceback" not in result.output


def test_a_pattern_of_64_kib_is_stored_and_one_byte_more_is_refused(app: Flask):
    def of_size(size: int) -> dict[str, Any]:
        frame = len(json.dumps({"jwt": {"x": ""}}, separators=(",", ":")))
        return matcho({"jwt": {"x": "y" * (size - frame)}})

    assert operate(app, "PUT", AT, of_size(65_536)).status_code == 201
    answer = operate(app, "PUT", AT, of_size(65_537))
    assert answer.status_code == 422
    assert any(issue["path"].startswith("matcho") for issue in answer.json["issues"])


@pytest.mark.parametrize(
    "body",
    [
        schema({"required": ["a"], "properties": {"a": {"enum": ["x" * 70_000]}}}),
        {"engine": "complex", "and": [matcho({"jwt": {"x": "y" * 70_000}})]},
        matcho({"jwt": {f"m{number}": "x" * 20 for number in range(4000)}}),
    ],
    ids=["schema", "complex", "members"],
)
def test_whatever_is_larger_is_refused(app: Flask, body):
    assert operate(app, "PUT", AT, body).status_code == 422


TWICE = [
    "engine: allow\nengine: matcho\n",
    "engine: matcho\nmatcho:\n  uri: /a\n  uri: /b\n",
    "engine: matcho\nmatcho:\n  user: present?\n  user: {id: x}\n",
    "engine: matcho\nmatcho: {uri: {$enum: [a], $enum: [b]}}\n",
    "engine: allow\nlink: [{reference: User/a, reference: User/b}]\n",
]


@pytest.mark.parametrize("text", TWICE)
def test_a_name_that_is_given_twice_is_refused(app: Flask, tmp_path: Path, text):
    assert operate(app, "PUT", AT, text, content_type="text/yaml").status_code in {400, 422}
    path = write(tmp_path, "p.yaml", "resourceType: AccessPolicy\nid: tried\n" + text)
    assert run(app, "apply", path, status=1).stderr
    assert "tried" not in ids(app, "AccessPolicy")


def test_a_name_that_is_given_twice_in_json_is_refused(app: Flask):
    text = '{"engine": "matcho", "matcho": {"user": {"id": "x"}, "user": "nil?"}}'

    assert operate(app, "PUT", AT, text, content_type="application/json").status_code in {400, 422}


YAML_ODD = [
    "engine: !!python/object/apply:os.system [true]",
    "engine: &a allow\ndescription: *a\nlink: &l [*l]",
    "{engine: matcho, matcho: {jwt: {x: .nan}}}",
    "{engine: matcho, matcho: {jwt: {x: .inf}}}",
    "{engine: matcho, matcho: {jwt: {1: a}}}",
    "{engine: matcho, matcho: {jwt: {null: a}}}",
    "{engine: matcho, matcho: {jwt: {x: !!binary aGk=}}}",
    "{engine: matcho, matcho: {jwt: {x: !!set {a, b}}}}",
]


@pytest.mark.parametrize("text", YAML_ODD)
def test_yaml_that_is_no_json_is_refused(app: Flask, text):
    answer = operate(app, "PUT", AT, text, content_type="text/yaml")

    assert answer.status_code in {400, 422}
    assert "tried" not in ids(app, "AccessPolicy")


def test_yaml_that_multiplies_itself_is_refused(app: Flask):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    text = "engine: matcho\nmatcho:\n  jwt:\n" + "".join(f"    {line}\n" for line in lines)

    assert operate(app, "PUT", AT, text, content_type="text/yaml").status_code in {400, 413, 422}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_json_has_not_is_refused(app: Flask, number):
    text = f'{{"engine": "matcho", "matcho": {{"jwt": {{"x": {number}}}}}}}'

    assert operate(app, "PUT", AT, text, content_type="application/json").status_code in {400, 422}


def test_a_policy_that_is_read_back_can_be_written_back(app: Flask, issuer: Issuer):
    for name, body in [*CLEAN, *[(row[0], row[1]) for row in WARNED[:4]]]:
        operate(app, "PUT", AT, body)
        stored = read(app, "AccessPolicy/tried")
        assert operate(app, "PUT", AT, stored).status_code == 200, name
        assert read(app, "AccessPolicy/tried")["engine"] == body["engine"]
        shown = yaml.safe_load(run(app, "get", "AccessPolicy", "tried").stdout)
        assert {key: shown[key] for key in body if key != "link"} == {k: v for k, v in body.items() if k != "link"}
    assert ask(app, issuer.token()).status_code == 200


def test_variables_are_not_expanded_in_policies(app: Flask, issuer: Issuer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SOME_NAME", "expanded")
    put(app, {"resourceType": "AccessPolicy", "id": "known-issuer", **matcho({"jwt": {"x": "${SOME_NAME}"}})})

    try:
        assert let_in(app, issuer.token(x="${SOME_NAME}"))
        assert not let_in(app, issuer.token(x="expanded"))
    finally:
        put_all(app, trusting(issuer))
