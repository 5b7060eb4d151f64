"""Opaque tokens: what is remembered, and what happens while the provider does not answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from flask import Flask
from werkzeug.wrappers import Request, Response

from ..apps import ask, provider, registry_of, write_registry
from ..conftest import MakeApp
from .tokens import (
    OPAQUE,
    Server,
    active,
    asked_at,
    at_once,
    document,
    let_in,
    refused,
    serving,
    unavailable,
    until,
)

PATH = "/introspect"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        server.pages[PATH] = active(iss=None, exp=int(time.time()) + 86_400)
        yield server


@pytest.fixture
def asking(server: Server, timed_app: MakeApp):
    def make(config: dict[str, object] = {}, **attributes: object) -> Flask:  # noqa: B006
        return timed_app(asked_at(server.url + PATH, **attributes), **config)

    return make


@pytest.mark.parametrize(("ttl", "seconds"), [(None, 300), (60, 60), (1, 1), (3600, 3600)])
def test_an_answer_is_remembered_for_cache_ttl_and_no_longer(asking, server: Server, now, ttl, seconds):
    app = asking(cache_ttl=ttl)
    let_in(ask(app, OPAQUE))

    now.now += seconds - 0.5
    let_in(ask(app, OPAQUE))
    assert server.count(PATH) == 1
    now.now += 1
    let_in(ask(app, OPAQUE))
    assert server.count(PATH) == 2


def test_a_token_that_was_revoked_is_refused_once_its_answer_is_over(asking, server: Server, now):
    app = asking(cache_ttl=1)
    let_in(ask(app, OPAQUE))
    server.pages[PATH] = {"active": False}

    now.now += 1.5
    refused(ask(app, OPAQUE), "not active")


@pytest.mark.parametrize("ttl", [0, 86_401, -1, 1.5, "300", True])
def test_a_cache_ttl_out_of_bounds_is_refused(asking, ttl):
    assert ask(asking(cache_ttl=ttl), OPAQUE).status_code == 503


def test_an_answer_is_never_remembered_past_exp(asking, server: Server, now):
    app = asking(cache_ttl=3600, jwt={"aud": "account", "leeway": 0})
    server.pages[PATH] = active(iss=None, iat=int(now.now), exp=int(now.now) + 20)
    let_in(ask(app, OPAQUE))

    now.now += 21
    refused(ask(app, OPAQUE), "expired")


@pytest.mark.parametrize("leeway", [0, 30, 300])
def test_within_the_leeway_after_exp_the_provider_is_asked_again(asking, server: Server, now, leeway):
    app = asking(cache_ttl=3600, jwt={"aud": "account", "leeway": leeway})
    server.pages[PATH] = active(iss=None, iat=int(now.now), exp=int(now.now) + 20)
    let_in(ask(app, OPAQUE))
    now.now += 15
    let_in(ask(app, OPAQUE))
    assert server.count(PATH) == 1
    server.pages[PATH] = {"active": False}

    now.now += 7
    refused(ask(app, OPAQUE))


@pytest.mark.parametrize(("ttl", "seconds"), [(None, 60), (3600, 60), (10, 10)])
def test_that_a_token_is_not_active_is_remembered_for_a_minute_at_most(asking, server: Server, now, ttl, seconds):
    server.pages[PATH] = {"active": False}
    app = asking(cache_ttl=ttl)
    refused(ask(app, OPAQUE))

    now.now += seconds - 0.5
    refused(ask(app, OPAQUE))
    assert server.count(PATH) == 1
    server.pages[PATH] = active(iss=None, exp=int(now.now) + 300)
    now.now += 1
    let_in(ask(app, OPAQUE))


def test_a_flood_of_inactive_tokens_evicts_no_active_one(asking, server: Server):
    size = 100
    app = asking({"FOREIGN_TOKEN_TOKEN_CACHE_SIZE": size})
    good = [f"good{number}" for number in range(10)]
    answer = active(iss=None)
    server.pages[PATH] = lambda request: answer if request.form["token"] in good else {"active": False}
    for token in good:
        let_in(ask(app, token))

    for number in range(10 * size):
        refused(ask(app, f"invented{number}"))
    asked = server.count(PATH)

    assert asked == len(good) + 10 * size
    for token in good:
        let_in(ask(app, token))
    assert server.count(PATH) == asked


def test_what_is_remembered_of_inactive_tokens_is_bounded(asking, server: Server):
    size = 100
    app = asking({"FOREIGN_TOKEN_TOKEN_CACHE_SIZE": size})
    server.pages[PATH] = {"active": False}
    tokens = [f"invented{number}" for number in range(5 * size)]
    for token in tokens:
        refused(ask(app, token))

    for token in tokens[: size * 3]:
        refused(ask(app, token))
    assert server.count(PATH) > len(tokens), "the first are forgotten, and so asked about again"


def test_an_answer_is_of_one_token_alone(asking, server: Server):
    server.pages[PATH] = lambda request: active(iss=None, sub=request.form["token"])
    app = asking()

    for token in ("a", "b", "a.b~c", "A", "a"):
        let_in(ask(app, token), token)
    assert server.count(PATH) == 4


def test_a_change_of_the_introspector_has_every_token_asked_about_anew(server: Server, make_app: MakeApp):
    app = make_app(asked_at(server.url + PATH), FOREIGN_TOKEN_REGISTRY_POLL=0.05)
    let_in(ask(app, OPAQUE))
    server.pages[PATH] = {"active": False}
    let_in(ask(app, OPAQUE))

    write_registry(registry_of(app), asked_at(server.url + PATH, cache_ttl=299))
    until(lambda: ask(app, OPAQUE).status_code == 401)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Holds answers back until it is set."""
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.mark.parametrize("threads", [64])
def test_one_cold_token_is_asked_about_once_however_many_threads_come_with_it(server, make_app, threads):
    app = make_app(asked_at(server.url + PATH))
    ask(app, path="/open")

    answers = at_once(threads, lambda _: ask(app, OPAQUE).status_code)

    assert answers == [200] * threads
    assert server.count(PATH) == 1


