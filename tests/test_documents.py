from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from flask_foreign_token.documents import MAX_NODES, read_json, read_yaml, read_yaml_all, write_json, write_yaml
from flask_foreign_token.strict_json import MAX_DEPTH

MIB = 1024 * 1024

MEANINGS: list[tuple[str, object]] = [
    ("a: b", {"a": "b"}),
    ("- 1\n- -2\n- +3\n- 007", [1, -2, 3, 7]),
    ("- 1.5\n- .5\n- 1e3\n- -2E-1", [1.5, 0.5, 1000.0, -0.2]),
    ("- true\n- True\n- FALSE", [True, True, False]),
    ("- null\n- ~\n-\n- NULL", [None, None, None, None]),
    ("- yes\n- no\n- on\n- off\n- y", ["yes", "no", "on", "off", "y"]),
    ("- 0x1f\n- 0o17\n- 0b1\n- 1_000\n- 1:30", ["0x1f", "0o17", "0b1", "1_000", "1:30"]),
    ("- 2024-01-01\n- 2024-01-01T10:00:00Z", ["2024-01-01", "2024-01-01T10:00:00Z"]),
    ("<<: a\n=: b", {"<<": "a", "=": "b"}),
    ("- '1'\n- \"true\"\n- 'null'", ["1", "true", "null"]),
    ("- !!str 1\n- !!int '1'\n- !!float 1\n- !!bool 'true'\n- !!null ''\n- ! 1", ["1", 1, 1.0, True, None, "1"]),
    ("!!map {a: !!seq [b]}", {"a": ["b"]}),
    ("a: |\n  one\n  two\nb: >\n  one\n  two\n", {"a": "one\ntwo\n", "b": "one two\n"}),
    ("'1': a\n'null': b", {"1": "a", "null": "b"}),
    ("[a, {b: c}]", ["a", {"b": "c"}]),
    ("# nothing but this", None),
    ("", None),
    ("---\na: b\n...\n", {"a": "b"}),
    ('{"a":\t"\\ud83d\\ude00"}', {"a": "\N{GRINNING FACE}"}),
    ('{"a": 1,}', {"a": 1}),
]

REFUSED = [
    ("a: 1\nb: 2\na: 3", "duplicate key", (3, 1)),
    ('{"a": 1, "a": 2}', "duplicate key", (1, 10)),
    ('{"a": 1, "\\u0061": 2}', "duplicate key", (1, 10)),
    ("a: &secret b", "an anchor", (1, 4)),
    ("a: &secret [b]", "an anchor", (1, 4)),
    ("a: *secret", "an alias", (1, 4)),
    ("a: !secret b", "tag", (1, 4)),
    ("a: !!binary c2VjcmV0", "tag", (1, 4)),
    ("a: !!set {secret}", "tag", (1, 4)),
    ("a: !!int secret", "tag", (1, 4)),
    ("a: !!python/name:os.system ''", "tag", (1, 4)),
    ("1: secret", "key that is no text", (1, 1)),
    ("true: secret", "key that is no text", (1, 1)),
    ("~: secret", "key that is no text", (1, 1)),
    ("? [secret]\n: a", "key that is no text", (1, 3)),
    ("a: .nan", "number that JSON does not have", (1, 4)),
    ("a: -.inf", "number that JSON does not have", (1, 4)),
    ("a: 1e999", "number out of range", (1, 4)),
    ("1" * 4301, "number out of range", (1, 1)),
    ("secret: a: b", "not YAML", (1, 10)),
    ("a: 'secret", "not YAML", (1, 11)),
    ("\tsecret", "not YAML", (1, 1)),
    ('"\\ud83d"', "not YAML", (1, 4)),
    ("é: \x01", "a character that YAML does not allow", (1, 4)),
    ("é\nb: a\u2028c", "line separator", (2, 5)),
    ("%YAML 1.1\n---\na: b", "directive", (1, 1)),
    ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested too deeply", (1, MAX_DEPTH + 1)),
]

