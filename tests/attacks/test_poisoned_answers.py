"""Tokens that are chosen for what a provider, or a firewall before it, makes of them: they shut nobody else out."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from flask import Flask
from werkzeug.wrappers import Request, Response

from flask_foreign_token.errors import REST
from flask_foreign_token.introspection.introspection_endpoint import MAX_ANSWER, TRUSTED_FOR

from ..apps import users_in
from ..conftest import MakeApp
from ..introspection.introspecting import Introspecting, Odd
from ..loading import Clock
from ..publishing import listening
from .opaque import ISSUER, SOMEBODY, asking, good_answer
from .target import present

POISON: Mapping[str, Odd] = {
    "a surrogate in a name that a user chose": Odd(body=b'{"active": true, "name": "\\ud800"}'),
    "a number beyond a double": Odd(body=b'{"active": true, "n": 1e999}'),
    "a member twice": Odd(body=b'{"active": true, "a": 1, "a": 1}'),
    "80 levels": Odd(body=b'{"active": true, "a": ' + b"[" * 80 + b"]" * 80 + b"}"),
    "over 64 KiB": Odd(body=b'{"active": true, "b": [' + b"{}," * (MAX_ANSWER // 3) + b"{}]}"),
    "over 1 MiB": Odd(body=b'{"active": true, "a": "' + b"x" * 1_100_000 + b'"}'),
    "HTML": Odd(body=b"<html>", content_type="text/html"),
    "a request that is malformed": Odd(400),
    "an address that is not there": Odd(404),
    "403 of a firewall": Odd(403, b"<html>blocked", "text/html"),
    "401 of a firewall": Odd(401, b"", "text/html"),
    "400 that speaks of the client": Odd(400, b'{"error": "invalid_client"}'),
}


@pytest.fixture
def app(timed_app: MakeApp, asked: Introspecting) -> Flask:
    """One that asks `asked`, goes by `now`, and has let somebody in."""
    resources = [*asking(asked.url, jwt={"iss": ISSUER}), SOMEBODY]
    app = timed_app(resources, SQLALCHEMY_DATABASE_URI="sqlite://")
    asked.answers["known"] = good_answer()
    assert present(app, "Bearer known").status_code == 200
    return app


@pytest.mark.parametrize("odd", POISON.values(), ids=POISON.keys())
def test_one_token_keeps_nobody_else_out(app: Flask, asked: Introspecting, odd: Odd) -> None:
    asked.odd["poison"] = odd
    asked.answers["good"] = good_answer(sub="bert")

    for _ in range(3):
        answer = present(app, "Bearer poison")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, str(REST)), answer.text
    assert asked.calls == 2
    assert present(app, "Bearer good").json == {"subject": "bert"}


@pytest.mark.parametrize("odd", POISON.values(), ids=POISON.keys())
def test_nor_do_many_nor_do_they_fill_the_log(
    app: Flask, asked: Introspecting, now: Clock, caplog: pytest.LogCaptureFixture, odd: Odd
) -> None:
    for number in range(20):
        asked.odd[f"poison-{number}"] = odd
        asked.answers[f"good-{number}"] = good_answer(sub=f"user-{number}")

        assert present(app, f"Bearer poison-{number}").status_code == 503
        assert present(app, f"Bearer good-{number}").status_code == 200
        now.now += 0.1

    assert len([record for record in caplog.records if record.name.startswith("flask_foreign_token")]) == 1


@pytest.mark.parametrize("status", [302, 429, 500, 502, 503])
def test_a_provider_that_asks_for_rest_gets_it(app: Flask, asked: Introspecting, now: Clock, status: int) -> None:
    asked.odd["poison"] = Odd(status)
    asked.answers["good"] = good_answer()

    assert [present(app, f"Bearer {token}").status_code for token in ("poison", "good", "known")] == [503, 503, 200]

    now.now += REST
    assert present(app, "Bearer good").status_code == 200


def test_whoever_brings_about_an_error_about_the_credential_brings_about_one_a_minute(
    app: Flask, asked: Introspecting, now: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    def errors() -> int:
        return sum(record.levelno == logging.ERROR for record in caplog.records)

    for number in range(60):
        asked.odd[f"../../etc/passwd{number}"] = POISON["403 of a firewall"]
        asked.answers[f"good-{number}"] = good_answer(sub=f"user-{number}")
        assert present(app, f"Bearer ../../etc/passwd{number}").status_code == 503
        assert present(app, f"Bearer good-{number}").status_code == 200
        now.now += 2
    assert errors() == 1

    now.now += TRUSTED_FOR
    assert present(app, "Bearer ../../etc/passwd0").status_code == 503
    assert errors() == 2


def test_while_nothing_tells_that_our_credential_is_good_its_refusal_counts_for_all(
    app: Flask, asked: Introspecting, now: Clock
) -> None:
    now.now += TRUSTED_FOR
    asked.status = 401

    assert [present(app, f"Bearer {token}").status_code for token in ("first", "second", "third")] == [503] * 3
    assert asked.calls == 2


@contextmanager
def telling(poison: Odd) -> Iterator[str]:
    """A userinfo endpoint that knows every user, and says `poison` to who brings the token of that name."""

    @Request.application
    def userinfo(request: Request) -> Response:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        if token == "poison":
            return Response(poison.body, poison.status, content_type=poison.content_type)
        return Response(f'{{"sub": "{token}"}}', content_type="application/json")

    with listening(userinfo) as origin:
        yield f"{origin}/userinfo"


@pytest.mark.parametrize(
    "odd",
    [
        Odd(body=b'{"sub": "poison", "name": "\\ud800"}'),
        Odd(body=b'["poison"]'),
        Odd(body=b'{"sub": "poison", "name": "' + b"x" * 1_100_000 + b'"}'),
        Odd(body=b"<html>", content_type="text/html"),
        Odd(401),
        Odd(403),
        Odd(404),
    ],
    ids=["a surrogate", "a list", "over 1 MiB", "HTML", "401", "403", "404"],
)
def test_nor_does_the_userinfo_of_one_user(timed_app: MakeApp, asked: Introspecting, odd: Odd) -> None:
    asked.answers = {sub: good_answer(sub=sub) for sub in ("poison", "bert")}
    with telling(odd) as url:
        described, asking_it = asking(asked.url, jwt={"iss": ISSUER})
        described |= {"userinfo-source": "userinfo-endpoint", "userinfo_endpoint": url}
        app = timed_app([described, asking_it, SOMEBODY], SQLALCHEMY_DATABASE_URI="sqlite://")

        assert present(app, "Bearer poison").status_code in (401, 403, 503)
        assert present(app, "Bearer bert").json == {"subject": "bert"}
        assert users_in(app) == 1
