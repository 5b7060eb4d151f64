from __future__ import annotations

import math
import threading
from collections.abc import Callable

import pytest

from flask_foreign_token.http import Http
from flask_foreign_token.introspection.background import in_background
from flask_foreign_token.introspection.endpoints import StoredEndpoint
from flask_foreign_token.introspection.freshness import MIN_LIFE
from flask_foreign_token.introspection.remote_document import REFRESH_AHEAD
from flask_foreign_token.introspection.remote_keys import RemoteKeys

from .concurrency import Background, Clock, at_once
from .provider import GRACE, TTL, Provider
from .signing import NOW, jwk


def test_making_a_source_asks_nobody(provider: Provider, keys: RemoteKeys) -> None:
    assert provider.requests == 0
    assert keys.state.fetched_at is None
    assert keys.state.refresh_at is None
    assert keys.state.expires_at is None
    assert keys.state.keys == ()


def test_the_keys_are_fetched_once(provider: Provider, keys: RemoteKeys) -> None:
    found = [keys.find("first", "RS256") for _ in range(100)]

    assert provider.requests == 1
    assert all(len(candidates) == 1 for candidates in found)


def test_64_threads_on_a_cold_source_fetch_once(provider: Provider, keys: RemoteKeys) -> None:
    provider.hold()
    threading.Thread(target=lambda: provider.asked.acquire() and provider.release()).start()

    found = at_once(64, lambda _number: len(keys.find("first", "RS256")))

    assert found == [1] * 64
    assert provider.requests == 1


def test_a_source_is_shown_with_its_keys(provider: Provider, keys: RemoteKeys) -> None:
    provider.serve(jwk("RS256", "first"), jwk("ES256", "second"), jwk("ES384", "third", use="enc"))
    keys.find("first", "RS256")

    state = keys.state

    assert state.jwks_uri == provider.url
    assert state.fetched_at == NOW
    assert state.refresh_at == NOW + REFRESH_AHEAD * TTL
    assert state.expires_at == NOW + TTL
    assert state.last_error is None
    assert not state.pending
    assert [(key.key_id, key.algorithm) for key in state.keys] == [("first", "RS256"), ("second", "ES256")]
    assert state.skipped == (("third", "use is not sig"),)


def test_a_fetch_under_way_is_shown(provider: Provider, keys: RemoteKeys) -> None:
    provider.hold()
    waiting = threading.Thread(target=keys.find, args=("first", "RS256"))
    waiting.start()
    provider.asked.acquire()

    pending = keys.state.pending
    provider.release()
    waiting.join()

    assert pending
    assert not keys.state.pending


@pytest.mark.parametrize("algorithm", ["none", "NONE", "HS256", "HS512", "", "RS257", "dir"])
def test_an_algorithm_that_no_published_key_serves_asks_nobody(
    provider: Provider, keys: RemoteKeys, algorithm: str
) -> None:
    assert not keys.find("first", algorithm)
    assert not keys.find(None, algorithm)
    assert provider.requests == 0


@pytest.mark.parametrize(("key_id", "algorithm"), [("first", "PS256"), ("first", "ES256"), (None, "ES256")])
def test_an_algorithm_that_the_key_does_not_serve_fetches_nothing(
    provider: Provider, keys: RemoteKeys, key_id: str | None, algorithm: str
) -> None:
    keys.find("first", "RS256")

    assert not keys.find(key_id, algorithm)
    assert provider.requests == 1


def test_a_key_that_is_skipped_fetches_nothing(provider: Provider, keys: RemoteKeys) -> None:
    provider.serve(jwk("RS256", "first", use="enc"))

    assert not keys.find("first", "RS256")
    assert not keys.find("first", "RS256")
    assert provider.requests == 1


def test_keys_are_renewed_when_they_are_due(provider: Provider, keys: RemoteKeys, clock: Clock) -> None:
    keys.find("first", "RS256")
    clock.pass_(TTL - 1)
    keys.find("first", "RS256")
    assert provider.requests == 1

    clock.pass_(1)
    keys.find("first", "RS256")
    keys.find("first", "RS256")

    assert provider.requests == 2
    assert keys.state.fetched_at == NOW + TTL


def test_others_go_on_while_one_renews(provider: Provider, keys: RemoteKeys, clock: Clock) -> None:
    keys.find("first", "RS256")
    provider.asked.acquire()
    clock.pass_(TTL)
    provider.hold()
    renewing = threading.Thread(target=keys.find, args=("first", "RS256"))
    renewing.start()
    provider.asked.acquire()

    found = keys.find("first", "RS256")

    assert renewing.is_alive()
    assert len(found) == 1
    provider.release()
    renewing.join()
    assert provider.requests == 2


