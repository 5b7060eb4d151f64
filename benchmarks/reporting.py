"""How what was measured is told, and held to its limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from timeit import Timer
from typing import Any

Work = Callable[[], object]


@dataclass
class Report:
    """What was measured, and how often it was over its limit."""

    missed: int = 0

    def line(self, what: str, value: float, unit: str, limit: float | None = None) -> None:
        verdict = ""
        if limit is not None:
            is_missed = value > limit
            self.missed += is_missed
            verdict = f"  at most {limit:g}" + (", MISSED" if is_missed else "")
        print(f"{what:<56}{value:>9,.2f} {unit:<5}{verdict}", flush=True)


def timer(work: str | Work, names: dict[str, Any] | None = None) -> Timer:
    return Timer(work, timer=time.thread_time, globals=names)


def fastest(first: Timer, second: Timer, *, number: int, turns: int) -> tuple[float, float]:
    """Seconds that each takes once, of alternating turns the fastest."""
    taken = [(first.timeit(number), second.timeit(number)) for _ in range(turns)]
    return min(one for one, _ in taken) / number, min(other for _, other in taken) / number
