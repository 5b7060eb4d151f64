"""Who is made inactive or deleted is out: here with the next request, on other workers within the poll."""

from __future__ import annotations

import pytest
from flask import Flask, g
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_foreign_token import ForeignToken
from flask_foreign_token.errors import Rejected

from ..apps import add_views, ask, database_of, deactivate, key_of, policy, rows, without
from ..conftest import MakeApp
from ..loading import Clock
from .callers import OPERATOR_SETTINGS, Operated, operate, put, put_all, read, run
from .people import People, counts, me, token, user_of
from .tokens import at_once, refused, until

WAYS = ["rest", "command", "python"]


@pytest.fixture
def extension() -> ForeignToken:
    return ForeignToken()


@pytest.fixture
def app(make_app: MakeApp, extension: ForeignToken, people: People) -> Flask:
    return make_app(people.resources(), extension, **OPERATOR_SETTINGS)


def end(way: str, app: Flask, extension: ForeignToken, user: str) -> None:
    if way == "rest":
        assert put(app, {**read(app, f"User/{user}"), "inactive": True}).status_code == 200
    elif way == "command":
        run(app, "users", "deactivate", user)
    elif way == "python":
        with app.app_context():
            extension.deactivate(user)
    elif way == "delete":
        assert operate(app, "DELETE", f"/fhir/User/{user}").status_code == 204
    else:
        run(app, "users", "forget", user, "--yes")


@pytest.mark.parametrize("way", WAYS)
def test_who_is_made_inactive_is_refused_with_the_next_request(app: Flask, extension, way: str):
    known = token()
    ada = str(me(app, known))

    end(way, app, extension, ada)

    refused(ask(app, known), "the user is inactive")
    refused(ask(app, known, "/open"), "the user is inactive")
    refused(ask(app, token()), "the user is inactive")
    assert user_of(app)["inactive"] is True
    assert me(app, token("bob")) != ada


@pytest.mark.parametrize("way", WAYS)
def test_who_is_made_active_again_is_let_in_again(app: Flask, extension, way: str):
    known = token()
    ada = str(me(app, known))
    end(way, app, extension, ada)

    if way == "rest":
        put(app, without(read(app, f"User/{ada}"), "inactive"))
    elif way == "command":
        run(app, "users", "activate", ada)
    else:
        with app.app_context():
            extension.activate(ada)

    assert me(app, known) == ada
    assert "inactive" not in user_of(app)


@pytest.mark.parametrize("way", [*WAYS, "delete", "forget"])
def test_another_worker_refuses_within_the_poll(people: People, tmp_path, make_app: MakeApp, way: str):
    shared = {
        "SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/shared.sqlite",
        "FOREIGN_TOKEN_REGISTRY_POLL": 0.1,
        "FOREIGN_TOKEN_USER_TTL": 3000,
    }
    extension = ForeignToken()
    first = make_app(people.resources(), extension, **OPERATOR_SETTINGS, **shared)
    second = make_app(people.resources(), **OPERATOR_SETTINGS, **shared)
    known = token()
    ada = str(me(first, known))
    assert me(second, known) == ada

    end(way, first, extension, ada)

    if way in WAYS:
        until(lambda: ask(second, known).status_code == 401, 3)
        refused(ask(second, known), "the user is inactive")
    else:
        # A touch in between finds the row gone, and says so.
        until(lambda: ask(second, known, "/me").json.get("user", ada) != ada, 3)


def test_another_worker_lets_in_again_within_the_poll(operated: Operated, people: People, tmp_path):
    shared = {
        "SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/shared.sqlite",
        "FOREIGN_TOKEN_REGISTRY_POLL": 0.1,
        "FOREIGN_TOKEN_USER_TTL": 3000,
    }
    first, second = operated(people.resources(), **shared), operated([], **shared)
    known = token()
    ada = str(me(second, known))
    run(first, "users", "deactivate", ada)
    until(lambda: ask(second, known).status_code == 401, 3)

    run(first, "users", "activate", ada)

    until(lambda: ask(second, known).status_code == 200, 3)


def test_a_policy_that_knows_the_token_does_not_hide_it(make_app: MakeApp, people: People):
    app = make_app([*people.resources()[:2], policy("all", {"jwt": {"sub": "ada"}})], **OPERATOR_SETTINGS)
    known = token()
    ada = str(me(app, known))
    assert ask(app, known).status_code == 200

    run(app, "users", "deactivate", ada)

    refused(ask(app, known))


def test_what_the_app_does_to_its_own_table_counts_within_the_ttl(timed_app: MakeApp, people: People, now: Clock):
    app = timed_app(people.resources(), **OPERATOR_SETTINGS, FOREIGN_TOKEN_USER_TTL=30)
    known = token()
    ada = str(me(app, known))
    deactivate(app, ada)
    now.now += 31

    refused(ask(app, known), "the user is inactive")


