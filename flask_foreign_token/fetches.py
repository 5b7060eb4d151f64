"""What providers are asked for, told to whoever counts that."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["keys", "metadata", "introspection", "userinfo"]
OnFetch: TypeAlias = Callable[[Kind, bool, float], None]
"""Told of every fetch: what was fetched, whether that could be used, and the seconds that it took."""


class Fetch:
    """One fetch, which failed unless somebody says otherwise."""

    __slots__ = ("is_good",)

    def __init__(self) -> None:
        self.is_good = False


@contextmanager
def fetching(kind: Kind, on_fetch: OnFetch) -> Iterator[Fetch]:
    """A block in which a provider is asked, and its answer read."""
    fetch, begun = Fetch(), time.perf_counter()
    try:
        yield fetch
    finally:
        on_fetch(kind, fetch.is_good, time.perf_counter() - begun)


def tell_nobody(kind: Kind, is_good: bool, seconds: float) -> None:
    """An :data:`OnFetch` for whom nobody counts."""
