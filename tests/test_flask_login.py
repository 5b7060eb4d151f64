"""Flask-Login beside bearer tokens: who `current_user` is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import sqlalchemy
from flask import Flask, g, render_template_string, request
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user, logout_user
from flask_login.signals import user_accessed
from flask_sqlalchemy import SQLAlchemy
from werkzeug.test import Client, TestResponse

from flask_foreign_token import ForeignToken
from flask_foreign_token.errors import ConfigError
from flask_foreign_token.signals import user_created
from flask_foreign_token.testing import Issuer, acting_as

from .apps import ask, bearer, in_database, policy, protected, secret_token, trusting_a_secret
from .conftest import MakeApp
from .counting import counted

MakeLoginApp = Callable[..., Flask]
RowOf = Callable[[str], Any]

# Flask-Login 0.6 asks for the time in a way that Python 3.12 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning:flask_login")

MODELS = ["our model", "the app's model"]
NOBODY = {"user": None, "is g.user": False}


@pytest.fixture
def make_login_app(bare_app: MakeApp) -> MakeLoginApp:
    """Makes apps with both extensions, users on a file, and views in which Flask-Login is asked.

    The login manager is `app.login_manager`.
    """

    def make(model: str = "our model", **config: object) -> Flask:
        app, db = bare_app(SECRET_KEY="of cookies", **config), SQLAlchemy()
        app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{app.root_path}/app.db"
        foreign_token, login_manager = ForeignToken(db=db, **users_of(model, db)), LoginManager()
        db.init_app(app)
        protected(app, trusting_a_secret(policy("all")), foreign_token)
        login_manager.init_app(app)
        foreign_token.init_login(login_manager)
        row_of = finder(app, db)
        login_manager.user_loader(row_of)
        add_login_views(app, row_of)
        with app.app_context():
            db.create_all()
        return app

    return make


@pytest.fixture
def app(make_login_app: MakeLoginApp) -> Flask:
    return make_login_app()


def users_of(model: str, db: SQLAlchemy) -> dict[str, Any]:
    """What `ForeignToken` is told of `model`."""
    if model == "our model":
        return {}

    class Person(UserMixin, db.Model):  # type: ignore[name-defined, misc]
        id = db.Column(db.Integer, primary_key=True)
        is_active = db.Column(db.Boolean, nullable=False, default=True)

    return {"user_class": Person, "active_attribute": "is_active"}


def finder(app: Flask, db: SQLAlchemy) -> RowOf:
    def row_of(key: str) -> Any:
        return db.session.get(app.extensions["foreign_token"].models.user, int(key) if key.isdecimal() else key)

    return row_of


def add_login_views(app: Flask, row_of: RowOf) -> None:
    @app.get("/login/<key>")
    def login(key: str) -> str:
        login_user(row_of(key), remember="remember" in request.args)
        return "in"

    @app.get("/logout")
    def logout() -> str:
        logout_user()
        return "out"

    @app.get("/who")
    def who() -> dict[str, object]:
        user = current_user._get_current_object()
        return {"user": None if user.is_anonymous else user.get_id(), "is g.user": user is g.user}

    @app.get("/private")
    @login_required
    def private() -> str:
        return str(current_user.get_id())

    @app.get("/untouched")
    def untouched() -> str:
        return "nobody was asked for"


def known(app: Flask, issuer: Issuer, *names: str) -> list[str]:
    """The ids of users, who are made by their first token."""
    return [ask(app, secret_token(issuer, sub=name), "/me").json["user"] for name in names]


def signed_in(app: Flask, key: str, how: str = "") -> Client:
    """A browser in which somebody has logged in."""
    client = app.test_client()
    client.get(f"/login/{key}{how}")
    return client


def who(client: Client, token: str | None = None) -> object:
    answer: TestResponse = client.get("/who", headers=bearer(token))
    return answer.json


# ---- with a token


@pytest.mark.parametrize("model", MODELS)
def test_with_a_token_it_is_the_very_user_of_the_token(
    make_login_app: MakeLoginApp, issuer: Issuer, model: str
) -> None:
    app = make_login_app(model)
    (ann,) = known(app, issuer, "ann")

    assert who(app.test_client(), secret_token(issuer, sub="ann")) == {"user": ann, "is g.user": True}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("cookies", ["session", "remembered", "both"])
def test_a_cookie_that_names_somebody_else_does_not_count_beside_a_token(
    make_login_app: MakeLoginApp, issuer: Issuer, model: str, cookies: str
) -> None:
    app = make_login_app(model)
    ann, bob = known(app, issuer, "ann", "bob")
    client = signed_in(app, bob, "" if cookies == "session" else "?remember")
    if cookies == "remembered":
        client.delete_cookie("session")

    assert who(client, secret_token(issuer, sub="ann")) == {"user": ann, "is g.user": True}
    assert who(client) == {"user": bob, "is g.user": False}


def test_the_session_is_not_changed_beside_a_token(app: Flask, issuer: Issuer) -> None:
    _, bob = known(app, issuer, "ann", "bob")
    client = signed_in(app, bob, "?remember")
    client.delete_cookie("session")

    answer = client.get("/who", headers=bearer(secret_token(issuer, sub="ann")))

    assert answer.headers.getlist("Set-Cookie") == []


def test_a_session_under_strong_protection_does_not_hide_the_user_of_a_token(
    make_login_app: MakeLoginApp, issuer: Issuer
) -> None:
    app = make_login_app(SESSION_PROTECTION="strong")
    ann, bob = known(app, issuer, "ann", "bob")
    client = signed_in(app, bob)

    headers = {**bearer(secret_token(issuer, sub="ann")), "User-Agent": "of a thief"}

    assert client.get("/who", headers=headers).json == {"user": ann, "is g.user": True}


def test_who_is_not_asked_for_costs_no_query_and_who_is_costs_one(app: Flask, issuer: Issuer) -> None:
    ask(app, token := secret_token(issuer), "/untouched")

    with counted() as before:
        ask(app, token, "/untouched")
    with counted() as after:
        ask(app, token, "/who")

    assert (before.work, after.work) == ([], ["SELECT"])


@pytest.mark.parametrize("cookie", [False, True])
def test_a_token_without_a_user_is_anonymous(make_login_app: MakeLoginApp, issuer: Issuer, cookie: bool) -> None:
    app = make_login_app()
    (bob,) = known(app, issuer, "bob")
    app.extensions["foreign_token"].runtime().users._create_user = False
    client = signed_in(app, bob) if cookie else app.test_client()
    token = secret_token(issuer, sub="nobody")

    assert who(client, token) == NOBODY
    assert client.get("/private", headers=bearer(token)).status_code == 401


def test_the_anonymous_user_is_the_managers_own_kind(app: Flask, issuer: Issuer) -> None:
    class Visitor:
        is_authenticated = is_active = False
        is_anonymous = True

    app.login_manager.anonymous_user = Visitor  # type: ignore[attr-defined]
    app.extensions["foreign_token"].runtime().users._create_user = False
    app.add_url_rule("/kind", "kind", lambda: type(current_user._get_current_object()).__name__)

    assert ask(app, secret_token(issuer), "/kind").text == "Visitor"


@pytest.mark.parametrize("model", MODELS)
def test_a_view_that_requires_a_login_is_open_to_a_token(
    make_login_app: MakeLoginApp, issuer: Issuer, model: str
) -> None:
    app = make_login_app(model)
    (ann,) = known(app, issuer, "ann")

    assert ask(app, secret_token(issuer, sub="ann"), "/private").text == ann
    assert ask(app, None, "/private").status_code == 401


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("path", ["/who", "/private"])
@pytest.mark.parametrize("fate", ["inactive", "deleted"])
def test_a_user_found_inactive_or_deleted_on_touch_is_refused(
    make_login_app: MakeLoginApp, issuer: Issuer, model: str, path: str, fate: str
) -> None:
    app = make_login_app(model)
    ann, bob = known(app, issuer, "ann", "bob")
    undo(app, ann, fate)
    client = signed_in(app, bob)

    answer = client.get(path, headers=bearer(secret_token(issuer, sub="ann")))

    assert (answer.status_code, answer.json["error"]) == (401, "invalid_token")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def undo(app: Flask, key: str, fate: str) -> None:
    """As an operator at the database's own prompt, so that nobody is told."""
    models = app.extensions["foreign_token"].models
    table = models.user.__table__
    statement: Any = sqlalchemy.delete(table)
    if fate == "inactive":
        statement = sqlalchemy.update(table).values({models.active_attribute: False})
    mine = statement.where(table.c.id == (int(key) if key.isdecimal() else key))
    in_database(app, lambda connection: connection.execute(mine))


