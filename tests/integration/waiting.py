"""Asking again until something has happened, at a server that says nothing when it does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")

PAUSE = 0.05


def until(holds: Callable[[T], bool], ask: Callable[[], T], *, within: float = 10.0) -> T:
    """The first answer of `ask` for which `holds` is true; the test fails where there is none.

    :param within: seconds after which nothing is asked any more.
    """
    deadline = time.monotonic() + within
    while not holds(answer := ask()):
        if time.monotonic() > deadline:
            pytest.fail(f"after {within:.0f} seconds it is still {answer!r}")
        time.sleep(PAUSE)
    return answer
