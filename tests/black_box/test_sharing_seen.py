"""What an operator sees of sharing: in the numbers and from the doctor."""

from __future__ import annotations

import json

import pytest
from flask import Flask
from redis import Redis

from example_app.keycloak_server import free_port
from flask_foreign_token import ForeignToken

from ..apps import ask
from ..conftest import MakeApp
from .callers import OPERATOR_SETTINGS, run
from .people import People
from .sharing import CACHE_KEY, KINDS, Worker, entries, sharing
from .tokens import let_in

PASSWORD = "nobody-else-knows-this-password"


def looks(app: Flask, kind: str) -> dict[str, float]:
    """How often what is shared was looked for, by what came of it; what never came is left out."""
    [series] = [value for name, value in ForeignToken().stats(app).items() if name.endswith("shared_cache_total")]
    of_kind = [one for one in series if one["labels"]["kind"] == kind]
    return {one["labels"]["result"]: one["value"] for one in of_kind if one["value"]}


@pytest.mark.parametrize("kind", KINDS)
def test_hits_and_misses_are_counted(worker: Worker, issuing: People, kind: str):
    resources, token = KINDS[kind].resources(issuing), KINDS[kind].token(issuing)
    first, second = worker(resources), worker(resources)
    for app in (first, second):
        let_in(ask(app, token))

    assert set(looks(first, kind)) == {"miss"}
    assert looks(second, kind) == {"hit": 1}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_stranger_put_there_is_counted(worker: Worker, issuing: People, store: Redis, kind: str):
    resources, token = KINDS[kind].resources(issuing), KINDS[kind].token(issuing)
    let_in(ask(worker(resources), token))
    for key in entries(store):
        store.set(key, b"garbage" * 20, ex=3600)

    app = worker(resources)
    let_in(ask(app, token))
    assert looks(app, kind)["refused"] >= 1
    assert "hit" not in looks(app, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_failures_are_counted(make_app: MakeApp, issuing: People, kind: str):
    app = make_app(KINDS[kind].resources(issuing), **sharing(f"redis://127.0.0.1:{free_port()}/0"))

    let_in(ask(app, KINDS[kind].token(issuing)))
    assert "hit" not in looks(app, kind)
    assert sum(looks(app, each).get("failed", 0) for each in KINDS) >= 1


def test_no_number_names_anybody(worker: Worker, issuing: People):
    app = worker(KINDS["userinfo"].resources(issuing))
    let_in(ask(app, KINDS["userinfo"].token(issuing)))

    assert set(looks(app, "userinfo")) <= {"hit", "miss", "refused", "failed"}


def found(app: Flask) -> list[dict[str, object]]:
    said = run(app, "doctor", "--json", status=None).stdout
    return [finding for finding in json.loads(said) if finding["check"] == "cache"]


def test_the_doctor_says_that_it_answers(worker: Worker, issuing: People):
    [finding] = found(worker(KINDS["keys"].resources(issuing), **OPERATOR_SETTINGS))

    assert finding["mark"] == "ok"


def test_the_doctor_says_that_it_does_not_answer_and_what_to_see_to(make_app: MakeApp, issuing: People):
    url = f"redis://:{PASSWORD}@127.0.0.1:{free_port()}/0"
    [finding] = found(make_app(KINDS["keys"].resources(issuing), **OPERATOR_SETTINGS, **sharing(url)))

    assert finding["mark"] != "ok"
    assert "FOREIGN_TOKEN_CACHE_URL" in str(finding["remedy"])
    assert PASSWORD not in str(finding)
    assert CACHE_KEY not in str(finding)


def test_the_doctor_says_nothing_where_nothing_is_shared(make_app: MakeApp, issuing: People):
    assert found(make_app(KINDS["keys"].resources(issuing), **OPERATOR_SETTINGS)) == []


def test_the_doctor_sees_that_nothing_can_be_written(worker: Worker, issuing: People, store: Redis):
    app = worker(KINDS["keys"].resources(issuing), **OPERATOR_SETTINGS)
    store.config_set("maxmemory", 1)
    try:
        [finding] = found(app)
    finally:
        store.config_set("maxmemory", 0)

    assert finding["mark"] != "ok"


def test_the_doctor_leaves_nothing_behind_for_ever(worker: Worker, issuing: People, store: Redis):
    found(worker(KINDS["keys"].resources(issuing), **OPERATOR_SETTINGS))

    assert all(store.ttl(key) > 0 for key in store.scan_iter())
