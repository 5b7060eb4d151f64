"""Every demand of a standard is held to by a test, or the docs say why it is not."""

from __future__ import annotations

from collections import Counter

import pytest

from .requirements import BINDING, FILE, PAGE, Requirement, demanded, documented, lines_in, marked, marks_in
from .vectors import VECTORS


@pytest.fixture(scope="module")
def levels() -> dict[Requirement, str]:
    try:
        return demanded()
    except FileNotFoundError:
        pytest.skip(f"the vectors {FILE} are not in {VECTORS}")


def names(requirements: set[Requirement]) -> list[str]:
    return sorted(map(str, requirements))


def test_what_binds_has_a_test_or_a_line_in_the_docs(levels: dict[Requirement, str]) -> None:
    binding = {requirement for requirement, level in levels.items() if level in BINDING}

    assert binding
    assert names(binding - marked().keys() - {*documented()}) == []


def test_what_is_only_advised_has_one_too(levels: dict[Requirement, str]) -> None:
    advised = {requirement for requirement, level in levels.items() if level not in BINDING}

    assert advised
    assert names(advised - marked().keys() - {*documented()}) == []


def test_no_mark_names_what_nobody_demands(levels: dict[Requirement, str]) -> None:
    unknown = {requirement: tests for requirement, tests in marked().items() if requirement not in levels}

    assert unknown == {}


def test_no_line_names_what_nobody_demands(levels: dict[Requirement, str]) -> None:
    assert names({*documented()} - levels.keys()) == []


def test_what_has_a_test_has_no_line_and_no_line_is_there_twice() -> None:
    assert names({*documented()} & marked().keys()) == []
    assert [str(requirement) for requirement, times in Counter(documented()).items() if times > 1] == []


def test_marks_are_found_at_tests_and_nowhere_else() -> None:
    source = """
import pytest

@pytest.mark.requirement("RFC 1", "2")
@pytest.mark.parametrize("a", [1])
@pytest.mark.requirement("RFC 1", "2, 3", 2)
def test_one(): ...

class TestMore:
    @pytest.mark.requirement("RFC 1", "4")
    async def test_two(self): ...

@pytest.mark.requirement("RFC 1", "5")
def helper(): ...
"""

    assert sorted(marks_in(source)) == [
        (Requirement("RFC 1", "2"), "test_one"),
        (Requirement("RFC 1", "2, 3", 2), "test_one"),
        (Requirement("RFC 1", "4"), "test_two"),
    ]


def test_lines_are_found_in_tables_with_a_section() -> None:
    page = [
        "| Standard | Section | Instead |",
        "| --- | --- | --- |",
        "| RFC 1 | 2 | nothing |",
        "| RFC 1 | 2 (2) | nothing |",
        "| OIDC Core | 3, 4.1 | nothing |",
        "| RFC 6750 | sections 2 and 3 | all of it |",
    ]

    assert list(lines_in(page)) == [
        Requirement("RFC 1", "2"),
        Requirement("RFC 1", "2", 2),
        Requirement("OIDC Core", "3, 4.1"),
    ]


def test_the_page_is_part_of_the_docs() -> None:
    index = PAGE.with_name("index.md").read_text(encoding="utf-8")

    assert f"\n{PAGE.stem}\n" in index
