from __future__ import annotations

import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator, RegexOptions

from flask_foreign_token.policies.patterns import MAX_TEXT, TextTooLong, compile_expression

ANCHORED = ("{}", "^{}", "{}$", "^{}$", "{}.*", "^{}.*", "^{}.*$", "{}.*$")
ESCAPED = r"\^$.*+?()[]{}|/-"
A_TEXT = st.text(
    st.sampled_from("abAB1./-_ é²\u017f\u212a\n\r\u2028^$\\{}[]()|?*+#&~") | st.characters(exclude_categories=["Cs"])
)


def by_engine(source: str, text: str) -> bool:
    return Draft202012Validator({"pattern": source}, pattern_options=RegexOptions()).is_valid(text)


def escaped(text: str) -> str:
    return "".join(f"\\{character}" if character in ESCAPED else character for character in text)


@pytest.mark.parametrize(
    ("source", "text", "found"),
    [
        ("b", "abc", True),
        ("^b", "abc", False),
        ("^/fhir/.*", "/fhir/Patient", True),
        ("a$", "a\n", False),
        ("(?i)patient", "PATIENT", True),
        (r"^\d+$", "0123", True),
        (r"^\d+$", "\u0967", False),
        (r"^\w+$", "é", False),
        ("é", "café", True),
    ],
)
def test_an_expression_is_searched_for(source: str, text: str, found: bool) -> None:
    assert compile_expression(source)(text) is found


@pytest.mark.parametrize(
    "source",
    [
        r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$",
        "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        r"^[\w.+-]{1,64}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$",
        "^[A-Za-z0-9._~%!$&'()*+,;=:@/-]{1,2048}$",
        "^.{1,255}$",
        r"^[^\s]{1,200}$",
        r"^\p{L}+( \p{L}+)*$",
    ],
)
def test_an_ordinary_expression_is_not_too_large(source: str) -> None:
    assert compile_expression(source)("\n") is False


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "empty"),
        ("(?=a)", "look-around"),
        ("(?!a)", "look-around"),
        ("(?<=a)b", "look-around"),
        ("(?<!a)b", "look-around"),
        (r"^(?i)(?!.*(INSERT|DROP)).*", "look-around"),
        (r"(a)\1", "back-references"),
        (r"(?<n>a)\k<n>", "back-references"),
        ("[", "no regular expression"),
        (r"\(?=[", "no regular expression"),
        (r"\\1[", "no regular expression"),
        ("a{1000}{1000}", "too large"),
        (r"\p{L}{1,60}", "too large"),
        (r"^[\p{L}\p{N} .'-]{1,100}$", "too large"),
        ("\ud800", "no regular expression"),
    ],
)
def test_what_cannot_be_searched_for_in_linear_time_is_refused_by_name(source: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refusal:
        compile_expression(source)

    assert "say" in str(refusal.value) or "said" in str(refusal.value)


def test_the_longest_text_is_searched_and_a_longer_one_is_not_answered() -> None:
    found_in = compile_expression("b$")

    assert found_in("a" * (MAX_TEXT - 1) + "b")
    with pytest.raises(TextTooLong):
        found_in("a" * MAX_TEXT + "b")


def test_a_text_with_a_lone_surrogate_is_not_answered() -> None:
    with pytest.raises(UnicodeEncodeError):
        compile_expression("a")("a\ud800")


@pytest.mark.parametrize("source", ["(a+)+$", "^(a|a)*$", "(.*)*b$"])
def test_an_expression_that_makes_others_explode_takes_no_time(source: str) -> None:
    found_in = compile_expression(source)
    started = time.perf_counter()

    assert not found_in("a" * (MAX_TEXT - 1) + "c")

    assert time.perf_counter() - started < 1


@settings(max_examples=1_500, derandomize=True, database=None, deadline=None)
@given(A_TEXT, st.sampled_from(ANCHORED), A_TEXT, A_TEXT, st.booleans())
def test_a_plain_text_is_found_where_the_engine_finds_it(
    literal: str, anchored: str, before: str, after: str, other_case: bool
) -> None:
    source = anchored.format(escaped(literal))
    found_in = compile_expression(source or "a")

    for text in (before, literal, f"{before}{literal}", f"{literal}{after}", f"{before}{literal}{after}"):
        told = text.swapcase() if other_case else text
        assert found_in(told) is by_engine(source or "a", told), (source, told)


@settings(max_examples=1_000, derandomize=True, database=None, deadline=None)
@given(
    st.text(st.sampled_from("^$.*+?ab\\/-{}()[]|\n"), min_size=1, max_size=6), st.text(st.sampled_from("ab.*\n^$\\/-"))
)
def test_an_expression_that_resembles_a_plain_text_is_read_as_the_engine_reads_it(source: str, text: str) -> None:
    try:
        found_in = compile_expression(source)
    except ValueError:
        return

    assert found_in(text) is by_engine(source, text)


@pytest.mark.parametrize("anchored", ANCHORED)
@pytest.mark.parametrize("character", string.printable + "é²")
def test_no_character_of_a_plain_text_means_more_than_itself(character: str, anchored: str) -> None:
    for written in (character, f"\\{character}"):
        source = anchored.format(written)
        try:
            found_in = compile_expression(source)
        except ValueError:
            continue
        for text in ("", *string.printable, "é", f"{character}\n", f"\n{character}", f"a{character}", f"{character}a"):
            assert found_in(text) is by_engine(source, text), (source, text)


@pytest.mark.parametrize("anchored", ANCHORED)
def test_a_plain_text_is_no_more_answered_than_another_expression(anchored: str) -> None:
    found_in = compile_expression(anchored.format("fhir"))

    assert found_in("fhir")
    with pytest.raises(TextTooLong):
        found_in("fhir" + "a" * MAX_TEXT)
    with pytest.raises(UnicodeEncodeError):
        found_in("fhir\ud800")


@pytest.mark.parametrize("length", [255, 256, 257, 5_000, MAX_TEXT])
def test_a_plain_text_is_found_in_a_text_of_any_length(length: int) -> None:
    text = "/fhir/".ljust(length - 3, "a") + "end"

    assert [compile_expression(source)(text) for source in ("^/fhir/", "end$", "ae", f"^{text}$")] == [True] * 4
    assert [compile_expression(source)(text) for source in ("^fhir/", "en$", "ea", f"^{text}a$")] == [False] * 4


def test_a_text_made_to_be_searched_slowly_is_not() -> None:
    found_in = compile_expression("a" * 90 + "b")
    text = "a" * MAX_TEXT
    started = time.perf_counter()

    assert not any(found_in(text) for _ in range(50))

    assert time.perf_counter() - started < 1
