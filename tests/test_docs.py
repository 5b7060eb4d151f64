"""The documentation is built without a warning, its links lead somewhere, and its tables leave nothing out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from marshmallow import Schema

from flask_foreign_token.registry import fields as ours
from flask_foreign_token.registry.schemas import SCHEMAS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


class Anchors(HTMLParser):
    """Where a page can be entered, and where it leads."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids.update(value for value in (given.get("id"), given.get("name")) if value)
        if tag == "a" and given.get("href"):
            self.links.append(given["href"] or "")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation as HTML, built as `make lint` builds it."""
    folder = tmp_path_factory.mktemp("docs") / "html"
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", str(DOCS), str(folder)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    return folder


@pytest.fixture(scope="module")
def pages(built: Path) -> dict[Path, Anchors]:
    return {file: Anchors(file) for file in built.glob("*.html")}


def test_every_link_within_leads_to_a_page_and_a_place_on_it(pages: dict[Path, Anchors], built: Path) -> None:
    astray = [
        (file.name, link) for file, page in pages.items() for link in page.links if not leads_to(link, file, pages)
    ]

    assert astray == []


def test_every_page_is_linked_from_the_first(pages: dict[Path, Anchors], built: Path) -> None:
    linked = {urlsplit(link).path for link in pages[built / "index.html"].links}

    assert {f"{page.stem}.html" for page in DOCS.glob("*.md")} - {"index.html"} <= linked


def test_every_attribute_of_a_resource_has_a_meaning() -> None:
    silent = [
        path for name, schema in SCHEMAS.items() for path, field in attributes(schema, name) if not said_of(field)
    ]

    assert silent == []


def test_every_attribute_of_a_resource_is_shown(built: Path) -> None:
    text = (built / "resources.html").read_text(encoding="utf-8")

    names = {path.rpartition(".")[2] for name, schema in SCHEMAS.items() for path, _ in attributes(schema, name)}

    assert [name for name in names if f'<span class="pre">{name}</span>' not in text] == []


def leads_to(link: str, file: Path, pages: dict[Path, Anchors]) -> bool:
    parts = urlsplit(link)
    if parts.scheme:
        return True
    target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
    if not parts.fragment:
        return target.exists()
    return target in pages and unquote(parts.fragment) in pages[target].ids


def attributes(schema: Schema, path: str) -> Iterator[tuple[str, Any]]:
    for name, field in schema.load_fields.items():
        here = f"{path}.{field.data_key or name}"
        yield here, field
        inner = field.inner if isinstance(field, ours.Items) else field
        if isinstance(inner, ours.Group):
            yield from attributes(inner.schema, here)


def said_of(field: Any) -> str:
    return str(field.metadata.get("description", ""))
