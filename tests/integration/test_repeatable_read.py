"""``g.user`` where the app's session goes on seeing what there was when it began."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, g
from flask_sqlalchemy import SQLAlchemy

from flask_foreign_token import require_policy
from flask_foreign_token.testing import Issuer

from ..apps import SECRET, ask, database_of, introspector, key_of, policy, provider, secret_token, trusting_a_secret
from ..conftest import MakeApp
from ..counting import counted
from ..own_model import BIND, with_own_users
from .databases import Databases

OTHER_ISSUER = "https://other.example"
OTHER = [
    provider("other", match_by="email", toScim={"email": ["email"]}),
    introspector("other", "other", jwt={"iss": OTHER_ISSUER, "secret": SECRET}),
    policy("other", {"jwt": {"iss": OTHER_ISSUER}}),
]


@dataclass(frozen=True, slots=True)
class Clinic:
    """An app whose sessions keep their view, as MariaDB's do by themselves."""

    app: Flask
    db: SQLAlchemy
    person: type[Any]

    def seen(self) -> int:
        """How many users the app's session sees, whose view begins now if it has not begun."""
        return int(self.db.session.scalar(sa.select(sa.func.count()).select_from(self.person)))

    def elsewhere(self, statement: Any) -> Any:
        """What a statement of somebody else gives, committed."""
        with self.app.app_context():
            engine = self.db.engines[BIND]
        with engine.begin() as connection:
            return connection.execute(statement)

    def set_active(self, active: bool) -> None:
        """As another process of the app's own does."""
        self.elsewhere(sa.update(self.person).values(is_active=active))


@pytest.fixture(params=["mariadb", "postgresql"])
def engine(request: pytest.FixtureRequest, databases: Databases, tmp_path: Path) -> dict[str, object]:
    """What Flask-SQLAlchemy makes an engine of."""
    # That of MariaDB is as it comes.
    more = {"isolation_level": "REPEATABLE READ"} if request.param == "postgresql" else {}
    return {"url": databases.empty(request.param, tmp_path), **more}


@pytest.fixture
def make_clinic(bare_app: MakeApp, engine: dict[str, object]) -> Callable[..., Clinic]:
    def make(**config: object) -> Clinic:
        app = bare_app(SQLALCHEMY_DATABASE_URI="sqlite://", SQLALCHEMY_BINDS={BIND: engine}, **config)
        db, person = with_own_users(app, *OTHER)
        with app.app_context():
            db.create_all()
        return Clinic(app, db, person)

    return make


@pytest.fixture
def clinic(make_clinic: Callable[..., Clinic]) -> Clinic:
    return make_clinic()


def token_of(issuer: Issuer, subject: str = "ann", **claims: object) -> str:
    return secret_token(issuer, sub=subject, email=f"{subject}@example.com", **claims)


def test_a_context_that_read_before_the_user_was_made_gets_the_user(clinic: Clinic, issuer: Issuer) -> None:
    with clinic.app.app_context():
        assert clinic.seen() == 0

        answers = [ask(clinic.app, token_of(issuer), "/name") for _ in range(2)]

        assert [answer.json for answer in answers] == [{"name": "ann of keycloak", "real": True}] * 2
        assert clinic.seen() == 0
        assert clinic.elsewhere(sa.select(sa.func.count()).select_from(clinic.person)).scalar() == 1


def test_a_request_that_read_before_its_user_was_made_gets_the_user(clinic: Clinic, issuer: Issuer) -> None:
    seen: list[int] = []
    clinic.app.url_value_preprocessor(lambda endpoint, values: seen.append(clinic.seen()))

    answers = [ask(clinic.app, token_of(issuer, name), "/name") for name in ("ann", "bob", "ann")]

    assert [answer.json["name"] for answer in answers] == ["ann of keycloak", "bob of keycloak", "ann of keycloak"]
    assert seen == [0, 1, 2]


def test_columns_that_the_app_loads_when_it_needs_them_come_along(clinic: Clinic, issuer: Issuer) -> None:
    clinic.app.add_url_rule("/notes", "notes", lambda: g.user.notes)
    with clinic.app.app_context():
        clinic.seen()

        answer = ask(clinic.app, token_of(issuer), "/notes")

    assert answer.text == "none yet"


