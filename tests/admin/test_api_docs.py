"""The page on which people read the document."""

from __future__ import annotations

import base64
import copy
import hashlib
import re
from html import unescape
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token.admin.openapi.page import marked, page

from .asking import operate


@pytest.fixture
def text(app: Flask) -> str:
    answer = operate(app, "GET", "/docs")
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    return answer.text


@pytest.fixture
def told(app: Flask) -> dict[str, Any]:
    document: dict[str, Any] = operate(app, "GET", "/openapi.json").json
    return document


def test_nothing_is_loaded_run_sent_or_framed(app: Flask, text: str) -> None:
    headers = operate(app, "GET", "/docs").headers
    [style] = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()

    assert headers["Content-Security-Policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")
    assert not re.search(r"<(script|link|img|iframe|object|form|base)\b|\bon\w+=|style=|url\(|@import", text)


def test_every_link_leads_to_a_place_on_the_page_or_to_the_document(text: str) -> None:
    places = set(re.findall(r'\bid="([^"]+)"', text))
    links = set(re.findall(r'href="([^"]+)"', text))

    assert {link.removeprefix("#") for link in links if link.startswith("#")} <= places
    assert {link for link in links if not link.startswith("#")} == {"openapi.json"}


def test_every_operation_is_told_with_its_parameters_and_answers(text: str, told: dict[str, Any]) -> None:
    articles = dict(re.findall(r'<article id="([^"]+)">(.*?)</article>', text, re.DOTALL))

    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            article = unescape(articles[operation["operationId"]])
            assert f">{method.upper()}</span>" in article
            assert f"<code>{path}</code>" in article
            assert all(f"<code>{one['name']}</code>" in article for one in operation["parameters"])
            assert all(f'<td class="name">{status}</td>' in article for status in operation["responses"])


def test_every_attribute_is_told_with_its_type_and_meaning(text: str) -> None:
    articles = dict(re.findall(r'<article id="object-([^"]+)">(.*?)</article>', text, re.DOTALL))
    rows = {}
    for row in re.findall(r"<tr>(.*?)</tr>", articles["TokenIntrospector"], re.DOTALL):
        cells = re.findall(r"<td.*?>(.*?)</td>", row, re.DOTALL)
        name, *rest = [" ".join(unescape(re.sub(r"<[^>]+>", " ", cell)).split()) for cell in cells] or [""]
        rows[name] = rest

    assert rows["type"][:2] == ['"jwt" or "opaque"', "yes"]
    assert rows["cache_ttl"][:2] == ["integer, 1 to 86400", "no"]
    assert rows["token_prefix"][2].endswith("only with type: opaque")
    assert rows["jwt"][:2] == ["Jwt or OpaqueToken", "with type: jwt"]


def test_what_the_document_says_is_text_there(told: dict[str, Any]) -> None:
    evil = "<script>alert(1)</script>"
    changed = copy.deepcopy(told)
    changed["info"]["description"] = f"`{evil}`"
    changed["components"]["schemas"]["User"]["properties"][evil] = {"type": "string", "description": evil}
    changed["paths"]["/User"]["get"] |= {"summary": evil, "description": f"{evil} `"}

    text = page(changed)

    assert "<script" not in text
    assert text.count("&lt;script&gt;") == text.count("alert(1)") >= 5


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a `b` c", "a <code>b</code> c"),
        ("a ` b", "a ` b"),
        ("`<b>` & c", "<code>&lt;b&gt;</code> &amp; c"),
        ("", ""),
    ],
)
def test_what_stands_between_backticks_is_code(text: str, html: str) -> None:
    assert marked(text) == html
