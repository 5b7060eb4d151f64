"""What workers share: one of them fetches, the others have it, and all of them decide as they would alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from joserfc.jwk import RSAKey
from redis import Redis
from werkzeug.wrappers import Request

from flask_foreign_token.testing import Issuer

from ..apps import AUDIENCE, Resource, ask, policy
from ..conftest import MakeApp
from .callers import OPERATOR_SETTINGS, put_all
from .people import USERINFO, People, user_of
from .people import token as token_about
from .sharing import INTROSPECTION, KEYS, KINDS, WELL_KNOWN, Worker, entries, lasting, named, opaque, sharing
from .tokens import OPAQUE, at_once, let_in, refused


@pytest.mark.parametrize("kind", KINDS)
def test_what_one_worker_fetched_no_other_fetches(worker: Worker, issuing: People, kind: str):
    resources = KINDS[kind].resources(issuing)
    first, second, third = (worker(resources) for _ in range(3))

    for app in (first, second, third, second, first):
        let_in(ask(app, KINDS[kind].token(issuing) if kind != "userinfo" else ONE))

    assert issuing.count(KINDS[kind].path) == 1
    assert {issuing.count(path) for path in (KEYS, WELL_KNOWN, INTROSPECTION, USERINFO)} <= {0, 1}


ONE = token_about()


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_cache_in_common_each_fetches(make_app: MakeApp, issuing: People, kind: str):
    token = KINDS[kind].token(issuing)
    for _ in range(2):
        let_in(ask(make_app(KINDS[kind].resources(issuing)), token))

    assert issuing.count(KINDS[kind].path) == 2


def test_workers_on_one_database_share(worker: Worker, issuing: People, tmp_path):
    config = {**OPERATOR_SETTINGS, "SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path / 'app.sqlite'}"}
    first, second = worker(**config), worker(**config)
    put_all(first, [*issuing.resources(), *opaque(issuing)[1:]])

    for app in (first, second):
        let_in(ask(app, ONE))
        let_in(ask(app, OPAQUE))
    assert [issuing.count(path) for path in (KEYS, USERINFO, INTROSPECTION)] == [1, 1, 1]


def test_what_is_shared_of_a_user_is_all_of_it(worker: Worker, issuing: People):
    issuing.says(email="ada@example.com", name={"first": "Ada"}, roles=["doctor", 1, 1.5, None, True], ü="ß\u2028")
    first, second = (worker(issuing.resources(), **OPERATOR_SETTINGS) for _ in range(2))

    for app in (first, second):
        let_in(ask(app, ONE))
    assert issuing.asked == 1
    assert user_of(second)["data"] == user_of(first)["data"]


def test_userinfo_is_of_one_token_alone(worker: Worker, issuing: People):
    let_in(ask(worker(issuing.resources()), token_about()))
    let_in(ask(worker(issuing.resources()), token_about()))

    assert issuing.asked == 2


def test_an_answer_is_of_one_opaque_token_alone(worker: Worker, issuing: People):
    issuing.pages[INTROSPECTION] = lambda request: {"active": request.form["token"] == OPAQUE, "aud": AUDIENCE}
    let_in(ask(worker(opaque(issuing)), OPAQUE), None)

    second = worker(opaque(issuing))
    for token in (OPAQUE + "x", OPAQUE[:-1], OPAQUE.upper()):
        refused(ask(second, token))
    assert issuing.count(INTROSPECTION) == 4


def test_apps_of_other_names_have_nothing_in_common(worker: Worker, issuing: People, bare_app: MakeApp, redis_url: str):
    kind = KINDS["keys"]
    let_in(ask(worker(kind.resources(issuing)), kind.token(issuing)))
    let_in(ask(named("pharmacy", bare_app, kind.resources(issuing), **sharing(redis_url)), kind.token(issuing)))

    assert issuing.fetches == 2


def test_workers_of_other_keys_have_nothing_in_common(worker: Worker, issuing: People):
    kind = KINDS["keys"]
    apps = [worker(kind.resources(issuing), FOREIGN_TOKEN_CACHE_KEY=letter * 32) for letter in "ab"]

    for app in apps:
        let_in(ask(app, kind.token(issuing)))
    assert issuing.fetches == 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_seen_before_has_nobody_ask_the_redis(worker: Worker, issuing: People, store: Redis, kind: str):
    app, token = worker(KINDS[kind].resources(issuing)), KINDS[kind].token(issuing)
    let_in(ask(app, token))

    before = store.info("stats")["total_commands_processed"]
    for _ in range(20):
        let_in(ask(app, token))
    assert store.info("stats")["total_commands_processed"] == before + 1, "its own INFO, and nothing else"


def test_a_new_token_under_known_keys_has_nobody_ask_the_redis(worker: Worker, issuing: People, store: Redis):
    app = worker(KINDS["keys"].resources(issuing))
    let_in(ask(app, lasting()))

    before = store.info("stats")["total_commands_processed"]
    for number in range(20):
        let_in(ask(app, lasting(jti=str(number))))
    assert store.info("stats")["total_commands_processed"] == before + 1


# ---- the same decisions


@pytest.fixture(scope="module", name="keycloak")
def keycloak_fixture() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


def trusting(issuer: Issuer) -> list[Resource]:
    asked = {**issuer.resources(kind="opaque")[1], "jwt": {"aud": AUDIENCE}}
    return [
        *issuer.resources(),
        asked,
        policy("doctors", {"jwt": {"role": "doctor"}}),
        policy("doctors-asked-about", {"token": {"role": "doctor"}}),
    ]


DOCTOR = {"role": "doctor"}


def revoked(issuer: Issuer) -> str:
    token = issuer.opaque_token(**DOCTOR)
    issuer.revoke(token)
    return token


def cut(token: str) -> str:
    head, body, _ = token.split(".")
    return f"{head}.{body}."


TOKENS: dict[str, Callable[[Issuer], str]] = {
    "good": lambda issuer: issuer.token(**DOCTOR),
    "good by another algorithm": lambda issuer: issuer.token(algorithm="ES256", **DOCTOR),
    "expired": lambda issuer: issuer.token(lifetime=-60, **DOCTOR),
    "without end": lambda issuer: issuer.token(exp=None, **DOCTOR),
    "not yet": lambda issuer: issuer.token(nbf=9_999_999_999, **DOCTOR),
    "forged": lambda issuer: issuer.token(
        key=RSAKey.generate_key(2048), algorithm="RS256", headers={"kid": issuer.key_id()}, **DOCTOR
    ),
    "of an unknown key": lambda issuer: issuer.token(headers={"kid": "unknown"}, **DOCTOR),
    "unsigned": lambda issuer: issuer.token(algorithm="none", **DOCTOR),
    "without its signature": lambda issuer: cut(issuer.token(**DOCTOR)),
    "wrong audience": lambda issuer: issuer.token(aud="another-api", **DOCTOR),
    "unknown issuer": lambda issuer: issuer.token(iss="https://other.example", **DOCTOR),
    "denied by policy": lambda issuer: issuer.token(role="guest"),
    "without openid": lambda issuer: issuer.token(sub="nobody-yet", scope="profile", **DOCTOR),
    "opaque": lambda issuer: issuer.opaque_token(**DOCTOR),
    "opaque and expired": lambda issuer: issuer.opaque_token(lifetime=-60, **DOCTOR),
    "opaque and revoked": revoked,
    "opaque of a wrong audience": lambda issuer: issuer.opaque_token(aud="another-api", **DOCTOR),
    "opaque and denied by policy": lambda issuer: issuer.opaque_token(role="guest"),
    "opaque and bound to a key": lambda issuer: issuer.opaque_token(cnf={"jkt": "x"}, **DOCTOR),
    "opaque without openid": lambda issuer: issuer.opaque_token(sub="nobody-yet", scope="profile", **DOCTOR),
    "invented": lambda issuer: "nobody-ever-issued-this-one",
}

EXPECTED = {"good", "good by another algorithm", "opaque"}


def said(app: Flask, token: str) -> tuple[int, object, list[str]]:
    answer = ask(app, token)
    body = {name: value for name, value in answer.json.items() if name != "decision_id"}
    return answer.status_code, body, answer.headers.getlist("WWW-Authenticate")


@pytest.mark.parametrize("name", TOKENS)
def test_a_worker_that_shares_decides_as_one_that_does_not(worker: Worker, make_app: MakeApp, keycloak: Issuer, name):
    resources, token = trusting(keycloak), TOKENS[name](keycloak)
    alone, first, second = make_app(resources), worker(resources), worker(resources)

    expected = said(alone, token)
    assert (expected[0] == 200) is (name in EXPECTED), expected
    assert [said(app, token) for app in (first, second, first, second)] == [expected] * 4
    assert said(alone, token) == expected


def test_where_the_provider_is_down_what_one_worker_knows_serves_all(worker: Worker, make_app: MakeApp):
    with Issuer() as issuer:
        resources = trusting(issuer)
        first, second, third = (worker(resources) for _ in range(3))
        tokens = issuer.token(**DOCTOR), issuer.opaque_token(**DOCTOR)
        assert [ask(first, token).status_code for token in tokens] == [200, 200]
        counted = dict(issuer.requests)

        with issuer.down():
            assert [ask(second, token).status_code for token in tokens] == [200, 200]
            assert ask(third, issuer.opaque_token(**DOCTOR)).status_code == 503
        assert dict(issuer.requests) == counted


# ---- at once


def held_up(people: People, path: str) -> None:
    """Let the answer take as long as it takes everybody to come."""
    page = people.pages[path]

    def slowly(request: Request) -> object:
        threading.Event().wait(0.2)
        return page(request) if callable(page) and not hasattr(page, "status_code") else page

    people.pages[path] = slowly


@pytest.mark.parametrize("kind", ["keys", "metadata"])
def test_64_cold_requests_at_one_worker_are_one_fetch(make_app: MakeApp, issuing: People, kind: str):
    app = make_app(KINDS[kind].resources(issuing))
    iss = issuing.url if kind == "metadata" else "https://issuer.example"
    tokens = [lasting(iss=iss, jti=str(number)) for number in range(64)]
    held_up(issuing, KINDS[kind].path)

    assert at_once(64, lambda number: ask(app, tokens[number]).status_code) == [200] * 64
    assert issuing.count(KINDS[kind].path) == 1
    assert issuing.fetches == 1


@pytest.mark.parametrize("kind", ["keys", "metadata"])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_64_cold_requests_at_workers_that_share_are_one_fetch_in_all(worker: Worker, issuing, kind: str, workers: int):
    apps = [worker(KINDS[kind].resources(issuing)) for _ in range(workers)]
    token = KINDS[kind].token(issuing)
    held_up(issuing, KINDS[kind].path)

    assert at_once(64, lambda number: ask(apps[number % workers], token).status_code) == [200] * 64
    assert issuing.count(KINDS[kind].path) == 1
    assert issuing.fetches <= 1


@pytest.mark.parametrize("kind", ["introspection", "userinfo"])
def test_64_cold_requests_of_one_token_are_one_fetch_of_each_worker_at_most(worker: Worker, issuing, kind: str):
    apps = [worker(KINDS[kind].resources(issuing)) for _ in range(2)]
    token = KINDS[kind].token(issuing)
    held_up(issuing, KINDS[kind].path)

    assert at_once(64, lambda number: ask(apps[number % 2], token).status_code) == [200] * 64
    assert issuing.count(KINDS[kind].path) <= 2


def test_a_worker_that_fails_to_fetch_holds_up_no_other(worker: Worker, issuing: People):
    first, second = (worker(KINDS["keys"].resources(issuing)) for _ in range(2))
    good = issuing.pages[KEYS]
    issuing.pages[KEYS] = None
    assert ask(first, lasting()).status_code == 503

    issuing.pages[KEYS] = good
    let_in(ask(second, lasting()))
    assert issuing.fetches == 2


def test_while_one_worker_waits_for_the_provider_the_others_go_on_alone_in_time(worker: Worker, issuing: People):
    first, second = (worker(KINDS["keys"].resources(issuing), FOREIGN_TOKEN_HTTP_TIMEOUT=(3, 30)) for _ in range(2))
    good, arrived, gate = issuing.pages[KEYS], threading.Event(), threading.Event()

    def only_the_first_waits(request: Request) -> object:
        if not arrived.is_set():
            arrived.set()
            gate.wait(20)
        return good

    issuing.pages[KEYS] = only_the_first_waits
    thread = threading.Thread(target=ask, args=(first, lasting()))
    thread.start()
    assert arrived.wait(5)

    let_in(ask(second, lasting()))
    assert not gate.is_set()
    assert issuing.fetches == 2
    gate.set()
    thread.join(20)


def test_every_entry_is_written_once_by_whoever_fetched(worker: Worker, issuing: People, store: Redis):
    resources = KINDS["keys"].resources(issuing)
    let_in(ask(worker(resources), lasting()))
    before = entries(store)

    let_in(ask(worker(resources), lasting()))
    assert before
    assert entries(store) == before
