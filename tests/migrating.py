"""Apps whose tables are migrated, the real commands that do it, and the tables as the first version made them.

As a process it runs ``flask db`` commands on such an app: what they set up for the log stays in that process.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import orm as sa_orm
from sqlalchemy.dialects import mysql
from werkzeug.test import TestResponse

from flask_foreign_token import ForeignToken
from flask_foreign_token.registry.registry_tables import tables_for
from flask_foreign_token.testing import Issuer

from .apps import SECRET_ISSUER, add_views, ask, environment, secret_token, trusting_a_secret

HISTORY = "foreign_token_history"
REGISTRY = ("foreign_token_resource", "foreign_token_change", HISTORY)
OURS = {*REGISTRY, "foreign_token_user", "foreign_token_identifier"}
KINDS = ("default", "own", "bound")
"""Apps without a model of users, with one whose key is a number, and with that on another bind."""

ALICE = {"default": "9f1c8f9e-6a4b-4a58-9f0a-0d6e3c1b7a11", "own": "7", "bound": "7"}
"""The key of the user who was there before, of each kind."""

NEW = {f"added column 'foreign_token_identifier.{name}'" for name in ("refreshed_at", "written", "verified_email")}
NEW_INDEX = "added index 'ix_foreign_token_identifier_verified_email' on '('verified_email',)'"
NEW_TABLE = {f"added table '{HISTORY}'", f"added index 'ix_{HISTORY}_version' on '('version',)'"}


@dataclass(frozen=True)
class Project:
    """An app, and where its database and its migrations are.

    :param kind: of :data:`KINDS`.
    :param people: the database of the users of a ``bound`` app.
    :param batch: whether migrations are written for SQLite's want of ``ALTER``.
    """

    kind: str
    url: str
    people: str
    folder: str
    batch: bool = True

    def app(self, *, migrate: bool = True, debug: bool = False) -> Flask:
        app = Flask("clinic", root_path=self.folder, instance_path=self.folder)
        app.debug = debug
        app.config.update(SQLALCHEMY_DATABASE_URI=self.url)
        if self.kind == "bound":
            app.config["SQLALCHEMY_BINDS"] = {"people": self.people}
        db = SQLAlchemy(app)
        own = self.kind != "default"
        ForeignToken(app, db=db, user_class=self._person(db) if own else None)
        add_views(app)
        if migrate:
            Migrate(app, db, directory=self.migrations, render_as_batch=self.batch)
        return app

    def _person(self, db: SQLAlchemy) -> type:
        columns = {
            "__tablename__": "person",
            "__bind_key__": "people" if self.kind == "bound" else None,
            "id": sa_orm.mapped_column(sa.Integer, primary_key=True),
            "nickname": sa_orm.mapped_column(sa.String(20)),
        }
        return type("Person", (db.Model,), columns)

    @property
    def migrations(self) -> str:
        return f"{self.folder}/migrations"

    @property
    def revisions(self) -> list[Path]:
        """The oldest first."""
        return sorted(Path(self.migrations, "versions").glob("*.py"), key=lambda path: path.stat().st_mtime_ns)

    def db(self, *commands: str) -> list[tuple[int, str]]:
        """Status and output of each of `commands`, such as ``upgrade``."""
        options = json.dumps(self.__dict__)
        run = [sys.executable, "-m", __name__, options, *commands]
        done = subprocess.run(run, env=environment(), check=False, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return [(status, said) for status, said in json.loads(done.stdout.splitlines()[-1])]

    def done(self, *commands: str) -> list[str]:
        """What each of `commands` says, all of which succeed."""
        results = self.db(*commands)
        for command, (status, said) in zip(commands, results, strict=True):
            assert status == 0, f"flask db {command}\n{said}"
        return [said for _, said in results]

    @property
    def start(self) -> str:
        """The first command."""
        return "init --multidb" if self.kind == "bound" else "init"

    @contextmanager
    def running(self, **how: Any) -> Iterator[Flask]:
        """The app in this process, whose connections are closed at the end."""
        app = self.app(**how)
        yield app
        with app.app_context():
            for engine in app.extensions["sqlalchemy"].engines.values():
                engine.dispose()

    def create_all(self) -> None:
        with self.running() as app, app.app_context():
            app.extensions["sqlalchemy"].create_all()

    def ask(self, issuer: Issuer, sub: str = "alice", **how: Any) -> TestResponse:
        """What an app that has just started answers to a request of `sub`."""
        with self.running(**how) as app:
            return ask(app, secret_token(issuer, sub=sub), "/me")

    def check(self) -> None:
        """Start an app without Flask-Migrate."""
        with self.running(migrate=False) as app:
            app.extensions["foreign_token"].check()

    @property
    def databases(self) -> list[str]:
        """That of the registry, and that of the users."""
        return [self.url, self.people if self.kind == "bound" else self.url]

    def tables(self) -> set[str]:
        found: set[str] = set()
        for url in self.databases:
            with connected(url) as connection:
                found |= set(sa.inspect(connection).get_table_names())
        return found - {"alembic_version"}

    def columns(self) -> set[str]:
        """Those of the table of identifiers."""
        with connected(self.databases[1]) as connection:
            return {column["name"] for column in sa.inspect(connection).get_columns("foreign_token_identifier")}

    def indexes(self) -> set[str | None]:
        with connected(self.databases[1]) as connection:
            return {index["name"] for index in sa.inspect(connection).get_indexes("foreign_token_identifier")}


def detected(said: str) -> set[str]:
    """The differences that ``flask db migrate`` or ``check`` found; that a number has a sequence is none."""
    return {line.strip() for line in re.findall(r"Detected (?!sequence )(.*)", said)}


@contextmanager
def connected(url: str) -> Iterator[sa.Connection]:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def _exact(length: int) -> sa.types.TypeEngine[str]:
    binary = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return sa.String(length).with_variant(binary, "mysql", "mariadb")


def first_tables(project: Project) -> None:
    """Make the tables that the first version of the extension made, with what one user left in them."""
    registry, users = sa.MetaData(), sa.MetaData()
    resource, change = _first_registry(registry)
    user, identifier = _first_users(users, project.kind)
    key = ALICE[project.kind]
    with connected(project.databases[0]) as connection:
        registry.create_all(connection)
        connection.execute(change.insert().values(id=0, type="", ref="", at=0.0))
        for number, body in enumerate(trusting_a_secret(), 1):
            named = {"type": body["resourceType"], "id": body["id"]}
            text = json.dumps(body, sort_keys=True, separators=(",", ":"))
            connection.execute(change.insert().values(id=number, type=named["type"], ref=named["id"], at=1.0))
            connection.execute(resource.insert().values(**named, version=number, body=text, last_updated=1.0))
    with connected(project.databases[1]) as connection:
        users.create_all(connection)
        whole = {"id": key, "active": True} if project.kind == "default" else {"id": int(key), "nickname": "ally"}
        connection.execute(user.insert().values(**whole))
        connection.execute(
            identifier.insert().values(
                id=hashlib.sha256(b"keycloak\0alice").hexdigest(),
                system="keycloak",
                value="alice",
                issuer=SECRET_ISSUER,
                user_id=whole["id"],
                data={"sub": "alice", "name": "Álice"},
                attributes={},
                inactive=False,
                version=3,
                created_at=1.5,
                updated_at=2.5,
            )
        )


def add_history(project: Project) -> None:
    """Make the table that came to the registry since, and alter no other."""
    with connected(project.url) as connection:
        tables_for(sa.MetaData()).history.create(connection)


def _first_registry(metadata: sa.MetaData) -> tuple[sa.Table, sa.Table]:
    resource = sa.Table(
        "foreign_token_resource",
        metadata,
        sa.Column("type", _exact(32), nullable=False),
        sa.Column("id", _exact(64), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb"), nullable=False),
        sa.Column("last_updated", sa.Double, nullable=False, comment="seconds since the epoch"),
        sa.PrimaryKeyConstraint("type", "id", name="pk_foreign_token_resource"),
    )
    change = sa.Table(
        "foreign_token_change",
        metadata,
        sa.Column("id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("type", _exact(32), nullable=False),
        sa.Column("ref", _exact(255), nullable=False),
        sa.Column("at", sa.Double, nullable=False, comment="seconds since the epoch"),
        sa.PrimaryKeyConstraint("id", name="pk_foreign_token_change"),
    )
    return resource, change


def _first_users(metadata: sa.MetaData, kind: str) -> tuple[sa.Table, sa.Table]:
    if kind == "default":
        user = sa.Table(
            "foreign_token_user",
            metadata,
            sa.Column("id", _exact(36)),
            sa.Column("active", sa.Boolean, nullable=False),
            sa.PrimaryKeyConstraint("id", name="pk_foreign_token_user"),
        )
    else:
        id_, nickname = sa.Column("id", sa.Integer, primary_key=True), sa.Column("nickname", sa.String(20))
        user = sa.Table("person", metadata, id_, nickname)
    key = user.c.id
    identifier = sa.Table(
        "foreign_token_identifier",
        metadata,
        sa.Column("id", _exact(64)),
        sa.Column("system", _exact(255), nullable=False),
        sa.Column("value", _exact(255), nullable=False),
        sa.Column("issuer", sa.Text, nullable=False, comment="the issuer that vouched for it first"),
        sa.Column("user_id", key.type, nullable=False),
        sa.Column("data", sa.JSON, nullable=False, comment="userinfo, as it came"),
        sa.Column("attributes", sa.JSON, nullable=False, comment="what toScim made of it"),
        sa.Column("inactive", sa.Boolean, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False, comment="seconds since the epoch"),
        sa.Column("updated_at", sa.Double, nullable=False, comment="seconds since the epoch"),
        sa.PrimaryKeyConstraint("id", name="pk_foreign_token_identifier"),
        sa.ForeignKeyConstraint(["user_id"], [key], name="fk_foreign_token_identifier_user_id", ondelete="CASCADE"),
        sa.Index("ix_foreign_token_identifier_user_id", "user_id"),
    )
    return user, identifier


def kept(project: Project) -> list[Any]:
    """What the first version stored of its user, as it is now."""
    names = "id, system, value, issuer, user_id, inactive, version, created_at, updated_at"
    with connected(project.databases[1]) as connection:
        found = [list(row) for row in connection.execute(sa.text(f"SELECT {names} FROM foreign_token_identifier"))]
        found += [list(row) for row in connection.execute(sa.text("SELECT data FROM foreign_token_identifier"))]
        table = "foreign_token_user" if project.kind == "default" else "person"
        return found + [list(row) for row in connection.execute(sa.text(f"SELECT * FROM {table}"))]


# ---- what holds on every database


def _as_it_is(revision: Path) -> None:
    pass


def assert_made_and_unmade(project: Project, issuer: Issuer, mend: Callable[[Path], None] = _as_it_is) -> None:
    """From an empty database to the tables, and back.

    :param mend: alters the revision, before the way back.
    """
    _, migrated, _, checked = project.done(project.start, "migrate", "upgrade", "check")

    ours = OURS if project.kind == "default" else (OURS - {"foreign_token_user"}) | {"person"}
    assert {f"added table '{name}'" for name in ours} <= detected(migrated)
    assert detected(checked) == set()
    assert project.tables() == ours
    assert project.ask(issuer).status_code == 401
    mend(project.revisions[0])
    project.done("downgrade")
    assert project.tables() == set()


def assert_brought_up_to_date(project: Project, issuer: Issuer) -> None:
    """From the first version's tables, with their rows, to today's."""
    first_tables(project)
    before = kept(project)

    _, migrated, _, again, checked = project.done(project.start, "migrate", "upgrade", "migrate", "check")

    assert detected(migrated) == {*NEW, NEW_INDEX, *NEW_TABLE}
    assert detected(again) == detected(checked) == set()
    assert len(project.revisions) == 1
    assert kept(project) == before
    assert project.ask(issuer).json == {"user": ALICE[project.kind], "subject": "alice"}


def assert_completed(project: Project, issuer: Issuer) -> None:
    """From the first version's tables, with their rows, to today's, by an app that starts without Flask-Migrate."""
    first_tables(project)
    before = kept(project)

    project.check()

    assert kept(project) == before
    assert project.ask(issuer, migrate=False).json == {"user": ALICE[project.kind], "subject": "alice"}
    assert project.ask(issuer, "bob", migrate=False).status_code == 200
    _, checked = project.done(project.start, "check")
    assert detected(checked) == set()


def assert_nothing_to_migrate(project: Project) -> None:
    """After ``create_all``."""
    project.create_all()

    _, checked = project.done(project.start, "check")

    assert detected(checked) == set()


if __name__ == "__main__":
    project = Project(**json.loads(sys.argv[1]))
    # An app for each, since Flask-Migrate keeps in it what one command asked for.
    results = [project.app().test_cli_runner().invoke(args=["db", *command.split()]) for command in sys.argv[2:]]
    print(json.dumps([(result.exit_code, f"{result.output}{result.exception or ''}") for result in results]))
