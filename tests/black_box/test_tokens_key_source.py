"""The keys of a provider: fetched once, kept, renewed ahead, and shown."""

from __future__ import annotations

import threading
import time

import pytest
from flask import Flask
from werkzeug.wrappers import Request, Response

from flask_foreign_token import ForeignToken

from ..apps import ask, provider, registry_of, write_registry
from ..conftest import MakeApp
from .tokens import (
    Server,
    at_once,
    b64,
    document,
    ec_key,
    ed_key,
    issued_by,
    jwk,
    let_in,
    refused,
    rsa_key,
    token_of,
    unavailable,
    until,
)


@pytest.fixture
def extension() -> ForeignToken:
    return ForeignToken()


@pytest.fixture
def timed(server: Server, timed_app: MakeApp, extension: ForeignToken):
    """Makes apps that go by `now`; what is given is the introspector's, and `config` the app's."""

    def make(config: dict[str, object] = {}, **attributes: object) -> Flask:  # noqa: B006
        resources = issued_by(f"{server.url}/keys")
        resources[1].update(attributes)
        return timed_app(resources, extension, **config)

    return make


def lasting(key=None, **more) -> str:
    """A token that outlives what the tests do with the clock."""
    return token_of(key, exp=int(time.time()) + 10**6, **more)


def state_of(extension: ForeignToken, app: Flask):
    with app.app_context():
        [state] = extension.key_sources()
    return state


def test_nothing_is_fetched_before_the_first_token_and_once_for_all_that_follow(server, timed, extension):
    app = timed()
    before = state_of(extension, app)
    assert (before.fetched_at, before.pending, before.last_error, before.keys, before.skipped) == (
        None,
        False,
        None,
        (),
        (),
    )
    assert ask(app).status_code == 401
    assert server.fetches == 0

    for number in range(20):
        let_in(ask(app, lasting(sub=f"user{number}")), f"user{number}")
    assert server.fetches == 1


def test_the_state_of_a_source_is_shown(server: Server, timed, extension: ForeignToken, now):
    server.keys(
        jwk(rsa_key()),
        jwk(ec_key(), "ec"),
        jwk(ed_key(), "ed"),
        jwk(rsa_key("enc"), "enc", use="enc"),
        {"kty": "oct", "k": b64(b"s" * 32), "kid": "secret"},
        jwk(rsa_key("small", 1024), "small"),
    )
    app = timed(cache_ttl=100)
    let_in(ask(app, lasting()))
    now.now += 10

    state = state_of(extension, app)

    assert state.jwks_uri == f"{server.url}/keys"
    assert state.fetched_at == pytest.approx(now.now - 10, abs=1)
    assert now.now < state.refresh_at < state.expires_at
    assert state.expires_at == pytest.approx(state.fetched_at + 100, abs=1)
    assert 79 <= state.refresh_at - state.fetched_at <= 91
    assert (state.pending, state.last_error) == (False, None)
    kinds = {key.key_id: key.algorithm for key in state.keys}
    assert kinds.pop("ed") in {"EdDSA", "Ed25519"}
    assert kinds == {"first": "RS256", "ec": "ES256"}
    assert {key.key_id for key in state.skipped} == {"enc", "secret", "small"}
    assert all(key.reason for key in state.skipped)
    assert server.fetches == 1, "to look at it fetches nothing"


def test_a_fetch_that_is_under_way_and_one_that_failed_are_shown(server, timed, extension, now):
    gate = threading.Event()

    def slow(request: Request) -> Response:
        gate.wait(10)
        return document({}, 500)

    server.pages["/keys"] = slow
    app = timed({"FOREIGN_TOKEN_HTTP_TIMEOUT": (3, 20)})
    thread = threading.Thread(target=ask, args=(app, lasting()))
    thread.start()
    until(lambda: server.fetches == 1)
    until(lambda: state_of(extension, app).pending)
    gate.set()
    thread.join()

    until(lambda: not state_of(extension, app).pending)
    assert state_of(extension, app).last_error
    server.keys(jwk(rsa_key()))
    now.now += 5.1
    let_in(ask(app, lasting()))
    assert state_of(extension, app).last_error is None


