"""A user is made once, by the first token, in one short transaction, or not at all."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from flask import g
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_foreign_token import ForeignToken

from ..apps import add_views, ask, in_database, key_of, policy, rows, tables_in
from ..conftest import MakeApp
from ..counting import counted
from .callers import OPERATOR_SETTINGS, Operated, operate, put, put_all, read
from .people import USERINFO, People, counts, me, nobody_in, sub_of, token, user_of, users
from .tokens import at_once, refused, until


def test_the_first_token_makes_a_user_and_the_next_finds_it(operated: Operated, people: People):
    app = operated(people.resources())

    assert me(app, token()) == me(app, token()) == user_of(app)["id"]

    assert counts(app) == (1, 1)


def test_64_first_requests_for_one_subject_make_one_user(operated: Operated, people: People):
    app = operated(people.resources())
    tokens = [token() for _ in range(64)]

    statuses = at_once(64, lambda number: ask(app, tokens[number]).status_code)

    assert statuses == [200] * 64
    assert counts(app) == (1, 1)
    assert people.asked == 1


def test_one_token_in_many_threads_makes_one_user(operated: Operated, people: People):
    app = operated(people.resources())
    known = token()

    assert at_once(32, lambda number: ask(app, known).status_code) == [200] * 32

    assert counts(app) == (1, 1)
    assert people.asked == 1


def test_100_subjects_at_once_are_100_users(operated: Operated, people: People):
    app = operated(people.resources())

    statuses = at_once(100, lambda number: ask(app, token(f"person {number}")).status_code)

    assert statuses == [200] * 100
    assert counts(app) == (100, 100)


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_two_workers_that_see_a_subject_first_make_one_user(
    operated: Operated, people: People, tmp_path: Path, journal_mode: str
):
    file = tmp_path / "shared.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal_mode}")
    connection.close()
    url = f"sqlite:///{file}"
    workers = [operated(people.resources(), SQLALCHEMY_DATABASE_URI=url), operated([], SQLALCHEMY_DATABASE_URI=url)]
    both = threading.Barrier(2, timeout=20)

    def when_both_have_asked(request):
        both.wait()
        return {"sub": sub_of(request)}

    for subject in ("ada", "bob", "eve"):
        people.answers(when_both_have_asked)
        before = people.asked
        answers = at_once(16, lambda number, subject=subject: ask(workers[number % 2], token(subject), "/me"))

        assert [answer.status_code for answer in answers] == [200] * 16
        assert len({answer.json["user"] for answer in answers}) == 1
        assert people.asked == before + 2
    assert counts(workers[0]) == counts(workers[1]) == (3, 3)
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == (journal_mode,)
    connection.close()


def test_in_memory_sqlite_makes_one_user_too(operated: Operated, people: People):
    app = operated(people.resources(), SQLALCHEMY_DATABASE_URI="sqlite://")

    assert at_once(16, lambda number: ask(app, token(), "/me").status_code) == [200] * 16

    assert counts(app) == (1, 1)


def test_userinfo_is_asked_while_the_database_is_free(operated: Operated, people: People, tmp_path: Path):
    file = tmp_path / "shared.sqlite"
    app = operated(people.resources(), SQLALCHEMY_DATABASE_URI=f"sqlite:///{file}")
    written = []

    def write_meanwhile(request):
        connection = sqlite3.connect(file, timeout=0, isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")
        connection.close()
        written.append(True)
        return {"sub": sub_of(request)}

    people.answers(write_meanwhile)

    assert ask(app, token()).status_code == 200

    assert written == [True]


def test_a_creation_is_at_most_three_statements(operated: Operated, people: People):
    app = operated(people.resources())
    me(app, token("warm"))

    with counted() as statements:
        assert ask(app, token()).status_code == 200

    assert statements.work == ["SELECT", "INSERT", "INSERT"]
    assert not statements.schema


@pytest.mark.parametrize("url", ["sqlite:///notes.sqlite", "sqlite://"])
def test_what_the_app_has_begun_before_is_neither_committed_nor_lost(bare_app: MakeApp, people: People, url: str):
    class Base(DeclarativeBase):
        pass

    db = SQLAlchemy(model_class=Base)

    class Note(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        text: Mapped[str]

    app = bare_app(**OPERATOR_SETTINGS, SQLALCHEMY_DATABASE_URI=url)
    db.init_app(app)

    @app.before_request
    def begin() -> None:
        db.session.add(Note(text="pending"))

    ForeignToken(app, db=db)
    add_views(app)

    @app.get("/pending")
    def pending() -> dict[str, object]:
        return {"user": key_of(g.user), "new": [note.text for note in db.session.new]}

    with app.app_context():
        db.create_all()
    put_all(app, people.resources())

    answer = ask(app, token(), "/pending")

    assert answer.json == {"user": user_of(app)["id"], "new": ["pending"]}
    assert rows(app, "SELECT count(*) FROM note") == [(0,)]


def test_an_insert_that_fails_leaves_nothing_half_made(operated: Operated, people: People):
    app = operated(people.resources())
    me(app, token("warm"))
    trigger = "BEFORE INSERT ON foreign_token_identifier BEGIN SELECT RAISE(ABORT, 'no'); END"
    in_database(app, lambda connection: connection.exec_driver_sql(f"CREATE TRIGGER refuses {trigger}"))
    app.config["PROPAGATE_EXCEPTIONS"] = False

    assert ask(app, token()).status_code >= 500

    assert counts(app) == (1, 1)
    in_database(app, lambda connection: connection.exec_driver_sql("DROP TRIGGER refuses"))
    until(lambda: ask(app, token()).status_code == 200, 10)
    assert counts(app) == (2, 2)


def test_a_locked_database_is_an_outage_and_makes_nobody(operated: Operated, people: People, tmp_path: Path):
    file = tmp_path / "shared.sqlite"
    options = {"connect_args": {"timeout": 0.2}}
    app = operated(people.resources(), SQLALCHEMY_DATABASE_URI=f"sqlite:///{file}", SQLALCHEMY_ENGINE_OPTIONS=options)
    me(app, token("warm"))
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    finish = threading.Timer(1, lambda: None)
    finish.start()

    def work(number: int) -> int:
        if number == 0:
            finish.join()
            return 0
        return ask(app, token()).status_code

    # Whether it waits for the other (15 s) or says that it cannot, it is no error of its own.
    results = []
    thread = threading.Thread(target=lambda: results.append(work(1)))
    thread.start()
    work(0)
    connection.execute("COMMIT")
    connection.close()
    thread.join(30)

    assert results in ([200], [503])
    assert counts(app) == ((2, 2) if results == [200] else (1, 1))


def test_without_create_user_there_is_no_user_and_policies_see_the_claims(operated: Operated, people: People):
    app = operated(people.resources(), FOREIGN_TOKEN_CREATE_USER=False)

    answer = ask(app, token(), "/me")

    assert (answer.status_code, answer.json) == (200, {"user": None, "subject": "ada"})
    nobody_in(app)
    assert people.asked == 0


def test_without_create_user_policies_see_no_user(operated: Operated, people: People):
    known = policy("known", {"user": "present?"})
    app = operated([*people.resources()[:2], known], FOREIGN_TOKEN_CREATE_USER=False)
    put(app, {"resourceType": "User", "id": "bob", "identifier": [{"system": "keycloak", "value": "bob"}]})

    assert ask(app, token("ada")).status_code == 403
    assert ask(app, token("bob")).status_code == 200
    assert [user["id"] for user in users(app)] == ["bob"]


@pytest.mark.parametrize(("setting", "attribute", "made"), [(False, True, 1), (True, False, 0)])
def test_the_provider_has_the_last_word_on_create_user(
    operated: Operated, people: People, setting: bool, attribute: bool, made: int
):
    app = operated(people.resources(create_user=attribute), FOREIGN_TOKEN_CREATE_USER=setting)

    assert ask(app, token()).status_code == 200

    assert len(users(app)) == made
    assert people.asked == made


def test_a_refused_request_makes_the_user_all_the_same_and_a_refused_token_does_not(operated: Operated, people: People):
    app = operated([*people.resources()[:2], policy("nobody", {"jwt": {"iss": "https://elsewhere.example"}})])

    refused(ask(app, token(exp=1)))
    refused(ask(app, token(aud="another")))
    nobody_in(app)

    assert ask(app, token()).status_code == 403
    assert counts(app) == (1, 1)


def test_a_token_without_a_linked_provider_has_no_user(operated: Operated, people: People):
    resources = people.resources()
    del resources[1]["identity_provider"]
    app = operated(resources)

    assert ask(app, token(), "/me").json == {"user": None, "subject": "ada"}

    nobody_in(app)


def test_an_own_view_that_nobody_guards_makes_the_user_too(operated: Operated, people: People):
    app = operated(people.resources())

    answer = ask(app, token(), "/open")

    assert answer.json == {"user": user_of(app)["id"], "subject": "ada"}


def test_what_a_view_assigns_to_g_user_sways_no_policy(make_app: MakeApp, people: People):
    app = make_app([*people.resources()[:2], policy("somebody", {"user": {"id": "somebody"}})])

    @app.before_request
    def pose() -> None:
        g.user = {"id": "somebody"}

    assert ask(app, token()).status_code == 403


def test_our_tables_have_our_names(operated: Operated, people: People):
    app = operated(people.resources())
    me(app, token())

    assert all(name.startswith("foreign_token_") for name in tables_in(app))


def test_nothing_of_a_user_is_logged(operated: Operated, people: People, caplog: pytest.LogCaptureFixture):
    caplog.set_level("DEBUG")
    app = operated(people.resources())
    people.says(email="ada.lovelace@private.example", name="Countess Private")
    known = token("subject-that-is-private")

    assert ask(app, known).status_code == 200
    assert operate(app, "GET", "/fhir/User").status_code == 200

    said = "\n".join(
        record.getMessage() + str(record.exc_info or "")
        for record in caplog.records
        if record.name.startswith("flask_foreign_token") or record.name == app.logger.name
    )
    for private in ("private.example", "Countess", known, known.split(".")[2]):
        assert private not in said
    assert people.count(USERINFO) == 1
    assert read(app, "User")["total"] == 1
