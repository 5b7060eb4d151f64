"""How old what is shared may be: as old as where it was fetched, and nothing that has been replaced since."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from ..apps import ask, registry_of, write_registry
from ..conftest import MakeApp, wait_for_background
from .callers import OPERATOR_SETTINGS, operate, put_all
from .people import USERINFO, People
from .people import token as token_about
from .registries import AT_ONCE
from .sharing import INTROSPECTION, KEYS, KINDS, Worker, by, lasting, opaque, publish
from .tokens import OPAQUE, active, document, let_in, refused, until

INACTIVE = {"active": False}


# ---- introspection


@pytest.mark.parametrize("ttl", [1, 60, 300, 3600])
def test_an_answer_is_over_where_it_was_taken_over_when_it_is_where_it_was_fetched(worker, issuing: People, now, ttl):
    first, second = (worker(opaque(issuing, cache_ttl=ttl)) for _ in range(2))
    let_in(ask(first, OPAQUE))
    now.now += ttl * 0.9
    let_in(ask(second, OPAQUE))
    assert issuing.count(INTROSPECTION) == 1
    issuing.pages[INTROSPECTION] = INACTIVE

    now.now += ttl * 0.1 + 0.01
    refused(ask(second, OPAQUE), "not active")
    refused(ask(first, OPAQUE), "not active")


def test_an_answer_is_over_for_a_cold_worker_too(worker: Worker, issuing: People, now):
    let_in(ask(worker(opaque(issuing, cache_ttl=60)), OPAQUE))
    issuing.pages[INTROSPECTION] = INACTIVE

    now.now += 60.5
    refused(ask(worker(opaque(issuing, cache_ttl=60)), OPAQUE), "not active")


@pytest.mark.parametrize("cold", [True, False], ids=["cold", "taken over before"])
def test_no_answer_outlives_the_token(worker: Worker, issuing: People, now, cold: bool):
    resources = opaque(issuing, cache_ttl=3600, jwt={"aud": "account", "leeway": 0})
    issuing.pages[INTROSPECTION] = active(iss=None, iat=int(now.now), exp=int(now.now) + 20)
    first, second = worker(resources), worker(resources)
    let_in(ask(first, OPAQUE))
    if not cold:
        now.now += 10
        let_in(ask(second, OPAQUE))

    now.now += 21
    refused(ask(second, OPAQUE), "expired")


@pytest.mark.parametrize("ttl", [60, 3600])
def test_that_a_token_is_not_active_is_over_after_a_minute_at_every_worker(worker: Worker, issuing, now, ttl: int):
    issuing.pages[INTROSPECTION] = INACTIVE
    first, second = (worker(opaque(issuing, cache_ttl=ttl)) for _ in range(2))
    refused(ask(first, OPAQUE))
    now.now += 50
    refused(ask(second, OPAQUE))
    issuing.pages[INTROSPECTION] = active(iss=None, exp=int(now.now) + 10_000)

    now.now += 10.5
    let_in(ask(first, OPAQUE))
    now.now += 50
    let_in(ask(second, OPAQUE))


def changed_client(people: People) -> dict[str, Any]:
    client = {"client_id": "another", "client_secret": "another-secret-of-the-clinic"}
    return {"introspection_endpoint": {"url": people.url + INTROSPECTION, **client}}


def changed_endpoint(people: People) -> dict[str, Any]:
    client = {"client_id": "clinic", "client_secret": "the-secret-of-the-clinic"}
    return {"introspection_endpoint": {"url": f"{people.url}/introspect2", **client}}


CHANGES = {
    "cache_ttl": lambda people: {"cache_ttl": 299},
    "client": changed_client,
    "endpoint": changed_endpoint,
    "audience": lambda people: {"jwt": {"aud": ["account", "another"]}},
}


@pytest.mark.parametrize("name", CHANGES)
def test_an_answer_under_an_old_version_is_never_used(worker: Worker, issuing: People, name: str):
    old, new = opaque(issuing), opaque(issuing, **CHANGES[name](issuing))
    first, second = worker(old, **AT_ONCE), worker(new, **AT_ONCE)
    let_in(ask(first, OPAQUE))
    issuing.pages[INTROSPECTION] = issuing.pages["/introspect2"] = INACTIVE

    refused(ask(second, OPAQUE), "not active")
    let_in(ask(first, OPAQUE))
    write_registry(registry_of(first), new)
    refused(ask(first, OPAQUE), "not active")


@pytest.mark.parametrize("name", CHANGES)
def test_an_answer_under_an_old_version_in_the_database_is_never_used(worker: Worker, issuing, tmp_path, name: str):
    config = {**OPERATOR_SETTINGS, **AT_ONCE, "SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path / 'app.sqlite'}"}
    first, second = worker(**config), worker(**config)
    put_all(first, opaque(issuing))
    let_in(ask(first, OPAQUE))
    issuing.pages[INTROSPECTION] = issuing.pages["/introspect2"] = INACTIVE

    put_all(first, opaque(issuing, **CHANGES[name](issuing)))
    for app in (second, first):
        refused(ask(app, OPAQUE), "not active")


def back_and_forth(app: Flask, issuing: People) -> None:
    put_all(app, opaque(issuing, cache_ttl=299))
    put_all(app, opaque(issuing))


def deleted_and_made_again(app: Flask, issuing: People) -> None:
    assert operate(app, "DELETE", "/fhir/TokenIntrospector/asked").status_code in {200, 204}
    put_all(app, opaque(issuing))


@pytest.mark.parametrize("change", [back_and_forth, deleted_and_made_again])
def test_an_answer_is_not_used_again_once_all_is_as_it_was(worker: Worker, make_app, issuing, tmp_path, change):
    config = {**OPERATOR_SETTINGS, **AT_ONCE, "SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path / 'app.sqlite'}"}
    first, second = worker(**config), worker(**config)
    put_all(first, opaque(issuing))
    let_in(ask(first, OPAQUE))
    issuing.pages[INTROSPECTION] = INACTIVE

    change(first, issuing)
    for app in (second, first):
        refused(ask(app, OPAQUE), "not active")


# ---- keys


def test_a_key_that_one_worker_learned_the_others_know_without_a_fetch(worker: Worker, issuing: People, now):
    publish(issuing, "first")
    apps = [worker(KINDS["keys"].resources(issuing)) for _ in range(3)]
    for app in apps:
        let_in(ask(app, by("first")))
    assert issuing.fetches == 1
    now.now += 1
    publish(issuing, "first", "second")

    for app in apps:
        let_in(ask(app, by("second")))
        let_in(ask(app, by("first", sub="bob")), "bob")
    assert issuing.fetches == 2


def test_a_key_that_is_withdrawn_falls_with_the_keys_that_another_worker_fetched(worker: Worker, issuing: People, now):
    publish(issuing, "first")
    first, second = (worker(KINDS["keys"].resources(issuing)) for _ in range(2))
    known = by("first")
    for app in (first, second):
        let_in(ask(app, known))
    now.now += 1
    publish(issuing, "second")

    for app in (first, second):
        let_in(ask(app, by("second")))
        refused(ask(app, known), "no key")
    assert issuing.fetches <= 4, "the old token names a key that is unknown again"


def test_a_withdrawn_key_falls_at_every_worker_with_its_next_refresh(worker: Worker, issuing: People, now):
    publish(issuing, "first", "second")
    first, second = (worker(KINDS["keys"].resources(issuing)) for _ in range(2))
    known = by("first")
    let_in(ask(first, known))
    now.now += 200
    let_in(ask(second, known))
    publish(issuing, "second")

    now.now += 101
    let_in(ask(second, by("second")))
    until(lambda: ask(second, known).status_code == 401)


@pytest.mark.parametrize("age", [60, 600])
def test_keys_are_as_old_where_they_were_taken_over_as_where_they_were_fetched(worker, issuing: People, now, age: int):
    publish(issuing, "first", Cache_Control=f"max-age={age}")
    first, second = (worker(KINDS["keys"].resources(issuing)) for _ in range(2))
    let_in(ask(first, by("first")))
    now.now += 50
    let_in(ask(second, by("first")))
    assert issuing.fetches == 1

    now.now += age - 50 + 1
    let_in(ask(second, by("first", jti="2")))
    until(lambda: issuing.fetches == 2)


TIMES = [201, 280, 301, 600, 1900, 3300, 3599, 3605, 3895, 3905, 4000, 5000, 10_000]


@pytest.mark.parametrize("taken", [1, 200, 299, 1800, 3500])
def test_while_the_provider_is_down_keys_end_when_they_do_where_they_were_fetched(
    worker: Worker, timed_app: MakeApp, issuing: People, now, taken: int
):
    resources = KINDS["keys"].resources(issuing)
    alone, first, second = timed_app(resources), worker(resources), worker(resources)
    begin = now.now
    for app in (alone, first):
        let_in(ask(app, lasting()))
    issuing.pages[KEYS] = document({}, 500)

    now.now = begin + taken
    ask(second, lasting())
    seen: dict[int, list[int]] = {}
    for at in (time for time in TIMES if time > taken):
        now.now = begin + at
        seen[at] = [ask(app, lasting(jti=str(at))).status_code for app in (alone, first, second)]

    assert {alone for alone, _, _ in seen.values()} == {200, 503}
    for at, (status, shared, taken_over) in seen.items():
        assert shared == status, f"{at}: {seen}"
        assert taken_over in {status, 503}, f"{at}: {seen}"
        if taken < 300:
            assert taken_over == status, f"{at}: {seen}"


def test_keys_that_are_over_are_nothing_for_a_cold_worker(worker: Worker, issuing: People, now):
    let_in(ask(worker(KINDS["keys"].resources(issuing)), lasting()))
    issuing.pages[KEYS] = document({}, 500)

    now.now += 300 + 3600 + 10
    assert ask(worker(KINDS["keys"].resources(issuing)), lasting()).status_code == 503


def test_a_cold_worker_asks_for_keys_whose_time_is_over(worker: Worker, issuing: People, now):
    publish(issuing, "first")
    let_in(ask(worker(KINDS["keys"].resources(issuing)), by("first")))
    publish(issuing, "second")

    now.now += 301
    second = worker(KINDS["keys"].resources(issuing))
    refused(ask(second, by("first")), "no key")
    let_in(ask(second, by("second")))


def test_keys_are_refreshed_ahead_once_for_all_workers(worker: Worker, issuing: People, now):
    apps = [worker(KINDS["keys"].resources(issuing)) for _ in range(3)]
    for app in apps:
        let_in(ask(app, lasting()))

    now.now += 280
    for number, app in enumerate(apps):
        let_in(ask(app, lasting(jti=str(number))))
        wait_for_background()
    assert issuing.fetches == 2


def test_keys_that_are_over_are_fetched_once_for_all_workers(worker: Worker, issuing: People, now):
    apps = [worker(KINDS["keys"].resources(issuing)) for _ in range(3)]
    for app in apps:
        let_in(ask(app, lasting()))

    now.now += 600
    for number, app in enumerate(apps):
        let_in(ask(app, lasting(jti=str(number))))
        wait_for_background()
    assert issuing.fetches == 2


def test_random_kids_at_many_workers_fetch_no_more_than_each_bucket_allows(worker: Worker, issuing: People):
    apps = [worker(KINDS["keys"].resources(issuing)) for _ in range(2)]
    for app in apps:
        let_in(ask(app, lasting()))

    for number in range(100):
        refused(ask(apps[number % 2], lasting(kid=f"random{number}")))
    assert issuing.fetches - 1 <= 8


# ---- userinfo


def test_userinfo_is_not_shared_for_longer_than_it_is_fresh(worker: Worker, issuing: People, now):
    resources, token = issuing.resources(), token_about()
    let_in(ask(worker(resources), token))

    now.now += 3601
    let_in(ask(worker(resources), token))
    assert issuing.asked == 2


def test_a_change_of_the_provider_has_userinfo_asked_for_anew(worker: Worker, issuing: People):
    token = token_about()
    issuing.pages["/userinfo2"] = issuing.pages[USERINFO]
    let_in(ask(worker(issuing.resources()), token))
    let_in(ask(worker(issuing.resources(userinfo_endpoint=f"{issuing.url}/userinfo2")), token))

    assert (issuing.asked, issuing.count("/userinfo2")) == (1, 1)


def test_a_refusal_of_userinfo_is_not_forever(worker: Worker, issuing: People, now):
    good = issuing.pages[USERINFO]
    issuing.answers(document({}, 401))
    first, second = (worker(issuing.resources()) for _ in range(2))
    token = token_about()
    refused(ask(first, token))

    issuing.answers(good)
    now.now += 301
    for app in (second, first):
        let_in(ask(app, token))
