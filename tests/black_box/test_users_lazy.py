"""The user of a request costs nothing until somebody looks, and then one query that leaves the app's session alone."""

from __future__ import annotations

from flask import Flask, g
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_foreign_token import ForeignToken

from ..apps import add_views, ask, key_of, policy, rows
from ..conftest import MakeApp
from ..counting import counted
from .callers import OPERATOR_SETTINGS, Operated, put_all
from .people import People, token, user_of


def with_touching_view(make_app: MakeApp, people: People, **config: object) -> Flask:
    app = make_app(people.resources(), **OPERATOR_SETTINGS, **config)

    @app.get("/touch")
    def touch() -> dict[str, object]:
        return {"keys": [key_of(g.user), key_of(g.user)]}

    return app


def test_a_view_sees_the_new_user_in_the_request_that_made_it(make_app: MakeApp, people: People):
    app = with_touching_view(make_app, people)

    answer = ask(app, token(), "/touch")

    assert answer.json["keys"] == [user_of(app)["id"]] * 2


def test_the_hot_path_asks_the_database_nothing(operated: Operated, people: People):
    app = operated(people.resources(), FOREIGN_TOKEN_REGISTRY_POLL=600)
    known = token()
    ask(app, known)

    with counted() as statements:
        assert [ask(app, known).status_code for _ in range(5)] == [200] * 5

    assert (statements.work, statements.control, statements.schema) == ([], [], [])


def test_a_new_token_of_a_known_user_asks_the_database_nothing(operated: Operated, people: People):
    app = operated(people.resources(), FOREIGN_TOKEN_REGISTRY_POLL=600)
    ask(app, token())

    with counted() as statements:
        assert ask(app, token()).status_code == 200

    assert statements.work == []


def test_a_policy_that_looks_at_the_user_asks_the_database_nothing(operated: Operated, people: People):
    looks = policy("team", {"user": {"data": {"team": "a"}, "id": "present?"}})
    app = operated([*people.resources()[:2], looks], FOREIGN_TOKEN_REGISTRY_POLL=600)
    people.says(team="a")
    known = token()
    ask(app, known)

    with counted() as statements:
        assert ask(app, known).status_code == 200

    assert statements.work == []


def test_a_touch_is_one_query_by_the_primary_key(make_app: MakeApp, people: People):
    app = with_touching_view(make_app, people, FOREIGN_TOKEN_REGISTRY_POLL=600)
    known = token()
    ask(app, known)

    with counted() as statements:
        assert ask(app, known, "/touch").status_code == 200

    assert statements.work == ["SELECT"]
    [query] = statements.reads
    assert "WHERE foreign_token_user.id = ?" in " ".join(query.split())


def test_a_touch_flushes_nothing_of_the_apps_session(bare_app: MakeApp, people: People):
    class Base(DeclarativeBase):
        pass

    db = SQLAlchemy(model_class=Base)

    class Note(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        text: Mapped[str]

    app = bare_app(**OPERATOR_SETTINGS, SQLALCHEMY_DATABASE_URI="sqlite:///notes.sqlite")
    db.init_app(app)
    ForeignToken(app, db=db)
    add_views(app)

    @app.get("/note")
    def note() -> dict[str, object]:
        # It lacks its text, so that a flush would raise.
        db.session.add(Note())
        return {"user": key_of(g.user), "new": len(db.session.new), "real": g.user in db.session}

    with app.app_context():
        db.create_all()
    put_all(app, people.resources())

    for _ in range(2):
        answer = ask(app, token(), "/note")
        assert answer.json == {"user": user_of(app)["id"], "new": 1, "real": True}
    assert rows(app, "SELECT count(*) FROM note") == [(0,)]
