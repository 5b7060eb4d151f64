from __future__ import annotations

import json
import sys

import pytest

from flask_foreign_token import strict_json

DEEPEST = "[" * 64 + "]" * 64


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"sub": "anna", "exp": 1700000000, "ratio": 1.5, "none": null}', None),
        (b'{"name": "\xc3\x84nne"}', {"name": "Änne"}),
        (' \t\r\n["padded"]\n', ["padded"]),
        (r'"\ud83d\ude00"', "😀"),
        (r'"\\ud800"', r"\ud800"),
        (r'"\u00e4"', "ä"),
        ('{"a": {"b": 1}, "c": {"b": 2}}', {"a": {"b": 1}, "c": {"b": 2}}),
        ("-0.0", -0.0),
        ("1e-400", 0.0),
        ("1.7976931348623157e308", sys.float_info.max),
        ("9" * 4300, 10**4300 - 1),
        ("-" + "9" * 4300, 1 - 10**4300),
        (DEEPEST, None),
        ('["' + "[" * 100 + '"]', ["[" * 100]),
        ('["' + r"\"[" * 100 + '"]', ['"[' * 100]),
        ("[" + "[]," * 100 + "[]]", [[]] * 101),
        (json.dumps([{}] * 100), [{}] * 100),
    ],
)
def test_good_json_is_read_as_json_reads_it(text: str | bytes, value: object) -> None:
    loaded = strict_json.loads(text)

    assert loaded == (json.loads(text) if value is None else value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("{} {}", "not JSON"),
        ("{'a': 1}", "not JSON"),
        ("[1,]", "not JSON"),
        ("01", "not JSON"),
        ("+1", "not JSON"),
        ("\x0b1", "not JSON"),
        ('"tab\there"', "not JSON"),
        (r'"\x41"', "not JSON"),
        ("\ufeff{}", "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        ("{}".encode("utf-16"), "not UTF-8"),
        ("{}".encode("utf-16-be"), "not JSON"),
        (b'"\xff"', "not UTF-8"),
        (b'"\xc0\xaf"', "not UTF-8"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        ('"\ud800"', "not UTF-8"),
        ('{"iss": "a", "iss": "b"}', "JSON with a duplicate member"),
        (r'{"iss": "a", "\u0069ss": "a"}', "JSON with a duplicate member"),
        ('[{"deeper": {"a": 1, "a": 1}}]', "JSON with a duplicate member"),
        ("NaN", "not JSON"),
        ("[Infinity]", "not JSON"),
        ('{"exp": -Infinity}', "not JSON"),
        ("1e400", "JSON with a number out of range"),
        ("-1e400", "JSON with a number out of range"),
        ("9" * 4301, "JSON with a number out of range"),
        ("-" + "9" * 4301, "JSON with a number out of range"),
        (r'"\ud800"', "JSON with a lone surrogate"),
        (r'"\uDC00\uD800"', "JSON with a lone surrogate"),
        (r'{"\udfff": 1}', "JSON with a lone surrogate"),
        (f"[{DEEPEST}]", "JSON nested too deeply"),
        ('{"a":' * 65 + "1" + "}" * 65, "JSON nested too deeply"),
        ("[" * 1_000_000, "JSON nested too deeply"),
        ('["' + "]" * 70 + '",' + "[" * 64, "JSON nested too deeply"),
        (r'["\"",' + "[" * 64, "JSON nested too deeply"),
        (r'["\\",' + "[" * 64, "JSON nested too deeply"),
        ("[" * 64 + '"' + r"\"" * 500_000, "not JSON"),
        ("[" * 64 + '"[' + "\\" * 1_000_001, "not JSON"),
    ],
)
def test_anything_else_is_refused_with_a_reason_that_quotes_nothing(text: str | bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=rf"\A{reason}\Z"):
        strict_json.loads(text)


def test_a_long_integer_is_refused_even_where_the_interpreter_would_convert_it() -> None:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        with pytest.raises(ValueError, match="number out of range"):
            strict_json.loads("9" * 100_000)
    finally:
        sys.set_int_max_str_digits(before)
