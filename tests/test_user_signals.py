"""The signals that tell what becomes of users, and the receivers of an app."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask, current_app, g

from flask_foreign_token import ForeignToken
from flask_foreign_token.audit import AccessDecision
from flask_foreign_token.signals import USER_SIGNALS, access_decided, user_created, user_deactivated, user_updated
from flask_foreign_token.testing import Issuer
from flask_foreign_token.users.snapshot import UserSnapshot

from .admin.asking import ADMIN, operate, tutorial
from .apps import ask, database_of, policy, protected, secret_token, trusting_a_secret, users_in
from .conftest import MakeApp

ALL = policy("all")

Heard = list[tuple[str, UserSnapshot]]


class OutOfOrder(Exception):
    """What a receiver raises."""


@pytest.fixture
def foreign_token() -> ForeignToken:
    return ForeignToken()


@pytest.fixture
def app(make_app: MakeApp, foreign_token: ForeignToken) -> Flask:
    """Users are looked at anew with every token that is new."""
    return make_app(
        trusting_a_secret(ALL, userinfo_refresh=0), foreign_token, PROPAGATE_EXCEPTIONS=False, TESTING=False
    )


@contextmanager
def hearing(app: Flask) -> Iterator[Heard]:
    """Everything that is said of users of `app` within the block, in order."""
    heard: Heard = []
    receivers: dict[str, Callable[..., object]] = {}
    for event, signal in USER_SIGNALS.items():

        def receive(sender: Flask, user: UserSnapshot, event: str = event) -> None:
            assert sender is app
            heard.append((event, user))

        receivers[event] = receive
        signal.connect(receive, app)
    try:
        yield heard
    finally:
        for event, signal in USER_SIGNALS.items():
            signal.disconnect(receivers[event], app)


def events(heard: Heard) -> list[tuple[str, str]]:
    return [(event, str(user.key)) for event, user in heard]


def ann(issuer: Issuer, **claims: Any) -> str:
    return secret_token(issuer, sub="ann", **claims)


# ---- what is said, and how often


def test_a_new_user_is_created_once(app: Flask, issuer: Issuer) -> None:
    with hearing(app) as heard:
        key = ask(app, ann(issuer), "/me").json["user"]
        for token in (ann(issuer), ann(issuer, jti="another")):
            ask(app, token, "/me")
        app.extensions["foreign_token"].runtime().users.forget_all()
        ask(app, ann(issuer), "/me")

    assert events(heard) == [("created", key)]


def test_what_is_carried_is_the_user_as_policies_see_it(app: Flask, issuer: Issuer) -> None:
    with hearing(app) as heard:
        ask(app, ann(issuer, department="ward 3"), "/me")

    ((_, user),) = heard
    assert user.active
    assert user.resource["id"] == user.key
    assert user.resource["data"]["department"] == "ward 3"  # type: ignore[index]


def test_what_a_provider_says_anew_is_an_update(app: Flask, issuer: Issuer) -> None:
    key = ask(app, ann(issuer, department="ward 3"), "/me").json["user"]

    with hearing(app) as heard:
        for token in (ann(issuer, department="ward 4"), ann(issuer, department="ward 4", jti="another")):
            ask(app, token, "/me")

    assert events(heard) == [("updated", key)]
    assert heard[0][1].resource["data"]["department"] == "ward 4"  # type: ignore[index]


def test_who_is_deactivated_and_activated_again_is_told_of_once_each(
    app: Flask, foreign_token: ForeignToken, issuer: Issuer
) -> None:
    key = ask(app, ann(issuer), "/me").json["user"]

    with hearing(app) as heard, app.app_context():
        for work in ("deactivate", "deactivate", "activate", "activate"):
            getattr(foreign_token, work)(key)

    assert events(heard) == [("deactivated", key), ("updated", key)]
    assert [user.active for _, user in heard] == [False, True]


def test_an_identifier_that_is_linked_or_taken_away_is_an_update(
    app: Flask, foreign_token: ForeignToken, issuer: Issuer
) -> None:
    key = ask(app, ann(issuer), "/me").json["user"]

    with hearing(app) as heard, app.app_context():
        for work in ("link", "link", "unlink"):
            getattr(foreign_token, work)(key, "keycloak", "ann's other account")

    assert events(heard) == [("updated", key), ("updated", key)]


def test_what_an_operator_does_is_told_of_once_each(make_app: MakeApp) -> None:
    app = tutorial(make_app(**ADMIN))
    body = {"resourceType": "User", "id": "ann"}
    known = {**body, "identifier": [{"system": "keycloak", "value": "ann"}]}

    with hearing(app) as heard:
        for sent in (body, body, known, {**known, "inactive": True}, known):
            operate(app, "PUT", "/User/ann", sent)
        operate(app, "DELETE", "/User/ann")
        operate(app, "DELETE", "/User/ann")

    assert [event for event, _ in heard] == ["created", "updated", "deactivated", "updated", "deactivated"]
    assert {user.key for _, user in heard} == {"ann"}


def test_who_was_deleted_is_carried_as_they_last_were(make_app: MakeApp, issuer: Issuer) -> None:
    app = tutorial(make_app(**ADMIN))
    key = ask(app, ann(issuer, department="ward 3"), "/me").json["user"]

    with hearing(app) as heard:
        operate(app, "DELETE", f"/User/{key}")

    assert events(heard) == [("deactivated", key)]
    assert heard[0][1].resource["data"]["department"] == "ward 3"  # type: ignore[index]


def test_one_app_hears_nothing_of_another(bare_app: MakeApp, issuer: Issuer) -> None:
    first, second = (protected(bare_app(), trusting_a_secret(ALL)) for _ in range(2))

    with hearing(first) as heard:
        ask(second, ann(issuer), "/me")

    assert heard == []


# ---- who listens


def test_a_receiver_finds_the_user_stored(app: Flask, issuer: Issuer) -> None:
    found: list[bool] = []

    def receive(sender: Flask, user: UserSnapshot) -> None:
        model = sender.extensions["foreign_token"].models.user
        found.append(database_of(sender).session.get(model, user.key) is not None)

    with user_created.connected_to(receive, app):
        ask(app, ann(issuer), "/me")

    assert found == [True]


@pytest.mark.parametrize("event", ["created", "updated", "deactivated"])
def test_coroutines_may_listen(app: Flask, foreign_token: ForeignToken, issuer: Issuer, event: Any) -> None:
    heard: list[tuple[Flask, bool, str]] = []

    async def receive(sender: Flask, user: UserSnapshot) -> None:
        await asyncio.sleep(0)
        heard.append((sender, user.active, current_app.name))

    with USER_SIGNALS[event].connected_to(receive, app):
        key = ask(app, ann(issuer, department="ward 3"), "/me").json["user"]
        ask(app, ann(issuer, department="ward 4"), "/me")
        with app.app_context():
            foreign_token.deactivate(key)

    assert heard == [(app, event != "deactivated", "clinic")]


def test_coroutines_and_functions_may_listen_together(app: Flask, issuer: Issuer) -> None:
    heard: list[str] = []

    def receive(sender: Flask, user: UserSnapshot) -> None:
        heard.append("function")

    async def receive_later(sender: Flask, user: UserSnapshot) -> None:
        heard.append("coroutine")

    with user_created.connected_to(receive, app), user_created.connected_to(receive_later, app):
        ask(app, ann(issuer), "/me")

    assert sorted(heard) == ["coroutine", "function"]


def test_a_coroutine_hears_of_decisions(app: Flask, issuer: Issuer) -> None:
    heard: list[tuple[Flask, bool]] = []

    async def receive(sender: Flask, decision: AccessDecision) -> None:
        await asyncio.sleep(0)
        heard.append((sender, decision.allowed))

    with access_decided.connected_to(receive, app):
        answers = [ask(app, token).status_code for token in (ann(issuer), "wr.on.g")]

    assert (answers, heard) == ([200, 401], [(app, True), (app, False)])


def test_what_a_coroutine_could_not_note_is_not_let_in(app: Flask, issuer: Issuer) -> None:
    async def receive(sender: Flask, decision: AccessDecision) -> None:
        raise OutOfOrder

    with access_decided.connected_to(receive, app):
        assert ask(app, ann(issuer)).status_code == 500
    assert ask(app, ann(issuer)).status_code == 200


# ---- receivers that fail


def fail(sender: Flask, user: UserSnapshot) -> None:
    raise OutOfOrder


async def fail_later(sender: Flask, user: UserSnapshot) -> None:
    raise OutOfOrder


@pytest.mark.parametrize("receive", [fail, fail_later])
def test_when_a_receiver_fails_the_request_ends_and_the_user_stays(
    app: Flask, issuer: Issuer, receive: Callable[..., object]
) -> None:
    with user_created.connected_to(receive, app):
        first = ask(app, ann(issuer), "/me").status_code
        stored = users_in(app)
        second = ask(app, ann(issuer), "/me").status_code

    assert (first, stored, second) == (500, 1, 200)


@pytest.mark.parametrize("receive", [fail, fail_later])
def test_when_a_receiver_fails_whoever_is_deactivated_stays_out(
    app: Flask, foreign_token: ForeignToken, issuer: Issuer, receive: Callable[..., object]
) -> None:
    key = ask(app, ann(issuer), "/me").json["user"]

    with user_deactivated.connected_to(receive, app), app.app_context(), pytest.raises(OutOfOrder):
        foreign_token.deactivate(key)

    assert ask(app, ann(issuer), "/me").status_code == 401


def test_when_a_receiver_fails_what_the_provider_said_stays(app: Flask, issuer: Issuer) -> None:
    ask(app, ann(issuer, department="ward 3"), "/me")
    token = ann(issuer, department="ward 4")

    with user_updated.connected_to(fail, app):
        first = ask(app, token, "/me").status_code
        second = ask(app, token, "/me").status_code
    with app.app_context():
        row = database_of(app).session.query(app.extensions["foreign_token"].models.user).one()

        assert (first, second, row.data["department"]) == (500, 200, "ward 4")


def test_a_row_that_a_receiver_touched_is_still_the_views(
    make_app: MakeApp, foreign_token: ForeignToken, issuer: Issuer
) -> None:
    app = make_app(trusting_a_secret(ALL), foreign_token)
    with app.app_context():
        _, other = app.extensions["foreign_token"].runtime().accounts.put(None, {"resourceType": "User"})

    @app.get("/dismiss")
    def dismiss() -> dict[str, object]:
        foreign_token.deactivate(other.id)
        return {"in the session": g.user in database_of(app).session, "data": bool(g.user.data)}

    def receive(sender: Flask, user: UserSnapshot) -> None:
        assert g.user is not None

    with user_deactivated.connected_to(receive, app):
        answer = ask(app, ann(issuer), "/dismiss")

    assert answer.json == {"in the session": True, "data": True}
