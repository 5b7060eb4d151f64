from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from flask_foreign_token.errors import InvalidToken, ProviderUnavailable
from flask_foreign_token.introspection import remote_document
from flask_foreign_token.introspection.jwt import JwtIntrospector
from flask_foreign_token.introspection.remote_document import REFRESH_AHEAD
from flask_foreign_token.introspection.remote_keys import UNKNOWN_KEY_FETCHES, UNKNOWN_KEY_REFILL, RemoteKeys
from flask_foreign_token.introspection.token import Credential

from .concurrency import Background, Clock, at_once
from .provider import TTL, Provider, running
from .signing import NOW, header, jwk, sign
from .test_jwt import ATTACKS, RESOURCE, RULES


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


def test_a_flood_that_lasts_is_passed_on_as_slowly_as_the_bucket_refills(
    provider: Provider, keys: RemoteKeys, clock: Clock
) -> None:
    keys.find("first", "RS256")
    lasting = 0.02 * 10_000

    for number in range(10_000):
        assert not keys.find(f"invented {number}", "RS256")
        clock.pass_(lasting / 10_000)

    assert provider.requests <= 1 + UNKNOWN_KEY_FETCHES + lasting / UNKNOWN_KEY_REFILL
    assert provider.requests >= lasting / UNKNOWN_KEY_REFILL


def test_a_flood_does_not_keep_keys_from_being_renewed(
    provider: Provider, keys: RemoteKeys, background: Background, clock: Clock
) -> None:
    background.threads_run = True
    keys.find("first", "RS256")
    for number in range(100):
        keys.find(f"invented {number}", "RS256")
    clock.pass_(REFRESH_AHEAD * TTL)
    for number in range(100):
        keys.find(f"invented {number}", "RS256")
    provider.serve(jwk("RS256", "second", "other"))
    clock.pass_(REFRESH_AHEAD * TTL)

    keys.find("first", "RS256")
    background.run()

    assert [key.key_id for key in keys.state.keys] == ["second"]


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


def test_a_key_that_was_withdrawn_is_refused_from_the_renewal_in_the_background_on(
    provider: Provider, keys: RemoteKeys, background: Background, clock: Clock
) -> None:
    background.threads_run = True
    provider.serve(jwk("RS256", "first"), jwk("ES256", "second"))
    (first,), (second,) = keys.find("first", "RS256"), keys.find("second", "ES256")
    provider.serve(jwk("ES256", "second"))
    clock.pass_(REFRESH_AHEAD * TTL)
    keys.find("second", "ES256")
    assert not first.withdrawn

    background.run()

    assert first.withdrawn
    assert list(keys.find("second", "ES256")) == [second]
    assert not second.withdrawn


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


def test_a_slow_provider_does_not_hold_those_with_unknown_key_ids(
    provider: Provider, keys: RemoteKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_document, "PATIENCE", 0.05)
    keys.find("first", "RS256")
    provider.asked.acquire()
    provider.serve(jwk("RS256", "first"), jwk("RS256", "second", "other"))
    provider.hold()
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(keys.find, "second", "RS256")
        provider.asked.acquire()

        refused = at_once(8, lambda number: keys.find(f"invented {number}", "RS256"))
        known = at_once(8, lambda _number: len(keys.find("first", "RS256")))

        assert not fetching.done()
        provider.release()

    assert refused == [ProviderUnavailable] * 8
    assert known == [1] * 8
    assert len(fetching.result()) == 1
    assert provider.requests == 2


def test_who_waits_for_a_fetch_that_comes_soon_finds_the_key(provider: Provider, keys: RemoteKeys) -> None:
    keys.find("first", "RS256")
    provider.asked.acquire()
    provider.serve(jwk("RS256", "second", "other"))
    provider.hold()
    with ThreadPoolExecutor(2) as pool:
        fetching = pool.submit(keys.find, "second", "RS256")
        provider.asked.acquire()
        waiting = pool.submit(keys.find, "second", "RS256")
        provider.release()

    assert len(fetching.result()) == len(waiting.result()) == 1


def test_a_source_that_is_retired_withdraws_its_keys(provider: Provider, keys: RemoteKeys) -> None:
    (first,) = keys.find("first", "RS256")
    assert not first.withdrawn

    keys.retire()

    assert first.withdrawn


def test_a_fetch_that_ends_after_its_source_was_retired_brings_withdrawn_keys(
    provider: Provider, keys: RemoteKeys
) -> None:
    provider.hold()
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(keys.find, "first", "RS256")
        provider.asked.acquire()
        keys.retire()
        provider.release()

    assert [key.withdrawn for key in fetching.result()] == [True]
