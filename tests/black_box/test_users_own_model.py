"""A model that the app has already: its key, its required columns, its bind; and what a provider may set in it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from sqlalchemy import String, event, inspect
from sqlalchemy.orm import Mapped, MappedAsDataclass, mapped_column

from flask_foreign_token import ForeignToken, errors

from ..apps import ask, policy
from ..conftest import MakeApp
from .callers import operate, parsed, put_all, run
from .members import LISTED, Make, database, integer_model, make_fixture, members  # noqa: F401
from .people import People, counts, me, token, user_of, users
from .tokens import at_once, refused

RULES = {
    "name": ["name"],
    "email": ["email"],
    "visits": ["visits"],
    "theme": ["profile", "theme"],
    "nickname": ["nickname"],
}
GOOD = {"name": "Ada", "email": "ada@example.com", "visits": 3, "theme": "dark", "nickname": "A"}


def test_required_columns_are_filled_by_to_scim(make: Make, people: People):
    db = database()
    Member = integer_model(db)  # noqa: N806
    app = make(db, Member, attributes={"toScim": RULES}, **LISTED)
    people.says(**GOOD)

    answer = ask(app, token(), "/name")

    assert answer.json["is"] is True
    [member] = members(app, Member)
    assert (member["name"], member["email"], member["visits"]) == ("Ada", "ada@example.com", 3)
    assert member["profile"] == {"theme": "dark"}
    assert (member["is_admin"], member["is_active"]) == (False, True)
    shown = user_of(app)
    assert (shown["id"], shown["name"], shown["email"], shown["visits"]) == ("1", "Ada", "ada@example.com", 3)
    assert (shown["profile"], shown["nickname"]) == ({"theme": "dark"}, "A")
    assert shown["data"] == {"sub": "ada", **GOOD}


def test_required_columns_are_filled_by_the_hook(make: Make, people: People):
    db = database()
    Member = integer_model(db)  # noqa: N806
    seen: list[Any] = []

    def setup(extension: ForeignToken) -> None:
        @extension.new_user
        def make_member(new: Any) -> Any:
            seen.append((new.system, new.subject, dict(new.userinfo)["name"], new.token.subject))
            return Member(name=new.userinfo["name"])

    app = make(db, Member, setup)
    people.says(name="Ada")

    assert me(app, token()) == "1"

    assert seen == [("keycloak", "ada", "Ada", "ada")]
    assert [member["name"] for member in members(app, Member)] == ["Ada"]
    assert me(app, token()) == "1"
    assert len(seen) == 1


def test_the_hook_may_say_that_there_is_no_user(make: Make, people: People):
    db = database()
    Member = integer_model(db)  # noqa: N806

    def setup(extension: ForeignToken) -> None:
        @extension.new_user
        def make_member(new: Any) -> Any:
            return Member(name="Ada") if new.subject == "ada" else None

    app = make(db, Member, setup)

    assert me(app, token("eve")) is None
    assert (members(app, Member), counts(app)) == ([], (0, 0))
    assert me(app, token("ada")) == "1"


def test_the_hook_may_refuse(make: Make, people: People):
    db = database()
    Member = integer_model(db)  # noqa: N806

    def setup(extension: ForeignToken) -> None:
        @extension.new_user
        def make_member(new: Any) -> Any:
            if not new.userinfo.get("staff"):
                raise errors.AccessDenied
            return Member(name="Ada")

    app = make(db, Member, setup)

    answer = ask(app, token())
    assert (answer.status_code, answer.json["error"]) == (403, "access_denied")
    assert (members(app, Member), counts(app)) == ([], (0, 0))

    people.says(staff=True)
    assert me(app, token("grace")) == "1"


@pytest.mark.parametrize("wrong", ["text", "class", "another model", "in a session", "stored"])
def test_what_is_no_new_instance_is_our_fault_and_stores_nothing(make: Make, people: People, wrong: str):
    db = database()
    Member = integer_model(db)  # noqa: N806

    class Other(db.Model):
        __tablename__ = "other"
        id: Mapped[int] = mapped_column(primary_key=True)

    def setup(extension: ForeignToken) -> None:
        @extension.new_user
        def make_member(new: Any) -> Any:
            if wrong == "text":
                return "ada"
            if wrong == "class":
                return Member
            if wrong == "another model":
                return Other()
            if wrong == "in a session":
                member = Member(name="Ada")
                db.session.add(member)
                return member
            return db.session.query(Member).first()

    app = make(db, Member, setup)
    with app.app_context():
        db.session.add(Member(name="somebody"))
        db.session.commit()
    app.config["PROPAGATE_EXCEPTIONS"] = False

    assert ask(app, token()).status_code == 500

    assert [member["name"] for member in members(app, Member)] == ["somebody"]
    assert users(app)[0].get("identifier", []) == [] if users(app) else True


def test_a_hook_that_fails_stores_nothing(make: Make, people: People):
    db = database()
    Member = integer_model(db)  # noqa: N806
    fails = [True]

    def setup(extension: ForeignToken) -> None:
        @extension.new_user
        def make_member(new: Any) -> Any:
            if fails:
                raise RuntimeError("the hook has failed")
            return Member(name="Ada")

    app = make(db, Member, setup)
    app.config["PROPAGATE_EXCEPTIONS"] = False

    assert ask(app, token()).status_code == 500
    assert (members(app, Member), counts(app)) == ([], (0, 0))

    fails.clear()
    assert me(app, token()) == "1"


def test_a_uuid_is_a_key(make: Make, people: People):
    db = database()

    class Member(db.Model):
        id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)

    app = make(db, Member)

    ada = me(app, token())

    assert str(uuid.UUID(str(ada))) == ada == me(app, token()) == user_of(app)["id"]
    run(app, "users", "deactivate", str(ada))
    refused(ask(app, token()))


def test_a_text_is_a_key(make: Make, people: People):
    db = database()

    class Member(db.Model):
        code: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: f"m-{uuid.uuid4().hex[:8]}")

    app = make(db, Member)

    assert str(me(app, token())).startswith("m-")
    assert counts(app) == (1, 1)


def test_a_dataclass_with_a_required_argument_is_made_by_the_hook(make: Make, people: People):
    db = database()

    class Member(MappedAsDataclass, db.Model):
        id: Mapped[int] = mapped_column(init=False, primary_key=True)
        name: Mapped[str]

    def setup(extension: ForeignToken) -> None:
        extension.new_user(lambda new: Member(name=new.userinfo["name"]))

    app = make(db, Member, setup)
    people.says(name="Ada")

    assert me(app, token()) == "1"
    assert [member["name"] for member in members(app, Member)] == ["Ada"]


def test_an_abstract_base_with_the_key_is_fine(make: Make, people: People):
    db = database()

    class Keyed(db.Model):
        __abstract__ = True
        number: Mapped[int] = mapped_column(primary_key=True)

    class Member(Keyed):
        __tablename__ = "member"

    app = make(db, Member)

    assert me(app, token()) == me(app, token()) == "1"


def test_everything_of_ours_is_where_the_model_is(make: Make, people: People, tmp_path):
    db = database()

    class Member(db.Model):
        __bind_key__ = "people"
        id: Mapped[int] = mapped_column(primary_key=True)

    binds = {"SQLALCHEMY_BINDS": {"people": f"sqlite:///{tmp_path}/people.sqlite"}}
    app = make(db, Member, config=binds)

    assert me(app, token()) == me(app, token()) == "1"

    with app.app_context():
        tables = {key: set(inspect(engine).get_table_names()) for key, engine in db.engines.items()}
    assert {"member", "foreign_token_identifier"} <= tables["people"]
    assert "foreign_token_identifier" not in tables[None]
    assert len(users(app)) == 1


def test_the_apps_table_has_no_column_of_ours(make: Make, people: People):
    db = database()
    Member = integer_model(db)  # noqa: N806
    before = set(Member.__table__.columns.keys())

    make(db, Member)

    assert set(Member.__table__.columns.keys()) == before


def test_many_at_once_are_one_row(make: Make, people: People):
    db = database()
    Member = integer_model(db)  # noqa: N806
    app = make(db, Member, attributes={"toScim": RULES}, **LISTED)
    people.says(**GOOD)

    assert at_once(16, lambda number: ask(app, token(), "/name").status_code) == [200] * 16

    assert len(members(app, Member)) == 1
    assert counts(app) == (1, 1)


def test_events_of_the_model_happen(make: Make, people: People):
    db = database()

    class Member(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(default="")

    event.listen(Member, "before_insert", lambda mapper, connection, row: setattr(row, "name", "by an event"))
    app = make(db, Member)

    assert me(app, token()) == "1"
    assert members(app, Member) == [{"id": 1, "name": "by an event"}]


@pytest.mark.parametrize("names", [("nobody",), ("id",), ("boss",), ("name", "is_active"), "name", (7,)])
def test_a_list_of_attributes_that_cannot_be_is_refused_when_the_app_is_made(bare_app: MakeApp, names: Any):
    db = database()
    app = bare_app(SQLALCHEMY_DATABASE_URI="sqlite:///own.sqlite")
    db.init_app(app)

    with pytest.raises((errors.ConfigError, TypeError)):
        ForeignToken(app, db=db, user_class=integer_model(db), user_attributes=names, active_attribute="is_active")


def test_policies_see_the_columns_that_are_listed_and_no_others(make: Make, people: People):
    db = database()
    app = make(db, integer_model(db), attributes={"toScim": RULES}, **LISTED)
    people.says(**GOOD)
    operate(app, "DELETE", "/fhir/AccessPolicy/keycloak-tokens")
    put_all(app, [policy("listed", {"user": {"email": "ada@example.com", "is_admin": "nil?", "boss_id": "nil?"}})])

    assert ask(app, token()).status_code == 200
    assert "is_admin" not in parsed(app, "users", "show", "1")
    assert "is_active" not in parsed(app, "users", "show", "1")


def test_the_hook_is_for_newcomers_only(make: Make, people: People):
    """And not for whom an operator makes, nor for whom a verified address finds."""
    db = database()
    Member = integer_model(db)  # noqa: N806
    seen: list[str] = []

    def setup(extension: ForeignToken) -> None:
        @extension.new_user
        def make_member(new: Any) -> Any:
            seen.append(new.subject)
            return Member(name="Ada")

    other = "https://other.example"
    app = make(db, Member, setup, **LISTED)
    put_all(app, people.resources("other", other, match_by="email"))
    people.says(email="ada@example.com", email_verified=True)

    ada = me(app, token())
    assert me(app, token("lovelace", iss=other)) == ada
    body = {"identifier": [{"system": "keycloak", "value": "bob"}], "name": "Bob"}
    assert operate(app, "POST", "/fhir/User", body).status_code == 201

    assert seen == ["ada"]
    assert [member["name"] for member in members(app, Member)] == ["Ada", "Bob"]


def test_a_hook_without_create_user_is_not_asked(make: Make, people: People):
    db = database()
    Member = integer_model(db)  # noqa: N806
    seen: list[str] = []

    def setup(extension: ForeignToken) -> None:
        @extension.new_user
        def make_member(new: Any) -> Any:
            seen.append(new.subject)
            return Member(name="Ada")

    app = make(db, Member, setup, config={"FOREIGN_TOKEN_CREATE_USER": False})

    assert me(app, token()) is None

    assert (seen, members(app, Member), people.asked) == ([], [], 0)


def test_a_second_hook_is_refused():
    extension = ForeignToken()
    extension.new_user(lambda new: None)

    with pytest.raises(errors.ConfigError):
        extension.new_user(lambda new: None)
