from __future__ import annotations

import pytest

from flask_foreign_token.introspection.freshness import MIN_LIFE, life_of

TTL = 300.0


@pytest.mark.parametrize(
    ("cache_control", "life"),
    [
        ("max-age=120", 120),
        ("MAX-AGE=120", 120),
        ("public, max-age=120, must-revalidate", 120),
        ("public,max-age=120,must-revalidate", 120),
        ("\tmax-age=120 ", 120),
        ('max-age="120"', 120),
        ("max-age=00000000000120", 120),
        ("no-cache, max-age=120", 120),
        ("no-store, max-age=120", 120),
        (", ,max-age=120", 120),
        # The first of several counts (RFC 9111 section 4.2.1).
        ("max-age=120, max-age=90", 120),
        ("max-age=90, max-age=120", 90),
        ("max-age=garbage, max-age=120", 120),
        # A comma inside quotes ends no directive.
        ('private="max-age=90, set-cookie", max-age=120', 120),
        (r'private="\", max-age=90, ", max-age=120', 120),
        ("s-maxage=90, max-age=120", 120),
        ("x-max-age=90, max-age=120", 120),
    ],
)
def test_max_age_shortens_a_life(cache_control: str, life: float) -> None:
    assert life_of({"cache-control": cache_control}, TTL) == life


@pytest.mark.parametrize(
    "cache_control",
    [
        "",
        "no-cache",
        "no-store",
        "no-cache, must-revalidate, no-transform, no-store",
        "garbage",
        "=,;\"'\\",
        "max-age",
        "max-age=",
        'max-age=""',
        'max-age="120',
        'max-age=120"',
        "max-age =120",
        "max-age= 120",
        "max-age=-1",
        "max-age=+120",
        "max-age=1e2",
        "max-age=120.5",
        "max-age=0x78",
        "max-age=120 public",
        "max-age=\u0661\u0662\u0660",
        "s-maxage=120",
        'private="max-age=120"',
        'private="unclosed, max-age=120',
    ],
)
def test_what_is_no_max_age_changes_nothing(cache_control: str) -> None:
    assert life_of({"cache-control": cache_control}, TTL) == TTL


def test_an_answer_that_says_nothing_lives_as_long_as_the_operator_says() -> None:
    assert life_of({}, TTL) == TTL


@pytest.mark.parametrize("seconds", ["301", "86400", str(2**31), str(2**64), "9" * 5000])
def test_max_age_does_not_prolong_a_life(seconds: str) -> None:
    assert life_of({"cache-control": f"max-age={seconds}"}, TTL) == TTL


@pytest.mark.parametrize("seconds", ["0", "00", "1", "59", "60"])
def test_a_life_is_not_shortened_without_end(seconds: str) -> None:
    assert life_of({"cache-control": f"max-age={seconds}"}, TTL) == MIN_LIFE


@pytest.mark.parametrize("cache_control", ["max-age=0", "max-age=30", "max-age=120", "no-store"])
def test_the_shortest_life_is_not_longer_than_the_operator_says(cache_control: str) -> None:
    assert life_of({"cache-control": cache_control}, 20.0) == 20.0


@pytest.mark.parametrize(
    ("age", "life"),
    [
        ("0", 200),
        ("50", 150),
        ("50, 10", 150),
        ("150", MIN_LIFE),
        ("100000", MIN_LIFE),
        ("9" * 5000, MIN_LIFE),
        ("", 200),
        ("garbage", 200),
        ("-50", 200),
        ("50.5", 200),
    ],
)
def test_what_lay_in_a_cache_is_that_much_older(age: str, life: float) -> None:
    assert life_of({"cache-control": "max-age=200", "age": age}, TTL) == life


def test_age_alone_changes_nothing() -> None:
    assert life_of({"age": "200"}, TTL) == TTL


def test_a_header_of_any_length_is_read_in_linear_time() -> None:
    # Quadratic steps would take minutes.
    for hostile in ('a="' * 300_000, '"\\' * 500_000, ',"' * 500_000, " " * 1_000_000, "max-age=" * 100_000):
        assert life_of({"cache-control": hostile, "age": hostile}, TTL) == TTL
