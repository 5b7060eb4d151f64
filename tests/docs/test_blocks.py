"""Every Python and shell block of the documentation is run, or is named with the reason."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .. import test_readme
from .not_run import NOT_RUN
from .pages import ROOT, Page, first_line, names_of

PAGES = sorted((ROOT / "docs").glob("*.md"))
STORED_ONCE = [
    ROOT / "docs" / name for name in ("commands.md", "history.md", "migrations.md", "quickstart.md", "rest.md")
]
"""What they show of a command or a request is said only by an app that has nothing stored."""
README = ROOT / "README.md"
TUTORIAL = ROOT / "example_app" / "README.md"

RUN_BY_TEST_README = [
    ("README.md", first_line(block)) for block in (test_readme.APP, test_readme.GUARDS, test_readme.TESTS)
]


@pytest.mark.parametrize("page", STORED_ONCE, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_do_what_it_says(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Page(page, tmp_path, monkeypatch).run(left_out=NOT_RUN)


@pytest.mark.parametrize("page", sorted({*PAGES} - {*STORED_ONCE}), ids=lambda page: page.stem)
def test_the_blocks_of_a_page_do_so_again_with_the_users_of_the_time_before(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, again = tmp_path / "before", tmp_path / "again"
    before.mkdir()
    Page(page, before, monkeypatch).run(left_out=NOT_RUN)
    again.mkdir()
    if (before / "instance").exists():
        shutil.copytree(before / "instance", again / "instance")

    Page(page, again, monkeypatch).run(left_out=NOT_RUN)


def test_every_block_of_the_readme_is_run_or_named() -> None:
    assert [name for name in names_of(README) if name not in NOT_RUN and name not in RUN_BY_TEST_README] == []


def test_every_block_that_is_named_is_there_and_there_once() -> None:
    shown = [name for document in (README, TUTORIAL, *PAGES) for name in names_of(document)]

    assert {name: shown.count(name) for name in NOT_RUN} == dict.fromkeys(NOT_RUN, 1)
