"""What is promised in numbers, by count and not by the clock."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import event
from werkzeug.wrappers import Request, Response

from flask_foreign_token.introspection import remote_document
from flask_foreign_token.testing import Issuer

from ..apps import ask, database_of, trusting, users_in
from ..conftest import MakeApp
from .tokens import (
    OPAQUE,
    Server,
    active,
    asked_at,
    at_once,
    b64,
    document,
    issued_by,
    jwk,
    let_in,
    rsa_key,
    serving,
    token_of,
    unavailable,
    until,
)

THREADS = 64
BUCKET = 4
REFILL = 10


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        server.keys(jwk(rsa_key()))
        yield server


def test_64_threads_on_a_cold_key_source_fetch_once(server: Server, make_app: MakeApp):
    app = make_app(issued_by(f"{server.url}/keys"))
    tokens = [token_of(sub=f"user{number}") for number in range(THREADS)]

    assert at_once(THREADS, lambda number: ask(app, tokens[number]).status_code) == [200] * THREADS
    assert server.fetches == 1
    assert users_in(app) == THREADS


def test_64_threads_on_a_cold_key_source_wait_for_a_slow_provider_together(server: Server, make_app: MakeApp):
    gate = threading.Event()

    def slow(request: Request) -> Response:
        gate.wait(20)
        return document({"keys": [jwk(rsa_key())]})

    server.pages["/keys"] = slow
    app = make_app(issued_by(f"{server.url}/keys"), FOREIGN_TOKEN_HTTP_TIMEOUT=(3, 30))
    token = token_of()

    def work(number: int) -> int:
        if number == THREADS:
            until(lambda: server.fetches == 1, 10)
            gate.set()
            return 200
        return ask(app, token).status_code

    assert at_once(THREADS + 1, work) == [200] * (THREADS + 1)
    assert server.fetches == 1
    assert users_in(app) == 1


def test_64_threads_on_a_cold_key_source_of_a_provider_that_is_down_ask_once(server: Server, make_app: MakeApp):
    server.pages["/keys"] = document({}, 500)
    app = make_app(issued_by(f"{server.url}/keys"))
    tokens = [token_of(sub=f"user{number}") for number in range(THREADS)]

    assert at_once(THREADS, lambda number: ask(app, tokens[number]).status_code) == [503] * THREADS
    assert server.fetches == 1


def random_kids(number: int) -> list[str]:
    """Unsigned for quickness: an unknown `kid` is refused before anybody looks at the signature."""
    _, payload, tail = token_of().split(".")
    chosen = random.Random(7)

    def header_with(kid: str) -> str:
        return b64(f'{{"alg":"RS256","kid":"{kid}"}}'.encode())

    return [f"{header_with(f'{chosen.getrandbits(64):x}')}.{payload}.{tail}" for _ in range(number)]


def test_10_000_tokens_with_random_kids_fetch_within_the_bound_of_the_bucket(server: Server, make_app: MakeApp):
    app = make_app(issued_by(f"{server.url}/keys"))
    let_in(ask(app, token_of()))
    tokens, begin = random_kids(10_000), time.monotonic()
    client = app.test_client()

    answers = Counter(client.get("/open", headers={"Authorization": f"Bearer {token}"}).status_code for token in tokens)

    refills = (time.monotonic() - begin) / REFILL + 1
    assert answers == {401: 10_000}
    assert server.fetches - 1 <= BUCKET + refills
    let_in(ask(app, token_of(sub="bob")), "bob")


def test_random_kids_of_many_threads_fetch_within_the_bound_and_hold_up_no_good_token(server, make_app, monkeypatch):
    # On a busy machine a fetch may take longer than its other callers would wait, who then are told to come again.
    monkeypatch.setattr(remote_document, "PATIENCE", 60.0)
    app = make_app(issued_by(f"{server.url}/keys"))
    let_in(ask(app, token_of()))
    tokens, begin = random_kids(16 * 50), time.monotonic()
    good = [token_of(sub=f"user{number}") for number in range(16)]

    def work(number: int) -> list[int]:
        flood = [ask(app, token).status_code for token in tokens[number * 50 : number * 50 + 50]]
        return [*flood, ask(app, good[number]).status_code]

    results = at_once(16, work)

    assert all(result[-1] == 200 for result in results)
    assert {status for result in results for status in result[:-1]} == {401}
    assert server.fetches - 1 <= BUCKET + (time.monotonic() - begin) / REFILL + 1


def test_a_known_token_asks_nobody_and_sends_no_statement(server: Server, make_app: MakeApp):
    server.pages["/introspect"] = active(iss=None)
    app = make_app([*issued_by(f"{server.url}/keys"), *asked_at(f"{server.url}/introspect")[1:]])
    tokens = [token_of(), OPAQUE]
    for token in tokens:
        let_in(ask(app, token))
    asked, statements = len(server.calls), []
    with app.app_context():
        engine = database_of(app).engine
    event.listen(engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))

    for _ in range(200):
        for token in tokens:
            let_in(ask(app, token))
    assert len(server.calls) == asked
    assert statements == []


def test_64_threads_with_one_cold_opaque_token_ask_once_and_make_one_user(server: Server, make_app: MakeApp):
    server.pages["/introspect"] = active(iss=None)
    app = make_app(asked_at(f"{server.url}/introspect"))

    assert at_once(THREADS, lambda _: ask(app, OPAQUE).status_code) == [200] * THREADS
    assert server.count("/introspect") == 1
    assert users_in(app) == 1


def test_64_threads_with_one_token_that_is_not_active_ask_once(server: Server, make_app: MakeApp):
    server.pages["/introspect"] = {"active": False}
    app = make_app(asked_at(f"{server.url}/introspect"))

    assert at_once(THREADS, lambda _: ask(app, OPAQUE).status_code) == [401] * THREADS
    assert server.count("/introspect") == 1


@pytest.mark.parametrize("rotations", [3])
def test_rotations_under_load_refuse_no_good_token_and_cost_one_or_two_fetches_each(make_app: MakeApp, rotations):
    with Issuer() as issuer:
        app = make_app(trusting(issuer))
        assert ask(app, issuer.token()).status_code == 200
        stop, answers = threading.Event(), Counter[int]()
        lock = threading.Lock()

        def load() -> None:
            while not stop.is_set():
                status = ask(app, issuer.token(sub="ada", jti=str(random.random()))).status_code
                with lock:
                    answers[status] += 1

        threads = [threading.Thread(target=load) for _ in range(8)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(rotations):
                before = answers[200]
                until(lambda before=before: answers[200] > before + 20, 20)
                issuer.rotate(keep=True)
            before = answers[200]
            until(lambda: answers[200] > before + 20, 20)
        finally:
            stop.set()
            for thread in threads:
                thread.join(20)

        assert set(answers) == {200}
        assert 1 + rotations <= issuer.requests["jwks"] <= 1 + 2 * rotations


def test_a_provider_that_is_killed_under_load_holds_up_unknown_keys_only(timed_app: MakeApp, now):
    with Issuer() as issuer:
        app = timed_app(trusting(issuer))
        known = [issuer.token(sub=f"user{number}", lifetime=10**6) for number in range(THREADS)]
        assert ask(app, known[0]).status_code == 200
        issuer.rotate(keep=True)
        unknown = [issuer.token(sub=f"other{number}", lifetime=10**6) for number in range(THREADS)]
        with issuer.down():
            now.now += 400
            tokens = [token for pair in zip(known, unknown, strict=True) for token in pair]
            answers = at_once(2 * THREADS, lambda number: ask(app, tokens[number]))
            assert [answer.status_code for answer in answers[::2]] == [200] * THREADS
            for answer in answers[1::2]:
                unavailable(answer)
            now.now += 3000
            assert ask(app, known[1]).status_code == 200

        now.now += 5.1
        assert ask(app, unknown[0]).status_code == 200


def test_the_keys_of_several_issuers_are_fetched_once_each(make_app: MakeApp):
    with Issuer() as one, Issuer() as two:
        resources = [*trusting(one, name="one"), *trusting(two, name="two")]
        resources[-1]["id"] = "known-issuer-two"
        app = make_app(resources)
        tokens = [issuer.token(sub=f"user{number}") for number in range(16) for issuer in (one, two)]

        assert at_once(32, lambda number: ask(app, tokens[number]).status_code) == [200] * 32
        assert (one.requests["jwks"], two.requests["jwks"]) == (1, 1)
