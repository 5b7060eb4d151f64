"""Flask-Login beside bearer tokens: `current_user` is `g.user`, and nobody's session makes a token somebody else."""

from __future__ import annotations

import pytest
from flask import Flask, g
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_foreign_token import ForeignToken

from ..apps import add_views, ask, bearer, key_of
from ..conftest import MakeApp
from ..counting import counted
from .callers import OPERATOR_SETTINGS, put_all, run
from .people import People, counts, me, token
from .tokens import refused


@pytest.fixture
def app(bare_app: MakeApp, people: People) -> Flask:
    """Somebody with the id 1 signs in at /sign-in; Ada, who comes with a token, is the second."""

    class Base(DeclarativeBase):
        pass

    db = SQLAlchemy(model_class=Base)

    class Member(UserMixin, db.Model):
        __tablename__ = "member"
        id: Mapped[int] = mapped_column(primary_key=True)
        enabled: Mapped[bool] = mapped_column(default=True)

    app = bare_app(
        SECRET_KEY="not-secret",
        SQLALCHEMY_DATABASE_URI="sqlite:///own.sqlite",
        FOREIGN_TOKEN_REGISTRY_POLL=600,
        **OPERATOR_SETTINGS,
    )
    db.init_app(app)
    extension = ForeignToken(app, db=db, user_class=Member, active_attribute="enabled")
    manager = LoginManager(app)
    manager.user_loader(lambda key: db.session.get(Member, int(key)))
    extension.init_login(manager)
    add_views(app)

    @app.post("/sign-in")
    def sign_in() -> dict[str, object]:
        return {"done": login_user(db.session.get_one(Member, 1))}

    @app.get("/who")
    def who() -> dict[str, object]:
        user = current_user._get_current_object()
        return {
            "authenticated": user.is_authenticated,
            "id": user.get_id(),
            "same": user is g.user,
            "g.user": key_of(g.user),
        }

    @app.get("/members-only")
    @login_required
    def members_only() -> dict[str, object]:
        return {"id": current_user.get_id()}

    with app.app_context():
        db.create_all()
        db.session.add(Member())
        db.session.commit()
    put_all(app, people.resources())
    return app


def test_current_user_is_g_user(app: Flask):
    answer = ask(app, token(), "/who")

    assert answer.json == {"authenticated": True, "id": "2", "same": True, "g.user": "2"}
    assert ask(app, token(), "/members-only").json == {"id": "2"}


def test_both_together_are_one_query(app: Flask):
    known = token()
    ask(app, known, "/who")

    with counted() as statements:
        assert ask(app, known, "/who").status_code == 200

    assert statements.work == ["SELECT"]


def test_without_a_touch_there_is_no_query(app: Flask):
    known = token()
    ask(app, known)

    with counted() as statements:
        assert ask(app, known).status_code == 200

    assert statements.work == []


def test_without_a_token_the_session_says_who_it_is(app: Flask):
    client = app.test_client()
    assert client.get("/who").json["authenticated"] is False
    assert client.get("/members-only").status_code == 401

    assert client.post("/sign-in").json == {"done": True}

    assert client.get("/members-only").json == {"id": "1"}
    assert client.get("/who").json == {"authenticated": True, "id": "1", "same": False, "g.user": None}


def test_a_token_beats_the_session_of_somebody_else(app: Flask):
    client = app.test_client()
    client.post("/sign-in")

    with_token = client.get("/who", headers=bearer(token()))

    assert with_token.json == {"authenticated": True, "id": "2", "same": True, "g.user": "2"}
    assert client.get("/members-only").json == {"id": "1"}


def test_a_token_without_a_user_is_anonymous_whatever_the_session_says(app: Flask, people: People):
    put_all(app, people.resources(create_user=False))
    client = app.test_client()
    client.post("/sign-in")

    answer = client.get("/who", headers=bearer(token("eve")))

    assert answer.json == {"authenticated": False, "id": None, "same": False, "g.user": None}
    assert client.get("/members-only", headers=bearer(token("eve"))).status_code == 401


def test_a_wrong_token_is_refused_whatever_the_session_says(app: Flask):
    client = app.test_client()
    client.post("/sign-in")

    refused(client.get("/members-only", headers=bearer(token(exp=1))))


def test_an_inactive_user_is_refused_whatever_the_session_says(app: Flask):
    known = token()
    ada = str(me(app, known))
    run(app, "users", "deactivate", ada)
    client = app.test_client()
    client.post("/sign-in")

    refused(client.get("/members-only", headers=bearer(known)))


def test_a_token_starts_no_session(app: Flask):
    client = app.test_client()

    answer = client.get("/members-only", headers=bearer(token()))

    assert answer.json == {"id": "2"}
    assert "Set-Cookie" not in answer.headers
    assert client.get("/members-only").status_code == 401


def test_a_session_makes_no_user_and_opens_no_guard(app: Flask):
    before = counts(app)
    client = app.test_client()
    client.post("/sign-in")

    assert client.get("/patients").status_code == 401

    assert counts(app) == before


def test_another_scheme_is_none_of_ours(app: Flask):
    client = app.test_client()
    client.post("/sign-in")

    answer = client.get("/members-only", headers={"Authorization": "Basic YTpi"})

    assert answer.json == {"id": "1"}


def test_flask_login_is_not_needed_by_who_does_not_use_it():
    """The package is imported without it."""
    import subprocess
    import sys

    code = "import sys, flask_foreign_token; assert 'flask_login' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
