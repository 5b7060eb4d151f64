"""Gathers what many checks refuse, so that somebody who wrote ten mistakes is told of ten."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .errors import Issue, Rejected


class Faults:
    """The faults found so far."""

    def __init__(self) -> None:
        self.issues: list[Issue] = []

    def add(self, resource: str, path: str, message: str) -> None:
        """Note one fault; see :class:`.Issue`."""
        self.issues.append(Issue(resource, path, message))

    @contextmanager
    def gathered(self, resource: str = "", path: str = "") -> Iterator[None]:
        """A block that ends when something in it is refused, and notes why.

        :param resource: what the block is about, and `path` where in it; see :meth:`.Issue.within`.
        """
        try:
            yield
        except Rejected as rejected:
            self.issues += rejected.within(resource, path).issues

    def raise_any(self) -> None:
        """:raises Rejected: with every fault, if there is one."""
        if self.issues:
            raise Rejected(self.issues)