@pytest.mark.parametrize("by", ["a token", "a test"])
def test_a_page_that_tells_of_the_refusal_is_shown_to_nobody(app: Flask, issuer: Issuer, by: str) -> None:
    app.register_error_handler(401, lambda error: (render_template_string("{{ current_user.is_anonymous }}"), 401))
    ann, bob = known(app, issuer, "ann", "bob")
    client, row_of = signed_in(app, bob), finder(app, app.extensions["sqlalchemy"])
    with app.app_context():
        acting = acting_as(app, row_of(ann)) if by == "a test" else nullcontext()
    undo(app, ann, "inactive")

    with acting:
        answer = client.get("/who", headers=bearer(secret_token(issuer, sub="ann") if by == "a token" else None))

    assert (answer.status_code, answer.text) == (401, "True")


@pytest.mark.parametrize("token", ["wr.on.g", "a b"])
def test_with_a_token_that_is_passed_over_nobody_is_signed_in(
    make_login_app: MakeLoginApp, issuer: Issuer, token: str
) -> None:
    app = make_login_app(FOREIGN_TOKEN_OPTIONAL=True)
    (bob,) = known(app, issuer, "bob")
    client = signed_in(app, bob)

    assert who(client, token) == NOBODY
    assert client.get("/private", headers=bearer(token)).status_code == 401
    assert client.get("/private").text == bob