def test_introspectors_of_one_key_set_share_its_source(server: Server, make_app: MakeApp, extension: ForeignToken):
    second = issued_by(f"{server.url}/keys", "second", "https://second.example")[1:]
    second[0]["identity_provider"] = {"reference": "IdentityProvider/second"}
    app = make_app([*issued_by(f"{server.url}/keys"), provider("second"), *second], extension)

    let_in(ask(app, token_of()))
    let_in(ask(app, token_of(iss="https://second.example")))
    assert server.fetches == 1
    with app.app_context():
        assert len(extension.key_sources()) == 1


LIVES = {
    "cache_ttl": (None, None, 300),
    "a shorter cache_ttl": (100, None, 100),
    "a longer cache_ttl": (1000, None, 1000),
    "max-age shortens": (300, "max-age=120", 120),
    "max-age among others": (300, "public, max-age=120, must-revalidate", 120),
    "max-age in quotes": (300, 'max-age="120"', 120),
    "max-age lengthens nothing": (300, "max-age=86400", 300),
    "max-age down to a minute": (300, "max-age=1", 60),
    "max-age of nothing": (300, "max-age=0", 60),
    "no-cache": (300, "no-cache", 300),
    "no-store": (300, "no-store, must-revalidate", 300),
    "nonsense": (300, "max-age=soon", 300),
    "a negative max-age": (300, "max-age=-5", None),
    "a cache_ttl under a minute": (10, None, 10),
    "a cache_ttl under a minute and max-age": (10, "max-age=1", 10),
}


@pytest.mark.parametrize("case", LIVES)
def test_keys_live_for_cache_ttl_and_max_age_within_bounds(server, timed, extension, case):
    ttl, header, life = LIVES[case]
    server.keys(jwk(rsa_key()), **({"Cache_Control": header} if header else {}))
    app = timed(**({"cache_ttl": ttl} if ttl else {}))

    let_in(ask(app, lasting()))

    state = state_of(extension, app)
    shown = state.expires_at - state.fetched_at
    assert shown == pytest.approx(life, abs=1) if life else 60 <= shown <= 300


def test_keys_are_renewed_ahead_in_the_background_and_nobody_waits(server: Server, timed, extension, now):
    app = timed()
    let_in(ask(app, lasting()))
    gate = threading.Event()

    def slow(request: Request) -> Response:
        gate.wait(20)
        return document({"keys": [jwk(rsa_key())]})

    server.pages["/keys"] = slow
    now.now += 300 * 0.79
    let_in(ask(app, lasting(sub="early")), "early")
    assert server.fetches == 1

    now.now += 300 * 0.13
    for number in range(10):
        let_in(ask(app, lasting(sub=f"user{number}")), f"user{number}")
    until(lambda: server.fetches == 2)
    assert state_of(extension, app).pending
    gate.set()
    until(lambda: not state_of(extension, app).pending)
    assert state_of(extension, app).fetched_at == pytest.approx(now.now, abs=1)
    assert server.fetches == 2


def test_nothing_is_fetched_while_no_tokens_come(server: Server, timed, now):
    app = timed()
    let_in(ask(app, lasting()))

    now.now += 5000
    ask(app)
    assert server.fetches == 1
    let_in(ask(app, lasting(sub="bob")), "bob")
    assert server.fetches == 2


@pytest.mark.parametrize("grace", [0, 100, 3600])
def test_a_failed_refresh_keeps_the_old_keys_for_the_grace_and_no_longer(server: Server, timed, now, grace):
    app = timed({"FOREIGN_TOKEN_KEY_GRACE": grace}, cache_ttl=100)
    let_in(ask(app, lasting()))
    server.pages["/keys"] = document({}, 500)

    now.now += 100 + grace - 10
    let_in(ask(app, lasting(sub="new")), "new")
    let_in(ask(app, lasting()))
    now.now += 20
    unavailable(ask(app, lasting(sub="newer")))

    server.keys(jwk(rsa_key()))
    now.now += 5.1
    let_in(ask(app, lasting(sub="newer")), "newer")
    let_in(ask(app, lasting()))


