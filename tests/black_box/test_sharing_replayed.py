"""Entries that are genuine and not of now: older ones that were put back, and those of another clock."""

from __future__ import annotations

import pytest
from redis import Redis

from ..apps import Resource, ask
from .people import People
from .sharing import INTROSPECTION, KINDS, Worker, by, entries, opaque, publish, put_back
from .tokens import ISSUER, OPAQUE, let_in, refused

INACTIVE = {"active": False}


def test_older_keys_put_back_take_no_newer_ones_from_a_worker(worker: Worker, issuing: People, store: Redis, now):
    publish(issuing, "first")
    first, second = (worker(KINDS["keys"].resources(issuing)) for _ in range(2))
    for app in (first, second):
        let_in(ask(app, by("first")))
    old = entries(store)
    now.now += 10
    publish(issuing, "second")
    for app in (first, second):
        let_in(ask(app, by("second")))

    put_back(store, old)
    for app in (first, second):
        for jti in range(3):
            refused(ask(app, by("first", jti=jti)))
            let_in(ask(app, by("second", jti=jti)))


def test_older_keys_put_back_end_when_they_would_have(worker: Worker, issuing: People, store: Redis, now):
    publish(issuing, "first")
    let_in(ask(worker(KINDS["keys"].resources(issuing)), by("first")))
    old = entries(store)
    publish(issuing, "second")

    put_back(store, old)
    now.now += 301
    cold = worker(KINDS["keys"].resources(issuing))
    refused(ask(cold, by("first")))
    let_in(ask(cold, by("second")))


def test_an_older_answer_put_back_ends_when_it_would_have(worker: Worker, issuing: People, store: Redis, now):
    first = worker(opaque(issuing, cache_ttl=300))
    let_in(ask(first, OPAQUE))
    old = entries(store)
    issuing.pages[INTROSPECTION] = INACTIVE
    now.now += 301
    refused(ask(first, OPAQUE))

    put_back(store, old)
    now.now += 61
    refused(ask(first, OPAQUE))
    refused(ask(worker(opaque(issuing, cache_ttl=300)), OPAQUE))


def test_an_older_answer_put_back_changes_nothing_for_who_knows_better(worker: Worker, issuing: People, store, now):
    first = worker(opaque(issuing, cache_ttl=60))
    let_in(ask(first, OPAQUE))
    old = entries(store)
    issuing.pages[INTROSPECTION] = INACTIVE
    now.now += 61
    refused(ask(first, OPAQUE))

    put_back(store, old)
    refused(ask(first, OPAQUE))


def test_what_comes_from_the_future_is_not_used(worker: Worker, issuing: People, now):
    resources: list[Resource] = opaque(issuing, cache_ttl=60)
    now.now += 3600
    let_in(ask(worker(resources), OPAQUE))
    issuing.pages[INTROSPECTION] = INACTIVE

    now.now -= 3600
    refused(ask(worker(resources), OPAQUE), "not active")


def test_keys_from_the_future_are_not_used(worker: Worker, issuing: People, now):
    publish(issuing, "first")
    now.now += 86_400
    let_in(ask(worker(KINDS["keys"].resources(issuing)), by("first", iss=ISSUER)))
    publish(issuing, "second")

    now.now -= 86_400
    refused(ask(worker(KINDS["keys"].resources(issuing)), by("first")))


@pytest.mark.parametrize("skew", [0.01, 1, 5])
def test_clocks_that_are_a_little_apart_do_not_keep_workers_from_sharing(worker: Worker, issuing: People, now, skew):
    first, second = (worker(opaque(issuing)) for _ in range(2))

    now.now += skew
    let_in(ask(first, OPAQUE))
    now.now -= skew
    let_in(ask(second, OPAQUE))
    assert issuing.count(INTROSPECTION) == 1
