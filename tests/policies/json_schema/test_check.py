from __future__ import annotations

import contextlib
import http.server
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_foreign_token.errors import Rejected
from flask_foreign_token.policies.json_schema.check import MAX_FAULTS, MAX_REFERENCES, MAX_STEPS, check, validator
from flask_foreign_token.policies.json_schema.keywords import KEYWORDS
from flask_foreign_token.policies.limits import MAX_DEPTH, MAX_SIZE

DRAFT = "http://json-schema.org/draft-07/schema#"


def issues_of(schema: Any) -> list[tuple[str, str]]:
    with pytest.raises(Rejected) as rejected:
        check(schema)
    return [(issue.path, issue.message) for issue in rejected.value.issues]


REFUSED: list[tuple[Any, str, str]] = [
    # No schema at all.
    (None, "", "an object of keywords"),
    ("string", "", "an object of keywords"),
    ([], "", "an object of keywords"),
    (1, "", "an object of keywords"),
    # Words that are no keywords, at every place where a schema stands.
    ({"constant": 1}, "constant", "say const"),
    ({"properties": {"a": {"constant": 1}}}, "properties.a.constant", "say const"),
    ({"properties": {"a": {"optional": True}}}, "properties.a.optional", "is optional"),
    ({"resource/type": {"const": "x"}}, "resource/type", "properties"),
    ({"Required": ["a"]}, "Required", "say required"),
    ({"requried": ["a"]}, "requried", "say required"),
    ({"oneof": [{}]}, "oneof", "say oneOf"),
    ({"$defs": {}}, "$defs", "say definitions"),
    ({"definitions": {"a": {"x": 1}}}, "definitions.a.x", "no such keyword"),
    ({"allOf": [{}, {"x": 1}]}, "allOf.1.x", "no such keyword"),
    ({"anyOf": [{"x": 1}]}, "anyOf.0.x", "no such keyword"),
    ({"oneOf": [{"x": 1}]}, "oneOf.0.x", "no such keyword"),
    ({"not": {"x": 1}}, "not.x", "no such keyword"),
    ({"if": {"x": 1}}, "if.x", "no such keyword"),
    ({"then": {"x": 1}}, "then.x", "no such keyword"),
    ({"else": {"x": 1}}, "else.x", "no such keyword"),
    ({"items": {"x": 1}}, "items.x", "no such keyword"),
    ({"items": [{}, {"x": 1}]}, "items.1.x", "no such keyword"),
    ({"additionalItems": {"x": 1}}, "additionalItems.x", "no such keyword"),
    ({"contains": {"x": 1}}, "contains.x", "no such keyword"),
    ({"additionalProperties": {"x": 1}}, "additionalProperties.x", "no such keyword"),
    ({"patternProperties": {"^a": {"x": 1}}}, "patternProperties.^a.x", "no such keyword"),
    ({"propertyNames": {"x": 1}}, "propertyNames.x", "no such keyword"),
    ({"dependencies": {"a": {"x": 1}}}, "dependencies.a.x", "no such keyword"),
    ({"$ref": "#/definitions/a", "definitions": {"a": {"x": 1}}}, "definitions.a.x", "no such keyword"),
    # Keywords with what they do not take.
    ({"required": "a"}, "required", "a list of names"),
    ({"required": ["a", "a"]}, "required", "each once"),
    ({"required": [1]}, "required", "a list of names"),
    ({"properties": {"a": "string"}}, "properties", "whose values are schemas"),
    ({"properties": []}, "properties", "an object"),
    ({"properties": {"properties": {"a": {"type": "text"}}}}, "properties.properties.a", "no such keyword"),
    ({"type": "text"}, "type", "object"),
    ({"type": []}, "type", "object"),
    ({"type": ["string", "text"]}, "type", "object"),
    ({"allOf": []}, "allOf", "at least one schema"),
    ({"anyOf": {}}, "anyOf", "at least one schema"),
    ({"oneOf": [1]}, "oneOf", "at least one schema"),
    ({"not": None}, "not", "a schema"),
    ({"items": []}, "items", "at least one"),
    ({"minLength": -1}, "minLength", "from 0"),
    ({"minLength": 1.5}, "minLength", "from 0"),
    ({"maxItems": True}, "maxItems", "from 0"),
    ({"minimum": "1"}, "minimum", "a number"),
    ({"multipleOf": 0}, "multipleOf", "above 0"),
    ({"enum": "a"}, "enum", "a list"),
    ({"uniqueItems": 1}, "uniqueItems", "true or false"),
    ({"dependencies": {"a": "b"}}, "dependencies", "lists of names"),
    ({"pattern": 1}, "pattern", "a text"),
    ({"$ref": 1}, "$ref", "a text"),
    # Another draft.
    ({"$schema": "https://json-schema.org/draft/2020-12/schema"}, "$schema", DRAFT),
    ({"$schema": "http://json-schema.org/draft-04/schema#"}, "$schema", DRAFT),
    ({"not": {"$schema": "http://127.0.0.1:1/x"}}, "not.$schema", DRAFT),
    # Patterns.
    ({"properties": {"a": {"pattern": "^(?!x)"}}}, "properties.a.pattern", "look-around"),
    ({"pattern": "(?<=x)y"}, "pattern", "look-around"),
    ({"pattern": r"(a)\1"}, "pattern", "back-references"),
    ({"pattern": "(?i)abc"}, "pattern", "[Aa]"),
    ({"pattern": "(a"}, "pattern", "no regular expression"),
    ({"pattern": "(a{1000}){1000}"}, "pattern", "too large"),
    ({"pattern": r"\p{L}{1,60}"}, "pattern", "too large"),
    ({"patternProperties": {"(?!x)": {}}}, "patternProperties.(?!x)", "look-around"),
    # References that lead out of the document, or to nothing.
    ({"$ref": DRAFT}, "$ref", "nothing is fetched"),
    ({"properties": {"a": {"$ref": "http://127.0.0.1:1/x"}}}, "properties.a.$ref", "nothing is fetched"),
    ({"$ref": "file:///etc/passwd"}, "$ref", "nothing is fetched"),
    ({"$ref": "node"}, "$ref", "nothing is fetched"),
    ({"$ref": "/node"}, "$ref", "nothing is fetched"),
    ({"$id": "urn:x", "not": {"$ref": "urn:xy#/not"}}, "not.$ref", "nothing is fetched"),
    ({"not": {"$ref": "#/definitions/a"}}, "not.$ref", "no schema"),
    ({"not": {"$ref": "#a"}}, "not.$ref", "no schema"),
    ({"const": {"a": 1}, "not": {"$ref": "#/const"}}, "not.$ref", "no schema"),
    ({"enum": [{"x": 1}], "not": {"$ref": "#/enum/0"}}, "not.$ref", "no schema"),
    ({"default": {"$id": "#a", "x": 1}, "not": {"$ref": "#a"}}, "not.$ref", "no schema"),
    ({"allOf": [{}], "not": {"$ref": "#/allOf"}}, "not.$ref", "no schema"),
    ({"allOf": [{}], "not": {"$ref": "#/allOf/00"}}, "not.$ref", "no schema"),
    # Names.
    ({"$id": "http://127.0.0.1:1/x"}, "$id", "no address"),
    ({"$id": "https://x.example/"}, "$id", "no address"),
    ({"$id": "x.json"}, "$id", "no address"),
    ({"$id": "urn:x#y"}, "$id", "no address"),
    ({"not": {"$id": "urn:x"}}, "not.$id", "#address"),
    ({"not": {"$id": "#"}}, "not.$id", "#address"),
    ({"not": {"$id": "#/not"}}, "not.$id", "#address"),
    ({"not": {"$id": "#a"}, "if": {"$id": "#a"}}, "if.$id", "already"),
    ({"$ref": "#/definitions/a", "$id": "urn:x", "definitions": {"a": {}}}, "$id", "leave it out"),
    # References that never go further.
    ({"$ref": "#"}, "", "back to itself"),
    ({"allOf": [{"$ref": "#"}]}, "allOf.0", "back to itself"),
    ({"not": {"$ref": "#"}}, "not", "back to itself"),
    ({"if": {"$ref": "#"}}, "if", "back to itself"),
    ({"dependencies": {"a": {"$ref": "#"}}}, "dependencies.a", "back to itself"),
    ({"properties": {"a": {"$ref": "#/properties/a"}}}, "properties.a", "back to itself"),
    (
        {"definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"anyOf": [{"$ref": "#/definitions/a"}]}}},
        "definitions.b.anyOf.0",
        "back to itself",
    ),
    # What is no JSON.
    ({"const": float("nan")}, "", "is JSON"),
    ({"const": "\ud800"}, "", "is JSON"),
    ({"const": {1: 2}}, "const", "strings"),
]


@pytest.mark.parametrize(("schema", "path", "reason"), REFUSED, ids=[repr(row[0])[:80] for row in REFUSED])
def test_a_schema_that_would_not_check_what_it_says_is_refused(schema: Any, path: str, reason: str) -> None:
    ((found, message),) = issues_of(schema)

    assert found == path
    assert reason in message


@pytest.mark.parametrize(
    "schema",
    [
        {"$schema": DRAFT},
        {"$schema": DRAFT.rstrip("#")},
        {"$id": "urn:example:policy", "not": {"$ref": "urn:example:policy#/definitions/a"}, "definitions": {"a": True}},
        {"$id": "file:///no/such/file.json", "not": {"$ref": "#/definitions/a"}, "definitions": {"a": {}}},
        {"definitions": {"a": {"$id": "#name"}}, "allOf": [{"$ref": "#name"}]},
        {"definitions": {"a/b~c d": {}}, "allOf": [{"$ref": "#/definitions/a~1b~0c%20d"}]},
        # What looks like a keyword, or its absence, in data and names.
        {"const": {"constant": 1, "$ref": "http://127.0.0.1:1/", "$id": "http://x.example/"}},
        {"enum": [{"constant": 1}], "default": {"x": 1}, "examples": [{"x": 1}]},
        {"properties": {"constant": {}, "$ref": {"type": "string"}, "resource/type": {"const": "x"}}},
        {"dependencies": {"x": ["y"], "$ref": {"required": ["z"]}}},
        # Cycles that go into a member or an item.
        {"properties": {"a": {"$ref": "#"}}},
        {"items": {"$ref": "#"}, "additionalProperties": {"anyOf": [{"type": "string"}, {"$ref": "#"}]}},
        {"minLength": 2.0, "multipleOf": 0.5, "enum": []},
        {"title": "x", "description": "x", "$comment": "x", "readOnly": True, "writeOnly": False, "format": "email"},
    ],
    ids=lambda schema: repr(schema)[:80],
)
def test_a_schema_that_says_what_it_checks_is_taken(schema: Any) -> None:
    assert check(schema).schema == schema


def test_every_fault_is_named() -> None:
    found = issues_of({"properties": {"a": {"constant": 1, "required": "x"}}, "not": {"$ref": "#a"}})

    assert {path for path, _ in found} == {"properties.a.constant", "properties.a.required", "not.$ref"}


def test_every_keyword_that_is_taken_is_known_to_the_library() -> None:
    text = json.dumps({"properties": {keyword: {} for keyword in KEYWORDS}})

    assert check(json.loads(text)).schema == json.loads(text)


def test_a_schema_may_have_as_many_bytes_as_a_pattern() -> None:
    room = MAX_SIZE - len('{"const":""}')

    assert check({"const": "x" * room})
    assert "bytes" in issues_of({"const": "x" * (room + 1)})[0][1]


def nested(depth: int) -> Any:
    schema: Any = True
    for _ in range(depth):
        schema = {"not": schema}
    return schema


def test_a_schema_is_refused_where_it_nests_too_deep() -> None:
    assert check(nested(MAX_DEPTH))
    for depth in (MAX_DEPTH + 2, 1_000, 100_000):
        assert "deep" in issues_of(nested(depth))[0][1]


def test_data_that_nests_too_deep_is_refused_too() -> None:
    value: Any = 1
    for _ in range(1_000):
        value = [value]

    assert "deep" in issues_of({"const": value})[0][1]


def chain(length: int) -> Any:
    links = {str(index): {"$ref": f"#/definitions/{index + 1}"} for index in range(length)}
    return {"definitions": {**links, str(length): {"type": "string"}}, "allOf": [{"$ref": "#/definitions/0"}]}


@pytest.mark.parametrize("turn", [dict, lambda links: dict(reversed(links.items()))], ids=["forth", "back"])
def test_references_lead_on_only_so_often(turn: Any) -> None:
    def turned(length: int) -> Any:
        schema = chain(length)
        return {**schema, "definitions": turn(schema["definitions"])}

    assert check(turned(MAX_DEPTH - 3))
    assert "at most 64 times" in issues_of(turned(MAX_DEPTH))[0][1]
    assert "at most 64 times" in issues_of(turned(1_500))[0][1]


def twice(name: str, step: Callable[[Any], Any]) -> Any:
    """A schema that leads on to another in two ways."""
    return {"anyOf": [step({"$ref": f"#/definitions/{name}"})] * 2}


STEPS: list[Callable[[Any], Any]] = [
    lambda schema: schema,
    lambda schema: {"items": schema},
    lambda schema: {"items": [{}, schema]},
    lambda schema: {"additionalItems": schema},
    lambda schema: {"contains": schema},
    lambda schema: {"properties": {"a": schema}},
    lambda schema: {"patternProperties": {"^a": schema}},
    lambda schema: {"additionalProperties": schema},
    lambda schema: {"propertyNames": schema},
    lambda schema: {"dependencies": {"a": schema}},
    lambda schema: {"not": schema},
    lambda schema: {"if": schema},
    lambda schema: {"allOf": [schema]},
    lambda schema: {"oneOf": [schema, {}]},
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: json.dumps(step("…"), ensure_ascii=False))
def test_references_that_ask_one_value_again_and_again_are_refused(step: Callable[[Any], Any]) -> None:
    def doubling(times: int) -> Any:
        links = {str(index): twice(str(index + 1), step) for index in range(times)}
        return {
            "definitions": {**links, str(times): {"type": "string"}},
            "properties": {"body": {"$ref": "#/definitions/0"}},
        }

    assert check(doubling(8))
    ((path, message),) = issues_of(doubling(20))
    assert re.match(r"definitions\.\d+", path)
    assert f"more than {MAX_STEPS} ways" in message


def into_items(schema: Any) -> Any:
    return {"type": "array", "items": schema}


def test_references_that_lead_around_in_a_long_circle_are_counted_as_far_as_they_go() -> None:
    def circle(length: int) -> Any:
        links = {str(index): twice(str((index + 1) % length), into_items) for index in range(length)}
        return {"definitions": links, "items": {"$ref": "#/definitions/0"}}

    assert check(circle(5))
    assert f"more than {MAX_STEPS} ways" in issues_of(circle(20))[0][1]


def test_ways_that_are_few_from_each_of_many_circles_are_counted_together() -> None:
    def wheel(spokes: int, ways: int) -> Any:
        """Circles through one hub, each of which is remembered by itself."""
        links = {str(index): {"anyOf": [into_items({"$ref": "#/definitions/hub"})] * ways} for index in range(spokes)}
        hub = {"anyOf": [into_items({"$ref": f"#/definitions/{index}"}) for index in range(spokes)]}
        return {
            "definitions": {**links, "hub": hub},
            "items": {"anyOf": [{"$ref": f"#/definitions/{index}"} for index in range(spokes)]},
        }

    assert check(wheel(3, 2))
    assert f"more than {MAX_STEPS} ways" in issues_of(wheel(30, 3))[0][1]


def tangle(count: int) -> Any:
    """Definitions each of which refers to all, for members of different names."""
    each = {str(index): {"$ref": f"#/definitions/{index}"} for index in range(count)}
    return {"definitions": {name: {"properties": each} for name in each}, "items": each["0"]}


def test_members_of_different_names_are_different_values() -> None:
    def types(count: int) -> Any:
        """As in FHIR: what is in an extension may have extensions."""
        each = {str(index): {"$ref": f"#/definitions/{index}"} for index in range(count)}
        of_type = {"properties": {"extension": into_items({"$ref": "#/definitions/extension"}), "a": {}, "b": {}}}
        return {
            "definitions": {**dict.fromkeys(each, of_type), "extension": {"properties": each}},
            "properties": {"body": {"properties": each}},
        }

    assert check(types(50))
    assert check(tangle(5))
    assert "too many ways" in issues_of(tangle(12))[0][1]


def test_a_schema_that_refers_to_itself_on_every_level_is_taken_and_answers_at_once() -> None:
    schema = {"definitions": {"t": twice("t", into_items)}, "items": {"$ref": "#/definitions/t"}}
    value: Any = 1
    for _ in range(MAX_DEPTH):
        value = [value]

    # Without an end of its own at which it is remembered, this would be asked 2 ** 63 times.
    assert validator(check(schema).schema).is_valid(value) is False


def test_references_that_go_into_items_lead_on_only_so_often() -> None:
    def line(length: int) -> Any:
        links = {str(index): into_items({"$ref": f"#/definitions/{index + 1}"}) for index in range(length)}
        return {"definitions": {**links, str(length): {}}, "items": {"$ref": "#/definitions/0"}}

    assert check(line(MAX_REFERENCES - 1))
    assert str(MAX_REFERENCES) in issues_of(line(MAX_REFERENCES))[0][1]
    assert str(MAX_REFERENCES) in issues_of(line(900))[0][1]


@pytest.fixture
def visits() -> Iterator[tuple[str, list[str]]]:
    """The address of a server that would give any schema, and what it was asked for."""
    seen: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"true")

        def log_message(self, *arguments: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()
        thread.join()


def test_nothing_is_fetched(visits: tuple[str, list[str]]) -> None:
    address, seen = visits

    for schema in (
        {"$ref": f"{address}/ref"},
        {"$id": f"{address}/id", "properties": {"a": {"$ref": "other"}}},
        {"$schema": f"{address}/schema"},
        {"properties": {"a": {"$id": f"{address}/inner", "not": {"$ref": "other"}}}},
    ):
        issues_of(schema)
        # Not even where the check before it would have let it pass.
        with contextlib.suppress(ValueError):
            validator(schema).is_valid({"a": 1})
    taken = {"const": {"$ref": f"{address}/data", "$id": f"{address}/data"}}
    check(taken)

    assert validator(taken).is_valid(taken["const"])
    assert seen == []


def test_no_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    file.write_text("true")

    assert "nothing is fetched" in issues_of({"$ref": file.as_uri()})[0][1]
    with pytest.raises(ValueError, match="no other document"):
        validator({"$ref": file.as_uri()})


def test_references_without_end_do_not_end_the_process() -> None:
    schemas = [schema for schema, _, reason in REFUSED if reason == "back to itself"] + [chain(2_000)]
    program = (
        "import json, sys\n"
        "from flask_foreign_token.errors import Rejected\n"
        "from flask_foreign_token.policies.json_schema.check import check\n"
        "for schema in json.load(sys.stdin):\n"
        "    try: check(schema)\n"
        "    except Rejected: print('refused')\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(schemas), capture_output=True, text=True, check=True
    )

    assert ended.stdout.split() == ["refused"] * len(schemas)


def _of_keywords(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    words = st.sampled_from([*KEYWORDS, "a", "#a"])
    return st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3)


LEAVES = st.none() | st.booleans() | st.integers() | st.sampled_from(["", "#", "#a", "#/not", "a", "string", "urn:a"])


@settings(max_examples=500, deadline=None)
@given(st.recursive(LEAVES, _of_keywords, max_leaves=20))
def test_whatever_is_written_is_refused_or_can_be_used(schema: Any) -> None:
    with contextlib.suppress(Rejected):
        assert validator(check(schema).schema).is_valid({"a": 1}) in (True, False)


def test_the_first_faults_of_many_are_named() -> None:
    assert len(issues_of({f"word {index}": 1 for index in range(4_000)})) == MAX_FAULTS
