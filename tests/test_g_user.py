"""What `g.user` and `g.token` are, and what they are not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy
from flask import Flask, copy_current_request_context, g
from flask_sqlalchemy import SQLAlchemy

from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.introspection.token import Token
from flask_foreign_token.testing import Issuer

from .apps import (
    ask,
    bearer,
    database_of,
    deactivate,
    in_database,
    key_of,
    policy,
    protected,
    secret_token,
    trusting_a_secret,
)
from .conftest import MakeApp
from .counting import counted


def app_with_view(make_app: MakeApp, view: Any, *policies: dict[str, Any], **config: object) -> Flask:
    app = make_app(trusting_a_secret(*(policies or [policy("all")])), **config)
    app.add_url_rule("/view", "view", require_policy(view))
    return app


# ---- in a request


def test_the_user_is_a_row_of_the_apps_own_session(make_app: MakeApp, issuer: Issuer) -> None:
    def view() -> dict[str, object]:
        db = app.extensions["sqlalchemy"]
        state = sqlalchemy.inspect(g.user)
        return {
            "model": type(g.user).__tablename__,
            "of the db": type(g.user).metadata is db.metadata,
            "in the session": g.user in db.session,
            "same": g.user is g.user is g.get("user"),
            "persistent": state.persistent,
        }

    app = app_with_view(make_app, view)

    assert ask(app, secret_token(issuer), "/view").json == {
        "model": "foreign_token_user",
        "of the db": True,
        "in the session": True,
        "same": True,
        "persistent": True,
    }


def test_the_token_is_the_verified_one(make_app: MakeApp, issuer: Issuer) -> None:
    seen: list[object] = []
    app = app_with_view(make_app, lambda: seen.append(g.token) or "seen")

    ask(app, secret_token(issuer, sub="ann", department="ward 3"), "/view")

    (token,) = seen
    assert isinstance(token, Token)
    assert (token.subject, token.claims["department"]) == ("ann", "ward 3")
    with pytest.raises(TypeError):
        token.claims["sub"] = "bob"  # type: ignore[index]


@pytest.mark.parametrize("anonymous", [True, False])
def test_user_and_token_are_in_g_for_anonymous_callers_too(make_app: MakeApp, issuer: Issuer, anonymous: bool) -> None:
    def view() -> dict[str, object]:
        found = {name: name in g for name in ("user", "token", "nothing")}
        got = {name: g.get(name, "default") is None for name in ("user", "token")}
        return {"in": found, "none": got, "default": g.get("nothing", "default")}

    app = app_with_view(make_app, view)

    assert ask(app, None if anonymous else secret_token(issuer), "/view").json == {
        "in": {"user": True, "token": True, "nothing": False},
        "none": {"user": anonymous, "token": anonymous},
        "default": "default",
    }


def test_what_is_not_in_g_is_still_an_attribute_error(make_app: MakeApp) -> None:
    def view() -> str:
        with pytest.raises(AttributeError):
            _ = g.nothing
        g.something = 1
        return f"{g.something} {g.pop('something')} {'something' in g}"

    assert ask(app_with_view(make_app, view), path="/view").text == "1 1 False"


def test_outside_a_request_there_is_no_user(make_app: MakeApp) -> None:
    app = make_app(trusting_a_secret())

    with app.app_context():
        assert "user" not in g
        assert "token" not in g
        assert g.get("user", "default") == "default"
        with pytest.raises(AttributeError):
            _ = g.user


def test_the_class_of_g_derives_from_the_apps_own(bare_app: MakeApp, issuer: Issuer) -> None:
    app = bare_app()

    class OwnGlobals(app.app_ctx_globals_class):  # type: ignore[name-defined, misc]
        tenant = "ward 3"

    app.app_ctx_globals_class = OwnGlobals
    ForeignToken(app)

    with app.test_request_context():
        assert isinstance(g._get_current_object(), OwnGlobals)
        assert g.tenant == "ward 3"


# ---- how it is loaded


def test_the_user_costs_one_query_however_often_it_is_touched(make_app: MakeApp, issuer: Issuer) -> None:
    app = app_with_view(make_app, lambda: f"{key_of(g.user)} {key_of(g.user)} {key_of(g.get('user'))}")
    ask(app, token := secret_token(issuer), "/view")

    with counted() as statements:
        ask(app, token, "/view")

    assert statements.work == ["SELECT"]


@pytest.mark.parametrize("anonymous", [True, False])
def test_looking_whether_the_user_is_in_g_or_being_nobody_costs_nothing(
    make_app: MakeApp, issuer: Issuer, anonymous: bool
) -> None:
    app = app_with_view(make_app, lambda: str("user" in g and (g.token is not None or g.user)))
    token = None if anonymous else secret_token(issuer)
    ask(app, token, "/view")

    with counted() as statements:
        ask(app, token, "/view")

    assert statements.work == []


def with_patients(bare_app: MakeApp, uri: str) -> tuple[Flask, Any, Any]:
    """An app with a table of its own."""
    app, db = bare_app(SQLALCHEMY_DATABASE_URI=uri), SQLAlchemy()

    class Patient(db.Model):  # type: ignore[name-defined, misc]
        id = db.Column(db.Integer, primary_key=True)
        name = db.Column(db.String, nullable=False)

    db.init_app(app)
    with app.app_context():
        db.create_all()
    return app, db, Patient


@pytest.mark.parametrize("where", ["memory", "file"])
def test_touching_the_user_does_not_flush_the_apps_session(
    bare_app: MakeApp, issuer: Issuer, tmp_path: Any, where: str
) -> None:
    app, db, patient = with_patients(bare_app, "sqlite://" if where == "memory" else f"sqlite:///{tmp_path}/app.db")
    protected(app, trusting_a_secret(policy("all")))

    @app.post("/half-made")
    @require_policy
    def half_made() -> dict[str, object]:
        unfinished = patient(name=None)
        db.session.add(unfinished)
        user = key_of(g.user)
        return {"user": user is not None, "still new": unfinished in db.session.new}

    assert ask(app, secret_token(issuer), "/half-made", "POST").json == {"user": True, "still new": True}


def test_a_view_may_change_and_commit_its_user(make_app: MakeApp, issuer: Issuer) -> None:
    def view() -> str:
        g.user.data = {**g.user.data, "seen": True}
        database_of(app).session.commit()
        return key_of(g.user) or ""

    app = app_with_view(make_app, view)

    assert ask(app, token := secret_token(issuer), "/view").text == ask(app, token, "/view").text


# ---- what the app assigns


@pytest.mark.parametrize("order", ["before", "after"])
def test_what_the_app_assigns_wins_and_policies_do_not_see_it(bare_app: MakeApp, issuer: Issuer, order: str) -> None:
    app = bare_app()
    impostor = {"id": "impostor"}

    def assign() -> None:
        g.user = impostor

    if order == "before":
        app.before_request(assign)
    protected(app, trusting_a_secret(policy("ann", {"user": {"identifier": [{"value": "ann"}], "id": "not-blank?"}})))
    if order == "after":
        app.before_request(assign)

    @app.get("/view")
    @require_policy
    def view() -> dict[str, object]:
        return {"user": g.user, "got": g.get("user")}

    answer = ask(app, secret_token(issuer, sub="ann"), "/view")

    assert answer.json == {"user": impostor, "got": impostor}
    assert ask(app, secret_token(issuer, sub="bob"), "/view").status_code == 403
    assert ask(app, None, "/view").status_code == 401


def test_what_the_app_assigned_is_gone_with_the_request(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(policy("all")))
    app.add_url_rule("/assign", "assign", lambda: setattr(g, "user", "mine") or str(g.user))
    app.add_url_rule("/read", "read", lambda: str(g.user))

    with app.app_context():
        client = app.test_client()
        assert client.get("/assign").text == "mine"
        assert client.get("/read").text == "None"


# ---- a pushed app context


def test_under_a_pushed_context_no_request_inherits_the_user_before(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(policy("all")))
    ann, bob = (secret_token(issuer, sub=name) for name in ("ann", "bob"))

    with app.app_context():
        answers = [ask(app, token, "/me").json for token in (ann, None, bob, ann)]
        after = "user" in g, "token" in g, g.get("user")

    assert [answer["subject"] for answer in answers] == ["ann", None, "bob", "ann"]
    assert answers[1] == {"user": None, "subject": None}
    assert answers[0] == answers[3] != answers[2]
    assert after == (False, False, None)


@pytest.mark.parametrize("path", ["/nowhere", "/static/nothing.css"])
def test_requests_that_the_hook_skips_do_not_inherit_either(make_app: MakeApp, issuer: Issuer, path: str) -> None:
    app = make_app(trusting_a_secret(policy("all")))
    app.register_error_handler(404, lambda error: (str(g.get("token") and g.token.subject), 404))

    with app.app_context():
        ask(app, secret_token(issuer, sub="ann"), "/me")
        answer = ask(app, path=path)

    assert (answer.status_code, answer.text) == (404, "None")


def test_a_client_that_keeps_its_context_shows_the_user_of_its_request(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(policy("all")))

    with app.test_client() as client:
        client.get("/patients", headers=bearer(secret_token(issuer, sub="ann")))
        assert g.token.subject == "ann"
        assert g.user is not None
        client.get("/patients")
        assert (g.token, g.user) == (None, None)


def test_a_request_context_of_a_test_is_a_request(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(policy("all")))

    with app.test_request_context("/patients"):
        before = "user" in g, g.user, g.token
    with app.test_request_context("/patients", headers=bearer(secret_token(issuer, sub="ann"))):
        app.preprocess_request()
        after = g.token.subject, g.user is None

    assert (before, after) == ((True, None, None), ("ann", False))


def test_a_copied_request_context_has_the_same_user(make_app: MakeApp, issuer: Issuer) -> None:
    def view() -> dict[str, object]:
        with ThreadPoolExecutor(1) as pool:
            there = pool.submit(copy_current_request_context(lambda: (g.token.subject, key_of(g.user)))).result()
        return {"same": there == (g.token.subject, key_of(g.user))}

    assert ask(app_with_view(make_app, view), secret_token(issuer), "/view").json == {"same": True}


# ---- rows that are gone


def test_a_user_found_inactive_on_touch_is_refused(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(policy("all")))
    token = secret_token(issuer, sub="ann")
    deactivate(app, ask(app, token, "/me").json["user"])

    answer = ask(app, token, "/me")

    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_a_user_found_deleted_on_touch_is_refused(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(policy("all")))
    token = secret_token(issuer, sub="ann")
    ask(app, token, "/me")
    delete_users(app)

    answer = ask(app, token, "/me")

    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def delete_users(app: Flask) -> None:
    for table in ("foreign_token_identifier", "foreign_token_user"):
        in_database(app, lambda connection, table=table: connection.execute(sqlalchemy.text(f"DELETE FROM {table}")))


def test_an_inactive_user_is_refused_before_any_view(make_app: MakeApp, issuer: Issuer, tmp_path: Any) -> None:
    shared = f"sqlite:///{tmp_path}/shared.db"
    first, second = (make_app(trusting_a_secret(policy("all")), SQLALCHEMY_DATABASE_URI=shared) for _ in range(2))
    token = secret_token(issuer, sub="ann")
    deactivate(first, ask(first, token, "/me").json["user"])

    answers = [ask(second, token, path) for path in ("/patients", "/open")]

    assert [answer.status_code for answer in answers] == [401, 401]
    assert ask(second, secret_token(issuer, sub="bob")).status_code == 200


# ---- models of the app


def own_users(bare_app: MakeApp, folder: Any) -> tuple[Flask, Any, Any]:
    app, db = bare_app(SQLALCHEMY_DATABASE_URI=f"sqlite:///{folder}/app.db"), SQLAlchemy()

    class Person(db.Model):  # type: ignore[name-defined, misc]
        id = db.Column(db.Integer, primary_key=True)
        email = db.Column(db.String)
        is_active = db.Column(db.Boolean, nullable=False, default=True)

    db.init_app(app)
    foreign_token = ForeignToken(db=db, user_class=Person, active_attribute="is_active")
    protected(app, trusting_a_secret(policy("all")), foreign_token)
    with app.app_context():
        db.create_all()
    return app, db, Person


def test_the_user_may_be_a_model_of_the_apps_own(bare_app: MakeApp, issuer: Issuer, tmp_path: Any) -> None:
    app, db, person = own_users(bare_app, tmp_path)
    app.add_url_rule("/kind", "kind", lambda: type(g.user).__name__)

    assert ask(app, secret_token(issuer, sub="ann"), "/kind").text == "Person"
    with app.app_context():
        assert db.session.query(person).count() == 1


def test_an_own_attribute_that_says_inactive_refuses(bare_app: MakeApp, issuer: Issuer, tmp_path: Any) -> None:
    app, db, person = own_users(bare_app, tmp_path)
    ann, bob = (secret_token(issuer, sub=name) for name in ("ann", "bob"))
    key = ask(app, ann, "/me").json["user"]
    with app.app_context():
        db.session.get(person, int(key)).is_active = False
        db.session.commit()

    assert [ask(app, token, "/me").status_code for token in (ann, bob)] == [401, 200]
