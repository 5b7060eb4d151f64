from __future__ import annotations

import time

import pytest

from flask_foreign_token.policies.patterns import MAX_TEXT, TextTooLong, compile_expression


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
