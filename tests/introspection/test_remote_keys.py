from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from flask_foreign_token.errors import REST, InvalidToken, ProviderUnavailable
from flask_foreign_token.http import Http
from flask_foreign_token.introspection.jwt import JwtIntrospector
from flask_foreign_token.introspection.remote_keys import UNKNOWN_KEY_FETCHES, UNKNOWN_KEY_REFILL, RemoteKeys
from flask_foreign_token.introspection.token import Credential

from .provider import Provider, running
from .signing import NOW, header, jwk, sign
from .test_jwt import ATTACKS, RESOURCE, RULES

TTL = 300.0
GRACE = 3600.0


class Clock:
    """Stands still until told."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running(Provider(jwk("RS256", "first"))) as provider:
        yield provider


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def http() -> Iterator[Http]:
    with closing(Http()) as http:
        yield http


@pytest.fixture
def keys(provider: Provider, clock: Clock, http: Http) -> RemoteKeys:
    return RemoteKeys(http, provider.url, ttl=TTL, grace=GRACE, clock=clock)


def at_once(threads: int, work: Callable[[int], object]) -> list[object]:
    """What `work` returns or raises in so many threads that start together."""
    together = threading.Barrier(threads)

    def begin(number: int) -> object:
        together.wait()
        try:
            return work(number)
        except ProviderUnavailable as error:
            return type(error)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(begin, range(threads)))


def down(provider: Provider) -> None:
    provider.status = 503


def up(provider: Provider) -> None:
    provider.status = 200


def test_making_a_source_asks_nobody(provider: Provider, keys: RemoteKeys) -> None:
    assert provider.requests == 0
    assert keys.state.fetched_at is None
    assert keys.state.refresh_at is None
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


def test_64_threads_on_a_cold_source_that_is_down_fetch_once(provider: Provider, keys: RemoteKeys) -> None:
    down(provider)

    found = at_once(64, lambda _number: keys.find("first", "RS256"))

    assert found == [ProviderUnavailable] * 64
    assert provider.requests == 1


def test_a_source_is_shown_with_its_keys(provider: Provider, keys: RemoteKeys) -> None:
    provider.serve(jwk("RS256", "first"), jwk("ES256", "second"), jwk("ES384", "third", use="enc"))
    keys.find("first", "RS256")

    state = keys.state

    assert state.jwks_uri == provider.url
    assert state.fetched_at == NOW
    assert state.refresh_at == NOW + TTL
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


def test_keys_that_nobody_needed_for_long_are_waited_for(provider: Provider, keys: RemoteKeys, clock: Clock) -> None:
    keys.find("first", "RS256")
    clock.pass_(TTL + GRACE)
    provider.serve(jwk("RS256", "second", "other"))

    assert not keys.find("first", "RS256")
    assert provider.requests == 2


def test_a_rotation_is_picked_up_by_the_first_token_that_needs_it(provider: Provider, keys: RemoteKeys) -> None:
    keys.find("first", "RS256")
    provider.serve(jwk("RS256", "first"), jwk("RS256", "second", "other"))

    assert len(keys.find("second", "RS256")) == 1
    assert provider.requests == 2


def test_a_rotation_is_picked_up_once_by_64_threads(provider: Provider, keys: RemoteKeys) -> None:
    keys.find("first", "RS256")
    provider.serve(jwk("RS256", "second", "other"))

    found = at_once(64, lambda _number: len(keys.find("second", "RS256")))

    assert found == [1] * 64
    assert provider.requests == 2


def test_a_flood_of_invented_key_ids_is_not_passed_on(provider: Provider, keys: RemoteKeys, clock: Clock) -> None:
    keys.find("first", "RS256")

    found = [keys.find(f"invented {number}", "RS256") for number in range(10_000)]

    assert not any(found)
    assert provider.requests == 1 + UNKNOWN_KEY_FETCHES
    clock.pass_(UNKNOWN_KEY_REFILL)
    for number in range(100):
        keys.find(f"invented {number}", "RS256")
    assert provider.requests == 2 + UNKNOWN_KEY_FETCHES


def test_a_flood_from_64_threads_is_not_passed_on(provider: Provider, keys: RemoteKeys) -> None:
    keys.find("first", "RS256")

    at_once(64, lambda number: [keys.find(f"{number}.{n}", "RS256") for n in range(20)])

    assert provider.requests <= 1 + UNKNOWN_KEY_FETCHES


def test_a_rotation_during_a_flood_waits_for_the_bucket(provider: Provider, keys: RemoteKeys, clock: Clock) -> None:
    for number in range(100):
        keys.find(f"invented {number}", "RS256")
    provider.serve(jwk("RS256", "second", "other"))
    assert not keys.find("second", "RS256")

    clock.pass_(UNKNOWN_KEY_REFILL)

    assert len(keys.find("second", "RS256")) == 1


def test_a_flood_leaves_known_keys_alone(provider: Provider, keys: RemoteKeys) -> None:
    for number in range(100):
        keys.find(f"invented {number}", "RS256")

    assert len(keys.find("first", "RS256")) == 1


def test_an_invented_key_id_on_a_cold_source_fetches_once(provider: Provider, keys: RemoteKeys) -> None:
    assert not keys.find("invented", "RS256")
    assert provider.requests == 1


@pytest.mark.parametrize(
    "spoil",
    [
        down,
        lambda provider: setattr(provider, "status", 404),
        lambda provider: setattr(provider, "status", 302),
        lambda provider: setattr(provider, "status", 201),
        lambda provider: setattr(provider, "body", []),
        lambda provider: setattr(provider, "body", {"keys": {}}),
        lambda provider: setattr(provider, "body", {"error": "no"}),
    ],
)
def test_a_cold_source_without_keys_is_unavailable(
    provider: Provider, keys: RemoteKeys, clock: Clock, spoil: Callable[[Provider], None]
) -> None:
    spoil(provider)

    for _ in range(3):
        with pytest.raises(ProviderUnavailable):
            keys.find("first", "RS256")
    assert provider.requests == 1
    assert keys.state.last_error is not None

    clock.pass_(REST)
    up(provider)
    provider.serve(jwk("RS256", "first"))
    assert len(keys.find("first", "RS256")) == 1
    assert keys.state.last_error is None


def test_a_source_that_nobody_answers_for_is_unavailable(http: Http, clock: Clock) -> None:
    with running(Provider()) as gone:
        url = gone.url
    keys = RemoteKeys(http, url, ttl=TTL, grace=GRACE, clock=clock)

    with pytest.raises(ProviderUnavailable) as unavailable:
        keys.find("first", "RS256")

    assert unavailable.value.retry_after == REST


def test_old_keys_serve_while_the_provider_is_down(provider: Provider, keys: RemoteKeys, clock: Clock) -> None:
    (first,) = keys.find("first", "RS256")
    down(provider)
    clock.pass_(TTL)

    assert list(keys.find("first", "RS256")) == [first]
    assert list(keys.find("first", "RS256")) == [first]
    assert provider.requests == 2

    clock.pass_(REST)
    assert list(keys.find("first", "RS256")) == [first]
    assert provider.requests == 3
    assert keys.state.last_error is not None
    assert not first.withdrawn


def test_old_keys_stop_serving_after_the_grace(provider: Provider, keys: RemoteKeys, clock: Clock) -> None:
    keys.find("first", "RS256")
    down(provider)
    clock.pass_(TTL + GRACE - 1)
    assert len(keys.find("first", "RS256")) == 1

    clock.pass_(1)

    with pytest.raises(ProviderUnavailable):
        keys.find("first", "RS256")


def test_an_unknown_key_id_is_unavailable_while_the_provider_is_down(
    provider: Provider, keys: RemoteKeys, clock: Clock
) -> None:
    keys.find("first", "RS256")
    down(provider)

    for _ in range(10):
        with pytest.raises(ProviderUnavailable):
            keys.find("second", "RS256")

    assert provider.requests == 2
    assert len(keys.find("first", "RS256")) == 1


def test_the_first_token_after_an_outage_finds_its_key(provider: Provider, keys: RemoteKeys, clock: Clock) -> None:
    keys.find("first", "RS256")
    down(provider)
    for _ in range(20):
        with pytest.raises(ProviderUnavailable):
            keys.find("second", "RS256")
        clock.pass_(REST)
    up(provider)
    provider.serve(jwk("RS256", "second", "other"))

    assert len(keys.find("second", "RS256")) == 1


def test_a_flood_then_an_outage_is_no_outage_for_known_keys(provider: Provider, keys: RemoteKeys) -> None:
    for number in range(100):
        keys.find(f"invented {number}", "RS256")
    down(provider)

    assert not keys.find("invented", "RS256")
    assert len(keys.find("first", "RS256")) == 1


def test_a_withdrawn_key_is_flagged_and_no_other(provider: Provider, keys: RemoteKeys, clock: Clock) -> None:
    provider.serve(jwk("RS256", "first"), jwk("ES256", "second"))
    (first,), (second,) = keys.find("first", "RS256"), keys.find("second", "ES256")
    provider.serve(jwk("ES256", "second"), jwk("ES384", "third"))
    assert not first.withdrawn

    clock.pass_(TTL)
    keys.find("third", "ES384")

    assert first.withdrawn
    assert not second.withdrawn
    assert not keys.find("first", "RS256")


def test_a_refresh_that_changes_nothing_keeps_every_key(provider: Provider, keys: RemoteKeys, clock: Clock) -> None:
    (first,) = keys.find("first", "RS256")
    clock.pass_(TTL)

    (again,) = keys.find("first", "RS256")

    assert provider.requests == 2
    assert again is first
    assert not first.withdrawn


def test_a_failed_refresh_withdraws_nothing(provider: Provider, keys: RemoteKeys, clock: Clock) -> None:
    (first,) = keys.find("first", "RS256")
    clock.pass_(TTL)
    provider.body = {"keys": None}

    assert list(keys.find("first", "RS256")) == [first]
    assert not first.withdrawn


def test_rsa_keys_without_alg_serve_what_the_source_says(provider: Provider, http: Http, clock: Clock) -> None:
    provider.serve(jwk("RS256", "first", alg=None))
    keys = RemoteKeys(http, provider.url, ttl=TTL, grace=GRACE, rsa_algorithms=["PS256"], clock=clock)

    assert keys.find("first", "PS256")
    assert not keys.find("first", "RS256")


def test_no_attack_reaches_the_provider_more_than_a_flood_may(provider: Provider, keys: RemoteKeys) -> None:
    provider.serve(jwk("RS256"), jwk("PS256"), jwk("ES256"), jwk("EdDSA"))
    introspector = JwtIntrospector(RESOURCE, RULES, keys, clock=lambda: NOW)
    introspector.introspect(Credential("bearer", sign()))

    for token in ATTACKS.values():
        with pytest.raises(InvalidToken):
            introspector.introspect(Credential("bearer", token))

    assert provider.requests <= 1 + UNKNOWN_KEY_FETCHES


@pytest.mark.parametrize("name", ["jku", "x5u"])
def test_an_address_in_the_header_is_never_called(provider: Provider, keys: RemoteKeys, name: str) -> None:
    provider.serve(jwk("RS256"))
    introspector = JwtIntrospector(RESOURCE, RULES, keys, clock=lambda: NOW)
    with running(Provider(jwk("RS256", "evil", "attacker"))) as evil:
        head: dict[str, Any] = header(**{name: evil.url})

        introspector.introspect(Credential("bearer", sign(head)))

    assert evil.requests == 0
    assert provider.requests == 1


def test_an_attack_on_a_cold_source_fetches_nothing(provider: Provider, keys: RemoteKeys) -> None:
    """What can be refused by looking at it never gets as far as the keys."""
    introspector = JwtIntrospector(RESOURCE, RULES, keys, clock=lambda: NOW)
    refused = partial(pytest.raises, InvalidToken)

    for name, token in ATTACKS.items():
        if name.startswith(("alg", "public", "crit", "b64", "kid [", "iss", "empty", "dupl", "JWE", "dots", "9 000")):
            with refused():
                introspector.introspect(Credential("bearer", token))

    assert provider.requests == 0