def test_on_the_page_that_nothing_was_found_a_token_hides_the_session(app: Flask, issuer: Issuer) -> None:
    app.register_error_handler(404, lambda error: (str(current_user.is_anonymous), 404))
    (bob,) = known(app, issuer, "bob")
    client = signed_in(app, bob)

    answers = [client.get("/nowhere", headers=headers).text for headers in (bearer(secret_token(issuer)), {})]

    assert answers == ["True", "False"]


def test_what_the_app_assigns_to_g_does_not_matter(app: Flask, issuer: Issuer) -> None:
    app.before_request(lambda: setattr(g, "user", current_user))
    (ann,) = known(app, issuer, "ann")

    assert ask(app, secret_token(issuer, sub="ann"), "/private").text == ann


def test_templates_have_the_user(app: Flask, issuer: Issuer) -> None:
    app.add_url_rule("/page", "page", lambda: render_template_string("{{ current_user.get_id() }}"))
    (ann,) = known(app, issuer, "ann")

    assert ask(app, secret_token(issuer, sub="ann"), "/page").text == ann


def test_a_token_can_be_exchanged_for_a_session(app: Flask, issuer: Issuer) -> None:
    app.add_url_rule("/exchange", "exchange", lambda: str(login_user(g.user)))
    (ann,) = known(app, issuer, "ann")
    client = app.test_client()

    client.get("/exchange", headers=bearer(secret_token(issuer, sub="ann")))

    assert client.get("/private").text == ann


def test_a_test_may_say_who_acts(app: Flask, issuer: Issuer) -> None:
    ann, bob = known(app, issuer, "ann", "bob")
    client = signed_in(app, bob)
    with app.app_context():
        user = finder(app, app.extensions["sqlalchemy"])(ann)

    with acting_as(app, user):
        assert who(client) == {"user": ann, "is g.user": True}


# ---- without a token


def test_without_a_token_a_session_counts_as_ever(app: Flask, issuer: Issuer) -> None:
    (bob,) = known(app, issuer, "bob")
    client = signed_in(app, bob)

    assert client.get("/private").text == bob
    client.get("/logout")
    assert client.get("/private").status_code == 401


def test_without_a_token_a_remembered_user_comes_back(app: Flask, issuer: Issuer) -> None:
    (bob,) = known(app, issuer, "bob")
    client = signed_in(app, bob, "?remember")
    client.delete_cookie("session")

    assert client.get("/private").text == bob


def test_without_a_token_the_apps_request_loader_is_asked(app: Flask, issuer: Issuer) -> None:
    ann, bob = known(app, issuer, "ann", "bob")
    row_of = finder(app, app.extensions["sqlalchemy"])
    app.login_manager.request_loader(  # type: ignore[attr-defined]
        lambda request: row_of(request.headers["X-User"]) if "X-User" in request.headers else None
    )
    headers = {"X-User": bob}

    assert ask(app, None, "/private", headers=headers).text == bob
    assert ask(app, secret_token(issuer, sub="ann"), "/private", headers=headers).text == ann
    assert ask(app, None, "/private").status_code == 401


def test_without_a_token_who_listens_to_flask_login_hears_of_it(app: Flask) -> None:
    heard: list[object] = []

    with user_accessed.connected_to(heard.append, app):
        ask(app, None, "/who")

    assert heard == [app]


def test_basic_credentials_are_no_token(app: Flask, issuer: Issuer) -> None:
    (bob,) = known(app, issuer, "bob")

    assert signed_in(app, bob).get("/private", auth=("ann", "secret")).text == bob