def test_eight_calls_are_under_way_and_the_ninth_token_is_answered_503_at_once(server, make_app, gate):
    answer = active(iss=None)

    def slow(request: Request) -> Response:
        assert gate.wait(30)
        return document(answer)

    server.pages[PATH] = slow
    app = make_app(asked_at(server.url + PATH), FOREIGN_TOKEN_HTTP_TIMEOUT=(3, 30))
    results: list[int] = []
    threads = [
        threading.Thread(target=lambda number=number: results.append(ask(app, f"token{number}").status_code))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    until(lambda: server.count(PATH) == 8, 15)

    for number in range(8, 12):
        unavailable(ask(app, f"token{number}"))
    assert server.count(PATH) == 8

    gate.set()
    for thread in threads:
        thread.join(30)
    assert results == [200] * 8
    let_in(ask(app, "token8"))


def test_eight_calls_to_one_provider_hold_up_no_other(server: Server, make_app: MakeApp, gate):
    answer = active(iss=None)
    server.pages["/one"] = lambda request: gate.wait(30) and answer
    server.pages["/two"] = answer
    one, two = asked_at(f"{server.url}/one", "one", token_prefix="one_"), asked_at(f"{server.url}/two", "two")
    two[1].update({"identity_provider": {"reference": "IdentityProvider/two"}, "token_prefix": "two_"})
    app = make_app([*one, provider("two"), two[1]], FOREIGN_TOKEN_HTTP_TIMEOUT=(3, 30))
    threads = [threading.Thread(target=ask, args=(app, f"one_{number}")) for number in range(8)]
    for thread in threads:
        thread.start()
    until(lambda: server.count("/one") == 8, 15)

    unavailable(ask(app, "one_more"))
    let_in(ask(app, "two_a"))

    gate.set()
    for thread in threads:
        thread.join(30)


def test_while_the_endpoint_fails_what_is_known_goes_on_and_the_rest_waits(asking, server: Server, now):
    app = asking()
    let_in(ask(app, "known"))
    good = server.pages[PATH]
    server.pages[PATH] = document({}, 500)

    unavailable(ask(app, "new"))
    let_in(ask(app, "known"))
    asked = server.count(PATH)
    for number in range(20):
        unavailable(ask(app, f"new{number}"))
    assert server.count(PATH) == asked, "not tried again for five seconds"

    server.pages[PATH] = good
    now.now += 5.1
    let_in(ask(app, "new"))
    let_in(ask(app, "new7"))


def test_an_endpoint_that_is_gone_is_503_and_back_after_five_seconds(timed_app: MakeApp, now):
    with serving() as server:
        port = int(server.url.rsplit(":", 1)[1])
        app = timed_app(asked_at(server.url + PATH))
    unavailable(ask(app, OPAQUE))

    with serving(port) as server:
        server.pages[PATH] = active(iss=None)
        unavailable(ask(app, OPAQUE))
        assert server.calls == []
        now.now += 5.1
        let_in(ask(app, OPAQUE))


def test_an_answer_without_use_holds_up_one_token_and_429_all(asking, server: Server, now):
    app = asking()
    answer = active(iss=None)
    server.pages[PATH] = lambda request: answer if request.form["token"] == "good" else document({"error": "what"}, 400)
    unavailable(ask(app, "odd"))
    let_in(ask(app, "good"))
    asked = server.count(PATH)
    unavailable(ask(app, "odd"))
    assert server.count(PATH) == asked

    server.pages[PATH] = document({}, 429)
    unavailable(ask(app, "another"))
    server.pages[PATH] = answer
    unavailable(ask(app, "third"))
    now.now += 5.1
    let_in(ask(app, "another"))


def test_a_slow_endpoint_is_given_up_when_the_whole_exchange_is_over_time(server: Server, make_app: MakeApp, gate):
    server.pages[PATH] = lambda request: gate.wait(30) and active(iss=None)
    app = make_app(asked_at(server.url + PATH), FOREIGN_TOKEN_HTTP_TIMEOUT=(1, 1))
    begin = time.monotonic()

    unavailable(ask(app, OPAQUE))
    assert time.monotonic() - begin < 10
    gate.set()
