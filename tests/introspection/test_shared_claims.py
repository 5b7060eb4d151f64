"""Who fetches, where many workers want the same keys at once, and what the others do meanwhile."""

from __future__ import annotations

import pytest

from flask_foreign_token.errors import REST, ProviderUnavailable
from flask_foreign_token.introspection.remote_document import YIELD
from flask_foreign_token.introspection.shared_document import LOOK, SHORT_WAIT, WAIT
from flask_foreign_token.shared_cache import CLAIM, Shared

from ..shared_stores import Memory
from .concurrency import Clock
from .provider import TTL, Provider
from .sharing import AHEAD, Make, claiming, forbidden, make_fixture, memory_fixture, name_of  # noqa: F401
from .signing import NOW, jwk


def test_who_waits_for_another_takes_what_that_brings(make: Make, provider: Provider, clock: Clock) -> None:
    one, other = make(), make()
    other.cache.claim("keys", name_of(provider))
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            one.cache.leave("keys", name_of(provider), Shared({"keys": [jwk("RS256", "first")]}, NOW, NOW + TTL))

    assert make(sleep=sleep).knows("first")
    assert len(pauses) == 3
    assert provider.requests == 0


def test_who_waited_long_enough_fetches_alone(make: Make, provider: Provider) -> None:
    holder = make()
    holder.cache.claim("keys", name_of(provider))
    pauses: list[float] = []

    assert make(sleep=pauses.append).knows("first")
    assert WAIT <= sum(pauses) < WAIT + 0.2
    assert provider.requests == 1


def test_who_waits_for_one_that_died_takes_its_claim_over(make: Make, provider: Provider, clock: Clock) -> None:
    make().cache.claim("keys", name_of(provider))

    assert make().knows("first")
    assert CLAIM <= clock() - NOW < CLAIM + 0.2
    assert provider.requests == 1


ages = pytest.mark.parametrize("age", [AHEAD, TTL], ids=["late in the life", "after the life"])


@ages
def test_who_found_the_provider_down_leaves_it_to_others_to_try_and_waits_for_nothing(
    make: Make, provider: Provider, memory: Memory, clock: Clock, age: float
) -> None:
    worker, other = make(sleep=forbidden), make()
    assert worker.knows("first")
    clock.pass_(age)
    provider.go_down()
    assert worker.knows("first")
    clock.pass_(REST)
    mark = other.cache.claim("keys", name_of(provider))
    assert mark is not None
    memory.calls = 0
    assert all(worker.knows("first") for _ in range(10))
    assert provider.requests == 2
    assert memory.calls == 4

    other.leave(provider, clock(), "first", "second")
    other.cache.release("keys", name_of(provider), mark)
    clock.pass_(LOOK)
    assert worker.knows("first")
    assert worker.knows("second")
    assert provider.requests == 2


def test_nor_does_it_leave_that_to_others_for_ever(make: Make, provider: Provider, clock: Clock) -> None:
    worker, other = make(), make()
    assert worker.knows("first")
    clock.pass_(TTL)
    provider.go_down()
    assert worker.knows("first")
    provider.come_back()
    clock.pass_(YIELD - 1)
    other.cache.claim("keys", name_of(provider))
    assert worker.knows("first")
    assert provider.requests == 2

    clock.pass_(1)
    other.cache.claim("keys", name_of(provider))
    assert worker.knows("first")
    assert provider.requests == 3


@ages
def test_who_claims_for_ever_does_not_put_a_renewal_off_for_long(
    make: Make, provider: Provider, clock: Clock, age: float
) -> None:
    worker = make(sleep=claiming(make(), provider, clock))
    assert worker.knows("first")
    clock.pass_(age)
    begun = clock()
    worker.cache.claim("keys", name_of(provider))

    assert worker.knows("first")
    assert SHORT_WAIT <= clock() - begun < SHORT_WAIT + 0.2
    assert provider.requests == 2


def test_a_claim_ends_with_the_fetch(make: Make, provider: Provider, memory: Memory) -> None:
    assert make().knows("first")
    assert not memory.only().endswith(":claim")


def test_a_claim_ends_with_a_fetch_that_fails(make: Make, provider: Provider, memory: Memory) -> None:
    provider.go_down()
    with pytest.raises(ProviderUnavailable):
        make().knows("first")

    assert memory.kept == {}


def test_who_failed_to_fetch_rests_as_ever(make: Make, provider: Provider, clock: Clock) -> None:
    provider.go_down()
    worker = make()
    for _ in range(3):
        with pytest.raises(ProviderUnavailable):
            worker.knows("first")
    assert provider.requests == 1

    provider.come_back()
    clock.pass_(REST)
    assert worker.knows("first")
