"""Keys that come and go: picked up by the first token that needs them, gone once the provider has withdrawn them."""

from __future__ import annotations

import threading
import time

import pytest
from flask import Flask, g
from werkzeug.wrappers import Request

from flask_foreign_token import require_policy
from flask_foreign_token.testing import Issuer

from ..apps import ask, trusting
from ..conftest import MakeApp
from .tokens import (
    Server,
    at_once,
    document,
    issued_by,
    jwk,
    let_in,
    refused,
    rsa_key,
    token_of,
    unavailable,
    until,
)

BUCKET = 4
REFILL = 10


@pytest.fixture
def app(server: Server, timed_app: MakeApp) -> Flask:
    app = timed_app(issued_by(f"{server.url}/keys"))
    app.config["TOKENS"] = seen = []

    @app.get("/token")
    @require_policy
    def token() -> dict[str, object]:
        seen.append(g.token)
        return {"subject": g.token.subject}

    return app


def lasting(key=None, **more) -> str:
    return token_of(key, exp=int(time.time()) + 10**6, **more)


def by(name: str, **more) -> str:
    return lasting(rsa_key(name), kid=name, **more)


def publish(server: Server, *names: str) -> None:
    server.keys(*(jwk(rsa_key(name), name) for name in names))


def test_a_rotation_is_picked_up_by_the_first_token_that_needs_it(app: Flask, server: Server):
    let_in(ask(app, by("first")))
    publish(server, "first", "second")

    let_in(ask(app, by("second")))
    let_in(ask(app, by("first", sub="bob")), "bob")
    let_in(ask(app, by("second", sub="bob")), "bob")
    assert server.fetches == 2


def test_several_rotations_right_after_each_other_are_picked_up(app: Flask, server: Server):
    let_in(ask(app, by("first")))

    for number, name in enumerate(["second", "third", "fourth"]):
        publish(server, name)
        let_in(ask(app, by(name)))
        assert server.fetches == number + 2


def test_a_rotation_under_64_threads_is_one_fetch_and_no_good_token_is_refused(app: Flask, server: Server):
    let_in(ask(app, by("first")))
    publish(server, "first", "second")

    tokens = [by(("first", "second")[number % 2], sub=f"u{number}") for number in range(64)]
    assert at_once(64, lambda number: ask(app, tokens[number]).status_code) == [200] * 64
    assert server.fetches == 2


def test_random_kids_fetch_no_more_than_the_bucket_allows_and_good_tokens_go_on(app: Flask, server: Server, now):
    let_in(ask(app, by("first")))

    for number in range(100):
        refused(ask(app, lasting(kid=f"random{number}")))
    assert server.fetches - 1 <= BUCKET
    let_in(ask(app, by("first", sub="bob")), "bob")

    before = server.fetches
    now.now += REFILL * 2 + 0.5
    for number in range(100):
        refused(ask(app, lasting(kid=f"again{number}")))
    assert server.fetches - before <= 2


def test_a_rotation_during_a_flood_is_noticed_within_the_refill_and_401_until_then(app: Flask, server: Server, now):
    let_in(ask(app, by("first")))
    for number in range(20):
        refused(ask(app, lasting(kid=f"random{number}")))
    publish(server, "first", "second")

    refused(ask(app, by("second")), "no key")
    now.now += REFILL + 0.5
    let_in(ask(app, by("second")))


def test_a_token_without_kid_has_nothing_fetched(app: Flask, server: Server):
    let_in(ask(app, by("first")))
    publish(server, "first", "second")

    refused(ask(app, lasting(rsa_key("second"), kid=None)), "signature")
    assert server.fetches == 1


def test_a_key_that_is_withdrawn_is_refused_from_the_next_refresh_on_and_no_other(app: Flask, server: Server, now):
    publish(server, "first", "second")
    known, other = by("first"), by("second")
    let_in(ask(app, known, "/token"))
    let_in(ask(app, other, "/token"))
    publish(server, "second", "third")
    let_in(ask(app, known, "/token"))
    kept = app.config["TOKENS"][1]

    let_in(ask(app, by("third")))

    refused(ask(app, known), "no key")
    refused(ask(app, by("first", sub="bob")), "no key")
    let_in(ask(app, other, "/token"))
    assert app.config["TOKENS"][-1] is kept, "it was not verified again"
    let_in(ask(app, by("second", sub="bob")), "bob")


def test_a_key_that_is_withdrawn_is_refused_after_a_refresh_ahead_too(app: Flask, server: Server, now):
    publish(server, "first", "second")
    known = by("first")
    let_in(ask(app, known))
    publish(server, "second")

    now.now += 280
    let_in(ask(app, by("second")))
    until(lambda: server.fetches == 2)
    until(lambda: ask(app, known).status_code == 401)


