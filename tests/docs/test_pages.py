from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sybil.example import SybilFailure

from flask_foreign_token.errors import Rejected

from .pages import Page, names_of

MakePage = Callable[[str], Page]


@pytest.fixture
def make_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakePage:
    def make(text: str) -> Page:
        (tmp_path / "page.md").write_text(text, encoding="utf-8")
        return Page(tmp_path / "page.md", tmp_path, monkeypatch)

    return make


def block(language: str, *lines: str) -> str:
    return "\n".join([f"```{language}", *lines, "```", ""])


@pytest.mark.parametrize(
    "lines",
    [
        ["$ echo one two", "one two"],
        ["$ echo one two three", "one ... three"],
        ["$ NAME=one", "$ echo $NAME \\", "    two", "one two"],
        ["$ echo whatever"],
        ["cat <<END", "no prompt", "END"],
    ],
)
def test_commands_that_say_what_is_shown_pass(make_page: MakePage, lines: list[str]) -> None:
    make_page(block("console", *lines)).run({})


@pytest.mark.parametrize(
    "lines", [["$ echo one", "two"], ["$ echo one", "one", "..."], ["$ false"], ["$ echo one", "one", "$ exit 3"]]
)
def test_commands_that_fail_or_say_something_else_do_not(make_page: MakePage, lines: list[str]) -> None:
    with pytest.raises(SybilFailure):
        make_page(block("console", *lines)).run({})


def test_a_block_with_a_caption_is_a_file_that_later_blocks_find(make_page: MakePage) -> None:
    files = block("{code-block} python", ":caption: one.py", "", "NUMBER = 1")

    make_page(files + block("python", "assert NUMBER == 1") + block("console", "$ cat one.py", "NUMBER = 1")).run({})


def test_python_that_fails_does_not_pass(make_page: MakePage) -> None:
    with pytest.raises(AssertionError):
        make_page(block("python", "assert 1 == 2")).run({})


def test_a_resource_that_would_be_refused_does_not_pass(make_page: MakePage) -> None:
    with pytest.raises(Rejected):
        make_page(block("json", '{"resourceType": "AccessPolicy", "id": "a", "engine": "mathco"}')).run({})
    with pytest.raises(AssertionError):
        make_page(block("json", '{"resourceType": "AccessPolicy", "id": "a", "active": "no"}')).run({})


def test_a_block_that_is_left_out_is_not_run(make_page: MakePage) -> None:
    make_page(block("console", "$ false")).run({("page.md", "$ false"): "it fails"})


def test_python_and_shell_blocks_have_names_and_others_have_none(tmp_path: Path) -> None:
    blocks = [block("python", "", "a = 1"), block("sh", "true"), block("text", "b"), block("{settings-table}")]
    (tmp_path / "page.md").write_text("\n".join(blocks), encoding="utf-8")

    assert names_of(tmp_path / "page.md") == [("page.md", "a = 1"), ("page.md", "true")]
