"""No page of another site is let in: there is no CORS."""

from __future__ import annotations

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from .asking import OPERATIONS, basic

PATHS = [
    *sorted({path for _, _, path, _ in OPERATIONS}),
    "/fhir/openapi.json",
    "/fhir/docs",
    "/fhir/health",
    "/fhir/health/live",
    "/fhir/health/ready",
    "/fhir/$matcho",
    "/fhir/auth/test-policy",
    "/fhir/AccessPolicy/other/_history",
]
ORIGIN = {"Origin": "https://evil.example"}


def allowed_in(answer: TestResponse) -> list[str]:
    return [name for name, _ in answer.headers if name.lower().startswith("access-control-")]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_no_answer_says_that_another_site_may_read_it(app: Flask, path: str, method: str) -> None:
    for headers in (ORIGIN, {**ORIGIN, **basic()}, basic()):
        answer = app.test_client().open(path, method=method, headers=headers)

        assert not allowed_in(answer)


@pytest.mark.parametrize("path", PATHS)
def test_a_preflight_gets_nothing(app: Flask, path: str) -> None:
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization, content-type"}

    answer = app.test_client().options(path, headers={**ORIGIN, **asked})

    assert (answer.status_code, answer.data) == (200, b"")
    assert not allowed_in(answer)
    assert "WWW-Authenticate" not in answer.headers