@pytest.mark.parametrize("grace", [0, 100, 3600])
def test_a_token_that_was_let_in_is_believed_no_longer_than_its_key(server: Server, timed, now, grace):
    """docs/rotation.md, "For how long things are believed": a JWT that was let in, no longer than its key."""
    app = timed({"FOREIGN_TOKEN_KEY_GRACE": grace}, cache_ttl=100)
    let_in(ask(app, lasting()))
    server.pages["/keys"] = document({}, 500)

    now.now += 100 + grace - 10
    token = lasting(sub="new")
    let_in(ask(app, token), "new")
    now.now += 20
    unavailable(ask(app, token))


BAD_SETS = {
    "500": lambda: document({}, 500),
    "404": lambda: document({"keys": []}, 404),
    "204": lambda: Response("", 204),
    "no JSON": lambda: Response("<html>"),
    "a list": lambda: document([]),
    "no keys": lambda: document({}),
    "keys that are no list": lambda: document({"keys": {}}),
    "2 MiB": lambda: document({"keys": [], "x": "y" * 2**21}),
    "a redirect": lambda: document({}, 302, Location="/elsewhere"),
}


@pytest.mark.parametrize("case", BAD_SETS)
def test_a_set_that_is_none_is_a_fetch_that_failed(server: Server, timed, extension, now, case):
    server.pages["/elsewhere"] = {"keys": [jwk(rsa_key("new"), "new")]}
    app = timed(cache_ttl=100)
    let_in(ask(app, lasting()))
    server.pages["/keys"] = BAD_SETS[case]()

    now.now += 150
    let_in(ask(app, lasting(sub="bob")), "bob")
    until(lambda: state_of(extension, app).last_error)
    unavailable(ask(app, lasting(rsa_key("new"), kid="new")))
    assert server.count("/elsewhere") == 0


def test_a_failed_fetch_is_not_tried_again_for_five_seconds(server: Server, timed, now):
    server.pages["/keys"] = document({}, 500)
    app = timed()
    unavailable(ask(app, lasting()))
    asked = server.fetches

    for number in range(50):
        unavailable(ask(app, lasting(kid=f"kid{number}")))
    assert server.fetches == asked
    server.keys(jwk(rsa_key()))
    now.now += 4
    unavailable(ask(app, lasting()))
    now.now += 1.1
    let_in(ask(app, lasting()))
    assert server.fetches == asked + 1


def test_64_threads_after_the_life_of_the_keys_is_over_fetch_once_more(server: Server, timed, now):
    app = timed()
    let_in(ask(app, lasting()))
    tokens = [lasting(sub=f"user{number}") for number in range(64)]

    now.now += 400
    assert at_once(64, lambda number: ask(app, tokens[number]).status_code) == [200] * 64
    until(lambda: server.fetches == 2)
    assert ask(app, lasting(sub="last")).status_code == 200
    assert server.fetches == 2


def test_only_the_sources_of_introspectors_in_force_are_shown(server, make_app, extension):
    resources = issued_by(f"{server.url}/keys")
    app = make_app(resources, extension, FOREIGN_TOKEN_REGISTRY_POLL=0.05)
    let_in(ask(app, token_of()))
    assert state_of(extension, app).keys

    resources[1]["active"] = False
    write_registry(registry_of(app), resources)
    until(lambda: ask(app, token_of()).status_code == 401)
    with app.app_context():
        assert extension.key_sources() == []


def test_what_changes_about_an_introspector_without_its_source_keeps_the_keys(server, make_app, extension):
    app = make_app(issued_by(f"{server.url}/keys"), extension, FOREIGN_TOKEN_REGISTRY_POLL=0.05)
    let_in(ask(app, token_of()))

    write_registry(registry_of(app), issued_by(f"{server.url}/keys", aud="other"))
    until(lambda: ask(app, token_of(aud="other")).status_code == 200)
    refused(ask(app, token_of()), "aud")
    assert server.fetches == 1

    resources = issued_by(f"{server.url}/keys", aud="other")
    resources[1]["cache_ttl"] = 299
    write_registry(registry_of(app), resources)
    until(lambda: ask(app, token_of(aud="other")).status_code == 200 and server.fetches == 2)