def test_another_key_of_the_same_kid_withdraws_the_first(app: Flask, server: Server):
    known = lasting()
    let_in(ask(app, known))
    server.keys(jwk(rsa_key("another"), "first"), jwk(rsa_key("third"), "third"))

    let_in(ask(app, by("third")))
    refused(ask(app, known), "signature")
    refused(ask(app, lasting(sub="bob")), "signature")
    let_in(ask(app, lasting(rsa_key("another"))))


@pytest.mark.parametrize("members", [{"alg": "PS256"}, {"use": "enc"}, {"key_ops": ["encrypt"]}, {"alg": "RSA-OAEP"}])
def test_a_key_that_the_provider_gives_another_use_is_withdrawn_as_what_it_was(app: Flask, server: Server, members):
    known = lasting()
    let_in(ask(app, known))
    server.keys(jwk(rsa_key(), **members), jwk(rsa_key("third"), "third"))

    let_in(ask(app, by("third")))
    refused(ask(app, known), "no key")


def test_a_key_that_comes_back_serves_again(app: Flask, server: Server):
    known = by("first")
    let_in(ask(app, known))
    publish(server, "second")
    let_in(ask(app, by("second")))
    publish(server, "first", "second", "third")

    let_in(ask(app, by("third")))
    let_in(ask(app, known))


def test_a_refresh_that_changes_nothing_invalidates_nothing(app: Flask, server: Server, now):
    token = by("first")
    let_in(ask(app, token, "/token"))
    publish(server, "first")

    refused(ask(app, lasting(kid="random")))
    assert server.fetches == 2
    let_in(ask(app, token, "/token"))
    server.pages["/keys"] = {"keys": [dict(reversed(jwk(rsa_key(), "first", use="sig", alg="RS256").items()))]}
    refused(ask(app, lasting(kid="random2")))
    assert server.fetches == 3
    let_in(ask(app, token, "/token"))

    first, second, third = app.config["TOKENS"]
    assert first is second is third


def test_an_empty_set_withdraws_every_key(app: Flask, server: Server):
    token = by("first")
    let_in(ask(app, token))
    publish(server)

    refused(ask(app, lasting(kid="random")))
    assert ask(app, token).status_code in {401, 503}


def test_while_the_provider_is_down_known_keys_serve_and_others_wait(app: Flask, server: Server, now):
    known = by("first")
    let_in(ask(app, known))
    server.pages["/keys"] = document({}, 500)

    unavailable(ask(app, by("second")))
    let_in(ask(app, known))
    let_in(ask(app, by("first", sub="bob")), "bob")
    unavailable(ask(app, by("second")))
    assert server.fetches == 2

    publish(server, "first", "second")
    now.now += 5.1
    let_in(ask(app, by("second")))


def test_a_wrong_signature_under_a_known_key_is_no_outage(app: Flask, server: Server):
    let_in(ask(app, by("first")))
    server.pages["/keys"] = document({}, 500)

    refused(ask(app, lasting(rsa_key("second"))), "signature")
    assert server.fetches == 1


def test_those_who_wait_for_newer_keys_wait_a_second_and_known_keys_not_at_all(server: Server, make_app: MakeApp):
    app, gate = make_app(issued_by(f"{server.url}/keys"), FOREIGN_TOKEN_HTTP_TIMEOUT=(3, 30)), threading.Event()
    let_in(ask(app, by("first")))
    both = {"keys": [jwk(rsa_key(name), name) for name in ("first", "second")]}

    def slow(request: Request) -> object:
        gate.wait(20)
        return both

    server.pages["/keys"] = slow
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(ask(app, by("second")).status_code))
    thread.start()
    until(lambda: server.fetches == 2)

    unavailable(ask(app, by("second", sub="bob")))
    let_in(ask(app, by("first", sub="bob")), "bob")
    gate.set()
    thread.join(20)
    assert results == [200]
    assert server.fetches == 2


def test_the_provider_for_tests_rotates_and_withdraws(make_app: MakeApp):
    with Issuer() as issuer:
        app = make_app(trusting(issuer))
        old = issuer.token()
        assert ask(app, old).status_code == 200
        issuer.rotate(keep=True)
        assert [ask(app, token).status_code for token in (issuer.token(), old)] == [200, 200]
        issuer.rotate()
        assert [ask(app, token).status_code for token in (issuer.token(), old)] == [200, 401]
        assert issuer.requests["jwks"] <= 4, "the old token names a kid that is unknown again"
