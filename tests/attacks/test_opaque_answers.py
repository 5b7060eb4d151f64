"""Opaque tokens: no odd answer of the endpoint lets anybody in, nor is it a word against the token (RFC 7662, 2.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token.errors import REST

from ..apps import AUDIENCE, users_in
from ..conftest import MakeApp
from ..introspection.introspecting import Introspecting
from ..loading import Clock
from ..publishing import Publisher, publishing
from .opaque import FAR, ISSUER, SOMEBODY, asking, good_answer
from .target import assert_refused, present

ODD_ANSWERS: dict[str, Any] = {
    "active as a text": {"active": "true"},
    "active as a capitalized text": {"active": "True"},
    "active as one": {"active": 1},
    "active as a fraction": {"active": 1.0},
    "active as a word": {"active": "active"},
    "active as null": {"active": None},
    "active as a list": {"active": [True]},
    "active as an object": {"active": {"active": True}},
    "no active": {},
    "in capitals": {"Active": True},
    "further in": {"token": {"active": True}},
    "a list": [{"active": True}],
    "an empty list": [],
    "true": True,
    "a text": "active",
    "a number": 1,
    "null": None,
}
ODD_BODIES: dict[str, bytes] = {
    "empty": b"",
    "HTML": b"<html><body>active</body></html>",
    "twice active": b'{"active": false, "active": true, "sub": "ann"}',
    "twice sub": b'{"active": true, "sub": "ann", "sub": "root"}',
    "twice active, escaped": b'{"\\u0061ctive": false, "active": true}',
    "NaN": b'{"active": true, "exp": NaN}',
    "beyond a double": b'{"active": true, "exp": 1e400}',
    "an integer of 5 000 digits": b'{"active": true, "exp": ' + b"9" * 5000 + b"}",
    "a lone surrogate": b'{"active": true, "sub": "\\ud800"}',
    "3 000 levels": b'{"active": true, "x": ' + b"[" * 3000 + b"]" * 3000 + b"}",
    "9 000 levels, not closed": b'{"active": true, "x": ' + b"[" * 9000,
    "cut off": b'{"active": true, "sub": "ann"',
    "two of them": b'{"active": true}{"active": true}',
    "a byte order mark": b'\xef\xbb\xbf{"active": true}',
    "UTF-16": '{"active": true}'.encode("utf-16"),
    "not UTF-8": b'{"active": true, "x": "\xff"}',
    "2 MiB": b'{"active": true, "x": "' + b"x" * 2_000_000 + b'"}',
    "2 MiB of spaces": b'{"active": true}'.ljust(2_000_000),
    "a JWT": b"eyJhbGciOiJub25lIn0.eyJhY3RpdmUiOnRydWV9.",
    "a form": b"active=true",
    "a comment": b'/**/{"active": true}',
}
OTHER_TYPES = [
    "text/html",
    "text/plain",
    "text/json",
    "application/jwt",
    "application/token-introspection+jwt",
    "application/octet-stream",
    "application/x-www-form-urlencoded",
    "application/jsonp",
    "",
]
STATUSES = [
    *(204, 300, 301, 302, 303, 307, 308),
    *(400, 401, 403, 404, 405, 415, 418, 422, 429),
    *(500, 501, 502, 503, 599),
]


@pytest.fixture
def app(timed_app: MakeApp, asked: Introspecting) -> Flask:
    """One that asks `asked`, goes by `now`, and has let somebody in."""
    resources = [*asking(asked.url, jwt={"iss": ISSUER}), SOMEBODY]
    app = timed_app(resources, SQLALCHEMY_DATABASE_URI="sqlite://")
    asked.answers["known"] = good_answer()
    assert present(app, "Bearer known").status_code == 200
    return app


def says_nothing(app: Flask, asked: Introspecting, now: Clock) -> None:
    """Hold the app to knowing nothing of a token after what it is told now, and to asking again after the rest."""
    users, calls = users_in(app), asked.calls
    for _ in range(3):
        answer = present(app, "Bearer good")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, str(REST)), answer.text
        assert "WWW-Authenticate" not in answer.headers
    assert (users_in(app), asked.calls) == (users, calls + 1)
    assert present(app, "Bearer known").status_code == 200

    now.now += REST
    asked.answer_plainly()
    asked.answers["good"] = good_answer()

    assert present(app, "Bearer good").status_code == 200


@pytest.mark.requirement("RFC 7662", "2.2")
@pytest.mark.parametrize("answer", ODD_ANSWERS.values(), ids=ODD_ANSWERS.keys())
def test_an_answer_without_a_boolean_says_nothing(app: Flask, asked: Introspecting, now: Clock, answer: object) -> None:
    asked.answers["good"] = {**good_answer(active=None), **answer} if isinstance(answer, dict) else answer

    says_nothing(app, asked, now)


@pytest.mark.requirement("RFC 7662", "2.3")
@pytest.mark.parametrize("body", ODD_BODIES.values(), ids=ODD_BODIES.keys())
def test_an_answer_that_is_not_strict_json_says_nothing(
    app: Flask, asked: Introspecting, now: Clock, body: bytes
) -> None:
    asked.body = body

    says_nothing(app, asked, now)


@pytest.mark.requirement("RFC 7662", "2.3")
@pytest.mark.parametrize("kind", OTHER_TYPES)
def test_an_answer_that_does_not_call_itself_json_says_nothing(
    app: Flask, asked: Introspecting, now: Clock, kind: str
) -> None:
    asked.answers["good"] = good_answer()
    asked.content_type = kind

    says_nothing(app, asked, now)


def test_an_encoded_answer_says_nothing(app: Flask, asked: Introspecting, now: Clock) -> None:
    asked.answers["good"] = good_answer()
    asked.headers = {"Content-Encoding": "gzip"}

    says_nothing(app, asked, now)


@pytest.fixture
def trap() -> Iterator[Publisher]:
    """A server that says of everything that it is active."""
    with publishing() as publisher:
        publisher.publish("/introspect", good_answer())
        yield publisher


@pytest.mark.requirement("RFC 7662", "2.3")
@pytest.mark.parametrize("status", STATUSES)
def test_another_status_than_200_says_nothing_and_leads_nowhere_else(
    app: Flask, asked: Introspecting, now: Clock, trap: Publisher, status: int
) -> None:
    asked.answers["good"] = good_answer()
    asked.status = status
    asked.headers = {"Location": f"{trap.origin}/introspect", "Refresh": f"0; url={trap.origin}/introspect"}

    says_nothing(app, asked, now)

    assert trap.asked == []


# ---- answers that say it of something else

WRONG_MEMBERS: dict[str, dict[str, object]] = {
    "not active": {"active": False},
    "expired": {"exp": 1},
    "exp as a text": {"exp": str(int(FAR))},
    "exp as true": {"exp": True},
    "exp as a list": {"exp": [FAR]},
    "exp in milliseconds": {"exp": FAR * 1000},
    "exp below zero": {"exp": -1},
    "exp of 4 000 digits": {"exp": 10**4000},
    "nbf ahead": {"nbf": FAR},
    "nbf as a text": {"nbf": "0"},
    "iat ahead": {"iat": FAR},
    "of another issuer": {"iss": "https://elsewhere.example"},
    "of almost the issuer": {"iss": f"{ISSUER}/"},
    "iss as a list": {"iss": [ISSUER]},
    "for another audience": {"aud": "elsewhere"},
    "aud as an object": {"aud": {AUDIENCE: 1}},
    "aud of a number": {"aud": [1]},
    "for nobody": {"aud": []},
    "no aud": {"aud": None},
    "for DPoP": {"token_type": "DPoP"},
    "of another type": {"token_type": "mac"},
    "a refresh token": {"token_type": "refresh_token"},
    "token_type as a list": {"token_type": ["Bearer"]},
    "bound to a key": {"cnf": {"jkt": "x"}},
    "bound to a certificate": {"cnf": {"x5t#S256": "x"}},
    "typ of an ID token": {"typ": "ID"},
    "typ of a refresh token": {"typ": "Refresh"},
    "use of a refresh token": {"token_use": "refresh_token"},
    "a logout token": {"events": {}},
    "sub of nothing": {"sub": ""},
    "blank sub": {"sub": " "},
    "sub of 12 KB": {"sub": "s" * 12_000},
    "sub with a NUL": {"sub": "ann\x00"},
    "sub with a line end": {"sub": "ann\n"},
    "sub as a number": {"sub": 7},
    "sub as a list": {"sub": ["ann"]},
}


@pytest.mark.requirement("RFC 7662", "2.2", 2)
@pytest.mark.requirement("RFC 9449", "7.2")
@pytest.mark.requirement("RFC 8705", "3")
@pytest.mark.requirement("RFC 9700", "2.3")
@pytest.mark.parametrize("members", WRONG_MEMBERS.values(), ids=WRONG_MEMBERS.keys())
def test_an_answer_about_something_else_is_refused(
    app: Flask, asked: Introspecting, members: dict[str, object]
) -> None:
    asked.answers["good"] = good_answer(**members)
    asked.answers["better"] = good_answer(sub="bert")
    users = users_in(app)

    for _ in range(2):
        assert_refused(present(app, "Bearer good"))

    assert users_in(app) == users
    assert present(app, "Bearer better").json == {"subject": "bert"}


@pytest.mark.parametrize("name", ["sub", "exp", "aud", "iss", "nbf", "token_type"])
def test_null_is_a_value_of_the_wrong_type(app: Flask, asked: Introspecting, name: str) -> None:
    asked.answers["good"] = {**good_answer(), name: None}

    assert_refused(present(app, "Bearer good"))
