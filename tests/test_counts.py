"""What a request costs: statements, calls to the provider, users."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer

from .apps import ask, policy, rows, secret_token, store, trusting, trusting_a_secret, users_in
from .conftest import MakeApp
from .counting import checked_out, counted
from .loading import Clock

REGISTRIES = ["file", "database"]


@pytest.fixture(params=REGISTRIES)
def make_warm(request: pytest.FixtureRequest, make_app: MakeApp, issuer: Issuer) -> Iterator[Callable[..., Flask]]:
    """Makes apps whose tables and registry are loaded, on either registry."""

    def make(**config: Any) -> Flask:
        resources = trusting_a_secret(policy("all", {"jwt": {"iss": "present?"}, "user": "present?"}))
        app = make_app(resources if request.param == "file" else None, **config)
        if request.param == "database":
            store(app, resources)
        assert ask(app, secret_token(issuer, sub="first")).status_code == 200
        return app

    return make


def test_a_hot_request_sends_no_statement(make_warm: Callable[..., Flask], issuer: Issuer) -> None:
    app, token = make_warm(FOREIGN_TOKEN_REGISTRY_POLL=3600), secret_token(issuer, sub="first")
    ask(app, token)

    with counted() as statements, checked_out() as connections:
        answers = {ask(app, token).status_code for _ in range(10)}

    assert answers == {200}
    assert (statements.work, statements.schema, statements.feed, statements.control) == ([], [], [], [])
    assert connections == []


def test_a_poll_of_the_feed_is_one_statement_and_no_work(make_warm: Callable[..., Flask], issuer: Issuer) -> None:
    app, token = make_warm(FOREIGN_TOKEN_REGISTRY_POLL=0), secret_token(issuer, sub="first")
    ask(app, token)

    with counted() as statements:
        for _ in range(5):
            ask(app, token)

    assert (statements.work, statements.schema) == ([], [])
    assert len(statements.feed) <= 5


def test_touching_the_user_is_one_statement(make_warm: Callable[..., Flask], issuer: Issuer) -> None:
    app, token = make_warm(), secret_token(issuer, sub="first")
    ask(app, token, "/me")

    with counted() as statements:
        ask(app, token, "/me")

    assert statements.work == ["SELECT"]


def test_making_a_user_is_a_select_and_two_inserts(make_warm: Callable[..., Flask], issuer: Issuer) -> None:
    app, token = make_warm(), secret_token(issuer, sub="second")

    with counted() as statements:
        answer = ask(app, token)

    assert answer.status_code == 200
    assert statements.work == ["SELECT", "INSERT", "INSERT"]
    assert statements.schema == []


def test_a_new_token_of_a_known_user_is_no_more_than_a_select(make_warm: Callable[..., Flask], issuer: Issuer) -> None:
    app = make_warm()

    with counted() as statements:
        ask(app, secret_token(issuer, sub="first", jti="another"))

    assert statements.work in ([], ["SELECT"])


def test_anonymous_and_wrong_callers_cost_no_statement(make_warm: Callable[..., Flask], issuer: Issuer) -> None:
    app = make_warm(FOREIGN_TOKEN_REGISTRY_POLL=3600)

    with counted() as statements, checked_out() as connections:
        statuses = [ask(app, token).status_code for token in (None, "wrong", secret_token(issuer, lifetime=-3600))]

    assert statuses == [401, 401, 401]
    assert (statements.work, connections) == ([], [])


@pytest.mark.parametrize("path", ["/nowhere", "/static/nothing.css"])
def test_what_the_hook_skips_costs_nothing(make_warm: Callable[..., Flask], issuer: Issuer, path: str) -> None:
    app = make_warm(FOREIGN_TOKEN_REGISTRY_POLL=0)

    with counted() as statements, checked_out() as connections:
        ask(app, secret_token(issuer, sub="third"), path)

    assert (statements.work, statements.feed, connections) == ([], [], [])


def test_a_user_older_than_its_time_to_live_is_read_again_once(make_warm: Callable[..., Flask], issuer: Issuer) -> None:
    app, token = make_warm(FOREIGN_TOKEN_USER_TTL=0), secret_token(issuer, sub="first")
    ask(app, token)

    with counted() as statements:
        ask(app, token)

    assert statements.work == ["SELECT"]


# ---- calls


def asking_userinfo(issuer: Issuer) -> list[dict[str, Any]]:
    attributes = {"userinfo-source": "userinfo-endpoint", "userinfo_endpoint": issuer.userinfo_endpoint}
    return trusting(issuer, policy("all", {"user": {"data": {"sub": "present?"}}}), **attributes)


def test_many_requests_of_one_user_are_one_fetch_of_keys_and_one_of_userinfo(
    make_app: MakeApp, own_issuer: Issuer
) -> None:
    app = make_app(asking_userinfo(own_issuer))
    tokens = [own_issuer.token(sub="ann") for _ in range(5)]

    statuses = {ask(app, token).status_code for token in [*tokens, *tokens]}

    assert statuses == {200}
    assert own_issuer.requests == {"jwks": 1, "userinfo": 1}
    assert users_in(app) == 1


@pytest.fixture
def signing_issuer() -> Iterator[Issuer]:
    """One that signs userinfo."""
    with Issuer(userinfo_signed_response_alg="ES256") as issuer:
        yield issuer


def test_signed_userinfo_is_verified_with_the_keys_that_tokens_are(make_app: MakeApp, signing_issuer: Issuer) -> None:
    app = make_app(asking_userinfo(signing_issuer))

    statuses = {ask(app, signing_issuer.token(sub=name)).status_code for name in ("ann", "bob")}

    assert statuses == {200}
    assert signing_issuer.requests == {"jwks": 1, "userinfo": 2}


@pytest.mark.parametrize(
    ("stored", "before"), [(True, {}), (False, {"discovery": 1})], ids=["jwks_uri stored", "jwks_uri discovered"]
)
def test_where_tokens_are_asked_about_signed_userinfo_has_the_keys_fetched_once_in_300_seconds(
    timed_app: MakeApp, signing_issuer: Issuer, now: Clock, stored: bool, before: dict[str, int]
) -> None:
    described, asking = signing_issuer.resources(kind="opaque")
    described |= {"jwks_uri": signing_issuer.jwks_uri} if stored else {"issuer": signing_issuer.issuer}
    app = timed_app([described, {**asking, "cache_ttl": 1}, policy("all", {"user": {"data": {"sub": "present?"}}})])

    counts = []
    for name in ("ann", "bob", "cid"):
        assert ask(app, signing_issuer.opaque_token(sub=name, lifetime=3600)).status_code == 200
        counts.append(dict(signing_issuer.requests))
        now.now += 200 if name == "bob" else 101

    assert counts == [{**before, "jwks": 1 + (n > 2), "introspection": n, "userinfo": n} for n in (1, 2, 3)]


def test_starting_and_anonymous_requests_call_nobody(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(asking_userinfo(own_issuer))

    ask(app, path="/open")
    ask(app)

    assert own_issuer.requests == {}


@pytest.mark.parametrize("uri", [None, "sqlite://"], ids=["file", "memory"])
@pytest.mark.parametrize("same_token", [True, False])
def test_64_threads_on_a_cold_app_are_one_fetch_one_userinfo_and_one_user(
    make_app: MakeApp, own_issuer: Issuer, uri: str | None, same_token: bool
) -> None:
    config = {} if uri is None else {"SQLALCHEMY_DATABASE_URI": uri}
    app = make_app(asking_userinfo(own_issuer), **config)
    token = own_issuer.token(sub="ann")
    tokens = [token if same_token else own_issuer.token(sub="ann") for _ in range(64)]
    together = Barrier(64)

    def request(token: str) -> tuple[int, object]:
        together.wait()
        answer = ask(app, token)
        return answer.status_code, answer.json

    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(request, tokens))

    assert answers == [(200, {"subject": "ann"})] * 64
    assert own_issuer.requests == {"jwks": 1, "userinfo": 1}
    assert users_in(app) == 1
    assert rows(app, "SELECT count(*) FROM foreign_token_identifier") == [(1,)]


def test_64_threads_of_64_users_are_64_users(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(trusting(own_issuer))
    tokens = [own_issuer.token(sub=f"user-{number}") for number in range(64)]

    with ThreadPoolExecutor(64) as pool:
        statuses = set(pool.map(lambda token: ask(app, token, "/me").status_code, tokens))

    assert statuses == {200}
    assert own_issuer.requests["jwks"] == 1
    assert users_in(app) == 64
