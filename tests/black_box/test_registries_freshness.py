"""A change of the registry is in force with the next request where it was made, and soon everywhere else."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import SECRET_ISSUER, ask, introspector, policy, secret_token, trusting, trusting_a_secret
from ..conftest import MakeApp
from ..integration.waiting import until
from .callers import operate, put, put_all, read, run, write
from .registries import health, worker
from .tokens import OPAQUE, Server, active, asked_at

NEVER = {"FOREIGN_TOKEN_REGISTRY_POLL": 3600}
"""What is in force after a change there did not come from a look."""


@pytest.fixture
def pair(make_app: MakeApp, tmp_path: Path, issuer: Issuer) -> tuple[Flask, Flask]:
    """Two workers on one database; what the first changes, the second looks for with every request."""
    first = worker(make_app, tmp_path / "shared.sqlite", **NEVER)
    put_all(first, trusting(issuer))
    second = worker(make_app, tmp_path / "shared.sqlite")
    assert ask(second, issuer.token()).status_code == 200
    return first, second


def remove_policy(app: Flask) -> None:
    assert operate(app, "DELETE", "/fhir/AccessPolicy/known-issuer").status_code == 204


def narrow_policy(app: Flask) -> None:
    put_all(app, [policy("known-issuer", {"jwt": {"sub": "nobody-of-that-name"}})])


def deactivate_policy(app: Flask) -> None:
    put_all(app, [policy("known-issuer", active=False)])


def remove_introspector(app: Flask) -> None:
    assert operate(app, "DELETE", "/fhir/TokenIntrospector/keycloak-jwt").status_code == 204


def deactivate_introspector(app: Flask) -> None:
    put_all(app, [{**read(app, "TokenIntrospector/keycloak-jwt"), "active": False}])


def change_audience(app: Flask) -> None:
    body = read(app, "TokenIntrospector/keycloak-jwt")
    put_all(app, [{**body, "jwt": {**body["jwt"], "aud": "another-api"}}])


CHANGES = {
    remove_policy: 403,
    narrow_policy: 403,
    deactivate_policy: 403,
    remove_introspector: 401,
    deactivate_introspector: 401,
    change_audience: 401,
}


@pytest.fixture(params=CHANGES, ids=lambda change: change.__name__)
def change(request: pytest.FixtureRequest):
    """A change by REST that ends what every token of the issuer may, and what they get after it."""
    return request.param, CHANGES[request.param]


@pytest.mark.parametrize("asked", [0, 1], ids=["the worker that made it", "another worker, with its next look"])
def test_a_change_by_rest_is_in_force_with_the_next_request(pair, issuer: Issuer, change, asked: int):
    make, status = change
    app, token = pair[asked], issuer.token()
    assert ask(app, token).status_code == 200

    make(pair[0])

    assert ask(app, token).status_code == status
    assert ask(app, issuer.token()).status_code == status


def test_a_change_reaches_a_worker_that_polls(make_app: MakeApp, tmp_path: Path, issuer: Issuer, change):
    make, status = change
    first = worker(make_app, tmp_path / "shared.sqlite")
    put_all(first, trusting(issuer))
    polling = worker(make_app, tmp_path / "shared.sqlite", FOREIGN_TOKEN_REGISTRY_POLL=0.2)
    token = issuer.token()
    assert ask(polling, token).status_code == 200

    make(first)

    until(lambda answer: answer == status, lambda: ask(polling, token).status_code)


def test_a_change_by_rest_on_either_worker_reaches_the_other(pair, issuer: Issuer):
    first, second = pair
    polling_first = first.config["FOREIGN_TOKEN_REGISTRY_POLL"]
    assert polling_first == 3600

    remove_policy(second)
    put_all(second, [policy("again", {"jwt": {"iss": issuer.issuer}})])

    assert ask(second, issuer.token()).status_code == 200
    assert operate(first, "GET", "/fhir/AccessPolicy/again").status_code == 200


def test_what_apply_changes_reaches_a_running_worker(pair, tmp_path: Path, issuer: Issuer):
    first, second = pair

    run(first, "apply", write(tmp_path, "p.json", policy("known-issuer", {"jwt": {"sub": "nobody"}})), "--yes")

    assert ask(second, issuer.token()).status_code == 403


def test_what_the_delete_command_removes_reaches_a_running_worker(pair, issuer: Issuer):
    first, second = pair

    run(first, "delete", "AccessPolicy", "known-issuer", "--yes")

    assert ask(second, issuer.token()).status_code == 403


def test_what_lets_in_is_in_force_as_soon_as_what_shuts_out(pair, issuer: Issuer):
    first, _ = pair
    token = issuer.token()
    remove_policy(first)
    assert [ask(app, token).status_code for app in pair] == [403, 403]

    put_all(first, [policy("everybody")])

    assert [ask(app, token).status_code for app in pair] == [200, 200]


def test_a_policy_that_comes_makes_a_denial_that_was_remembered_void(pair, issuer: Issuer):
    first, second = pair
    narrow_policy(first)
    token = issuer.token()
    assert {ask(second, token).status_code for _ in range(3)} == {403}

    put_all(first, [policy("known-issuer", {"jwt": {"iss": issuer.issuer}})])

    assert ask(second, token).status_code == 200


def test_a_new_signing_secret_ends_what_the_old_one_signed(make_app: MakeApp, tmp_path: Path, issuer: Issuer):
    first, second = (worker(make_app, tmp_path / "shared.sqlite") for _ in range(2))
    put_all(first, trusting_a_secret())
    old, new = secret_token(issuer), secret_token(issuer, "another-secret-that-is-long-enough-to-sign")
    assert [ask(app, old).status_code for app in (first, second)] == [200, 200]

    changed = introspector("secret", jwt={"iss": SECRET_ISSUER, "secret": "another-secret-that-is-long-enough-to-sign"})
    put_all(first, [changed])

    assert [ask(app, old).status_code for app in (first, second)] == [401, 401]
    assert [ask(app, new).status_code for app in (first, second)] == [200, 200]


def test_what_an_endpoint_said_under_the_old_version_is_asked_again(make_app: MakeApp, tmp_path: Path, server: Server):
    first, second = (worker(make_app, tmp_path / "shared.sqlite") for _ in range(2))
    server.pages["/introspect"] = active()
    resources = asked_at(f"{server.url}/introspect")
    put_all(first, resources)
    assert {ask(second, OPAQUE).status_code for _ in range(3)} == {200}
    assert server.count("/introspect") == 1

    put_all(first, [{**resources[1], "cache_ttl": 200}])

    assert {ask(second, OPAQUE).status_code for _ in range(3)} == {200}
    assert server.count("/introspect") == 2


def test_an_introspector_that_comes_back_takes_its_tokens_again(pair, issuer: Issuer):
    first, second = pair
    token, body = issuer.token(), read(first, "TokenIntrospector/keycloak-jwt")
    remove_introspector(first)
    assert ask(second, token).status_code == 401

    put_all(first, [body])

    assert [ask(app, token).status_code for app in pair] == [200, 200]


def test_a_change_of_another_policy_leaves_a_known_token_as_it_was(pair, own_issuer: Issuer):
    first, second = pair
    put_all(first, trusting(own_issuer, name="own"))
    token = own_issuer.token()
    assert ask(second, token).status_code == 200
    fetched = own_issuer.requests["jwks"]

    put_all(first, [policy("other", {"uri": "/elsewhere"})])

    assert ask(second, token).status_code == 200
    assert own_issuer.requests["jwks"] == fetched


def test_all_workers_name_the_same_version(pair):
    first, second = pair
    before = health(second)["registry"]["version"]

    put_all(first, [policy("new", {"uri": "/x"})])

    after = health(second)["registry"]["version"]
    assert after == health(first)["registry"]["version"]
    assert after != before


def test_what_is_refused_changes_nothing_on_any_worker(pair, issuer: Issuer):
    first, second = pair
    before = health(second)["registry"]["version"]

    assert put(first, policy("known-issuer", engine="mathco")).status_code == 422
    assert put(first, introspector("dangling", "nobody", jwt={"iss": "https://x.example"})).status_code == 422
    assert operate(first, "DELETE", "/fhir/IdentityProvider/keycloak").status_code == 409

    assert [ask(app, issuer.token()).status_code for app in pair] == [200, 200]
    assert health(second)["registry"]["version"] == health(first)["registry"]["version"] == before


def test_no_request_is_dropped_while_the_registry_changes(pair, issuer: Issuer):
    first, second = pair
    token, stop = issuer.token(), threading.Event()
    answers: list[int] = []

    def ask_on() -> None:
        while not stop.is_set():
            answers.append(ask(second, token).status_code)

    threads = [threading.Thread(target=ask_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(20):
            put_all(first, [policy("changing", {"uri": f"/{number}"})])
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert len(answers) >= 4
    assert set(answers) == {200}


def test_a_request_is_judged_by_old_or_new_and_by_nothing_between(pair, issuer: Issuer):
    """Two policies are exchanged in one transaction, so that at every moment exactly one of them is there."""
    first, second = pair
    token, stop = issuer.token(), threading.Event()
    answers: list[int] = []

    def ask_on() -> None:
        while not stop.is_set():
            answers.append(ask(second, token).status_code)

    allow, deny = {"jwt": {"iss": issuer.issuer}}, {"jwt": {"iss": "https://nobody.example"}}
    put_all(first, [policy("left", deny), policy("known-issuer", allow)])
    threads = [threading.Thread(target=ask_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(10):
            here, there = (allow, deny) if number % 2 == 0 else (deny, allow)
            run(first, "apply", "-", "--yes", stdin=json.dumps([policy("left", here), policy("known-issuer", there)]))
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert set(answers) == {200}
