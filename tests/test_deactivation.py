"""What an app may do with its users in Python: keep them out, let them in, link and unlink their identifiers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, g
from flask_login import LoginManager, current_user
from flask_sqlalchemy import SQLAlchemy

from flask_foreign_token import ForeignToken
from flask_foreign_token.errors import ConfigError, DatabaseUnavailable, NotStored, Rejected
from flask_foreign_token.testing import Issuer

from .apps import (
    ask,
    database_of,
    in_database,
    introspector,
    policy,
    protected,
    provider,
    rows,
    secret_token,
    trusting_a_secret,
    users_in,
)
from .conftest import MakeApp
from .counting import counted

ALL = policy("all")
MODELS = ["our model", "the app's model"]

Clinic = tuple[Flask, ForeignToken]


@pytest.fixture(params=MODELS)
def clinic(request: pytest.FixtureRequest, bare_app: MakeApp) -> Clinic:
    """An app that trusts one issuer under the system ``keycloak``, and its extension."""
    return a_clinic(bare_app, request.param)


def a_clinic(bare_app: MakeApp, model: str, uri: str | None = None) -> Clinic:
    app, db = bare_app(), SQLAlchemy()
    app.config["SQLALCHEMY_DATABASE_URI"] = uri or f"sqlite:///{app.root_path}/clinic.db"

    class Person(db.Model):  # type: ignore[name-defined, misc]
        id = db.Column(db.Integer, primary_key=True)
        name = db.Column(db.String(40))
        is_active = db.Column(db.Boolean, nullable=False, default=True)

    own: dict[str, Any] = {} if model == "our model" else {"user_class": Person, "active_attribute": "is_active"}
    foreign_token = ForeignToken(db=db, **own)
    db.init_app(app)
    protected(app, trusting_a_secret(ALL), foreign_token)
    with app.app_context():
        db.create_all()
    return app, foreign_token


def key_of_user(app: Flask, token: str) -> str:
    key: str = ask(app, token, "/me").json["user"]
    return key


def row_of(app: Flask, key: str) -> Any:
    """A row in the session of the context at hand."""
    model = app.extensions["foreign_token"].models.user
    return database_of(app).session.get(model, int(key) if key.isdecimal() else key)


def column(app: Flask, key: str) -> bool:
    """Whether the database says that a user is active."""
    with app.app_context():
        row, attribute = row_of(app, key), app.extensions["foreign_token"].models.active_attribute
        return bool(getattr(row, attribute))


# ---- deactivated and activated


def test_who_is_deactivated_is_refused_with_the_next_request(clinic: Clinic, issuer: Issuer) -> None:
    app, foreign_token = clinic
    ann, bob = (secret_token(issuer, sub=name) for name in ("ann", "bob"))
    key = key_of_user(app, ann)
    key_of_user(app, bob)

    with app.app_context():
        foreign_token.deactivate(key)
    answers = [ask(app, token, path) for token in (ann, bob) for path in ("/patients", "/me", "/open")]

    assert [answer.status_code for answer in answers] == [401, 401, 401, 200, 200, 200]
    assert answers[0].json["error_description"] == "the user is inactive"
    assert column(app, key) is False


def test_who_is_activated_again_is_let_in_with_the_next_request(clinic: Clinic, issuer: Issuer) -> None:
    app, foreign_token = clinic
    key = key_of_user(app, ann := secret_token(issuer, sub="ann"))
    with app.app_context():
        foreign_token.deactivate(key)
        assert ask(app, ann).status_code == 401

        foreign_token.activate(key)

        assert ask(app, ann, "/me").json["user"] == key


@pytest.mark.parametrize("how", ["the row", "the key", "its text", "a detached row"])
def test_a_user_is_named_by_row_or_by_key(clinic: Clinic, issuer: Issuer, how: str) -> None:
    app, foreign_token = clinic
    text = key_of_user(app, ann := secret_token(issuer, sub="ann"))

    with app.app_context():
        row = row_of(app, text)
        user = {"the row": row, "the key": row.id, "its text": text, "a detached row": row}[how]
        if how == "a detached row":
            database_of(app).session.close()
        foreign_token.deactivate(user)

    assert ask(app, ann).status_code == 401


@pytest.mark.parametrize("where", ["file", "memory"])
@pytest.mark.parametrize("model", MODELS)
def test_who_deactivates_themselves_is_in_for_the_rest_of_the_request_only(
    bare_app: MakeApp, issuer: Issuer, model: str, where: str
) -> None:
    app, foreign_token = a_clinic(bare_app, model, "sqlite://" if where == "memory" else None)

    @app.post("/leave")
    def leave() -> dict[str, object]:
        before = g.user
        foreign_token.deactivate(g.user)
        return {"same": g.user is before, "token": g.token.subject}

    ann = secret_token(issuer, sub="ann")
    key_of_user(app, ann)

    answer = ask(app, ann, "/leave", "POST")

    assert (answer.status_code, answer.json) == (200, {"same": True, "token": "ann"})
    assert [ask(app, ann, path).status_code for path in ("/patients", "/me", "/open")] == [401, 401, 401]


def test_who_is_deactivated_before_the_row_was_touched_is_refused_in_the_same_request(
    clinic: Clinic, issuer: Issuer
) -> None:
    app, foreign_token = clinic

    @app.post("/leave/<key>")
    def leave(key: str) -> str:
        foreign_token.deactivate(key)
        return str(g.user)

    key = key_of_user(app, ann := secret_token(issuer, sub="ann"))

    assert ask(app, ann, f"/leave/{key}", "POST").status_code == 401


def test_the_session_has_no_part_in_it(clinic: Clinic, issuer: Issuer) -> None:
    app, foreign_token = clinic
    ann, bob = (key_of_user(app, secret_token(issuer, sub=name)) for name in ("ann", "bob"))

    with app.app_context():
        session, model = database_of(app).session, app.extensions["foreign_token"].models.user
        row, unfinished = row_of(app, ann), model()
        attribute = app.extensions["foreign_token"].models.active_attribute
        session.add(unfinished)
        foreign_token.deactivate(ann)
        foreign_token.deactivate(bob)

        assert unfinished in session.new
        assert getattr(row, attribute) is True
        session.rollback()
        session.refresh(row)
        assert getattr(row, attribute) is False
    assert [column(app, key) for key in (ann, bob)] == [False, False]


def test_who_is_out_already_costs_no_write(clinic: Clinic, issuer: Issuer) -> None:
    app, foreign_token = clinic
    key = key_of_user(app, secret_token(issuer, sub="ann"))
    with app.app_context():
        foreign_token.deactivate(key)

        with counted() as statements:
            foreign_token.deactivate(key)

    assert statements.writes == []


def test_other_workers_learn_of_it(bare_app: MakeApp, issuer: Issuer, tmp_path: Any) -> None:
    uri = f"sqlite:///{tmp_path}/shared.db"
    (first, foreign_token), (second, _) = (a_clinic(bare_app, "our model", uri) for _ in range(2))
    second.config["FOREIGN_TOKEN_REGISTRY_POLL"] = 0
    ann = secret_token(issuer, sub="ann")
    key = key_of_user(first, ann)
    ask(second, ann)

    with first.app_context():
        foreign_token.deactivate(key)
    second.extensions["foreign_token"].runtime().registry.refresh()

    assert ask(second, ann, "/patients").status_code == 401


def test_the_proxy_of_flask_login_stands_for_the_row(bare_app: MakeApp, issuer: Issuer) -> None:
    app, foreign_token = a_clinic(bare_app, "our model")
    login_manager = LoginManager(app)
    foreign_token.init_login(login_manager)
    app.add_url_rule("/leave", "leave", lambda: str(foreign_token.deactivate(current_user)))
    ann = secret_token(issuer, sub="ann")

    assert ask(app, ann, "/leave").status_code == 200
    assert ask(app, ann).status_code == 401


# ---- who is not to be deactivated

WORKS: dict[str, Callable[[ForeignToken, object], None]] = {
    "deactivate": lambda foreign_token, user: foreign_token.deactivate(user),
    "activate": lambda foreign_token, user: foreign_token.activate(user),
    "link": lambda foreign_token, user: foreign_token.link(user, "keycloak", "ann"),
    "unlink": lambda foreign_token, user: foreign_token.unlink(user, "keycloak", "ann"),
}


@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize("state", ["transient", "pending"])
def test_a_row_that_has_not_been_stored_is_refused(clinic: Clinic, work: str, state: str) -> None:
    app, foreign_token = clinic
    with app.app_context():
        user = app.extensions["foreign_token"].models.user()
        if state == "pending":
            database_of(app).session.add(user)

        with pytest.raises(Rejected, match="has not been stored yet; commit it first"):
            WORKS[work](foreign_token, user)


@pytest.mark.parametrize("work", WORKS)
def test_nobody_is_refused(clinic: Clinic, work: str) -> None:
    app, foreign_token = clinic

    with app.app_context(), pytest.raises(Rejected, match="there is no user: None"):
        WORKS[work](foreign_token, None)


@pytest.mark.parametrize("work", WORKS)
def test_a_row_of_another_model_is_refused(clinic: Clinic, issuer: Issuer, work: str) -> None:
    app, foreign_token = clinic
    key_of_user(app, secret_token(issuer, sub="ann"))

    with app.app_context():
        identifier = database_of(app).session.query(app.extensions["foreign_token"].models.identifier).one()

        with pytest.raises(Rejected, match="a ForeignTokenIdentifier is no"):
            WORKS[work](foreign_token, identifier)


@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize("key", ["4711", 4711, "no such user", ""])
def test_who_is_not_there_is_not_stored(clinic: Clinic, work: str, key: object) -> None:
    app, foreign_token = clinic

    with app.app_context(), pytest.raises(NotStored, match="is not stored"):
        WORKS[work](foreign_token, key)


@pytest.mark.parametrize("work", WORKS)
def test_who_was_deleted_is_not_stored(clinic: Clinic, issuer: Issuer, work: str) -> None:
    app, foreign_token = clinic
    key = key_of_user(app, secret_token(issuer, sub="ann"))

    with app.app_context():
        row = row_of(app, key)
        database_of(app).session.delete(row)
        database_of(app).session.commit()

        with pytest.raises(NotStored, match="is not stored"):
            WORKS[work](foreign_token, row)


# ---- linked and unlinked


def two_systems() -> list[dict[str, Any]]:
    """One issuer under ``keycloak``, another, with the same secret, under ``github``."""
    attributes = {"iss": "https://other.example", "secret": "tell-nobody-that-this-is-how-we-sign-texts"}
    return [*trusting_a_secret(ALL), provider("github"), introspector("other", "github", jwt=attributes)]


@pytest.fixture
def linking(make_app: MakeApp) -> Clinic:
    foreign_token = ForeignToken()
    return make_app(two_systems(), foreign_token), foreign_token


def test_tokens_of_an_identifier_that_is_linked_lead_to_the_user(linking: Clinic, issuer: Issuer) -> None:
    app, foreign_token = linking
    ann = key_of_user(app, secret_token(issuer, sub="ann"))

    with app.app_context():
        foreign_token.link(ann, "github", "4711")

    assert key_of_user(app, secret_token(issuer, iss="https://other.example", sub="4711")) == ann
    assert users_in(app) == 1


def test_an_identifier_of_somebody_else_is_not_linked(linking: Clinic, issuer: Issuer) -> None:
    app, foreign_token = linking
    ann = key_of_user(app, secret_token(issuer, sub="ann"))
    token = secret_token(issuer, iss="https://other.example", sub="4711")
    bob = key_of_user(app, token)

    with app.app_context(), pytest.raises(Rejected):
        foreign_token.link(ann, "github", "4711")

    assert key_of_user(app, token) == bob


def test_an_identifier_that_nobody_vouches_for_is_not_linked(linking: Clinic, issuer: Issuer) -> None:
    app, foreign_token = linking
    ann = key_of_user(app, secret_token(issuer, sub="ann"))

    with app.app_context(), pytest.raises(Rejected):
        foreign_token.link(ann, "gitlab", "4711")

    assert len(rows(app, "SELECT id FROM foreign_token_identifier")) == 1


def test_tokens_of_an_identifier_that_was_taken_away_make_a_new_user(linking: Clinic, issuer: Issuer) -> None:
    app, foreign_token = linking
    ann = key_of_user(app, token := secret_token(issuer, sub="ann"))

    with app.app_context():
        foreign_token.unlink(ann, "keycloak", "ann")

    assert key_of_user(app, token) != ann
    assert users_in(app) == 2


def test_an_identifier_of_somebody_else_is_not_taken_away(linking: Clinic, issuer: Issuer) -> None:
    app, foreign_token = linking
    ann, bob = (key_of_user(app, secret_token(issuer, sub=name)) for name in ("ann", "bob"))

    with app.app_context(), pytest.raises(Rejected):
        foreign_token.unlink(ann, "keycloak", "bob")

    assert key_of_user(app, secret_token(issuer, sub="bob")) == bob


# ---- which app is meant


def test_the_only_app_is_meant_where_there_is_no_context(clinic: Clinic, issuer: Issuer) -> None:
    app, foreign_token = clinic
    key = key_of_user(app, ann := secret_token(issuer, sub="ann"))

    foreign_token.deactivate(key)

    assert ask(app, ann).status_code == 401


def test_of_several_apps_one_is_to_be_named(bare_app: MakeApp, issuer: Issuer) -> None:
    foreign_token = ForeignToken()
    apps = [protected(bare_app(), trusting_a_secret(ALL), foreign_token) for _ in range(2)]
    ann = secret_token(issuer, sub="ann")
    keys = [key_of_user(app, ann) for app in apps]

    with pytest.raises(ConfigError, match="which app is meant"):
        foreign_token.deactivate(keys[0])
    with apps[0].app_context():
        foreign_token.deactivate(keys[1], apps[1])

    assert [ask(app, ann).status_code for app in apps] == [200, 401]


def test_a_database_that_does_not_answer_is_told_of_in_a_view(bare_app: MakeApp, issuer: Issuer) -> None:
    app, foreign_token = a_clinic(bare_app, "our model")

    @app.post("/leave")
    def leave() -> str:
        # Tables that are missing are made at the first use only.
        foreign_token.activate(g.token.claims["id"])
        in_database(app, lambda connection: connection.exec_driver_sql("DROP TABLE foreign_token_change"))
        foreign_token.deactivate(g.token.claims["id"])
        return "left"

    key = key_of_user(app, secret_token(issuer, sub="ann"))

    answer = ask(app, secret_token(issuer, sub="ann", id=key), "/leave", "POST")

    assert (answer.status_code, answer.json["error"]) == (503, "temporarily_unavailable")
    assert len(answer.json["decision_id"]) == 16
    with app.app_context(), pytest.raises(DatabaseUnavailable):
        foreign_token.deactivate(key)
    assert column(app, key) is True
