"""What callers send, however long and deep, is matched in linear time, or denies."""

from __future__ import annotations

import time
from typing import Any

import pytest

from flask_foreign_token.testing import Issuer

from ..apps import ask, policy, trusting
from ..conftest import MakeApp
from .callers import Operated
from .judging import add_routes, let_in, simulated, status


@pytest.fixture
def slow(make_app: MakeApp, issuer: Issuer):
    def make(pattern: object) -> Any:
        app = make_app(trusting(issuer, policy("p", {"body": {"x": pattern}})))
        add_routes(app)
        return app

    return make


EVIL = [
    "#(a+)+$",
    "#^(a|a)*$",
    "#^(a*)*b$",
    "#(a|aa)+$",
    "#^(([a-z])+.)+[A-Z]([a-z])+$",
    "#(.*)*(.*)*(.*)*=",
    "#a{1,500}$",
]


@pytest.mark.parametrize("expression", EVIL)
def test_an_expression_takes_linear_time(slow, issuer: Issuer, expression):
    app, token = slow(expression), issuer.token()
    let_in(app, token, "/upload", "POST", json={"x": "b"})

    begun = time.process_time()
    let_in(app, token, "/upload", "POST", json={"x": "a" * 60_000 + "!"})

    assert time.process_time() - begun < 2


def test_an_expression_finds_its_match_in_a_long_text(slow, issuer: Issuer):
    app = slow("#(a+)+$")

    assert let_in(app, issuer.token(), "/upload", "POST", json={"x": "a" * 60_000})
    assert not let_in(app, issuer.token(), "/upload", "POST", json={"x": "a" * 60_000 + "!"})


@pytest.mark.parametrize("pattern", ["#a", {"$not": "#b"}, {"$one-of": [{"$not": "#b"}]}, {"$not": {"$not": "#a"}}])
@pytest.mark.parametrize("text", ["a" * 70_000, "\ud800a"], ids=["too long", "lone surrogate"])
def test_a_text_that_cannot_be_searched_denies_even_under_a_not(slow, issuer: Issuer, pattern, text):
    app = slow(pattern)

    assert let_in(app, issuer.token(), "/upload", "POST", json={"x": "a"})
    assert status(app, issuer.token(), "/upload", "POST", json={"x": text}) in {400, 403}


def test_a_text_that_cannot_be_searched_hides_no_other_policy(make_app: MakeApp, issuer: Issuer):
    app = make_app(trusting(issuer, policy("a", {"body": {"x": "#a"}}), policy("z", {"jwt": {"sub": "ada"}})))
    add_routes(app)

    assert let_in(app, issuer.token(sub="ada"), "/upload", "POST", json={"x": "a" * 70_000})


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 50_000, b"[" * 900 + b"]" * 900, b"1" * 100_000])
def test_no_body_makes_a_policy_fail_with_500(slow, issuer: Issuer, body):
    for pattern in ("present?", {"$not": "a"}, ["x"], {"$every": {"$not": 1}}, ".body.y"):
        answer = ask(slow(pattern), issuer.token(), "/upload", "POST", data=body, content_type="application/json")
        assert answer.status_code in {400, 403, 413}


def test_a_deep_body_compared_with_itself_does_not_fail_with_500(make_app: MakeApp, issuer: Issuer):
    app = make_app(trusting(issuer, policy("p", {"body": {"x": ".body.y"}})))
    add_routes(app)

    for depth in (10, 300, 900):
        deep = "[" * depth + "]" * depth
        data = f'{{"x": {deep}, "y": {deep}}}'
        assert status(app, issuer.token(), "/upload", "POST", data=data, content_type="application/json") in {200, 403}
    assert not let_in(app, issuer.token(), "/upload", "POST", json={"x": [1], "y": [True]})
    assert let_in(app, issuer.token(), "/upload", "POST", json={"x": [1], "y": [1]})


def test_equality_of_large_values_takes_no_long(operated: Operated, issuer: Issuer):
    app = operated(trusting(issuer))
    value = list(range(20_000))

    begun = time.process_time()
    result = simulated(
        app, {"engine": "matcho", "matcho": {"body": {"x": {"$one-of": ".body.y"}}}}, {"body": {"x": value, "y": value}}
    )

    assert result["eval-result"] is False
    assert time.process_time() - begun < 2
