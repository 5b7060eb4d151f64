"""The signal ``access_decided``: whom it reaches, and what a receiver that fails does."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from flask import Flask, g

from flask_foreign_token import require_policy
from flask_foreign_token.audit import AccessDecision
from flask_foreign_token.signals import access_decided
from flask_foreign_token.testing import Issuer

from .admin.asking import ADMIN, operate, token_header, tutorial
from .apps import ask, deactivate, policy, secret_token, trusting_a_secret
from .challenges import bearer
from .conftest import MakeApp

ANN = policy("ann", {"jwt": {"sub": "ann"}})


class TableIsFull(Exception):
    """What a receiver raises that keeps decisions."""


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    app = make_app(trusting_a_secret(ANN))
    app.config["PROPAGATE_EXCEPTIONS"] = False
    return app


@contextmanager
def received(app: Flask, receive: Callable[[AccessDecision], object]) -> Iterator[None]:
    with access_decided.connected_to(lambda sender, decision: receive(decision), app):
        yield


def fail(decision: AccessDecision) -> None:
    raise TableIsFull(decision.id)


def test_a_receiver_gets_the_app_and_both_kinds_of_decision(app: Flask, issuer: Issuer) -> None:
    seen: list[tuple[object, bool]] = []

    def receive(sender: Flask, decision: AccessDecision) -> None:
        seen.append((sender, decision.allowed))

    with access_decided.connected_to(receive, app):
        ask(app, secret_token(issuer, sub="ann"))
        ask(app, secret_token(issuer, sub="bob"))

    assert seen == [(app, True), (app, False)]


def test_a_receiver_of_one_app_hears_nothing_of_another(app: Flask, make_app: MakeApp) -> None:
    seen: list[AccessDecision] = []

    with received(make_app([policy("all")]), seen.append):
        ask(app)

    assert seen == []


def test_nobody_can_change_a_decision(app: Flask) -> None:
    seen: list[AccessDecision] = []
    with received(app, seen.append):
        ask(app)

    with pytest.raises(FrozenInstanceError):
        seen[0].allowed = True  # type: ignore[misc]


def test_what_could_not_be_noted_is_not_let_in(app: Flask, issuer: Issuer) -> None:
    reached: list[str] = []
    app.add_url_rule("/reached", "reached", require_policy(lambda: reached.append("view") or "in"))

    with received(app, fail):
        answer = ask(app, secret_token(issuer, sub="ann"), "/reached")

    assert (answer.status_code, reached) == (500, [])
    assert ask(app, secret_token(issuer, sub="ann"), "/reached").text == "in"


def test_nor_is_it_when_the_app_swallows_that_and_asks_again(app: Flask, issuer: Issuer) -> None:
    inner = require_policy(lambda: "in")

    @app.get("/twice")
    def twice() -> Any:
        with contextlib.suppress(TableIsFull):
            return inner()
        return inner()

    with received(app, fail):
        assert ask(app, secret_token(issuer, sub="ann"), "/twice").status_code == 500


def test_nor_is_an_operator(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(**ADMIN)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    tutorial(app, policy("desk", link=[{"reference": "Operation/foreign_token.delete_access_policy"}]))

    with received(app, fail):
        statuses = [
            ask(app, None, "/fhir/AccessPolicy/desk", "DELETE", headers=token_header(issuer)).status_code,
            operate(app, "DELETE", "/AccessPolicy/desk").status_code,
        ]

    assert statuses == [500, 500]
    assert operate(app, "GET", "/AccessPolicy/desk").status_code == 200


REFUSED: list[tuple[str, dict[str, Any], int]] = [
    ("/patients", {}, 401),
    ("/open", {"headers": {"Authorization": "Bearer a b"}}, 400),
    ("/open", {"headers": {"Authorization": "Bearer wr.on.g"}}, 401),
]


@pytest.mark.parametrize(("path", "sent", "status"), REFUSED)
def test_a_refusal_stands_though_it_could_not_be_noted(
    app: Flask, caplog: pytest.LogCaptureFixture, path: str, sent: dict[str, Any], status: int
) -> None:
    with received(app, fail):
        answer = ask(app, path=path, **sent)

    assert answer.status_code == status
    assert bearer(answer)["realm"] == "clinic"
    (record,) = [record for record in caplog.records if record.name == "flask_foreign_token.audit"]
    assert record.levelno == logging.ERROR
    assert record.getMessage() == (
        f"the refusal {answer.json['decision_id']} stands, but whoever was told of it failed: TableIsFull"
    )


def test_a_denial_stands_though_it_could_not_be_noted(app: Flask, issuer: Issuer) -> None:
    with received(app, fail):
        assert ask(app, secret_token(issuer, sub="bob")).status_code == 403


def test_a_token_that_is_passed_over_stays_refused_though_that_could_not_be_noted(make_app: MakeApp) -> None:
    app = make_app(trusting_a_secret(policy("all")), FOREIGN_TOKEN_OPTIONAL=True)

    with received(app, fail):
        assert ask(app, "wr.on.g", "/open").json == {"user": None, "subject": None}
        assert ask(app, "wr.on.g").status_code == 401


def test_a_user_who_is_refused_late_is_nobody_though_that_could_not_be_noted(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(policy("all")))
    token = secret_token(issuer, sub="ann")
    deactivate(app, ask(app, token, "/me").json["user"])

    def fail_at_refusals(decision: AccessDecision) -> None:
        if not decision.allowed:
            raise TableIsFull

    with received(app, fail_at_refusals):
        assert ask(app, token, "/me").status_code == 401


def test_a_receiver_may_look_at_user_and_token(app: Flask, issuer: Issuer) -> None:
    seen: list[tuple[object, object]] = []

    with received(app, lambda decision: seen.append((g.user and type(g.user).__name__, g.token and g.token.subject))):
        ask(app, secret_token(issuer, sub="ann"))
        ask(app, "wr.on.g")

    assert seen[0][1] == "ann"
    assert seen[0][0] is not None
    assert seen[1] == (None, None)


def test_a_receiver_in_which_the_user_is_refused_ends_the_request(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(policy("all")))
    token = secret_token(issuer, sub="ann")
    deactivate(app, ask(app, token, "/me").json["user"])

    with received(app, lambda decision: g.user):
        answer = ask(app, token, "/patients")

    assert (answer.status_code, answer.json["error"]) == (401, "invalid_token")
