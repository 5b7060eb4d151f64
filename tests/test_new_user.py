"""`@foreign_token.new_user`: an app's own word about who becomes a user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from flask import Flask, g
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBaseNoMeta, Mapped, MappedAsDataclass, mapped_column
from werkzeug.test import TestResponse

from flask_foreign_token import ForeignToken
from flask_foreign_token.errors import AccessDenied, ConfigError
from flask_foreign_token.testing import Issuer
from flask_foreign_token.users.new_user import NewUser

from .admin.asking import ADMIN, operate
from .apps import (
    ask,
    bearer,
    database_of,
    policy,
    protected,
    rows,
    secret_token,
    store,
    trusting,
    trusting_a_secret,
)
from .conftest import MakeApp
from .loading import Clock

STAFF = policy("staff", {"jwt": {"department": "ward 3"}})
"""A policy that does not ask for a user."""

Clinic = tuple[Flask, ForeignToken, Any]
MakeClinic = Callable[..., Clinic]


@pytest.fixture
def clinic(bare_app: MakeApp) -> MakeClinic:
    """Makes an app with a model that cannot be made of a key alone, its extension, and the model."""

    def make(
        resources: list[dict[str, Any]] | None = None, user_attributes: tuple[str, ...] = (), **config: object
    ) -> Clinic:
        app, db = bare_app(**config), SQLAlchemy()
        app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{app.root_path}/clinic.db"
        app.config["PROPAGATE_EXCEPTIONS"] = False
        db.init_app(app)
        model = doctor(db)
        foreign_token = ForeignToken(db=db, user_class=model, user_attributes=user_attributes)
        stored = None if "FOREIGN_TOKEN_ADMIN_URL_PREFIX" in config else resources or trusting_a_secret(STAFF)
        protected(app, stored, foreign_token)
        with app.app_context():
            db.create_all()
        return app, foreign_token, model

    return make


def doctor(db: SQLAlchemy) -> Any:
    class Doctor(db.Model):  # type: ignore[name-defined, misc]
        id = db.Column(db.Integer, primary_key=True)
        name = db.Column(db.String(40), nullable=False)
        email = db.Column(db.String(40))

    return Doctor


def staff(issuer: Issuer, **claims: Any) -> str:
    return secret_token(issuer, **{"department": "ward 3", "sub": "ann", "preferred_username": "ann", **claims})


def doctors_in(app: Flask) -> list[tuple[Any, ...]]:
    return rows(app, "SELECT id, name FROM doctor ORDER BY id")


def identifiers_in(app: Flask) -> int:
    return int(rows(app, "SELECT count(*) FROM foreign_token_identifier")[0][0])


def named(model: Any) -> Callable[[NewUser], Any]:
    return lambda new: model(name=new.userinfo["preferred_username"])


# ---- makes a user


@pytest.mark.parametrize("order", ["before", "after"])
def test_the_function_fills_what_the_model_requires(clinic: MakeClinic, issuer: Issuer, order: str) -> None:
    app, foreign_token, model = clinic()
    if order == "after":
        # As late as can be: the app has served already.
        assert ask(app, None, "/me").status_code == 401
    foreign_token.new_user(named(model))

    answer = ask(app, staff(issuer), "/me")

    assert answer.json == {"user": "1", "subject": "ann"}
    assert doctors_in(app) == [(1, "ann")]


def test_the_function_may_be_set_before_the_app_is(bare_app: MakeApp, issuer: Issuer) -> None:
    app, db = bare_app(), SQLAlchemy()
    model = doctor(db)
    foreign_token = ForeignToken(db=db, user_class=model)

    @foreign_token.new_user
    def hire(new: NewUser) -> Any:
        return model(name=new.subject)

    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{app.root_path}/clinic.db"
    db.init_app(app)
    protected(app, trusting_a_secret(STAFF), foreign_token)
    with app.app_context():
        db.create_all()

    assert ask(app, staff(issuer), "/me").status_code == 200
    assert doctors_in(app) == [(1, "ann")]


def test_without_a_function_the_developer_is_told_of_it(clinic: MakeClinic, issuer: Issuer) -> None:
    app, _, _ = clinic(DEBUG=True)

    answer = ask(app, staff(issuer), "/me")

    assert answer.status_code == 500
    assert "@foreign_token.new_user" in answer.json["hint"]


def test_the_function_is_told_what_is_known_and_can_change_none_of_it(clinic: MakeClinic, issuer: Issuer) -> None:
    resources = trusting_a_secret(STAFF, toScim={"preferred_username": ["nick"]})
    app, foreign_token, model = clinic(resources)
    seen: list[NewUser] = []

    @foreign_token.new_user
    def hire(new: NewUser) -> Any:
        seen.append(new)
        return model(name="ann")

    ask(app, staff(issuer), "/me")

    (new,) = seen
    assert (new.provider, new.system, new.subject) == ("keycloak", "keycloak", "ann")
    assert (new.userinfo["preferred_username"], new.attributes) == ("ann", {"nick": "ann"})
    assert new.token.claims["department"] == "ward 3"
    assert "ward 3" not in repr(new)
    with pytest.raises(FrozenInstanceError):
        new.subject = "bob"  # type: ignore[misc]


def test_the_function_is_called_once_for_a_user(clinic: MakeClinic, issuer: Issuer) -> None:
    app, foreign_token, model = clinic()
    asked: list[str] = []
    foreign_token.new_user(lambda new: asked.append(new.subject) or named(model)(new))  # type: ignore[func-returns-value]

    for name in ("ann", "ann", "bob", "ann"):
        ask(app, staff(issuer, sub=name), "/me")
    app.extensions["foreign_token"].runtime().users.forget_all()
    ask(app, staff(issuer), "/me")

    assert asked == ["ann", "bob"]


def test_a_dataclass_with_required_arguments_can_be_made(bare_app: MakeApp, issuer: Issuer) -> None:
    class Base(DeclarativeBaseNoMeta):
        pass

    app, db = bare_app(), SQLAlchemy(model_class=Base)

    class Doctor(MappedAsDataclass, db.Model):  # type: ignore[name-defined, misc]
        id: Mapped[int] = mapped_column(primary_key=True, init=False)
        name: Mapped[str]
        licence: Mapped[int] = mapped_column(kw_only=True)

    foreign_token = ForeignToken(db=db, user_class=Doctor)
    foreign_token.new_user(lambda new: Doctor(new.subject, licence=new.userinfo["licence"]))
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{app.root_path}/clinic.db"
    db.init_app(app)
    protected(app, trusting_a_secret(STAFF), foreign_token)
    app.add_url_rule("/licence", "licence", lambda: str(g.user.licence))
    with app.app_context():
        db.create_all()

    assert ask(app, staff(issuer, licence=7), "/licence").text == "7"


def test_what_to_scim_says_of_the_models_attributes_is_set_afterwards(clinic: MakeClinic, issuer: Issuer) -> None:
    resources = trusting_a_secret(STAFF, toScim={"email": ["email"]})
    app, foreign_token, model = clinic(resources, ("email",))
    foreign_token.new_user(lambda new: model(name=new.subject, email="unknown"))

    for name, claims in (("ann", {"email": "ann@example.com"}), ("bob", {})):
        ask(app, staff(issuer, sub=name, **claims), "/me")

    assert rows(app, "SELECT name, email FROM doctor ORDER BY id") == [("ann", "ann@example.com"), ("bob", "unknown")]


def test_the_function_is_asked_outside_any_transaction(clinic: MakeClinic, issuer: Issuer) -> None:
    app, foreign_token, model = clinic()

    @foreign_token.new_user
    def hire(new: NewUser) -> Any:
        session = database_of(app).session
        session.add(model(name="a colleague"))
        session.commit()
        return model(name=new.subject)

    assert ask(app, staff(issuer), "/me").status_code == 200
    assert doctors_in(app) == [(1, "a colleague"), (2, "ann")]


# ---- wants no user


def test_where_it_returns_none_there_is_no_user_and_policies_decide_on_the_token(
    clinic: MakeClinic, issuer: Issuer
) -> None:
    app, foreign_token, _ = clinic()
    foreign_token.new_user(lambda new: None)

    assert ask(app, staff(issuer), "/me").json == {"user": None, "subject": "ann"}
    assert ask(app, staff(issuer, department="canteen"), "/me").status_code == 403
    assert (doctors_in(app), identifiers_in(app)) == ([], 0)


def test_a_policy_that_wants_a_user_denies_then(clinic: MakeClinic, issuer: Issuer) -> None:
    app, foreign_token, _ = clinic(trusting_a_secret(policy("users", {"user": {"id": "not-blank?"}})))
    foreign_token.new_user(lambda new: None)

    assert ask(app, staff(issuer), "/me").status_code == 403


def test_that_nobody_is_wanted_is_remembered_for_five_seconds(
    timed_app: MakeApp, own_issuer: Issuer, now: Clock
) -> None:
    userinfo = {"userinfo-source": "userinfo-endpoint", "userinfo_endpoint": own_issuer.userinfo_endpoint}
    foreign_token, asked = ForeignToken(), []
    foreign_token.new_user(lambda new: asked.append(new.subject))  # type: ignore[func-returns-value]
    app = timed_app(trusting(own_issuer, policy("all"), **userinfo), foreign_token)
    tokens = [own_issuer.token(sub="ann", nonce=str(number)) for number in range(3)]

    answers = [ask(app, token, "/me").json["user"] for token in tokens]
    before = (len(asked), own_issuer.requests["userinfo"])
    now.now += 5
    ask(app, tokens[0], "/me")

    assert answers == [None, None, None]
    assert before == (1, 1)
    assert (len(asked), own_issuer.requests["userinfo"]) == (2, 2)


def test_a_change_of_mind_makes_the_user(timed_app: MakeApp, issuer: Issuer, now: Clock) -> None:
    wanted: list[str] = []
    foreign_token = ForeignToken()
    foreign_token.new_user(lambda new: model() if new.subject in wanted else None)
    app = timed_app(trusting_a_secret(policy("all")), foreign_token)
    model = app.extensions["foreign_token"].models.user
    token = secret_token(issuer, sub="ann")

    before = ask(app, token, "/me").json["user"]
    wanted.append("ann")
    now.now += 5
    after = ask(app, token, "/me").json["user"]

    assert (before, after is None) == (None, False)


# ---- refuses


def test_a_refusal_is_the_answer_and_nothing_is_stored(clinic: MakeClinic, issuer: Issuer) -> None:
    app, foreign_token, model = clinic()

    @foreign_token.new_user
    def hire(new: NewUser) -> Any:
        if new.userinfo["preferred_username"] == "mallory":
            raise AccessDenied("only staff is let in")
        return named(model)(new)

    refused = ask(app, staff(issuer, sub="mallory", preferred_username="mallory"), "/me")

    assert (refused.status_code, refused.json["error"]) == (403, "access_denied")
    assert refused.json["error_description"] == "only staff is let in"
    assert len(refused.json["decision_id"]) == 16
    assert (doctors_in(app), identifiers_in(app)) == ([], 0)
    assert ask(app, staff(issuer), "/me").status_code == 200


def test_a_refusal_is_remembered_for_a_moment_so_that_nobody_is_asked_each_time(
    clinic: MakeClinic, issuer: Issuer
) -> None:
    app, foreign_token, _ = clinic()
    asked = []

    @foreign_token.new_user
    def hire(new: NewUser) -> Any:
        asked.append(new.subject)
        raise AccessDenied("not yet")

    token = staff(issuer)

    answers = [ask(app, token, "/me") for _ in range(3)]

    assert [answer.json["error_description"] for answer in answers] == ["not yet"] * 3
    assert len({answer.json["decision_id"] for answer in answers}) == 3
    assert len(asked) == 1
    assert ask(app, staff(issuer, sub="bob"), "/me").status_code == 403
    assert len(asked) == 2


def test_what_else_it_raises_is_a_fault_of_the_app_and_nothing_is_stored(clinic: MakeClinic, issuer: Issuer) -> None:
    app, foreign_token, _ = clinic()
    foreign_token.new_user(lambda new: new.userinfo["no such claim"])

    assert ask(app, staff(issuer), "/me").status_code == 500
    assert (doctors_in(app), identifiers_in(app)) == ([], 0)


# ---- returns what will not do


def junk(app: Flask, model: Any) -> object:
    return {"name": "ann"}


def the_class(app: Flask, model: Any) -> object:
    return model


def stored_already(app: Flask, model: Any) -> object:
    session = database_of(app).session
    session.add(row := model(name="a colleague"))
    session.commit()
    return row


def in_a_session(app: Flask, model: Any) -> object:
    database_of(app).session.add(row := model(name="ann"))
    return row


def detached(app: Flask, model: Any) -> object:
    row = stored_already(app, model)
    database_of(app).session.close()
    return row


UNFIT = [junk, the_class, stored_already, in_a_session, detached]


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("returned", UNFIT)
def test_what_is_no_new_row_is_answered_with_500_and_a_hint_under_debug(
    clinic: MakeClinic, issuer: Issuer, returned: Callable[[Flask, Any], object], debug: bool
) -> None:
    app, foreign_token, model = clinic(DEBUG=debug)
    foreign_token.new_user(lambda new: returned(app, model))

    answer = ask(app, staff(issuer), "/me")

    assert (answer.status_code, answer.json["error"]) == (500, "server_error")
    assert identifiers_in(app) == 0
    assert all(name == "a colleague" for _, name in doctors_in(app))
    assert ("must return a new Doctor" in answer.json.get("hint", "")) is debug


def test_a_row_that_the_database_refuses_is_answered_with_500(clinic: MakeClinic, issuer: Issuer) -> None:
    app, foreign_token, model = clinic(DEBUG=True)
    foreign_token.new_user(lambda new: model())

    answer = ask(app, staff(issuer), "/me")

    assert (answer.status_code, answer.json["error"]) == (500, "server_error")
    assert (doctors_in(app), identifiers_in(app)) == ([], 0)


# ---- whom it concerns


def test_users_that_an_operator_makes_are_none_of_its_business(clinic: MakeClinic, issuer: Issuer) -> None:
    app, foreign_token, _ = clinic(**ADMIN)
    asked: list[NewUser] = []
    foreign_token.new_user(asked.append)
    store(app, trusting_a_secret(STAFF))

    answer: TestResponse = operate(app, "POST", "/User", {"resourceType": "User"})

    assert answer.status_code >= 400  # the model is not to be made of a key alone
    assert asked == []
    with app.app_context():
        session = database_of(app).session
        session.add(app.extensions["foreign_token"].models.user(name="ann"))
        session.commit()
    body = {"resourceType": "User", "id": "1", "identifier": [{"system": "keycloak", "value": "ann"}]}
    assert operate(app, "PUT", "/User/1", body).status_code == 200
    assert ask(app, None, "/me", headers=bearer(staff(issuer))).json["user"] == "1"
    assert asked == []


def test_an_operator_makes_users_of_our_model_without_it(make_app: MakeApp) -> None:
    foreign_token = ForeignToken()
    foreign_token.new_user(lambda new: None)
    app = make_app(None, foreign_token, **ADMIN)

    assert operate(app, "PUT", "/User/ann", {"resourceType": "User", "id": "ann"}).status_code == 201


def test_one_function_serves_every_app_of_the_extension(bare_app: MakeApp, issuer: Issuer) -> None:
    foreign_token = ForeignToken()
    foreign_token.new_user(lambda new: None)
    apps = [protected(bare_app(), trusting_a_secret(STAFF), foreign_token) for _ in range(2)]

    assert [ask(app, staff(issuer), "/me").json["user"] for app in apps] == [None, None]


def test_a_second_function_is_refused(make_app: MakeApp) -> None:
    foreign_token = ForeignToken()

    @foreign_token.new_user
    def hire(new: NewUser) -> None:
        return None

    with pytest.raises(ConfigError, match="one is what works"):
        foreign_token.new_user(lambda new: None)


def test_what_is_decorated_stays_what_it_is() -> None:
    def hire(new: NewUser) -> None:
        return None

    assert ForeignToken().new_user(hire) is hire


def test_whoever_asks_for_the_user_while_it_is_being_made_can_ask_again(clinic: MakeClinic, issuer: Issuer) -> None:
    app, foreign_token, model = clinic()
    seen: list[object] = []

    @foreign_token.new_user
    def hire(new: NewUser) -> Any:
        seen.append((g.user, g.token))
        return named(model)(new)

    assert ask(app, staff(issuer), "/me").json["user"] == "1"
    assert seen == [(None, None)]
