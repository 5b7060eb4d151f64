from __future__ import annotations

import pytest

from flask_foreign_token.diagnosis.clock import ClockCheck, check_clock


@pytest.mark.parametrize(
    ("difference", "mark", "words"),
    [
        (0, "ok", "agrees"),
        (4, "ok", "apart"),
        (12, "warning", "ahead"),
        (-12, "warning", "behind"),
        (45, "failed", "ahead"),
        (-45, "failed", "behind"),
    ],
)
def test_clocks_may_differ_by_so_much(difference: float, mark: str, words: str) -> None:
    now = 1_800_000_000.0

    finding = check_clock(now + difference, now, now + 0.1, leeway=30)

    assert finding.mark == mark
    assert words in finding.found


def test_a_small_leeway_makes_a_small_difference_fatal() -> None:
    assert check_clock(103.0, 100.0, 100.0, leeway=2).mark == "failed"
    assert check_clock(101.0, 100.0, 100.0, leeway=2).mark == "ok"


def test_the_first_time_that_is_told_counts() -> None:
    clock = ClockCheck(leeway=30)

    clock.told(100.0, 100.0, 100.5)
    clock.told(500.0, 100.0, 100.5)

    assert clock.found().mark == "ok"


def test_without_a_time_nothing_is_compared() -> None:
    assert ClockCheck(leeway=30).found().mark == "skipped"
