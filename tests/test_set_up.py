"""Ways of putting an app together, and what the extension keeps its hands off."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask, g
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.errors import ConfigError, DatabaseUnavailable
from flask_foreign_token.testing import Issuer, acting_as

from .apps import (
    add_views,
    ask,
    database_of,
    environment,
    policy,
    protected,
    registry_of,
    rows,
    secret_token,
    store,
    tables_in,
    trusting_a_secret,
    users_in,
    write_registry,
)
from .conftest import MakeApp

OURS = {"foreign_token_user", "foreign_token_identifier", "foreign_token_change"}


# ---- one line, and others


def test_one_line_is_enough(bare_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    app = bare_app()

    with caplog.at_level(logging.INFO):
        ForeignToken(app)
        assert not caplog.records
        add_views(app)
        store(app, trusting_a_secret())

    assert ask(app, secret_token(issuer, sub="ann")).json == {"subject": "ann"}
    (made,) = Path(app.instance_path).glob("*")
    told = [record.getMessage() for record in caplog.records if "db=" in record.getMessage()]
    assert [made.name in text for text in told] == [True]


def test_the_database_that_the_app_names_is_used(make_app: MakeApp, issuer: Issuer, tmp_path: Path) -> None:
    app = make_app(trusting_a_secret(), SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/named.db")

    ask(app, secret_token(issuer))

    assert (tmp_path / "named.db").exists()
    assert list(Path(app.instance_path).glob("*")) == []


@pytest.mark.parametrize("passed", [True, False], ids=["db=", "registered first"])
def test_the_apps_own_sqlalchemy_is_used(
    bare_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture, passed: bool
) -> None:
    app, db = bare_app(SQLALCHEMY_DATABASE_URI="sqlite:///own.db"), SQLAlchemy()
    db.init_app(app)

    with caplog.at_level(logging.INFO):
        protected(app, trusting_a_secret(), ForeignToken(db=db) if passed else None)

    assert ask(app, secret_token(issuer)).status_code == 200
    assert database_of(app) is db
    assert set(db.metadata.tables) >= OURS
    assert "db=" not in caplog.text


def test_a_db_that_is_passed_may_be_registered_later(bare_app: MakeApp, issuer: Issuer) -> None:
    app, db = bare_app(SQLALCHEMY_DATABASE_URI="sqlite:///own.db"), SQLAlchemy()
    protected(app, trusting_a_secret(), ForeignToken(db=db))
    if "sqlalchemy" not in app.extensions:
        db.init_app(app)

    assert ask(app, secret_token(issuer)).status_code == 200
    assert database_of(app) is db


def test_create_all_of_the_app_makes_our_tables_too(bare_app: MakeApp) -> None:
    app, db = bare_app(SQLALCHEMY_DATABASE_URI="sqlite:///own.db"), SQLAlchemy()
    db.init_app(app)
    ForeignToken(app)

    with app.app_context():
        db.create_all()

    assert tables_in(app) >= OURS


def test_a_factory_makes_apps_that_do_not_know_each_other(bare_app: MakeApp, issuer: Issuer) -> None:
    foreign_token, db = ForeignToken(), SQLAlchemy()

    def create_app(subject: str) -> Flask:
        app = bare_app(SQLALCHEMY_DATABASE_URI="sqlite:///own.db")
        db.init_app(app)
        return protected(app, trusting_a_secret(policy("one", {"jwt": {"sub": subject}})), foreign_token)

    ann, bob = (secret_token(issuer, sub=name) for name in ("ann", "bob"))
    first, second = create_app("ann"), create_app("bob")

    assert [ask(first, token).status_code for token in (ann, bob)] == [200, 403]
    assert [ask(second, token).status_code for token in (ann, bob)] == [403, 200]
    assert ask(first, ann).status_code == 200


def test_one_instance_serves_apps_of_different_settings(make_app: MakeApp, issuer: Issuer) -> None:
    foreign_token = ForeignToken()
    strict = make_app(trusting_a_secret(), foreign_token, FOREIGN_TOKEN_REALM="strict")
    lax = make_app(trusting_a_secret(), foreign_token, FOREIGN_TOKEN_REALM="lax", FOREIGN_TOKEN_OPTIONAL=True)
    other = [*trusting_a_secret(policy("all"), jwt={"iss": "https://other.example"})]
    third = make_app(other, foreign_token)

    assert [ask(app, "wrong", "/open").status_code for app in (strict, lax, third)] == [401, 200, 401]
    assert ['realm="strict"' in ask(app).headers.get("WWW-Authenticate", "") for app in (strict, lax)] == [True, False]
    token = secret_token(issuer, sub="ann")
    assert [ask(app, token).status_code for app in (strict, lax, third)] == [200, 200, 401]
    assert [users_in(app) for app in (strict, lax, third)] == [1, 1, 0]


def test_an_app_called_within_another_keeps_its_own_user(make_app: MakeApp, issuer: Issuer) -> None:
    inner, outer = (make_app(trusting_a_secret(policy("all"))) for _ in range(2))
    ann, bob = (secret_token(issuer, sub=name) for name in ("ann", "bob"))

    @outer.get("/through")
    @require_policy
    def through() -> dict[str, object]:
        within = ask(inner, bob).json["subject"]
        return {"within": within, "here": g.token.subject}

    assert ask(outer, ann, "/through").json == {"within": "bob", "here": "ann"}


def test_two_apps_made_alike_share_what_is_in_the_database(make_app: MakeApp, issuer: Issuer, tmp_path: Path) -> None:
    shared = {"SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/shared.db", "FOREIGN_TOKEN_REGISTRY_POLL": 0}
    first, second = make_app(**shared), make_app(**shared)
    token = secret_token(issuer, sub="ann")
    assert [ask(app, token).status_code for app in (first, second)] == [401, 401]

    store(first, trusting_a_secret(policy("all")))

    users = [ask(app, token, "/me").json["user"] for app in (first, second)]
    assert users[0] == users[1]
    assert users_in(first) == 1


def test_a_wsgi_file_may_check_everything_before_it_serves(bare_app: MakeApp) -> None:
    app, foreign_token = bare_app(), ForeignToken()
    protected(app, trusting_a_secret(), foreign_token)

    with app.app_context():
        foreign_token.check()

    assert tables_in(app) >= OURS


def test_a_user_of_the_tests_choice_needs_no_token(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(policy("ward", {"jwt": {"ward": "3"}})))

    with acting_as(app, None, ward="3"):
        assert ask(app).status_code == 200
    with acting_as(app, None, ward="4"):
        assert ask(app).status_code == 403
    assert ask(app).status_code == 401


# ---- in-memory SQLite


@pytest.mark.parametrize("ends_with", ["commit", "rollback"])
def test_rows_that_the_app_has_pending_stay_pending(bare_app: MakeApp, issuer: Issuer, ends_with: str) -> None:
    app, db = bare_app(SQLALCHEMY_DATABASE_URI="sqlite://"), SQLAlchemy()

    class Patient(db.Model):  # type: ignore[name-defined, misc]
        id = db.Column(db.Integer, primary_key=True)

    db.init_app(app)
    protected(app, trusting_a_secret())

    with app.app_context():
        db.create_all()
        db.session.add(Patient(id=1))
        db.session.flush()
        statuses = [ask(app, secret_token(issuer, sub=name), "/me").status_code for name in ("ann", "bob")]
        getattr(db.session, ends_with)()
        patients = db.session.query(Patient).count()

    assert statuses == [200, 200]
    assert patients == (1 if ends_with == "commit" else 0)


def test_an_in_memory_database_holds_registry_and_users(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(SQLALCHEMY_DATABASE_URI="sqlite://", FOREIGN_TOKEN_REGISTRY_POLL=0)
    store(app, trusting_a_secret())

    assert [ask(app, secret_token(issuer, sub=name), "/me").status_code for name in ("ann", "bob")] == [200, 200]
    assert users_in(app) == 2


# ---- the file database is the app's


def test_the_journal_of_the_apps_database_stays_as_it_was(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret())

    ask(app, secret_token(issuer))

    assert rows(app, "PRAGMA journal_mode") == [("delete",)]


# ---- migrations


@pytest.mark.parametrize("registered", ["before", "after"])
def test_where_migrations_make_tables_we_make_none(bare_app: MakeApp, issuer: Issuer, registered: str) -> None:
    app, db, foreign_token = bare_app(SQLALCHEMY_DATABASE_URI="sqlite:///own.db"), SQLAlchemy(), ForeignToken()
    db.init_app(app)
    if registered == "before":
        Migrate(app, db)
    protected(app, trusting_a_secret(), foreign_token)
    if registered == "after":
        Migrate(app, db)

    answer = ask(app, secret_token(issuer))

    assert answer.status_code == 503
    assert OURS & tables_in(app) == set()
    with app.app_context(), pytest.raises(DatabaseUnavailable):
        foreign_token.check()


# ---- init_app does no I/O

WATCH = """
import json, sys
events = []
sys.addaudithook(lambda name, arguments: events.append((name, str(arguments[0]) if arguments else "")))
from flask import Flask
from flask_foreign_token import ForeignToken, require_policy
import flask_sqlalchemy, sqlalchemy.dialects.sqlite
root = sys.argv[1]
app = Flask("clinic", root_path=root, instance_path=root + "/instance")
app.config["FOREIGN_TOKEN_REGISTRY"] = sys.argv[2]
if sys.argv[3]:
    app.config["SQLALCHEMY_DATABASE_URI"] = sys.argv[3]
