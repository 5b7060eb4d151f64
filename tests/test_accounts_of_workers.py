"""What an operator does to a user at one worker is noticed by the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_foreign_token import ForeignToken
from flask_foreign_token.testing import Issuer
from flask_foreign_token.users.accounts import Accounts

from .apps import SECRET_ISSUER, ask, policy, protected, rows, secret_token, store, trusting_a_secret
from .conftest import MakeApp

ANN = [{"system": "keycloak", "value": "ann"}]

Workers = tuple[Flask, Flask]
MakeWorkers = Callable[..., Workers]


def accounts(app: Flask) -> Accounts:
    with app.app_context():
        found: Accounts = app.extensions["foreign_token"].runtime().accounts
        return found


@pytest.fixture
def workers_of(make_app: MakeApp, tmp_path: Path) -> MakeWorkers:
    """Makes two workers of one app: one database file, the same registry, a user is remembered for an hour."""

    def make(**config: Any) -> Workers:
        shared = {
            "SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/shared.db",
            "FOREIGN_TOKEN_REGISTRY_POLL": 0,
            "FOREIGN_TOKEN_USER_TTL": 3600,
            **config,
        }
        first, second = (make_app(trusting_a_secret(policy("all")), **shared) for _ in range(2))
        return first, second

    return make


@pytest.fixture
def token(issuer: Issuer) -> str:
    return secret_token(issuer, sub="ann")


def statuses(workers: Workers, token: str) -> list[int]:
    return [ask(app, token, "/me").status_code for app in workers]


def user_of(app: Flask, token: str) -> str | None:
    found: str | None = ask(app, token, "/me").json["user"]
    return found


def test_who_is_made_inactive_is_refused_everywhere_with_the_next_request(workers_of: MakeWorkers, token: str) -> None:
    workers = workers_of()
    key = user_of(workers[0], token)
    assert statuses(workers, token) == [200, 200]

    accounts(workers[0]).set_active([key], False)
    assert statuses(workers, token) == [401, 401]

    accounts(workers[1]).set_active([key], True)
    assert statuses(workers, token) == [200, 200]


def test_who_is_made_inactive_by_put_is_refused_everywhere(workers_of: MakeWorkers, token: str) -> None:
    workers = workers_of()
    key = user_of(workers[1], token)
    assert statuses(workers, token) == [200, 200]
    desk = accounts(workers[0])

    desk.put(key, {**desk.get(key).resource, "inactive": True})

    assert statuses(workers, token) == [401, 401]


def test_who_is_deleted_is_somebody_new_everywhere(workers_of: MakeWorkers, token: str) -> None:
    workers = workers_of()
    key = user_of(workers[0], token)
    assert user_of(workers[1], token) == key

    accounts(workers[0]).delete(key)

    assert user_of(workers[1], token) == user_of(workers[0], token) != key


def test_who_is_deleted_is_nobody_where_users_are_not_made(workers_of: MakeWorkers, token: str) -> None:
    workers = workers_of(FOREIGN_TOKEN_CREATE_USER=False)
    accounts(workers[0]).put("ann", {"identifier": ANN})
    assert [user_of(app, token) for app in workers] == ["ann", "ann"]

    accounts(workers[0]).delete("ann")

    assert [user_of(app, token) for app in workers] == [None, None]


def test_who_was_unknown_and_is_registered_is_known_everywhere(workers_of: MakeWorkers, token: str) -> None:
    workers = workers_of(FOREIGN_TOKEN_CREATE_USER=False)
    assert [user_of(app, token) for app in workers] == [None, None]

    shown = accounts(workers[0]).put("ann", {"identifier": ANN, "role": "nurse"})[1]

    assert [user_of(app, token) for app in workers] == ["ann", "ann"]
    assert rows(workers[1], "SELECT issuer FROM foreign_token_identifier") == [(SECRET_ISSUER,)]
    assert shown.resource["role"] == "nurse"


def test_an_identifier_that_moves_to_somebody_else_leads_there_everywhere(workers_of: MakeWorkers, token: str) -> None:
    workers = workers_of()
    desk = accounts(workers[0])
    desk.put("one", {"identifier": ANN})
    assert [user_of(app, token) for app in workers] == ["one", "one"]

    desk.put("one", {})
    desk.put("two", {"identifier": ANN})

    assert [user_of(app, token) for app in workers] == ["two", "two"]


def test_what_policies_see_of_a_user_changes_everywhere(make_app: MakeApp, token: str, tmp_path: Path) -> None:
    nurses = trusting_a_secret(policy("nurses", {"user": {"role": "nurse"}}))
    shared = {"SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/shared.db", "FOREIGN_TOKEN_REGISTRY_POLL": 0}
    workers = make_app(nurses, **shared), make_app(nurses, **shared)
    accounts(workers[0]).put("ann", {"identifier": ANN})
    assert statuses(workers, token) == [403, 403]

    accounts(workers[0]).put("ann", {"identifier": ANN, "role": "nurse"})

    assert statuses(workers, token) == [200, 200]


def test_users_on_a_bind_of_their_own_are_noticed_too(bare_app: MakeApp, token: str, tmp_path: Path) -> None:
    def worker() -> Flask:
        uri, people = f"sqlite:///{tmp_path}/app.db", f"sqlite:///{tmp_path}/people.db"
        config = {"SQLALCHEMY_BINDS": {"people": people}, "FOREIGN_TOKEN_REGISTRY_POLL": 0}
        app, db = bare_app(SQLALCHEMY_DATABASE_URI=uri, **config), SQLAlchemy()
        members = {
            "__bind_key__": "people",
            "id": db.Column(db.Integer, primary_key=True, autoincrement=False),
            "is_active": db.Column(db.Boolean, default=True),
        }
        person = type("Person", (db.Model,), members)
        db.init_app(app)
        extension = ForeignToken(db=db, user_class=person, active_attribute="is_active")
        with app.app_context():
            protected(app, trusting_a_secret(policy("all")), extension)
            db.create_all()
        return app

    workers = worker(), worker()
    accounts(workers[0]).put("7", {"identifier": ANN})
    assert [user_of(app, token) for app in workers] == ["7", "7"]

    accounts(workers[0]).set_active(["7"], False)

    assert statuses(workers, token) == [401, 401]


def test_a_system_that_another_worker_has_just_registered_is_known(make_app: MakeApp, tmp_path: Path) -> None:
    shared = {"SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/shared.db", "FOREIGN_TOKEN_REGISTRY_POLL": 3600}
    first, second = make_app(**shared), make_app(**shared)
    accounts(second).put("one", {})
    assert ask(second, "a.b.c").status_code == 401

    store(first, trusting_a_secret())

    assert accounts(second).put("ann", {"identifier": ANN})[0] == "created"


def test_the_first_thing_done_to_an_empty_database_may_be_a_search(make_app: MakeApp, tmp_path: Path) -> None:
    app = make_app(SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/empty.db")

    assert accounts(app).search().total == 0
