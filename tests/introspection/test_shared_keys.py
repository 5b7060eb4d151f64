"""Keys that one worker fetches and others use."""

from __future__ import annotations

import pytest

from flask_foreign_token.errors import ProviderUnavailable
from flask_foreign_token.http import Http
from flask_foreign_token.introspection.remote_keys import UNKNOWN_KEY_FETCHES, RemoteKeys
from flask_foreign_token.introspection.shared_document import LOOK, SHORT_WAIT
from flask_foreign_token.shared_cache import Shared

from ..shared_stores import Memory, shared_in
from .concurrency import Background, Clock, at_once
from .provider import GRACE, TTL, Provider, running
from .sharing import AHEAD, Make, Worker, claiming, make_fixture, memory_fixture, name_of  # noqa: F401
from .signing import NOW, jwk


def test_one_fetches_and_the_others_do_not(make: Make, provider: Provider) -> None:
    assert all(make().knows("first") for _ in range(5))

    assert provider.requests == 1


def test_64_cold_workers_at_once_fetch_once(make: Make, provider: Provider) -> None:
    workers = [make(sleep=lambda seconds: provider.asked.acquire(timeout=0.01)) for _ in range(64)]

    assert at_once(64, lambda number: workers[number].knows("first")) == [True] * 64
    assert provider.requests == 1


def test_what_was_fetched_elsewhere_serves_for_no_longer_than_there(make: Make, clock: Clock) -> None:
    make().knows("first")
    clock.pass_(100)
    late = make()
    late.knows("first")

    state = late.keys.state
    assert (state.fetched_at, state.expires_at) == (NOW, NOW + TTL)
    assert state.refresh_at == NOW + AHEAD


def test_nor_for_longer_than_the_worker_has_it_serve(make: Make) -> None:
    make().knows("first")
    hasty = make(ttl=60.0)
    hasty.knows("first")

    assert hasty.keys.state.expires_at == NOW + 60


def test_nor_for_longer_than_that_where_its_end_is_said_to_be_later(make: Make, provider: Provider) -> None:
    worker = make()
    keys = {"keys": [jwk("RS256", "first")]}
    worker.cache.leave("keys", name_of(provider), Shared(keys, NOW - 1, NOW + 2 * TTL))
    assert worker.knows("first")
    assert worker.keys.state.expires_at == NOW - 1 + TTL
    assert provider.requests == 0

    late = make()
    late.cache.leave("keys", name_of(provider), Shared(keys, NOW - TTL, NOW + TTL))
    assert late.knows("first")
    assert late.keys.state.fetched_at == NOW
    assert provider.requests == 1


def test_one_renews_for_all(make: Make, provider: Provider, clock: Clock) -> None:
    workers = [make() for _ in range(5)]
    assert all(worker.knows("first") for worker in workers)
    clock.pass_(AHEAD)

    assert all(worker.knows("first") for worker in workers)
    assert provider.requests == 2
    assert {worker.keys.state.fetched_at for worker in workers} == {NOW + AHEAD}


def test_a_new_key_is_known_to_others_without_a_fetch(make: Make, provider: Provider, clock: Clock) -> None:
    workers = [make() for _ in range(5)]
    assert all(worker.knows("first") for worker in workers)
    provider.serve(jwk("RS256", "first"), jwk("RS256", "second"))
    clock.pass_(1)

    assert all(worker.knows("second") for worker in workers)
    assert provider.requests == 2


def test_a_key_that_is_withdrawn_falls_with_what_others_fetched(make: Make, provider: Provider, clock: Clock) -> None:
    one, other = make(), make()
    assert one.knows("first")
    (key,) = other.keys.find("first", "RS256")
    provider.serve(jwk("RS256", "second"))
    clock.pass_(AHEAD)

    assert one.knows("second")
    # It goes on with what there is, and has it renewed.
    other.knows("first")
    assert key.withdrawn
    assert not other.knows("first")


def test_an_older_set_that_is_put_back_takes_nobodys_place(
    make: Make, provider: Provider, memory: Memory, clock: Clock
) -> None:
    worker = make()
    assert worker.knows("first")
    old = memory.kept[memory.only()]
    provider.serve(jwk("RS256", "second"))
    clock.pass_(AHEAD)
    assert worker.knows("second")
    memory.kept[memory.only()] = old

    assert not worker.knows("first")


def test_an_invented_key_is_looked_for_at_the_provider_as_ever(make: Make, provider: Provider) -> None:
    one, other = make(), make()
    assert one.knows("first")

    assert not other.knows("invented")
    assert provider.requests == 2


def test_a_set_that_another_fetches_meanwhile_answers_for_an_invented_key(
    make: Make, provider: Provider, clock: Clock
) -> None:
    other = make()

    def sleep(seconds: float) -> None:
        clock.pass_(seconds)
        other.leave(provider, clock(), "first")

    worker = make(sleep=sleep)
    assert worker.knows("first")
    other.cache.claim("keys", name_of(provider))

    assert not worker.knows("invented")
    assert provider.requests == 1


def test_a_set_that_another_began_to_fetch_before_does_not(make: Make, provider: Provider, clock: Clock) -> None:
    other = make()
    worker = make(sleep=lambda seconds: other.leave(provider, NOW + 1, "first"))
    assert worker.knows("first")
    provider.serve(jwk("RS256", "second"))
    clock.pass_(1)
    other.cache.claim("keys", name_of(provider))

    assert worker.knows("second")
    assert provider.requests == 2


