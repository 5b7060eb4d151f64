"""What is refused only when the view runs: the user's row, and how the rest of the app sees it."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import sqlalchemy
from flask import Flask, Response, g

from flask_foreign_token import require_policy
from flask_foreign_token.errors import InvalidToken
from flask_foreign_token.testing import Issuer

from .apps import ask, database_of, deactivate, policy, secret_token, trusting_a_secret
from .challenges import body
from .conftest import MakeApp

INACTIVE = {"error": "invalid_token", "error_description": "the user is inactive"}


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(trusting_a_secret(policy("all")))


def deactivated_behind_our_back(app: Flask, issuer: Issuer) -> str:
    """A token whose user is cached as active and is so no more."""
    token = secret_token(issuer, sub="ann")
    deactivate(app, ask(app, token, "/me").json["user"])
    return token


def test_a_page_that_tells_of_the_refusal_may_look_at_the_user(app: Flask, issuer: Issuer) -> None:
    @app.errorhandler(401)
    def sorry(error: Any) -> tuple[dict[str, object], int]:
        return {"user": g.user, "token": g.token, "again": g.get("user")}, 401

    token = deactivated_behind_our_back(app, issuer)

    answer = ask(app, token, "/me")

    assert (answer.status_code, answer.json) == (401, {"user": None, "token": None, "again": None})


def test_a_hook_after_the_view_may_look_again(app: Flask, issuer: Issuer) -> None:
    @app.after_request
    def note(response: Response) -> Response:
        response.headers["X-User"] = str(g.user)
        return response

    token = deactivated_behind_our_back(app, issuer)

    answer = ask(app, token, "/me")

    assert (answer.status_code, body(answer), answer.headers["X-User"]) == (401, INACTIVE, "None")


def test_a_view_that_swallows_the_refusal_passes_no_further_guard(app: Flask, issuer: Issuer) -> None:
    inner = require_policy(lambda: {"in": True})

    @app.get("/swallowing")
    @require_policy
    def swallowing() -> Any:
        with contextlib.suppress(InvalidToken):
            return {"user": str(g.user)}
        return inner()

    token = deactivated_behind_our_back(app, issuer)

    assert body(ask(app, token, "/swallowing")) == INACTIVE


def test_a_database_that_fails_while_the_user_is_loaded_is_unavailable(
    app: Flask, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    token = secret_token(issuer, sub="ann")
    assert ask(app, token, "/me").status_code == 200
    with app.app_context(), database_of(app).engine.begin() as connection:
        connection.execute(sqlalchemy.text("ALTER TABLE foreign_token_user RENAME TO elsewhere"))

    answer = ask(app, token, "/me")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "the database cannot be used: OperationalError" in caplog.text


def test_a_listener_that_looks_at_the_user_while_it_is_loaded_sees_none(app: Flask, issuer: Issuer) -> None:
    seen: list[object] = []
    with app.app_context():
        sqlalchemy.event.listen(database_of(app).session, "do_orm_execute", lambda state: seen.append(g.user))

    assert ask(app, secret_token(issuer, sub="ann"), "/me").status_code == 200
    assert seen == [None]


def test_the_user_stands_before_a_default(app: Flask, issuer: Issuer) -> None:
    @app.get("/default")
    def default() -> dict[str, bool]:
        return {"default": g.setdefault("user", "nobody") == "nobody", "other": g.setdefault("other", 1) == 1}

    assert ask(app, secret_token(issuer, sub="ann"), "/default").json == {"default": False, "other": True}