def test_a_user_of_our_own_model_comes_with_what_is_known_of_it(
    make_app: MakeApp, engine: dict[str, object], issuer: Issuer
) -> None:
    app = make_app(trusting_a_secret(), SQLALCHEMY_DATABASE_URI=engine.pop("url"), SQLALCHEMY_ENGINE_OPTIONS=engine)
    app.add_url_rule("/data", "data", lambda: g.user.data["email"])
    ask(app, token_of(issuer, "bob"))
    with app.app_context():
        number = sa.text("SELECT count(*) FROM foreign_token_user")
        seen = [database_of(app).session.scalar(number)]

        answer = ask(app, token_of(issuer), "/data")

        seen.append(database_of(app).session.scalar(number))
    assert answer.text == "ann@example.com"
    assert seen == [1, 1]


def test_making_a_user_is_three_statements_there_as_well(clinic: Clinic, issuer: Issuer) -> None:
    ask(clinic.app, token_of(issuer, "bob"))
    token = token_of(issuer)

    with counted() as statements:
        ask(clinic.app, token)

    assert (statements.work, statements.schema) == (["SELECT", "INSERT", "INSERT"], [])


def test_the_user_is_one_query_and_one_more_where_the_view_is_older(clinic: Clinic, issuer: Issuer) -> None:
    ask(clinic.app, token := token_of(issuer))
    with clinic.app.app_context():
        clinic.seen()
        bob = token_of(issuer, "bob")
        ask(clinic.app, bob)

        with counted() as older:
            ask(clinic.app, bob, "/name")
        with counted() as as_old:
            ask(clinic.app, token, "/name")

    assert (older.work, as_old.work) == (["SELECT"] * 2, ["SELECT"])


def test_the_user_outlives_the_view(clinic: Clinic, issuer: Issuer) -> None:
    @clinic.app.post("/rename")
    @require_policy
    def rename() -> str:
        _ = g.user
        clinic.db.session.commit()
        g.user.name = "Ann"
        clinic.db.session.commit()
        return key_of(g.user) or ""

    with clinic.app.app_context():
        clinic.seen()
        assert ask(clinic.app, token_of(issuer), "/rename", "POST").status_code == 200
        assert clinic.seen() == 1

    assert ask(clinic.app, token_of(issuer), "/name").json["name"] == "Ann"


@pytest.mark.parametrize("ttl", [0, 30])
def test_a_user_deactivated_since_is_not_let_in(make_clinic: Callable[..., Clinic], issuer: Issuer, ttl: int) -> None:
    clinic, token = make_clinic(FOREIGN_TOKEN_USER_TTL=ttl), token_of(issuer)
    with clinic.app.app_context():
        clinic.seen()
        statuses = [ask(clinic.app, token, "/name").status_code]
        for active in (False, True):
            clinic.set_active(active)
            statuses.append(ask(clinic.app, token, "/name").status_code)

    assert statuses == [200, 401, 200]


def test_a_user_whom_the_older_view_takes_for_active_is_not_let_in(
    make_clinic: Callable[..., Clinic], issuer: Issuer
) -> None:
    clinic, token = make_clinic(FOREIGN_TOKEN_USER_TTL=0), token_of(issuer)
    ask(clinic.app, token)
    with clinic.app.app_context():
        assert clinic.seen() == 1
        clinic.set_active(False)

        answer = ask(clinic.app, token, "/name")

    assert answer.status_code == 401


def test_a_user_whom_the_older_view_takes_for_inactive_is_let_in(
    make_clinic: Callable[..., Clinic], issuer: Issuer
) -> None:
    clinic, token = make_clinic(FOREIGN_TOKEN_USER_TTL=0), token_of(issuer)
    ask(clinic.app, token)
    clinic.set_active(False)
    with clinic.app.app_context():
        assert clinic.seen() == 1
        clinic.set_active(True)

        answer = ask(clinic.app, token, "/name")

    assert answer.status_code == 200


def test_a_user_whom_another_provider_has_matched_since_keeps_what_the_app_has_not_stored_yet(
    clinic: Clinic, issuer: Issuer
) -> None:
    verified = {"email": "ann@example.com", "email_verified": True}
    ask(clinic.app, secret_token(issuer, sub="ann", **verified))

    with clinic.app.app_context():
        ann = clinic.db.session.scalar(sa.select(clinic.person))
        ann.name = "not stored yet"
        answer = ask(clinic.app, secret_token(issuer, iss=OTHER_ISSUER, sub="nan", **verified), "/name")
        clinic.db.session.commit()

    assert answer.json == {"name": "not stored yet", "real": True}
    assert ask(clinic.app, secret_token(issuer, sub="ann", **verified), "/name").json["name"] == "not stored yet"
