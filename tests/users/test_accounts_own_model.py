from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import orm as sa_orm
from sqlalchemy.ext.hybrid import hybrid_property

from flask_foreign_token.errors import DatabaseUnavailable, InvalidToken

from .accounts import Desk, faults_of, named
from .conftest import Says, World, a_credential, a_provider, a_token, a_world, closed

MakeDesk = Callable[..., Desk]


@pytest.fixture
def desk_of(tmp_path: Path) -> Iterator[MakeDesk]:
    """Makes a desk at users of the app's own model, which is on a bind."""
    worlds: list[World] = []
    kept: list[object] = []

    def make(
        active_attribute: str | None = None, also: Callable[[SQLAlchemy], object] = lambda db: None, **members: Any
    ) -> Desk:
        def person(db: SQLAlchemy) -> type:
            id_ = sa.Column(sa.Integer, primary_key=True, autoincrement=False)
            model = type("Person", (db.Model,), {"__bind_key__": "people", "id": id_, **members})
            # SQLAlchemy itself holds on to no class.
            kept.append(also(db))
            return model

        binds = {"people": f"sqlite:///{tmp_path / f'people{len(worlds)}.sqlite'}"}
        worlds.append(a_world("sqlite://", binds=binds, user_class=person, active_attribute=active_attribute))
        return Desk(worlds[-1])

    yield make
    for world in worlds:
        closed(world)


def counted() -> Any:
    return sa.Column(sa.Integer, primary_key=True)


def has_access(desk: Desk, value: str = "ann") -> bool:
    try:
        desk.world.users().find_or_create(a_token(value), a_provider(Says()), a_credential())
    except InvalidToken:
        return False
    return True


def row(desk: Desk, key: object) -> Any:
    with desk.world.app.app_context():
        return desk.world.db.session.get(desk.world.models.user, key)


# ---- keys


def test_a_new_user_gets_the_models_own_key_and_defaults(desk_of: MakeDesk) -> None:
    desk = desk_of(id=counted(), nickname=sa.Column(sa.String(20), nullable=False, default="new"))

    user = desk.put(None, identifier=named("ann"))

    assert (user.id, user.resource["id"]) == ("1", "1")
    assert row(desk, 1).nickname == "new"
    assert desk.announced == [("User", "1")]
    assert desk.forgotten == ["1"]


def test_a_key_that_is_given_is_the_users(desk_of: MakeDesk) -> None:
    desk = desk_of()

    assert desk.put("7", identifier=named("ann")).id == "7"
    assert [user.id for user in desk.accounts.search().users] == ["7"]