def test_keys_are_renewed_in_the_background_before_they_are_due(
    provider: Provider, keys: RemoteKeys, background: Background, clock: Clock
) -> None:
    background.threads_run = True
    keys.find("first", "RS256")
    provider.serve(jwk("RS256", "first"), jwk("RS256", "second", "other"))
    clock.pass_(REFRESH_AHEAD * TTL)

    assert len(keys.find("first", "RS256")) == 1
    assert (background.asked, provider.requests) == (1, 1)

    background.run()
    assert [key.key_id for key in keys.state.keys] == ["first", "second"]
    assert provider.requests == 2


def test_keys_are_renewed_in_the_background_from_a_thread_of_its_own(
    provider: Provider, http: Http, clock: Clock
) -> None:
    threads: list[threading.Thread] = []

    def begin(work: Callable[[], None]) -> None:
        def noted() -> None:
            threads.append(threading.current_thread())
            work()

        in_background(noted)

    keys = RemoteKeys(http, StoredEndpoint(provider.url), ttl=TTL, grace=GRACE, clock=clock, begin=begin)
    keys.find("first", "RS256")
    provider.asked.acquire()
    clock.pass_(TTL - 1)

    keys.find("first", "RS256")
    provider.asked.acquire()
    (thread,) = threads
    thread.join(10)

    assert keys.state.fetched_at == NOW + TTL - 1


@pytest.mark.parametrize(
    ("headers", "life"),
    [
        ({}, TTL),
        ({"Cache-Control": "no-cache"}, TTL),
        ({"Cache-Control": "max-age=100"}, 100),
        ({"Cache-Control": "max-age=100", "Age": "30"}, 70),
        ({"Cache-Control": "max-age=0, no-store"}, MIN_LIFE),
        ({"Cache-Control": "max-age=86400"}, TTL),
    ],
)
def test_the_answer_may_say_that_keys_are_due_sooner(
    provider: Provider, keys: RemoteKeys, clock: Clock, headers: dict[str, str], life: float
) -> None:
    provider.headers = headers
    keys.find("first", "RS256")
    assert keys.state.expires_at == NOW + life

    clock.pass_(life - 1)
    keys.find("first", "RS256")
    assert provider.requests == 1
    clock.pass_(1)
    keys.find("first", "RS256")
    assert provider.requests == 2


def test_keys_that_another_has_just_renewed_are_not_fetched_again(
    provider: Provider, keys: RemoteKeys, clock: Clock
) -> None:
    keys.find("first", "RS256")
    clock.pass_(TTL)
    clock.meanwhile = lambda: keys.find("first", "RS256")

    keys.find("first", "RS256")

    assert clock.meanwhile is None
    assert provider.requests == 2


def test_keys_that_nobody_needed_for_long_are_waited_for(provider: Provider, keys: RemoteKeys, clock: Clock) -> None:
    keys.find("first", "RS256")
    clock.pass_(TTL + GRACE)
    provider.serve(jwk("RS256", "second", "other"))

    assert not keys.find("first", "RS256")
    assert provider.requests == 2


@pytest.mark.parametrize("rsa_algorithms", [["PS256"], ["PS256", "RS256"], ["ES256", "PS256", "RS256", "PS512"]])
def test_rsa_keys_without_alg_serve_the_first_that_the_source_says(
    provider: Provider, http: Http, clock: Clock, rsa_algorithms: list[str]
) -> None:
    provider.serve(jwk("RS256", "first", alg=None))
    endpoint = StoredEndpoint(provider.url)
    keys = RemoteKeys(http, endpoint, ttl=TTL, grace=GRACE, rsa_algorithms=rsa_algorithms, clock=clock)

    assert keys.find("first", "PS256")
    assert not keys.find("first", "RS256")


def test_keys_serve_to_the_end_of_the_grace(provider: Provider, keys: RemoteKeys, clock: Clock) -> None:
    assert keys.serves_until == -math.inf

    keys.find("first", "RS256")
    provider.go_down()
    clock.pass_(TTL + 1)
    assert keys.find("first", "RS256")
    assert keys.serves_until == NOW + TTL + GRACE


def test_keys_that_were_fetched_while_the_clock_was_ahead_are_renewed_once_it_is_set_back(
    provider: Provider, keys: RemoteKeys, clock: Clock
) -> None:
    clock.pass_(86_400)
    (stolen,) = keys.find("first", "RS256")
    provider.serve(jwk("RS256", "second", "other"))

    clock.pass_(-86_400)
    keys.find(None, "RS256")

    assert stolen.withdrawn
    assert provider.requests == 2
