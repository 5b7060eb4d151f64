"""The tables of docs/tokens.md, compared with what the package says to those whose token it refuses."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from flask_foreign_token import errors

from .pages import ROOT

PACKAGE = ROOT / "flask_foreign_token"
SOURCES = (
    PACKAGE / "credentials.py",
    PACKAGE / "application.py",
    *PACKAGE.glob("introspection/*.py"),
    *PACKAGE.glob("users/*.py"),
)
REFUSALS = ("InvalidRequest", "InvalidToken", "InsufficientScope", "ProviderUnavailable")
UNSEEN = {
    "the token is longer than 16 KiB",
    "the token is not base64url",
    "the token is not in compact serialization",
    "the token holds a character that none may hold",
}
"""What the header that brings a token does not let through, so that nobody is told so."""


def shown() -> dict[str, set[int]]:
    """Every description on the page, with the statuses of the rows that it stands in."""
    page = (ROOT / "docs" / "tokens.md").read_text(encoding="utf-8")
    told: dict[str, set[int]] = {}
    for status, cell in re.findall(r"^\| [^|]+ \| (\d{3}) \| (.+) \|$", page, re.MULTILINE):
        for description in re.findall(r"`([^`]+)`", cell):
            # One that ends with … is that of another in the row; others are names in an explanation.
            if " " in description and not description.endswith("…"):
                told.setdefault(description, set()).add(int(status))
    return told


def said() -> Iterator[tuple[str, int]]:
    """A pattern for every description in the sources, with its status."""
    yield re.escape(str(errors.InsufficientScope.text)), 403
    for unavailable in (errors.ProviderUnavailable, errors.DatabaseUnavailable):
        yield re.escape(str(unavailable.text)), 503
    for source in SOURCES:
        tree = ast.parse(source.read_text(encoding="utf-8"))
        texts = dict(_constants(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and any(ast.unparse(base) in REFUSALS for base in node.bases):
                yield from ((pattern, 401) for name, pattern in _constants(node) if name == "text")
            if isinstance(node, ast.Call) and ast.unparse(node.func) in REFUSALS[:2] and node.args:
                pattern = texts[node.args[0].id] if isinstance(node.args[0], ast.Name) else _pattern(node.args[0])
                yield pattern, getattr(errors, ast.unparse(node.func)).code


def _constants(tree: ast.Module | ast.ClassDef) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield ast.unparse(node.targets[0]), re.escape(node.value.value)


def _pattern(text: ast.expr) -> str:
    if isinstance(text, ast.Constant):
        return re.escape(str(text.value))
    assert isinstance(text, ast.JoinedStr)
    return "".join(_pattern(part) if isinstance(part, ast.Constant) else r"\S.*" for part in text.values)


def test_every_description_that_a_caller_may_get_is_shown_with_its_status() -> None:
    told = shown()

    missing = {
        (pattern, status)
        for pattern, status in said()
        if not any(re.fullmatch(pattern, text) for text in UNSEEN)
        and not any(re.fullmatch(pattern, text) and status in statuses for text, statuses in told.items())
    }

    assert missing == set()


def test_nothing_is_shown_that_nobody_says() -> None:
    patterns = {*said(), ("the token introspector is out of service", 503)}

    invented = {
        (text, status)
        for text, statuses in shown().items()
        for status in statuses
        if not any(re.fullmatch(pattern, text) and status == known for pattern, known in patterns)
    }

    assert invented == set()


@pytest.mark.parametrize("text", sorted(UNSEEN))
def test_what_is_not_shown_is_said_somewhere(text: str) -> None:
    assert any(re.fullmatch(pattern, text) for pattern, _ in said())


def test_sources_are_read() -> None:
    assert len(set(said())) > 40
    assert all(isinstance(source, Path) and source.exists() for source in SOURCES)
