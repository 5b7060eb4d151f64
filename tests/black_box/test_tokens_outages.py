"""Providers that are down, slow or flooded: no verdict on a token, no storm of calls, and back at once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from werkzeug.wrappers import Request, Response

from ..apps import ask, provider
from ..conftest import MakeApp
from .tokens import (
    Server,
    active,
    asked_at,
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


def lasting(key=None, **more) -> str:
    return token_of(key, exp=int(time.time()) + 10**6, **more)


def second(**more) -> str:
    return lasting(rsa_key("second"), kid="second", **more)


@pytest.mark.parametrize("tries", [3, 30])
def test_a_long_outage_uses_up_no_allowance_so_that_the_first_request_after_it_succeeds(server, timed_app, now, tries):
    app = timed_app(issued_by(f"{server.url}/keys"))
    let_in(ask(app, lasting()))
    server.pages["/keys"] = document({}, 500)

    for _ in range(tries):
        unavailable(ask(app, second()))
        now.now += 5.1

    server.keys(jwk(rsa_key()), jwk(rsa_key("second"), "second"))
    let_in(ask(app, second()))


@pytest.mark.parametrize("tries", [3, 30])
def test_a_long_outage_from_the_start_ends_with_the_first_request_after_it(server, timed_app, now, tries):
    server.pages["/keys"] = document({}, 500)
    app = timed_app(issued_by(f"{server.url}/keys"))

    for number in range(tries):
        unavailable(ask(app, lasting(kid=f"kid{number}")))
        now.now += 5.1
    assert server.fetches <= tries

    server.keys(jwk(rsa_key()))
    let_in(ask(app, lasting()))


def test_a_flood_of_random_kids_does_not_keep_keys_from_being_renewed(server: Server, timed_app: MakeApp, now):
    app = timed_app(issued_by(f"{server.url}/keys"))
    let_in(ask(app, lasting()))
    for number in range(50):
        refused(ask(app, lasting(kid=f"random{number}")))
    fetched = server.fetches
    server.keys(jwk(rsa_key("second"), "second"))

    now.now += 301
    until(lambda: ask(app, second()).status_code == 200)
    assert server.fetches <= fetched + 2
    refused(ask(app, lasting()))


def test_a_flood_at_one_provider_holds_up_no_other(server: Server, timed_app: MakeApp):
    server.pages["/others"] = {"keys": [jwk(rsa_key())]}
    other = "https://other.example"
    more = issued_by(f"{server.url}/others", "others", other)[1:]
    more[0]["identity_provider"] = {"reference": "IdentityProvider/other"}
    app = timed_app([*issued_by(f"{server.url}/keys"), provider("other"), *more])
    let_in(ask(app, lasting()))
    let_in(ask(app, lasting(iss=other)))
    for number in range(50):
        refused(ask(app, lasting(kid=f"random{number}")))

    server.pages["/others"] = {"keys": [jwk(rsa_key("second"), "second")]}
    let_in(ask(app, second(iss=other)))
    assert server.count("/others") == 2


def test_bad_tokens_are_401_and_no_503_while_the_provider_is_down(server: Server, timed_app: MakeApp, now):
    app = timed_app(issued_by(f"{server.url}/keys"))
    let_in(ask(app, lasting()))
    server.pages["/keys"] = document({}, 500)
    now.now += 400

    for bad in (
        lasting(rsa_key("another")),
        token_of(exp=1),
        lasting(aud="other"),
        lasting(typ="ID"),
        lasting(iss="https://other.example"),
        lasting()[:-2],
        lasting(header={"alg": "none"}),
    ):
        refused(ask(app, bad))
    let_in(ask(app, lasting(sub="bob")), "bob")


def test_no_more_than_eight_calls_are_under_way_however_many_tokens_come(server: Server, make_app: MakeApp):
    lock, under_way, most = threading.Lock(), [0], [0]
    pause = threading.Event()

    def counted(request: Request) -> Response:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        pause.wait(0.05)
        with lock:
            under_way[0] -= 1
        return document(active(iss=None))

    server.pages["/introspect"] = counted
    app = make_app(asked_at(f"{server.url}/introspect"))

    answers = Counter(at_once(64, lambda number: ask(app, f"token{number}").status_code))

    assert most[0] <= 8
    assert set(answers) == {200, 503}
    assert answers[200] >= 8
    assert answers[200] == server.count("/introspect")
    let_in(ask(app, "one-more"))


@pytest.mark.parametrize("calls", [8, 24])
def test_calls_that_failed_are_no_longer_under_way(server: Server, timed_app: MakeApp, now, calls):
    server.pages["/introspect"] = lambda request: Response("<html>")
    app = timed_app(asked_at(f"{server.url}/introspect"))
    for number in range(calls):
        unavailable(ask(app, f"token{number}"))
        now.now += 5.1

    server.pages["/introspect"] = active(iss=None)
    let_in(ask(app, "good"))


def test_64_threads_with_one_opaque_token_and_a_provider_that_is_down_ask_once(server: Server, make_app: MakeApp):
    server.pages["/introspect"] = document({}, 500)
    app = make_app(asked_at(f"{server.url}/introspect"))

    assert at_once(64, lambda _: ask(app, "token").status_code) == [503] * 64
    assert server.count("/introspect") == 1


def test_an_outage_of_one_opaque_provider_holds_up_no_other(server: Server, make_app: MakeApp):
    server.pages.update({"/one": document({}, 500), "/two": active(iss=None)})
    one = asked_at(f"{server.url}/one", "one", token_prefix="one_")
    two = asked_at(f"{server.url}/two", "two", token_prefix="two_")
    two[1]["identity_provider"] = {"reference": "IdentityProvider/two"}
    app = make_app([*one, provider("two"), two[1]])

    unavailable(ask(app, "one_a"))
    let_in(ask(app, "two_a"))
    refused(ask(app, "three_a"))


@pytest.mark.parametrize("kind", ["jwt", "opaque"])
def test_an_answer_that_comes_too_slowly_is_given_up_and_tried_again_later(server, timed_app, now, kind):
    gate = threading.Event()
    slow = {"jwt": "/keys", "opaque": "/introspect"}[kind]
    good = server.pages["/keys"] if kind == "jwt" else document(active(iss=None))

    def drip(request: Request) -> Response:
        def body() -> Iterator[bytes]:
            for octet in b'{"keys": []}' * 100:
                yield bytes([octet])
                if gate.wait(0.1):
                    return

        return Response(body(), content_type="application/json")

    server.pages[slow] = drip
    resources = issued_by(f"{server.url}/keys") if kind == "jwt" else asked_at(f"{server.url}/introspect")
    app = timed_app(resources, FOREIGN_TOKEN_HTTP_TIMEOUT=(1, 1))
    token = lasting() if kind == "jwt" else "token"
    begin = time.monotonic()

    unavailable(ask(app, token))
    assert time.monotonic() - begin < 8
    gate.set()
    server.pages[slow] = good
    now.now += 6
    let_in(ask(app, token))