del events[:]
ForeignToken(app)
print(json.dumps(events))
"""


@pytest.mark.parametrize("registry", ["registry.json", "database"])
@pytest.mark.parametrize("uri", ["", "sqlite:///elsewhere.db"])
def test_init_app_does_no_io(tmp_path: Path, registry: str, uri: str) -> None:
    write_registry(tmp_path / "registry.json", trusting_a_secret())
    run = [sys.executable, "-c", WATCH, str(tmp_path), registry, uri]

    events = json.loads(subprocess.run(run, env=environment(), check=True, capture_output=True, text=True).stdout)

    forbidden = ("socket.", "sqlite3.", "os.mkdir", "_thread.start", "subprocess.", "os.fork")
    assert [event for event in events if event[0].startswith(forbidden)] == []
    assert [event for event in events if event[0] in ("open", "os.listdir") and str(tmp_path) in event[1]] == []
    assert [path.name for path in tmp_path.iterdir()] == ["registry.json"]


def test_a_flask_command_of_an_app_in_the_worst_state_works(tmp_path: Path) -> None:
    (tmp_path / "clinic.py").write_text(
        "from flask import Flask\n"
        "from flask_foreign_token import ForeignToken, require_policy\n"
        "app = Flask(__name__)\n"
        "app.config.update(SQLALCHEMY_DATABASE_URI='sqlite:////no/such/folder/x.db', FOREIGN_TOKEN_PROTECT='all')\n"
        "app.config['FOREIGN_TOKEN_REGISTRY'] = 'absent.json'\n"
        "ForeignToken(app)\n"
        "app.get('/patients')(require_policy(lambda: 'in'))\n"
    )
    run = [sys.executable, "-m", "flask", "--app", "clinic", "routes"]

    done = subprocess.run(run, cwd=tmp_path, env=environment(), check=False, capture_output=True, text=True)

    assert (done.returncode, "/patients" in done.stdout) == (0, True), done.stderr


def test_a_file_that_is_absent_at_start_is_no_matter_of_init_app(bare_app: MakeApp, issuer: Issuer) -> None:
    app = bare_app(FOREIGN_TOKEN_REGISTRY="registry.json")
    protected(app)

    write_registry(registry_of(app), trusting_a_secret())

    assert ask(app, secret_token(issuer)).status_code == 200


# ---- settings


def test_settings_come_from_the_environment(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOREIGN_TOKEN_REALM", "from-the-environment")
    monkeypatch.setenv("FOREIGN_TOKEN_OPTIONAL", "true")
    monkeypatch.setenv("FOREIGN_TOKEN_REGISTRY_POLL", "0.5")
    monkeypatch.setenv("FOREIGN_TOKEN_HTTP_TIMEOUT", "[1, 2]")
    monkeypatch.setenv("FOREIGN_TOKEN_ALLOW_HTTP_HOSTS", "localhost, keycloak")
    app = make_app(trusting_a_secret())

    assert 'realm="from-the-environment"' in ask(app).headers["WWW-Authenticate"]
    assert ask(app, "wrong", "/open").status_code == 200


def test_what_the_app_configures_goes_before_the_environment(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOREIGN_TOKEN_REALM", "from-the-environment")
    app = make_app(trusting_a_secret(), FOREIGN_TOKEN_REALM="from-the-app")

    assert 'realm="from-the-app"' in ask(app).headers["WWW-Authenticate"]


def test_the_registry_may_be_named_by_the_environment(
    bare_app: MakeApp, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOREIGN_TOKEN_REGISTRY", "registry.json")
    app = protected(bare_app())
    write_registry(registry_of(app), trusting_a_secret())

    assert ask(app, secret_token(issuer)).status_code == 200


WRONG: list[tuple[str, object]] = [
    ("REGISTY", "database"),
    ("REALMS", "x"),
    ("realm", "x"),
    ("REGISTRY", 7),
    ("REGISTRY", ""),
    ("CREATE_USER", "yes"),
    ("CREATE_USER", 1),
    ("OPTIONAL", "maybe"),
    ("PROTECT", "some"),
    ("PROTECT", True),
    ("REALM", 'a"b'),
    ("REALM", "a\r\nb"),
    ("REALM", "\u00e4"),
    ("REALM", 7),
    ("RESOURCE", "not a url"),
    ("RESOURCE", "https://api.example/#part"),
    ("REQUIRE_AUDIENCE", "no"),
    ("TOKEN_CACHE_SIZE", "many"),
    ("TOKEN_CACHE_SIZE", -1),
    ("TOKEN_CACHE_SIZE", 1.5),
    ("USER_TTL", -1),
    ("USER_TTL", "soon"),
    ("USER_TTL", float("nan")),
    ("REGISTRY_POLL", -1),
    ("REGISTRY_POLL", True),
    ("HTTP_TIMEOUT", 5),
    ("HTTP_TIMEOUT", (0, 5)),
    ("HTTP_TIMEOUT", (1, 2, 3)),
    ("ALLOW_HTTP_HOSTS", [7]),
    ("KEY_GRACE", -1),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_setting_is_named_when_the_app_is_made(bare_app: MakeApp, name: str, value: object) -> None:
    app = bare_app(**{f"FOREIGN_TOKEN_{name}": value})

    with pytest.raises(ConfigError, match=f"FOREIGN_TOKEN_{name}"):
        ForeignToken(app)


@pytest.mark.parametrize(
    ("name", "value"), [("REGISTY", "database"), ("CREATE_USER", "yes"), ("USER_TTL", "soon"), ("HTTP_TIMEOUT", "[1")]
)
def test_a_wrong_setting_of_the_environment_is_named_too(
    bare_app: MakeApp, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"FOREIGN_TOKEN_{name}", value)

    with pytest.raises(ConfigError, match=f"FOREIGN_TOKEN_{name}"):
        ForeignToken(bare_app())


def test_a_misspelt_setting_is_told_what_was_meant(bare_app: MakeApp) -> None:
    with pytest.raises(ConfigError, match="FOREIGN_TOKEN_REGISTRY"):
        ForeignToken(bare_app(FOREIGN_TOKEN_REGISTY="database"))