NASTY = [
    *("yes", "no", "null", "Null", "~", "", " ", "true", "True", "1", "007", "+1", "1.5", ".5", "5.", "1e3", "1E5"),
    *("0x1f", "0o17", "0b1", "1_000", "1:30", "2024-01-01", ".inf", "-.INF", ".nan", "<<", "=", "- a", "-", "---"),
    *("...", "# x", "a # b", ":", "a: b", "a:", "? a", "?", "!a", "&a", "*a", "%a", "@a", "`a", "|", ">", "{", "]"),
    *("'", '"', "\\", "a\nb", "a\n\nb\n", "\n", "\na", " a", "a ", "\ta", "a\t\n", "a\r\nb", "\r", "a \n b", "é"),
    *("\N{GRINNING FACE}", "\x00", "\x1b", "\x7f", "\x85", "\xa0", "\u200b", "\u2028", "\u2029", "\ufeff", "x" * 2000),
]

HOSTILE = [
    *("[", "{", "]", "- ", "-\n", "? ", ": ", "a", "a ", "a\n", "a:", "a: \n ", "a: &a [*a]", "!a ", "&a ", "*a "),
    *("\n", "\t", "'", '"', "'' ", "|\n a", ">\n\n ", "[a,", "{a,", "[{", "[?", "{? ", "%TAG !a! b\n", "--- a\n"),
    *("---\n", "...\n", "- a: b\n  c: d\n", "[]\n", '"\\\n', "1,", "9", "é", "\r", "- !!str a\n", "# a\n"),
]


@pytest.mark.parametrize(("text", "value"), MEANINGS)
def test_yaml_means_what_the_core_schema_says(text: str, value: object) -> None:
    read = read_yaml(text.encode())

    assert read == value
    assert repr(read) == repr(value)


@pytest.mark.parametrize(("text", "reason", "place"), REFUSED)
def test_what_is_ambiguous_is_refused_with_its_place(text: str, reason: str, place: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=reason) as refused:
        read_yaml(text.encode())

    assert str(refused.value).endswith("(line {}, column {})".format(*place))
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("text", ["a:\n\tb: c", "a: b\n  \tc: d", "a:\n  b: 1\n\tc: 2", "- a\n-\tb: c", "é:\n\tb: c"])
def test_tabs_are_said_to_be_in_the_place_of_spaces(text: str) -> None:
    with pytest.raises(ValueError, match="; YAML is indented with spaces, not tabs"):
        read_yaml(text.encode())


def test_line_breaks_are_said_to_be_lost_where_there_are_none() -> None:
    lines = ["resourceType: AccessPolicy", "id: readers", "engine: allow"]

    with pytest.raises(ValueError, match="; were the line breaks lost"):
        read_yaml("".join(lines).encode())


@pytest.mark.parametrize("text", ["a: @b", "a:\n  @b", "a: 1\nb: c: d", "a: 'b", "a: @b\t"])
def test_neither_is_said_of_another_mistake(text: str) -> None:
    with pytest.raises(ValueError, match="not YAML") as refused:
        read_yaml(text.encode())

    assert ";" not in str(refused.value)


def test_the_deepest_that_json_may_be_is_taken() -> None:
    text = "[" * MAX_DEPTH + "]" * MAX_DEPTH

    assert read_yaml(f"# not JSON\n{text}".encode()) == read_json(text.encode())


@pytest.mark.parametrize(("raw", "reason"), [(b"a: \xff", "not UTF-8"), (b"\xef\xbb\xbfa: b", "byte order mark")])
def test_bytes_that_are_no_plain_utf8_are_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_yaml(raw)


def test_json_is_not_read_as_yaml() -> None:
    with pytest.raises(ValueError, match="not JSON"):
        read_json(b"a: b")


def test_several_documents_are_read_where_several_are_wanted() -> None:
    raw = b"a: 1\n---\n- 2\n---\n"

    assert read_yaml_all(raw) == [{"a": 1}, [2], None]
    with pytest.raises(ValueError, match="more than one"):
        read_yaml(raw)


