"""What `ForeignToken.stats` says of the requests, tokens, users, providers and the registry of one process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token import ForeignToken
from flask_foreign_token.errors import AccessDenied
from flask_foreign_token.metrics import METRICS
from flask_foreign_token.signals import access_decided
from flask_foreign_token.testing import Issuer

from .admin.asking import ADMIN, operate
from .apps import (
    ask,
    introspector,
    policy,
    provider,
    registry_of,
    secret_token,
    store,
    trusting,
    trusting_a_secret,
    write_registry,
)
from .conftest import MakeApp
from .loading import Clock
from .numbers import numbers, series_of

READERS = policy("readers", {"jwt": {"role": "reader"}})


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(trusting_a_secret(READERS))


def test_what_is_said_is_json_and_names_every_number(make_app: MakeApp, own_issuer: Issuer) -> None:
    extension = ForeignToken()
    app = make_app(trusting(own_issuer), extension)
    ask(app, own_issuer.token())

    found = extension.stats(app)

    assert list(found) == [metric.name for metric in METRICS]
    # Nothing is shared here.
    assert [name for name, series in found.items() if not series] == ["shared_cache_total"]
    assert json.loads(json.dumps(found)) == found


def test_of_an_app_that_was_never_asked_nothing_is_counted_and_nothing_looked_at(app: Flask) -> None:
    assert numbers(app, "decisions_total") == {("allowed", "none", "none"): 0}
    assert (numbers(app, "registry_state"), numbers(app, "registry_look_seconds")) == ({}, {})
    assert not (registry_of(app).parent / "instance").exists()


def test_an_extension_with_several_apps_wants_to_know_which(make_app: MakeApp) -> None:
    extension = ForeignToken()
    one, other = (make_app([policy("all")], extension) for _ in range(2))
    ask(one)

    assert [series_of(extension.stats(app), "decisions_total")["allowed", "none", "none"] for app in (one, other)] == [
        1,
        0,
    ]


# ---- decisions


def test_each_decision_is_counted_as_it_was_answered(app: Flask, issuer: Issuer) -> None:
    for token in (secret_token(issuer, role="reader"), secret_token(issuer, role="writer"), "wrong", None):
        ask(app, token)
    ask(app, headers={"Authorization": "Bearer a b"})

    assert numbers(app, "decisions_total") == {
        ("allowed", "none", "none"): 1,
        ("refused", "access_denied", "403"): 1,
        ("refused", "invalid_token", "401"): 1,
        ("refused", "unauthorized", "401"): 1,
        ("refused", "invalid_request", "400"): 1,
    }


def test_what_nobody_decides_about_is_not_counted(app: Flask, issuer: Issuer) -> None:
    ask(app, None, "/nowhere")
    ask(app, None, "/patients", "OPTIONS")
    ask(app, secret_token(issuer), "/open")

    assert numbers(app, "decisions_total") == {("allowed", "none", "none"): 0}


def test_what_a_receiver_of_the_signal_ends_was_not_allowed(app: Flask, issuer: Issuer) -> None:
    def full(sender: Flask, decision: Any) -> None:
        if decision.allowed:
            raise AccessDenied("the table is full")

    with access_decided.connected_to(full, app):
        assert ask(app, secret_token(issuer, role="reader")).status_code == 403

    assert numbers(app, "decisions_total") == {
        ("allowed", "none", "none"): 0,
        ("refused", "access_denied", "403"): 1,
    }


def test_operators_are_counted_too(make_app: MakeApp) -> None:
    app = make_app(**ADMIN)

    operate(app, "GET", "/AccessPolicy")
    operate(app, "GET", "/AccessPolicy/absent")

    assert numbers(app, "decisions_total") == {("allowed", "none", "none"): 2, ("refused", "not_found", "404"): 1}


def test_many_threads_are_counted_to_the_last(app: Flask, issuer: Issuer) -> None:
    good, bad = secret_token(issuer, role="reader"), secret_token(issuer, role="writer")
    ask(app, good)

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda number: ask(app, good if number % 2 else bad).status_code, range(400)))

    assert sorted(statuses) == [200] * 200 + [403] * 200
    found = numbers(app, "decisions_total")
    assert (found["allowed", "none", "none"], found["refused", "access_denied", "403"]) == (201, 200)
    assert sum(numbers(app, "tokens_total").values()) == 401


# ---- tokens


def test_tokens_are_counted_by_what_becomes_of_them_and_where_they_went(app: Flask, issuer: Issuer) -> None:
    good = secret_token(issuer, role="reader")
    for token in (good, good, good, secret_token(issuer, lifetime=-3600), "wrong", issuer.token()):
        ask(app, token)

    assert numbers(app, "tokens_total") == {
        ("accepted", "secret"): 1,
        ("remembered", "secret"): 2,
        ("refused", "secret"): 1,
        ("refused", "none"): 2,
    }
    assert numbers(app, "token_seconds") == {("accepted",): 1, ("refused",): 3}


def test_a_token_whose_issuer_is_down_is_unavailable(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(trusting(own_issuer))
    with own_issuer.fail("jwks", 500):
        assert ask(app, own_issuer.token()).status_code == 503

    assert numbers(app, "tokens_total") == {("unavailable", "keycloak-jwt"): 1}


def test_opaque_tokens_are_counted_by_their_introspector(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app([*own_issuer.resources(kind="opaque"), policy("all")])
    token = own_issuer.opaque_token()

    for each in (token, token, "opaque-and-unknown"):
        ask(app, each)

    assert numbers(app, "tokens_total") == {
        ("accepted", "keycloak-opaque-introspector"): 1,
        ("remembered", "keycloak-opaque-introspector"): 1,
        ("refused", "keycloak-opaque-introspector"): 1,
    }
    assert numbers(app, "fetch_seconds")["introspection", "ok"] == 2


# ---- users


def test_users_who_are_made_changed_and_let_in_no_more_are_counted(make_app: MakeApp, issuer: Issuer) -> None:
    extension = ForeignToken()
    app = make_app(trusting_a_secret(policy("all")), extension)
    ann, bob = (ask(app, secret_token(issuer, sub=name), "/me").json["user"] for name in ("ann", "bob"))

    extension.deactivate(ann, app)
    extension.deactivate(ann, app)
    extension.activate(ann, app)
    extension.deactivate(bob, app)

    assert numbers(app, "users_total") == {("created",): 2, ("updated",): 1, ("deactivated",): 2}


def test_what_is_remembered_is_told(app: Flask, issuer: Issuer) -> None:
    for name, id_ in (("ann", "1"), ("bob", "2"), ("bob", "3"), ("bob", "3")):
        ask(app, secret_token(issuer, sub=name, role="reader", jti=id_, iat=None))

    assert numbers(app, "cached") == {("tokens",): 3, ("users",): 2}


# ---- providers


def test_fetches_are_counted_by_kind_and_result(make_app: MakeApp, own_issuer: Issuer) -> None:
    asked = {"userinfo-source": "userinfo-endpoint", "userinfo_endpoint": own_issuer.userinfo_endpoint}
    found = [provider(issuer=own_issuer.issuer, **asked), introspector("bare", jwt={"iss": own_issuer.issuer})]
    app = make_app([*found, policy("all")])
    with own_issuer.fail("userinfo", 500):
        assert ask(app, own_issuer.token(sub="ann")).status_code == 503

    assert numbers(app, "fetch_seconds") == {
        ("metadata", "ok"): 1,
        ("keys", "ok"): 1,
        ("userinfo", "failed"): 1,
    }


def test_a_provider_that_is_left_alone_for_a_while_is_not_asked(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(trusting(own_issuer))
    with own_issuer.fail("jwks", 500):
        statuses = [ask(app, own_issuer.token(jti=str(number))).status_code for number in range(3)]
    assert statuses == [503] * 3

    assert numbers(app, "fetch_seconds") == {("keys", "failed"): 1}
    assert numbers(app, "keys_failing") == {("keycloak-jwt",): 1}
    assert numbers(app, "keys") == {("keycloak-jwt",): 0}
    assert numbers(app, "keys_fetched_timestamp_seconds") == {}


def test_the_keys_of_an_introspector_are_told_with_when_they_came_and_are_due(
    timed_app: MakeApp, own_issuer: Issuer, now: Clock
) -> None:
    app = timed_app(trusting(own_issuer))
    ask(app, own_issuer.token())

    (due,) = numbers(app, "keys_due_timestamp_seconds").values()
    assert numbers(app, "keys")["keycloak-jwt",] > 0
    assert numbers(app, "keys_failing") == {("keycloak-jwt",): 0}
    assert numbers(app, "keys_fetched_timestamp_seconds") == {("keycloak-jwt",): now.now}
    assert now.now + 240 <= due <= now.now + 270


@pytest.fixture
def signing_issuer() -> Any:
    with Issuer(userinfo_signed_response_alg="ES256") as issuer:
        yield issuer


def test_keys_that_verify_signed_userinfo_alone_are_told_too(make_app: MakeApp, signing_issuer: Issuer) -> None:
    described, asking = signing_issuer.resources(kind="opaque")
    extension = ForeignToken()
    app = make_app([{**described, "jwks_uri": signing_issuer.jwks_uri}, asking, policy("all")], extension)
    ask(app, signing_issuer.opaque_token(sub="ann", lifetime=3600))

    (state,) = extension.key_sources(app)

    assert state.jwks_uri == signing_issuer.jwks_uri
    assert state.introspectors == (asking["id"],)
    assert numbers(app, "keys")[(asking["id"],)] == len(state.keys) > 0


# ---- the registry


def test_looks_are_counted_by_what_they_found(make_app: MakeApp) -> None:
    app = make_app([policy("all")], FOREIGN_TOKEN_REGISTRY_POLL=0)
    ask(app)
    write_registry(registry_of(app), [policy("all"), policy("other")])
    ask(app)
    write_registry(registry_of(app), "[")
    ask(app)

    found = numbers(app, "registry_look_seconds")
    assert (found["changed",], found["rejected",]) == (2, 1)


def test_the_registry_in_force_is_told_by_type(make_app: MakeApp) -> None:
    app = make_app()
    store(app, trusting_a_secret(policy("all"), policy("other")))
    ask(app)

    assert numbers(app, "registry_state") == {("in_force",): 1, ("reachable",): 1, ("ready",): 1}
    assert numbers(app, "registry_resources") == {
        ("IdentityProvider",): 1,
        ("TokenIntrospector",): 1,
        ("AccessPolicy",): 2,
    }
    assert set(numbers(app, "registry_out_of_service").values()) == {0}
    assert numbers(app, "registry_looked_timestamp_seconds")[()] > 0


def test_what_is_out_of_service_is_told_by_type(make_app: MakeApp) -> None:
    app = make_app(trusting_a_secret(policy("all"), jwt={"secret": "short"}))
    ask(app)

    found = numbers(app, "registry_out_of_service")
    assert found == {("IdentityProvider",): 0, ("TokenIntrospector",): 1, ("AccessPolicy",): 0}


def test_a_registry_that_cannot_be_read_is_told(make_app: MakeApp) -> None:
    app = make_app("[")

    assert ask(app).status_code == 503

    assert numbers(app, "registry_state")["in_force",] == 0
    assert numbers(app, "registry_state")["ready",] == 0


def test_a_file_that_is_spoilt_is_not_reachable_and_what_was_in_force_is_ready(make_app: MakeApp) -> None:
    app = make_app([policy("all")], FOREIGN_TOKEN_REGISTRY_POLL=0)
    ask(app)

    write_registry(registry_of(app), "[")
    ask(app)

    assert numbers(app, "registry_state") == {("in_force",): 1, ("reachable",): 0, ("ready",): 1}


# ---- processes


@pytest.fixture
def in_child() -> Callable[[Callable[[], object]], Any]:
    """What a call returns in a child of this process."""

    def run(call: Callable[[], object]) -> Any:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writing, json.dumps(call()).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as said:
            text = said.read()
        os.waitpid(child, 0)
        return json.loads(text)

    return run


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_counts_for_itself(app: Flask, issuer: Issuer, in_child: Callable[[Callable[[], object]], Any]) -> None:
    ask(app, secret_token(issuer, role="reader"))

    def child() -> object:
        ask(app)
        return list(numbers(app, "decisions_total").items())

    assert in_child(child) == [
        [["allowed", "none", "none"], 0],
        [["refused", "unauthorized", "401"], 1],
    ]
    assert numbers(app, "decisions_total") == {("allowed", "none", "none"): 1}