def test_what_the_app_does_to_its_own_table_counts_at_the_first_touch(app: Flask):
    known = token()
    ada = str(me(app, known))
    deactivate(app, ada)

    refused(ask(app, known, "/me"))


def test_a_row_that_the_app_deleted_is_refused_at_the_first_touch(app: Flask):
    known = token()
    ada = me(app, known)
    rows(app, "DELETE FROM foreign_token_identifier RETURNING value")
    rows(app, "DELETE FROM foreign_token_user WHERE id = :id RETURNING id", id=ada)

    refused(ask(app, known, "/me"))


def test_a_deleted_user_leaves_nothing_and_comes_back_as_another(app: Flask, people: People):
    known = token()
    ada = me(app, known)
    people.says(name="new")

    assert operate(app, "DELETE", f"/fhir/User/{ada}").status_code == 204

    assert rows(app, "SELECT count(*) FROM foreign_token_identifier") == [(0,)]
    assert counts(app) == (0, 0)
    assert me(app, known) != ada
    assert user_of(app)["data"]["name"] == "new"
    assert counts(app) == (1, 1)


def test_deactivation_amid_requests_is_no_error_and_holds(app: Flask):
    known = token()
    ada = str(me(app, known))

    def work(number: int) -> list[int]:
        if number == 0:
            run(app, "users", "deactivate", ada)
            return []
        return [ask(app, known, "/me").status_code for _ in range(10)]

    answers = at_once(8, work)

    assert {status for statuses in answers for status in statuses} <= {200, 401}
    refused(ask(app, known))


def test_the_python_api_works_beside_the_apps_session(bare_app: MakeApp, people: People):
    class Base(DeclarativeBase):
        pass

    db = SQLAlchemy(model_class=Base)

    class Member(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        is_active: Mapped[bool] = mapped_column(default=True)

    class Note(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        text: Mapped[str]

    app = bare_app(**OPERATOR_SETTINGS, SQLALCHEMY_DATABASE_URI="sqlite:///own.sqlite")
    db.init_app(app)
    extension = ForeignToken(app, db=db, user_class=Member, active_attribute="is_active")
    add_views(app)

    @app.post("/quit")
    def leave() -> dict[str, object]:
        # It lacks its text, so that a flush would raise.
        db.session.add(Note())
        extension.deactivate(g.user)
        return {"user": key_of(g.user), "new": len(db.session.new)}

    with app.app_context():
        db.create_all()
    put_all(app, people.resources())
    known = token()

    answer = ask(app, known, "/quit", "POST")

    assert (answer.status_code, answer.json) == (200, {"user": user_of(app)["id"], "new": 1})
    refused(ask(app, known))
    assert rows(app, "SELECT is_active FROM member") == [(0,)]
    with app.app_context():
        extension.activate(db.session.get(Member, 1))
        assert db.session.get(Member, 1) is not None
    assert ask(app, known).status_code == 200
    with app.app_context():
        extension.deactivate(1)
    refused(ask(app, known))


def test_the_python_api_takes_the_app_by_name(app: Flask, extension: ForeignToken):
    ada = str(me(app, token()))

    extension.deactivate(ada, app=app)
    refused(ask(app, token()))

    extension.activate(ada, app=app)
    assert me(app, token()) == ada


@pytest.mark.parametrize("verb", ["deactivate", "activate"])
def test_nobody_cannot_be_made_inactive(app: Flask, extension: ForeignToken, verb: str):
    me(app, token())
    before = user_of(app)

    with app.app_context(), pytest.raises((Rejected, LookupError)):
        getattr(extension, verb)("nobody")

    assert user_of(app) == before


def test_without_an_active_attribute_it_is_kept_by_us(bare_app: MakeApp, people: People):
    class Base(DeclarativeBase):
        pass

    db = SQLAlchemy(model_class=Base)

    class Member(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)

    app = bare_app(**OPERATOR_SETTINGS, SQLALCHEMY_DATABASE_URI="sqlite:///own.sqlite")
    db.init_app(app)
    ForeignToken(app, db=db, user_class=Member)
    add_views(app)
    with app.app_context():
        db.create_all()
    put_all(app, people.resources())
    known = token()
    ada = str(me(app, known))

    run(app, "users", "deactivate", ada)

    refused(ask(app, known), "the user is inactive")
    assert user_of(app)["inactive"] is True
    run(app, "users", "activate", ada)
    assert me(app, known) == ada
    with app.app_context():
        assert database_of(app).session.get(Member, int(ada)) is not None