def test_an_app_that_knows_nobody_but_by_tokens_needs_no_loader(make_app: MakeApp, issuer: Issuer) -> None:
    foreign_token, login_manager = ForeignToken(), LoginManager()
    foreign_token.init_login(login_manager)
    app = make_app(trusting_a_secret(policy("all")), foreign_token, SECRET_KEY="of cookies")
    login_manager.init_app(app)
    app.add_url_rule("/private", "private", login_required(lambda: str(current_user.get_id())))

    assert ask(app, None, "/private").status_code == 401
    assert ask(app, secret_token(issuer), "/private").status_code == 200


# ---- how it is put together


ORDERS = ["before", "after", "between", "twice"]


@pytest.mark.parametrize("order", ORDERS)
def test_it_can_be_called_before_and_after_either_is_set_up(bare_app: MakeApp, issuer: Issuer, order: str) -> None:
    app, foreign_token, login_manager = bare_app(SECRET_KEY="of cookies"), ForeignToken(), LoginManager()
    if order in ("before", "twice"):
        foreign_token.init_login(login_manager)
    login_manager.init_app(app)
    if order == "between":
        foreign_token.init_login(login_manager)
    protected(app, trusting_a_secret(policy("all")), foreign_token)
    if order in ("after", "twice"):
        foreign_token.init_login(login_manager)
    add_login_views(app, login_manager.user_loader(finder(app, app.extensions["sqlalchemy"])))
    ann, bob = known(app, issuer, "ann", "bob")

    assert who(signed_in(app, bob), secret_token(issuer, sub="ann")) == {"user": ann, "is g.user": True}


def test_without_the_call_the_session_decides(bare_app: MakeApp, issuer: Issuer) -> None:
    app, login_manager = bare_app(SECRET_KEY="of cookies"), LoginManager()
    login_manager.init_app(app)
    protected(app, trusting_a_secret(policy("all")))
    add_login_views(app, login_manager.user_loader(finder(app, app.extensions["sqlalchemy"])))
    _, bob = known(app, issuer, "ann", "bob")

    assert who(signed_in(app, bob), secret_token(issuer, sub="ann")) == {"user": bob, "is g.user": False}


def test_an_app_of_the_same_manager_without_the_extension_goes_on_as_ever(bare_app: MakeApp) -> None:
    login_manager, app = LoginManager(), bare_app(SECRET_KEY="of cookies")
    ForeignToken().init_login(login_manager)
    login_manager.init_app(app)
    people = {"bob": UserMixin()}
    people["bob"].id = "bob"
    login_manager.user_loader(people.get)
    app.add_url_rule("/login", "login", lambda: str(login_user(people["bob"])))
    app.add_url_rule("/private", "private", login_required(lambda: str(current_user.get_id())))
    client = app.test_client()

    client.get("/login")

    assert client.get("/private", headers=bearer("any.to.ken")).text == "bob"


def test_what_is_no_login_manager_is_refused() -> None:
    with pytest.raises(ConfigError, match="LoginManager"):
        ForeignToken().init_login(Flask("clinic"))


@pytest.mark.parametrize("second", ["token", "session", "nobody"])
def test_under_a_pushed_context_no_request_inherits_the_user_before(app: Flask, issuer: Issuer, second: str) -> None:
    ann, bob = known(app, issuer, "ann", "bob")
    client = signed_in(app, bob) if second == "session" else app.test_client()
    token = secret_token(issuer, sub="bob") if second == "token" else None

    with app.app_context():
        first = who(app.test_client(), secret_token(issuer, sub="ann"))
        then = who(client, token)

    assert first == {"user": ann, "is g.user": True}
    assert then == {"user": None if second == "nobody" else bob, "is g.user": second == "token"}


def test_under_a_pushed_context_a_page_that_tells_of_a_refusal_inherits_nobody(app: Flask, issuer: Issuer) -> None:
    app.register_error_handler(401, lambda error: (str(current_user.is_anonymous), 401))
    known(app, issuer, "ann")

    with app.app_context():
        ask(app, secret_token(issuer, sub="ann"), "/who")
        answer = ask(app, "wr.on.g", "/who")

    assert (answer.status_code, answer.text) == (401, "True")


def test_whoever_asks_while_the_user_is_being_made_can_ask_again(app: Flask, issuer: Issuer) -> None:
    seen: list[bool] = []

    with user_created.connected_to(lambda sender, user: seen.append(current_user.is_anonymous), app):
        answer = who(app.test_client(), secret_token(issuer, sub="ann"))

    assert seen == [True]
    assert answer == {"user": known(app, issuer, "ann")[0], "is g.user": True}


def test_a_copied_request_context_has_the_same_user(app: Flask, issuer: Issuer) -> None:
    (ann,) = known(app, issuer, "ann")

    with app.test_request_context("/who", headers=bearer(secret_token(issuer, sub="ann"))):
        assert current_user._get_current_object() is g.user
        assert current_user.get_id() == ann