def use_up(worker: Worker, provider: Provider) -> None:
    """What it may fetch on account of keys that nobody has."""
    assert worker.knows("first")
    for number in range(UNKNOWN_KEY_FETCHES):
        assert not worker.knows(f"invented {number}")
    assert provider.requests == 1 + UNKNOWN_KEY_FETCHES


def test_who_may_not_fetch_looks_for_what_others_fetched(make: Make, provider: Provider, clock: Clock) -> None:
    worker, other = make(), make()
    use_up(worker, provider)
    clock.pass_(LOOK)
    other.leave(provider, clock(), "first", "second")

    assert not worker.knows("invented")
    assert worker.knows("second")
    assert provider.requests == 1 + UNKNOWN_KEY_FETCHES


def test_who_may_not_fetch_looks_once_in_a_while(make: Make, provider: Provider, memory: Memory, clock: Clock) -> None:
    worker = make()
    use_up(worker, provider)
    clock.pass_(LOOK)
    memory.calls = 0

    assert not any(worker.knows(f"invented again {number}") for number in range(10))
    assert memory.calls == 1
    clock.pass_(LOOK)
    assert not worker.knows("invented once more")
    assert memory.calls == 2


def test_who_begins_while_the_provider_is_down_goes_on_with_what_others_fetched(
    make: Make, provider: Provider, clock: Clock
) -> None:
    make().knows("first")
    provider.go_down()
    clock.pass_(TTL + GRACE - 1)
    late = make()

    assert late.knows("first")
    assert late.keys.serves_until == NOW + TTL + GRACE
    assert late.keys.state.last_error is not None
    clock.pass_(1)
    with pytest.raises(ProviderUnavailable):
        late.knows("first")


def test_who_begins_has_newer_keys_fetched_than_those_whose_life_is_over(
    make: Make, provider: Provider, clock: Clock
) -> None:
    make().knows("first")
    provider.serve(jwk("RS256", "second"))
    clock.pass_(TTL)

    assert not make().knows("first")
    assert provider.requests == 2


def test_who_begins_while_others_try_for_ever_tries_itself_before_it_goes_on_with_keys_whose_life_is_over(
    make: Make, provider: Provider, clock: Clock
) -> None:
    other = make()
    assert other.knows("first")
    clock.pass_(TTL)
    provider.go_down()

    assert make(sleep=claiming(other, provider, clock)).knows("first")
    assert SHORT_WAIT <= clock() - NOW - TTL < SHORT_WAIT + 0.2
    assert provider.requests == 2


def test_who_cannot_reach_the_provider_follows_those_who_can(make: Make, provider: Provider, clock: Clock) -> None:
    cut_off, other = make(), make()
    assert cut_off.knows("first")
    provider.go_down()
    with pytest.raises(ProviderUnavailable):
        cut_off.knows("second")
    provider.come_back()
    provider.serve(jwk("RS256", "second"))
    clock.pass_(1)
    assert other.knows("second")
    before = provider.requests

    assert cut_off.knows("second")
    assert cut_off.keys.state.last_error is None
    assert provider.requests == before


def test_who_rests_and_whose_keys_are_over_follows_those_who_can(make: Make, provider: Provider, clock: Clock) -> None:
    cut_off, other = make(), make()
    assert cut_off.knows("first")
    provider.go_down()
    clock.pass_(TTL)
    assert cut_off.knows("first")
    other.leave(provider, clock(), "second")

    clock.pass_(LOOK)

    assert [key.key_id for key in cut_off.keys.find(None, "RS256")] == ["second"]
    assert provider.requests == 2


@pytest.mark.parametrize(
    "value", [None, [], "keys", {}, {"keys": "none"}], ids=["null", "list", "text", "empty", "no list"]
)
def test_what_others_left_and_is_no_key_set_is_nothing(make: Make, provider: Provider, value: object) -> None:
    worker = make()
    worker.cache.leave("keys", name_of(provider), Shared(value, NOW, NOW + TTL))

    assert worker.knows("first")
    assert provider.requests == 1


def test_a_key_that_others_left_and_that_must_not_be_used_verifies_nothing(make: Make, provider: Provider) -> None:
    worker = make()
    symmetric = {"kty": "oct", "kid": "first", "k": "c2VjcmV0", "alg": "RS256"}
    worker.cache.leave("keys", name_of(provider), Shared({"keys": [symmetric]}, NOW, NOW + TTL))

    assert not worker.knows("first")


# ---- without the cache


@pytest.mark.parametrize("background", [False, True], ids=["in the request", "in the background"])
def test_where_the_cache_is_down_everybody_fetches_alone(
    make: Make, provider: Provider, memory: Memory, background: bool
) -> None:
    memory.error = ConnectionError()
    held = Background()
    held.threads_run = True
    workers = [make(held) if background else make() for _ in range(3)]

    assert all(worker.knows("first") for worker in workers)
    assert provider.requests == 3
    assert memory.calls == 3


class Published:
    """An address that its issuer publishes, and changes while its keys are on the way."""

    known = None
    place = "https://evil.example jwks_uri"

    def __init__(self, own: Provider, others: Provider) -> None:
        self.own = own
        self.others = others

    def locate(self) -> str:
        return self.others.url if self.own.requests else self.own.url


def test_nobody_leaves_keys_under_the_address_of_another(
    http: Http, make: Make, provider: Provider, memory: Memory, clock: Clock
) -> None:
    with running(Provider(jwk("RS256", "evil"))) as evil:
        endpoint = Published(evil, provider)
        keys = RemoteKeys(http, endpoint, ttl=TTL, grace=GRACE, sharing=shared_in(memory, clock), clock=clock)
        assert keys.find("evil", "RS256")

    honest = make()
    assert not honest.knows("evil")
    assert honest.knows("first")