COUNTED: dict[str, Callable[[], Any]] = {
    "by itself": counted,
    "an identity": lambda: sa.Column(sa.Integer, sa.Identity(), primary_key=True),
    "a large one": lambda: sa.Column(sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    "a sequence": lambda: sa.Column(sa.Integer, sa.Sequence("people"), primary_key=True),
    "a default of the server": lambda: sa.Column(sa.Integer, server_default=sa.text("7"), primary_key=True),
}


@pytest.mark.parametrize("column", COUNTED)
def test_where_the_database_counts_the_keys_nobody_else_gives_one(desk_of: MakeDesk, column: str) -> None:
    desk = desk_of(id=COUNTED[column]())

    for id_ in ("1", "2147483647", "-5"):
        [(resource, path, reason)] = faults_of(desk.put, id_, identifier=named("ann"))
        assert (resource, path) == (f"User/{id_}", "id")
        assert reason == "is not there, and the application's model gives its own ids; POST a user without one"
    assert desk.world.population == (0, 0)


def test_whoever_has_a_counted_key_can_be_written(desk_of: MakeDesk) -> None:
    desk = desk_of(id=counted())
    id_ = desk.put(None, identifier=named("ann")).id

    assert desk.outcome(id_, {"identifier": named("ann"), "x": 1}) == "updated"
    assert desk.put(None).id == "2"


def test_a_key_that_the_app_thinks_of_is_not_counted(desk_of: MakeDesk) -> None:
    desk = desk_of(id=sa.Column(sa.Integer, primary_key=True, default=lambda: 42))

    assert [desk.put("7").id, desk.put(None).id] == ["7", "42"]


@pytest.mark.parametrize("id_", ["ann", "", "07", "+7", "7.0", " 7", "\u0667", "1e3", "9" * 19, "9" * 5000, "True"])
def test_what_is_no_integer_is_no_integer_key(desk_of: MakeDesk, id_: str) -> None:
    desk = desk_of()

    [(_, path, reason)] = faults_of(desk.put, id_)

    assert (path, reason) == ("id", "must be the text of one int")
    assert desk.accounts.get(id_) is None


def test_a_uuid_is_written_in_one_way_only(desk_of: MakeDesk) -> None:
    desk = desk_of(id=sa.Column(sa.Uuid, primary_key=True, default=uuid.uuid4))
    key = uuid.uuid4()

    assert desk.put(str(key), identifier=named("ann")).id == str(key)
    assert desk.accounts.get(str(key)).id == str(key)
    assert [desk.accounts.get(text) for text in (str(key).upper(), key.hex, "ann")] == [None] * 3
    assert faults_of(desk.put, key.hex) == [(f"User/{key.hex}", "id", "must be the text of one UUID")]
    assert uuid.UUID(desk.put(None).id)


class Code(sa.types.TypeDecorator[str]):
    """Keys that only their own type can read."""

    impl = sa.String(9)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str:
        if not value.startswith("P-"):
            raise ValueError(value)
        return str(value)


def test_a_text_that_the_keys_own_type_does_not_take_is_nobodys(desk_of: MakeDesk) -> None:
    desk = desk_of(id=sa.Column(Code, primary_key=True))

    assert desk.put("P-1").id == "P-1"
    assert desk.accounts.get("Q-1") is None
    assert faults_of(desk.accounts.delete, "Q-1") == [("User/Q-1", "", "is not stored")]
    assert faults_of(desk.put, "Q-1") == [("User/Q-1", "id", "cannot be a key of the application's model")]


def test_who_is_called_by_a_text_that_the_database_takes_for_another_is_nobody(desk_of: MakeDesk) -> None:
    desk = desk_of(id=sa.Column(sa.String(20, collation="NOCASE"), primary_key=True))
    before = desk.put("ann", identifier=named("ann"))

    assert desk.accounts.get("ANN") is None
    assert faults_of(desk.accounts.delete, "ANN") == [("User/ANN", "", "is not stored")]
    [(_, path, reason)] = faults_of(desk.put, "ANN", inactive=True)
    assert (path, "Person refuses a row" in reason) == ("", True)
    assert desk.accounts.get("ann") == before


# ---- models that want more, or refuse


@pytest.mark.parametrize("id_", [None, "7"])
def test_a_model_that_wants_more_than_a_key_is_named(desk_of: MakeDesk, id_: str | None) -> None:
    key = counted() if id_ is None else sa.Column(sa.Integer, primary_key=True, autoincrement=False)
    desk = desk_of(id=key, nickname=sa.Column(sa.String(20), nullable=False))

    [(resource, path, reason)] = faults_of(desk.put, id_, identifier=named("ann"))

    assert (resource, path) == ("User" if id_ is None else "User/7", "")
    assert "Person refuses a row that sets nothing but its key (without a value: nickname)" in reason
    assert desk.world.population == (0, 0)
    assert desk.announced == desk.forgotten == []


def test_a_class_that_cannot_be_made_without_arguments_is_named(desk_of: MakeDesk) -> None:
    def init(self: object, nickname: str) -> None:
        """Wants a name."""

    desk = desk_of(id=counted(), __init__=init)

    [(_, _, reason)] = faults_of(desk.put, None)

    assert "Person refuses a row" in reason


def notes(**relationship: Any) -> Callable[[SQLAlchemy], type]:
    """Makes the model of notes, each of which has a person for its author."""

    def note(db: SQLAlchemy) -> type:
        members = {
            "__bind_key__": "people",
            "id": sa.Column(sa.Integer, primary_key=True),
            "author_id": sa.Column(sa.ForeignKey("person.id"), nullable=False),
            "author": sa_orm.relationship("Person", backref=sa_orm.backref("notes", **relationship)),
        }
        return type("Note", (db.Model,), members)

    return note


def write_note(desk: Desk, author: int) -> None:
    with desk.world.transactions.writing() as connection:
        connection.execute(sa.text("INSERT INTO note (author_id) VALUES (:author)"), {"author": author})


def test_a_user_to_whom_other_rows_refer_is_not_deleted(desk_of: MakeDesk) -> None:
    desk = desk_of(also=notes())
    before = desk.put("7", identifier=named("ann"))
    write_note(desk, 7)

    [(resource, _, reason)] = faults_of(desk.accounts.delete, "7")

    assert (resource, "other rows refer to the user" in reason) == ("User/7", True)
    assert desk.accounts.get("7") == before
    assert desk.announced == [("User", "7")]


def test_what_the_model_deletes_with_a_user_goes_too(desk_of: MakeDesk) -> None:
    desk = desk_of(also=notes(cascade="all, delete-orphan"))
    desk.put("7", identifier=named("ann"))
    write_note(desk, 7)

    desk.accounts.delete("7")

    with desk.world.transactions.reading() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM note")) == 0
    assert desk.world.population == (0, 0)


# ---- who is active


def yes(self: Any) -> Any:
    return self.state == "active"


def settable() -> Any:
    is_active = hybrid_property(yes)

    @is_active.setter
    def is_active(self: Any, value: bool) -> None:
        self.state = "active" if value else "blocked"

    return is_active


ATTRIBUTES: dict[str, Callable[[], dict[str, Any]]] = {
    "a boolean": lambda: {"is_active": sa.Column(sa.Boolean, default=True)},
    "one that is false at first": lambda: {"is_active": sa.Column(sa.Boolean, default=False)},
    "an integer": lambda: {"is_active": sa.Column(sa.Integer)},
    "a hybrid with a setter": lambda: {"state": sa.Column(sa.String(9)), "is_active": settable()},
}


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_an_attribute_that_can_be_set_is_set(desk_of: MakeDesk, attribute: str) -> None:
    desk = desk_of("is_active", **ATTRIBUTES[attribute]())
    desk.put("7", identifier=named("ann"))
    assert has_access(desk)
    versions = []
    for active in (False, True, False):
        [(_, shown)] = desk.accounts.set_active(["7"], active)
        assert shown.resource.get("inactive", False) is not active
        assert has_access(desk) is bool(row(desk, 7).is_active) is active
        versions.append(int(shown.resource["meta"]["versionId"]))

    assert versions == [2, 3, 4]
    assert "inactive" not in desk.put("7", identifier=named("ann")).resource
    assert has_access(desk)


def test_a_user_without_identifiers_has_the_attribute(desk_of: MakeDesk) -> None:
    desk = desk_of("is_active", is_active=sa.Column(sa.Boolean, default=True))

    assert desk.put("7", inactive=True).resource["inactive"] is True
    assert "inactive" not in desk.put("7").resource
    assert desk.announced == [("User", "7")] * 2


@pytest.mark.parametrize(
    "attribute", [{}, {"state": sa.Column(sa.String(9), default="active"), "is_active": hybrid_property(yes)}]
)
def test_without_one_that_can_be_set_it_is_the_identifiers(desk_of: MakeDesk, attribute: dict[str, Any]) -> None:
    desk = desk_of("is_active" if attribute else None, **attribute)
    desk.put("7", identifier=named("ann", "nan"))

    assert desk.accounts.set_active(["7"], False)[0][1].resource["inactive"] is True
    assert [has_access(desk, value) for value in ("ann", "nan")] == [False, False]
    assert "inactive" not in desk.accounts.set_active(["7"], True)[0][1].resource
    assert [has_access(desk, value) for value in ("ann", "nan")] == [True, True]


def test_a_new_identifier_is_no_way_around(desk_of: MakeDesk) -> None:
    desk = desk_of()
    desk.put("7", identifier=named("ann"), inactive=True)

    user = desk.put("7", identifier=named("nan"), inactive=True)

    assert user.resource["inactive"] is True
    assert not has_access(desk, "nan")


def test_without_attribute_and_identifier_nobody_can_be_inactive(desk_of: MakeDesk) -> None:
    desk = desk_of()
    desk.put("7")

    for work in (lambda: desk.accounts.set_active(["7"], False), lambda: desk.put("7", inactive=True)):
        [(resource, path, reason)] = faults_of(work)
        assert (resource, path) == ("User/7", "inactive")
        assert "names no active_attribute that can be set" in reason


def test_what_the_model_alone_says_is_not_taken_back(desk_of: MakeDesk) -> None:
    state = sa.Column(sa.String(9), default="blocked")
    desk = desk_of("is_active", state=state, is_active=hybrid_property(yes))

    [(_, path, reason)] = faults_of(desk.put, "7", identifier=named("ann"))

    assert (path, "cannot be set here" in reason) == ("inactive", True)
    assert desk.put("7", identifier=named("ann"), inactive=True).resource["inactive"] is True


def test_an_attribute_that_does_not_stay_as_it_was_set_is_reported(desk_of: MakeDesk) -> None:
    @hybrid_property
    def is_active(self: Any) -> Any:
        return self.state == "active"

    @is_active.setter
    def is_active(self: Any, value: bool) -> None:
        """Does nothing."""

    desk = desk_of("is_active", state=sa.Column(sa.String(9), default="active"), is_active=is_active)
    desk.put("7", identifier=named("ann"))

    assert faults_of(desk.accounts.set_active, ["7"], False) == [
        ("User/7", "inactive", "was set, and the application's model did not keep it")
    ]


def test_a_constraint_of_the_model_has_the_last_word(desk_of: MakeDesk) -> None:
    desk = desk_of("is_active", is_active=sa.Column(sa.Boolean), __table_args__=(sa.CheckConstraint("is_active"), {}))
    desk.put("7", identifier=named("ann"))

    [(_, path, _)] = faults_of(desk.accounts.set_active, ["7"], False)

    assert path == "inactive"
    assert has_access(desk)


def test_what_was_stored_and_could_not_be_announced_is_announced_when_it_is_said_again(
    desk_of: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = desk_of("active", active=sa.Column(sa.Boolean, default=True))
    desk.put("7", identifier=named("ann"))
    before = desk.announced
    with monkeypatch.context() as patch:
        patch.setattr(desk.feed, "writing", unavailable)
        with pytest.raises(DatabaseUnavailable):
            desk.accounts.set_active(["7"], False)
    assert (desk.announced, has_access(desk)) == (before, False)

    [(outcome, _)] = desk.accounts.set_active(["7"], False)

    assert outcome == "unchanged"
    assert desk.announced == [*before, ("User", "7")]


def unavailable() -> NoReturn:
    raise DatabaseUnavailable
