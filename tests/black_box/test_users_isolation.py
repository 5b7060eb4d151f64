"""On each database: look-alikes kept apart byte by byte, one user whoever comes first, seen by the request itself."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, g
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_foreign_token import ForeignToken

from ..apps import add_views, ask, key_of
from ..conftest import MakeApp
from ..integration.servers import SERVERS
from .callers import OPERATOR_SETTINGS, Operated, operate, put, put_all, run
from .people import ISSUER, People, me, token, users
from .test_users_bad_subjects import ALIKE, GOOD
from .tokens import at_once, refused

OTHER = "https://other.example"


@pytest.fixture(scope="module", params=["sqlite", *SERVERS])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database for this module; tests keep out of each other's way by the systems of their users."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('shared')}/app.sqlite"
    else:
        with SERVERS[request.param]() as url:
            yield url


@pytest.fixture
def system(numbers: Iterator[int]) -> str:
    return f"system-{next(numbers)}"


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    return count()


@pytest.fixture
def app(operated: Operated, people: People, url: str, system: str) -> Flask:
    return operated(trusted(people, system), SQLALCHEMY_DATABASE_URI=url)


def trusted(people: People, name: str, iss: str | None = None, **attributes: Any) -> list[dict[str, Any]]:
    return people.resources(name, iss or f"{ISSUER}/{name}", **attributes)


@pytest.fixture
def ticket(system: str) -> Callable[..., str]:
    return lambda sub="ada", **more: token(sub, **{"iss": f"{ISSUER}/{system}", **more})


def identifiers(app: Flask, system: str) -> list[tuple[str, str]]:
    """Pairs of user and subject, of one system."""
    return [
        (user["id"], pair["value"])
        for user in users(app)
        for pair in user.get("identifier", [])
        if pair["system"] == system
    ]


def test_who_looks_alike_is_kept_apart(app: Flask, system: str, ticket):
    found = [me(app, ticket(sub)) for sub in ALIKE]

    assert len(set(found)) == len(ALIKE)
    assert [me(app, ticket(sub)) for sub in reversed(ALIKE)] == found[::-1]
    assert sorted(identifiers(app, system)) == sorted(zip(found, ALIKE, strict=True))


def test_a_search_finds_none_that_looks_alike(app: Flask, system: str, ticket):
    made = {sub: me(app, ticket(sub)) for sub in ALIKE}

    for sub, user in made.items():
        found = operate(app, "GET", "/fhir/User", query_string={"identifier": f"{system}|{sub}"}).json
        assert [entry["resource"]["id"] for entry in found["entry"]] == [user], ascii(sub)


def test_an_unlink_takes_none_that_looks_alike(app: Flask, system: str, ticket):
    made = {sub: str(me(app, ticket(sub))) for sub in ("ada", "ADA", "ada ")}

    assert run(app, "users", "unlink", made["ada"], f"{system}|ADA", status=1).stderr
    run(app, "users", "unlink", made["ADA"], f"{system}|ADA")

    assert sorted(value for _, value in identifiers(app, system)) == ["ada", "ada "]


def test_odd_subjects_are_stored_as_they_came(app: Flask, system: str, ticket):
    for sub in GOOD.values():
        assert me(app, ticket(sub))

    assert sorted(value for _, value in identifiers(app, system)) == sorted(GOOD.values())


def test_systems_that_look_alike_are_kept_apart(app: Flask, people: People, system: str, ticket):
    alike = [system.upper(), system.replace("s", "\u017f"), f"{system}\u0301"]
    found = {me(app, ticket())}
    for number, other in enumerate(alike):
        resources = trusted(people, f"{system}-p{number}", f"{OTHER}/{system}/{number}", system=other)
        put_all(app, resources)
        found.add(me(app, token("ada", iss=f"{OTHER}/{system}/{number}")))

    assert len(found) == 1 + len(alike)
    assert len(identifiers(app, system)) == 1


def test_a_pipe_does_not_make_two_pairs_one(app: Flask, people: People, system: str):
    pairs = [(system, "b|c"), (f"{system}|b", "c")]
    found = set()
    for number, (other, sub) in enumerate(pairs):
        issuer = f"{OTHER}/{system}/{number}"
        resources = trusted(people, f"{system}-q{number}", issuer, system=other)
        if number == 0:
            run(app, "delete", "AccessPolicy", f"{system}-tokens")
            run(app, "delete", "TokenIntrospector", f"{system}-jwt")
            run(app, "delete", "IdentityProvider", system)
        answer = put(app, resources[0])
        if number == 1 and answer.status_code == 422:
            return
        put_all(app, resources)
        found.add(me(app, token(sub, iss=issuer)))

    assert len(found) == 2


def test_two_providers_whose_subjects_are_alike_are_two_users(app: Flask, people: People, system: str, ticket):
    put_all(app, trusted(people, f"{system}-other", OTHER + system))

    first, second = me(app, ticket("ada")), me(app, token("ada", iss=OTHER + system))

    assert first != second
    assert me(app, ticket("ada")) == first


def test_the_same_system_for_two_providers_is_refused(app: Flask, people: People, system: str):
    answer = put(app, trusted(people, f"{system}-thief", OTHER, system=system)[0])

    assert answer.status_code == 422
    assert any("system" in issue["path"] for issue in answer.json["issues"])


def test_many_first_requests_are_one_user(app: Flask, people: People, system: str, ticket):
    statuses = at_once(24, lambda number: ask(app, ticket()).status_code)

    assert statuses == [200] * 24
    assert len(identifiers(app, system)) == 1
    assert people.asked == 1


def test_two_workers_make_one_user(app: Flask, people: People, system: str, ticket, operated: Operated, url: str):
    workers = [app, operated([], SQLALCHEMY_DATABASE_URI=url)]

    answers = at_once(24, lambda number: ask(workers[number % 2], ticket(), "/me"))

    assert [answer.status_code for answer in answers] == [200] * 24
    assert len({answer.json["user"] for answer in answers}) == 1
    assert len(identifiers(app, system)) == 1
    assert people.asked <= 2


def test_many_subjects_at_once_are_as_many_users(app: Flask, system: str, ticket):
    subjects = [f"person {number}" for number in range(50)]
    random.Random(8).shuffle(subjects)

    statuses = at_once(50, lambda number: ask(app, ticket(subjects[number])).status_code)

    assert statuses == [200] * 50
    assert len({user for user, _ in identifiers(app, system)}) == 50


def test_nothing_is_stored_of_who_is_refused(app: Flask, people: People, system: str, ticket):
    for sub in ("a\0a", "a" * 256, "", " ", "a\x85a", 7):
        refused(ask(app, ticket(sub)))
    people.answers({"sub": "eve"})
    refused(ask(app, ticket("ada")))

    assert identifiers(app, system) == []


@pytest.mark.parametrize("name", ["a\0b", "\0", "\x1b"])
def test_what_a_database_cannot_hold_is_no_error_of_ours(app: Flask, people: People, system: str, ticket, name: str):
    people.says(name=name)

    answer = ask(app, ticket())

    assert answer.status_code in {200, 401, 503}
    if answer.status_code == 200:
        [shown] = [user for user in users(app) if {"system": system, "value": "ada"} in user["identifier"]]
        assert shown["data"]["name"] == name
    else:
        assert identifiers(app, system) == []


def test_large_and_deep_data_come_back_as_they_were(app: Flask, people: People, system: str, ticket):
    said = {"text": "\U0001f600" * 5_000, "big": 2**60 + 1, "half": 0.1, "deep": [[[{"a": [None, True]}]]]}
    people.says(**said)

    assert ask(app, ticket()).status_code == 200

    [shown] = [user for user in users(app) if {"system": system, "value": "ada"} in user["identifier"]]
    assert shown["data"] == {"sub": "ada", **said}


@pytest.mark.parametrize("kind", SERVERS)
def test_a_view_that_looked_before_still_gets_its_new_user(bare_app: MakeApp, people: People, kind: str):
    """Under REPEATABLE READ the session's view is older than the user's row."""
    with SERVERS[kind]() as url:

        class Fresh(DeclarativeBase):
            pass

        db = SQLAlchemy(model_class=Fresh)

        class Note(db.Model):
            __tablename__ = "note"
            id: Mapped[int] = mapped_column(primary_key=True)

        options = {"isolation_level": "REPEATABLE READ"}
        app = bare_app(**OPERATOR_SETTINGS, SQLALCHEMY_DATABASE_URI=url, SQLALCHEMY_ENGINE_OPTIONS=options)
        db.init_app(app)

        @app.before_request
        def look() -> None:
            db.session.execute(sa.select(Note)).all()

        ForeignToken(app, db=db)
        add_views(app)

        @app.get("/touch")
        def touch() -> dict[str, object]:
            return {"user": key_of(g.user), "name": g.user.data["name"], "again": key_of(g.user)}

        with app.app_context():
            db.create_all()
        put_all(app, people.resources())
        people.says(name="Ada")

        answer = ask(app, token(), "/touch")

        assert answer.status_code == 200, answer.get_data(as_text=True)
        assert answer.json["name"] == "Ada"
        assert answer.json["user"] == answer.json["again"] == users(app)[0]["id"]
