"""What standards demand of a resource server, and where each demand is kept.

The demands lie with the vectors and are not repeated here. One is named by its spec, its section and its place among
those of the same section; a test that fails without what it demands carries that name::

    @pytest.mark.requirement("RFC 6750", "3", 2)

What is not kept has a line in ``docs/standards.md``.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from .vectors import read

FILE = "requirements/resource-server.json"
TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "standards.md"
BINDING = frozenset({"MUST", "MUST NOT", "REQUIRED"})
"""Levels of what is to be kept wherever the feature is there."""

# Spec, section, and the place where it is not the first: | RFC 6750 | 3 (2) | …
_LINE = re.compile(r"\| (?P<spec>[^|]+?) +\| (?P<section>[0-9][0-9., ]*?)(?: \((?P<place>[0-9]+)\))? +\|")


class Requirement(NamedTuple):
    """The name of a demand.

    :param place: among those of the same spec and section, in the order of the file; the first is 1.
    """

    spec: str
    section: str
    place: int = 1

    def __str__(self) -> str:
        return f"{self.spec}, {self.section} ({self.place})"


def demanded() -> dict[Requirement, str]:
    """The level of each demand.

    :raises FileNotFoundError: the vectors are absent.
    """
    places: Counter[tuple[str, str]] = Counter()
    levels: dict[Requirement, str] = {}
    for row in read(FILE):
        section = row["spec"], row["section"]
        places[section] += 1
        levels[Requirement(*section, places[section])] = row["level"]
    return levels


@cache
def marked() -> dict[Requirement, list[str]]:
    """The tests that carry each name, found in the text of all tests, whichever are run."""
    found: dict[Requirement, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for requirement, test in marks_in(path.read_text(encoding="utf-8")):
            found.setdefault(requirement, []).append(f"{path.relative_to(TESTS.parent)}::{test}")
    return found


def marks_in(source: str) -> Iterator[tuple[Requirement, str]]:
    """The names in a module, each with the test that carries it.

    :raises ValueError: a mark holds anything but constants.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.requirement":
                    yield Requirement(*map(ast.literal_eval, decorator.args)), node.name


def documented() -> list[Requirement]:
    """The demands that the docs say are not kept."""
    return list(lines_in(PAGE.read_text(encoding="utf-8").splitlines()))


def lines_in(lines: Iterable[str]) -> Iterator[Requirement]:
    """The names of demands at the beginning of `lines`."""
    for line in lines:
        if match := _LINE.match(line):
            yield Requirement(match["spec"], match["section"], int(match["place"] or 1))