def test_a_json_text_is_one_document_and_nothing_is_none() -> None:
    assert read_yaml_all(b"[1, 2]") == [[1, 2]]
    assert read_yaml_all(b"") == []


def test_where_one_document_is_wanted_nothing_behind_the_second_is_read() -> None:
    with pytest.raises(ValueError, match="more than one"):
        read_yaml(b"a: 1\n---\n- 2\n---\n- [\n")


def test_a_fault_in_a_later_document_is_a_fault() -> None:
    with pytest.raises(ValueError, match=r"duplicate key \(line 4, column 1\)"):
        read_yaml_all(b"a: 1\n---\nb: 2\nb: 3\n")


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_mebibyte_of_anything_is_dealt_with_in_time(piece: str) -> None:
    """In half a second; ten times that is left to slow machines, and by far exceeded by what is quadratic."""
    raw = (piece * (MIB // len(piece.encode()) + 1)).encode()
    began = time.process_time()

    with suppress(ValueError):
        read_yaml(raw)

    assert time.process_time() - began < 5


def test_as_many_nodes_as_there_may_be_are_read() -> None:
    most = "- a\n" * (MAX_NODES - 1)

    assert len(read_yaml(most.encode())) == MAX_NODES - 1  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"more than {MAX_NODES}"):
        read_yaml((most + "- a\n").encode())


def test_an_operators_own_file_may_have_more_nodes() -> None:
    raw = b"---\n- a\n" * 60_000

    assert len(read_yaml_all(raw, max_nodes=120_000)) == 60_000
    with pytest.raises(ValueError, match="more than 119999"):
        read_yaml_all(raw, max_nodes=119_999)


@pytest.mark.parametrize("text", NASTY)
def test_a_text_is_read_back_as_it_was_written(text: str) -> None:
    value = {"key": text, text: [text, {text: text}]}

    assert read_yaml(write_yaml(value).encode()) == value
    assert read_yaml(write_yaml(text).encode()) == text


def test_whatever_json_holds_is_read_back_as_it_was_written() -> None:
    dice = random.Random(11)

    def text() -> str:
        return "".join(dice.choice(NASTY) for _ in range(dice.randint(0, 3)))

    def value(depth: int) -> object:
        roll = dice.random()
        if depth == 0 or roll < 0.5:
            return text()
        if roll < 0.6:
            return dice.choice([None, True, False, 0, -1, 10**30, 1.5, -0.0, 1e300, 1e16, 5e-324])
        if roll < 0.8:
            return [value(depth - 1) for _ in range(dice.randint(0, 3))]
        return {text(): value(depth - 1) for _ in range(dice.randint(0, 3))}

    for _ in range(1_000):
        written = value(4)

        assert repr(read_yaml(write_yaml(written).encode())) == repr(written)


def test_what_is_written_is_in_block_style_and_in_order() -> None:
    value = {"resourceType": "AccessPolicy", "id": "a", "link": [{"reference": "User/x"}], "active": True}

    assert write_yaml(value) == ("resourceType: AccessPolicy\nid: a\nlink:\n- reference: User/x\nactive: true\n")
    assert list(read_json(write_json(value).encode())) == list(value)  # type: ignore[call-overload]


@pytest.mark.parametrize("write", [write_yaml, write_json])
@pytest.mark.parametrize("value", [{1: "a"}, {"a": {2}}, b"a", float("nan"), float("inf"), "\ud83d", object()])
def test_what_json_cannot_hold_is_not_written(write: object, value: object) -> None:
    with pytest.raises(ValueError, match="written"):
        write(value)  # type: ignore[operator]


@pytest.mark.parametrize("write", [write_yaml, write_json])
def test_what_can_be_read_can_be_written_with_an_answer_around_it(write: Callable[[object], str]) -> None:
    value: object = "a"
    for _ in range(MAX_DEPTH):
        value = [value]

    assert read_yaml(write(value).encode()) == value
    assert write([[[[value]]]])
    with pytest.raises(ValueError, match="deep"):
        write([[[[[value]]]]])
