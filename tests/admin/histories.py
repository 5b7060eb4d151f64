"""Histories of resources, as tests ask for them."""

from __future__ import annotations

from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from ..apps import policy
from .asking import operate

A = "/AccessPolicy/a"


def body(answer: TestResponse) -> dict[str, Any]:
    return {name: value for name, value in answer.json.items() if name != "meta"}


def history(app: Flask, path: str, query: str = "") -> list[Any]:
    """The entries of a history."""
    answer = operate(app, "GET", f"{path}/_history{query}")
    assert answer.status_code == 200
    return list(answer.json["entry"])


def authors(app: Flask, path: str) -> list[str | None]:
    return [entry["extension"][0]["valueString"] if "extension" in entry else None for entry in history(app, path)]


def back(app: Flask, path: str, version: str, **more: Any) -> TestResponse:
    return operate(app, "POST", f"{path}/$rollback", {"versionId": version}, **more)


def made_changed_and_deleted(app: Flask) -> Flask:
    """`app` with a policy in its third version, which is its deletion."""
    operate(app, "PUT", A, policy("a", {"user": "present?"}))
    operate(app, "PUT", A, policy("a", {"jwt": "present?"}))
    operate(app, "DELETE", A)
    return app
